"""The damage detector, seventh stage: scans without colour, more scratches, further along lines.

An hour and a half of one core. Until here a picture lost its colour before it was damaged, and what shows in cracks was
cream or brown in grey pictures, too. The network learnt to look for that, and found little in real prints turned to
grey.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("damage_deeper.py"))

RUN = replace(
    BASE,
    name="damage_gray",
    initial="damage_deeper",
    steps=3_000,
    optim=Optim(lr=8e-4, lr_end=1e-6, warmup=100, ema=0.998, slow="encoder", slow_rate=0.15, presence_weight=1.0),
    seed=20,
    save_every=200,
    check_every=500,
)
