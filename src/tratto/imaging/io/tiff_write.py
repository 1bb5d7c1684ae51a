"""Writing TIFF and BigTIFF strip by strip (TIFF 6.0; Adobe technical notes for deflate; EXIF 2.32 for directories)."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OutputError
from tratto.core.image import ColorMode, Image
from tratto.imaging.io import bits as bitpack
from tratto.imaging.io import exif as exif_blocks
from tratto.imaging.io.exif import Entry
from tratto.imaging.io.photoshop import records_of
from tratto.imaging.io.source import rows_per_band
from tratto.imaging.io.tiff_read import RAW_EXIF, from_json, iptc_resource, portable

_STRIP_BYTES = 1 << 20

#: Compression name -> TIFF number. Whatever else a source used (JPEG, fax) is written as deflate.
_NUMBERS = {"none": 1, "lzw": 5, "deflate": 8, "packbits": 32773, "lzma": 34925, "zstd": 50000}

#: Classic TIFF ends at 4 GiB; some room is left for directories and for data that does not compress.
_CLASSIC_LIMIT = 4 * 1000**3


def write_tiff(stream: BinaryIO, images: Iterable[Image], compression: str | None = None, level: int = 4) -> None:
    """Write one or more pages.

    Parameters
    ----------
    stream : BinaryIO
        Seekable.
    images : iterable of Image
        Taken one after the other, so that a generator can make each page when it is needed.
    compression : str or None
        ``"none"``, ``"lzw"``, ``"deflate"``, ``"packbits"``, ``"lzma"`` or ``"zstd"``; None keeps that of the source
        file (``meta.extra``), or deflate.
    level : int
        zlib level 0-9.

    Raises
    ------
    OutputError
        If a classic TIFF would grow past 4 GiB because of many pages.
    """
    writer: _Writer | None = None
    for image in images:
        if writer is None:
            samples = image.height * image.width * (_colors(image) + (image.alpha is not None))
            size = samples * image.pixels.dtype.itemsize + sum(
                len(b or b"") for b in (image.meta.icc, image.meta.exif, image.meta.xmp, image.meta.iptc)
            )
            writer = _Writer(stream, big=size > _CLASSIC_LIMIT)
        writer.page(image, compression, level)
    if writer is None:
        raise OutputError("a TIFF needs at least one page, got none")


def _colors(image: Image) -> int:
    return 1 if image.pixels.ndim == 2 else int(image.pixels.shape[2])


class _Writer:
    """One file being written: the directories are linked as the pages come."""

    def __init__(self, stream: BinaryIO, big: bool) -> None:
        self._stream = stream
        self._big = big
        self._at = 0
        if big:
            self._put(b"II+\0" + struct.pack("<HHQ", 8, 0, 0))
            self._link = 8
        else:
            self._put(b"II*\0" + struct.pack("<I", 0))
            self._link = 4

    def _put(self, data: bytes) -> int:
        """Append at an even offset; return it."""
        if self._at % 2:
            self._stream.write(b"\0")
            self._at += 1
        at = self._at
        self._stream.write(data)
        self._at += len(data)
        if not self._big and self._at > 0xFFFFFFFF:
            raise OutputError("the TIFF would be larger than 4 GiB; write fewer pages into one file")
        return at

    def page(self, image: Image, compression: str | None, level: int) -> None:
        kind = compression or str(image.meta.extra.get("tiff_compression", "deflate"))
        if compression is not None and compression not in _NUMBERS:
            raise OutputError(f"TIFF compression must be one of {', '.join(_NUMBERS)}, got {compression!r}")
        if kind not in _NUMBERS:
            kind = "deflate"
        predictor = 1
        if kind in ("lzw", "deflate", "zstd", "lzma") and image.bits >= 8 and image.mode is not ColorMode.PALETTE:
            predictor = int(image.meta.extra.get("tiff_predictor", 2))
        offsets, sizes, rows = self._strips(image, kind, predictor, level)
        fields = self._fields(image, _NUMBERS[kind], predictor, rows)
        word = 16 if self._big else 4
        fields[273] = Entry(word, len(offsets), np.array(offsets, "<u8" if self._big else "<u4").tobytes())
        fields[279] = Entry(word, len(sizes), np.array(sizes, "<u8" if self._big else "<u4").tobytes())
        self._sub_directories(image, fields)
        at = self._directory(fields)
        self._stream.seek(self._link)
        self._stream.write(struct.pack("<Q" if self._big else "<I", at))
        self._stream.seek(self._at)
        self._link = at + (8 + 20 * len(fields) if self._big else 2 + 12 * len(fields))

    def _strips(self, image: Image, kind: str, predictor: int, level: int) -> tuple[list[int], list[int], int]:
        samples = _colors(image) + (image.alpha is not None)
        row_bytes = (image.width * samples * image.bits + 7) // 8
        rows = min(image.height, rows_per_band(row_bytes, _STRIP_BYTES))
        invert = bool(image.meta.extra.get("tiff_white_is_zero")) and image.mode is ColorMode.GRAY
        offsets: list[int] = []
        sizes: list[int] = []
        for start in range(0, image.height, rows):
            band: NDArray[Any] = np.asarray(image.pixels[start : start + rows])
            if invert:
                band = band.dtype.type(image.max_value) - band
            if image.alpha is not None:
                band = np.dstack([band, image.alpha[start : start + rows]])
            if predictor == 2:
                wide = band.reshape(band.shape[0], image.width, samples)
                band = wide.copy()
                band[:, 1:] -= wide[:, :-1]
            if image.bits < 8:
                raw = bitpack.pack(band.reshape(band.shape[0], -1), image.bits).tobytes()
            else:
                raw = np.ascontiguousarray(band).astype("<u2" if image.bits == 16 else np.uint8, copy=False).tobytes()
            packed = _compress(raw, kind, level, row_bytes)
            offsets.append(self._put(packed))
            sizes.append(len(packed))
        return offsets, sizes, rows

    def _fields(self, image: Image, compression: int, predictor: int, rows: int) -> dict[int, Entry]:
        meta = image.meta
        alpha = image.alpha is not None
        samples = _colors(image) + alpha
        photometric = {ColorMode.GRAY: 1, ColorMode.RGB: 2, ColorMode.PALETTE: 3, ColorMode.CMYK: 5}[image.mode]
        if image.mode is ColorMode.GRAY and meta.extra.get("tiff_white_is_zero"):
            photometric = 0
        fields = {
            254: _long(0),
            256: _long(image.width),
            257: _long(image.height),
            258: _short(*([image.bits] * samples)),
            259: _short(compression),
            262: _short(photometric),
            274: _short(meta.orientation),
            277: _short(samples),
            278: _long(rows),
            284: _short(1),
            339: _short(*([1] * samples)),
        }
        if alpha:
            kinds = {"unspecified": 0, "associated": 1, "unassociated": 2}
            fields[338] = _short(kinds.get(str(meta.extra.get("tiff_alpha")), 2))
        if predictor == 2:
            fields[317] = _short(2)
        if image.palette is not None:
            fields[320] = _colormap(image)
        if image.mode is ColorMode.CMYK:
            fields[332] = _short(1)
        if meta.dpi is not None:
            fields[282], fields[283] = _rational(meta.dpi[0]), _rational(meta.dpi[1])
            fields[296] = _short(2)
        else:
            fields |= from_json(meta.extra.get("tiff_resolution") or {})
        records = records_of(meta.iptc)
        # bare records stand in a tag of their own, where most readers look for them
        resources = None if meta.iptc is not None and meta.iptc == iptc_resource(records) else meta.iptc
        for tag, kind, block in (
            (34675, 7, meta.icc),
            (700, 1, meta.xmp),
            (34377, 7, resources),
            (33723, 7, records),
        ):
            if block:
                fields[tag] = Entry(kind, len(block), block)
        for tag, entry in from_json(meta.extra.get("tiff_tags") or {}).items():
            fields.setdefault(tag, entry)
        return fields

    def _sub_directories(self, image: Image, fields: dict[int, Entry]) -> None:
        """Write the EXIF, GPS and interoperability directories and point to them."""
        exif = image.meta.exif
        if not exif:
            return
        if exif_blocks.orientation_of(exif_blocks.parse(exif))[0] != image.meta.orientation:
            exif = exif_blocks.with_orientation(exif, image.meta.orientation)
        whole = exif_blocks.parse(exif)
        block = portable(whole)
        for tag, entry in block.main.items():
            fields.setdefault(tag, entry)
        own = dict(block.exif)
        if block.interop:
            own[exif_blocks.INTEROP_IFD] = self._pointer(self._directory(block.interop))
        if own:
            fields[exif_blocks.EXIF_IFD] = self._pointer(self._directory(own))
        if block.gps:
            fields[exif_blocks.GPS_IFD] = self._pointer(self._directory(block.gps))
        fields[RAW_EXIF] = Entry(7, len(exif), exif)

    def _pointer(self, offset: int) -> Entry:
        return Entry(18, 1, struct.pack("<Q", offset)) if self._big else Entry(13, 1, struct.pack("<I", offset))

    def _directory(self, fields: exif_blocks.Directory) -> int:
        at = self._at + self._at % 2
        if not self._big:
            return self._put(exif_blocks.serialise(fields, at))
        head = bytearray(struct.pack("<Q", len(fields)))
        values = bytearray()
        start = at + 16 + 20 * len(fields)
        for tag in sorted(fields):
            entry = fields[tag]
            head += struct.pack("<HHQ", tag, entry.kind, entry.count)
            if len(entry.data) <= 8:
                head += entry.data.ljust(8, b"\0")
            else:
                head += struct.pack("<Q", start + len(values))
                values += entry.data + b"\0" * (len(entry.data) % 2)
        return self._put(bytes(head + b"\0" * 8 + values))


def _compress(raw: bytes, kind: str, level: int, row_bytes: int) -> bytes:
    if kind == "none":
        return raw
    if kind == "deflate":
        return zlib.compress(raw, level)
    if kind == "lzma":
        import lzma

        return lzma.compress(raw, preset=1)
    import imagecodecs

    if kind == "lzw":
        return bytes(imagecodecs.lzw_encode(raw))
    if kind == "zstd":
        return bytes(imagecodecs.zstd_encode(raw))
    # TIFF 6.0, section 9: each row is packed on its own
    rows = (raw[i : i + row_bytes] for i in range(0, len(raw), row_bytes))
    return b"".join(bytes(imagecodecs.packbits_encode(r)) for r in rows)


def _short(*values: int) -> Entry:
    return Entry(3, len(values), struct.pack(f"<{len(values)}H", *values))


def _long(value: int) -> Entry:
    return Entry(4, 1, struct.pack("<I", value))


def _rational(value: float) -> Entry:
    number = Fraction(value).limit_denominator(100_000)
    if not 0 < number < 2**31:
        number = Fraction(72)
    if number.numerator >= 2**32:
        number = Fraction(round(value))
    return Entry(5, 1, struct.pack("<II", number.numerator, number.denominator))


def _colormap(image: Image) -> Entry:
    entries = 1 << image.bits
    table = np.zeros((entries, 3), np.uint16)
    if image.palette is not None:
        table[: len(image.palette)] = image.palette[:, :3].astype(np.uint16) * 257
        kept = image.meta.extra.get("tiff_colormap")
        if kept:
            raw = np.frombuffer(base64.b64decode(kept), "<u2")
            if raw.size == 3 * entries:
                wide = raw.reshape(3, entries).T
                eight = wide if int(wide.max()) < 256 else (wide.astype(np.uint32) * 255 + 32767) // 65535
                # the finer values only hold as long as the palette is the one they came with
                if len(image.palette) == entries and np.array_equal(eight, image.palette[:, :3]):
                    table = wide.astype(np.uint16)
    return Entry(3, 3 * entries, np.ascontiguousarray(table.T).astype("<u2").tobytes())
