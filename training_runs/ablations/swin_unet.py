"""Swin-UNet: window, skip, residual scale, position bias, depth. Eight variants, a minute each on one core."""

from dataclasses import replace

from tratto_lab.simulate.degrade import Mix
from tratto_lab.training.config import Data, Optim, Run

NOISE = Mix(clean=0, gaussian=1, poisson=0, camera=0, jpeg=0, blur_noise=0, mixed=0, second_order=0)
SHAPE = {"widths": (32, 64, 96), "encoder": (1, 1), "bottleneck": 2, "decoder": (1, 1), "window": 8}
BASE = Run(
    name="swin_base",
    network="swin_unet",
    network_options=SHAPE,
    steps=400,
    batch=2,
    data=Data(patch=128, mix=NOISE),  # a multiple of every window at every level
    optim=Optim(lr=1e-3, warmup=50, ema=0.99),
    check_every=400,
)


def _variant(name: str, **change: object) -> Run:
    return replace(BASE, name=f"swin_{name}", network_options={**SHAPE, **change})


VARIANTS = {
    "base": BASE,
    "window 4": _variant("window4", window=4),
    "window 16": _variant("window16", window=16),
    "skip concat": _variant("concat", skip="concat"),
    "residual x 0.2": _variant("residual", residual_scale=0.2),
    "no position bias": _variant("nobias", relative_bias=False),
    "bottleneck 4": _variant("deep", bottleneck=4),
    "thin token layers": _variant("mlp", mlp_ratio=2.0),
}
