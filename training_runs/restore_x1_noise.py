"""The scale-1 restorer for noise, trained on from what shipped, with little JPEG. One core, about two hours.

Compressed pictures have a network of their own (restore_jpeg.py); this one only has to bear them.
"""

from dataclasses import replace
from pathlib import Path

from tratto.simulate.degrade import Mix
from tratto.training.config import Optim, load_run

HERE = Path(__file__).parent
BASE = load_run(HERE / "restore_x1_tune.py")

RUN = replace(
    BASE,
    name="restore_x1_noise",
    initial=str(HERE.parent / "src/tratto/models/weights/tratto-restore-x1.onnx"),
    steps=20_000,
    batch=8,
    data=replace(
        BASE.data,
        patch=112,
        mix=Mix(
            clean=0.05,
            gaussian=0.72,
            poisson=0.04,
            camera=0.05,
            jpeg=0.07,
            blur_noise=0.0,
            mixed=0.06,
            second_order=0.01,
        ),
        shrink_weights=(0.15, 0.4, 0.45),
    ),
    seed=3,
    optim=Optim(lr=6e-4, warmup=300, decibels=0.01),
    save_every=500,
    check_every=1_000,
)
