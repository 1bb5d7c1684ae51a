"""A3 of the recolor ablations. Trained with a prompt beside the reference.

``tratto ablate`` lays it beside the others; see docs/recolor.md. Not run in full here: it needs weights and a GPU.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.lora_config import load_any

BASE = load_any(Path(__file__).with_name("recolor_base.py"))

RUN = replace(
    BASE,
    name="recolor_prompt",
    unconditional_training=False,
    prompt="a painted wall in the colour of the reference",
    prompt_dropout=0.1,
)
