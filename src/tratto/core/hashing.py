"""Files as a hash sees them: regular, of bounded length, read once and in pieces."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from tratto.core.errors import ReceiptError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class FileFacts:
    """A file's SHA-256 (hex) and its size in bytes."""

    sha256: str
    size: int

    @classmethod
    def of(cls, data: bytes) -> FileFacts:
        """Return the facts of a file with this content; for files on disk see :func:`hash_file`."""
        return cls(hashlib.sha256(data).hexdigest(), len(data))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {"sha256": self.sha256, "bytes": self.size}


#: Longest file that is kept whole, in bytes.
MAX_HELD = 64 << 20


@dataclass(frozen=True, eq=False)
class HeldFile(os.PathLike[str]):
    """A file that was read once: what is decoded from it is what is hashed and copied. To all others it is its path.

    Attributes
    ----------
    path : Path
        Where it was read.
    data : bytes
        Its content then.
    """

    path: Path
    data: bytes = field(repr=False)

    @cached_property
    def facts(self) -> FileFacts:
        """The content's hash and size."""
        return FileFacts.of(self.data)

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        return hold, (self.path,)  # another process reads it itself: nothing of this length goes through its pipe


def hold(path: Path) -> HeldFile | Path:
    """Read a file once for all that is done with it; one of more than ``MAX_HELD`` bytes stays where it is.

    Returns
    -------
    HeldFile or Path
        The path as it was given where the file is long, or cannot be read: whoever reads it next says why.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a"
    >>> file.write_bytes(b"abc")
    3
    >>> hold(file).facts.sha256[:8]
    'ba7816bf'
    """
    try:
        data = read_limited(path, MAX_HELD, links=True)
    except ReceiptError:
        return path
    return HeldFile(path, data)


def open_regular(path: Path, links: bool = False) -> BinaryIO:
    """Open a file for reading if it is a regular file.

    Parameters
    ----------
    path : Path
        Read from its first byte; not created.
    links : bool
        True for a path the user gave, which may be a symbolic link. Inside a bundle, which may come from somebody
        else and point anywhere, links are not followed.

    Raises
    ------
    ReceiptError
        If it is missing, or something else.
    """
    # without O_NONBLOCK, opening a pipe that nobody writes to would wait forever
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    flags |= 0 if links else getattr(os, "O_NOFOLLOW", 0)
    try:
        if not links and stat.S_ISLNK(os.lstat(path).st_mode):
            raise ReceiptError(f"{path.name} is a symbolic link; a bundle holds plain files only")
        fd = os.open(path, flags)
    except (OSError, ValueError) as e:
        if isinstance(e, OSError) and e.errno == errno.ELOOP:
            raise ReceiptError(f"{path.name} is a symbolic link; a bundle holds plain files only") from e
        reason = getattr(e, "strerror", None) or str(e)
        raise ReceiptError(f"{path.name} cannot be read: {reason}") from e
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ReceiptError(f"{path.name} is not a plain file")
    return os.fdopen(fd, "rb")


def read_limited(path: Path, limit: int, links: bool = False) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes; links are followed for what a user gave only.

    Raises
    ------
    ReceiptError
        If it is missing, longer, or not a regular file.
    """
    with open_regular(path, links) as f:
        data = f.read(limit + 1)
    if len(data) > limit:
        raise ReceiptError(f"{path.name} has more than {limit} bytes; that is not one that Tratto wrote")
    return data


def hash_file(
    path: Path, copy: Callable[[bytes], object] | None = None, limit: int | None = None, links: bool = True
) -> FileFacts:
    """Hash a regular file in pieces.

    Parameters
    ----------
    path : Path
        Read once, 1 MiB at a time.
    copy : callable or None
        Called with every piece that was hashed, so that what is copied is what was hashed. Its errors pass through.
    limit : int or None
        Stop as soon as the file proves longer than this many bytes.
    links : bool
        Follow symbolic links; False for what lies in a bundle.

    Raises
    ------
    ReceiptError
        If it cannot be read or is too long.
    """
    h, size = hashlib.sha256(), 0
    with open_regular(path, links) as f:
        while piece := _read(f, path):
            size += len(piece)
            if limit is not None and size > limit:
                raise ReceiptError(f"{path.name} has more than the stated {limit} bytes")
            h.update(piece)
            if copy is not None:
                copy(piece)
    return FileFacts(h.hexdigest(), size)


def _read(f: BinaryIO, path: Path) -> bytes:
    try:
        return f.read(_CHUNK)
    except OSError as e:
        raise ReceiptError(f"{path.name} cannot be read: {e.strerror}") from e
