"""The compact network: where to spend the arithmetic. Five variants, three minutes each on one core."""

from dataclasses import replace

from tratto_lab.simulate.degrade import Mix
from tratto_lab.training.config import Data, Optim, Run

NOISE = Mix(clean=0, gaussian=1, poisson=0, camera=0, jpeg=0, blur_noise=0, mixed=0, second_order=0)
BASE = Run(
    name="compact_base",
    network="restorer",
    steps=1_500,
    batch=4,
    data=Data(patch=96, mix=NOISE),
    optim=Optim(ema=0.995),
    check_every=1_500,
)


def _variant(name: str, **change: object) -> Run:
    return replace(BASE, name=f"compact_{name}", network_options=change)


VARIANTS = {
    "32/48/96/144": BASE,
    "fine level deeper": _variant("fine", encoder=(2, 1, 1), decoder=(2, 1, 1)),
    "coarse levels wider": _variant("coarse", widths=(32, 64, 128, 192), encoder=(1, 1, 1), decoder=(1, 1, 1)),
    "three levels": _variant("three", widths=(32, 64, 112), encoder=(1, 2), bottleneck=3, decoder=(1, 2)),
    "narrow": _variant("narrow", widths=(16, 32, 64, 128)),
}
