"""SD 1.5 inpainting learns to give a wall the colour of a reference picture, without any prompt.

Needs a GPU of 12 GB or more and three folders: pictures of walls with masks, the inpainting model and an IP-Adapter
Plus (``--set model=FOLDER --set ip_adapter=FOLDER``, or folders of these names in ``TRATTO_MODELS``). Not run in full
here: only on a tiny random model.
"""

from tratto_lab.training.lora_config import LoraRun

RUN = LoraRun(
    name="lora_recolor",
    task="recolor",
    family="sd15",
    model="stable-diffusion-inpainting",
    ip_adapter="IP-Adapter",
    rank=8,
    alpha=16,
    dropout=0.1,
    targets=("to_k", "to_q", "to_v", "to_out.0"),
    epochs=20,
    batch=2,
    accumulate=4,
    lr=1e-4,
    precision="fp16",
    unconditional_training=True,
    color_loss=0.1,
    held_out=4,
    save_every=250,
    check_every=500,
)
