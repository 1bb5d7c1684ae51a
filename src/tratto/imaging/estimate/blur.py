"""Blur of a picture from how its strongest edges react to being blurred once more.

A step edge blurred by a Gaussian of standard deviation s and seen through a derivative of Gaussian of standard
deviation t has a peak gradient proportional to 1 / sqrt(s**2 + t**2). The ratio of the peaks for two values of t gives
s without knowing the height of the edge. After Zhuo and Sim, Pattern Recognition 44 (2011) 1852.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.core.inspection import Estimate

__all__ = ["estimate_blur"]

_MARGIN = 8
_MIN_EDGES = 30
_STRONG = 0.5  # quantile of the edge strengths above which an edge is used
_WEAKEST = 0.008  # gradient per pixel below which nothing counts as an edge
_WIDTH = 0.5  # quantile of the edge widths that stands for the picture
_WIDE = 1.6  # above this width the coarser pair of scales is more accurate, in noise most of all
_LARGEST = 8.0


def estimate_blur(
    gray: NDArray[np.float32] | Sequence[NDArray[np.float32]], noise_sigma: float | None = None
) -> Estimate:
    """Estimate the standard deviation of the Gaussian that would blur an ideal step edge as much as this picture does.

    Sharp photographs give 0.3 to 0.8 pixels. It measures the middle of the strong edges. Pictures without
    edges are not measurable; motion blur and lens blur are expressed as the Gaussian of equal edge width.

    Parameters
    ----------
    gray : (H, W) float32 array, or a sequence of such crops of one picture
        Luma in [0, 1].
    noise_sigma : float or None
        Known noise in 1/255, so that it is not mistaken for edges.

    Returns
    -------
    Estimate
        In pixels, 0 to 8.

    Raises
    ------
    OptionError
        If a crop is not two-dimensional.

    Examples
    --------
    >>> step = np.zeros((96, 96), np.float32)
    >>> step[:, 48:] = 1
    >>> import cv2
    >>> round(estimate_blur(cv2.GaussianBlur(step, (0, 0), 2)).value)
    2
    """
    crops = [gray] if isinstance(gray, np.ndarray) else list(gray)
    if not crops or any(c.ndim != 2 for c in crops):
        raise OptionError("blur needs one or more (H, W) planes of luma")
    gradients = [_Gradients(c) for c in crops]
    width, n = _width(gradients, 1.0, noise_sigma or 0.0)
    if width is None:
        return Estimate(None, "not measurable", "too small or too few clear edges")
    if width > _WIDE or (noise_sigma or 0.0) > 5.0:
        wider, m = _width(gradients, 2.0, noise_sigma or 0.0)
        if wider is not None and wider > _WIDE:
            width, n = wider, m
    return Estimate(width, "estimated", f"reaction of {n} edge pixels to a second blur")


def _width(crops: Sequence[_Gradients], fine: float, noise: float) -> tuple[float | None, int]:
    """Edge width from gradients at the scales ``fine`` and twice that, and the number of edge pixels behind it."""
    coarse = 2.0 * fine
    found = [_edges(c, fine) for c in crops if min(c.plane.shape) > 2 * _MARGIN * fine + 3]
    if not found:
        return None, 0
    at_fine = np.concatenate([f for f, _ in found])
    at_coarse = np.concatenate([c for _, c in found])
    # Noise of standard deviation n leaves n / (sqrt(8 pi) t**2) in each component of the gradient.
    least = max(_WEAKEST / fine, 6.0 * noise / 255.0 / (math.sqrt(8 * math.pi) * coarse**2))
    strong = at_coarse >= least
    if np.count_nonzero(strong) < _MIN_EDGES:
        return None, 0
    strong = at_coarse >= float(np.quantile(at_coarse[strong], _STRONG))
    r2 = np.square(at_fine[strong] / at_coarse[strong])
    # A ratio of 1 or less would be an infinitely wide edge, one of (coarse / fine)**2 or more an ideal one.
    s2 = (coarse**2 - r2 * fine**2) / np.maximum(r2 - 1.0, 1e-3)
    return math.sqrt(min(max(float(np.quantile(s2, _WIDTH)), 0.0), _LARGEST**2)), int(np.count_nonzero(strong))


class _Gradients:
    """A crop, and its gradients at the scales that were asked for: the coarse one of a pair is the next one's fine."""

    def __init__(self, plane: NDArray[np.float32]) -> None:
        self.plane = plane
        self._known: dict[float, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def at(self, sigma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the gradient along rows and along columns."""
        if sigma not in self._known:
            self._known[sigma] = _gradient(self.plane, sigma)
        return self._known[sigma]


def _gradient(plane: NDArray[np.float32], sigma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    import cv2

    t = np.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1, dtype=np.float64)
    g = np.exp(-0.5 * (t / sigma) ** 2)
    g /= g.sum()
    d = t * g
    d /= float((t * d).sum())
    gx = cv2.sepFilter2D(plane, cv2.CV_32F, d, g, borderType=cv2.BORDER_REFLECT)
    gy = cv2.sepFilter2D(plane, cv2.CV_32F, g, d, borderType=cv2.BORDER_REFLECT)
    return np.asarray(gx, np.float32), np.asarray(gy, np.float32)


def _edges(crop: _Gradients, scale: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Gradient magnitudes at a scale and twice that where the coarse one peaks across an edge."""
    import cv2

    fx, fy = crop.at(scale)
    cx, cy = crop.at(2 * scale)
    coarse = np.asarray(cv2.magnitude(cx, cy), np.float32)
    m = int(_MARGIN * scale)
    inner = (slice(m, -m), slice(m, -m))
    # only where there is anything like an edge is it asked for more
    at = np.flatnonzero(coarse[inner] >= _WEAKEST / scale)
    width = coarse.shape[1] - 2 * m
    at = (at // width + m) * coarse.shape[1] + at % width + m
    flat, c = coarse.ravel(), coarse.ravel()[at]
    across = np.where(np.abs(cx.ravel()[at]) >= np.abs(cy.ravel()[at]), 1, coarse.shape[1])

    def beside(d: int) -> NDArray[np.float32]:
        return np.asarray(np.maximum(flat[at - d * across], flat[at + d * across]), np.float32)

    # Alone: at some distance, where another edge would spoil the peak, less must be left.
    peak = (c >= beside(1)) & (beside(int(5 * scale)) < np.float32(0.8) * c)
    at = at[peak]
    return np.hypot(fx.ravel()[at], fy.ravel()[at]), c[peak]
