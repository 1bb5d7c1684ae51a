"""The damage finder, seventh stage: scans without colour, more scratches.

An hour of one core. Until here a picture lost its colour before it was damaged, and what shows in cracks was cream
or brown in grey pictures, too. The network learnt to look for that, and found little in real prints scanned in grey.
"""

from dataclasses import replace
from pathlib import Path

from tratto.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("damage_many.py"))

RUN = replace(
    BASE,
    name="damage_gray",
    initial="damage_many",
    steps=2_400,
    data=replace(
        BASE.data, scanned_gray_share=0.3, kinds={"crack": 1.5, "dirt": 2.0, "fold": 1.2, "scratch": 4.0, "stain": 2.0}
    ),
    optim=Optim(lr=6e-4, lr_end=1e-6, warmup=100, ema=0.998, slow="encoder", slow_rate=0.15, presence_weight=1.0),
    seed=20,
)
