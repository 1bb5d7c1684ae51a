"""Structure: edges (Canny 1986) and straight line segments (von Gioi et al. 2010, LSD), by OpenCV."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import DescriberInfo, Structure, StructureDetector
from tratto.core.errors import OptionError, UnavailableError
from tratto.providers.catalogue import Request

Float = NDArray[np.float32]

#: Shortest segment, as a share of the longer side.
SHORTEST = 0.02


class CannyAndLines:
    """Canny's edges, whose thresholds follow the picture's own gradients, and LSD's segments.

    Parameters
    ----------
    smooth : float
        Blur before the edges are looked for, pixels.
    strong : float
        Share of pixels whose gradient may start an edge; it goes on at 0.4 times that gradient.
    """

    def __init__(self, smooth: float = 1.2, strong: float = 0.1) -> None:
        if not (0 <= smooth <= 20 and 0 < strong < 1):
            raise OptionError(f"smooth lies in 0-20 pixels and strong between 0 and 1, got {smooth} and {strong}")
        self.smooth, self.strong = smooth, strong

    @property
    def info(self) -> DescriberInfo:
        """Facts about this detector."""
        import cv2

        return DescriberInfo("canny", precision="uint8", library=f"opencv {cv2.__version__}")

    def find(self, picture: Float) -> Structure:
        """Find edges and lines; see :class:`tratto.core.capability.StructureDetector`."""
        import cv2

        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.float32:
            raise OptionError(f"structure needs a float32 (H, W, 3) picture, got {picture.dtype} {picture.shape}")
        gray = np.rint(np.clip(picture @ np.array([0.299, 0.587, 0.114], np.float32), 0, 1) * 255).astype(np.uint8)
        seen = cv2.GaussianBlur(gray, (0, 0), self.smooth) if self.smooth else gray
        dx = cv2.Sobel(seen, cv2.CV_16S, 1, 0)
        dy = cv2.Sobel(seen, cv2.CV_16S, 0, 1)
        size = np.hypot(dx.astype(np.float32), dy.astype(np.float32))
        # a flat picture has no edges: below this gradient (a step of two levels) it is rounding
        high = max(8.0, float(np.quantile(size, 1 - self.strong)))
        edges = cv2.Canny(dx, dy, 0.4 * high, high, L2gradient=True) > 0
        return Structure(np.asarray(edges, bool), _segments(gray))


def _segments(gray: NDArray[np.uint8]) -> Float:
    import cv2

    if min(gray.shape) < 8:
        return np.zeros((0, 4), np.float32)
    found = cv2.createLineSegmentDetector().detect(gray)[0]
    if found is None:
        return np.zeros((0, 4), np.float32)
    lines = np.asarray(found, np.float32).reshape(-1, 4)
    length = np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1])
    keep = length >= SHORTEST * max(gray.shape)
    order = np.argsort(-length[keep], kind="stable")
    return np.ascontiguousarray(lines[keep][order])


def missing(request: Request) -> UnavailableError | None:
    """Return None: OpenCV is part of the base install."""
    return None


def open(request: Request) -> StructureDetector:
    """Open the detector of edges and lines."""
    return CannyAndLines()


def drawn(structure: Structure) -> NDArray[np.uint8]:
    """Return edges (grey) and lines (white) as an 8-bit picture.

    Parameters
    ----------
    structure : Structure
        Drawn at its own size.

    Returns
    -------
    (H, W) uint8
        0 = nothing, 128 = an edge, 255 = a line.
    """
    import cv2

    out = np.where(structure.edges, np.uint8(128), np.uint8(0))
    for x0, y0, x1, y1 in np.rint(structure.lines).astype(int):
        cv2.line(out, (int(x0), int(y0)), (int(x1), int(y1)), 255, 1)
    return np.asarray(out, np.uint8)
