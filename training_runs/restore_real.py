"""The network for noise as cameras, film and files have it, grown out of the one for white noise. One core, hours.

Half of the samples are real kinds of noise, a third is white, the rest JPEG and clean. The rate stays where it is, so
that `steps` may be raised at any time; restore_real_end.py lets it fall.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.simulate.degrade import Mix
from tratto_lab.training.config import Optim, Run, load_run

BASE = load_run(Path(__file__).with_name("restore_noise_wide.py"))

RUN = Run(
    name="restore_real",
    network="restorer",
    network_options={"widths": (48, 96, 160), "encoder": (4, 3), "bottleneck": 4, "decoder": (4, 3)},
    initial=str(Path(__file__).parents[1] / "src" / "tratto" / "models" / "weights" / "tratto-restore-x1.onnx"),
    grow=True,
    steps=3_200,
    batch=4,
    data=replace(
        BASE.data,
        patch=128,
        shrink_weights=(0.0, 0.5, 0.5),
        mix=Mix(
            clean=0.05,
            nearly_clean=0.06,
            gaussian=0.25,
            poisson=0.01,
            noise_jpeg=0.04,
            jpeg=0.05,
            camera=0.0,
            blur_noise=0.0,
            mixed=0.0,
            second_order=0.0,
            photograph=0.21,
            octaves=0.21,
            film=0.06,
            halftone=0.01,
            real_twice=0.05,
        ),
    ),
    optim=Optim(lr=6e-4, lr_end=1e-6, warmup=100, fft=0.0, decibels=0.001, ema=0.9995, decay_share=0.0),
    seed=41,
    save_every=200,
    check_every=1000,
)
