"""Measures of how honest a stated error is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError

#: Share of a normal distribution within one standard deviation.
ONE_SIGMA = 0.6826894921370859


def coverage(sigma: NDArray[Any], error: NDArray[Any]) -> float:
    """Return the share of errors whose size is at most the stated one sigma; 0.6827 for normal, honest errors.

    Parameters
    ----------
    sigma, error : arrays of one shape and one unit
        ``error`` may be signed.
    """
    s, e = _pair(sigma, error)
    return float(np.mean(np.abs(e) <= s))


def calibration_factor(sigma: NDArray[Any], error: NDArray[Any], target: float = ONE_SIGMA) -> float:
    """Return the factor by which ``sigma`` must be multiplied so that :func:`coverage` becomes ``target``.

    The ``target`` quantile of ``|error| / sigma`` (split conformal calibration with a scaled residual; Lei et al.,
    "Distribution-free predictive inference for regression", 2018). Pixels with sigma 0 and error 0 count as covered.
    """
    s, e = _pair(sigma, error)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(e) / s
    ratio[np.isnan(ratio)] = 0.0
    k = min(ratio.size - 1, max(0, int(np.ceil(target * ratio.size)) - 1))
    factor = float(np.partition(ratio, k)[k])
    if not np.isfinite(factor):
        raise OptionError("more errors than the target allows fall where the stated sigma is zero; no factor can help")
    return factor


def rank_correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return Spearman's rank correlation, ties given their mean rank.

    Returns
    -------
    float
        In [-1, 1]; 0 if one of the two is constant.
    """
    x, y = _pair(a, b)
    rx, ry = _ranks(x), _ranks(y)
    rx -= rx.mean()
    ry -= ry.mean()
    norm = float(np.sqrt(np.dot(rx, rx) * np.dot(ry, ry)))
    return float(np.dot(rx, ry)) / norm if norm > 0.0 else 0.0


def _pair(a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(a, dtype=np.float64).ravel(), np.asarray(b, dtype=np.float64).ravel()
    if x.size != y.size or x.size == 0:
        raise OptionError(f"expected two arrays of one size with at least one value, got {x.size} and {y.size}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise OptionError("expected finite values only")
    return x, y


def _ranks(v: NDArray[np.float64]) -> NDArray[np.float64]:
    order = np.argsort(v, kind="stable")
    ordered = v[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    group = np.cumsum(first) - 1
    start = np.flatnonzero(first)
    end = np.concatenate([start[1:], [v.size]])
    ranks = np.empty(v.size)
    ranks[order] = (0.5 * (start + end - 1))[group]
    return ranks
