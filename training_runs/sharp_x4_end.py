"""What ships of the sharper x4: seven tenths of it and three of SPAN, and the standard error of that. Some minutes.

Networks are mixed so in ESRGAN (Wang et al. 2018), to choose between likeness and decibels.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import load_run

BASE = load_run(Path(__file__).with_name("span_x4_sigma.py"))

RUN = replace(
    BASE,
    name="sharp_x4_end",
    initial="sharp_x4",
    blend=((str(Path(__file__).parents[1] / "src" / "tratto" / "models" / "weights" / "span-x4.onnx"), 0.3),),
    ships_as="span-sharp-x4",
    steps=400,
    data=replace(BASE.data, patch=128, rough=0.0),
    optim=replace(BASE.optim, lr=2e-3, ema=0.98),
    seed=79,
)
