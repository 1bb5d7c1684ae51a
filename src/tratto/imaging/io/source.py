"""Opening a source safely and reading exact parts of it."""

from __future__ import annotations

import errno
import io
import logging
import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tratto.core.errors import CorruptPicture, InputError, PictureTooLarge, TrattoError
from tratto.core.hashing import HeldFile
from tratto.core.text import shown
from tratto.imaging.io.limits import Limits

logger = logging.getLogger(__name__)

#: Makes a (possibly memory-mapped) array of a shape and dtype.
Scratch = Callable[[tuple[int, ...], DTypeLike], NDArray[Any]]

#: Arrays smaller than this are made in memory even when a scratch is given.
SCRATCH_FROM_BYTES = 16 * 1024**2

_WARNINGS_LOCK = threading.Lock()


class Source:
    """A file or byte string of known size that is read in exact parts.

    Parameters
    ----------
    stream : BinaryIO
        Seekable.
    size : int
        In bytes.
    name : str
        For messages.
    """

    def __init__(self, stream: BinaryIO, size: int, name: str) -> None:
        self.stream = stream
        self.size = size
        self.name = name

    def read_at(self, offset: int, length: int) -> bytes:
        """Read exactly ``length`` bytes from ``offset``.

        Raises
        ------
        CorruptPicture
            If the file ends before.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            raise CorruptPicture(
                f"{self.name}: the file ends early: {length} bytes are needed at offset {offset}, the file has "
                f"{self.size}"
            )
        try:
            self.stream.seek(offset)
            data = self.stream.read(length)
            while len(data) < length:
                more = self.stream.read(length - len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read: {error.strerror or error}") from error
        if len(data) < length:
            raise CorruptPicture(f"{self.name}: the file became shorter while it was read")
        return data

    def head(self, length: int) -> bytes:
        """Read up to ``length`` bytes from the start."""
        return self.read_at(0, min(length, self.size))

    def all(self) -> bytes:
        """Read everything."""
        return self.read_at(0, self.size)


@dataclass(frozen=True)
class ReadContext:
    """What every format reader is given.

    Attributes
    ----------
    source : Source
        The file, opened.
    limits : Limits
        Sizes above which the file is refused.
    page : int
        Which page or frame is read, from 0.
    scratch : callable or None
        Makes large arrays.
    """

    source: Source
    limits: Limits
    page: int = 0
    scratch: Scratch | None = None

    @property
    def name(self) -> str:
        """Of the source, for messages."""
        return self.source.name

    def check_page(self, pages: int) -> None:
        """Check that the page that is asked for is one of so many.

        Raises
        ------
        InputError
            If it is not.
        """
        if self.page >= pages:
            raise InputError(f"{self.name}: there is no page {self.page}, the file has {pages}")

    def new_array(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Make an array, from the scratch when it is large and a scratch was given."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if self.scratch is not None and size >= SCRATCH_FROM_BYTES:
            return self.scratch(shape, dtype)
        return np.empty(shape, dtype)


def rows_per_band(row_bytes: int, target: int = 4 * 1024**2) -> int:
    """Return how many rows of ``row_bytes`` make a band of about ``target`` bytes (at least one)."""
    return max(1, target // max(1, row_bytes))


@contextmanager
def open_source(source: str | os.PathLike[str] | bytes | BinaryIO, limits: Limits) -> Iterator[Source]:
    """Open a path, byte string or binary stream.

    Only regular files are opened: a device, pipe or socket could block or never end.

    Parameters
    ----------
    source : str, path, bytes or binary stream
        A stream is read from its beginning.
    limits : Limits
        ``max_bytes`` is checked.

    Yields
    ------
    Source
        Closed when the block ends, if it was opened here.

    Raises
    ------
    InputError
        If it does not exist, is no regular file or cannot be read.
    PictureTooLarge
        If it has more than ``max_bytes``.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        _check_bytes(len(data), limits, "<bytes>")
        yield Source(io.BytesIO(data), len(data), "<bytes>")
        return
    if isinstance(source, HeldFile):
        name = shown(source.path.name, 120)
        _check_bytes(len(source.data), limits, name)
        yield Source(io.BytesIO(source.data), len(source.data), name)
        return
    if isinstance(source, str | os.PathLike):
        with _open_file(source, limits) as opened:
            yield opened
        return
    if not hasattr(source, "read"):
        raise InputError(f"expected a path, bytes or a binary stream, got {type(source).__name__}")
    yield _from_stream(source, limits)


def _from_stream(stream: BinaryIO, limits: Limits) -> Source:
    name = str(getattr(stream, "name", "<stream>"))
    try:
        if getattr(stream, "seekable", lambda: False)():
            size = stream.seek(0, os.SEEK_END)
            _check_bytes(size, limits, name)
            stream.seek(0)
            if not isinstance(stream.read(0), bytes):
                raise InputError(f"{name}: expected a stream opened in binary mode, got a text stream")
            return Source(stream, size, name)
        data = stream.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: the stream cannot be read: {error}") from error
    if not isinstance(data, bytes):
        raise InputError(f"{name}: expected a stream opened in binary mode, got a text stream")
    _check_bytes(len(data), limits, name)
    return Source(io.BytesIO(data), len(data), name)


def _check_bytes(size: int, limits: Limits, name: str) -> None:
    if size > limits.max_bytes:
        raise PictureTooLarge(f"{name}: the file has {size} bytes, the limit is {limits.max_bytes}")


@contextmanager
def _open_file(path: str | os.PathLike[str], limits: Limits) -> Iterator[Source]:
    raw = os.fspath(path)
    name = shown(Path(raw).name or raw, 120)
    if "\x00" in raw:
        raise InputError(f"{name}: a file name cannot contain a NUL character")
    # without O_NONBLOCK, opening a pipe that nobody writes to would wait forever
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        # looked at before opening as well: opening some devices has side effects
        kind = os.stat(raw).st_mode
        if stat.S_ISDIR(kind):
            if not os.access(raw, os.R_OK | os.X_OK):
                raise InputError(
                    f"{name}: the folder may not be read (permission denied), so nothing in it was looked at"
                )
            raise InputError(f"{name}: is a folder, expected a picture file")
        if not stat.S_ISREG(kind):
            raise InputError(f"{name}: is a device, pipe or socket, expected a regular file")
        descriptor = os.open(raw, flags)
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: {_why(error)}") from error
    with os.fdopen(descriptor, "rb") as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise InputError(f"{name}: is not a regular file")
        _check_bytes(facts.st_size, limits, name)
        yield Source(stream, facts.st_size, name)


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return "the file name is too long"
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return "symbolic links go round in a circle"
    return f"cannot be opened: {getattr(error, 'strerror', None) or error}"


@contextmanager
def mapped_errors(name: str) -> Iterator[None]:
    """Turn every error of a decoding library into one of ours.

    Parameters
    ----------
    name : str
        Of the file, for the message.

    Raises
    ------
    PictureTooLarge
        For a lack of memory.
    CorruptPicture
        For anything that is not an error of ours already.
    """
    try:
        yield
    except TrattoError:
        raise
    except MemoryError as error:
        raise PictureTooLarge(f"{name}: there is not enough memory to decode it") from error
    except Exception as error:
        detail = str(error).splitlines()[0][:200] if str(error) else ""
        raise CorruptPicture(f"{name}: cannot be decoded: {type(error).__name__}: {detail}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Log warnings of a decoding library at debug level instead of letting them out.

    The list of filters is global to the process, hence the lock.
    """
    with _WARNINGS_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for item in caught:
                logger.debug("%s: %s", item.category.__name__, item.message)
