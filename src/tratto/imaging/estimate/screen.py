"""Print screens: dots on a square lattice, which stand in the spectrum as two equal peaks at right angles.

The spectra of overlapping windows are averaged as logarithms, so that only what is in nearly all of them remains, and
each frequency is compared with the median of its ring. A screen stands out thousandfold and in two directions at once;
fabric, brick and roofs have one direction, or two of unlike periods. Measured on 65 crops of photographs, as they are
and at JPEG quality 60, none of which has two such peaks, and on the same screened at periods of 3 to 8 pixels, all of
which have. The geometry of screens: Ulichney, Digital Halftoning (1987).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError

__all__ = ["find_screen"]

_SIDE = 64
_FEWEST = 4
_LOWEST, _HIGHEST = 1 / 14, 0.5  # cycles per pixel
_ABOVE = 60.0  # times the median of its ring
_UNLIKE = 3.0  # factor by which the two peaks may differ
_PEAKS = 8
_MOST_WINDOWS = 400
_TOGETHER = 16  # windows whose spectra are taken at once: they stay in the cache
_FAINT = 1e-6  # variance below which a window shows nothing


def find_screen(gray: NDArray[np.float32] | Sequence[NDArray[np.float32]]) -> float | None:
    """Return the period of a print screen in pixels, or None where there is none.

    Parameters
    ----------
    gray : (H, W) float32 array, or a sequence of such crops of one picture
        Luma in [0, 1].

    Raises
    ------
    OptionError
        If a crop is not two-dimensional.

    Examples
    --------
    >>> y, x = np.mgrid[:256, :256]
    >>> dots = (np.cos(2 * np.pi * (x + y) / 6) + np.cos(2 * np.pi * (x - y) / 6) > 0).astype(np.float32)
    >>> round(find_screen(dots), 1)
    4.1
    """
    crops = [gray] if isinstance(gray, np.ndarray) else list(gray)
    if not crops or any(c.ndim != 2 for c in crops):
        raise OptionError("a print screen is looked for in one or more (H, W) planes of luma")
    mean = _common_spectrum(crops)
    if mean is None:
        return None
    fy, fx = np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None, :]
    radius = np.hypot(fy, fx)
    ring = np.rint(radius * _SIDE).astype(np.intp)
    above = np.zeros_like(mean)
    for k in range(int(ring.max()) + 1):
        inside = ring == k
        above[inside] = mean[inside] / np.median(mean[inside])
    peaks = _peaks(above, (radius > _LOWEST) & (radius < _HIGHEST) & ~_of_blocks(fy, fx))
    places = [(float(fy[i, 0]), float(fx[0, j]), float(above[i, j])) for i, j in peaks]
    for n, (ay, ax, a) in enumerate(places):
        for by, bx, b in places[n + 1 :]:
            ra, rb = math.hypot(ay, ax), math.hypot(by, bx)
            apart = abs(ay * by + ax * bx) / (ra * rb)
            # a peak lies between the bins of the spectrum, one of which is 1/64
            if min(a, b) >= _ABOVE and max(a, b) <= _UNLIKE * min(a, b) and abs(ra - rb) < 1.2 / _SIDE and apart < 0.15:
                return 2 / (ra + rb)
    return None


def _of_blocks(fy: NDArray[Any], fx: NDArray[Any]) -> NDArray[np.bool_]:
    """Where the blocks of a codec and the weave of enlargement stand: on an axis, or at the middle of both."""
    on_axis = (np.abs(fy) < 1.5 / _SIDE) | (np.abs(fx) < 1.5 / _SIDE)
    eighth = np.abs(np.hypot(fy, fx) * 8 - np.rint(np.hypot(fy, fx) * 8)) < 8 * 1.5 / _SIDE
    return np.asarray(on_axis & eighth, bool)


def _common_spectrum(crops: Sequence[NDArray[np.float32]]) -> NDArray[np.float64] | None:
    """Geometric mean of the windows' power spectra, each of sum one; None where hardly any window shows anything."""
    window = np.hanning(_SIDE)[:, None] * np.hanning(_SIDE)[None, :]
    places = [
        (k, y, x)
        for k, c in enumerate(crops)
        for y in range(0, c.shape[0] - _SIDE + 1, _SIDE // 2)
        for x in range(0, c.shape[1] - _SIDE + 1, _SIDE // 2)
    ]
    total = np.zeros((_SIDE, _SIDE // 2 + 1))
    n = 0
    chosen = places[:: max(1, math.ceil(len(places) / _MOST_WINDOWS))]
    for first in range(0, len(chosen), _TOGETHER):
        some = chosen[first : first + _TOGETHER]
        parts = np.stack([crops[k][y : y + _SIDE, x : x + _SIDE] for k, y, x in some])
        parts -= parts.mean(axis=(1, 2), keepdims=True)
        parts = parts[np.square(parts).mean(axis=(1, 2)) >= _FAINT]
        spectra = np.fft.rfft2(parts * window)
        power = np.square(spectra.real) + np.square(spectra.imag)
        total += np.log(power / power.sum(axis=(1, 2), keepdims=True) + 1e-9).sum(axis=0)
        n += len(parts)
    return np.exp(total / n) if n >= _FEWEST else None


def _peaks(above: NDArray[np.float64], where: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the strongest local maxima, one of each pair that the symmetry of the spectrum makes."""
    import cv2

    plane = above.astype(np.float32)
    largest = (cv2.dilate(plane, np.ones((3, 3), np.uint8)) == plane) & where
    found = [(int(i), int(j)) for i, j in np.argwhere(largest)]
    found.sort(key=lambda p: (-above[p], p))
    kept: list[tuple[int, int]] = []
    for i, j in found:
        if j == 0 and ((-i) % _SIDE, 0) in kept:
            continue
        kept.append((i, j))
    return kept[:_PEAKS]
