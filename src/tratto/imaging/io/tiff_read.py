"""Reading TIFF 6.0 and BigTIFF, strip by strip and tile by tile.

The directories are parsed here, so that loops, huge counts and offsets outside the file are found before anything is
decoded. Only lossless reading is done: what cannot be read exactly is refused with its name.
"""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import CorruptPicture, PictureTooLarge, UnsupportedFormat
from tratto.core.image import ColorMode, Image, Metadata
from tratto.core.text import listed
from tratto.imaging.io import exif as exif_blocks
from tratto.imaging.io.geo import GEO_TAGS
from tratto.imaging.io.icc import profile_notes
from tratto.imaging.io.source import ReadContext, rows_per_band

#: Private tag in which our writer keeps an EXIF block that a TIFF directory cannot hold byte for byte.
RAW_EXIF = 65117

#: More tags than this, over all directories, are refused: directories may overlap, so that a small file could claim
#: millions.
MAX_TAGS = 200_000

#: More strips or tiles than this are refused.
MAX_SEGMENTS = 100_000

COMPRESSIONS = {
    1: "none",
    2: "ccitt-rle",
    3: "ccitt-fax3",
    4: "ccitt-fax4",
    5: "lzw",
    7: "jpeg",
    8: "deflate",
    32773: "packbits",
    32946: "deflate",
    34925: "lzma",
    50000: "zstd",
}
_OTHER_COMPRESSIONS = {6: "old-style JPEG", 33003: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", 50001: "WebP"}
_PHOTOMETRIC = {4: "transparency mask", 6: "YCbCr", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "raw sensor data"}


@dataclass(frozen=True)
class Field:
    """One directory entry, its value not yet read."""

    kind: int
    count: int
    offset: int
    inline: bytes | None


@dataclass
class Ifd:
    """One directory."""

    fields: dict[int, Field] = field(default_factory=dict)


class TiffFile:
    """The chain of directories of one file.

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name and limits.
    """

    def __init__(self, ctx: ReadContext) -> None:
        self.ctx = ctx
        head = ctx.source.head(16)
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        if not self.order or len(head) < 8:
            raise CorruptPicture(f"{ctx.name}: not a TIFF, or cut off in its header")
        version = struct.unpack(self.order + "H", head[2:4])[0]
        self.big = version == 43
        if self.big and (len(head) < 16 or struct.unpack(self.order + "HH", head[4:8]) != (8, 0)):
            raise CorruptPicture(f"{ctx.name}: broken BigTIFF header")
        first = (
            struct.unpack(self.order + "Q", head[8:16])[0]
            if self.big
            else struct.unpack(self.order + "I", head[4:8])[0]
        )
        self._metadata_used = 0
        self._tags = 0
        #: False as soon as a strip of fax data proved cut short, or one of JPEG data damaged.
        self.fax_is_whole = True
        self.jpeg_is_whole = True
        self.pages = self._chain(first)

    def directory(self, offset: int) -> tuple[Ifd, int]:
        """Read the directory at an offset; return it and the offset of the next."""
        source, order = self.ctx.source, self.order
        count_size, entry_size, word = (8, 20, "Q") if self.big else (2, 12, "I")
        count = struct.unpack(order + ("Q" if self.big else "H"), source.read_at(offset, count_size))[0]
        if count > 65535:
            raise CorruptPicture(f"{self.ctx.name}: a TIFF directory claims {count} tags")
        self._tags += count
        if self._tags > MAX_TAGS:
            raise PictureTooLarge(f"{self.ctx.name}: has more than {MAX_TAGS} TIFF tags")
        body = source.read_at(offset + count_size, count * entry_size)
        ifd = Ifd()
        inline_size = 8 if self.big else 4
        for i in range(count):
            tag, kind = struct.unpack_from(order + "HH", body, i * entry_size)
            items = struct.unpack_from(order + word, body, i * entry_size + 4)[0]
            value = body[i * entry_size + entry_size - inline_size : (i + 1) * entry_size]
            size = exif_blocks.TYPE_SIZES.get(kind, 0) * items
            if kind not in exif_blocks.TYPE_SIZES or tag in ifd.fields:
                continue  # TIFF 6.0: readers skip fields of unknown type; of a tag that comes twice the first counts
            if size <= inline_size:
                ifd.fields[tag] = Field(kind, items, 0, value[:size])
            else:
                where = struct.unpack(order + word, value)[0]
                ifd.fields[tag] = Field(kind, items, where, None)
        end = offset + count_size + count * entry_size
        # a missing link at the very end of the file is common and harmless
        if end + inline_size > source.size:
            return ifd, 0
        return ifd, struct.unpack(order + word, source.read_at(end, inline_size))[0]

    def _chain(self, offset: int) -> list[Ifd]:
        pages: list[Ifd] = []
        small: list[Ifd] = []
        seen: set[int] = set()
        while offset:
            if offset in seen:
                raise CorruptPicture(f"{self.ctx.name}: the TIFF directories go round in a circle")
            seen.add(offset)
            self.ctx.limits.check_pages(len(seen), self.ctx.name)
            ifd, offset = self.directory(offset)
            kind = self.numbers(ifd, 254, (0,))[0]
            # reduced previews (bit 0) and transparency masks (bit 2) are no pages of their own
            (small if kind & 0b101 else pages).append(ifd)
        if not pages and small:
            _refuse_preview(small[0], self.ctx.name)
            pages = small[:1]  # a file of nothing but one small picture is that picture
        if not pages:
            raise CorruptPicture(f"{self.ctx.name}: the TIFF has no directory, so no picture")
        return pages

    def raw(self, ifd: Ifd, tag: int, limit: int | None = None) -> bytes | None:
        """Return the value of a tag as little-endian bytes, or None.

        Parameters
        ----------
        ifd : Ifd
            The directory that the tag stands in.
        tag : int
            Its number, such as 34675 for an ICC profile.
        limit : int or None
            Largest size in bytes; None counts it as metadata.
        """
        entry = ifd.fields.get(tag)
        if entry is None:
            return None
        size = exif_blocks.TYPE_SIZES[entry.kind] * entry.count
        if limit is None:
            self._metadata_used += size
            self.ctx.limits.check_metadata(self._metadata_used, self.ctx.name)
        elif size > limit:
            raise CorruptPicture(f"{self.ctx.name}: TIFF tag {tag} claims {entry.count} values")
        data = entry.inline if entry.inline is not None else self.ctx.source.read_at(entry.offset, size)
        return exif_blocks.to_little(entry.kind, data, self.order == ">")

    def numbers(self, ifd: Ifd, tag: int, default: tuple[int, ...] = (), limit: int = 65536) -> tuple[int, ...]:
        """Return the integers of a tag, or the default if it is absent or empty."""
        data = self.raw(ifd, tag, limit)
        if data is None:
            return default
        entry = ifd.fields[tag]
        return exif_blocks.Entry(entry.kind, entry.count, data).numbers() or default

    def array(self, ifd: Ifd, tag: int, count: int) -> NDArray[np.uint64]:
        """Return the first ``count`` integers of a long tag."""
        entry = ifd.fields.get(tag)
        if entry is None or entry.count < count:
            have = entry.count if entry else 0
            raise CorruptPicture(f"{self.ctx.name}: TIFF tag {tag} has {have} values, {count} are needed")
        dtype = {3: "<u2", 4: "<u4", 13: "<u4", 16: "<u8", 18: "<u8"}.get(entry.kind)
        if dtype is None:
            raise CorruptPicture(f"{self.ctx.name}: TIFF tag {tag} has the wrong type {entry.kind}")
        data = self.raw(ifd, tag, 8 * max(MAX_SEGMENTS, 1))
        return np.frombuffer(data or b"", dtype)[:count].astype(np.uint64)

    def entries(self, ifd: Ifd, only: frozenset[int] | None = None) -> dict[int, exif_blocks.Entry]:
        """Return the values of a directory as EXIF entries (all of them or only some tags)."""
        out: dict[int, exif_blocks.Entry] = {}
        for tag, entry in ifd.fields.items():
            if only is None or tag in only:
                try:
                    data = self.raw(ifd, tag)
                except CorruptPicture:
                    continue  # a value outside the file; the picture itself does not need it
                out[tag] = exif_blocks.Entry(entry.kind, entry.count, data or b"")
        return out


#: DNG version, and the private maker tags of the TIFF directories of other raw files.
_RAW_TAGS = frozenset({50706, 50740, 50752, 33421, 33422})


def _refuse_preview(ifd: Ifd, name: str) -> None:
    """Refuse a file whose first picture is a preview and whose true one lies elsewhere.

    Raises
    ------
    UnsupportedFormat
        If it is such a file.
    """
    if 330 in ifd.fields or _RAW_TAGS & set(ifd.fields):
        what = "a camera raw file" if _RAW_TAGS & set(ifd.fields) else "a file"
        raise UnsupportedFormat(
            f"{name}: the TIFF holds only a reduced preview where its picture should be; the picture is in a "
            f"sub-directory, as in {what}: develop it with a raw converter first, and write a TIFF"
        )


@dataclass(frozen=True)
class Layout:
    """How the samples of one page are stored."""

    width: int
    height: int
    bits: int
    samples: int
    photometric: int
    compression: int
    predictor: int
    planar: bool
    segment_width: int
    segment_height: int
    tiled: bool
    fill_order: int
    extra: int | None
    t4_options: int
    jpeg_tables: bytes | None

    @property
    def across(self) -> int:
        """Segments per row of segments."""
        return -(-self.width // self.segment_width)

    @property
    def down(self) -> int:
        """Rows of segments."""
        return -(-self.height // self.segment_height)

    @property
    def per_segment(self) -> int:
        """Samples per pixel in one segment."""
        return 1 if self.planar else self.samples

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of a segment."""
        return (self.segment_width * self.per_segment * self.bits + 7) // 8


def count_tiff(ctx: ReadContext) -> int:
    """Count the pages of a TIFF; thumbnails and masks are not counted.

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name and limits.

    Returns
    -------
    int
        At least 1.
    """
    return len(TiffFile(ctx).pages)


def read_tiff(ctx: ReadContext) -> Image:
    """Read one page of a TIFF.

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name, limits and page.

    Returns
    -------
    Image
        Grey with 0 = black (a "white is zero" picture is turned, and turned back on writing). Premultiplied alpha stays
        as it is and is marked in ``meta.extra["tiff_alpha"]``.

    Raises
    ------
    UnsupportedFormat
        For what cannot be read exactly: float and integer samples of other widths, CIELab, more than one extra sample,
        compressions without an exact decoder here.
    InputError
        If it is broken, cut off, over a limit, or has no such page.
    """
    tiff = TiffFile(ctx)
    ctx.check_page(len(tiff.pages))
    ifd = tiff.pages[ctx.page]
    layout = _layout(tiff, ifd)
    mode = {0: ColorMode.GRAY, 1: ColorMode.GRAY, 3: ColorMode.PALETTE, 5: ColorMode.CMYK}.get(
        layout.photometric, ColorMode.RGB
    )
    dtype = np.uint16 if layout.bits == 16 else np.uint8
    colors = layout.samples - (1 if layout.extra is not None else 0)
    shape: tuple[int, ...] = (layout.height, layout.width) if colors == 1 else (layout.height, layout.width, colors)
    pixels = ctx.new_array(shape, dtype)
    alpha = ctx.new_array(shape[:2], dtype) if layout.extra is not None else None
    invert = dtype((1 << layout.bits) - 1) if layout.photometric == 0 else None
    for plane, rows, columns, samples in _segments(tiff, ifd, layout):
        if layout.planar:
            if plane >= colors and alpha is not None:
                alpha[rows, columns] = samples[..., 0]
            elif colors == 1:
                pixels[rows, columns] = samples[..., 0] if invert is None else invert - samples[..., 0]
            else:
                pixels[rows, columns, plane] = samples[..., 0]
            continue
        if colors == 1:
            pixels[rows, columns] = samples[..., 0] if invert is None else invert - samples[..., 0]
        else:
            pixels[rows, columns] = samples[..., :colors]
        if alpha is not None:
            alpha[rows, columns] = samples[..., colors]
    palette, palette_extra = _palette(tiff, ifd, layout) if mode is ColorMode.PALETTE else (None, {})
    if palette is not None and int(pixels.max()) >= len(palette):
        raise CorruptPicture(f"{ctx.name}: a palette index of {int(pixels.max())} is out of range of {len(palette)}")
    return Image(pixels, mode, layout.bits, alpha, palette, _metadata(tiff, ifd, layout, mode, palette_extra))


def _layout(tiff: TiffFile, ifd: Ifd) -> Layout:
    name = tiff.ctx.name

    def one(tag: int, default: int | None = None) -> int:
        values = tiff.numbers(ifd, tag)
        if not values:
            if default is None:
                raise CorruptPicture(f"{name}: the TIFF lacks the required tag {tag}")
            return default
        return values[0]

    width, height = one(256), one(257)
    tiff.ctx.limits.check_size(width, height, name)
    samples = one(277, 1)
    if not 1 <= samples <= 16:
        raise UnsupportedFormat(f"{name}: TIFF with {samples} samples per pixel is not read")
    bits = tiff.numbers(ifd, 258, (1,))
    formats = tiff.numbers(ifd, 339, (1,))
    compression, photometric = one(259, 1), one(262, -1)
    if any(f not in (1, 4) for f in formats):
        kinds = {2: "signed integer", 3: "floating-point", 5: "complex", 6: "complex"}
        what = next(kinds.get(f, f"format {f}") for f in formats if f not in (1, 4))
        raise UnsupportedFormat(f"{name}: TIFF with {what} samples is not read; convert it to 16-bit integers")
    if len(set(bits)) != 1 or bits[0] not in (1, 2, 4, 8, 16):
        raise UnsupportedFormat(f"{name}: TIFF with {bits} bits per sample is not read, expected 1, 2, 4, 8 or 16")
    if compression not in COMPRESSIONS:
        other = _OTHER_COMPRESSIONS.get(compression, f"number {compression}")
        raise UnsupportedFormat(f"{name}: TIFF compression {other} is not read; convert it to deflate or LZW")
    base = _base_samples(photometric, compression, name)
    if samples < base:
        raise CorruptPicture(f"{name}: the TIFF has {samples} samples per pixel, its colours need {base}")
    if samples > base + 1:
        raise UnsupportedFormat(f"{name}: TIFF with {samples - base} extra samples is not read, at most one (alpha) is")
    if bits[0] < 8 and (base != 1 or (samples != 1 and compression in (2, 3, 4, 7))):
        raise UnsupportedFormat(f"{name}: TIFF with {samples} samples of {bits[0]} bits is not read")
    if photometric == 5 and one(332, 1) != 1:
        raise UnsupportedFormat(f"{name}: TIFF with inks other than CMYK is not read")
    if photometric == 5 and compression == 7:
        raise UnsupportedFormat(f"{name}: CMYK TIFF with JPEG compression is not read; convert it to deflate or LZW")
    extra = None
    if samples == base + 1:
        extra = tiff.numbers(ifd, 338, (0,))[0]
        if extra not in (0, 1, 2):
            raise UnsupportedFormat(f"{name}: TIFF with an extra sample of unknown kind {extra} is not read")
    predictor = one(317, 1)
    if predictor not in (1, 2) or (predictor == 2 and bits[0] < 8):
        raise UnsupportedFormat(f"{name}: TIFF predictor {predictor} with {bits[0]} bits is not read")
    if compression in (2, 3, 4) and bits[0] != 1:
        raise CorruptPicture(f"{name}: fax compression needs 1 bit per sample, got {bits[0]}")
    if compression == 7 and bits[0] != 8:
        raise UnsupportedFormat(f"{name}: TIFF with {bits[0]}-bit JPEG compression is not read")
    tiled = 322 in ifd.fields
    segment_width, segment_height = (one(322), one(323)) if tiled else (width, min(one(278, height), height))
    if segment_width < 1 or segment_height < 1:
        raise CorruptPicture(f"{name}: the TIFF has strips or tiles of no size")
    if tiled and segment_width * segment_height > max(tiff.ctx.limits.max_pixels, 1 << 20):
        raise PictureTooLarge(f"{name}: the TIFF has tiles of {segment_width}x{segment_height}, over the pixel limit")
    return Layout(
        width, height, bits[0], samples, photometric, compression, predictor, one(284, 1) == 2 and samples > 1,
        segment_width, segment_height, tiled, one(266, 1), extra, one(292, 0),
        tiff.raw(ifd, 347) if compression == 7 else None,
    )  # fmt: skip


def _base_samples(photometric: int, compression: int, name: str) -> int:
    if photometric in (0, 1, 3):
        return 1
    if photometric == 2 or (photometric == 6 and compression == 7):
        return 3
    if photometric == 5:
        return 4
    if photometric == -1:
        raise CorruptPicture(f"{name}: the TIFF does not say what its samples mean (tag 262 is missing)")
    what = _PHOTOMETRIC.get(photometric, f"number {photometric}")
    raise UnsupportedFormat(f"{name}: TIFF colours of kind {what} are not read; convert it to RGB")


def _segments(tiff: TiffFile, ifd: Ifd, layout: Layout) -> Iterator[tuple[int, slice, slice, NDArray[Any]]]:
    """Yield (plane, rows, columns, samples (h, w, per_segment)) in file order."""
    planes = layout.samples if layout.planar else 1
    per_plane = layout.across * layout.down
    if per_plane * planes > MAX_SEGMENTS:
        raise PictureTooLarge(f"{tiff.ctx.name}: the TIFF has {per_plane * planes} strips or tiles")
    offset_tag, size_tag = (324, 325) if layout.tiled else (273, 279)
    offsets = tiff.array(ifd, offset_tag, per_plane * planes)
    sizes = _sizes(tiff, ifd, layout, size_tag, per_plane * planes)
    for number in range(per_plane * planes):
        plane, inside = divmod(number, per_plane)
        row, column = divmod(inside, layout.across)
        top, left = row * layout.segment_height, column * layout.segment_width
        # the last strip is shorter; tiles are always whole
        stored = layout.segment_height if layout.tiled else min(layout.segment_height, layout.height - top)
        columns = slice(left, min(left + layout.segment_width, layout.width))
        for start, samples in _decode(tiff, layout, int(offsets[number]), int(sizes[number]), stored):
            first = top + start
            last = min(first + len(samples), layout.height)
            if first >= last:
                break
            yield plane, slice(first, last), columns, samples[: last - first, : columns.stop - columns.start]


def _sizes(tiff: TiffFile, ifd: Ifd, layout: Layout, tag: int, count: int) -> NDArray[np.uint64]:
    if tag not in ifd.fields and layout.compression == 1:
        # old writers leave the byte counts out; without compression they follow from the layout
        return np.full(count, layout.row_bytes * layout.segment_height, np.uint64)
    return tiff.array(ifd, tag, count)


def _decode(tiff: TiffFile, layout: Layout, offset: int, size: int, rows: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (first row, samples) of one segment; in several bands where the compression allows."""
    need, kind = layout.row_bytes * rows, COMPRESSIONS[layout.compression]
    # no compression makes data 16 times larger; a count that says so only makes the same bytes be read again and again
    size = min(size, 16 * need + 65536)
    if kind == "jpeg":
        yield 0, _decode_jpeg(tiff, layout, offset, size, rows)
    elif kind == "none" or (kind == "deflate" and layout.fill_order == 1):
        if kind == "none" and size < need and layout.tiled:
            raise CorruptPicture(f"{tiff.ctx.name}: a TIFF tile has {size} bytes, {need} are needed")
        read = _inflated(tiff, offset, size) if kind == "deflate" else _stored(tiff, offset)
        step = rows_per_band(layout.row_bytes)
        for start in range(0, rows, step):
            count = min(step, rows - start)
            yield start, _decoder(layout, tiff.order, count, 1)(read(count * layout.row_bytes))
    elif kind == "lzma":
        import lzma

        # the limit is far above what TIFF writers use and far below what a hostile header can ask for
        data = tiff.ctx.source.read_at(offset, size)
        raw = bytearray(lzma.LZMADecompressor(memlimit=256 * 1024**2).decompress(data, need))
        yield 0, _decoder(layout, tiff.order, rows, 1)(raw)
    else:
        data = tiff.ctx.source.read_at(offset, size)
        decode = _decoder(layout, tiff.order, rows, layout.compression)
        samples = decode(data)
        if kind.startswith("ccitt") and tiff.fax_is_whole:
            tiff.fax_is_whole = _ends_where_it_should(decode, data, samples)
        yield 0, samples


@lru_cache(maxsize=16)
def _decoder(layout: Layout, order: str, rows: int, compression: int) -> Callable[[bytes | bytearray], NDArray[Any]]:
    """Return what turns the bytes of a segment of so many rows into samples (rows, segment width, samples per segment).

    tifffile decodes. It is shown a directory of nothing but what was checked here, and never the one in the file.
    """
    import tifffile

    predictor = layout.predictor if layout.compression != 1 else 1
    tags = {256: layout.segment_width, 257: rows, 258: layout.bits, 259: compression, 262: 1, 266: layout.fill_order}
    tags |= {273: 0, 277: layout.per_segment, 278: rows, 279: 0, 284: 1, 292: layout.t4_options, 317: predictor}
    head = b"II*\0" if order == "<" else b"MM\0*"
    head += struct.pack(order + "IH", 8, len(tags))
    head += b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags.items()) + bytes(4)
    with tifffile.TiffFile(io.BytesIO(head)) as described:
        decode = described.pages[0].decode

    def samples(data: bytes | bytearray) -> NDArray[Any]:
        decoded: NDArray[Any] = decode(data, 0)[0][0]
        return decoded.view(np.uint8) if decoded.dtype == bool else decoded

    return samples


def _stored(tiff: TiffFile, offset: int) -> Callable[[int], bytearray]:
    """Return what reads on from an offset."""
    at = offset

    def read(count: int) -> bytearray:
        nonlocal at
        at += count
        return bytearray(tiff.ctx.source.read_at(at - count, count))

    return read


def _inflated(tiff: TiffFile, offset: int, size: int) -> Callable[[int], bytearray]:
    """Return what reads on from deflated data."""
    tiff.ctx.source.read_at(offset + max(0, size - 1), min(size, 1))  # is it all there?
    inflater, at, pending = zlib.decompressobj(), 0, b""

    def read(count: int) -> bytearray:
        nonlocal at, pending
        out = bytearray()
        while len(out) < count:
            if not pending:
                pending = tiff.ctx.source.read_at(offset + at, min(1 << 20, size - at))
                at += len(pending)
            ended = inflater.eof or not pending
            part = inflater.decompress(pending, count - len(out))
            pending = inflater.unconsumed_tail
            if not part and ended:
                raise CorruptPicture(f"{tiff.ctx.name}: a compressed TIFF strip or tile ends early")
            out += part
        return out

    return read


def _ends_where_it_should(unfold: Callable[[bytes], NDArray[Any]], data: bytes, seen: NDArray[Any]) -> bool:
    """Return whether fax data reaches to the last row: a decoder that still wants more takes what is put behind it."""
    from tratto.imaging.io.jpeg_damage import CANARY

    try:
        return bool(np.array_equal(unfold(data + CANARY), seen))
    except Exception:  # the library raises its own kind for codes that are none, and so it had come to them
        return False


def _decode_jpeg(tiff: TiffFile, layout: Layout, offset: int, size: int, rows: int) -> NDArray[Any]:
    import imagecodecs

    data = tiff.ctx.source.read_at(offset, size)
    shape = _jpeg_shape(data, tiff.ctx.name)
    wanted = (rows, layout.segment_width, layout.per_segment)
    # the last strip may be coded as high as the others
    if shape[1:] != wanted[1:] or not rows <= shape[0] <= layout.segment_height:
        raise CorruptPicture(f"{tiff.ctx.name}: a JPEG strip or tile is {shape}, the TIFF says {wanted}")
    if data.rfind(b"\xff\xd9") < 0:
        raise CorruptPicture(f"{tiff.ctx.name}: a JPEG strip or tile ends early")
    color = out = None
    if layout.per_segment == 3:
        color, out = ("YCbCr" if layout.photometric == 6 else "RGB"), "RGB"
    if tiff.jpeg_is_whole:
        from tratto.imaging.io.jpeg_damage import damage_of

        tables = (layout.jpeg_tables or b"")[2:-2]
        tiff.jpeg_is_whole = not damage_of(data[:2] + tables + data[2:])
    decoded = imagecodecs.jpeg8_decode(data, tables=layout.jpeg_tables, colorspace=color, outcolorspace=out)
    result: NDArray[Any] = decoded.reshape(shape)[:rows]
    return result


def _jpeg_shape(data: bytes, name: str) -> tuple[int, int, int]:
    """Return (height, width, components) from the frame header of an embedded JPEG."""
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, components = struct.unpack(">HHB", data[at + 5 : at + 10])
            if data[at + 4] != 8 or marker not in (0xC0, 0xC1, 0xC2):
                raise UnsupportedFormat(f"{name}: TIFF with lossless or {data[at + 4]}-bit JPEG is not read")
            return height, width, components
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise CorruptPicture(f"{name}: a JPEG strip or tile has no frame header")


def _palette(tiff: TiffFile, ifd: Ifd, layout: Layout) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    entries = 1 << layout.bits
    if layout.bits == 16:
        raise UnsupportedFormat(f"{tiff.ctx.name}: TIFF palettes of 16 bits are not read")
    raw = tiff.array(ifd, 320, 3 * entries).astype("<u2")
    wide = raw.reshape(3, entries).T
    # some writers store 0-255 where 0-65535 is asked for
    eight = wide if int(wide.max()) < 256 else (wide.astype(np.uint32) * 255 + 32767) // 65535
    palette = np.full((entries, 4), 255, np.uint8)
    palette[:, :3] = eight
    exact = np.array_equal(palette[:, :3].astype(np.uint16) * 257, wide)
    return palette, {} if exact else {"tiff_colormap": base64.b64encode(raw.tobytes()).decode("ascii")}


def _metadata(tiff: TiffFile, ifd: Ifd, layout: Layout, mode: ColorMode, extra: dict[str, Any]) -> Metadata:
    notes: list[str] = []
    if not tiff.fax_is_whole:
        notes.append("the fax data of the TIFF are cut short: the rows that are missing were read as white")
    if not tiff.jpeg_is_whole:
        notes.append("the JPEG data of the TIFF are damaged; parts of the picture were made up by the decoder")
    extra = dict(extra)
    extra["tiff_compression"] = COMPRESSIONS[layout.compression]
    extra["tiff_predictor"] = layout.predictor
    if layout.photometric == 0:
        extra["tiff_white_is_zero"] = True
    if layout.extra is not None:
        extra["tiff_alpha"] = {0: "unspecified", 1: "associated", 2: "unassociated"}[layout.extra]
        if layout.extra == 0:
            notes.append(
                "the TIFF does not say what its last band is; it was taken for transparency. A band of another kind "
                "(near infrared, depth) is changed as such: take it out first"
            )
    orientation, note = exif_blocks.checked_orientation(tiff.numbers(ifd, 274, (1,)))
    if note:
        notes.append(note)
    for tag, what in ((330, "sub-pictures"), (37724, "Photoshop layers"), (52545, "content credentials")):
        if tag in ifd.fields:
            notes.append(f"the page has {what} (tag {tag}); they are not carried on")
    notes += _other_tags(tiff, ifd, extra)
    icc = tiff.raw(ifd, 34675)
    notes += profile_notes(icc, mode)
    exif = _exif(tiff, ifd, notes)
    resolution = tiff.entries(ifd, frozenset({282, 283, 296}))
    if resolution and exif_blocks.resolution_of(resolution) is None:
        extra["tiff_resolution"] = _as_json(resolution)
    if notes:
        extra["notes"] = notes
    return Metadata(
        format="tiff",
        icc=icc or None,
        exif=exif,
        xmp=tiff.raw(ifd, 700) or None,
        iptc=_photoshop(tiff, ifd),
        orientation=orientation,
        dpi=exif_blocks.resolution_of(resolution),
        extra=extra,
    )


#: Tags beside those of the EXIF block that hold for a picture whose samples were changed: what its colours mean, and
#: what page of what document it is, and where it lies on the earth.
KEPT_TAGS = frozenset({285, 286, 287, 297, 301, 318, 319, 337}) | GEO_TAGS
#: Tags that are read here, that only say how the samples were stored, or that others speak of already.
_KNOWN_TAGS = (
    exif_blocks.DESCRIPTIVE
    | frozenset(range(254, 267))
    | frozenset({270, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284, 288, 289, 290, 291, 292, 293, 296, 317, 320})
    | frozenset({321, 322, 323, 324, 325, 330, 332, 334, 336, 338, 339, 347, 512, 513, 514, 529, 530, 531, 532, 559})
    | frozenset({700, 33723, 34377, 34665, 34675, 34853, 37724, 40965, 52545, RAW_EXIF})
)


def _other_tags(tiff: TiffFile, ifd: Ifd, extra: dict[str, Any]) -> list[str]:
    """Keep the tags that hold for a changed picture in ``extra``; return a note of the others."""
    kept = tiff.entries(ifd, KEPT_TAGS)
    if kept:
        extra["tiff_tags"] = _as_json(kept)
    others = sorted(set(ifd.fields) - _KNOWN_TAGS - set(kept))
    if not others:
        return []
    return [f"the page has TIFF tags that are not carried on: {listed(others)}"]


def _as_json(entries: dict[int, exif_blocks.Entry]) -> dict[str, list[Any]]:
    return {str(t): [e.kind, e.count, base64.b64encode(e.data).decode("ascii")] for t, e in entries.items()}


def from_json(entries: Mapping[str, list[Any]]) -> dict[int, exif_blocks.Entry]:
    """Return entries as :class:`Metadata` keeps them in ``extra``; the inverse of what the reader did."""
    return {int(t): exif_blocks.Entry(int(k), int(n), base64.b64decode(d)) for t, (k, n, d) in entries.items()}


def _exif(tiff: TiffFile, ifd: Ifd, notes: list[str]) -> bytes | None:
    """Gather the EXIF, GPS and descriptive tags of a page into one block."""

    def sub(parent: Ifd, tag: int, what: str) -> tuple[Ifd | None, dict[int, exif_blocks.Entry]]:
        target = tiff.numbers(parent, tag)
        if len(target) != 1:
            return None, {}
        try:
            child, _ = tiff.directory(target[0])
        except CorruptPicture:
            notes.append(f"the {what} directory lies outside the file; dropped")
            return None, {}
        return child, tiff.entries(child)

    main = tiff.entries(ifd, exif_blocks.DESCRIPTIVE)
    child, exif = sub(ifd, exif_blocks.EXIF_IFD, "EXIF")
    interop: dict[int, exif_blocks.Entry] = {}
    if child is not None and exif.pop(exif_blocks.INTEROP_IFD, None) is not None:
        interop = sub(child, exif_blocks.INTEROP_IFD, "interoperability")[1]
    _, gps = sub(ifd, exif_blocks.GPS_IFD, "GPS")
    found = exif_blocks.ExifBlock(main, exif, gps, interop)
    kept = tiff.raw(ifd, RAW_EXIF)
    if kept is not None and portable(exif_blocks.parse(kept)) == found:
        # nobody edited the directories since the block was written
        return kept
    if not (main or exif or gps):
        return None
    orientation = tiff.numbers(ifd, 274, (1,))[0]
    if orientation != 1:
        main[exif_blocks.ORIENTATION] = exif_blocks.Entry(3, 1, struct.pack("<H", orientation & 0xFFFF))
    return exif_blocks.build(exif_blocks.ExifBlock(main, exif, gps, interop))


def portable(block: exif_blocks.ExifBlock) -> exif_blocks.ExifBlock:
    """Return the part of an EXIF block that the directories of a TIFF hold."""
    main = {t: e for t, e in block.main.items() if t in exif_blocks.DESCRIPTIVE}
    return exif_blocks.ExifBlock(main, block.exif, block.gps, block.interop)


def _photoshop(tiff: TiffFile, ifd: Ifd) -> bytes | None:
    """Return the Photoshop resources, with bare IPTC records among them as resource 0x0404."""
    block, iptc = tiff.raw(ifd, 34377) or b"", tiff.raw(ifd, 33723) or b""
    if iptc and b"8BIM\x04\x04" not in block:
        block += iptc_resource(iptc)
    return block or None


def iptc_resource(records: bytes) -> bytes:
    """Return bare IPTC records as the Photoshop resource that holds them."""
    return b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records + b"\0" * (len(records) % 2)
