"""Work on a picture tile by tile with overlap and smooth blending, in bounded memory.

The picture, led out by ``border`` reflected pixels on all sides, is cut into tiles of one size that overlap, and into
cores that partition it: a core ends ``overlap`` pixels before its tile does, unless the tile ends with the picture. Of
what comes back, a margin of a quarter of the overlap around the core is blended with the neighbours by raised-cosine
weights that sum to one; the rest of the overlap is discarded. When three quarters of the overlap cover the receptive
field, tiles cannot be told from the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError

Float = NDArray[np.float32]

#: Bytes that the band of rows being assembled may take.
BAND_BYTES = 192 * 1024 * 1024
#: A picture of at most this many tiles' area, border included, is one tile, whatever its sides: cut into four it would
#: be half as much work again.
WHOLE = 1.25


@dataclass(frozen=True)
class TileSpec:
    """How to cut.

    Attributes
    ----------
    tile : int
        Preferred tile side at the input, overlap included.
    overlap : int
        Input pixels around each core.
    multiple : int
        Tile sides and tile origins are multiples of this.
    scale : int
        Output side / input side.
    channels_out : int
        Channels that the process function returns.
    border : int or None
        Reflected input pixels around the picture itself, at most ``overlap``; None = as many as ``overlap``.
    """

    tile: int = 512
    overlap: int = 32
    multiple: int = 1
    scale: int = 1
    channels_out: int = 3
    border: int | None = None

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.scale < 1 or self.overlap < 0 or self.channels_out < 1:
            raise OptionError(f"tile spec out of range: {self}")
        if self.tile < 2 * self.padded_overlap + self.multiple:
            raise OptionError(
                f"a tile of {self.tile} has no core left inside an overlap of {self.padded_overlap} on each side; "
                f"use at least {2 * self.padded_overlap + self.multiple}"
            )
        if self.border is not None and not 0 <= self.border <= self.overlap:
            raise OptionError(f"the border must lie in 0 .. {self.overlap}, the overlap; got {self.border}")

    @property
    def padded_overlap(self) -> int:
        """The overlap rounded up so that tile origins keep the network's grid."""
        return self.padded(self.overlap)

    @property
    def padded_border(self) -> int:
        """The border rounded up likewise."""
        return self.padded(self.overlap if self.border is None else self.border)

    def padded(self, length: int) -> int:
        """Return ``length`` rounded up to ``multiple``."""
        return -(-length // self.multiple) * self.multiple


@dataclass(frozen=True)
class Cuts:
    """How one axis of a picture is cut.

    Attributes
    ----------
    side : int
        Length of every tile.
    starts : tuple of int
        Where the tiles begin; negative inside the border.
    cores : tuple of (int, int)
        Half-open ranges that partition the axis, one per tile.
    """

    side: int
    starts: tuple[int, ...]
    cores: tuple[tuple[int, int], ...]


def _cut(length: int, tile: int, spec: TileSpec) -> Cuts:
    """Cut an axis into tiles of at most ``tile``; sides, starts and inner ends of cores are on the grid."""
    overlap, border = spec.padded_overlap, spec.padded_border
    whole = spec.padded(length) + 2 * border
    tile = tile // spec.multiple * spec.multiple
    count = 1 if whole <= tile else -(-(whole - 2 * overlap) // (tile - 2 * overlap))
    side = min(whole, spec.padded(-(-(whole - 2 * overlap) // count)) + 2 * overlap)
    # tiles that the rounding made too long for the picture begin earlier instead of reaching beyond its border
    starts = [min(k * (side - 2 * overlap), whole - side) - border for k in range(count)]
    inner = [start + overlap for start in starts[1:]]
    return Cuts(side, tuple(starts), tuple(zip([0, *inner], [*inner, length], strict=True)))


def plan_cores(height: int, width: int, spec: TileSpec) -> tuple[Cuts, Cuts]:
    """Return how the rows and how the columns are cut."""
    row_bytes = width * spec.scale * spec.scale * spec.channels_out * 4
    fit = max(spec.multiple, BAND_BYTES // max(1, row_bytes) // spec.multiple * spec.multiple)
    across = down = spec.tile
    whole = [spec.padded(side) + 2 * spec.padded_border for side in (height, width)]
    if whole[0] * whole[1] <= WHOLE * spec.tile**2:
        down, across = (max(spec.tile, side) for side in whole)
    return _cut(height, min(down, fit + 2 * spec.padded_overlap), spec), _cut(width, across, spec)


def computed(height: int, width: int, spec: TileSpec) -> int:
    """Return how many input pixels all tiles of a picture have together, what overlaps counted as often as it is done.

    Examples
    --------
    >>> computed(100, 100, TileSpec(tile=512, overlap=8, border=0)), computed(100, 100, TileSpec(tile=60, overlap=8))
    (10000, 22500)
    """
    rows, columns = plan_cores(height, width, spec)
    return rows.side * len(rows.starts) * columns.side * len(columns.starts)


def reflect_index(start: int, stop: int, length: int) -> NDArray[np.intp]:
    """Return indices ``start .. stop`` folded into ``0 .. length - 1`` by reflection about the edge samples."""
    i = np.arange(start, stop)
    if length == 1:
        return np.zeros(i.shape, np.intp)
    period = 2 * (length - 1)
    i = np.mod(i, period)
    return np.where(i < length, i, period - i).astype(np.intp)


def _folded(window: Float, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Float:
    """Return rows and columns of a window by their index; where they are all of it in order, the window itself."""
    for axis, at in enumerate((rows, columns)):
        if not np.array_equal(at, np.arange(window.shape[axis])):
            window = window.take(at, axis=axis)
    return np.ascontiguousarray(window)


def _weights(core: tuple[int, int], length: int, margin: int, scale: int) -> tuple[int, int, Float]:
    """Return the output range the tile contributes to, at the output's scale, and its blending weights."""
    a, b = core
    lo = margin if a > 0 else 0
    hi = margin if b < length else 0
    n = (b - a + lo + hi) * scale
    w = np.ones(n, np.float32)
    for side, m in ((0, lo), (1, hi)):
        if m:
            t = (np.arange(2 * m * scale, dtype=np.float64) + 0.5) / (2 * m * scale)
            ramp = (0.5 - 0.5 * np.cos(np.pi * t)).astype(np.float32)
            ramp = np.minimum(ramp, 1)[:n]
            if side == 0:
                w[: ramp.size] *= ramp
            else:
                w[n - ramp.size :] *= ramp[::-1]
    return (a - lo) * scale, (b + hi) * scale, w


@dataclass(frozen=True)
class TileJob:
    """The callables of one tiled run.

    Attributes
    ----------
    read : callable
        ``read(y0, y1, x0, x1)`` returns the input samples of that in-bounds window, (h, w, C) float32.
    process : callable
        Maps a tile (h, w, C) float32 to (h * scale, w * scale, channels_out) float32.
    write : callable
        ``write(y0, rows)`` receives finished output rows (n, width * scale, channels_out), top to bottom, each once.
    progress : callable
        ``progress(done, total)`` after each tile; may raise to stop.
    """

    read: Callable[[int, int, int, int], Float]
    process: Callable[[Float], Float]
    write: Callable[[int, Float], None]
    progress: Callable[[int, int], None]


def on_grid(height: int, width: int, spec: TileSpec, job: TileJob, phase: tuple[int, int]) -> tuple[int, int, TileJob]:
    """Move a tiled run so that a grid in the picture falls on multiples of ``spec.multiple``.

    A network that enters by blocks wants the blocks of a compressed picture where its own are. The picture is led in by
    a few reflected rows and columns, which are not written.

    Parameters
    ----------
    height, width : int
        Of the picture.
    spec : TileSpec
        What the network asks for: tile, overlap, multiple.
    job : TileJob
        Where samples are read and results written.
    phase : (int, int)
        Row and column of the picture, from 0 to ``spec.multiple - 1``, that shall fall on the grid.

    Returns
    -------
    (int, int, TileJob)
        What to hand to :func:`run_tiled`.
    """
    if not (0 <= phase[0] < spec.multiple and 0 <= phase[1] < spec.multiple):
        raise OptionError(f"a grid's phase lies in 0 .. {spec.multiple - 1}, got {phase}")
    top, left = -phase[0] % spec.multiple, -phase[1] % spec.multiple
    if top == left == 0:
        return height, width, job

    def read(y0: int, y1: int, x0: int, x1: int) -> Float:
        iy, ix = reflect_index(y0 - top, y1 - top, height), reflect_index(x0 - left, x1 - left, width)
        ry, rx = int(iy.min()), int(ix.min())
        window = job.read(ry, int(iy.max()) + 1, rx, int(ix.max()) + 1)
        return window[(iy - ry)[:, None], (ix - rx)[None, :]]

    def write(y0: int, rows: Float) -> None:
        skip = max(0, top * spec.scale - y0)
        if skip < rows.shape[0]:
            job.write(y0 + skip - top * spec.scale, rows[skip:, left * spec.scale :])

    return height + top, width + left, TileJob(read, job.process, write, job.progress)


def run_tiled(height: int, width: int, spec: TileSpec, job: TileJob) -> int:
    """Run ``job`` over a picture of ``height`` x ``width`` and return the number of tiles.

    Memory: one band of output rows (at most about ``BAND_BYTES``) and one tile.
    """
    rows, cols = plan_cores(height, width, spec)
    s = spec.scale
    smallest = min(b - a for a, b in (*rows.cores, *cols.cores))
    margin = min(spec.padded_overlap // 4, smallest // 2)
    total, done = len(rows.cores) * len(cols.cores), 0
    if total == 1:  # nothing to blend
        indices = [reflect_index(c.starts[0], c.starts[0] + c.side, n) for c, n in ((rows, height), (cols, width))]
        out = job.process(_folded(job.read(0, height, 0, width), indices[0], indices[1]))
        ty, tx = -rows.starts[0] * s, -cols.starts[0] * s
        job.progress(1, 1)
        job.write(0, out[ty : ty + height * s, tx : tx + width * s])
        return 1
    band_y = 0  # output row of band[0]
    band = np.zeros((0, width * s, spec.channels_out), np.float32)
    for start_y, core_y in zip(rows.starts, rows.cores, strict=True):
        oy0, oy1, wy = _weights(core_y, height, margin, s)
        grown = np.zeros((oy1 - band_y, width * s, spec.channels_out), np.float32)
        grown[: band.shape[0]] = band
        band = grown
        iy = reflect_index(start_y, start_y + rows.side, height)
        ry0, ry1 = int(iy.min()), int(iy.max()) + 1
        for start_x, core_x in zip(cols.starts, cols.cores, strict=True):
            ox0, ox1, wx = _weights(core_x, width, margin, s)
            ix = reflect_index(start_x, start_x + cols.side, width)
            rx0, rx1 = int(ix.min()), int(ix.max()) + 1
            window = job.read(ry0, ry1, rx0, rx1)
            out = job.process(_folded(window, iy - ry0, ix - rx0))
            ty, tx = oy0 - start_y * s, ox0 - start_x * s
            part = out[ty : ty + oy1 - oy0, tx : tx + ox1 - ox0]
            band[oy0 - band_y : oy1 - band_y, ox0:ox1] += part * (wy[:, None, None] * wx[None, :, None])
            done += 1
            job.progress(done, total)
        ready = height * s if core_y[1] >= height else (core_y[1] - margin) * s
        job.write(band_y, band[: ready - band_y])
        band = band[ready - band_y :].copy()
        band_y = ready
    return total
