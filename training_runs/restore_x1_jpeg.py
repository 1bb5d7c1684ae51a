"""The scale-1 restorer, tuned further for JPEG traces from the average of its tuned and untuned weights.

A first check had shown that low qualities were too rare among the samples. One core, about 4 minutes.
"""

from dataclasses import replace
from pathlib import Path

from tratto.simulate.degrade import Mix
from tratto.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_x1_tune.py"))

RUN = replace(
    BASE,
    name="restore_x1_jpeg",
    initial="restore_x1_tune",
    blend=(("restore_x1", 0.7),),
    steps=1_700,
    data=replace(
        BASE.data,
        mix=Mix(clean=0.06, gaussian=0.46, jpeg=0.36, jpeg_high=60, blur_noise=0.0, mixed=0.03, second_order=0.01,
                poisson=0.03, camera=0.05),
    ),
    seed=2,
    optim=Optim(lr=3e-4, warmup=50, decibels=0.01),
    check_every=500,
)
