"""Reading and writing JPEG (ITU-T T.81; JFIF; Adobe TN 5116; EXIF; XMP part 3).

The markers are parsed here; the samples are decoded by libjpeg-turbo straight into the result.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import struct
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import CorruptPicture, OutputError, PictureTooLarge, UnsupportedFormat
from tratto.core.image import ColorMode, Image, JpegFacts, Metadata
from tratto.core.text import listed
from tratto.imaging.io import exif as exif_blocks
from tratto.imaging.io.icc import profile_notes
from tratto.imaging.io.jpeg_damage import damage_of
from tratto.imaging.io.source import ReadContext, rows_per_band

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_MORE = b"http://ns.adobe.com/xmp/extension/\0"
_ICC = b"ICC_PROFILE\0"
_PHOTOSHOP = b"Photoshop 3.0\0"

#: More scans than this are refused: a small file of thousands of scans keeps a decoder busy for hours.
MAX_SCANS = 200

#: Longest payload of one segment.
_SEGMENT = 65533

#: More segments (or fill bytes between them) than this are refused.
MAX_SEGMENTS = 200_000

_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

#: Place in a table in zigzag order -> place in natural order (T.81, figure A.6).
ZIGZAG = tuple(
    r * 8 + c
    for r, c in sorted(
        ((r, c) for r in range(8) for c in range(8)),
        key=lambda p: (p[0] + p[1], p[0] if (p[0] + p[1]) % 2 else -p[0]),
    )
)


@dataclass
class Parsed:
    """What the markers say."""

    width: int = 0
    height: int = 0
    components: int = 0
    sampling: tuple[tuple[int, int], ...] = ()
    progressive: bool = False
    adobe_transform: int | None = None
    tables: dict[int, tuple[int, ...]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    exif: bytes | None = None
    xmp: bytes | None = None
    more_xmp: dict[bytes, dict[int, bytes]] = field(default_factory=dict)
    icc: dict[int, bytes] = field(default_factory=dict)
    icc_count: int = 0
    iptc: bytes = b""
    dpi: tuple[float, float] | None = None
    comments: list[bytes] = field(default_factory=list)
    arithmetic: bool = False
    coded: int = 0
    others: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def parse_jpeg(data: bytes, ctx: ReadContext) -> Parsed:
    """Walk all markers of the (first) picture in the file.

    Parameters
    ----------
    data : bytes
        The whole file.
    ctx : ReadContext
        Gives name and limits.

    Returns
    -------
    Parsed
        Size, components, tables and metadata, and where its data lie.

    Raises
    ------
    InputError
        If the file is cut off anywhere (there is no end mark), is broken, or is of a kind that is not read.
    """
    name = ctx.name
    out = Parsed()
    at, scans, used = 2, 0, 0
    for _ in range(MAX_SEGMENTS):
        if at + 2 > len(data):
            raise CorruptPicture(f"{name}: the JPEG ends early: there is no end mark")
        if data[at] != 0xFF:
            raise CorruptPicture(f"{name}: expected a JPEG marker at offset {at}, found {data[at]:#04x}")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xD9:
            if not out.components or not scans:
                raise CorruptPicture(f"{name}: the JPEG holds no picture")
            _enough_data(out, name)
            _behind_the_end(data, at + 2, out)
            return out
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
            continue
        if at + 4 > len(data):
            raise CorruptPicture(f"{name}: the JPEG ends early, inside a marker")
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > len(data):
            raise CorruptPicture(f"{name}: the JPEG ends early, inside segment {marker:#04x} at offset {at}")
        body = data[at + 4 : at + 2 + length]
        at += 2 + length
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            _frame_header(marker, body, out, ctx)
        elif marker == 0xDB:
            _tables(body, out, name)
        elif marker == 0xDA:
            if not out.components:
                raise CorruptPicture(f"{name}: a JPEG scan before the frame header")
            scans += 1
            if scans > MAX_SCANS or scans * out.width * out.height > 40 * ctx.limits.max_pixels:
                raise PictureTooLarge(f"{name}: has too many JPEG scans ({scans} or more) for its size")
            found = _NEXT_MARKER.search(data, at)
            if found is None:
                raise CorruptPicture(f"{name}: the JPEG ends early: there is no end mark")
            out.coded += found.start() - at
            at = found.start()
        elif marker == 0xFE or 0xE0 <= marker <= 0xEF:
            used += len(body)
            ctx.limits.check_metadata(used, name)
            _application(marker, body, out)
    raise PictureTooLarge(f"{name}: has more than {MAX_SEGMENTS} JPEG segments")


def _enough_data(out: Parsed, name: str) -> None:
    """Refuse a picture whose data cannot fill a fraction of its size, before room is made for it.

    Huffman coding spends at least one bit on every block of 8x8 samples (T.81, F.1.2), arithmetic coding about a
    hundredth of one.

    Raises
    ------
    CorruptPicture
        If they cannot.
    """
    most = max(h for h, _ in out.sampling), max(v for _, v in out.sampling)
    blocks = sum(-(-out.width * h // (8 * most[0])) * -(-out.height * v // (8 * most[1])) for h, v in out.sampling)
    need = blocks // (800 if out.arithmetic else 8)
    if out.coded < need:
        raise CorruptPicture(
            f"{name}: the JPEG says {out.width}x{out.height} pixels and holds {out.coded} bytes of picture data, less "
            f"than the {need} that so many take at least"
        )


def _behind_the_end(data: bytes, at: int, out: Parsed) -> None:
    """Note what lies behind the end mark: a second picture, a film, whatever a maker puts there."""
    rest = data[at:].strip(b"\0")
    if rest:
        what = "a film (a motion photo) among them" if b"ftyp" in rest[:64] or b"ftypmp4" in rest else ""
        if not what and b"\xff\xd8\xff" in rest:
            what = "another picture among them"
        many = f"{len(data) - at} bytes behind the end mark of the JPEG are not carried on"
        out.notes.append(many + (f", {what}" if what else ""))


def _frame_header(marker: int, body: bytes, out: Parsed, ctx: ReadContext) -> None:
    if out.components:
        raise UnsupportedFormat(f"{ctx.name}: hierarchical JPEG (several frames) is not read; convert it first")
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise CorruptPicture(f"{ctx.name}: the JPEG frame header is cut off")
    precision, height, width, components = struct.unpack(">BHHB", body[:6])
    if height == 0:
        raise UnsupportedFormat(f"{ctx.name}: the JPEG does not state its height (0); convert it first")
    ctx.limits.check_size(width, height, ctx.name)
    if marker not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA):
        raise UnsupportedFormat(f"{ctx.name}: lossless or hierarchical JPEG (SOF{marker - 0xC0}) is not read")
    if precision != 8:
        raise UnsupportedFormat(f"{ctx.name}: JPEG with {precision} bits per sample is not read, expected 8")
    if components not in (1, 3, 4):
        raise UnsupportedFormat(f"{ctx.name}: JPEG with {components} components is not read, expected 1, 3 or 4")
    out.width, out.height, out.components = width, height, components
    out.progressive = marker in (0xC2, 0xCA)
    out.arithmetic = marker in (0xC9, 0xCA)
    pairs = [(body[7 + 3 * i] >> 4, body[7 + 3 * i] & 15) for i in range(components)]
    if any(not (1 <= h <= 4 and 1 <= v <= 4) for h, v in pairs):
        raise CorruptPicture(f"{ctx.name}: impossible JPEG sampling factors")
    out.sampling = tuple(pairs)


def _tables(body: bytes, out: Parsed, name: str) -> None:
    at = 0
    while at < len(body):
        wide, number = body[at] >> 4, body[at] & 15
        size = 128 if wide else 64
        if number > 3 or wide > 1 or at + 1 + size > len(body):
            raise CorruptPicture(f"{name}: a JPEG quantisation table is broken")
        raw = struct.unpack(f">64{'H' if wide else 'B'}", body[at + 1 : at + 1 + size])
        natural = [0] * 64
        for value, place in zip(raw, ZIGZAG, strict=True):
            natural[place] = value
        if number not in out.tables:
            out.order.append(number)
        out.tables[number] = tuple(natural)
        at += 1 + size


def _application(marker: int, body: bytes, out: Parsed) -> None:
    if marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 12:
        unit, x, y = struct.unpack(">BHH", body[7:12])
        if x and y and unit in (1, 2):
            out.dpi = (float(x), float(y)) if unit == 1 else (x * 254 / 100, y * 254 / 100)
    elif marker == 0xE1 and body.startswith(_EXIF):
        if out.exif is None:
            out.exif = body[len(_EXIF) :]
    elif marker == 0xE1 and body.startswith(_XMP):
        if out.xmp is None:
            out.xmp = body[len(_XMP) :]
    elif marker == 0xE1 and body.startswith(_XMP_MORE):
        rest = body[len(_XMP_MORE) :]
        if len(rest) >= 40:
            _, offset = struct.unpack(">II", rest[32:40])
            out.more_xmp.setdefault(rest[:32], {})[offset] = rest[40:]
    elif marker == 0xE2 and body.startswith(_ICC) and len(body) >= 14:
        out.icc[body[12]] = body[14:]
        out.icc_count = body[13]
    elif marker == 0xE2 and body.startswith(b"MPF\0"):
        out.notes.append("the file holds several pictures (MPF); only the first is read, the others are not carried on")
    elif marker == 0xEB and b"jumb" in body[:32]:
        note = "the file holds content credentials (JUMBF); they are not carried on"
        if note not in out.notes:
            out.notes.append(note)
    elif marker == 0xED and body.startswith(_PHOTOSHOP):
        out.iptc += body[len(_PHOTOSHOP) :]
    elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
        out.adobe_transform = body[11]
    elif marker == 0xFE:
        out.comments.append(body)
    elif not (marker == 0xE0 and body[:5] in (b"JFIF\0", b"JFXX\0")) and marker != 0xEE:
        name = body[:28].split(b"\0")[0].decode("latin-1")
        name = "".join(c for c in name if c.isprintable())[:24]
        shown = f"APP{marker - 0xE0}" + (f" {name}" if name else "")
        if shown not in out.others and len(out.others) < 100:
            out.others.append(shown)


def _subsampling(sampling: tuple[tuple[int, int], ...]) -> str:
    if len(sampling) == 1:
        return "gray"
    (h, v), rest = sampling[0], set(sampling[1:3])
    if len(rest) != 1 or (len(sampling) == 4 and sampling[3] != sampling[0]):
        return "other"
    ch, cv = rest.pop()
    names = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0", (4, 1): "4:1:1"}
    return names.get((h // ch, v // cv), "other") if h % ch == 0 and v % cv == 0 else "other"


def read_jpeg(ctx: ReadContext) -> Image:
    """Read a JPEG: grey, RGB or CMYK, 8 bits.

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name, limits and page.

    Returns
    -------
    Image
        CMYK with 0 = no ink: files with an Adobe mark store it the other way round and are turned.

    Raises
    ------
    InputError
        If it is broken, cut off, over a limit, or of a kind that is not read.
    """
    import imagecodecs

    ctx.check_page(1)
    data = ctx.source.all()
    parsed = parse_jpeg(data, ctx)
    shape: tuple[int, ...] = (parsed.height, parsed.width)
    if parsed.components > 1:
        shape = (*shape, parsed.components)
    pixels = ctx.new_array(shape, np.uint8)
    damage = damage_of(data)
    if damage:
        parsed.notes.append(
            f"the picture data of the JPEG are damaged: {damage}. Parts of the picture were made up by the decoder"
        )
    decoded = imagecodecs.jpeg8_decode(data, out=pixels)
    if decoded.shape != shape:
        raise CorruptPicture(f"{ctx.name}: the decoder returned {decoded.shape}, the header says {shape}")
    mode = {1: ColorMode.GRAY, 3: ColorMode.RGB, 4: ColorMode.CMYK}[parsed.components]
    if mode is ColorMode.CMYK:
        if parsed.adobe_transform is None:
            parsed.notes.append("CMYK JPEG without an Adobe mark: taken as 0 = no ink")
        else:
            np.bitwise_not(pixels, out=pixels)
    return Image(pixels, mode, 8, meta=_metadata(parsed, mode))


def _metadata(parsed: Parsed, mode: ColorMode) -> Metadata:
    notes = list(parsed.notes)
    if parsed.others:
        notes.append(f"the JPEG has segments that are not carried on: {listed(parsed.others)}")
    orientation, resolution = exif_blocks.facts_of(parsed.exif, notes)
    icc = _join_icc(parsed, notes)
    notes += profile_notes(icc, mode)
    extra: dict[str, Any] = {}
    xmp = parsed.xmp
    more = _join_more_xmp(parsed, notes)
    if more is not None:
        extra["xmp_extended"] = base64.b64encode(more).decode("ascii")
    if parsed.comments:
        extra["jpeg_comments"] = [base64.b64encode(c).decode("ascii") for c in parsed.comments]
    if notes:
        extra["notes"] = notes
    return Metadata(
        format="jpeg",
        icc=icc,
        exif=parsed.exif or None,
        xmp=xmp,
        iptc=parsed.iptc or None,
        orientation=orientation,
        dpi=parsed.dpi or resolution,
        jpeg=JpegFacts(
            tables=tuple(parsed.tables[n] for n in parsed.order),
            subsampling=_subsampling(parsed.sampling),
            progressive=parsed.progressive,
        ),
        extra=extra,
    )


def _join_icc(parsed: Parsed, notes: list[str]) -> bytes | None:
    if not parsed.icc:
        return None
    if sorted(parsed.icc) != list(range(1, parsed.icc_count + 1)):
        notes.append(f"the ICC profile is incomplete: parts {sorted(parsed.icc)} of {parsed.icc_count}; joined as is")
    return b"".join(parsed.icc[n] for n in sorted(parsed.icc))


def _join_more_xmp(parsed: Parsed, notes: list[str]) -> bytes | None:
    """Join the parts of an extended XMP packet that the main packet names by its digest."""
    for digest, parts in parsed.more_xmp.items():
        joined = b"".join(parts[o] for o in sorted(parts))
        # MD5 is what the XMP standard uses as the name of the packet; nothing rests on it
        if hashlib.md5(joined, usedforsecurity=False).hexdigest().upper().encode() != digest.upper():
            notes.append("the extended XMP packet is incomplete; dropped")
            continue
        return joined
    return None


# ---------------------------------------------------------------------------------------------------------- writing


@dataclass(frozen=True)
class JpegSettings:
    """How to compress.

    Attributes
    ----------
    quality : int
        1-100; ignored when ``keep`` applies.
    keep : bool
        Use the quantisation tables and the subsampling of ``image.meta.jpeg``.
    """

    quality: int = 95
    keep: bool = False


def write_jpeg(stream: BinaryIO, image: Image, settings: JpegSettings) -> None:
    """Write an 8-bit grey, RGB or CMYK picture with its metadata.

    Parameters
    ----------
    stream : BinaryIO
        Written from where it stands.
    image : Image
        Without alpha.
    settings : JpegSettings
        A quality, or the tables of the source again.

    Raises
    ------
    OutputError
        If a metadata block is longer than JPEG can hold.
    """
    stream.write(_encode(image, settings))


def _encode(image: Image, settings: JpegSettings) -> bytes:
    from PIL import Image as Pillow

    mode = {ColorMode.GRAY: "L", ColorMode.RGB: "RGB", ColorMode.CMYK: "CMYK"}[image.mode]
    samples: NDArray[Any] = np.ascontiguousarray(image.pixels)
    if image.bits < 8:
        samples = samples * np.uint8(255 // image.max_value)
    picture = Pillow.new(mode, (image.width, image.height))
    # in bands: a second copy of a large picture as bytes would double the peak
    step = rows_per_band(samples.shape[1] * len(mode), 32 * 1024**2)
    for start in range(0, image.height, step):
        band = np.ascontiguousarray(samples[start : start + step])
        part = Pillow.frombuffer(mode, (image.width, band.shape[0]), band.tobytes(), "raw", mode, 0, 1)
        picture.paste(part, (0, start))
    # optimal Huffman tables need all coefficients in memory at once
    options: dict[str, Any] = {"optimize": image.megapixels <= 32}
    facts = image.meta.jpeg if settings.keep else None
    if facts is not None and facts.tables:
        options["qtables"] = [list(t) for t in facts.tables]
        options["progressive"] = facts.progressive
        if image.mode is ColorMode.RGB:
            options["subsampling"] = facts.subsampling if facts.subsampling in ("4:2:2", "4:2:0") else "4:4:4"
    else:
        options["quality"] = settings.quality
        if image.mode is ColorMode.RGB:
            options["subsampling"] = "4:4:4" if settings.quality >= 90 else "4:2:0"
    if image.meta.dpi is not None:
        options["dpi"] = (round(image.meta.dpi[0]), round(image.meta.dpi[1]))
    meta, buffer = image.meta, io.BytesIO()
    exif = exif_blocks.block_for(meta.exif, meta.orientation)
    options |= {"exif": _EXIF + exif if exif else b"", "xmp": meta.xmp or b"", "icc_profile": meta.icc or b""}
    try:
        picture.save(buffer, "JPEG", extra=_segments(image), **options)
    except (ValueError, struct.error) as e:
        raise OutputError(f"a block of metadata is longer than JPEG can hold ({e}); write PNG or TIFF") from e
    return buffer.getvalue()


def _segments(image: Image) -> bytes:
    """Return the blocks that Pillow does not write: IPTC, extended XMP, and more comments than one."""
    meta = image.meta
    out: list[tuple[int, bytes]] = []
    extended = meta.extra.get("xmp_extended")
    if meta.xmp is not None and extended:
        data = base64.b64decode(extended)
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest().upper().encode("ascii")
        room = 65400
        for offset in range(0, len(data), room):
            head = _XMP_MORE + digest + struct.pack(">II", len(data), offset)
            out.append((0xE1, head + data[offset : offset + room]))
    if meta.iptc is not None:
        room = _SEGMENT - len(_PHOTOSHOP)
        out += [(0xED, _PHOTOSHOP + meta.iptc[i : i + room]) for i in range(0, len(meta.iptc), room)]
    out += [(0xFE, base64.b64decode(c)) for c in meta.extra.get("jpeg_comments", [])]
    out += [(0xFE, v.encode("utf-8", "replace")) for k, v in meta.text if k == "Comment" and 0 < len(v) < _SEGMENT // 4]
    return b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in out)
