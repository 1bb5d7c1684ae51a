"""Grain for what fills a hole: measured around it and in the picture, synthesised from its spectrum, seeded.

Film grain and sensor noise are modelled as Gaussian noise with a measured spectrum, covariance of the channels and
dependence on brightness. A filling that is smoother than its surroundings gets what it lacks, in two bands.

* Efros and Leung 1999 showed what copying does for structure; grain has none, so its second-order statistics do
  (Galerne, Gousseau and Morel 2011, "Random phase textures").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

#: Bands: what Gaussians of these widths in pixels take away.
WIDTHS = (1.5, 3.0)
#: Side of the squares in which strength is read, and of those that the picture's own grain is sampled in.
BLOCK, SAMPLE = 16, 256
#: Most squares of the picture that are sampled, and classes of brightness that are told apart.
SAMPLES, SHADES = 16, 6
#: Where neighbours in what the calmest blocks have are correlated more than this, grain is several pixels wide, a block
#: holds so few of them that the calmest are so by chance, and blocks so many times wider are read.
COARSE, WIDER = 0.83, 4
#: Grain is everywhere: what this share of the blocks of one brightness stays below, times the factor of its band, is
#: the most that counts as grain; what is stronger is taken for detail.
CALM, MOST = 0.05, (2.8, 4.0)
#: Where half of the blocks of a brightness have at most so many times what the calmest have, it is grain that they
#: have, and the limit is so many times what half of them stay below.
EVEN, OVER = 1.6, 1.35
#: Elsewhere there is detail among them, and the limit is so many times, by band, what the calmest of the calmest
#: brightness have: grain is at every brightness, short of the ends of the scale.
LEAST, ENDS = (2.2, 3.2), (0.05, 0.95)
#: What the calmest blocks have in each band, of full scale: above the first it counts less and less as grain, and above
#: the second not at all, since no film is so coarse.
PLAUSIBLE = ((3 / 255, 6 / 255), (3.6 / 255, 7.2 / 255))
#: Pixels around a hole in which strength is measured; width of the Gaussian mean over them.
RING, LOCAL = 24, 8.0
#: Lags of the autocorrelation that a spectrum is made of.
LAGS = 24
#: Median absolute deviation of a normal distribution of variance 1.
MAD = 0.6745
#: White noise is drawn in squares of this side, so that it is the same whatever window asks for it.
TILE = 256


@dataclass(frozen=True, eq=False)
class GrainCurve:
    """How strong a picture's grain may be by brightness.

    Attributes
    ----------
    shades : (S,) float32
        Brightnesses, increasing.
    limits : (S, 2, C) float32
        Largest standard deviation of each band and channel that counts as grain there.
    step : float
        Between two native samples: rounding to them is grain, too.
    """

    shades: Float
    limits: Float
    step: float = 0.0

    def at(self, brightness: Float) -> Float:
        """Return the limits at (h, w) brightnesses, (h, w, 2, C)."""
        flat = self.limits.reshape(len(self.shades), -1)
        found = [np.interp(brightness, self.shades, column) for column in flat.T]
        return np.stack(found, axis=-1).reshape(*brightness.shape, *self.limits.shape[1:]).astype(np.float32)


def bands(planes: Float) -> tuple[Float, Float, Float]:
    """Return what lies in the narrow band, in the wide one that holds it, and beside that, (h, w, C) each."""
    fine, wide = (_blurred(planes, width) for width in WIDTHS)
    return planes - fine, planes - wide, wide


def _blurred(planes: Float, width: float) -> Float:
    import cv2

    out: Float = cv2.GaussianBlur(planes, (0, 0), width, borderType=cv2.BORDER_REFLECT).reshape(planes.shape)
    return out


def _sampled(shape: tuple[int, int], side: int) -> Iterator[tuple[slice, slice]]:
    """Return squares spread evenly over a picture."""
    rows, columns = (max(1, min(4, size // side)) for size in shape)
    for y in np.linspace(0, max(0, shape[0] - side), rows).astype(int):
        for x in np.linspace(0, max(0, shape[1] - side), columns).astype(int):
            yield slice(int(y), int(y) + side), slice(int(x), int(x) + side)


def grain_curve(picture: NDArray[np.generic], hole: Bool, full: float) -> GrainCurve | None:
    """Read how strong the grain of a picture is by brightness.

    Parameters
    ----------
    picture : (H, W) or (H, W, C)
        Native samples.
    hole : (H, W) bool
        What is not looked at.
    full : float
        The sample that is 1.

    Returns
    -------
    GrainCurve or None
        None where the picture is too small to tell.
    """
    rows = _rows(picture, hole, full, BLOCK)
    if len(rows) < 4 * SHADES:
        return None
    wider = _rows(picture, hole, full, BLOCK * WIDER) if _coarse(rows, 1 / full) else rows[:0]
    rows = wider if len(wider) >= 4 * SHADES else rows
    means, *variances = rows.transpose(1, 0, 2)
    order = np.argsort(means.mean(axis=1), kind="stable")
    parts = np.array_split(np.sqrt(np.stack(variances[:2], axis=1))[order], SHADES)
    shades = np.array([part.mean() for part in np.array_split(means.mean(axis=1)[order], SHADES)], np.float32)
    calm, half = (np.stack([np.quantile(part, q, axis=0) for part in parts]) for q in (CALM, 0.5))
    low, high = np.array(PLAUSIBLE).T[..., None]
    limits = calm * np.clip((high - calm) / (high - low), 0, 1) * np.array(MOST)[:, None]
    even = half[:, 0].mean(axis=1) <= EVEN * calm[:, 0].mean(axis=1)
    inner = (shades > ENDS[0]) & (shades < ENDS[1])
    least = calm[inner].min(axis=0) if inner.any() else calm.min(axis=0)
    bound = np.where(even[:, None, None], OVER * half, np.array(LEAST)[:, None] * least)
    limits = np.minimum(limits, bound)
    return GrainCurve(shades, limits.astype(np.float32), 1 / full)


def _rows(picture: NDArray[np.generic], hole: Bool, full: float, side: int) -> Float:
    """Return what each whole block of the sampled squares has, (N, 4, C).

    That is the mean brightness, the variances of both bands, and the covariance of neighbours in the wide one.
    """
    found: list[Float] = []
    for where in _sampled(hole.shape, SAMPLE * side // BLOCK):
        planes = np.asarray(picture[where], np.float32) / np.float32(full)
        planes = planes[..., None] if planes.ndim == 2 else planes
        height, width = (size // side for size in planes.shape[:2])
        if not height or not width:
            continue
        one, two, rest = bands(np.ascontiguousarray(planes))
        known = ~hole[where][: height * side, : width * side]
        whole = known.reshape(height, side, width, side).all(axis=(1, 3))
        beside = np.zeros_like(two)
        beside[:-1, :-1] = two[:-1, :-1] * (two[1:, :-1] + two[:-1, 1:]) / 2
        shown = [_block_means(part, side) for part in (rest, one * one, two * two, beside)]
        found.append(np.stack(shown, axis=2)[whole])
    return np.concatenate(found) if found else np.zeros((0, 4, 1), np.float32)


def _block_means(planes: Float, side: int) -> Float:
    """Return the mean of each block, (height, width, C)."""
    height, width = (size // side for size in planes.shape[:2])
    cut = planes[: height * side, : width * side].reshape(height, side, width, side, -1)
    return np.asarray(cut.mean(axis=(1, 3)), np.float32)


def _coarse(rows: Float, step: float) -> bool:
    """Say whether what the calmest quarter of the blocks has is grain of several pixels, as in an enlarged print."""
    variance = rows[:, 2].mean(axis=1)
    calmest = np.argsort(variance, kind="stable")[: max(1, len(rows) // 4)]
    # rounding is noise of one pixel, and would hide how coarse faint grain is
    grain = float(variance[calmest].mean()) - step**2 / 12
    return bool(rows[calmest, 3].mean() > COARSE * grain > 0)


def white(window: tuple[int, int, int, int], channels: int, seed: int) -> Float:
    """Return white noise of variance 1 that depends on the place in the picture and the seed alone.

    Parameters
    ----------
    window : (y0, y1, x0, x1)
        Rows and columns, from 0.
    channels : int
        Planes of noise, each independent of the others.
    seed : int
        Not below 0.

    Returns
    -------
    (y1 - y0, x1 - x0, channels) float32
        Mean 0; equal where windows of one seed overlap.
    """
    y0, y1, x0, x1 = window
    out = np.empty((y1 - y0, x1 - x0, channels), np.float32)
    for ty in range(y0 // TILE, -(-y1 // TILE)):
        for tx in range(x0 // TILE, -(-x1 // TILE)):
            noise = np.random.default_rng([seed, 11, ty, tx]).standard_normal((TILE, TILE, channels), np.float32)
            top, left = ty * TILE, tx * TILE
            a, b, c, d = max(y0, top), min(y1, top + TILE), max(x0, left), min(x1, left + TILE)
            out[a - y0 : b - y0, c - x0 : d - x0] = noise[a - top : b - top, c - left : d - left]
    return out


def grain_like(residual: Float, where: Bool, noise: Float) -> Float:
    """Give white noise the spectrum and the covariance of channels of a residual.

    Parameters
    ----------
    residual : (h, w, C) float32
        What a picture has beside its smoothed self.
    where : (h, w) bool
        Where it is grain.
    noise : (h, w, C) float32
        White, of variance 1.

    Returns
    -------
    (h, w, C) float32
        Of the residual's variance in each channel.
    """
    import cv2

    count = max(1, int(where.sum()))
    weighted = residual * where[..., None]
    covariance = np.einsum("hwi,hwj->ij", weighted, weighted, dtype=np.float64) / count
    values, vectors = np.linalg.eigh(covariance)
    basis = vectors.astype(np.float32)
    parts = weighted @ basis
    shape = [cv2.getOptimalDFTSize(side + LAGS) for side in where.shape]
    marks = np.fft.irfft2(np.abs(np.fft.rfft2(where.astype(np.float32), shape)) ** 2, shape)
    out = np.empty_like(noise)
    taper = np.minimum(2 * np.hanning(2 * LAGS + 3)[1:-1], 1)
    for c in range(noise.shape[2]):
        product = np.fft.irfft2(np.abs(np.fft.rfft2(parts[..., c], shape)) ** 2, shape)
        lags = np.ix_(range(-LAGS, LAGS + 1), range(-LAGS, LAGS + 1))
        correlation = _alike_all_around(product[lags] / np.maximum(marks[lags], 1.0)) * np.outer(taper, taper)
        # a kernel whose autocorrelation is this one: of the same spectrum, with phase 0
        power = np.maximum(np.fft.rfft2(np.fft.ifftshift(correlation)).real, 0)
        kernel = np.fft.fftshift(np.fft.irfft2(np.sqrt(power), correlation.shape))
        norm = float(np.sqrt(np.square(kernel).sum()))
        kernel = kernel / norm if norm > 0 else kernel
        made = cv2.filter2D(np.ascontiguousarray(noise[..., c]), -1, kernel, borderType=cv2.BORDER_REFLECT)
        out[..., c] = made * np.float32(np.sqrt(max(values[c], 0.0)))
    return np.asarray(out @ basis.T, np.float32)


def _alike_all_around(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an autocorrelation (2 R + 1, 2 R + 1) as a mean over each distance: what has a direction is no grain."""
    reach = correlation.shape[0] // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    _, ring = np.unique(y * y + x * x, return_inverse=True)
    ring = ring.ravel()
    means = np.bincount(ring, correlation.ravel()) / np.bincount(ring)
    return np.asarray(means[ring].reshape(correlation.shape))


def missing_grain(planes: Float, hole: Bool, curve: GrainCurve, window: tuple[int, int, int, int], seed: int) -> Float:
    """Return the grain that a filling lacks.

    Parameters
    ----------
    planes : (h, w, C) float32 in [0, 1]
        A window of the filled picture.
    hole : (h, w) bool
        What was filled.
    curve : GrainCurve
        Of the whole picture.
    window : (y0, y1, x0, x1)
        Where the window lies in the picture.
    seed : int
        Of the noise that is shaped into grain.

    Returns
    -------
    (h, w, C) float32
        To be added; 0 outside the hole.
    """
    import cv2

    out = np.zeros_like(planes)
    near = cv2.dilate(hole.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RING + 1,) * 2)) > 0
    ring = near & ~hole
    if not hole.any() or int(ring.sum()) < 4 * BLOCK:
        return out
    one, two, rest = bands(planes)
    limits = curve.at(rest.mean(axis=2))
    calm = (
        ring & (np.abs(one) <= 3 * limits[..., 0, :]).all(axis=2) & (np.abs(two) <= 3 * limits[..., 1, :]).all(axis=2)
    )
    if int(calm.sum()) < 4 * BLOCK:
        return out
    made = grain_like(two, calm, white(window, planes.shape[2], seed))
    lacks = []
    for k, there in enumerate((one, two)):
        most = np.square(limits[..., k, :])
        wanted = np.minimum(_variance(there, ring, limits[..., k, :]), most) - np.float32(curve.step**2 / 12)
        lacks.append(np.maximum(wanted - _variance(there, hole, limits[..., k, :]), 0))
    strength = np.sqrt(lacks[1] / np.maximum(np.square(made[hole]).mean(axis=0), np.float32(1e-12)))
    narrow, wide, _ = bands(made)
    parts = [strength * part * hole[..., None] for part in (narrow, wide - narrow)]
    shares = _shares(parts, [lack[hole].mean(axis=0) for lack in lacks], hole)
    return np.asarray(shares[0] * parts[0] + shares[1] * parts[1], np.float32)


def _shares(parts: Sequence[Float], wanted: Sequence[Float], hole: Bool) -> tuple[np.float32, np.float32]:
    """Return how much of two noises, cut to a hole, gives the variances that both bands lack there.

    Each noise shows in both bands, and the more so the thinner the hole is: the best pair is looked for.
    """
    seen = [[band[hole] for band in bands(part)[:2]] for part in parts]
    steps = np.linspace(0, 4, 81)
    one, two = np.meshgrid(steps, steps, indexing="ij")
    off = np.zeros(one.shape)
    for k, goal in enumerate(wanted):
        a, b = seen[0][k], seen[1][k]
        gives = np.square(a).mean() * one**2 + 2 * (a * b).mean() * one * two + np.square(b).mean() * two**2
        off += (1 + k) * np.square(np.sqrt(gives) - np.sqrt(goal.mean())) / max(float(goal.mean()), 1e-12)
    i, j = np.unravel_index(int(off.argmin()), off.shape)
    return np.float32(steps[i]), np.float32(steps[j])


def _variance(values: Float, where: Bool, limit: Float | None = None) -> Float:
    """Return the local variance of what lies at some pixels, (h, w, C), as its median absolute deviation says.

    Gaussian means of squares, in which single large values count as three times ``limit`` at most, are brought to the
    median of the whole.
    """
    import cv2

    marks = where.astype(np.float32)
    square = np.square(values)
    if limit is not None:
        square = np.minimum(square, 9 * np.square(limit))
    # a quarter of the size is enough for a mean over so many pixels
    small = (max(1, where.shape[1] // 4), max(1, where.shape[0] // 4))
    kept = cv2.resize(square * marks[..., None], small, interpolation=cv2.INTER_AREA).reshape(*small[::-1], -1)
    weight = cv2.resize(marks, small, interpolation=cv2.INTER_AREA)
    everywhere = square[where].mean(axis=0)
    few = np.float32(1e-3)
    top = cv2.GaussianBlur(kept, (0, 0), LOCAL / 2).reshape(kept.shape) + few * everywhere
    mean = top / (cv2.GaussianBlur(weight, (0, 0), LOCAL / 2) + few)[..., None]
    robust = np.square(np.median(np.abs(values[where]), axis=0) / MAD)
    full = cv2.resize(mean, where.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(*where.shape, -1)
    # where strength varies, the deviation of all is that of the middling places
    share = robust / np.maximum(np.median(full[where], axis=0), np.float32(1e-12))
    return np.asarray(full * np.minimum(share, 1), np.float32)


def windows_of(hole: Bool, side: int = TILE, margin: int = 2 * RING) -> Sequence[tuple[tuple[int, int, int, int], ...]]:
    """Return squares that hold any of a hole, each with the window around it that is looked at: (y0, y1, x0, x1)."""
    height, width = hole.shape
    found = []
    for y in range(0, height, side):
        for x in range(0, width, side):
            part = hole[y : y + side, x : x + side]
            if not part.any():
                continue
            rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
            own = (y + int(rows[0]), y + int(rows[-1]) + 1, x + int(columns[0]), x + int(columns[-1]) + 1)
            around = (
                *(max(0, own[0] - margin), min(height, own[1] + margin)),
                *(max(0, own[2] - margin), min(width, own[3] + margin)),
            )
            found.append((own, around))
    return found
