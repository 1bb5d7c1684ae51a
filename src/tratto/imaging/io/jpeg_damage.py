"""Whether the picture data of a JPEG are whole: what its decoder would only warn of.

A decoder that runs out of data in the middle of a picture fills the rest with grey, and one that is done before the
data end leaves them. Neither is an error to the libraries at hand, and their warnings do not come out. Both are seen
from outside: behind data that were enough, further bytes are passed over, and behind data that were not, they become
picture; and where the last bytes are exchanged, a decoder that had come to them shows something else. Compared are
pictures of an eighth of the size, for which only the mean of each block is transformed.
"""

from __future__ import annotations

import hashlib
import io
import re

import numpy as np
from numpy.typing import NDArray

#: Bytes that are no marker and no code of nothing: put where a decoder must not come to.
CANARY = bytes(b & 0x7F | 0x11 for b in hashlib.sha512(b"tratto canary").digest())

_MARKER = re.compile(rb"\xff+[^\x00\xff]")
#: So many last bytes are exchanged: more than one block can take, so that the mean of one is among them.
_LAST = 320


def damage_of(data: bytes) -> str:
    """Say in what way the picture data of a JPEG are damaged; empty if they are not, as far as can be told.

    Parameters
    ----------
    data : bytes
        A whole file with its tables, whose markers were checked.

    Returns
    -------
    str
        A clause about "they", the data.
    """
    ends, lacking = _ends(data)
    if lacking:
        return "they end before the picture does"
    if not ends:
        return ""
    seen = _small(data)
    if seen is None:
        return ""
    longer = _small(_spliced(data, ends, 0))
    if longer is None or not np.array_equal(seen, longer):
        return "they end before the picture does"
    start, last = ends[-1]
    if last - start > 4 * _LAST:
        other = _small(_spliced(data, ends[-1:], _LAST))
        if other is not None and np.array_equal(seen, other):
            return "they go on behind the end of the picture, so that the decoder lost its place in them"
    return ""


def _ends(data: bytes) -> tuple[list[tuple[int, int]], bool]:
    """Return where each run of coded data begins and ends, and whether restart marks are missing.

    A run ends at the next marker, restart marks included. How many there must be follows from the size.
    """
    out: list[tuple[int, int]] = []
    at, interval, expected = 2, 0, 0
    frame = b""
    while 0 <= at < len(data) - 4 and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xD9:
            break
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
        else:
            body = data[at + 4 : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                frame = body
            elif marker == 0xDD and len(body) >= 2:
                interval = int.from_bytes(body[:2], "big")
            elif marker == 0xDA:
                expected += _up(_units(frame, body), interval) if interval else 1
            at += 4 + len(body)
        if marker == 0xDA or 0xD0 <= marker <= 0xD7:
            found = _MARKER.search(data, at)
            if found is None:
                break
            out.append((at, found.start()))
            at = found.start()
    return out, len(out) < expected


def _units(frame: bytes, scan: bytes) -> int:
    """Return how many units (T.81, A.2) a scan codes; 0 if its header is broken."""
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5] or not scan:
        return 0
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    parts = {frame[6 + 3 * i]: (frame[7 + 3 * i] >> 4, frame[7 + 3 * i] & 15) for i in range(frame[5])}
    most = [max((p[i] for p in parts.values()), default=1) or 1 for i in (0, 1)]
    if scan[0] != 1:
        return _up(width, 8 * most[0]) * _up(height, 8 * most[1])
    across, down = parts.get(scan[1] if len(scan) > 1 else -1, (1, 1))
    return _up(_up(width * across, most[0]), 8) * _up(_up(height * down, most[1]), 8)


def _up(value: int, by: int) -> int:
    return -(-value // by)


def _spliced(data: bytes, ends: list[tuple[int, int]], exchanged: int) -> bytes:
    """Put the canary behind runs of coded data, in place of so many last bytes of them."""
    parts, at = [], 0
    for _, end in ends:
        parts += [data[at : end - exchanged], CANARY]
        at = end
    parts.append(data[at:])
    return b"".join(parts)


def _small(data: bytes) -> NDArray[np.uint8] | None:
    """Return a picture at an eighth of its size; None if the library refuses it."""
    from PIL import JpegImagePlugin

    try:
        picture = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        progressive = bool(picture.info.get("progressive"))
        # the scans of a progressive picture refine it; of an eighth only the first is left
        eighth = 4 if progressive else 8
        picture.draft(None, (max(1, picture.width // eighth), max(1, picture.height // eighth)))
        return np.asarray(picture)
    except (OSError, ValueError, SyntaxError, MemoryError):
        return None
