"""What a caller may ask of a session, and what it answers: limits, how to write, what was written."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tratto.core.errors import InputError, OptionError

#: ``progress(stage, done, total)``; raising stops the job.
Progress = Callable[[str, int, int], None]
#: What a picture may be given as.
PictureLike = "str | os.PathLike[str] | bytes | NDArray[Any] | PilImage | Image"

#: What ``SaveOptions.format`` may be, and the ending each writes.
FORMATS = {"auto": ".png", "keep": "", "png": ".png", "tiff": ".tif", "webp": ".webp", "jpeg": ".jpg", "bmp": ".bmp"}
#: Endings that mean a format.
ENDINGS = {
    "png": (".png",),
    "tiff": (".tif", ".tiff"),
    "webp": (".webp",),
    "jpeg": (".jpg", ".jpeg"),
    "bmp": (".bmp", ".dib"),
}


@dataclass(frozen=True)
class JobLimits:
    """What a job may cost before it is refused.

    Attributes
    ----------
    output_pixels : int
        Largest number of pixels of a result.
    minutes : float
        Longest estimated time.
    """

    output_pixels: int = 400_000_000
    minutes: float = 60.0


@dataclass(frozen=True)
class SaveOptions:
    """How a result is written.

    Attributes
    ----------
    format : str
        ``auto`` (PNG; TIFF for TIFF input and CMYK), ``keep`` (the input's), ``png``, ``tiff``, ``webp`` (lossless),
        ``jpeg`` or ``bmp``.
    quality : int
        1-100, for JPEG.
    keep_original : bool
        Keep a byte-exact copy of the input in the bundle, which is what makes ``revert`` possible.
    strip_metadata : bool
        Drop EXIF, XMP, IPTC and text from the picture and names and times from the bundle.
    """

    format: str = "auto"
    quality: int = 95
    keep_original: bool = True
    strip_metadata: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise OptionError(f"format must be one of {', '.join(FORMATS)}, got {self.format!r}")
        if not 1 <= self.quality <= 100:
            raise OptionError(f"quality must lie in 1-100, got {self.quality}")
        if self.strip_metadata and self.keep_original:
            raise OptionError(
                "an untouched original still holds its metadata: strip_metadata needs keep_original=False"
            )


@dataclass(frozen=True)
class Saved:
    """What was written.

    Attributes
    ----------
    output, bundle : Path
    receipt_sha256 : str
    warnings : tuple of str
    signed : str
        Who signed the picture, as ``verify`` will say it; empty: it is unsigned.
    entry : int or None
        Its number in the ledger.
    """

    output: Path
    bundle: Path
    receipt_sha256: str
    warnings: tuple[str, ...] = ()
    signed: str = ""
    entry: int | None = None


def silent(stage: str, done: int, total: int) -> None:
    """Report progress to nobody."""
    return None


def as_path(value: Any, what: str) -> Path:
    """Return a path that somebody gave.

    Raises
    ------
    InputError
        If it is something else.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise InputError(f"expected the path of {what}, got {type(value).__name__}")
    return Path(value)
