"""Writing a file so that it is either complete or not there."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tratto.core.errors import OutputError

_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.part")


def is_unfinished(name: str) -> bool:
    """Return whether a name is one that :func:`atomic_file` writes under; a program that is killed leaves it."""
    return _UNFINISHED.fullmatch(name) is not None


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a new file that appears under its name only when the block ends without an error.

    The data goes to a hidden file in the same folder, is flushed to the disk and then renamed. On any exception,
    ``KeyboardInterrupt`` included, the hidden file is removed and a file that was there before stays as it was.

    Parameters
    ----------
    path : path
        Where the file shall be. Its folder must exist. An existing file is replaced.

    Yields
    ------
    BinaryIO
        Seekable, for writing.

    Raises
    ------
    OutputError
        If the folder is not there, is not writable or the disk is full.
    """
    target = Path(path)
    if "\x00" in os.fspath(path):
        raise OutputError(f"{target.name!r}: a file name cannot contain a NUL character")
    temporary = target.parent / f".{secrets.token_hex(8)}.part"
    try:
        # O_EXCL on a random name, and not mkstemp, so that the permissions follow the umask as for any other new file
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except OSError as error:
        _remove(temporary)
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error
    except BaseException:
        _remove(temporary)
        raise
    _sync_folder(target.parent)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file that appears whole.

    Raises
    ------
    OutputError
    """
    with atomic_file(path) as file:
        file.write(text.encode("utf-8"))


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _sync_folder(folder: Path) -> None:
    # the rename itself must reach the disk; some file systems do not allow this, and then nothing can be done
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
