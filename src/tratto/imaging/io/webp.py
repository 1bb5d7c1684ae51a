"""Reading and writing WebP (RFC 9649)."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import CorruptPicture, PictureTooLarge
from tratto.core.image import ColorMode, Image, Metadata
from tratto.core.text import listed, shown
from tratto.imaging.io import exif as exif_blocks
from tratto.imaging.io.icc import profile_notes
from tratto.imaging.io.source import ReadContext, Source, quiet

#: More RIFF chunks than this are refused.
MAX_CHUNKS = 100_000


@dataclass
class Parsed:
    """What the container says."""

    width: int = 0
    height: int = 0
    frames: int = 0
    alpha: bool = False
    lossless: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    end: int = 0
    others: list[str] = field(default_factory=list)
    behind: int = 0

    @property
    def pages(self) -> int:
        """Frames of an animation, or 1."""
        return max(1, self.frames)


def parse_webp(ctx: ReadContext) -> Parsed:
    """Walk the RIFF chunks.

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name and limits.

    Returns
    -------
    Parsed
        Canvas, frames, metadata, and where the file ends.

    Raises
    ------
    InputError
        If the file is cut off or broken, or over a limit.
    """
    source, name = ctx.source, ctx.name
    head = source.head(12)
    if len(head) < 12:
        raise CorruptPicture(f"{name}: the WebP ends early")
    out = Parsed(end=8 + int.from_bytes(head[4:8], "little"))
    if out.end > source.size:
        raise CorruptPicture(f"{name}: the WebP ends early: it says {out.end} bytes, the file has {source.size}")
    at, used, still, chunks = 12, 0, False, 0
    while at + 8 <= out.end:
        chunks += 1
        if chunks > MAX_CHUNKS:
            raise PictureTooLarge(f"{name}: has more than {MAX_CHUNKS} WebP chunks")
        kind, size = source.read_at(at, 4), int.from_bytes(source.read_at(at + 4, 4), "little")
        if at + 8 + size > out.end:
            raise CorruptPicture(f"{name}: the WebP ends early, inside its {kind.decode('latin-1')!r} chunk")
        if kind == b"VP8X":
            body = source.read_at(at + 8, min(size, 10))
            if len(body) < 10:
                raise CorruptPicture(f"{name}: broken WebP header")
            out.width = 1 + int.from_bytes(body[4:7], "little")
            out.height = 1 + int.from_bytes(body[7:10], "little")
            out.alpha = bool(body[0] & 0x10)
        elif kind in (b"VP8 ", b"VP8L"):
            width, height, alpha = _bitstream(source, kind, at + 8, size, name)
            still = True
            if not out.width:
                out.width, out.height, out.alpha = width, height, alpha
            elif (width, height) != (out.width, out.height):
                raise CorruptPicture(
                    f"{name}: the WebP header says {out.width}x{out.height}, its data {width}x{height}"
                )
            out.lossless = kind == b"VP8L"
        elif kind == b"ANMF":
            out.frames += 1
            ctx.limits.check_pages(out.frames, name)
        elif kind in (b"ICCP", b"EXIF", b"XMP "):
            used += size
            ctx.limits.check_metadata(used, name)
            body = source.read_at(at + 8, size)
            if kind == b"ICCP":
                out.icc = out.icc or body
            elif kind == b"EXIF":
                out.exif = out.exif or body.removeprefix(b"Exif\0\0")
            else:
                out.xmp = out.xmp or body
        elif kind not in (b"ALPH", b"ANIM"):
            name_of = shown(kind.decode("latin-1"))
            if name_of not in out.others and len(out.others) < 100:
                out.others.append(name_of)
        if out.width:
            ctx.limits.check_size(out.width, out.height, name)
        at += 8 + size + size % 2
    if not out.width or not (still or out.frames):
        raise CorruptPicture(f"{name}: the WebP holds no picture")
    out.behind = source.size - out.end
    return out


def _bitstream(source: Source, kind: bytes, offset: int, size: int, name: str) -> tuple[int, int, bool]:
    """Return (width, height, alpha) from the head of the compressed data."""
    head = source.read_at(offset, min(size, 10))
    if kind == b"VP8L" and len(head) >= 5 and head[0] == 0x2F:
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), bool(bits >> 28 & 1)
    if kind == b"VP8 " and len(head) == 10 and head[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF, False
    raise CorruptPicture(f"{name}: broken WebP picture data")


def count_webp(ctx: ReadContext) -> int:
    """Count the frames of an animated WebP (1 for a still one).

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name and limits.

    Returns
    -------
    int
        At least 1.
    """
    return parse_webp(ctx).pages


def read_webp(ctx: ReadContext) -> Image:
    """Read a WebP: RGB, 8 bits, with alpha if the file has it.

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name, limits and page.

    Returns
    -------
    Image
        A frame of an animation is composed over those before it.

    Raises
    ------
    InputError
        If it is broken, cut off, or over a limit.
    """
    import imagecodecs

    parsed = parse_webp(ctx)
    ctx.check_page(parsed.pages)
    data = ctx.source.read_at(0, parsed.end)
    if parsed.frames:
        ctx.limits.check_composing(ctx.page + 1, parsed.width, parsed.height, ctx.name)
        samples = _frame(data, ctx)
    else:
        room = ctx.new_array((parsed.height, parsed.width, 4 if parsed.alpha else 3), np.uint8)
        samples = imagecodecs.webp_decode(data, hasalpha=parsed.alpha, out=room)
    if samples.shape[:2] != (parsed.height, parsed.width):
        raise CorruptPicture(f"{ctx.name}: the decoder returned {samples.shape}, expected {parsed.height} rows")
    pixels, alpha = samples, None
    if samples.shape[2] == 4:
        pixels = ctx.new_array((parsed.height, parsed.width, 3), np.uint8)
        pixels[...] = samples[..., :3]
        if parsed.alpha:
            alpha = ctx.new_array((parsed.height, parsed.width), np.uint8)
            alpha[...] = samples[..., 3]
    notes: list[str] = []
    if "C2PA" in parsed.others:
        notes.append("the file holds content credentials (C2PA); they are not carried on")
    others = [k for k in parsed.others if k != "C2PA"]
    if others:
        notes.append(f"the WebP has chunks that are not carried on: {listed(others)}")
    if parsed.behind > 1:
        notes.append(f"{parsed.behind} bytes behind the end of the WebP are not carried on")
    orientation, dpi = exif_blocks.facts_of(parsed.exif, notes)
    notes += profile_notes(parsed.icc, ColorMode.RGB)
    extra: dict[str, Any] = {"webp_lossless": parsed.lossless}
    if notes:
        extra["notes"] = notes
    meta = Metadata("webp", parsed.icc, parsed.exif, parsed.xmp, orientation=orientation, dpi=dpi, extra=extra)
    return Image(pixels, ColorMode.RGB, 8, alpha, meta=meta)


def _frame(data: bytes, ctx: ReadContext) -> NDArray[np.uint8]:
    """Return one composed frame of an animation, RGBA."""
    from PIL import WebPImagePlugin

    with quiet():
        picture = WebPImagePlugin.WebPImageFile(io.BytesIO(data))
        picture.seek(ctx.page)
        return np.asarray(picture.convert("RGBA"))


def write_webp(stream: BinaryIO, image: Image, quality: int | None = None) -> None:
    """Write an 8-bit RGB picture with its metadata.

    Parameters
    ----------
    stream : BinaryIO
        Written from where it stands.
    image : Image
        RGB, with or without alpha, at most 16383 on a side.
    quality : int or None
        0-100 for lossy; None for lossless.
    """
    from PIL import Image as Pillow

    samples: NDArray[Any] = image.pixels if image.alpha is None else np.dstack([image.pixels, image.alpha])
    options: dict[str, Any] = {}
    exif = exif_blocks.block_for(image.meta.exif, image.meta.orientation)
    if image.meta.dpi is not None:  # the container itself has no place for it
        exif = exif_blocks.with_resolution(exif, image.meta.dpi)
    for key, block in (("icc_profile", image.meta.icc), ("exif", exif), ("xmp", image.meta.xmp)):
        if block:
            options[key] = block
    if quality is None:
        # exact: colours under clear pixels are samples like any others
        options |= {"lossless": True, "exact": True, "quality": 60, "method": 4}
    else:
        options |= {"lossless": False, "exact": True, "quality": quality, "method": 4}
    buffer = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(samples)).save(buffer, "WEBP", **options)
    stream.write(buffer.getbuffer())
