"""Photoshop image resources (JPEG APP13, TIFF tag 34377): walking them, without trusting a length in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

#: Resource that holds the IPTC records (IIM).
IPTC = 0x0404
#: Resources that show the picture as it was: thumbnails, and copies of EXIF and XMP from before.
STALE = frozenset({0x0409, 0x040C, 0x0422, 0x0423, 0x0424})
_SIGNATURES = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")


def resources(block: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield number, data and the whole bytes of each resource, as far as they can be told apart.

    Parameters
    ----------
    block : bytes
        The value of a Photoshop resource tag or segment; reading ends where it stops making sense.

    Examples
    --------
    >>> [(n, d) for n, d, _ in resources(b"8BIM" + bytes([4, 4, 0, 0, 0, 0, 0, 2]) + b"ab")]
    [(1028, b'ab')]
    """
    at = 0
    while at + 12 <= len(block) and block[at : at + 4] in _SIGNATURES:
        (number,) = struct.unpack_from(">H", block, at + 4)
        name = 1 + block[at + 6]
        start = at + 6 + name + name % 2
        if start + 4 > len(block):
            return
        (size,) = struct.unpack_from(">I", block, start)
        end = start + 4 + size
        if end > len(block):
            return
        after = min(len(block), end + size % 2)
        yield number, block[start + 4 : end], block[at:after]
        at = after


def records_of(block: bytes | None) -> bytes:
    """Return the IPTC records in a block; empty if there are none."""
    return next((data for number, data, _ in resources(block or b"") if number == IPTC), b"")


def without_stale(block: bytes) -> tuple[bytes, bool]:
    """Return a block without what shows the picture as it was, and whether there was anything of the kind.

    Parameters
    ----------
    block : bytes
        One that cannot be walked to its end is cut where that ends.
    """
    kept, found, walked = [], False, 0
    for number, data, whole in resources(block):
        walked += len(whole)
        if number in STALE:
            found = True
        elif number == IPTC and (fresh := _without_preview(data)) != data:
            found = True
            kept.append(whole[: -len(data) - len(data) % 2 - 4] + struct.pack(">I", len(fresh)))
            kept.append(fresh + b"\0" * (len(fresh) % 2))
        else:
            kept.append(whole)
    if not found:
        return block, False
    return b"".join(kept) + block[walked:], True


def _without_preview(records: bytes) -> bytes:
    """Return IPTC records without the preview of the object (IIM 4.2, datasets 2:200 to 2:202)."""
    out, at = bytearray(), 0
    while at + 5 <= len(records) and records[at] == 0x1C:
        size = int.from_bytes(records[at + 3 : at + 5], "big")
        head = 5
        if size & 0x8000:  # an extended length
            count = size & 0x7FFF
            size = int.from_bytes(records[at + 5 : at + 5 + count], "big")
            head += count
        end = at + head + size
        if end > len(records):
            break
        if not (records[at + 1] == 2 and 200 <= records[at + 2] <= 202):
            out += records[at:end]
        at = end
    return bytes(out) + records[at:]
