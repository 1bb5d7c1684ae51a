"""The network for noise, a second long run from the tuned weights, with the tuned mix and loss. One core, two hours.

It forgot noise under light compression; restore_noise_deep.py goes on from here and learns it again (docs/learning.md).
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_noise_tune.py"))

RUN = replace(
    BASE,
    name="restore_noise_long",
    initial="restore_noise_tune",
    steps=17_000,
    batch=8,
    data=replace(BASE.data, patch=96),
    optim=Optim(lr=1e-3, lr_end=1e-6, warmup=200, fft=0.0, decibels=0.004),
    seed=11,
    save_every=500,
    check_every=1000,
)
