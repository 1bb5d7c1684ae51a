"""SPAN (Wan et al. 2024, Apache-2.0): enlarging by 2 and 4, trained for fidelity, without a GAN.

``span-sharp`` is the same network at x4, trained on here for likeness to the eye and against a critic: sharper, farther
from what was there, and inventing.

It was trained on photographs. On hard edges of full contrast one pixel apart (text without smoothing, dither, halftone,
strong noise) its features grow without bound and nonsense comes out, bright dots in all colours. That is easily seen:
what is enlarged must be the picture again when it is shrunk. On photographs the difference is at most some
5 % of full scale, where the network fails it is half of it. So every tile is checked, and where the check fails our own
enlarger stands in, which is less sharp and steady.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tratto.backends.open import open_backend
from tratto.core.capability import RestoredTile, Restorer
from tratto.core.errors import UnavailableError
from tratto.imaging.resample import enlarge_rows, shrink
from tratto.providers.catalogue import Request
from tratto.providers.restorer.network import NetworkRestorer, missing_network
from tratto.providers.restorer.tratto import card_id as own_card_id
from tratto.providers.restorer.tratto import open_card

#: Difference to the picture, of full scale, from which the stand-in is mixed in, and from which it stands alone. On
#: five photographs that nothing was trained on, at four sizes, as they are and shrunk, the largest is 10/255 at x2 and
#: 13/255 at x4; on text without smoothing the median is above 80/255.
TROUBLE = (15 / 255, 30 / 255)
#: Input pixels around a place that fails which are taken for failed, too, and over which the two are blended.
_SPREAD = 2


def card_id(scale: int, provider: str = "span") -> str:
    """Return the id of the card for a scale and a provider, ``"span"`` or ``"span-sharp"``."""
    return f"{provider}-x{scale}"


def missing(request: Request) -> UnavailableError | None:
    """Return why this provider cannot be used here, or None."""
    own = card_id(request.scale, request.provider)
    return missing_network(request, own) or missing_network(request, own_card_id(request.scale))


def open(request: Request) -> Restorer:
    """Open the network of this scale, and the one that stands in."""
    card = request.card(card_id(request.scale, request.provider))
    network = NetworkRestorer(request.provider, card, open_backend(card, request.device), request.params)
    return CheckedRestorer(network, open_card(request.card(own_card_id(request.scale)), device=request.device))


def trouble(tile: NDArray[np.float32], enlarged: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    """Say where an enlarged picture is not the picture any more.

    Parameters
    ----------
    tile : (h, w, 3) float32 array
        Encoded sRGB; values beyond [0, 1] are clipped.
    enlarged : (h * scale, w * scale, 3) float32 array
        What a network made of it.
    scale : int
        How many times as large ``enlarged`` is.

    Returns
    -------
    (h, w) float32 array
        0: trust it; 1: do not.
    """
    apart: NDArray[np.float32] = np.abs(shrink(np.clip(enlarged, 0, 1), scale) - np.clip(tile, 0, 1)).max(2)
    share: NDArray[np.float32] = np.clip((apart - TROUBLE[0]) / (TROUBLE[1] - TROUBLE[0]), 0, 1).astype(np.float32)
    if not share.any():
        return share
    spread: NDArray[np.float32] = _over(_over(share, np.maximum), np.add) / np.float32((2 * _SPREAD + 1) ** 2)
    return spread


def _over(plane: NDArray[np.float32], join: np.ufunc) -> NDArray[np.float32]:
    """Join each value with those around it."""
    for axis in (0, 1):
        wide = np.pad(plane, [(_SPREAD, _SPREAD) if k == axis else (0, 0) for k in (0, 1)], mode="edge")
        parts = [np.take(wide, range(k, k + plane.shape[axis]), axis) for k in range(2 * _SPREAD + 1)]
        plane = parts[0]
        for part in parts[1:]:
            plane = join(plane, part)
    return plane


class CheckedRestorer:
    """A network whose result is checked, and another that stands in where it fails.

    Parameters
    ----------
    network, stand_in : NetworkRestorer
        Of one scale.
    """

    def __init__(self, network: NetworkRestorer, stand_in: NetworkRestorer) -> None:
        self._network, self._stand_in = network, stand_in
        #: Facts about this restorer.
        self.info = replace(network.info, models=(*network.info.models, *stand_in.info.models))

    def restore(self, tile: NDArray[np.float32], noise_sigma: float | None = None) -> RestoredTile:
        """Enlarge one tile; see :class:`~tratto.core.capability.Restorer`."""
        done, scale = self._network.restore(tile), self.info.scale
        share = trouble(tile, done.image, scale)
        if not share.any():
            return done
        other = self._stand_in.restore(tile)
        rows = tile.shape[0] * scale
        mix = np.clip(enlarge_rows(share, 0, rows, scale, "bilinear"), 0, 1)  # type: ignore[arg-type]
        image = np.clip(done.image, 0, 1)
        apart = np.square(other.image - image).mean(2)
        image += mix[..., None] * (other.image - image)
        if done.sigma is None or other.sigma is None:
            return RestoredTile(image)
        # of a mixture of two guesses: their own errors, and how far they lie apart
        square = (1 - mix) * done.sigma**2 + mix * other.sigma**2 + mix * (1 - mix) * apart
        return RestoredTile(image, np.sqrt(square))
