"""The scale-1 restorer, trained on from what ships: the next step when there is time. One core, about two hours."""

from dataclasses import replace
from pathlib import Path

from tratto.simulate.degrade import Mix
from tratto.training.config import Optim, load_run

HERE = Path(__file__).parent
BASE = load_run(HERE / "restore_x1_tune.py")

RUN = replace(
    BASE,
    name="restore_x1_more",
    initial=str(HERE.parent / "src/tratto/models/weights/tratto-restore-x1.onnx"),
    steps=20_000,
    batch=8,
    data=replace(
        BASE.data,
        patch=112,
        mix=Mix(clean=0.07, gaussian=0.5, jpeg=0.28, jpeg_high=80, blur_noise=0.01, mixed=0.03, second_order=0.01),
        shrink_weights=(0.15, 0.4, 0.45),
    ),
    seed=3,
    optim=Optim(lr=6e-4, warmup=300, decibels=0.01),
    check_every=2_000,
)
