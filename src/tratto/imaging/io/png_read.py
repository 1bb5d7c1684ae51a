"""Reading PNG (ISO/IEC 15948:2004 and the APNG and eXIf extensions), band by band.

The chunks are parsed here, so that every check sum, size and inflated block is bounded before it is believed. Only the
row filters are undone by libpng: a band of inflated rows is wrapped into a small uncompressed PNG of its own. Samples
below 8 bits and palette indices are passed through as grey bytes, hence nothing is expanded or scaled on the way.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import CorruptPicture, PictureTooLarge
from tratto.core.image import ColorMode, Image, Metadata
from tratto.core.text import listed
from tratto.imaging.io import bits as bitpack
from tratto.imaging.io import exif as exif_blocks
from tratto.imaging.io.icc import profile_notes
from tratto.imaging.io.source import ReadContext, Source, rows_per_band

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = "XML:com.adobe.xmp"

#: Ancillary chunks that are carried through unread. The second group only fits the same colour type and depth.
COLOUR_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"tIME")
SHAPE_CHUNKS = (b"sBIT", b"bKGD", b"hIST")

#: Chunks of metadata: where one is broken it is dropped with a note, and the picture is read without it.
_BLOCKS = (b"iCCP", b"eXIf", b"pHYs", b"tEXt", b"zTXt", b"iTXt", *COLOUR_CHUNKS, *SHAPE_CHUNKS)

#: More chunks than this are refused: a 2 GiB file of empty chunks would otherwise take minutes.
MAX_CHUNKS = 500_000

#: More texts, or carried colour chunks, than this are refused.
MAX_TEXTS = 10_000

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass(frozen=True)
class Frame:
    """One APNG frame: where it stands, how it is combined, and where its data lies in the file."""

    width: int
    height: int
    x: int
    y: int
    dispose: int
    blend: int
    data: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Parsed:
    """What the chunks say; samples not yet decoded."""

    width: int
    height: int
    depth: int
    color: int
    interlaced: bool
    palette: bytes | None = None
    trns: bytes | None = None
    data: list[tuple[int, int]] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    default_is_frame: bool = False
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        """Samples per pixel."""
        return _CHANNELS[self.color]

    @property
    def pages(self) -> int:
        """The default picture and the frames of an animation."""
        if not self.frames:
            return 1
        return len(self.frames) + (0 if self.default_is_frame else 1)


def count_png(ctx: ReadContext) -> int:
    """Count the frames of an animated PNG (1 for a still one).

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name, limits and page.

    Returns
    -------
    int
        At least 1.
    """
    return parse_png(ctx).pages


def read_png(ctx: ReadContext) -> Image:
    """Read the default picture, or a composed frame of an animation.

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name, limits and page.

    Returns
    -------
    Image
        A tRNS colour key becomes an alpha plane of the same depth.

    Raises
    ------
    InputError
        If it is broken, cut off, over a limit, or has no such frame.
    """
    parsed = parse_png(ctx)
    ctx.check_page(parsed.pages)
    if ctx.page == 0:
        pixels, alpha = _decode(ctx, parsed, parsed.data, parsed.width, parsed.height)
    else:
        pixels, alpha = _compose(ctx, parsed)
    palette = None
    mode = ColorMode.PALETTE if parsed.color == 3 else ColorMode.RGB if parsed.color in (2, 6) else ColorMode.GRAY
    bits = parsed.depth
    if parsed.color == 3:
        palette = _palette(parsed, ctx.name)
        if ctx.page:
            mode, bits, palette = ColorMode.RGB, 8, None
    return Image(pixels, mode, bits, alpha, palette, _metadata(parsed, mode))


# ---------------------------------------------------------------------------------------------------------- chunks


def _chunks(source: Source, notes: list[str]) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, offset of the data, length) up to IEND, with every check sum verified; note what lies behind."""
    at, count = len(SIGNATURE), 0
    while True:
        if at + 12 > source.size:
            raise CorruptPicture(f"{source.name}: the PNG ends early: there is no IEND chunk")
        length, kind = struct.unpack(">I4s", source.read_at(at, 8))
        if length > 0x7FFFFFFF or not kind.isalpha():
            raise CorruptPicture(f"{source.name}: broken PNG chunk at offset {at}")
        if at + 12 + length > source.size:
            raise CorruptPicture(f"{source.name}: the PNG ends early, inside its {kind.decode('ascii')} chunk")
        crc = zlib.crc32(kind)
        for offset in range(at + 8, at + 8 + length, 1 << 20):
            crc = zlib.crc32(source.read_at(offset, min(1 << 20, at + 8 + length - offset)), crc)
        sound = source.read_at(at + 8 + length, 4) == struct.pack(">I", crc)
        if not sound and kind in _BLOCKS:
            notes.append(f"the chunk {kind.decode('ascii')} was dropped: its check sum is wrong")
        elif not sound:
            raise CorruptPicture(
                f"{source.name}: the check sum of the {kind.decode('ascii')} chunk at offset {at} is wrong; the file "
                "was damaged, get another copy of it"
            )
        if sound:
            yield kind, at + 8, length
        if kind == b"IEND":
            if source.size > at + 12:
                notes.append(f"{source.size - at - 12} bytes behind the end of the PNG are not carried on")
            return
        at += 12 + length
        count += 1
        if count > MAX_CHUNKS:
            raise PictureTooLarge(f"{source.name}: has more than {MAX_CHUNKS} PNG chunks")


def inflate_bounded(data: bytes, limit: int, name: str) -> bytes:
    """Inflate a metadata block, never to more than ``limit`` bytes.

    Raises
    ------
    PictureTooLarge
        If there would be more.
    CorruptPicture
        If the stream is broken or cut off.
    """
    inflater = zlib.decompressobj()
    try:
        out = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise CorruptPicture(f"its compressed data are broken: {error}") from error
    if len(out) > limit:
        raise PictureTooLarge(f"{name}: a compressed metadata block inflates to more than {limit} bytes")
    if not inflater.eof:
        raise CorruptPicture("its compressed data are cut off")
    return out


def parse_png(ctx: ReadContext) -> Parsed:
    """Read and check all chunks.

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name and limits.

    Returns
    -------
    Parsed
        Size, kind of samples, metadata, and where the compressed data lie.
    """
    source, limits, name = ctx.source, ctx.limits, ctx.name
    if source.head(8) != SIGNATURE:
        raise CorruptPicture(f"{name}: not a PNG")
    parsed: Parsed | None = None
    meta: dict[str, Any] = {"text": [], "chunks": [], "notes": [], "itxt": {}}
    used = 0
    others: dict[str, None] = {}
    ended_data = animated = False
    for kind, offset, length in _chunks(source, meta["notes"]):
        if parsed is None:
            if kind != b"IHDR" or length != 13:
                raise CorruptPicture(f"{name}: a PNG must begin with an IHDR chunk of 13 bytes")
            parsed = _header(source.read_at(offset, 13), ctx)
            parsed.meta = meta
            continue
        if kind == b"IDAT":
            if ended_data:
                raise CorruptPicture(f"{name}: the IDAT chunks are not together")
            parsed.data.append((offset, length))
            continue
        ended_data = ended_data or bool(parsed.data)
        if kind == b"acTL":
            animated = animated or not parsed.data
        elif kind in (b"fcTL", b"fdAT") and not animated:
            others[kind.decode("ascii")] = None  # frames are an animation only behind the chunk that announces one
        elif kind == b"fdAT":
            if not parsed.frames or length < 4:
                raise CorruptPicture(f"{name}: animation data without a frame header")
            parsed.frames[-1].data.append((offset + 4, length - 4))
        elif kind == b"fcTL":
            parsed.frames.append(_frame(source.read_at(offset, length), parsed, ctx))
            limits.check_pages(len(parsed.frames), name)
            if not parsed.data and len(parsed.frames) == 1:
                parsed.default_is_frame = True
        elif kind == b"PLTE":
            if length % 3 or not 3 <= length <= 768:
                raise CorruptPicture(f"{name}: a palette has 1-256 entries of 3 bytes, got {length} bytes")
            parsed.palette = source.read_at(offset, length)
        elif kind == b"tRNS":
            if length > 256:
                raise CorruptPicture(f"{name}: the tRNS chunk has {length} bytes, expected at most 256")
            parsed.trns = source.read_at(offset, length)
        elif kind in _BLOCKS:
            used += length
            limits.check_metadata(used, name)
            try:
                used += _ancillary(kind, source.read_at(offset, length), meta, limits.max_metadata - used, name)
            except CorruptPicture as error:
                meta["notes"].append(f"the chunk {kind.decode('ascii')} was dropped: {error}")
            limits.check_metadata(used, name)
            if len(meta["text"]) + len(meta["chunks"]) + len(meta["notes"]) > MAX_TEXTS:
                raise PictureTooLarge(f"{name}: has more than {MAX_TEXTS} texts")
        elif kind == b"caBX":
            meta["notes"].append("the file holds content credentials (caBX); they are not carried on")
        elif kind[0] & 0x20:
            others[kind.decode("ascii")] = None
        elif not kind[0] & 0x20 and kind != b"IEND":
            raise CorruptPicture(f"{name}: has the unknown critical chunk {kind.decode('ascii')}")
    if parsed is None or not parsed.data:
        raise CorruptPicture(f"{name}: the PNG has no picture data (IDAT)")
    if others:
        meta["notes"].append(f"the PNG has chunks that are not carried on: {listed(others)}")
    if parsed.color == 3 and parsed.palette is None:
        raise CorruptPicture(f"{name}: a palette picture without a palette (PLTE)")
    return parsed


def _header(data: bytes, ctx: ReadContext) -> Parsed:
    width, height, depth, color, compression, filtering, interlace = struct.unpack(">IIBBBBB", data)
    ctx.limits.check_size(width, height, ctx.name)
    if color not in _DEPTHS or depth not in _DEPTHS[color]:
        raise CorruptPicture(f"{ctx.name}: colour type {color} with {depth} bits does not exist in PNG")
    if compression or filtering or interlace > 1:
        raise CorruptPicture(f"{ctx.name}: unknown PNG compression, filter or interlace method")
    return Parsed(width, height, depth, color, bool(interlace))


def _frame(data: bytes, parsed: Parsed, ctx: ReadContext) -> Frame:
    if len(data) != 26:
        raise CorruptPicture(f"{ctx.name}: an animation frame header has 26 bytes, got {len(data)}")
    _, width, height, x, y, _, _, dispose, blend = struct.unpack(">IIIIIHHBB", data)
    if width < 1 or height < 1 or x + width > parsed.width or y + height > parsed.height or dispose > 2 or blend > 1:
        raise CorruptPicture(f"{ctx.name}: an animation frame lies outside the picture")
    return Frame(width, height, x, y, dispose, blend)


def _ancillary(kind: bytes, data: bytes, meta: dict[str, Any], budget: int, name: str) -> int:
    """File one metadata chunk in ``meta``; return the bytes it added by inflating."""
    if kind in COLOUR_CHUNKS + SHAPE_CHUNKS:
        meta["chunks"].append([kind.decode("ascii"), base64.b64encode(data).decode("ascii")])
        return 0
    if kind == b"eXIf":
        meta["exif"] = data[6:] if data.startswith(b"Exif\0\0") else data
        return 0
    if kind == b"pHYs":
        if len(data) == 9:
            x, y, unit = struct.unpack(">IIB", data)
            if unit == 1 and x and y:
                meta["dpi"] = (dpi_from_metre(x), dpi_from_metre(y))
            else:
                meta["aspect"] = [x, y, unit]
        return 0
    key_bytes, nul, rest = data.partition(b"\0")
    if not nul:
        meta["notes"].append(f"a {kind.decode('ascii')} chunk without a keyword was dropped")
        return 0
    key = key_bytes.decode("latin-1")
    added = 0
    if kind in (b"iCCP", b"zTXt"):
        if not rest or rest[0] != 0:
            raise CorruptPicture("it uses an unknown compression")
        value = inflate_bounded(rest[1:], budget, name)
        added = len(value)
        if kind == b"iCCP":
            meta["icc"], meta["icc_name"] = value, key
        else:
            _text(meta, key, value.decode("latin-1"))
    elif kind == b"tEXt":
        _text(meta, key, rest.decode("latin-1"))
    else:
        if len(rest) < 2 or rest.count(b"\0", 2) < 2:
            meta["notes"].append("a malformed iTXt chunk was dropped")
            return 0
        language, translated, raw = rest[2:].split(b"\0", 2)
        if rest[0]:
            raw = inflate_bounded(raw, budget, name)
            added = len(raw)
        if key == XMP_KEYWORD:
            meta["xmp"] = raw
            return added
        text = raw.decode("utf-8", "replace")
        if language or translated:
            fields = [language.decode("latin-1"), translated.decode("utf-8", "replace")]
            meta["itxt"][str(len(meta["text"]))] = fields
        _text(meta, key, text)
    return added


def _text(meta: dict[str, Any], key: str, value: str) -> None:
    """File one text, recognising the hexadecimal "raw profiles" that ImageMagick and exiftool write."""
    if key.startswith("Raw profile type "):
        raw = _raw_profile(value)
        what = key.removeprefix("Raw profile type ").strip().lower()
        if raw is not None and what in ("8bim", "iptc"):
            meta.setdefault("iptc", raw.removeprefix(b"Photoshop 3.0\0"))
            return
        if raw is not None and what in ("exif", "app1") and raw.startswith(b"Exif\0\0"):
            meta.setdefault("exif", raw[6:])
            return
    meta["text"].append((key, value))


def _raw_profile(value: str) -> bytes | None:
    lines = value.strip("\n").split("\n")
    if len(lines) < 3:
        return None
    try:
        raw = bytes.fromhex("".join(lines[2:]))
        return raw if len(raw) == int(lines[1]) else None
    except ValueError:
        return None


def dpi_from_metre(per_metre: int) -> float:
    """Turn dots per metre into dots per inch, to the whole number that is stored as this value if there is one.

    300 dpi can only be stored as 11811 dots per metre, so 11811 means 300 and not 299.9994.
    """
    exact = per_metre * 254 / 10000
    whole = round(exact)
    return float(whole) if whole and metre_from_dpi(whole) == per_metre else exact


def metre_from_dpi(dpi: float) -> int:
    """Return whole dots per metre."""
    return min(0x7FFFFFFF, max(1, round(dpi * 10000 / 254)))


def _metadata(parsed: Parsed, mode: ColorMode) -> Metadata:
    meta = parsed.meta
    notes = list(meta["notes"])
    exif = meta.get("exif")
    orientation, _ = exif_blocks.facts_of(exif, notes)
    notes += profile_notes(meta.get("icc"), mode)
    extra: dict[str, Any] = {}
    if meta["chunks"]:
        extra["png_chunks"] = meta["chunks"]
        extra["png_header"] = [parsed.color, parsed.depth]
    for key in ("icc_name", "aspect", "itxt"):
        if meta.get(key):
            extra[f"png_{key}"] = meta[key]
    if notes:
        extra["notes"] = notes
    return Metadata(
        format="png",
        icc=meta.get("icc"),
        exif=exif or None,
        xmp=meta.get("xmp"),
        iptc=meta.get("iptc"),
        orientation=orientation,
        dpi=meta.get("dpi"),
        text=tuple(meta["text"]),
        extra=extra,
    )


def _palette(parsed: Parsed, name: str) -> NDArray[np.uint8]:
    raw = np.frombuffer(parsed.palette or b"", np.uint8).reshape(-1, 3)
    out = np.full((len(raw), 4), 255, np.uint8)
    out[:, :3] = raw
    if parsed.trns is not None:
        if len(parsed.trns) > len(raw):
            raise CorruptPicture(f"{name}: the tRNS chunk has more entries than the palette")
        out[: len(parsed.trns), 3] = np.frombuffer(parsed.trns, np.uint8)
    return out


# --------------------------------------------------------------------------------------------------------- samples


class _Inflater:
    """Hands out exact amounts of the data that several chunks hold compressed."""

    def __init__(self, source: Source, pieces: list[tuple[int, int]]) -> None:
        self._source = source
        self._compressed = self._feed(pieces)
        self._inflater = zlib.decompressobj()
        self._pending = b""

    def _feed(self, pieces: list[tuple[int, int]]) -> Iterator[bytes]:
        for offset, length in pieces:
            for start in range(0, length, 1 << 20):
                yield self._source.read_at(offset + start, min(1 << 20, length - start))

    def take(self, size: int) -> bytes:
        parts: list[bytes] = []
        missing = size
        while missing:
            if not self._pending and not self._inflater.eof:
                self._pending = next(self._compressed, b"")
            if not self._pending or self._inflater.eof:
                # what zlib still holds back when the input has ended
                rest = b"" if self._inflater.eof else self._inflater.decompress(b"", missing)
                if not rest:
                    raise CorruptPicture(f"{self._source.name}: the compressed picture data ends early")
                parts.append(rest)
                missing -= len(rest)
                continue
            try:
                part = self._inflater.decompress(self._pending, missing)
            except zlib.error as error:
                raise CorruptPicture(f"{self._source.name}: the compressed picture data is broken: {error}") from error
            self._pending = self._inflater.unconsumed_tail
            parts.append(part)
            missing -= len(part)
        return b"".join(parts) if len(parts) != 1 else parts[0]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _unfilter(
    rows: NDArray[np.uint8], previous: NDArray[np.uint8] | None, width: int, depth: int, color: int
) -> NDArray[Any]:
    """Undo the filters of a band with libpng.

    Parameters
    ----------
    rows : (h, 1 + row_bytes) uint8
        With the filter type in front of each row.
    previous : (row_bytes,) uint8 or None
        The unfiltered row above, as stored in the file.
    width : int
        In pixels of the wrapped picture.
    depth, color : int
        Of the wrapped picture.

    Returns
    -------
    (h, width[, channels]) uint8 or uint16
        Samples as stored; below 8 bits one in each byte.
    """
    import imagecodecs

    lead = 0
    raw = rows.tobytes()
    if previous is not None:
        raw, lead = b"\0" + previous.tobytes() + raw, 1
    header = struct.pack(">IIBBBBB", width, rows.shape[0] + lead, depth, color, 0, 0, 0)
    wrapped = SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(raw, 0)) + _chunk(b"IEND", b"")
    decoded: NDArray[Any] = imagecodecs.png_decode(wrapped)
    return decoded[lead:]


def _decode_rows(
    inflater: _Inflater, width: int, height: int, parsed: Parsed, name: str
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (first row, samples (h, width, channels)) of one non-interlaced picture or one pass."""
    row_bytes = (width * parsed.channels * parsed.depth + 7) // 8
    step = rows_per_band(row_bytes)
    # below 8 bits and for palettes the filters work on whole bytes, exactly as in a grey picture of that many bytes
    as_bytes = parsed.depth < 8 or parsed.color == 3
    wrapped_width, depth, color = (row_bytes, 8, 0) if as_bytes else (width, parsed.depth, parsed.color)
    previous: NDArray[np.uint8] | None = None
    for start in range(0, height, step):
        count = min(step, height - start)
        rows = np.frombuffer(inflater.take(count * (row_bytes + 1)), np.uint8).reshape(count, row_bytes + 1)
        if rows[:, 0].max() > 4:
            raise CorruptPicture(f"{name}: row {start + int(np.argmax(rows[:, 0] > 4))} has an unknown PNG filter")
        samples = _unfilter(rows, previous, wrapped_width, depth, color)
        last = samples[-1]
        previous = np.frombuffer(last.astype(">u2").tobytes() if depth == 16 else last.tobytes(), np.uint8)
        if as_bytes:
            samples = bitpack.unpack(samples, width, parsed.depth)
        yield start, samples.reshape(count, width, parsed.channels)


def _decode(
    ctx: ReadContext, parsed: Parsed, data: list[tuple[int, int]], width: int, height: int
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Decode one picture or frame into new pixel and alpha arrays."""
    dtype = np.uint16 if parsed.depth == 16 else np.uint8
    color_channels = parsed.channels - (1 if parsed.color in (4, 6) else 0)
    key = _color_key(parsed, ctx.name)
    shape: tuple[int, ...] = (height, width) if color_channels == 1 else (height, width, color_channels)
    pixels = ctx.new_array(shape, dtype)
    alpha = ctx.new_array((height, width), dtype) if parsed.color in (4, 6) or key is not None else None
    full = (1 << parsed.depth) - 1
    entries = len(parsed.palette or b"") // 3

    def place(samples: NDArray[Any], where: tuple[slice, slice]) -> None:
        if parsed.color == 3 and int(samples.max()) >= entries:
            raise CorruptPicture(
                f"{ctx.name}: a palette index of {int(samples.max())} is out of range of the {entries} palette entries"
            )
        pixels[where] = samples[..., 0] if color_channels == 1 else samples[..., :color_channels]
        if alpha is not None:
            alpha[where] = samples[..., -1] if key is None else np.where((samples == key).all(-1), 0, full)

    inflater = _Inflater(ctx.source, data)
    passes = _ADAM7 if parsed.interlaced else ((0, 0, 1, 1),)
    for x0, y0, dx, dy in passes:
        w, h = max(0, -(-(width - x0) // dx)), max(0, -(-(height - y0) // dy))
        if not w or not h:
            continue
        for start, samples in _decode_rows(inflater, w, h, parsed, ctx.name):
            first = y0 + start * dy
            place(samples, (slice(first, first + (len(samples) - 1) * dy + 1, dy), slice(x0, None, dx)))
    return pixels, alpha


def _color_key(parsed: Parsed, name: str) -> NDArray[Any] | None:
    if parsed.trns is None or parsed.color == 3:
        return None
    if parsed.color in (4, 6) or len(parsed.trns) != 2 * parsed.channels:
        raise CorruptPicture(f"{name}: the tRNS chunk does not fit the colour type")
    # of a shallow picture only the lowest bits of a key count
    return np.frombuffer(parsed.trns, ">u2").astype(np.uint16) & ((1 << parsed.depth) - 1)


# ------------------------------------------------------------------------------------------------------- animation


def _compose(ctx: ReadContext, parsed: Parsed) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Draw the frames up to the wanted one over each other, as APNG asks."""
    index = ctx.page - (0 if parsed.default_is_frame else 1)
    ctx.limits.check_composing(index + 1, parsed.width, parsed.height, ctx.name)
    rgb = parsed.color in (2, 3, 6)
    dtype = np.uint16 if parsed.depth == 16 else np.uint8
    full = 255 if parsed.color == 3 else (1 << parsed.depth) - 1
    shape: tuple[int, ...] = (parsed.height, parsed.width, 3) if rgb else (parsed.height, parsed.width)
    pixels, alpha = np.zeros(shape, dtype), np.zeros(shape[:2], dtype)
    palette = _palette(parsed, ctx.name) if parsed.color == 3 else None
    for number, frame in enumerate(parsed.frames[: index + 1]):
        data = parsed.data if number == 0 and parsed.default_is_frame else frame.data
        color, own_alpha = _decode(ctx, parsed, data, frame.width, frame.height)
        if palette is not None:
            color, own_alpha = palette[color, :3], palette[color, 3]
        where = (slice(frame.y, frame.y + frame.height), slice(frame.x, frame.x + frame.width))
        before = (pixels[where].copy(), alpha[where].copy())
        _blend(pixels[where], alpha[where], color, own_alpha, full, over=frame.blend == 1)
        if number == index:
            break
        if frame.dispose == 1 or (frame.dispose == 2 and number == 0):
            pixels[where], alpha[where] = 0, 0
        elif frame.dispose == 2:
            pixels[where], alpha[where] = before
    return pixels, (None if int(alpha.min()) == full else alpha)


def _blend(
    pixels: NDArray[Any],
    alpha: NDArray[Any],
    color: NDArray[Any],
    own_alpha: NDArray[Any] | None,
    full: int,
    *,
    over: bool,
) -> None:
    """Draw one frame onto the canvas in place (PNG specification, section 13.16 for "over")."""
    if own_alpha is None or not over:
        pixels[...] = color
        alpha[...] = full if own_alpha is None else own_alpha
        return
    step = rows_per_band(pixels[:1].nbytes * 8)
    for start in range(0, len(pixels), step):
        band = slice(start, start + step)
        _blend_band(pixels[band], alpha[band], color[band], own_alpha[band], full)


def _blend_band(
    pixels: NDArray[Any], alpha: NDArray[Any], color: NDArray[Any], own_alpha: NDArray[Any], full: int
) -> None:
    a, b = own_alpha.astype(np.float64) / full, alpha.astype(np.float64) / full
    out = a + (1 - a) * b
    wide = (slice(None), slice(None), None) if pixels.ndim == 3 else (slice(None), slice(None))
    safe = np.where(out > 0, out, 1)[wide]
    mixed = (color * a[wide] + pixels * ((1 - a) * b)[wide]) / safe
    clear, solid = (own_alpha == 0)[wide], (own_alpha == full)[wide]
    pixels[...] = np.where(clear, pixels, np.where(solid, color, np.rint(mixed).astype(pixels.dtype)))
    alpha[...] = np.where(own_alpha == 0, alpha, np.rint(out * full).astype(alpha.dtype))
