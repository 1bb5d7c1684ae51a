"""A sharper x4: what each loss of likeness brings and costs. Four variants from the same weights, some minutes each.

Needs ``tratto-lab data measures``: VGG-16 for the loss, AlexNet for the check.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Data, Optim, Run

BASE = Run(
    name="likeness_none",
    network="span",
    network_options={"scale": 4, "width": 48},
    initial=str(Path(__file__).parents[2] / "src" / "tratto" / "models" / "weights" / "span-x4.onnx"),
    steps=250,
    batch=4,
    data=Data(patch=128, rough=0.0),
    optim=Optim(lr=2e-4, lr_end=2e-5, warmup=20, fft=0.0, ema=0.98),
    seed=71,
    log_every=25,
    save_every=100,
    check_every=250,
)


def _variant(name: str, perceptual: float, adversarial: float) -> Run:
    optim = replace(BASE.optim, perceptual=perceptual, adversarial=adversarial)
    return replace(BASE, name=f"likeness_{name}", optim=optim)


VARIANTS = {
    "neither": BASE,
    "perceptual": _variant("perceptual", 0.02, 0.0),
    "adversarial": _variant("adversarial", 0.0, 0.05),
    "both": _variant("both", 0.02, 0.05),
}
