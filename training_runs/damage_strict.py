"""The damage finder, fourth stage made strict: a kind that the picture as a whole does not show is ruled out in it.

The weights are those of damage_whole; a few steps at next to no rate write them down under another shape.
"""

from dataclasses import replace
from pathlib import Path

from tratto.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("damage_whole.py"))

RUN = replace(
    BASE,
    name="damage_strict",
    initial="damage_whole",
    network_options={"refine": 2, "presence": 64, "strictness": 8.0, "margin": 1.0},
    steps=4,
    optim=Optim(lr=1e-9, lr_end=1e-9, warmup=1, ema=0.5, slow="encoder", slow_rate=0.15),
    seed=18,
    check_every=4,
)
