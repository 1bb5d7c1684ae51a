"""What a picture brings along and a format has no place for, in words; and what a reader had to say of a file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tratto.core.image import Image
from tratto.core.text import listed, shown

#: Most notes of one file that are passed on, and their longest; what a hostile file can make a reader say is bounded.
MOST_NOTES, LONGEST_NOTE = 40, 300

#: Blocks that each format keeps, of those in :func:`_brought`.
_KEEPS = {
    "png": {"EXIF", "XMP", "IPTC and Photoshop resources", "text", "comments", "PNG chunks", "aspect ratio"},
    "tiff": {"EXIF", "XMP", "IPTC and Photoshop resources", "TIFF tags", "resolution without a unit"},
    "jpeg": {"EXIF", "XMP", "extended XMP", "IPTC and Photoshop resources", "comments"},
    "webp": {"EXIF", "XMP"},
    "bmp": set(),
}
_LABELS = {"png": "PNG", "tiff": "TIFF", "jpeg": "JPEG", "webp": "WebP", "bmp": "BMP"}


def not_carried(image: Image, fmt: str) -> list[str]:
    """Say what of a picture's metadata a format has no place for.

    Parameters
    ----------
    image : Image
        As it is to be written; what was stripped on purpose is no longer in it.
    fmt : str
        ``"png"``, ``"tiff"``, ``"jpeg"``, ``"webp"`` or ``"bmp"``.

    Returns
    -------
    list of str
        At most one sentence.

    Examples
    --------
    >>> import numpy as np
    >>> from tratto.core.image import ColorMode, Metadata
    >>> told = Image(np.zeros((1, 1), np.uint8), ColorMode.GRAY, meta=Metadata(text=(("Author", "A"),)))
    >>> not_carried(told, "webp")
    ['WebP has no place for text (Author): not in the result; the original keeps it']
    >>> not_carried(told, "png")
    []
    """
    keeps = _KEEPS.get(fmt, set())
    lost = [f"{what} ({words})" if words else what for what, words in _brought(image, fmt) if what not in keeps]
    if not lost:
        return []
    note = f"{_LABELS.get(fmt, fmt)} has no place for {', '.join(lost)}: not in the result; the original keeps it"
    return _bounded([note])


def notes_of(image: Image) -> list[str]:
    """Return what the reader of a file had to say of it: what was broken, left out or guessed.

    Parameters
    ----------
    image : Image
        As it was read.

    Returns
    -------
    list of str
        Printable, each once, at most :data:`MOST_NOTES` of at most :data:`LONGEST_NOTE` characters.

    Examples
    --------
    >>> import numpy as np
    >>> from tratto.core.image import ColorMode
    >>> notes_of(Image(np.zeros((2, 3), np.uint8), ColorMode.GRAY))
    []
    """
    return _bounded(str(n) for n in image.meta.extra.get("notes", ()))


def _bounded(notes: Iterable[str]) -> list[str]:
    kept = list(dict.fromkeys(shown(n, LONGEST_NOTE) for n in notes))
    more = len(kept) - MOST_NOTES
    return kept if more <= 0 else [*kept[:MOST_NOTES], f"{more} more notes about the file are left out"]


def _brought(image: Image, fmt: str) -> list[tuple[str, str]]:
    """Return what a picture brings along beside samples, profile and resolution, each with what it is named."""
    meta, extra = image.meta, image.meta.extra
    out: list[tuple[str, str]] = []
    if meta.exif:
        out.append(("EXIF", ""))
    if meta.xmp:
        out.append(("XMP", ""))
    if extra.get("xmp_extended"):
        out.append(("extended XMP", ""))
    if meta.iptc:
        out.append(("IPTC and Photoshop resources", ""))
    named = [k for k, v in meta.text if fmt != "jpeg" or k != "Comment" or len(v) > 16_000]  # JPEG has comments
    if named:
        out.append(("text", _listed(named)))
    if extra.get("jpeg_comments"):
        out.append(("comments", ""))
    chunks = [str(c[0]) for c in extra.get("png_chunks", ())]
    if chunks:
        out.append(("PNG chunks", _listed(chunks)))
    if extra.get("png_aspect"):
        out.append(("aspect ratio", ""))
    tags = extra.get("tiff_tags") or {}
    if tags:
        out.append(("TIFF tags", _listed(tags)))
    if meta.dpi is None and extra.get("tiff_resolution"):
        out.append(("resolution without a unit", ""))
    return out


def _listed(names: Iterable[Any]) -> str:
    return listed(dict.fromkeys(str(n)[:40] for n in names), 8)
