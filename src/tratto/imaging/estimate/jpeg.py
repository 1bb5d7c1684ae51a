"""JPEG quality: exactly from the tables of a file, or estimated from the samples of a picture that was one.

A decoded JPEG keeps its history: on the right 8 x 8 grid the DCT coefficients of the luma cluster at multiples of the
quantisation steps, blurred by a third of a grey level of rounding. For every frequency and every step the likelihood
of the observed coefficients is compared with that of a smooth density; the sum over the frequencies says which of the
100 standard tables explains them best, on which grid. Zeros carry no weight, so that smooth pictures are not mistaken
for compressed ones. Fan and de Queiroz, IEEE Transactions on Image Processing 12 (2003) 230, is the ancestor; the
choice of the grid by counting vanished coefficients follows the idea of Nikoukhah et al., IPOL 11 (2021) 396.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.core.inspection import Estimate
from tratto.imaging.estimate.dct import block_dct_matrix
from tratto.imaging.estimate.luma import luma_of

__all__ = ["JpegTrace", "jpeg_quality_from_pixels", "jpeg_quality_from_tables", "standard_table"]

# ITU-T T.81, annex K, tables K.1 (luminance) and K.2 (chrominance), row-major.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)


def standard_table(quality: int, chroma: bool = False) -> NDArray[np.int64]:
    """Quantisation table of the Independent JPEG Group's library for a quality, baseline-limited to 255.

    Parameters
    ----------
    quality : int
        1-100.
    chroma : bool
        Take the chrominance table.

    Returns
    -------
    (64,) int64 array
        Row-major (natural) order.

    Raises
    ------
    OptionError
        If the quality is out of range.

    Examples
    --------
    >>> standard_table(50)[:4].tolist()
    [16, 11, 10, 16]
    """
    if not 1 <= quality <= 100:
        raise OptionError(f"JPEG quality must be 1 to 100, got {quality}")
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    base = np.array(_CHROMA if chroma else _LUMA, dtype=np.int64).ravel()
    return np.clip((base * scale + 50) // 100, 1, 255)


@lru_cache(maxsize=1)
def _all_tables() -> NDArray[np.int64]:
    """(101, 64) luminance tables; row 0 repeats row 1 so that the row number is the quality."""
    return np.stack([standard_table(max(q, 1)) for q in range(101)])


def jpeg_quality_from_tables(tables: Sequence[Sequence[int]]) -> Estimate:
    """Quality on the scale of the Independent JPEG Group from the tables of a file.

    Parameters
    ----------
    tables : sequence of 64 ints each
        In natural (row-major) order; the first is the luminance table.

    Returns
    -------
    Estimate
        ``exact`` when every table is a standard one of the same quality; otherwise ``estimated``: the nearest quality
        by the mean logarithm of the ratio of the luminance steps.

    Raises
    ------
    OptionError
        If a table does not have 64 positive entries.

    Examples
    --------
    >>> jpeg_quality_from_tables([standard_table(80).tolist()]).value
    80.0
    """
    given = [np.asarray(t, dtype=np.int64) for t in tables]
    if not given or any(t.shape != (64,) or bool((t < 1).any()) for t in given):
        raise OptionError("JPEG tables must be one or more sequences of 64 positive integers")
    for q in range(100, 0, -1):
        luma, chroma = standard_table(q), standard_table(q, chroma=True)
        if np.array_equal(given[0], luma) and all(
            np.array_equal(t, chroma) or np.array_equal(t, luma) for t in given[1:]
        ):
            return Estimate(float(q), "exact", "standard quantisation tables in the file")
    q = _nearest_quality(given[0].astype(np.float64), np.ones(64))
    return Estimate(float(q), "estimated", "the file's quantisation tables are not the standard ones; nearest quality")


def _nearest_quality(steps: NDArray[np.float64], weight: NDArray[np.float64]) -> int:
    miss = np.abs(np.log(_all_tables()[1:] / steps)) @ weight
    return int(np.argmin(miss)) + 1


# ------------------------------------------------------------------------------------------------------ from samples

# Share and standard deviation of a coefficient around its lattice point: 0.29 to 0.36 where the rounding of the
# decoder is independent from pixel to pixel, up to sqrt(8) times that in blocks that vary in one direction only.
_ROUNDING = ((0.72, 0.36), (0.25, 0.9))
_OUTLIER = 0.03  # share of coefficients moved by clipping or by edits
_BIN = 0.125
_RANGE = 1024.0
_FLOOR = 1.25  # coefficients smaller than this count as zero and carry no weight
_MIN_SIDE = 24
_SEARCH_BLOCKS = 1500
_MAX_BLOCKS = 12_000
_MIN_NONZERO = 12
_EVIDENCE_EACH = 0.02  # nats per coefficient; never-compressed pictures and noise stay below zero
_EVIDENCE_TOTAL = 20.0
_EARLIER_Z = 4.2  # single compressions stayed below 2.9 on the pictures this was set on


@dataclass(frozen=True)
class JpegTrace:
    """What the samples say about JPEG compression.

    Attributes
    ----------
    quality : Estimate
        Of the last compression; ``not measurable`` when no artefacts were found.
    grid : (int, int) or None
        Row and column of the first whole block of the last compression, each 0-7.
    generations : int
        0, 1, or 2 when artefacts of an earlier compression on another grid remain.

    Examples
    --------
    >>> JpegTrace(Estimate(80.0, 'estimated', ''), (0, 0), 1).quality.value
    80.0
    """

    quality: Estimate
    grid: tuple[int, int] | None
    generations: int


@lru_cache(maxsize=1)
def _lattice() -> NDArray[np.float32]:
    """Log-likelihood ratio of a coefficient of size ``(i + 0.5) * _BIN`` under each step 1-255, as (bins, 256)."""
    c = (np.arange(int(_RANGE / _BIN), dtype=np.float32) + np.float32(0.5)) * np.float32(_BIN)
    q = np.arange(256, dtype=np.float32)
    q[0] = 1
    off = c[:, None] - q * np.rint(c[:, None] / q)
    peak = np.zeros_like(off)
    for share, sigma in _ROUNDING:
        for side in (-1, 0, 1):
            # the neighbouring teeth, half a step away or more, matter only for small steps
            near = slice(None) if side == 0 else slice(0, math.ceil(20 * sigma) + 1)
            z = (off[:, near] + side * q[near]) / np.float32(sigma)
            peak[:, near] += np.exp(np.float32(-0.5) * z * z) * np.float32(share / (sigma * math.sqrt(2 * math.pi)))
    out: NDArray[np.float32] = np.log(np.float32(_OUTLIER) + q * peak).astype(np.float32)
    # Rounding to zero is what small coefficients of any smooth picture do: it may speak against a step, never for it.
    out[c[:, None] < q / 2] = np.minimum(out[c[:, None] < q / 2], 0)
    out[c < _FLOOR] = 0
    return out


_Plane = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]


def _plane(crop: NDArray[np.float32]) -> _Plane:
    """Luma in 0-255; where any channel is clipped, from which the decoder's luma cannot be computed back; and whether
    there is such a place in the 8 x 8 samples that begin here.
    """
    import cv2

    full = crop * np.float32(255)
    ends = (full < 0.5) | (full > 254.5)
    luma = full
    if crop.ndim == 3:
        luma = luma_of(full)
        ends = ends[..., 0] | ends[..., 1] | ends[..., 2]
    spoilt = cv2.dilate(ends.view(np.uint8), np.ones((8, 8), np.uint8), anchor=(0, 0))
    return luma, ends, np.asarray(spoilt, np.uint8).view(bool)


def _blocks(plane: NDArray[Any], at: tuple[NDArray[np.intp], NDArray[np.intp]], grid: tuple[int, int]) -> NDArray[Any]:
    """Blocks of a grid by their row and column, as (N, 64)."""
    oy, ox = grid
    h, w = (plane.shape[0] - oy) // 8, (plane.shape[1] - ox) // 8
    rows, columns = at
    return plane[oy : oy + 8 * h, ox : ox + 8 * w].reshape(h, 8, w, 8)[rows, :, columns, :].reshape(-1, 64)


def _coefficients(planes: Sequence[_Plane], grid: tuple[int, int], limit: int) -> NDArray[np.float32]:
    """(N, 64) DCT coefficients of the unclipped blocks of one grid; the DC counts from mid-gray as in JPEG."""
    total = sum((p.shape[0] // 8) * (p.shape[1] // 8) for p, _, _ in planes)
    step = max(1, math.ceil(total / limit))
    step += step % 2 == 0  # an odd step does not fall in with the columns of blocks
    places = []
    for plane, _, _ in planes:
        h, w = (plane.shape[0] - grid[0]) // 8, (plane.shape[1] - grid[1]) // 8
        places.append(divmod(np.arange(0, h * w, step), w))
    good = [~s[grid[0] + 8 * y, grid[1] + 8 * x] for (_, _, s), (y, x) in zip(planes, places, strict=True)]
    if sum(int(np.count_nonzero(g)) for g in good) < 40:
        shares = [_blocks(e, at, grid).mean(axis=1) for (_, e, _), at in zip(planes, places, strict=True)]
        every = np.sort(np.concatenate(shares))
        good = [s <= every[min(39, len(every) - 1)] for s in shares]
    b = np.concatenate(
        [_blocks(p, (y[g], x[g]), grid) for (p, _, _), (y, x), g in zip(planes, places, good, strict=True)]
    )
    out: NDArray[np.float32] = (b - np.float32(128)) @ block_dct_matrix().T
    return out


def _likelihood(coefficients: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Log-likelihood ratio (64, 256) of every step for every frequency, and the number of coefficients behind each."""
    size = np.abs(coefficients)
    bins = int(_RANGE / _BIN)
    index = np.minimum((size * np.float32(1 / _BIN)).astype(np.int64), bins - 1)
    index += np.arange(64, dtype=np.int64) * bins
    hist = np.bincount(index.ravel(), minlength=64 * bins).reshape(64, bins)
    hist[:, -1] = 0
    hist[0] = 0  # in flat blocks rounding shifts the mean as a whole, and with it the DC coefficient off its lattice
    counts = hist[:, int(_FLOOR / _BIN) :].sum(axis=1)
    top = int(np.flatnonzero(hist.any(axis=0))[-1:].sum()) + 1  # beyond the largest there is nothing to add up
    return (hist[:, :top].astype(np.float32) @ _lattice()[:top]).astype(np.float64), counts


def jpeg_quality_from_pixels(picture: NDArray[np.float32] | Sequence[NDArray[np.float32]]) -> JpegTrace:
    """Look for JPEG artefacts in samples.

    Parameters
    ----------
    picture : (H, W, 3) or (H, W) float32 array, or a sequence of such crops of one picture
        RGB or gray samples in [0, 1]. Crops must start at rows and columns of the picture that are multiples of 8.

    Returns
    -------
    JpegTrace
        Quality of the last compression, its grid and the number of generations; an unknown quality says why.

    Raises
    ------
    OptionError
        If a crop is of another shape.

    Examples
    --------
    >>> flat = np.full((64, 64), 0.5, np.float32)
    >>> jpeg_quality_from_pixels(flat).generations
    0
    """
    crops = [picture] if isinstance(picture, np.ndarray) else list(picture)
    if not crops or any(c.ndim != 2 and c.shape[2:] != (3,) for c in crops):
        raise OptionError("JPEG artefacts need one or more (H, W) or (H, W, 3) arrays")
    planes = [_plane(c) for c in crops if min(c.shape[:2]) >= _MIN_SIDE]
    if not planes:
        return JpegTrace(Estimate(None, "not measurable", "too small to look for JPEG artefacts"), None, 0)
    vanished = _vanished(planes)
    order = [divmod(int(k), 8) for k in np.argsort(-vanished[0].ravel(), kind="stable")]
    best: tuple[float, int, tuple[int, int], int] | None = None
    for grid in dict.fromkeys([*order[:3], (0, 0)]):
        score, q, n = _score(planes, grid)
        if best is None or score > best[0]:
            best = (score, q, grid, n)
    if best is None or best[3] < _MIN_NONZERO:
        return JpegTrace(Estimate(None, "not measurable", "too little detail to look for JPEG artefacts"), None, 0)
    score, q, grid, n = best
    if score < _EVIDENCE_TOTAL or score < _EVIDENCE_EACH * n:
        return JpegTrace(Estimate(None, "not measurable", "no JPEG artefacts were found"), None, 0)
    earlier = _earlier_grid(vanished, grid)
    where = "" if grid == (0, 0) else f", on a grid shifted by {grid[1]}, {grid[0]} pixels (cropped after compression)"
    if earlier:
        where += f"; artefacts of an earlier compression on the grid at {earlier[1]}, {earlier[0]}"
    note = f"spacing of the luma DCT coefficients{where}"
    return JpegTrace(Estimate(float(q), "estimated", note), grid, 2 if earlier else 1)


def _score(planes: Sequence[_Plane], grid: tuple[int, int]) -> tuple[float, int, int]:
    """Best log-likelihood ratio on one grid, the quality that reaches it, and the coefficients behind it."""
    table, counts = _likelihood(_coefficients(planes, grid, _MAX_BLOCKS))
    scores = table[np.arange(64), _all_tables()].sum(axis=1)
    q = int(np.argmax(scores[1:])) + 1
    return float(scores[q]), q, int(counts.sum())


def _vanished(planes: Sequence[_Plane]) -> NDArray[np.float64]:
    """Share of AC coefficients below 0.5, 1 and 2 on each of the 64 grids, as (3, 8, 8)."""
    out = np.zeros((3, 8, 8))
    for oy in range(8):
        for ox in range(8):
            c = _coefficients(planes, (oy, ox), _SEARCH_BLOCKS)
            np.abs(c, out=c)
            c[:, 0] = np.inf  # the mean of a block says nothing
            out[:, oy, ox] = [np.count_nonzero(c < t) / max(63 * len(c), 1) for t in (0.5, 1.0, 2.0)]
    return out


def _earlier_grid(vanished: NDArray[np.float64], last: tuple[int, int]) -> tuple[int, int] | None:
    """Find a second grid on which unusually many coefficients vanish.

    Grids that share rows or columns with the last one are left out: they look compressed by half because of it.
    """
    shares = np.roll(vanished, (-last[0], -last[1]), axis=(1, 2))[:, 1:, 1:].reshape(3, -1)
    centre = np.median(shares, axis=1, keepdims=True)
    spread = 1.4826 * np.median(np.abs(shares - centre), axis=1, keepdims=True) + 1e-5
    z = (shares - centre) / spread
    k = int(np.argmax(z[2]))
    if k != int(np.argmax(z[1])) or z[2, k] < _EARLIER_Z:
        return None
    return (last[0] + 1 + k // 7) % 8, (last[1] + 1 + k % 7) % 8
