"""One face in the place of another without a network: the character's pixels, warped over the mesh."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import DescriberInfo, FaceMesh
from tratto.core.errors import UnavailableError
from tratto.faces.swap import warp
from tratto.providers.catalogue import Request

Picture = NDArray[np.float32]


def missing(request: Request) -> UnavailableError | None:
    """Return None: it needs nothing."""
    return None


def open(request: Request) -> Any:
    """Open it."""
    return Warp()


class Warp:
    """Piecewise-affine warp; see :class:`tratto.core.capability.FaceSwapper`."""

    #: The pixels are the character's.
    lays_pixels = True

    @property
    def info(self) -> DescriberInfo:
        """Facts about it: what it shows was never in the scene, so that it counts as inventing."""
        import cv2

        return DescriberInfo("warp", library=f"opencv {cv2.__version__}", generative=True)

    def swap(self, character: Picture, source: FaceMesh, scene: Picture, target: FaceMesh, stiffness: float) -> Picture:
        """Return the character's face as it would lie in the scene."""
        return warp(character, source.points, target.points, stiffness, (scene.shape[0], scene.shape[1]))
