"""The standard error head of the JPEG specialist, its picture branch frozen. One core, a few minutes."""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_jpeg.py"))

RUN = replace(
    BASE,
    name="restore_jpeg_sigma",
    initial="restore_jpeg",
    train_only="sigma",
    steps=500,
    optim=Optim(lr=5e-3, warmup=50, clip=10.0, ema=0.99),
    check_every=250,
)
