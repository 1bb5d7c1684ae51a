"""The standard error head of the scale-2 network, its picture branch frozen. One core, a few minutes."""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_x2.py"))

RUN = replace(
    BASE,
    name="restore_x2_sigma",
    initial="restore_x2",
    train_only="sigma",
    steps=800,
    data=replace(BASE.data, warm_mix=None, warm_share=0.0),
    optim=Optim(lr=1e-2, warmup=50, clip=10.0, ema=0.99),
    check_every=200,
)
