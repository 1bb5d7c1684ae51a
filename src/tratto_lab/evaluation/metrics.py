"""Fidelity metrics after the published super-resolution and denoising protocols.

All functions compute in float64 whatever comes in: a difference of one part in 10**7 is visible at 60 dB.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tratto.core.errors import OptionError

__all__ = ["psnr", "rgb_to_y", "ssim"]

_SSIM_RADIUS = 5  # an 11 x 11 window
_SSIM_SIGMA = 1.5
_SSIM_K1 = 0.01
_SSIM_K2 = 0.03


def _pair(
    a: ArrayLike, b: ArrayLike, data_range: float, border: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = np.asarray(a, dtype=np.float64)
    y = np.asarray(b, dtype=np.float64)
    if x.shape != y.shape:
        raise OptionError(f"both pictures must have the same shape, got {x.shape} and {y.shape}; crop or resize one")
    if x.ndim not in (2, 3):
        raise OptionError(f"a picture must be (H, W) or (H, W, C), got {x.shape}")
    if not (math.isfinite(data_range) and data_range > 0):
        raise OptionError(f"data_range must be a positive number, got {data_range}")
    if border < 0:
        raise OptionError(f"border must be zero or more pixels, got {border}")
    if border:
        x = x[border:-border, border:-border]
        y = y[border:-border, border:-border]
    if x.size == 0:
        raise OptionError(f"nothing is left of a picture of shape {np.shape(a)} after a border of {border} pixels")
    return x, y


def psnr(a: ArrayLike, b: ArrayLike, data_range: float = 1.0, border: int = 0) -> float:
    """Peak signal-to-noise ratio over all samples together.

    Parameters
    ----------
    a, b : (H, W) or (H, W, C) array
        Two pictures of one shape and range.
    data_range : float
        Full scale: 1.0 for floats in [0, 1], 255 for bytes.
    border : int
        Pixels left out on each side (in super-resolution papers usually the scale factor).

    Returns
    -------
    float
        Decibels; ``inf`` for equal pictures.

    Raises
    ------
    OptionError
        If the shapes differ, nothing is left after the border, or ``data_range`` is not positive.

    Examples
    --------
    >>> round(psnr(np.zeros((4, 4)), np.full((4, 4), 0.1)), 3)
    20.0
    """
    x, y = _pair(a, b, data_range, border)
    mse = float(np.mean(np.square(x - y)))
    if mse == 0.0:
        return math.inf
    return 10.0 * math.log10(data_range * data_range / mse)


def _window() -> NDArray[np.float64]:
    t = np.arange(-_SSIM_RADIUS, _SSIM_RADIUS + 1, dtype=np.float64)
    w: NDArray[np.float64] = np.exp(-0.5 * (t / _SSIM_SIGMA) ** 2)
    w /= w.sum()
    return w


def _ssim_plane(x: NDArray[np.float64], y: NDArray[np.float64], data_range: float) -> float:
    import cv2

    w = _window()
    r = _SSIM_RADIUS

    def mean(v: NDArray[np.float64]) -> NDArray[np.float64]:
        # The border mode does not matter: only windows that lie wholly inside are kept.
        out: NDArray[np.float64] = np.asarray(cv2.sepFilter2D(v, cv2.CV_64F, w, w), dtype=np.float64)
        return out[r:-r, r:-r]

    mx, my = mean(x), mean(y)
    vx = mean(x * x) - mx * mx
    vy = mean(y * y) - my * my
    cov = mean(x * y) - mx * my
    c1 = (_SSIM_K1 * data_range) ** 2
    c2 = (_SSIM_K2 * data_range) ** 2
    s = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(s.mean())


def ssim(a: ArrayLike, b: ArrayLike, data_range: float = 1.0, border: int = 0) -> float:
    """Structural similarity after Wang et al., IEEE Transactions on Image Processing 13 (2004) 600.

    Gaussian 11 x 11 window of sigma 1.5, K1 = 0.01, K2 = 0.03, population covariances, averaged over the positions
    where the window lies wholly inside. Several channels: the mean of the values of each.

    Parameters
    ----------
    a, b : (H, W) or (H, W, C) array
        Two pictures of one shape and range.
    data_range : float
        Full scale.
    border : int
        Pixels left out on each side before anything is computed.

    Returns
    -------
    float
        1.0 for equal pictures.

    Raises
    ------
    OptionError
        As for :func:`psnr`, and if a side is below 11 pixels after the border.

    Examples
    --------
    >>> picture = np.random.default_rng(0).random((32, 32))
    >>> round(ssim(picture, picture), 6)
    1.0
    """
    x, y = _pair(a, b, data_range, border)
    side = 2 * _SSIM_RADIUS + 1
    if min(x.shape[:2]) < side:
        raise OptionError(f"SSIM needs at least {side}x{side} pixels, got {x.shape[1]}x{x.shape[0]} after the border")
    if x.ndim == 2:
        return _ssim_plane(x, y, data_range)
    planes = [
        _ssim_plane(np.ascontiguousarray(x[..., c]), np.ascontiguousarray(y[..., c]), data_range)
        for c in range(x.shape[2])
    ]
    return float(np.mean(planes))


def rgb_to_y(rgb: ArrayLike) -> NDArray[np.float64]:
    """Luma of ITU-R BT.601 in studio swing, as super-resolution papers measure it.

    Parameters
    ----------
    rgb : (H, W, 3) array
        R'G'B' in [0, 1].

    Returns
    -------
    (H, W) float64 array
        Y' in [16, 235] / 255, not rounded.

    Raises
    ------
    OptionError
        If the last axis is not of length 3.

    Examples
    --------
    >>> rgb_to_y(np.array([[[0.0, 0, 0], [1, 1, 1]]])).round(3).tolist()
    [[0.063, 0.922]]
    """
    v = np.asarray(rgb, dtype=np.float64)
    if v.ndim != 3 or v.shape[-1] != 3:
        raise OptionError(f"rgb must be (H, W, 3), got {v.shape}")
    # 65.481 + 128.553 + 24.966 = 219, the studio swing.
    y: NDArray[np.float64] = (16.0 + v @ np.array([65.481, 128.553, 24.966])) / 255.0
    return y
