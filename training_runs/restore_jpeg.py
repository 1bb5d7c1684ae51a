"""The JPEG specialist: a plain chain of residual blocks at half resolution. One core, about an hour.

It is chosen when the inspection finds compression and little noise; the block grid is aligned before it runs. Entering
by pixel-unshuffle 8, one position per block, was tried first and learnt next to nothing (docs/learning.md).
"""

from tratto_lab.simulate.degrade import Mix
from tratto_lab.training.config import Data, Optim, Run

RUN = Run(
    name="restore_jpeg",
    ships_as="tratto-restore-jpeg",
    calibrate_on=("jpeg",),
    network="restorer",
    network_options={"widths": (48,), "encoder": (), "bottleneck": 6, "decoder": (), "unshuffle": 2},
    steps=12_000,
    batch=8,
    data=Data(
        patch=96,
        mix=Mix(
            clean=0.02,
            gaussian=0.0,
            poisson=0.0,
            camera=0.0,
            jpeg=0.98,
            blur_noise=0.0,
            mixed=0.0,
            second_order=0.0,
            jpeg_high=88,
            jpeg_aligned=1.0,
            jpeg_twice=0.05,
        ),
        gray_share=0.35,
        shrink_weights=(0.15, 0.4, 0.45),
    ),
    workers=1,
    optim=Optim(lr=1.2e-3, warmup=200, fft=0.0),
    seed=4,
    save_every=500,
    check_every=1000,
)
