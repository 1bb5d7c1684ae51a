"""Noise level from the flattest blocks of a picture.

Every 8 x 8 block is taken apart by an orthonormal DCT. Blocks are *chosen* by the energy of their low and middle
frequencies and the noise is *measured* on the highest ones. White noise is independent between the two, so choosing
the calmest blocks does not bias the result, while the texture of photographs, whose spectrum falls off steeply,
hardly reaches the highest frequencies of the calmest blocks. The idea of separating choice from measurement in the DCT
domain goes back to Ponomarenko et al. (2007) and Pyatykh et al., IEEE Transactions on Image Processing 22 (2013) 687;
the correction for clipped samples uses the moments of a censored Gaussian as in Foi, Signal Processing 89 (2009) 2609.

Noise that has been compressed, denoised or enlarged is no longer white: less of it is left at high frequencies, and
what is found here is then a lower bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.imaging.estimate.dct import TOGETHER, block_dct_matrix

__all__ = ["NoiseEstimate", "estimate_noise"]

_SIDE = 8
_STEP = 4
_AROUND = 25
_MAX_BLOCKS = 60_000  # per channel; more add time, not accuracy
_MIN_BLOCKS = 9
_FEWEST = 36  # usable blocks below which a channel is not measurable
_BINS = 16
_CHOSEN = 0.06  # share of the blocks of a brightness bin that counts as its calmest
_CLIPPED_BLOCK = 0.3  # blocks with more samples than this at either end say too little
_LOWEST, _HIGHEST = 0.0101, 254.9899  # of 255: samples beyond are clipped
_QUIET = 1.1
_TEXTURE = 2.0  # low-frequency over high-frequency density above which a bin has no flat area


@dataclass(frozen=True)
class NoiseEstimate:
    """Result of :func:`estimate_noise`; all sigmas in 1/255 of full scale.

    Attributes
    ----------
    sigma : float or None
        Root mean square over the channels; None when nothing could be measured.
    channels : tuple of float
        Per channel; a channel without measurable blocks takes the pooled value.
    curve : tuple of (float, float)
        (brightness in [0, 1], sigma) for the brightness bins with enough flat area, channels pooled.
    note : str
        How it was obtained, or why it could not be.

    Examples
    --------
    >>> NoiseEstimate(8.0, (8.0,), ((0.5, 8.0),), 'stated').sigma
    8.0
    """

    sigma: float | None
    channels: tuple[float, ...]
    curve: tuple[tuple[float, float], ...]
    note: str


@dataclass(frozen=True)
class _Bin:
    brightness: float
    variance: float
    count: int
    texture: float


def estimate_noise(
    rgb: NDArray[np.float32] | Sequence[NDArray[np.float32]], levels: int = 255, clipped: bool = True
) -> NoiseEstimate:
    """Estimate the standard deviation of additive noise, per channel and over brightness.

    Parameters
    ----------
    rgb : (H, W, C) or (H, W) float32 array, or a sequence of such crops of one picture
        Samples in [0, 1].
    levels : int
        Number of steps of the integer scale the samples come from (255 for 8 bit); rounding to it is itself a small
        noise, which is subtracted. 0 for samples that were never rounded.
    clipped : bool
        True if samples were clipped to [0, 1], which lowers the apparent noise near both ends and is corrected for.

    Returns
    -------
    NoiseEstimate
        Standard deviation in 8-bit steps, per channel and over brightness; None with a reason where nothing measures
        it.

    Raises
    ------
    OptionError
        If the crops differ in their number of channels.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0.5, 8 / 255, (256, 256)).astype(np.float32)
    >>> round(estimate_noise(noise, levels=0).sigma)
    8
    """
    crops = [rgb] if isinstance(rgb, np.ndarray) else list(rgb)
    crops = [_without_margins(c[..., None] if c.ndim == 2 else c) for c in crops]
    if not crops or len({c.shape[2:] for c in crops}) != 1 or crops[0].ndim != 3:
        raise OptionError("noise needs (H, W) or (H, W, C) crops that all have the same channels")
    rounding = (255.0 / levels) ** 2 / 12.0 if levels else 0.0
    per_channel = [_channel_bins(crops, c, rounding, clipped) for c in range(crops[0].shape[2])]
    pooled = [b for bins in per_channel for b in bins]
    if not pooled:
        return NoiseEstimate(None, (), (), "no block is free of clipping and large enough to measure noise in")
    variances = [_combine(bins) if bins else math.nan for bins in per_channel]
    known = [v for v in variances if not math.isnan(v)]
    mean = sum(known) / len(known)
    channels = tuple(math.sqrt(mean if math.isnan(v) else v) for v in variances)
    curve = []
    flat = [b for b in pooled if b.texture <= _TEXTURE and (not clipped or _trust(b.brightness, b.variance) > 0.1)]
    for k in range(_BINS):
        same = [b for b in flat if k <= b.brightness / 255 * _BINS < k + 1]
        n = sum(b.count for b in same)
        if n >= 16:
            y = sum(b.brightness * b.count for b in same) / n
            curve.append((y / 255.0, math.sqrt(sum(b.variance * b.count for b in same) / n)))
    note = "highest frequencies of the flattest 8x8 blocks"
    if all(b.texture > _TEXTURE for b in pooled):
        note += "; no truly flat area was found, so fine texture may be counted as noise"
    return NoiseEstimate(math.sqrt(mean), channels, tuple(curve), note)


def _without_margins(crop: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the crop without rows and columns of one colour at its edges: a mount or frame has no noise of its own.

    A crop that is of one colour altogether is returned as it is.
    """
    for _ in range(2):  # a frame's columns are of one colour once its rows are gone, and the other way round
        for axis in (0, 1):
            line = np.moveaxis(crop, axis, 0)
            first = _first_busy(line)
            if first is None:
                return crop
            crop = np.moveaxis(line[first : len(line) - (_first_busy(line[::-1]) or 0)], 0, axis)
    return crop


def _first_busy(lines: NDArray[np.float32]) -> int | None:
    """Return the first line that is not of one colour, looking no further than it must."""
    return next((k for k, line in enumerate(lines) if (line != line[:1]).any()), None)


def _trust(y: float, variance: float) -> float:
    """Return 1 for brightness that clipping does not touch, falling quickly where it cuts the variance."""
    if variance < 0.25:
        return 1.0
    s = math.sqrt(variance)
    return (_censored_moments(min(max(y, -s), 255.0 + s), s)[1] / variance) ** 6


def _combine(bins: list[_Bin]) -> float:
    """Average the variance over brightness bins; textured and clipped bins count little."""
    best = min(b.texture for b in bins)
    calm = [b.count / (1.0 + (max(b.texture - best, 0.0) * 2) ** 4) for b in bins]
    v = sum(b.variance * k for b, k in zip(bins, calm, strict=True)) / sum(calm)
    for _ in range(2):  # the common variance says how far clipping reaches, which changes the weights
        w = [k * max(_trust(b.brightness, v), 1e-6) for b, k in zip(bins, calm, strict=True)]
        v = sum(b.variance * k for b, k in zip(bins, w, strict=True)) / sum(w)
    return v


def _channel_bins(crops: list[NDArray[np.float32]], channel: int, rounding: float, clipped: bool) -> list[_Bin]:
    means, around, low, high = _block_energies(crops, channel, clipped)
    if len(means) < _FEWEST:
        return []
    out = []
    index = np.clip(around / 255.0 * _BINS, 0, _BINS - 1).astype(np.intp)
    least = max(_MIN_BLOCKS, len(means) // 200)
    for k in range(_BINS):
        inside = np.flatnonzero(index == k)
        if len(inside) < least:
            continue
        n = max(_MIN_BLOCKS, round(_CHOSEN * len(inside)))
        calm = inside[np.argpartition(low[inside], n - 1)[:n]]
        # Where noise drowns texture, many more blocks are as calm as noise lets them be.
        quiet = inside[low[inside] <= _QUIET * float(high[calm].mean())]
        if len(quiet) > n:
            calm, n = quiet, len(quiet)
        v = float(high[calm].mean())
        texture = float(low[calm].mean()) / max(v, rounding, 1e-6)
        y = float(means[calm].mean())
        if clipped:
            y, v = _unclip(y, v)
        out.append(_Bin(y, max(v - rounding, 0.0), n, texture))
    return out


def _block_energies(
    crops: list[NDArray[np.float32]], channel: int, clipped: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Mean, mean of the surroundings, energy per coefficient below and above the cut, of all usable blocks, in 1/255.

    Under clipping the mean and the variance of one block are correlated, so that sorting blocks by their own mean
    would bias every brightness bin; the mean over the wider surroundings is nearly free of that.
    """
    import cv2
    from numpy.lib.stride_tricks import sliding_window_view

    u, v = np.mgrid[:_SIDE, :_SIDE]
    is_high = ((u + v) >= 10).ravel()
    basis = block_dct_matrix()[is_high].T.copy()
    n_high = int(is_high.sum())
    n_low = _SIDE * _SIDE - 1 - n_high
    total = sum(max(0, (c.shape[0] - 4) // _STEP) * max(0, (c.shape[1] - 4) // _STEP) for c in crops)
    thin = max(1, math.ceil(total / _MAX_BLOCKS))
    means, arounds, lows, highs = [], [], [], []
    for crop in crops:
        if min(crop.shape[:2]) < _SIDE:
            continue
        plane = cv2.extractChannel(crop, channel) * np.float32(255)
        wide = cv2.blur(plane, (_AROUND, _AROUND), borderType=cv2.BORDER_REFLECT)
        views = sliding_window_view(plane, (_SIDE, _SIDE))[::_STEP, ::_STEP]
        ij = np.arange(views.shape[0] * views.shape[1])[::thin]
        bi, bj = ij // views.shape[1], ij % views.shape[1]
        if clipped:
            inside = cv2.blur(cv2.inRange(plane, _LOWEST, _HIGHEST).view(np.uint8), (_SIDE, _SIDE))
            usable = inside[bi * _STEP + _SIDE // 2, bj * _STEP + _SIDE // 2] >= 255 * (1 - _CLIPPED_BLOCK)
            bi, bj = bi[usable], bj[usable]
        arounds.append(wide[bi * _STEP + _SIDE // 2, bj * _STEP + _SIDE // 2])
        for k in range(0, len(bi), TOGETHER):
            blocks = views[bi[k : k + TOGETHER], bj[k : k + TOGETHER]].reshape(-1, _SIDE * _SIDE)
            mean = blocks.mean(axis=1)
            blocks -= mean[:, None]
            fine = blocks @ basis
            top, everything = np.einsum("ij,ij->i", fine, fine), np.einsum("ij,ij->i", blocks, blocks)
            means.append(mean)
            highs.append(top / n_high)
            lows.append(np.maximum(everything - top, 0) / n_low)
    if not means:
        empty = np.zeros(0, np.float32)
        return empty, empty, empty, empty
    return np.concatenate(means), np.concatenate(arounds), np.concatenate(lows), np.concatenate(highs)


def _censored_moments(y: float, s: float) -> tuple[float, float]:
    """Mean and variance of a Gaussian (y, s) clipped to [0, 255]."""
    a, b = (0.0 - y) / s, (255.0 - y) / s
    cdf_a, cdf_b = 0.5 * (1 + math.erf(a / math.sqrt(2))), 0.5 * (1 + math.erf(b / math.sqrt(2)))
    pdf_a, pdf_b = (math.exp(-0.5 * t * t) / math.sqrt(2 * math.pi) for t in (a, b))
    inside = cdf_b - cdf_a
    m1 = y * inside + s * (pdf_a - pdf_b) + 255.0 * (1 - cdf_b)
    m2 = (y * y + s * s) * inside + s * (y * (pdf_a - pdf_b) + (0.0 * pdf_a - 255.0 * pdf_b)) + 255.0**2 * (1 - cdf_b)
    return m1, max(m2 - m1 * m1, 0.0)


def _unclip(mean: float, variance: float) -> tuple[float, float]:
    """Mean and variance before clipping to [0, 255], from those after; fixed-point iteration."""
    s_obs = math.sqrt(max(variance, 0.0))
    if s_obs < 0.5 or min(mean, 255.0 - mean) > 4 * s_obs:
        return mean, variance
    y, s = mean, s_obs
    for _ in range(60):
        m_c, v_c = _censored_moments(y, s)
        s = min(s * s_obs / max(math.sqrt(v_c), 1e-6), 4 * s_obs)
        y += mean - m_c
    return y, s * s
