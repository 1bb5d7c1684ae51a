"""The scale-1 restorer, tuned: more clean pictures, no blur, decibels as loss. One core, about 5 minutes."""

from dataclasses import replace
from pathlib import Path

from tratto.simulate.degrade import Mix
from tratto.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_x1.py"))

RUN = replace(
    BASE,
    name="restore_x1_tune",
    initial="restore_x1",
    steps=2_000,
    data=replace(
        BASE.data,
        mix=Mix(clean=0.12, gaussian=0.5, jpeg=0.22, blur_noise=0.0, mixed=0.04, second_order=0.01),
        warm_mix=None,
        warm_share=0.0,
        tied_share=0.1,
        tied_from=0,
    ),
    seed=1,
    optim=Optim(lr=2e-4, warmup=50, decibels=0.01),
    check_every=500,
)
