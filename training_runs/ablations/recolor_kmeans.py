"""A1 of the recolor ablations. The wall's colour is the centre of its largest cluster instead of its median.

``tratto ablate`` lays it beside the others; see docs/recolor.md. Not run in full here: it needs weights and a GPU.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.lora_config import load_any

BASE = load_any(Path(__file__).with_name("recolor_base.py"))

RUN = replace(
    BASE,
    name="recolor_kmeans",
    data={"color": "kmeans"},
)
