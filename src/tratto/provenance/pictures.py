"""Small pictures for the report: upright previews, colour-mapped maps, legends and crops, as ``data:`` addresses."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.image import ColorMode, Image, Kernel, Samples
from tratto.imaging.color import view_rgb
from tratto.imaging.io import expand_palette
from tratto.imaging.resample import enlarge_rows
from tratto.imaging.scratch import release

#: (y0, y1) -> those rows, (y1 - y0, W, C) float32.
Rows = Callable[[int, int], NDArray[np.float32]]

_BAND = 1 << 19  # pixels per row band

# Ramps of even lightness steps, told apart in every common kind of colour blindness and in a grey print.
EDIT_RAMP = ("#0a0722", "#3b126d", "#7d2585", "#c34176", "#f27257", "#fdae72", "#fcf3c0")
CONFIDENCE_RAMP = ("#03254f", "#2c446e", "#59606f", "#858077", "#b4a26d", "#e0c654", "#fdea45")

#: How zlib packs pictures in the report: runs alone take a quarter of the usual search's time on maps of noise, and
#: are a tenth to a quarter smaller.
_PACKED = {"compress_level": 4, "compress_type": zlib.Z_RLE}
_LEVELS = 33  # colour steps of a map: as many as a reader can tell from the legend, and it keeps the files small


@dataclass(frozen=True, eq=False)
class View:
    """Rows of a picture as they are to be shown, before orientation.

    Attributes
    ----------
    height, width : int
        In pixels, as stored.
    rows : callable
        RGB or RGBA in [0, 1], alpha not premultiplied.
    """

    height: int
    width: int
    rows: Rows


def view_of(image: Image) -> View:
    """Return the sRGB view of a picture, with alpha where there is one."""

    def rows(y0: int, y1: int) -> NDArray[np.float32]:
        part = expand_palette(_crop_rows(image, y0, y1))
        out = view_rgb(part, 0, part.height)
        if part.alpha is not None:
            alpha = np.asarray(part.alpha, dtype=np.float32)[..., None] / np.float32(part.max_value)
            out = np.concatenate([out, alpha], axis=2)
        release(image.pixels)
        release(image.alpha)
        return out

    return View(image.height, image.width, rows)


def enlarged_view(image: Image, scale: int, kernel: Kernel) -> View:
    """Return the view of a picture enlarged by the kernel in its native samples, as the engine enlarges it."""
    if scale == 1:
        return view_of(image)
    source = expand_palette(image) if image.mode is ColorMode.PALETTE else image

    def one(samples: Samples, y0: int, y1: int) -> Samples:
        big = enlarge_rows(samples, y0, y1, scale, kernel)
        whole = np.clip(np.rint(big), 0, source.max_value)
        return whole.astype(np.uint16) if source.bits == 16 else whole.astype(np.uint8)

    def rows(y0: int, y1: int) -> NDArray[np.float32]:
        alpha = None if source.alpha is None else one(source.alpha, y0, y1)
        part = source.replace(pixels=one(source.pixels, y0, y1), alpha=alpha)
        return view_of(part).rows(0, y1 - y0)

    return View(source.height * scale, source.width * scale, rows)


def _crop_rows(image: Image, y0: int, y1: int) -> Image:
    alpha = None if image.alpha is None else image.alpha[y0:y1]
    return image.replace(pixels=image.pixels[y0:y1], alpha=alpha)


def shrink(view: View, limit: int) -> NDArray[np.float32]:
    """Return a picture reduced so that its longer side is at most ``limit`` pixels; smaller ones come back as they are.

    Whole blocks are averaged row band by row band until the picture is about one and a half times too large; the
    rest is an averaging filter of the exact factor. Works in bounded memory.

    Returns
    -------
    (h, w, C) float32
        RGBA comes back premultiplied by alpha.
    """
    factor = max(view.height, view.width) / limit
    block = max(1, int(factor / 1.5))
    step = max(block, _BAND // view.width // block * block)
    parts = []
    for y0 in range(0, view.height, step):
        rows = view.rows(y0, min(view.height, y0 + step))
        if rows.shape[2] == 4:
            rows = np.concatenate([rows[..., :3] * rows[..., 3:], rows[..., 3:]], axis=2)
        parts.append(_blocks(rows, block))
    small = np.concatenate(parts)
    if factor <= 1:
        return small
    height = max(1, round(view.height / factor))
    width = max(1, round(view.width / factor))
    return _area(_area(small, height, 0), width, 1)


def _blocks(rows: NDArray[np.float32], block: int) -> NDArray[np.float32]:
    if block == 1:
        return rows
    return _pooled(_pooled(rows, block).swapaxes(0, 1), block).swapaxes(0, 1)


def _pooled(a: NDArray[np.float32], block: int) -> NDArray[np.float32]:
    """Average groups of ``block`` along the first axis; the last group may be smaller."""
    whole = a.shape[0] // block
    out: NDArray[np.float32] = a[: whole * block].reshape(whole, block, *a.shape[1:]).mean(axis=1)
    if whole * block < a.shape[0]:
        out = np.concatenate([out, a[whole * block :].mean(axis=0, keepdims=True)])
    return out


def _area(a: NDArray[np.float32], size: int, axis: int) -> NDArray[np.float32]:
    """Average along the first or the second axis down to ``size`` cells of equal, fractional length."""
    n = a.shape[axis]
    if n <= size:
        return a
    edges = np.arange(size + 1) * (n / size)
    first, start, end = edges[:-1].astype(np.int64), edges[:-1], edges[1:]
    # in two dimensions: an innermost axis of one to four channels would cost NumPy ten times as much
    within = a.shape[2] if axis else 1
    flat = a.reshape(a.shape[0], -1)
    out = np.zeros((a.shape[0], size * within) if axis else (size, flat.shape[1]), np.float32)
    for k in range(int(np.ceil(n / size)) + 1):
        at = first + k
        # how much of the cell lies over source row ``at``
        weight = np.clip(np.minimum(end, at + 1) - np.maximum(start, at), 0, None) * (size / n)
        at = np.repeat(np.minimum(at, n - 1) * within, within) + np.tile(np.arange(within), size)
        part = flat.take(at, axis=axis)
        part *= np.repeat(weight.astype(np.float32), within).reshape(1 if axis else -1, -1 if axis else 1)
        out += part
    return out.reshape(-1, size, a.shape[2]) if axis else out.reshape(size, *a.shape[1:])


def map_view(values: NDArray[np.uint16], convert: Callable[[NDArray[np.uint16]], NDArray[np.float32]]) -> View:
    """Return a one-channel view of a 16-bit map, its values converted to the unit to be shown."""

    def rows(y0: int, y1: int) -> NDArray[np.float32]:
        out = convert(np.asarray(values[y0:y1]))[..., None]
        release(values)
        return out

    return View(values.shape[0], values.shape[1], rows)


def on_checkers(small: NDArray[np.float32], cell: int = 12) -> NDArray[np.float32]:
    """Lay a premultiplied RGBA preview over a light chequerboard, so that transparency can be seen; RGB stays."""
    if small.shape[2] != 4:
        return small
    y, x = np.indices(small.shape[:2]) // cell
    board = np.where((y + x) % 2 == 0, np.float32(0.98), np.float32(0.86))[..., None]
    return small[..., :3] + (1 - small[..., 3:]) * board


def jpeg_uri(rgb: NDArray[np.float32]) -> str:
    """Return an RGB preview as a JPEG ``data:`` address."""
    from PIL import Image as Pil

    buffer = io.BytesIO()
    # no optimize=True: Pillow gives that encoder too small a buffer for very noisy pictures
    Pil.fromarray(_bytes(rgb)).save(buffer, "JPEG", quality=88, subsampling=0)
    return _uri("image/jpeg", buffer.getvalue())


def png_uri(rgb: NDArray[np.float32]) -> str:
    """Return an RGB crop as a PNG ``data:`` address, exact to 8 bit."""
    from PIL import Image as Pil

    buffer = io.BytesIO()
    Pil.fromarray(_bytes(rgb)).save(buffer, "PNG", **_PACKED)
    return _uri("image/png", buffer.getvalue())


def ramp_uri(values: NDArray[np.float32], top: float, ramp: tuple[str, ...]) -> str:
    """Return a map in colours as a PNG ``data:`` address.

    Parameters
    ----------
    values : (h, w) float32
        0 or above, in the unit of ``top``.
    top : float
        The value of the ramp's last colour; larger ones get it too.
    ramp : tuple of str
        Hex colours at equal distances.
    """
    from PIL import Image as Pil

    # 0 keeps a level of its own, so that "unchanged" and "hardly changed" do not look alike
    level = np.clip(np.ceil(values / top * (_LEVELS - 1)), 0, _LEVELS - 1).astype(np.uint8)
    picture = Pil.fromarray(level)
    picture.putpalette(_palette(ramp))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **_PACKED)
    return _uri("image/png", buffer.getvalue())


def legend_uri(ramp: tuple[str, ...]) -> str:
    """Return the ramp as a strip from left (0) to right (top)."""
    values = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (10, 1))
    return ramp_uri(values, 1.0, ramp)


def _palette(ramp: tuple[str, ...]) -> bytes:
    points = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in ramp], dtype=np.float64)
    at = np.linspace(0, len(ramp) - 1, _LEVELS)
    table = np.stack([np.interp(at, np.arange(len(ramp)), points[:, c]) for c in range(3)], axis=1)
    return np.rint(table).astype(np.uint8).tobytes()


def _bytes(rgb: NDArray[np.float32]) -> NDArray[np.uint8]:
    levels = np.clip(rgb, 0, 1, dtype=np.float32)
    levels *= 255
    return np.ascontiguousarray(np.rint(levels, out=levels).astype(np.uint8))


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def busiest(values: NDArray[np.uint16], side: int) -> tuple[int, int, int, int]:
    """Return the square of about ``side`` pixels whose map values have the largest sum.

    Returns
    -------
    (y0, y1, x0, x1) : int
        Half-open, inside the picture; searched on a grid of a quarter of the side.
    """
    height, width = values.shape
    cell = max(1, side // 4)
    sums = []
    for y0 in range(0, height, cell):
        band = np.asarray(values[y0 : y0 + cell], dtype=np.int64).sum(axis=0)
        sums.append(np.add.reduceat(band, np.arange(0, width, cell)))
        release(values)
    grid = np.stack(sums)
    n_y, n_x = min(4, grid.shape[0]), min(4, grid.shape[1])
    windows = np.lib.stride_tricks.sliding_window_view(grid, (n_y, n_x)).sum(axis=(2, 3))
    gy, gx = np.unravel_index(int(np.argmax(windows)), windows.shape)
    h, w = min(side, height), min(side, width)
    y = min(int(gy) * cell, height - h)
    x = min(int(gx) * cell, width - w)
    return y, y + h, x, x + w


def thirds(values: NDArray[np.uint16]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, for nine equal parts of the picture, the share of values above 0 and the mean value.

    Returns
    -------
    share, mean : (3, 3) float64
        NaN for parts without pixels (pictures narrower than three).
    """
    height, width = values.shape
    ys, xs = [height * i // 3 for i in range(4)], [width * i // 3 for i in range(4)]
    share, mean = np.full((3, 3), np.nan), np.full((3, 3), np.nan)
    for i in range(3):
        for j in range(3):
            count = changed = total = 0
            for y0 in range(ys[i], ys[i + 1], 512):
                part = np.asarray(values[y0 : min(ys[i + 1], y0 + 512), xs[j] : xs[j + 1]])
                count += part.size
                changed += int(np.count_nonzero(part))
                total += int(part.sum(dtype=np.int64))
                release(values)
            if count:
                share[i, j], mean[i, j] = changed / count, total / count
    return share, mean
