"""Where the object is in a photograph: U2-Net-p, or GrabCut of OpenCV where that is not there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tratto.backends.open import open_backend
from tratto.core.capability import BackgroundRemover, DescriberInfo
from tratto.core.errors import UnavailableError
from tratto.providers.catalogue import Request
from tratto.providers.described import NetworkDescriber
from tratto.providers.restorer.network import missing_network

Array = NDArray[np.float32]
CARD = "u2netp"
#: Mean and deviation of the photographs that the network was shown (ImageNet).
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
#: Longer side of the picture that GrabCut looks at, and how much of each side is its first guess at a background.
CUT_SIDE, RIM = 320, 0.06


def missing(request: Request) -> UnavailableError | None:
    """Return why a provider cannot be used here, or None."""
    return missing_network(request, CARD) if request.variant == "u2netp" else None


def open(request: Request) -> BackgroundRemover:
    """Open a provider."""
    if request.variant == "grabcut":
        return GrabCut()
    card = request.card(CARD)
    return Salient(card, open_backend(card, request.device, runtime="onnx"))


class Salient(NetworkDescriber):
    """Asks the network what stands out; see :class:`tratto.core.capability.BackgroundRemover`."""

    provider = "u2netp"

    def cover(self, picture: Array) -> Array:
        """Return the probability that a pixel shows the object."""
        import cv2

        side = self._card.tile
        small = np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.float32)
        # as its authors have it: the brightest sample is 1
        shown = (small / max(float(small.max()), 1e-6) - MEAN) / DEVIATION
        out = self._backend.run({self._card.input: np.ascontiguousarray(shown.transpose(2, 0, 1)[None])})
        seen = np.asarray(out[self._card.output], np.float32).reshape(side, side)
        size = (picture.shape[1], picture.shape[0])
        cover: Array = np.clip(cv2.resize(seen, size, interpolation=cv2.INTER_LINEAR), 0, 1)
        return cover


class GrabCut:
    """Rother et al. 2004, "GrabCut", from a frame around the picture; for an object in the middle of a calm ground."""

    def __init__(self) -> None:
        import cv2

        #: Facts about it.
        self.info = DescriberInfo("grabcut", precision="uint8", library=f"opencv {cv2.__version__}")

    def cover(self, picture: Array) -> Array:
        """Return 1 where a pixel shows the object, and 0 elsewhere."""
        import cv2

        height, width = picture.shape[:2]
        scale = min(1.0, CUT_SIDE / max(height, width))
        size = (max(8, round(width * scale)), max(8, round(height * scale)))
        small = np.rint(255 * np.clip(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), 0, 1)).astype(np.uint8)
        x, y = (max(1, round(RIM * s)) for s in size)
        mask = np.zeros(size[::-1], np.uint8)
        cv2.setRNGSeed(0)
        models = (np.zeros((1, 65)), np.zeros((1, 65)))
        cv2.grabCut(small, mask, (x, y, size[0] - 2 * x, size[1] - 2 * y), *models, 5, cv2.GC_INIT_WITH_RECT)
        inside = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
        out: Array = np.clip(cv2.resize(inside, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
        return out
