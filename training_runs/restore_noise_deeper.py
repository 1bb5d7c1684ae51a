"""The network for noise with two blocks more at a quarter of the resolution, from the average that shipped before.

The new blocks begin near identity. One core, under two hours.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_noise_deep_end.py"))

RUN = replace(
    BASE,
    name="restore_noise_deeper",
    initial="restore_noise_deep_end",
    blend=(("restore_noise_deep", 0.5),),
    network_options={**BASE.network_options, "bottleneck": 6},
    steps=12_500,
    data=replace(
        BASE.data,
        patch=128,
        tied_share=0.05,
        mix=replace(BASE.data.mix, gaussian=0.84, jpeg=0.02, noise_jpeg=0.07),
    ),
    optim=Optim(lr=8e-4, lr_end=1e-6, warmup=200, fft=0.0, decibels=0.004),
    seed=31,
    save_every=500,
    check_every=1000,
)
