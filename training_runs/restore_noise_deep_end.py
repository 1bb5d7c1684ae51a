"""The deeper network for noise, the end of its training: larger crops, a small rate. One core, 20 minutes."""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_noise_deep.py"))

RUN = replace(
    BASE,
    name="restore_noise_deep_end",
    initial="restore_noise_deep",
    steps=2_000,
    data=replace(
        BASE.data,
        patch=144,
        mix=replace(BASE.data.mix, gaussian=0.87, poisson=0.01, camera=0.02, jpeg=0.01, mixed=0.02, noise_jpeg=0.05),
    ),
    optim=Optim(lr=2e-4, lr_end=1e-6, warmup=50, fft=0.0, decibels=0.004),
    seed=29,
    save_every=200,
    check_every=500,
)
