"""The one door through which pictures come in."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

from tratto.core.errors import InputError, UnsupportedFormat
from tratto.core.image import Image
from tratto.imaging.io.limits import Limits
from tratto.imaging.io.sniff import FORMATS, HEAD_BYTES, describe_unknown, sniff
from tratto.imaging.io.source import ReadContext, Scratch, mapped_errors, open_source
from tratto.imaging.scratch import release

PictureSource = str | os.PathLike[str] | bytes | BinaryIO


def _reader(kind: str) -> tuple[Callable[[ReadContext], Image], Callable[[ReadContext], int]]:
    """Return (read, count) of a format; imported here so that the decoders load only when they are needed."""
    if kind == "png":
        from tratto.imaging.io import png_read

        return png_read.read_png, png_read.count_png
    if kind == "jpeg":
        from tratto.imaging.io import jpeg

        return jpeg.read_jpeg, lambda _: 1
    if kind == "tiff":
        from tratto.imaging.io import tiff_read

        return tiff_read.read_tiff, tiff_read.count_tiff
    if kind == "webp":
        from tratto.imaging.io import webp

        return webp.read_webp, webp.count_webp
    if kind == "bmp":
        from tratto.imaging.io import bmp

        return bmp.read_bmp, lambda _: 1
    from tratto.imaging.io import heif

    return (heif.read_avif, heif.count_avif) if kind == "avif" else (heif.read_heif, heif.count_heif)


def _kind(ctx: ReadContext) -> str:
    head = ctx.source.head(HEAD_BYTES)
    kind = sniff(head)
    if kind is None:
        raise UnsupportedFormat(f"{ctx.name}: {describe_unknown(head)}; Tratto reads {', '.join(FORMATS.values())}")
    return kind


def read_image(
    source: PictureSource, limits: Limits | None = None, page: int = 0, scratch: Scratch | None = None
) -> Image:
    """Read a picture with its native samples and everything beside them.

    The format is told by the first bytes, never by the name. The header is checked against the limits before anything
    is decoded. Samples are in stored order: the EXIF orientation is in ``meta.orientation`` and is not applied.

    Parameters
    ----------
    source : str, path, bytes or binary stream
        A stream is read from its beginning and must be seekable to be read without a copy.
    limits : Limits or None
        None: the defaults.
    page : int
        Page of a multi-page TIFF, frame of an animation; from 0.
    scratch : callable or None
        ``scratch(shape, dtype)`` makes the large arrays, memory-mapped for instance.

    Returns
    -------
    Image
        Its pixels may be memory-mapped where ``scratch`` makes them so.

    Raises
    ------
    InputError
        If the file cannot be used: not there, no regular file, not on the allow-list, broken, cut off or over a limit.
    MissingExtra
        For HEIF without the ``heif`` extra.

    Examples
    --------
    >>> import io
    >>> from PIL import Image as Pil
    >>> file = io.BytesIO()
    >>> Pil.new('L', (3, 2), 7).save(file, 'PNG')
    >>> read_image(file).pixels.tolist()
    [[7, 7, 7], [7, 7, 7]]
    """
    limits = limits or Limits()
    if page < 0:
        raise InputError(f"a page is counted from 0, got {page}")
    with open_source(source, limits) as opened, mapped_errors(opened.name):
        ctx = ReadContext(opened, limits, page, scratch)
        image = _reader(_kind(ctx))[0](ctx)
    # decoding touched every page of a file-backed array; nobody needs them all in memory now
    release(image.pixels)
    release(image.alpha)
    return image


def count_pages(source: PictureSource, limits: Limits | None = None) -> int:
    """Count the pages of a TIFF or the frames of an animation without decoding samples.

    Parameters
    ----------
    source : str, path, bytes or binary stream
        A stream is read from its beginning.
    limits : Limits or None
        None: the defaults.

    Returns
    -------
    int
        1 for a single picture.

    Raises
    ------
    PictureTooLarge
        If there are more than ``limits.max_pages``.
    InputError
        As for :func:`read_image`.

    Examples
    --------
    >>> import io
    >>> from PIL import Image as Pil
    >>> file = io.BytesIO()
    >>> Pil.new('L', (3, 2)).save(file, 'PNG')
    >>> count_pages(file)
    1
    """
    limits = limits or Limits()
    with open_source(source, limits) as opened, mapped_errors(opened.name):
        ctx = ReadContext(opened, limits)
        return _reader(_kind(ctx))[1](ctx)


def without_private(image: Image) -> Image:
    """Return the picture without EXIF, XMP, IPTC, text and comments.

    What is needed to show it right stays: ICC profile, orientation, resolution and colour chunks.

    Parameters
    ----------
    image : Image
        Of any mode; it is not changed.

    Returns
    -------
    Image
        With the same samples.

    Examples
    --------
    >>> import numpy as np
    >>> from tratto.core.image import ColorMode, Metadata
    >>> tagged = Image(np.zeros((2, 3), np.uint8), ColorMode.GRAY, meta=Metadata(text=(('Author', 'A'),)))
    >>> without_private(tagged).meta.text
    ()
    """
    private = ("xmp_extended", "jpeg_comments", "png_itxt", "png_chunks", "notes")
    extra = {k: v for k, v in image.meta.extra.items() if k not in private}
    kept = [c for c in image.meta.extra.get("png_chunks", []) if c[0] != "tIME"]
    if kept:
        extra["png_chunks"] = kept
    return image.replace(meta=replace(image.meta, exif=None, xmp=None, iptc=None, text=(), extra=extra))
