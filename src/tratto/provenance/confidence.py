"""From an expected error per pixel to the 16-bit confidence map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.core.result import CONFIDENCE_FULL
from tratto.imaging.scratch import release

_BAND = 1 << 18  # pixels per row band: bounds the working memory to a few megabytes


def confidence_map(sigma: NDArray[np.uint16] | None, weight: float, out: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Fill the confidence map: ``65535 * (1 - weight * error / CONFIDENCE_FULL)``, clipped to 0 .. 65535.

    The error counted is the one that the tool itself may have brought in. A pixel that was not edited (weight 0) is as
    sure as the source was and gets 65535; a blended pixel gets its share. Where something was edited but nobody
    estimated an error (``sigma`` is None), no confidence is claimed: the full error ``CONFIDENCE_FULL`` is assumed.

    Parameters
    ----------
    sigma : (H, W) uint16 or None
        Expected one-sigma error in units of full scale / 65535, as in :class:`tratto.core.Canvas`.
    weight : float
        How much of the model's answer went into each pixel; 0: nothing was edited.
    out : (H, W) uint16
        Filled in row bands; may be memory-mapped.

    Returns
    -------
    (H, W) uint16
        ``out``.

    Raises
    ------
    OptionError
        If the shapes disagree.
    """
    if out.ndim != 2 or out.dtype != np.uint16:
        raise OptionError(f"the confidence map must be a (H, W) uint16 array, got {out.dtype} {out.shape}")
    if sigma is not None and (sigma.shape != out.shape or sigma.dtype != np.uint16):
        raise OptionError(f"the error map must be uint16 {out.shape}, got {sigma.dtype} {sigma.shape}")
    height, width = out.shape
    step = max(1, _BAND // width)
    full = CONFIDENCE_FULL * 65535.0
    for y0 in range(0, height, step):
        y1 = min(height, y0 + step)
        error: NDArray[np.float32] | np.float32
        error = np.float32(full) if sigma is None else np.asarray(sigma[y0:y1], dtype=np.float32)
        value = 65535.0 * (1.0 - np.float32(weight) * error / np.float32(full))
        out[y0:y1] = np.clip(np.rint(value), 0.0, 65535.0).astype(np.uint16)
        release(out)
        release(sigma)
    return out


def sigma_from_confidence(confidence: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the one-sigma error that a confidence map states, full scale = 1.

    A value of 0 means *that much or more*.
    """
    return ((1.0 - confidence.astype(np.float32) / 65535.0) * CONFIDENCE_FULL).astype(np.float32)


@dataclass(frozen=True)
class SpreadModel:
    """Predicts the spread of a self-ensemble from two cheap local features.

    ``log spread = c0 + c1 log(|edit| + eps) + c2 log(local std + eps)``.

    Attributes
    ----------
    coefficients : (float, float, float)
        c0 (already containing the correction that makes the mean square come out right), c1, c2.
    low, high : float
        Range of the spreads it was fitted on (0.1 % and 99.9 % points); predictions are clipped to it.
    samples : int
        How many pixels it was fitted on.
    """

    coefficients: tuple[float, float, float]
    low: float
    high: float
    samples: int

    def predict(self, edit: NDArray[Any], local_std: NDArray[Any]) -> NDArray[np.float32]:
        """Return the expected spread for each pixel, in the unit of the fitted spreads."""
        c0, c1, c2 = self.coefficients
        log = c0 + c1 * _log(edit) + c2 * _log(local_std)
        return np.clip(np.exp(log), self.low, self.high).astype(np.float32)


_EPS = 1.0 / 4096.0  # a sixteenth of an 8-bit step: keeps the logarithm finite without bending real values


def spread_fit(spread: NDArray[Any], edit: NDArray[Any], local_std: NDArray[Any]) -> SpreadModel:
    """Fit a log-linear model of the spread measured on some tiles, to be used on the others.

    Parameters
    ----------
    spread : array
        Standard deviation over the self-ensemble, full scale = 1, all measured pixels together.
    edit : array
        ``|output - input|`` at the same pixels, full scale = 1.
    local_std : array
        Local standard deviation of the input there, as from :func:`local_std`.

    Returns
    -------
    SpreadModel
        Least squares in the logarithm with a slight ridge on the two slopes, then scaled so that the predicted mean
        square equals the measured one (a fit in the logarithm alone would state too small an error).

    Raises
    ------
    OptionError
        If there are fewer than 16 pixels or a value is not finite or negative.
    """
    s, e, t = (np.asarray(v, dtype=np.float64).ravel() for v in (spread, edit, local_std))
    if not s.size == e.size == t.size:
        raise OptionError(f"spread, edit and local_std must have one size, got {s.size}, {e.size} and {t.size}")
    if s.size < 16:
        raise OptionError(f"at least 16 measured pixels are needed to fit a spread, got {s.size}")
    for name, v in (("spread", s), ("edit", e), ("local_std", t)):
        if not np.isfinite(v).all() or v.min() < 0.0:
            raise OptionError(f"{name} must be finite and not negative")
    x = np.stack([_log(e), _log(t)], axis=1)
    mean = x.mean(axis=0)
    xc = x - mean
    yl = np.log(s + _EPS)
    ridge = 1e-4 * s.size  # negligible against real variation; decides only where a feature is constant
    slopes = np.linalg.solve(xc.T @ xc + ridge * np.eye(2), xc.T @ (yl - yl.mean()))
    c0 = float(yl.mean() - mean @ slopes)
    predicted = np.exp(c0 + x @ slopes)
    power = float(np.mean(predicted**2))
    c0 += 0.5 * float(np.log(max(float(np.mean(s**2)), 1e-12) / power))
    low, high = (float(v) for v in np.quantile(s, [0.001, 0.999]))
    return SpreadModel((c0, float(slopes[0]), float(slopes[1])), low, max(high, low), int(s.size))


def local_std(gray: NDArray[Any], radius: int = 2) -> NDArray[np.float32]:
    """Return the standard deviation in a (2 radius + 1)-wide square around each pixel, edges mirrored.

    Parameters
    ----------
    gray : (H, W) array
        Any real dtype; the result has its unit.
    radius : int
        0 < radius < min(H, W).

    Returns
    -------
    (H, W) float32
        In the unit of ``gray``, at least 0.
    """
    if gray.ndim != 2 or not 0 < radius < min(gray.shape):
        raise OptionError(f"expected a (H, W) array larger than the radius {radius}, got {gray.shape}")
    # the mean of the picture is taken off first, since the difference of squares below loses digits otherwise
    g = np.asarray(gray, dtype=np.float64)
    g = np.pad(g - g.mean(), radius, mode="reflect")
    n = float((2 * radius + 1) ** 2)
    mean = _box(g, radius) / n
    square = _box(g * g, radius) / n
    return np.sqrt(np.maximum(square - mean * mean, 0.0)).astype(np.float32)


def _box(a: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    side = 2 * radius + 1
    c = np.zeros((a.shape[0] + 1, a.shape[1] + 1))
    np.cumsum(np.cumsum(a, axis=0), axis=1, out=c[1:, 1:])
    return c[side:, side:] - c[:-side, side:] - c[side:, :-side] + c[:-side, :-side]


def _log(v: NDArray[Any]) -> NDArray[np.float64]:
    return np.log(np.asarray(v, dtype=np.float64) + _EPS)
