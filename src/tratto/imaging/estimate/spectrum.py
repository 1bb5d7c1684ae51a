"""The spectrum of the calm parts of a picture, in numbers from which a network reads noise, grain and blur.

Every 8 x 8 block is taken apart by an orthonormal DCT, the picture as it is and at half its size. The energies are
averaged over rings of frequency and over the calmest blocks: noise is what is left where the picture itself does
nothing. White noise has the same energy in every ring, grain less in the outer ones, JPEG steps between them, and blur
takes the outer ones away from everything. (Blocks that are calm, taken for the noise: Ponomarenko et al. 2007; Pyatykh
et al., IEEE Transactions on Image Processing 22 (2013) 687. What the spectrum means is learned, not derived.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tratto.imaging.estimate.dct import TOGETHER, block_dct_matrix
from tratto.imaging.estimate.luma import LUMA

__all__ = ["SPECTRUM_SIZE", "calm_spectrum"]

_SIDE, _STEP = 8, 4
_RINGS = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 8), (9, 10), (11, 14))
#: Shares of the blocks, calmest first.
_CALMEST = (0.03, 0.12, 0.4, 1.0)
_SHRINKS = (1, 2)
_MOST_BLOCKS = 20_000  # per size; more add time, not accuracy
_FEWEST = 16
_CLIPPED_BLOCK = 0.3
_FLOOR = 0.02  # in squares of 1/255: the energy of rounding to 8 bit is four times as large
#: Length of what :func:`calm_spectrum` returns.
SPECTRUM_SIZE = len(_SHRINKS) * len(_CALMEST) * (3 * len(_RINGS) + 1) + 2


def _pool() -> NDArray[np.float32]:
    """(64, rings): averages the coefficients of a ring; a ring is where the two frequencies add up to the same."""
    u, v = np.mgrid[:_SIDE, :_SIDE]
    total = (u + v).ravel()
    inside = [(total >= low) & (total <= high) for low, high in _RINGS]
    return np.stack([i / i.sum() for i in inside], axis=1).astype(np.float32)


def calm_spectrum(crops: Sequence[NDArray[np.float32]], quality: float | None = None) -> NDArray[np.float32] | None:
    """Describe the spectrum of a picture's calm blocks.

    Parameters
    ----------
    crops : sequence of (H, W, 3) float32 arrays in [0, 1]
        Of one picture, encoded RGB.
    quality : float or None
        JPEG quality 1-100, None without artefacts of it.

    Returns
    -------
    (SPECTRUM_SIZE,) float32 array, or None where fewer than 16 blocks are there that are not clipped
        Logarithms to base 10 of mean squares in 1/255 per ring, for luma, blue minus luma and red minus luma, per
        share of the calmest blocks, with their mean brightness in [-1, 1]; at full and at half size. Then whether
        there is a JPEG quality, and ``1 - quality / 100``.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0.5, 0.05, (256, 256, 3)).astype(np.float32)
    >>> spectrum = calm_spectrum([noise], quality=80)
    >>> spectrum.shape == (SPECTRUM_SIZE,), spectrum[-2:].round(2).tolist()
    (True, [1.0, 0.20000000298023224])
    """
    stated = [0.0, 0.0] if quality is None else [1.0, 1 - quality / 100]
    parts = [_at_size(crops, shrink) for shrink in _SHRINKS]
    found = [p for p in parts if p is not None]
    if len(found) < len(parts):
        return None
    return np.concatenate([*found, np.array(stated, np.float32)])


def _at_size(crops: Sequence[NDArray[np.float32]], shrink: int) -> NDArray[np.float32] | None:
    import cv2
    from numpy.lib.stride_tricks import sliding_window_view

    counts = [max(0, c.shape[0] // shrink - 4) // _STEP * (max(0, c.shape[1] // shrink - 4) // _STEP) for c in crops]
    thin = max(1, -(-sum(counts) // _MOST_BLOCKS))
    pool, basis = _pool(), block_dct_matrix().T.copy()
    energies, means, clipped = [], [], []
    for crop in crops:
        h, w = (n // shrink for n in crop.shape[:2])
        if min(h, w) < _SIDE:
            continue
        seen = crop[: h * shrink, : w * shrink] * np.float32(255)
        if shrink > 1:
            seen = cv2.resize(seen, (w, h), interpolation=cv2.INTER_AREA)
        luma, blue, red = seen @ LUMA, cv2.extractChannel(seen, 2), cv2.extractChannel(seen, 0)
        rings: list[NDArray[np.float32]] = []
        for plane in (luma, blue - luma, red - luma):
            views = sliding_window_view(plane, (_SIDE, _SIDE))[::_STEP, ::_STEP]
            rows, columns = divmod(np.arange(0, views.shape[0] * views.shape[1], thin), views.shape[1])
            first = not rings
            parts: list[NDArray[np.float32]] = []
            for k in range(0, len(rows), TOGETHER):
                blocks = views[rows[k : k + TOGETHER], columns[k : k + TOGETHER]].reshape(-1, _SIDE * _SIDE)
                if first:
                    means.append(blocks.mean(axis=1))
                    clipped.append(((blocks <= 1) | (blocks >= 254)).mean(axis=1))
                energy = blocks @ basis
                energy *= energy
                parts.append(energy @ pool)
            rings.append(np.concatenate(parts))
        energies.append(np.stack(rings, axis=1))  # (blocks, 3, rings)
    whole = np.concatenate(clipped) <= _CLIPPED_BLOCK if clipped else np.zeros(0, bool)
    if whole.sum() < _FEWEST:
        return None
    energy, mean = np.concatenate(energies)[whole], np.concatenate(means)[whole]
    order = np.argsort(energy[:, 0].sum(axis=1), kind="stable")
    out = []
    for share in _CALMEST:
        chosen = order[: max(4, round(share * len(order)))]
        out += [np.log10(energy[chosen].mean(axis=0) + _FLOOR).ravel(), mean[chosen].mean(keepdims=True) / 128 - 1]
    return np.concatenate(out).astype(np.float32)
