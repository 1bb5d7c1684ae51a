"""Run a restorer over a picture of any mode, in bounded memory.

A restorer sees RGB. What is not RGB goes through it in groups that lose nothing: gray as three equal channels; CMYK as
the inverted inks C, M, Y together and K alone, so that no ink is re-separated and no gamut is clipped; alpha, when the
picture is enlarged, like a gray picture of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import Restorer
from tratto.core.image import ColorMode, Image, Samples
from tratto.core.services import Services
from tratto.imaging.clear import colours_under_clear, premultiplied
from tratto.imaging.native_rows import NativeRows
from tratto.imaging.scratch import release
from tratto.imaging.tiling import TileJob, TileSpec, on_grid, run_tiled
from tratto.provenance.confidence import local_std, spread_fit

Float = NDArray[np.float32]

#: Self-ensemble: side of a measured patch, and the most of a picture's area that patches may cover together. Each patch
#: costs two further runs, so at most a quarter of the time of the main run is added.
PATCH = 96
PATCH_SHARE = 1 / 8


@dataclass(frozen=True, eq=False)
class Restored:
    """Outcome of :func:`run_restorer`.

    Attributes
    ----------
    image : Image
        In the mode and depth of the source, enlarged by the restorer's scale.
    sigma : (H, W) uint16
        One-sigma error in full scale / 65535, from the model or from the self-ensemble.
    basis : str
        ``"model"`` or ``"self-ensemble"``.
    tiles : int
        How many were computed.
    """

    image: Image
    sigma: NDArray[np.uint16]
    basis: str
    tiles: int


def _gray3(plane: Float) -> Float:
    return np.repeat(plane[..., None], 3, axis=2)


def _restore_colour(
    tile: Float, mode: ColorMode, restorer: Restorer, noise: float | None
) -> tuple[Float, Float | None]:
    """Restore one tile of native colour channels; return the channels and the sigma plane or None."""
    if mode is ColorMode.RGB:
        done = restorer.restore(tile, noise)
        return done.image, done.sigma
    if mode is ColorMode.GRAY:
        done = restorer.restore(_gray3(tile[..., 0]), noise)
        return done.image.mean(axis=2, keepdims=True, dtype=np.float32), done.sigma
    inks = restorer.restore(np.ascontiguousarray(1 - tile[..., :3]), noise)
    black = restorer.restore(_gray3(1 - tile[..., 3]), noise)
    out = np.concatenate([1 - inks.image, 1 - black.image.mean(axis=2, keepdims=True, dtype=np.float32)], axis=2)
    if inks.sigma is None or black.sigma is None:
        return out, None
    return out, np.sqrt((3 * inks.sigma**2 + black.sigma**2) / 4)


def run_restorer(
    image: Image,
    restorer: Restorer,
    services: Services,
    stage: str,
    noise_sigma: float | None = None,
    grid: tuple[int, int] = (0, 0),
) -> Restored:
    """Restore a whole picture tile by tile.

    Parameters
    ----------
    image : Image
        Gray, RGB or CMYK.
    restorer : Restorer
        Opened; its tile, overlap and scale lay out the work.
    services : Services
        For scratch space and progress.
    stage : str
        Name shown with the progress.
    noise_sigma : float or None
        In 1/255, for providers that take one.
    grid : (int, int)
        Row and column that fall on a multiple of the tile origins: where a JPEG's blocks begin.
    """
    info = restorer.info
    s, full = info.scale, float(image.max_value)
    h, w = image.height, image.width
    colours = 1 if image.mode is ColorMode.GRAY else image.pixels.shape[2]
    with_alpha = image.alpha is not None and s > 1
    shape = (h * s, w * s) if image.mode is ColorMode.GRAY else (h * s, w * s, colours)
    out: Samples = services.scratch(shape, image.pixels.dtype)  # type: ignore[assignment]
    alpha: Samples | None = None
    if with_alpha:
        alpha = services.scratch((h * s, w * s), image.pixels.dtype)  # type: ignore[assignment]
    sigma: NDArray[np.uint16] = services.scratch((h * s, w * s), np.uint16)  # type: ignore[assignment]

    # what lies under wholly clear pixels is nothing that can be seen, and must not grow into what can
    visible = colours_under_clear(image) if with_alpha and not premultiplied(image) else image.pixels

    def read(y0: int, y1: int, x0: int, x1: int) -> Float:
        window = np.asarray(visible[y0:y1, x0:x1], np.float32)
        window = window[..., None] if window.ndim == 2 else window
        if with_alpha and image.alpha is not None:
            window = np.concatenate([window, np.asarray(image.alpha[y0:y1, x0:x1], np.float32)[..., None]], axis=2)
        return window / np.float32(full)

    def process(tile: Float) -> Float:
        colour, sig = _restore_colour(np.ascontiguousarray(tile[..., :colours]), image.mode, restorer, noise_sigma)
        parts = [colour]
        if with_alpha:
            plane = tile[..., colours]
            if plane.min() == plane.max():
                parts.append(np.full((*colour.shape[:2], 1), plane.flat[0], np.float32))
            else:
                parts.append(restorer.restore(_gray3(plane), None).image.mean(axis=2, keepdims=True, dtype=np.float32))
        parts.append(np.zeros((*colour.shape[:2], 1), np.float32) if sig is None else sig[..., None])
        return np.concatenate(parts, axis=2)

    rows = NativeRows(image, out, alpha, sigma)
    spec = TileSpec(info.tile, info.overlap, info.multiple, s, colours + int(with_alpha) + 1, info.border)
    job = TileJob(read, process, rows.write, lambda d, t: services.progress(stage, d, t))
    grown_h, grown_w, job = on_grid(h, w, spec, job, grid if info.multiple > 1 else (0, 0))
    tiles = run_tiled(grown_h, grown_w, spec, job)
    new = image.replace(pixels=out, alpha=alpha if with_alpha else image.alpha)
    if info.has_sigma:
        return Restored(new, sigma, "model", tiles)
    _spread_everywhere(image, new, restorer, noise_sigma, sigma)
    return Restored(new, sigma, "self-ensemble", tiles)


def _luma(image: Image, y0: int, y1: int, x0: int, x1: int) -> Float:
    """Return the mean over the colour channels of a window, in [0, 1]."""
    window = np.asarray(image.pixels[y0:y1, x0:x1], np.float32)
    return (window if window.ndim == 2 else window.mean(axis=2)) / np.float32(image.max_value)


def _patches(h: int, w: int, side: int) -> list[tuple[int, int]]:
    """Return the top-left corners of the measured patches: evenly spread, at most 24 and at most PATCH_SHARE of all."""
    count = max(1, min(24, int(h * w * PATCH_SHARE / side**2)))
    # a Kronecker sequence spreads any number of points evenly (Roberts 2018, "R2")
    g = 1.32471795724474602596
    k = np.arange(1, count + 1)
    ys = ((k / g) % 1 * max(0, h - side)).astype(int)
    xs = ((k / g**2) % 1 * max(0, w - side)).astype(int)
    return list(zip(ys.tolist(), xs.tolist(), strict=True))


def _spread_everywhere(
    before: Image, after: Image, restorer: Restorer, noise: float | None, sigma: NDArray[np.uint16]
) -> None:
    """Fill ``sigma`` from the self-ensemble: spread measured on patches, log-linear fit elsewhere.

    The runs differ by a flip and by a little added noise. Flips alone would say nothing about methods that treat all
    directions alike, such as non-local means and interpolation; what the noise changes in the output is the part of the
    picture's own noise that gets through (the idea of Monte-Carlo SURE, Ramani et al. 2008). It knows nothing of a bias
    the method may have, so it is a lower bound.
    """
    info = restorer.info
    s, m = info.scale, info.multiple
    h, w = before.height, before.width
    side = max(m, min(PATCH, int(np.sqrt(h * w * PATCH_SHARE)), h, w) // m * m)
    rng = np.random.default_rng(0)
    spreads: list[Float] = []
    edits: list[Float] = []
    contrasts: list[Float] = []
    for y, x in _patches(h, w, side):
        tile = np.asarray(before.pixels[y : y + side, x : x + side], np.float32) / np.float32(before.max_value)
        tile = tile[..., None] if tile.ndim == 2 else tile
        ph, pw = -(-tile.shape[0] // m) * m, -(-tile.shape[1] // m) * m
        tile = np.pad(tile, ((0, ph - tile.shape[0]), (0, pw - tile.shape[1]), (0, 0)), mode="symmetric")
        runs = []
        jitter = max(1.0, noise or 0.0) / 255 / _JITTER
        for flip in _FLIPS:
            noisy = np.clip(flip(tile) + rng.normal(0, jitter, tile.shape), 0, 1)
            shaken: Float = np.asarray(noisy, np.float32)
            colour, _ = _restore_colour(shaken, before.mode, restorer, noise)
            runs.append(flip(colour).mean(axis=2))
        base = np.repeat(np.repeat(tile.mean(axis=2), s, axis=0), s, axis=1)
        # of three runs, ddof 1; the jitter was a fraction of the noise, the spread is scaled back to all of it
        spreads.append((np.std(np.stack(runs), axis=0, ddof=1) * _JITTER).ravel())
        edits.append(np.abs(runs[0] - base).ravel())
        contrasts.append(_contrast(base).ravel())
    model = spread_fit(np.concatenate(spreads), np.concatenate(edits), np.concatenate(contrasts))
    step = 128
    for y0 in range(0, h, step):
        y1 = min(h, y0 + step)
        base = np.repeat(np.repeat(_luma(before, y0, y1, 0, w), s, axis=0), s, axis=1)
        edit = np.abs(_luma(after, y0 * s, y1 * s, 0, w * s) - base)
        fitted = model.predict(edit, _contrast(base))
        sigma[y0 * s : y1 * s] = np.clip(np.rint(fitted * 65535), 0, 65535).astype(np.uint16)
        release(sigma)


def _contrast(gray: Float) -> Float:
    """Return the local standard deviation; zero for strips too thin to have one."""
    radius = min(2, min(gray.shape) - 1)
    return local_std(gray, radius) if radius > 0 else np.zeros_like(gray)


def _same(a: Float) -> Float:
    return a


def _flip_rows(a: Float) -> Float:
    return a[::-1]


def _flip_columns(a: Float) -> Float:
    return a[:, ::-1]


#: The added noise is the picture's own (at least 1/255) divided by this.
_JITTER = 2.0
_FLIPS = (_same, _flip_rows, _flip_columns)
