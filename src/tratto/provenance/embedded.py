"""Whether a picture file holds content credentials at all, told from its container and without the library.

The library that checks credentials reads fewer kinds of files than Tratto, and none that is cut short. What it cannot
parse was not altered for that reason: only where bytes of credentials are in the file is their failing to be read a
statement about it. Walked are the chunks, segments or directories of the container, as far as they go.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from tratto.core.hashing import open_regular

#: Parts of a container that are looked at, at most.
_MOST = 100_000
#: TIFF tag of a manifest store (C2PA 2.1, A.3.4).
_TIFF_TAG = 0xCD41


def holds_credentials(path: Path, format_name: str) -> bool:
    """Return whether a manifest store lies in a picture file.

    Parameters
    ----------
    path : Path
        Only its containers are walked; nothing is decoded.
    format_name : str
        ``"png"``, ``"jpeg"``, ``"tiff"`` or ``"webp"``; others carry none.

    Returns
    -------
    bool
        False too where the container ends before it comes to one.

    Raises
    ------
    ReceiptError
        If the file cannot be opened.

    Examples
    --------
    A PNG signature with the head of a ``caBX`` chunk, which is where PNG keeps credentials:

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "cut.png"
    >>> _ = place.write_bytes(bytes.fromhex("89504e470d0a1a0a 00000010") + b"caBX")
    >>> holds_credentials(place, "png")
    True
    """
    walk: Callable[[BinaryIO], bool] | None
    walk = {"png": _in_png, "jpeg": _in_jpeg, "tiff": _in_tiff, "webp": _in_webp}.get(format_name)
    if walk is None:
        return False
    with open_regular(path, links=True) as f:
        try:
            return walk(f)
        except (struct.error, OSError):
            return False  # it ends here, and nothing was found so far


def _in_png(f: BinaryIO) -> bool:
    f.seek(8)
    for _ in range(_MOST):
        size, kind = struct.unpack(">I4s", f.read(8))
        if kind == b"caBX":
            return True
        f.seek(size + 4, 1)
    return False


def _in_webp(f: BinaryIO) -> bool:
    f.seek(12)
    for _ in range(_MOST):
        kind, size = struct.unpack("<4sI", f.read(8))
        if kind == b"C2PA":
            return True
        f.seek(size + size % 2, 1)
    return False


def _in_jpeg(f: BinaryIO) -> bool:
    f.seek(2)
    for _ in range(_MOST):
        mark, kind = struct.unpack(">BB", f.read(2))
        if mark != 0xFF or kind == 0xDA:  # picture data; credentials stand before it
            return False
        if kind == 0xFF:
            f.seek(-1, 1)
            continue
        (size,) = struct.unpack(">H", f.read(2))
        if kind == 0xEB and b"jumb" in f.read(min(size, 34)):
            return True
        f.seek(-min(size, 34) if kind == 0xEB else 0, 1)
        f.seek(size - 2, 1)
    return False


def _in_tiff(f: BinaryIO) -> bool:
    head = f.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        return False
    big = struct.unpack_from(order + "H", head, 2)[0] == 43
    link = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)[0]
    return any(tag == _TIFF_TAG for tag in _tags(f, order, big, link))


def _tags(f: BinaryIO, order: str, big: bool, link: int) -> Iterator[int]:
    """Yield the tags of a chain of directories."""
    seen: set[int] = set()
    size, field = (8, 20) if big else (2, 12)
    left = _MOST
    while link and link not in seen:
        seen.add(link)
        f.seek(link)
        (count,) = struct.unpack(order + ("Q" if big else "H"), f.read(size))
        for _ in range(count):
            left -= 1
            if left < 0:
                return
            yield struct.unpack(order + "H", f.read(field)[:2])[0]
        (link,) = struct.unpack(order + ("Q" if big else "I"), f.read(8 if big else 4))
