"""Which format a file is, by its first bytes; the name of a file is never believed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: The allow-list: format name -> what it is called in messages. Anything else is refused.
FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "png": "PNG",
        "jpeg": "JPEG",
        "tiff": "TIFF",
        "webp": "WebP",
        "bmp": "BMP",
        "heif": "HEIF (HEIC)",
        "avif": "AVIF",
    }
)

#: How many bytes :func:`sniff` wants to see.
HEAD_BYTES = 64

_TIFF_MAGICS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def sniff(head: bytes) -> str | None:
    """Tell the format from the first bytes of a file.

    Parameters
    ----------
    head : bytes
        The first :data:`HEAD_BYTES` bytes, or all of a shorter file.

    Returns
    -------
    str or None
        A key of :data:`FORMATS`, or None if it is none of them.

    Examples
    --------
    >>> sniff(bytes.fromhex("89504e470d0a1a0a") + bytes(8)), sniff(b"plain text")
    ('png', None)
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] in _TIFF_MAGICS:
        return "tiff"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and len(head) >= 18:
        # two letters are a weak sign: the size of the second header must be one that exists
        if int.from_bytes(head[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124):
            return "bmp"
        return None
    if head[4:8] == b"ftyp":
        size = int.from_bytes(head[:4], "big")
        brands = {head[8:12]} | {head[i : i + 4] for i in range(16, min(size, len(head)) - 3, 4)}
        # AVIF files also list the generic brand mif1, so AVIF is looked for first
        if brands.intersection(_AVIF_BRANDS):
            return "avif"
        if brands.intersection(_HEIF_BRANDS):
            return "heif"
    return None


def describe_unknown(head: bytes) -> str:
    """Say in a few words what a refused file looks like.

    Parameters
    ----------
    head : bytes
        The first bytes of the file.

    Returns
    -------
    str
        For a message, such as ``"looks like a GIF"``.
    """
    if not head:
        return "is empty"
    known = (
        (b"GIF8", "a GIF"),
        (b"%PDF", "a PDF"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
        (b"\xff\x4f\xff\x51", "JPEG 2000"),
        (b"\xff\x0a", "JPEG XL"),
        (b"8BPS", "a Photoshop document"),
        (b"\x1f\x8b", "gzip data"),
        (b"\x00\x00\x01\x00", "an icon"),
        (b"P6", "a PPM"),
        (b"P5", "a PGM"),
    )
    for magic, name in known:
        if head.startswith(magic):
            return f"looks like {name}"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<svg", b"<?xml")):
        return "looks like SVG or other XML"
    if text.startswith((b"<!doctype", b"<html", b"<script")):
        return "looks like HTML"
    return f"starts with {head[:8].hex(' ')}"
