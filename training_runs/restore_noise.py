"""The scale-1 restorer for noise: a shallow U-Net that works at half resolution. One core, about two and a half hours.

Compressed pictures have a network of their own (restore_jpeg.py); this one only has to bear them.
"""

from tratto_lab.simulate.degrade import Mix
from tratto_lab.training.config import Data, Optim, Run

RUN = Run(
    name="restore_noise",
    calibrate_on=("sigma",),
    network="restorer",
    network_options={"widths": (48, 96), "encoder": (3,), "bottleneck": 2, "decoder": (3,), "unshuffle": 2},
    steps=22_500,
    batch=8,
    data=Data(
        patch=96,
        mix=Mix(
            clean=0.04,
            gaussian=0.76,
            poisson=0.04,
            camera=0.05,
            jpeg=0.04,
            blur_noise=0.0,
            mixed=0.06,
            second_order=0.01,
        ),
        gray_share=0.05,
        tied_share=0.12,
        shrink_weights=(0.15, 0.4, 0.45),
    ),
    workers=1,
    optim=Optim(lr=1.2e-3, warmup=200, fft=0.0),
    seed=5,
    save_every=500,
    check_every=1000,
)
