"""The network for noise, two blocks deeper at a quarter of the resolution, from the longer run. One core, two hours.

The new blocks begin near identity. Noise under JPEG, which the longer run forgot, has its own share of the mix.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.simulate.degrade import Mix
from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_noise_end.py"))

RUN = replace(
    BASE,
    name="restore_noise_deep",
    initial="restore_noise_end",
    network_options={**BASE.network_options, "bottleneck": 4},
    steps=15_500,
    batch=4,
    data=replace(
        BASE.data,
        patch=128,
        tied_share=0.05,
        mix=Mix(
            clean=0.02,
            gaussian=0.80,
            poisson=0.02,
            camera=0.03,
            jpeg=0.02,
            blur_noise=0.0,
            mixed=0.03,
            second_order=0.0,
            noise_jpeg=0.08,
        ),
    ),
    optim=Optim(lr=8e-4, lr_end=1e-6, warmup=300, fft=0.0, decibels=0.004),
    seed=23,
    save_every=500,
    check_every=1000,
)
