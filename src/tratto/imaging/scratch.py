"""Large arrays that live in a file instead of in memory."""

from __future__ import annotations

import errno
import math
import mmap
import os
import tempfile

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tratto.core.errors import OutputError

#: Arrays up to this many bytes stay in ordinary memory.
IN_MEMORY = 48 * 1024 * 1024


def allocate(shape: tuple[int, ...], dtype: DTypeLike, in_memory: int = IN_MEMORY) -> NDArray[np.generic]:
    """Return a zeroed array, backed by an unlinked temporary file when it is larger than ``in_memory`` bytes.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns and channels; no side may be 0.
    dtype : dtype
        Of the samples.
    in_memory : int
        Bytes up to which ordinary memory is used.

    Raises
    ------
    OutputError
        If the temporary folder has no room.
    """
    dt = np.dtype(dtype)
    count = math.prod(shape)
    size = count * dt.itemsize
    if size <= in_memory:
        return np.zeros(shape, dt)
    try:
        with tempfile.TemporaryFile(prefix="tratto-") as f:
            _reserve(f.fileno(), size)
            view = mmap.mmap(f.fileno(), size)
    except OSError as e:
        raise OutputError(
            f"the temporary folder {tempfile.gettempdir()} has no room for {size / 2**20:.0f} MiB of working space "
            f"({e}); free some or point TMPDIR elsewhere"
        ) from e
    return np.frombuffer(view, dtype=dt, count=count).reshape(shape)


def _reserve(descriptor: int, size: int) -> None:
    """Give a file its size with all the room it takes: a page for which there is none would kill the process."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
            return
        except OSError as e:
            if e.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
    os.truncate(descriptor, size)
    if hasattr(os, "statvfs"):
        room = os.fstatvfs(descriptor)
        if room.f_bavail * room.f_frsize < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def release(array: NDArray[np.generic] | None) -> None:
    """Drop the resident pages of a file-backed array; its contents stay in the file. Does nothing for other arrays."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
