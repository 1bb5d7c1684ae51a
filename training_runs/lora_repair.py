"""SDXL inpainting learns to repair what our simulation damages: low-rank adapters, 10 epochs.

Needs a GPU of 24 GB or more, the pulled card ``sdxl-inpainting`` (or ``--set model=FOLDER``) and a folder of pictures,
each with its caption in a text file of the same name beside it. Not run in full here: only on a tiny random model.
"""

from tratto_lab.training.lora_config import LoraRun

RUN = LoraRun(
    name="lora_repair",
    task="repair",
    family="sdxl",
    model="sdxl-inpainting",
    rank=8,
    alpha=16,
    dropout=0.1,
    targets=("to_k", "to_q", "to_v", "to_out.0"),
    epochs=10,
    batch=1,
    accumulate=4,
    lr=1e-4,
    precision="bf16",
    checkpointing=True,
    prompt="Restore this monument: {caption}",
    prompt_dropout=0.1,
    held_out=4,
    save_every=250,
    check_every=500,
)
