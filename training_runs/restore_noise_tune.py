"""The network for noise, tuned: decibels as loss, larger crops, nearly all of them with Gaussian noise. One core."""

from dataclasses import replace
from pathlib import Path

from tratto_lab.simulate.degrade import Mix
from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_noise.py"))

RUN = replace(
    BASE,
    name="restore_noise_tune",
    initial="restore_noise",
    steps=3_000,
    batch=4,
    data=replace(
        BASE.data,
        patch=128,
        tied_share=0.08,
        mix=Mix(
            clean=0.04,
            gaussian=0.86,
            poisson=0.03,
            camera=0.03,
            jpeg=0.01,
            blur_noise=0.0,
            mixed=0.03,
            second_order=0.0,
        ),
    ),
    optim=Optim(lr=4e-4, lr_end=1e-6, warmup=100, fft=0.0, decibels=0.004),
    seed=6,
    save_every=500,
    check_every=500,
)
