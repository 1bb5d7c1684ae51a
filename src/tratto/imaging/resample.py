"""Enlarge by an integer factor with a stated kernel, band by band."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.core.image import Image, Kernel, Samples

KERNELS: tuple[Kernel, ...] = ("nearest", "bilinear", "bicubic", "lanczos")


def _kernel(x: NDArray[np.float64], kernel: str) -> NDArray[np.float64]:
    ax = np.abs(x)
    if kernel == "bilinear":
        return np.maximum(0.0, 1.0 - ax)
    if kernel == "bicubic":  # Keys 1981, a = -1/2
        a = -0.5
        near = ((a + 2) * ax - (a + 3)) * ax**2 + 1
        far = ((ax - 5) * ax + 8) * a * ax - 4 * a
        return np.where(ax <= 1, near, np.where(ax < 2, far, 0.0))
    if kernel == "lanczos":  # Duchon 1979, three lobes
        return np.where(ax < 3, np.sinc(x) * np.sinc(x / 3), 0.0)
    raise OptionError(f"unknown kernel {kernel!r}; choose one of {', '.join(KERNELS)}")


def _taps(scale: int, kernel: str) -> list[tuple[int, NDArray[np.float32]]]:
    """Return, per phase, the offset of the first tap and the weights (sum 1)."""
    if kernel == "nearest":
        return [(0, np.ones(1, np.float32)) for _ in range(scale)]
    radius = {"bilinear": 1, "bicubic": 2, "lanczos": 3}.get(kernel)
    if radius is None:
        raise OptionError(f"unknown kernel {kernel!r}; choose one of {', '.join(KERNELS)}")
    out = []
    for p in range(scale):
        d = (p + 0.5) / scale - 0.5
        first = int(np.floor(d)) - radius + 1
        w = _kernel(np.asarray(d - (first + np.arange(2 * radius)), np.float64), kernel)
        out.append((first, (w / w.sum()).astype(np.float32)))
    return out


def enlarge_rows(samples: Samples, y0: int, y1: int, scale: int, kernel: Kernel = "bicubic") -> NDArray[np.float32]:
    """Return rows ``y0 .. y1`` of the enlarged samples.

    Parameters
    ----------
    samples : (H, W) or (H, W, C) array
        Integers or floats in any unit.
    y0, y1 : int
        Output rows, half-open, within ``0 .. H * scale``.
    scale : int
        Enlargement factor, at least 1. Pixel centres are aligned (no shift); edges are replicated.
    kernel : str
        ``nearest``, ``bilinear``, ``bicubic`` (Keys 1981, a = -1/2) or ``lanczos`` (three lobes).

    Returns
    -------
    (y1 - y0, W * scale[, C]) float32 array in the units of ``samples``, not clipped.
        In the units of ``samples``, not clipped.
    """
    h, w = samples.shape[:2]
    if scale == 1:
        return np.asarray(samples[y0:y1], np.float32)
    taps = _taps(scale, kernel)
    mid = np.zeros((y1 - y0, w, *samples.shape[2:]), np.float32)
    for p, (first, weights) in enumerate(taps):
        at = np.arange(y0, y1)
        rows = np.nonzero(at % scale == p)[0]
        if not rows.size:
            continue
        centre = at[rows] // scale
        for k, wk in enumerate(weights):
            mid[rows] += wk * samples[np.clip(centre + first + k, 0, h - 1)].astype(np.float32)
    out = np.zeros((y1 - y0, w * scale, *samples.shape[2:]), np.float32)
    x = np.arange(w)
    for p, (first, weights) in enumerate(taps):
        acc = np.zeros_like(mid)
        for k, wk in enumerate(weights):
            acc += wk * mid[:, np.clip(x + first + k, 0, w - 1)]
        out[:, p::scale] = acc
    return out


def shrink(picture: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    """Shrink by a whole factor with Keys' cubic widened by it, so that nothing aliases; edges are replicated.

    Parameters
    ----------
    picture : (H, W, C) float32 array
        Sides are multiples of ``scale``.
    scale : int
        At least 2.

    Returns
    -------
    (H / scale, W / scale, C) float32 array
        Not clipped.

    Raises
    ------
    OptionError
        If the sides are not multiples of the factor.

    Examples
    --------
    >>> shrink(np.full((4, 6, 1), 0.5, np.float32), 2)[..., 0].tolist()
    [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]
    """
    if scale < 2 or picture.ndim != 3 or picture.shape[0] % scale or picture.shape[1] % scale:
        raise OptionError(f"shrinking by {scale} takes (H, W, C) pictures of such sides, got {picture.shape}")
    taps = np.arange(4 * scale)
    # the centre of an output pixel lies between two samples where the factor is even, and on one where it is odd
    weights = _kernel((taps + (0.0 if scale % 2 else 0.5)) / scale - 2, "bicubic")
    weights = (weights / weights.sum()).astype(np.float32)
    before = 2 * scale - scale // 2
    for axis in (0, 1):
        pads = [(before, 2 * scale)] * (axis == 0) + [(0, 0)] * axis + [(before, 2 * scale)] * (axis == 1)
        wide = np.pad(picture, [*pads, *[(0, 0)] * (3 - len(pads))], mode="edge")
        count = picture.shape[axis]
        out = np.zeros([n // scale if k == axis else n for k, n in enumerate(picture.shape)], np.float32)
        for tap, weight in zip(taps, weights, strict=True):
            rows = slice(int(tap), int(tap) + count, scale)
            out += weight * (wide[rows] if axis == 0 else wide[:, rows])
        picture = out
    return picture


def enlarge_into(samples: Samples, out: Samples, scale: int, kernel: Kernel, max_value: int, band: int = 256) -> None:
    """Fill ``out`` (H * scale, W * scale[, C]) with the enlarged, rounded and clipped samples, in bands."""
    for y in range(0, out.shape[0], band):
        y1 = min(out.shape[0], y + band)
        rows = enlarge_rows(samples, y, y1, scale, kernel)
        out[y:y1] = np.clip(np.rint(rows), 0, max_value).astype(out.dtype)


def band_rows(image: Image, target_bytes: int = 24 * 1024 * 1024) -> int:
    """Return how many rows make a band of about ``target_bytes`` as float32 RGB."""
    return max(16, target_bytes // max(1, image.width * 12))
