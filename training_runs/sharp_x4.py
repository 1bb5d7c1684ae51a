"""A sharper x4: SPAN, trained on for likeness to the eye and against a critic. It invents. One shared core, an hour.

Needs ``tratto-lab data measures`` for VGG-16. ``ablations/likeness.py`` says what each loss brings.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import load_run

BASE = load_run(Path(__file__).with_name("span_x4_sigma.py"))

RUN = replace(
    BASE,
    name="sharp_x4",
    initial=str(Path(__file__).parents[1] / "src" / "tratto" / "models" / "weights" / "span-x4.onnx"),
    train_only="",
    ships_as="span-sharp-x4",
    steps=900,
    batch=4,
    data=replace(BASE.data, patch=128, rough=0.0),
    optim=replace(
        BASE.optim,
        lr=3e-4,
        lr_end=1e-5,
        clip=1.0,
        ema=0.99,
        fft=0.0,
        decay_share=0.5,
        perceptual=0.05,
        adversarial=0.03,
    ),
    seed=73,
    log_every=25,
    save_every=100,
    check_every=200,
)
