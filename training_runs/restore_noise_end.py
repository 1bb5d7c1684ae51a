"""The network for noise, the end of its training: larger crops, a small rate, few clean ones. One core, 20 minutes.

It forgot noise under light compression; restore_noise_deep.py goes on from here and learns it again (docs/learning.md).
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_noise_long.py"))

RUN = replace(
    BASE,
    name="restore_noise_end",
    initial="restore_noise_long",
    steps=2_600,
    batch=4,
    data=replace(
        BASE.data,
        patch=144,
        tied_share=0.05,
        mix=replace(BASE.data.mix, clean=0.02, gaussian=0.92, poisson=0.02, camera=0.02, jpeg=0.0, mixed=0.02),
    ),
    optim=Optim(lr=2e-4, lr_end=1e-6, warmup=50, fft=0.0, decibels=0.004),
    seed=17,
    save_every=200,
    check_every=500,
)
