"""The JPEG specialist: enters by pixel-unshuffle 8, so that one position is one block. One core, about an hour.

It is chosen when the inspection finds compression and little noise; the block grid is aligned before it runs.
"""

from tratto.simulate.degrade import Mix
from tratto.training.config import Data, Optim, Run

RUN = Run(
    name="restore_jpeg",
    ships_as="tratto-restore-jpeg",
    calibrate_on=("jpeg",),
    network="restorer",
    network_options={
        "widths": (128, 192),
        "encoder": (3,),
        "bottleneck": 2,
        "decoder": (3,),
        "unshuffle": 8,
    },
    steps=20_000,
    batch=8,
    data=Data(
        patch=128,
        mix=Mix(
            clean=0.03,
            gaussian=0.0,
            poisson=0.0,
            camera=0.0,
            jpeg=0.97,
            blur_noise=0.0,
            mixed=0.0,
            second_order=0.0,
            jpeg_high=92,
            jpeg_aligned=1.0,
            jpeg_twice=0.08,
        ),
        gray_share=0.3,
        shrink_weights=(0.15, 0.4, 0.45),
    ),
    workers=1,
    optim=Optim(lr=1e-3, warmup=300, decibels=0.01),
    seed=4,
    save_every=500,
    check_every=1000,
)
