"""A4 of the recolor ablations. With the loss that holds the wall's mean CIELAB to the reference, weight 0.1.

``tratto ablate`` lays it beside the others; see docs/recolor.md. Not run in full here: it needs weights and a GPU.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.lora_config import load_any

BASE = load_any(Path(__file__).with_name("recolor_base.py"))

RUN = replace(
    BASE,
    name="recolor_color_loss",
    color_loss=0.1,
)
