"""What a caller may ask of a session, and what it answers: limits, how to write, what was written."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tratto.core.errors import InputError
from tratto.core.options import JobLimits, SaveOptions

__all__ = [
    "EXTENSIONS", "FORMATS", "JobLimits", "Progress", "SaveOptions", "Saved", "as_path", "silent",
]  # fmt: skip

#: ``progress(stage, done, total)``; raising stops the job.
Progress = Callable[[str, int, int], None]

#: What ``SaveOptions.format`` may be, and the extension each writes.
FORMATS = {"auto": ".png", "keep": "", "png": ".png", "tiff": ".tif", "webp": ".webp", "jpeg": ".jpg", "bmp": ".bmp"}
#: Extensions that mean a format.
EXTENSIONS = {
    "png": (".png",),
    "tiff": (".tif", ".tiff"),
    "webp": (".webp",),
    "jpeg": (".jpg", ".jpeg"),
    "bmp": (".bmp", ".dib"),
}


@dataclass(frozen=True)
class Saved:
    """What was written.

    Attributes
    ----------
    output, bundle : Path
        Where the result and its bundle lie.
    receipt_sha256 : str
        In hex; whoever keeps it elsewhere can tell a bundle that was rebuilt.
    warnings : tuple of str
        What a user should know: stand-ins, licences, metadata that were left out.
    signed : str
        Who signed the picture, as ``verify`` will say it; empty: it is unsigned.
    entry : int or None
        Its number in the ledger.

    Examples
    --------
    >>> Saved(Path("out/wall.png"), Path("out/wall.tratto"), "9f2c").signed  # not signed
    ''
    """

    output: Path
    bundle: Path
    receipt_sha256: str
    warnings: tuple[str, ...] = ()
    signed: str = ""
    entry: int | None = None


def silent(stage: str, done: int, total: int) -> None:
    """Report progress to nobody.

    Examples
    --------
    >>> silent('denoise', 1, 4)
    """
    return None


def as_path(value: Any, what: str) -> Path:
    """Return a path that somebody gave.

    Raises
    ------
    InputError
        If it is something else.

    Examples
    --------
    >>> as_path('out/a.png', 'the picture').name
    'a.png'
    """
    if not isinstance(value, (str, os.PathLike)):
        raise InputError(f"expected the path of {what}, got {type(value).__name__}")
    return Path(value)
