"""Reading and writing BMP (the Windows bitmap headers of 12 to 124 bytes)."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import CorruptPicture, UnsupportedFormat
from tratto.core.image import ColorMode, Image, Metadata
from tratto.imaging.io import bits as bitpack
from tratto.imaging.io.icc import profile_notes
from tratto.imaging.io.png_read import dpi_from_metre, metre_from_dpi
from tratto.imaging.io.source import ReadContext, quiet, rows_per_band

_RGB, _RLE8, _RLE4, _BITFIELDS, _ALPHA_BITFIELDS = 0, 1, 2, 3, 6
_EMBEDDED = 0x4D424544  # "MBED"
_SRGB = 0x73524742  # "sRGB"


def read_bmp(ctx: ReadContext) -> Image:
    """Read a BMP: 1, 4 and 8 bits with palette, 16, 24 and 32 bits.

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name, limits and page.

    Returns
    -------
    Image
        A palette that is the plain grey ramp gives a grey picture. 16-bit pixels (5 or 6 bits per colour) are scaled
        to 8 bits per colour. A fourth channel is alpha only if the header has a mask for it.

    Raises
    ------
    InputError
        If it is broken, cut off, over a limit, or of a kind that is not read.
    """
    ctx.check_page(1)
    source, name = ctx.source, ctx.name
    head = source.read_at(0, 18)
    start, size = struct.unpack("<II", head[10:18])
    info = source.read_at(14, size)
    if size == 12:
        width, height, _, depth = struct.unpack("<HHHH", info[4:12])
        compression, x, y, used = 0, 0, 0, 0
    elif size >= 40:
        width, height, _, depth, compression, _, x, y, used = struct.unpack("<iiHHIIiiI", info[4:36])
    else:
        raise UnsupportedFormat(f"{name}: BMP with a header of {size} bytes is not read")
    bottom_up, height = height > 0, abs(height)
    ctx.limits.check_size(width, height, name)
    if depth not in (1, 4, 8, 16, 24, 32) or compression not in (_RGB, _RLE8, _RLE4, _BITFIELDS, _ALPHA_BITFIELDS):
        raise UnsupportedFormat(f"{name}: BMP with {depth} bits per pixel and compression {compression} is not read")
    meta = _metadata(ctx, info, x, y)
    if compression in (_RLE8, _RLE4):
        return _read_rle(ctx, meta, width, height)
    row_bytes = (width * depth + 31) // 32 * 4
    if start + row_bytes * height > source.size:
        raise CorruptPicture(
            f"{name}: the BMP ends early: {start + row_bytes * height} bytes expected, {source.size} here"
        )
    palette = None
    if depth <= 8:
        palette = _read_palette(ctx, size, used or 1 << depth, start, entry=3 if size == 12 else 4)
    masks = _masks(ctx, info, depth, compression) if depth in (16, 32) else None
    shape: tuple[int, ...] = (height, width) if depth <= 8 else (height, width, 3)
    pixels = ctx.new_array(shape, np.uint8)
    alpha = ctx.new_array((height, width), np.uint8) if masks is not None and masks[3] else None
    step = rows_per_band(row_bytes)
    for first in range(0, height, step):
        count = min(step, height - first)
        rows = np.frombuffer(source.read_at(start + first * row_bytes, count * row_bytes), np.uint8)
        rows = rows.reshape(count, row_bytes)
        if bottom_up:
            target, rows = slice(height - first - count, height - first), rows[::-1]
        else:
            target = slice(first, first + count)
        if depth <= 8:
            pixels[target] = bitpack.unpack(np.ascontiguousarray(rows), width, depth)
        elif depth == 24:
            pixels[target] = rows[:, : 3 * width].reshape(count, width, 3)[..., ::-1]
        elif masks is not None:
            words = np.ascontiguousarray(rows).view("<u2" if depth == 16 else "<u4")[:, :width]
            for channel in range(3):
                pixels[target, :, channel] = _component(words, masks[channel])
            if alpha is not None:
                alpha[target] = _component(words, masks[3])
    return _finish(ctx, pixels, alpha, palette, depth, meta)


def _finish(
    ctx: ReadContext,
    pixels: NDArray[Any],
    alpha: NDArray[Any] | None,
    palette: NDArray[np.uint8] | None,
    depth: int,
    meta: Metadata,
) -> Image:
    gray = palette is not None and np.array_equal(palette, _gray_ramp(depth))
    mode = ColorMode.RGB if palette is None else ColorMode.GRAY if gray else ColorMode.PALETTE
    notes = profile_notes(meta.icc, mode)
    if notes:
        meta = replace(meta, extra={"notes": notes})
    if palette is None:
        return Image(pixels, mode, 8, alpha, meta=meta)
    if int(pixels.max()) >= len(palette):
        raise CorruptPicture(
            f"{ctx.name}: a palette index of {int(pixels.max())} is out of range of the {len(palette)} palette entries"
        )
    return Image(pixels, mode, depth, palette=None if gray else palette, meta=meta)


def _gray_ramp(depth: int) -> NDArray[np.uint8]:
    ramp = np.full((1 << depth, 4), 255, np.uint8)
    ramp[:, :3] = (np.arange(1 << depth) * (255 // ((1 << depth) - 1)))[:, None]
    return ramp


def _read_palette(ctx: ReadContext, header: int, count: int, start: int, entry: int) -> NDArray[np.uint8]:
    room = (start - 14 - header) // entry
    count = min(count, room, 256)
    if count < 1:
        raise CorruptPicture(f"{ctx.name}: the BMP has no palette")
    raw = np.frombuffer(ctx.source.read_at(14 + header, count * entry), np.uint8).reshape(count, entry)
    palette = np.full((count, 4), 255, np.uint8)
    palette[:, :3] = raw[:, 2::-1]
    return palette


def _masks(ctx: ReadContext, info: bytes, depth: int, compression: int) -> tuple[int, int, int, int]:
    if compression == _RGB:
        # the fourth byte of a plain 32-bit bitmap is unused and often zero
        return (0x7C00, 0x3E0, 0x1F, 0) if depth == 16 else (0xFF0000, 0xFF00, 0xFF, 0)
    count = 4 if compression == _ALPHA_BITFIELDS or len(info) >= 56 else 3
    raw = info[40:56] if len(info) >= 56 else ctx.source.read_at(54, 4 * count)
    masks = struct.unpack(f"<{count}I", raw[: 4 * count])
    for mask in masks[:3]:
        low = mask & -mask
        if not mask or (mask // low) & (mask // low + 1):
            raise CorruptPicture(f"{ctx.name}: impossible BMP colour mask {mask:#010x}")
    return masks[0], masks[1], masks[2], masks[3] if count == 4 else 0


def _component(words: NDArray[Any], mask: int) -> NDArray[np.uint8]:
    low = mask & -mask
    top = mask // low
    values = (words.astype(np.uint32) & np.uint32(mask)) // np.uint32(low)
    if top == 255:
        return values.astype(np.uint8)
    scaled: NDArray[np.uint8] = ((values.astype(np.uint64) * 255 + top // 2) // top).astype(np.uint8)
    return scaled


def _read_rle(ctx: ReadContext, meta: Metadata, width: int, height: int) -> Image:
    """Leave the run-length kinds to Pillow, which reads them exactly as palette indices."""
    from PIL import BmpImagePlugin

    with quiet():
        picture = BmpImagePlugin.BmpImageFile(io.BytesIO(ctx.source.all()))
        if picture.size != (width, height) or picture.mode not in ("L", "P", "1"):
            raise UnsupportedFormat(f"{ctx.name}: this kind of run-length BMP is not read")
        picture.load()
    raw = np.array(picture.convert("L") if picture.mode == "1" else picture, np.uint8)
    if picture.mode != "P":
        return Image(raw, ColorMode.GRAY, 8, meta=meta)
    colors = picture.getpalette("RGB") or []
    palette = np.full((len(colors) // 3, 4), 255, np.uint8)
    palette[:, :3] = np.array(colors, np.uint8).reshape(-1, 3)
    return _finish(ctx, raw, None, palette, 8, meta)


def _metadata(ctx: ReadContext, info: bytes, x: int, y: int) -> Metadata:
    icc = None
    if len(info) >= 124 and struct.unpack("<I", info[56:60])[0] == _EMBEDDED:
        offset, size = struct.unpack("<II", info[112:120])
        ctx.limits.check_metadata(size, ctx.name)
        icc = ctx.source.read_at(14 + offset, size) or None
    dpi = (dpi_from_metre(x), dpi_from_metre(y)) if x > 0 and y > 0 else None
    return Metadata("bmp", icc=icc, dpi=dpi)


def write_bmp(stream: BinaryIO, image: Image) -> None:
    """Write a BMP, with a 124-byte header when there is alpha or an ICC profile.

    Parameters
    ----------
    stream : BinaryIO
        Written from where it stands; a file in memory or on disk.
    image : Image
        Gray (written as a grey palette), palette or RGB, at most 8 bits. EXIF, XMP, IPTC and text have no place in
        a BMP.
    """
    depth = {1: 1, 2: 4, 4: 4, 8: 8}[image.bits] if image.mode is not ColorMode.RGB else 24
    scale = 1
    if image.mode is ColorMode.GRAY and image.bits == 2:
        scale = 5  # 2-bit bitmaps are not standard; 0-3 becomes 0-15
    table = b""
    colors = 0
    if depth <= 8:
        palette = _gray_ramp(depth) if image.palette is None else image.palette
        bgra = np.zeros((len(palette), 4), np.uint8)
        bgra[:, :3] = palette[:, 2::-1]
        table, colors = bgra.tobytes(), len(palette)
    if image.alpha is not None:
        depth = 32
    icc = image.meta.icc or b""
    large = image.alpha is not None or bool(icc)
    header = 124 if large else 40
    row_bytes = (image.width * depth + 31) // 32 * 4
    start = 14 + header + len(table)
    size = start + row_bytes * image.height
    x, y = (metre_from_dpi(v) for v in image.meta.dpi) if image.meta.dpi else (0, 0)
    compression = _BITFIELDS if depth == 32 else _RGB
    stream.write(struct.pack("<2sIHHI", b"BM", (size + len(icc)) & 0xFFFFFFFF, 0, 0, start))
    stream.write(
        struct.pack(
            "<IiiHHIIiiII",
            header,
            image.width,
            image.height,
            1,
            depth,
            compression,
            (row_bytes * image.height) & 0xFFFFFFFF,
            x,
            y,
            colors,
            0,
        )
    )
    if large:
        masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000) if depth == 32 else (0, 0, 0, 0)
        space = (_EMBEDDED, size - 14, len(icc)) if icc else (_SRGB, 0, 0)
        stream.write(struct.pack("<4II", *masks, space[0]) + bytes(48))
        stream.write(struct.pack("<IIII", 4, space[1], space[2], 0))
    stream.write(table)
    step = rows_per_band(row_bytes)
    for last in range(image.height, 0, -step):
        first = max(0, last - step)
        band: NDArray[Any] = np.asarray(image.pixels[first:last])[::-1]
        rows = np.zeros((last - first, row_bytes), np.uint8)
        if depth <= 8:
            packed = bitpack.pack(band * np.uint8(scale), depth)
            rows[:, : packed.shape[1]] = packed
        else:
            if image.mode is ColorMode.GRAY:
                band = np.repeat(band[..., None] * np.uint8(255 // image.max_value), 3, axis=2)
            wide = rows[:, : image.width * depth // 8].reshape(last - first, image.width, depth // 8)
            wide[..., :3] = band[..., ::-1]
            if image.alpha is not None:
                wide[..., 3] = image.alpha[first:last][::-1] * np.uint8(255 // image.max_value)
        stream.write(rows.tobytes())
    stream.write(icc)
