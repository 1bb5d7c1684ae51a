"""Whether a picture was enlarged: interpolated pixels obey a linear rule that depends on their phase.

After enlarging by an integer factor every pixel is a fixed linear combination of fewer source pixels, with weights that
repeat with the factor. A linear predictor fitted to each phase by itself then predicts far better than one predictor
fitted to all pixels; in a picture straight from a camera nothing is gained. Periodicity of interpolated pictures:
Gallagher, Canadian Conference on Computer and Robot Vision (2005) 65; Popescu and Farid, IEEE Transactions on Signal
Processing 53 (2005) 758; Mahdian and Saic, IEEE Transactions on Information Forensics and Security 3 (2008) 529.
Block codecs are periodic too (8, and 4 for WebP), which divides into 2 and 4: their gain grows with the period,
that of enlargement is complete at its factor, and enlarged pictures are much better predicted as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.core.inspection import Estimate

__all__ = ["estimate_upscale"]

_LCM = 840  # divisible by 2 to 8
_PHASES = 24  # of which 2, 3, 4 and 8 are divisors
_REACH = 3
_LEAST_CONTRAST = 4.0 / 255.0  # below this rounding to integers hides everything
_SHARE = 0.3  # share of the samples, those of highest contrast, that are used
_MIN_SAMPLES = 500
_MAX_PIXELS = 1_000_000
_MIN_SIDE = 32
_BAND = 240  # rows; a multiple of 24


@dataclass(frozen=True)
class _Gains:
    """Logarithmic gain of per-phase prediction for each period, and the relative residual of common prediction."""

    by_period: dict[int, float]
    residual: float


def estimate_upscale(gray: NDArray[np.float32] | Sequence[NDArray[np.float32]]) -> Estimate:
    """Tell by which integer factor (1 to 4; by pixel repetition up to 8) a picture appears to have been enlarged.

    Bilinear, bicubic and Lanczos interpolation and pixel repetition are recognised as long as neither strong noise nor
    strong compression came after. Factors between the integers are not looked for.

    Parameters
    ----------
    gray : (H, W) float32 array, or a sequence of such crops of one picture
        Luma in [0, 1]. Crops must start at rows and columns of the picture that are multiples of 24.

    Returns
    -------
    Estimate
        1 for a picture that shows no sign of enlargement; ``not measurable`` for one without detail.

    Raises
    ------
    OptionError
        If a crop is not two-dimensional.

    Examples
    --------
    >>> small = np.random.default_rng(0).random((64, 64), np.float32)
    >>> estimate_upscale(np.kron(small, np.ones((3, 3), np.float32))).value
    3.0
    """
    import cv2

    crops = [gray] if isinstance(gray, np.ndarray) else list(gray)
    if not crops or any(c.ndim != 2 for c in crops):
        raise OptionError("enlargement needs one or more (H, W) planes of luma")
    crops = [c for c in crops if min(c.shape) >= _MIN_SIDE]
    if not crops:
        return Estimate(None, "not measurable", "too small to look for enlargement")
    repeated = _repetition(crops)
    if repeated > 1:
        return Estimate(float(repeated), "estimated", "pixels are repeated")
    step = math.ceil(sum(c.size for c in crops) / _MAX_PIXELS)
    if step > 1:
        bands = [c[y : y + _BAND] for c in crops for y in range(0, c.shape[0], _BAND)]
        crops = [c for c in bands[::step] if min(c.shape) >= _MIN_SIDE] or crops[:1]
    axes = [g for g in (_gains(crops), _gains([cv2.transpose(c) for c in crops])) if g is not None]
    if not axes:
        return Estimate(None, "not measurable", "too little detail to look for enlargement")
    g = {p: min(a.by_period[p] for a in axes) for p in (2, 3, 4, 8)}
    residual = sum(a.residual for a in axes) / len(axes)
    factor = _decide(g, residual)
    if factor == 1:
        return Estimate(1.0, "estimated", "neighbouring pixels follow no rule that repeats with a factor of 2, 3 or 4")
    gain = 100 * (1 - math.exp(-g[factor]))
    note = f"pixels repeat a linear rule with period {factor}: it lowers their prediction error by {gain:.0f} %"
    return Estimate(float(factor), "estimated", note)


def _decide(g: dict[int, float], residual: float) -> int:
    """Rules set on photographs, enlarged and not, clean, noisy, JPEG and WebP; see benchmarks/inspect_accuracy.py."""
    if g[3] > 0.02 and g[3] > g[2]:
        return 3
    # Share of the gain of period 8 that is there at the shorter period: near 1 when enlarged, lower for block codecs.
    of_two = g[2] / max(g[8], 1e-9)
    of_four = g[4] / max(g[8], 1e-9)
    if g[4] > 0.018 and of_four > 0.8 and g[2] < 0.8 * g[4] and residual < 0.0037:
        return 4
    if g[2] > 0.02:
        if of_two > 0.9:
            limit = 0.012 if g[2] > 0.05 else 0.004
        else:
            limit = 0.0075 if of_two > 0.25 and g[2] > 0.05 else 0.003
        if residual < limit:
            return 2
    return 1


def _gains(crops: Sequence[NDArray[np.float32]]) -> _Gains | None:
    """Fit predictors along the rows of all crops."""
    moments = np.zeros((_PHASES, 2 * _REACH + 1, 2 * _REACH + 1))
    contrasts = [_contrast(c) for c in crops]
    sample = np.concatenate([c[0].ravel()[:: max(1, c[0].size // 50_000)] for c in contrasts])
    threshold = max(_LEAST_CONTRAST, float(np.quantile(sample, 1 - _SHARE)))
    used = 0
    for crop, (contrast, inside) in zip(crops, contrasts, strict=True):
        rows, cols = divmod(np.flatnonzero((contrast >= threshold) & inside).astype(np.int32), contrast.shape[1])
        used += len(rows)
        if not len(rows):
            continue
        phase = (cols % _PHASES).astype(np.uint8)
        order = np.argsort(phase, kind="stable")
        rows, cols = rows[order], cols[order]
        ends = np.concatenate([[0], np.cumsum(np.bincount(phase, minlength=_PHASES))])
        at, flat = rows * crop.shape[1] + cols, np.ascontiguousarray(crop).ravel()
        x = np.stack([flat[at + k] for k in range(2 * _REACH + 1)]).astype(np.float64)  # (7, samples)
        around = (x.sum(axis=0) - x[_REACH]) / (2 * _REACH)
        x -= around
        x /= contrast[rows, cols]
        for j in range(_PHASES):
            part = x[:, ends[j] : ends[j + 1]]
            moments[j] += part @ part.T
    if used < _MIN_SAMPLES:
        return None
    common = _residual(moments.sum(axis=0))
    floor = 1e-8 * used
    by_period = {
        p: math.log(max(common, floor) / max(sum(_residual(moments[k::p].sum(axis=0)) for k in range(p)), floor))
        for p in (2, 3, 4, 8)
    }
    return _Gains({p: max(v, 0.0) for p, v in by_period.items()}, common / used)


def _contrast(crop: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return highest less lowest of seven neighbours in a row, and whether none of them is clipped."""
    import cv2

    row = np.ones((1, 2 * _REACH + 1), np.uint8)
    inner = slice(_REACH, crop.shape[1] - _REACH)
    high, low = (np.asarray(f(crop, row), np.float32)[:, inner] for f in (cv2.dilate, cv2.erode))
    return high - low, (low > 0.5 / 255) & (high < 254.5 / 255)


def _residual(moment: NDArray[np.float64]) -> float:
    """Least sum of squares when the middle variable is predicted linearly from the others."""
    others = [k for k in range(2 * _REACH + 1) if k != _REACH]
    m = moment[np.ix_(others, others)]
    b = moment[others, _REACH]
    w = np.linalg.solve(m + (1e-7 * np.trace(m) + 1e-9) * np.eye(len(others)), b)
    return max(float(moment[_REACH, _REACH] - 2 * w @ b + w @ m @ w), 0.0)


def _repetition(crops: Sequence[NDArray[np.float32]]) -> int:
    """Largest factor up to 8 by which pixels are repeated along both axes; 1 when they are not."""
    found = 1
    rates = []
    for axis in (0, 1):
        total = np.zeros(_LCM)
        unequal = np.zeros(_LCM)
        for c in crops:
            differ = c[:, 1:] != c[:, :-1] if axis == 1 else c[1:] != c[:-1]
            index = np.arange(differ.shape[axis]) % _LCM
            np.add.at(unequal, index, np.count_nonzero(differ, axis=1 - axis))
            np.add.at(total, index, differ.shape[1 - axis])
        rates.append((unequal, total))
    for factor in range(2, 9):
        phase = np.arange(_LCM) % factor
        fits = True
        for unequal, total in rates:
            rate = np.sort([unequal[phase == j].sum() / max(total[phase == j].sum(), 1) for j in range(factor)])
            fits = fits and bool(rate[-1] > 0.003 and rate[-2] < 0.02 * rate[-1])
        if fits:
            found = factor
    return found
