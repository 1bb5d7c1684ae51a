"""What the others are compared with: median colour, grain and light on the reference, no prompt, no colour loss.

``tratto ablate`` lays it beside the others; see docs/recolor.md. Not run in full here: it needs weights and a GPU.
"""

from tratto_lab.training.lora_config import LoraRun

RUN = LoraRun(
    name="recolor_base",
    task="recolor",
    family="sd15",
    model="stable-diffusion-inpainting",
    ip_adapter="IP-Adapter",
    rank=8,
    alpha=16,
    targets=("to_k", "to_q", "to_v", "to_out.0"),
    steps=4_000,
    batch=2,
    accumulate=4,
    precision="fp16",
    unconditional_training=True,
    held_out=8,
    save_every=250,
    check_every=1_000,
)
