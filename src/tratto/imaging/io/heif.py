"""Reading HEIF (HEIC) and AVIF; both read only."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tratto.core.errors import CorruptPicture, MissingExtra, UnsupportedFormat
from tratto.core.image import Image
from tratto.imaging.io import exif as exif_blocks
from tratto.imaging.io.convert import image_from_pil
from tratto.imaging.io.icc import profile_notes
from tratto.imaging.io.source import ReadContext, Source, quiet

_CONTAINERS = (b"meta", b"iprp", b"ipco")
_MAX_DEPTH = 6
_MAX_BOXES = 10_000


def _boxes(
    source: Source, start: int, end: int, depth: int = 0, budget: list[int] | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, first byte of the content, end) of the ISO boxes that matter, also nested ones."""
    budget = [_MAX_BOXES] if budget is None else budget
    at = start
    while at + 8 <= end:
        budget[0] -= 1
        if budget[0] < 0 or depth > _MAX_DEPTH:
            raise CorruptPicture(f"{source.name}: has too many nested boxes")
        size, kind = struct.unpack(">I4s", source.read_at(at, 8))
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", source.read_at(at + 8, 8))[0], 16
        elif size == 0:
            size = end - at
        if size < head or at + size > end:
            raise CorruptPicture(f"{source.name}: the file ends early, inside its {kind.decode('latin-1')!r} box")
        yield kind, at + head, at + size
        if kind in _CONTAINERS:
            yield from _boxes(source, at + head + (4 if kind == b"meta" else 0), at + size, depth + 1, budget)
        at += size


def _facts(ctx: ReadContext) -> tuple[int, int, int]:
    """Return (width, height, bits) of the largest picture the header lists, checked against the limits."""
    width = height = bits = 0
    for kind, start, end in _boxes(ctx.source, 0, ctx.source.size):
        if kind == b"ispe" and end - start >= 12:
            w, h = struct.unpack(">II", ctx.source.read_at(start + 4, 8))
            ctx.limits.check_size(w, h, ctx.name)
            if w * h > width * height:
                width, height = w, h
        elif kind == b"pixi" and end - start >= 6:
            count = ctx.source.read_at(start + 4, 1)[0]
            bits = max([bits, *ctx.source.read_at(start + 5, min(count, end - start - 5))])
    if not width:
        raise CorruptPicture(f"{ctx.name}: the header does not state a picture size")
    return width, height, bits


def count_avif(ctx: ReadContext) -> int:
    """Count the frames of an AVIF.

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name, limits and page.

    Returns
    -------
    int
        1 for a still one.
    """
    _facts(ctx)
    with quiet():
        frames = int(getattr(_open_avif(ctx), "n_frames", 1))
    ctx.limits.check_pages(frames, ctx.name)
    return frames


def _open_avif(ctx: ReadContext) -> Any:
    from PIL import features

    if not features.check("avif"):
        raise UnsupportedFormat(f"{ctx.name}: this Pillow was built without AVIF; run: pip install 'Pillow>=11.3'")
    from PIL import AvifImagePlugin

    return AvifImagePlugin.AvifImageFile(io.BytesIO(ctx.source.all()))


def read_avif(ctx: ReadContext) -> Image:
    """Read an 8-bit AVIF.

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name, limits and page.

    Returns
    -------
    Image
        8 bits, with alpha where the file has it; profile, EXIF and XMP beside the samples.

    Raises
    ------
    UnsupportedFormat
        For more than 8 bits, which Pillow would cut to 8.
    InputError
        If it is broken, over a limit, or has no such page.
    """
    bits = _facts(ctx)[2]
    if bits > 8:
        raise UnsupportedFormat(f"{ctx.name}: AVIF with {bits} bits per sample is not read exactly; convert it to PNG")
    with quiet():
        picture = _open_avif(ctx)
        _check_page(ctx, int(getattr(picture, "n_frames", 1)))
        picture.seek(ctx.page)
        picture.load()
    return _from_pillow(ctx, picture, picture.info, "avif")


def _open_heif(ctx: ReadContext) -> Any:
    try:
        import pi_heif
    except ImportError:
        raise MissingExtra(f"{ctx.name}: reading HEIF (HEIC)", "heif") from None
    return pi_heif.open_heif(io.BytesIO(ctx.source.all()), convert_hdr_to_8bit=False)


def count_heif(ctx: ReadContext) -> int:
    """Count the top-level pictures of a HEIF.

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name, limits and page.

    Returns
    -------
    int
        At least 1; thumbnails and parts of pictures do not count.
    """
    _facts(ctx)
    pages = len(_open_heif(ctx))
    ctx.limits.check_pages(pages, ctx.name)
    return pages


def read_heif(ctx: ReadContext) -> Image:
    """Read an 8-bit HEIF with the ``heif`` extra.

    Parameters
    ----------
    ctx : ReadContext
        The opened file with its name, limits and page.

    Returns
    -------
    Image
        The decoder applies the rotation the container asks for, so the orientation is 1.

    Raises
    ------
    MissingExtra
        Without the ``heif`` extra.
    UnsupportedFormat
        For more than 8 bits.
    InputError
        If it is broken, over a limit, or has no such page.
    """
    _facts(ctx)
    container = _open_heif(ctx)
    _check_page(ctx, len(container))
    entry = container[ctx.page]
    if entry.info.get("bit_depth", 8) > 8:
        raise UnsupportedFormat(f"{ctx.name}: HEIF with {entry.info['bit_depth']} bits per sample is not read exactly")
    # the facts of the container itself: those of the Pillow picture have lost their orientation tags
    return _from_pillow(ctx, entry.to_pillow(), entry.info, "heif", turned=True)


def _check_page(ctx: ReadContext, pages: int) -> None:
    ctx.limits.check_pages(pages, ctx.name)
    ctx.check_page(pages)


def _from_pillow(ctx: ReadContext, picture: Any, info: Mapping[str, Any], kind: str, *, turned: bool = False) -> Image:
    ctx.limits.check_size(picture.width, picture.height, ctx.name)
    if picture.mode not in ("RGB", "RGBA", "L", "LA"):
        raise UnsupportedFormat(f"{ctx.name}: {kind} with samples of kind {picture.mode} is not read")
    picture.info = dict(info)
    image = image_from_pil(picture)
    meta, notes = image.meta, list(image.meta.extra.get("notes", ()))
    if turned and meta.exif and meta.orientation != 1:
        meta = replace(meta, orientation=1, exif=exif_blocks.with_orientation(meta.exif, 1))
    notes += profile_notes(meta.icc, image.mode)
    return image.replace(meta=replace(meta, format=kind, dpi=None, extra={"notes": notes} if notes else {}))
