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
def atomic_file(path: str | os.PathLike[str], replace: bool = True) -> Iterator[BinaryIO]:
    """Open a new file that appears under its name only when the block ends without an error.

    The data goes to a hidden file in the same folder, is flushed to the disk and then renamed. On any exception,
    ``KeyboardInterrupt`` included, the hidden file is removed and a file that was there before stays as it was.

    Parameters
    ----------
    path : path
        Where the file shall be. Its folder must exist.
    replace : bool
        Whether a file that is there is replaced. False: it stays, even if another program made it at this very moment.

    Yields
    ------
    BinaryIO
        Seekable, for writing.

    Raises
    ------
    OutputError
        If the folder is not there, is not writable or the disk is full, or the file is there and is not to be replaced.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / 'a'
    >>> with atomic_file(path) as file:
    ...     there = file.write(b'abc'), path.exists()
    >>> there, path.read_bytes()
    ((3, False), b'abc')
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
        if replace:
            os.replace(temporary, target)
        else:
            _publish(temporary, target)
    except OSError as error:
        _remove(temporary)
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error
    except BaseException:
        _remove(temporary)
        raise
    sync(target.parent)


def _publish(part: Path, target: Path) -> None:
    try:
        os.link(part, target)
    except FileExistsError as e:
        raise OutputError(f"{target} exists already; choose another name") from e
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise OutputError(f"{target} exists already; choose another name") from None
        os.rename(part, target)
    _remove(part)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file that appears whole.

    Raises
    ------
    OutputError
        If it cannot be written, or the disk is full.
    """
    with atomic_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file that appears whole; raises as :func:`write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def write_synced(path: Path, data: bytes) -> None:
    """Write a file under its own name and flush it."""
    with open(path, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


def sync(path: Path) -> None:
    """Flush a file that was written before, or a folder, so that the names in it last."""
    folder = path.is_dir()
    # some systems cannot open or flush folders; the files themselves are flushed either way
    with contextlib.suppress(OSError) if folder else contextlib.nullcontext():
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) if folder else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def lock(descriptor: int, wait: bool = True) -> bool | None:
    """Lock an open file or folder for this process; the lock goes with the process, however that ends.

    Parameters
    ----------
    descriptor : int
        Of a file or a folder; it must stay open as long as the lock is wanted.
    wait : bool
        Until whoever has it lets it go.

    Returns
    -------
    bool or None
        True: it is ours. False: another has it. None: this system has no locks.

    Raises
    ------
    OSError
        If this file system cannot lock it.
    """
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
