"""EXIF blocks: reading, patching one tag, and taking apart for TIFF (EXIF 2.32 / JEITA CP-3451; TIFF 6.0).

A block is the little TIFF structure that follows the ``Exif\\0\\0`` mark in a JPEG. It is treated as opaque wherever
possible: nothing is re-serialised that can be left as it is, because maker notes hold offsets that only their maker
understands.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

#: Size in bytes of one item of each TIFF field type.
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

#: How many bytes are swapped as one unit (a rational is two 4-byte numbers).
_SWAP_UNITS = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

_MAX_NOTES = 20

ORIENTATION = 0x0112
EXIF_IFD = 0x8769
GPS_IFD = 0x8825
INTEROP_IFD = 0xA005
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
#: Fields of a directory that point to another one.
_POINTERS = {("main", EXIF_IFD): "exif", ("main", GPS_IFD): "gps", ("exif", INTEROP_IFD): "interop"}
_CALLED = {"exif": "EXIF", "gps": "GPS", "interop": "interoperability"}

#: Tags of the first directory that describe the picture and not its encoding, so that they may move between formats.
DESCRIPTIVE = frozenset(
    {0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298}
    | set(range(0x9C9B, 0x9CA0))
)


@dataclass(frozen=True)
class Entry:
    """One field of a directory.

    Attributes
    ----------
    kind : int
        TIFF field type.
    count : int
        Number of items.
    data : bytes
        The items, little-endian.
    """

    kind: int
    count: int
    data: bytes

    def numbers(self) -> tuple[int, ...]:
        """Return integer items; empty for other types."""
        code = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}.get(self.kind)
        return struct.unpack(f"<{self.count}{code}", self.data) if code else ()

    def rationals(self) -> tuple[tuple[int, int], ...]:
        """Return (numerator, denominator) items; empty for other types."""
        if self.kind not in (5, 10):
            return ()
        flat = struct.unpack(f"<{2 * self.count}{'I' if self.kind == 5 else 'i'}", self.data)
        return tuple(zip(flat[::2], flat[1::2], strict=True))


Directory = Mapping[int, Entry]


@dataclass(frozen=True)
class ExifBlock:
    """An EXIF block taken apart.

    Attributes
    ----------
    main, exif, gps, interop, thumbnail : mapping of int to Entry
        The directories; empty when absent. Pointers between them are left out.
    notes : tuple of str
        What was broken and therefore skipped.
    """

    main: Directory = field(default_factory=dict)
    exif: Directory = field(default_factory=dict)
    gps: Directory = field(default_factory=dict)
    interop: Directory = field(default_factory=dict)
    thumbnail: Directory = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def to_little(kind: int, data: bytes, big: bool) -> bytes:
    """Return the items of a field little-endian."""
    unit = _SWAP_UNITS.get(kind, 1)
    if not big or unit == 1:
        return data
    swapped = bytearray(len(data))
    for i in range(unit):
        swapped[i::unit] = data[unit - 1 - i :: unit]
    return bytes(swapped)


def parse(block: bytes) -> ExifBlock:
    """Take an EXIF block apart without ever failing: what is broken is skipped and noted.

    Parameters
    ----------
    block : bytes
        Without the ``Exif\\0\\0`` mark.

    Returns
    -------
    ExifBlock
        Entries by directory, with a note for each thing that was skipped.
    """
    order = _order(block)
    if order is None:
        return ExifBlock(notes=("the EXIF block has no TIFF header; kept as it is",))
    notes: list[str] = []
    spots, _ = _spots(block, order, notes)
    found: dict[str, dict[int, Entry]] = {name: {} for name in ("main", "exif", "gps", "interop", "thumbnail")}
    for spot in spots:
        if (spot.directory, spot.tag) not in _POINTERS:
            data = to_little(spot.kind, block[spot.value : spot.value + spot.size], order == ">")
            # of a tag that comes twice the first counts
            found[spot.directory].setdefault(spot.tag, Entry(spot.kind, spot.count, data))
    return ExifBlock(**found, notes=tuple(notes[:_MAX_NOTES]))


def _order(block: bytes | bytearray | None) -> str | None:
    """Return the order of bytes in a block; None if it is no TIFF structure."""
    known = {b"II*\x00": "<", b"MM\x00*": ">"}
    return known.get(bytes(block[:4])) if block is not None and len(block) >= 8 else None


@dataclass(frozen=True)
class _Spot:
    """Where one field of a block stands."""

    directory: str
    tag: int
    kind: int
    count: int
    at: int  # the twelve bytes of its entry
    value: int
    size: int


def _spots(block: bytes | bytearray, order: str, notes: list[str]) -> tuple[list[_Spot], dict[str, tuple[int, int]]]:
    """Return the fields of a block, and where each whole directory begins and its link to the next stands.

    What is broken is skipped, and added to ``notes``.
    """
    spots: list[_Spot] = []
    places: dict[str, tuple[int, int]] = {}
    waiting, seen = [("main", struct.unpack_from(order + "I", block, 4)[0])], set()
    # fields may overlap; without a bound, a small block could ask for the same megabytes many thousand times
    budget = 2 * len(block) + 65536
    while waiting:
        name, offset = waiting.pop(0)
        what = _CALLED.get(name, name)
        if offset in seen:
            notes.append(f"EXIF: the {what} directory points back to one already read")
            continue
        seen.add(offset)
        if offset < 8 or offset + 2 > len(block):
            notes.append(f"EXIF: the {what} directory lies outside the block")
            continue
        (count,) = struct.unpack_from(order + "H", block, offset)
        end = offset + 2 + 12 * count
        if end > len(block):
            notes.append(f"EXIF: the {what} directory claims {count} fields and is cut off")
            count = (len(block) - offset - 2) // 12
        else:
            places[name] = (offset, end)
        for at in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind, items = struct.unpack_from(order + "HHI", block, at)
            size = TYPE_SIZES.get(kind, 0) * items
            if kind not in TYPE_SIZES:
                notes.append(f"EXIF: field {tag:#06x} has the unknown type {kind}")
                continue
            where = at + 8 if size <= 4 else struct.unpack_from(order + "I", block, at + 8)[0]
            if where + size > len(block):
                notes.append(f"EXIF: field {tag:#06x} lies outside the block")
                continue
            budget -= size
            if budget < 0:
                notes.append(f"EXIF: the fields of the {what} directory overlap; the rest is skipped")
                break
            spot = _Spot(name, tag, kind, items, at, where, size)
            target = _POINTERS.get((name, tag))
            if target is not None and all((s.directory, s.tag) != (name, tag) for s in spots):
                pointed = _number(block, order, spot)
                if pointed is not None:
                    waiting.append((target, pointed))
            spots.append(spot)
        following = struct.unpack_from(order + "I", block, end)[0] if end + 4 <= len(block) else 0
        if name == "main" and following:
            waiting.append(("thumbnail", following))
    return spots, places


def _number(block: bytes | bytearray, order: str, spot: _Spot) -> int | None:
    code = {3: "H", 4: "I", 13: "I"}.get(spot.kind)
    return struct.unpack_from(order + code, block, spot.value)[0] if code and spot.count == 1 else None


def orientation_of(block: ExifBlock) -> tuple[int, str | None]:
    """Return the orientation 1-8, and a note if the tag held something else.

    Parameters
    ----------
    block : ExifBlock
        From :func:`parse`.

    Returns
    -------
    orientation : int
        1 when the tag is absent or invalid.
    note : str or None
        None when the tag is absent or valid.
    """
    entry = block.main.get(ORIENTATION)
    return checked_orientation(entry.numbers() if entry else (1,))


def facts_of(exif: bytes | None, notes: list[str]) -> tuple[int, tuple[float, float] | None]:
    """Return orientation and resolution as a block states them; what is odd in it is added to ``notes``.

    Parameters
    ----------
    exif : bytes or None
        None or empty: there is no block.
    notes : list of str
        Added to.
    """
    if not exif:
        return 1, None
    block = parse(exif)
    orientation, note = orientation_of(block)
    notes += [*block.notes, *([note] if note else [])]
    return orientation, resolution_of(block.main)


def checked_orientation(values: tuple[int, ...]) -> tuple[int, str | None]:
    """Return an orientation 1-8, and a note if ``values`` is not one such number."""
    if len(values) >= 1 and 1 <= values[0] <= 8:
        return values[0], None
    shown = values[0] if values else "not a number"
    return 1, f"the orientation tag is {shown}, expected 1-8; taken as 1"


def resolution_of(directory: Directory) -> tuple[float, float] | None:
    """Return (horizontal, vertical) dots per inch from the tags of a directory, or None if they say nothing."""
    x, y = directory.get(X_RESOLUTION), directory.get(Y_RESOLUTION)
    unit_entry = directory.get(RESOLUTION_UNIT)
    unit = (unit_entry.numbers() if unit_entry else ()) or (2,)
    pairs = (x.rationals()[:1] if x else ()) + (y.rationals()[:1] if y else ())
    if len(pairs) != 2 or unit[0] not in (2, 3) or any(n <= 0 or d <= 0 for n, d in pairs):
        return None
    # one division only, so that a written rational comes back as the same float
    values = [n * 254 / (d * 100) if unit[0] == 3 else n / d for n, d in pairs]
    return values[0], values[1]


def build(block: ExifBlock) -> bytes:
    """Serialise directories into a little-endian EXIF block; equal input gives equal bytes.

    The thumbnail directory is left out: its data lies outside the fields.

    Parameters
    ----------
    block : ExifBlock
        Directories and their entries.

    Returns
    -------
    bytes
        From the TIFF header on, without the ``Exif\\0\\0`` mark.
    """
    layout = [("main", dict(block.main))]
    if block.exif or block.interop:
        layout.append(("exif", dict(block.exif)))
    if block.interop:
        layout.append(("interop", dict(block.interop)))
    if block.gps:
        layout.append(("gps", dict(block.gps)))
    present = {name for name, _ in layout}
    pointers = {"main": {EXIF_IFD: "exif", GPS_IFD: "gps"}, "exif": {INTEROP_IFD: "interop"}}
    offsets: dict[str, int] = {}
    at = 8
    for name, fields in layout:
        for tag, target in pointers.get(name, {}).items():
            if target in present:
                fields[tag] = Entry(4, 1, b"\0\0\0\0")
        offsets[name] = at
        at += directory_size(fields)
    out = bytearray(b"II*\x00" + struct.pack("<I", 8))
    for name, fields in layout:
        for tag, target in pointers.get(name, {}).items():
            if target in present:
                fields[tag] = Entry(4, 1, struct.pack("<I", offsets[target]))
        out += serialise(fields, offsets[name])
    return bytes(out)


def directory_size(fields: Directory) -> int:
    """Return the bytes :func:`serialise` needs (classic TIFF)."""
    return 6 + 12 * len(fields) + sum(len(e.data) + len(e.data) % 2 for e in fields.values() if len(e.data) > 4)


def serialise(fields: Directory, offset: int, following: int = 0) -> bytes:
    """Write one classic little-endian directory with its values behind it.

    Parameters
    ----------
    fields : mapping of int to Entry
        By tag; they are written in the order of their tags.
    offset : int
        Where the directory will stand, counted from the TIFF header.
    following : int
        Offset of the next directory, 0 for none.

    Returns
    -------
    bytes
        Of the length :func:`directory_size` says.
    """
    head = bytearray(struct.pack("<H", len(fields)))
    values = bytearray()
    start = offset + 6 + 12 * len(fields)
    for tag in sorted(fields):
        entry = fields[tag]
        if len(entry.data) <= 4:
            head += struct.pack("<HHI", tag, entry.kind, entry.count) + entry.data.ljust(4, b"\0")
        else:
            head += struct.pack("<HHII", tag, entry.kind, entry.count, start + len(values))
            values += entry.data + b"\0" * (len(entry.data) % 2)
    return bytes(head + struct.pack("<I", following) + values)


def with_orientation(block: bytes | None, orientation: int) -> bytes:
    """Return the block with this orientation; nothing else in it moves.

    An existing tag is overwritten in place. A missing one is added by writing a longer copy of the first directory
    behind the block, so that every offset inside (maker notes among them) stays valid.

    Parameters
    ----------
    block : bytes or None
        Without the ``Exif\\0\\0`` mark. None or a block that is no TIFF structure: a new block is made.
    orientation : int
        1-8.

    Returns
    -------
    bytes
        A block; the one given, of the same length, where the tag was there.
    """
    entry = Entry(3, 1, struct.pack("<H", orientation))
    order = _order(block)
    found = None if block is None or order is None else _spots(block, order, [])
    if block is None or order is None or found is None or "main" not in found[1]:
        return build(ExifBlock(main={ORIENTATION: entry}))
    there = [s for s in found[0] if s.directory == "main" and s.tag == ORIENTATION]
    if not there:
        return _extended(block, order, found[1]["main"], {ORIENTATION: entry})
    out = bytearray(block)
    for spot in there:  # a broken block may hold the tag twice, and readers differ in which they take
        struct.pack_into(order + "HHIHH", out, spot.at, ORIENTATION, 3, 1, orientation, 0)
    return bytes(out)


def _extended(block: bytes, order: str, place: tuple[int, int], entries: Directory) -> bytes:
    """Return a block with entries in its first directory, of which a longer copy is written behind the block.

    Parameters
    ----------
    block : bytes
        Without the ``Exif\\0\\0`` mark; what lies in it keeps its place.
    order : str
        Of its bytes.
    place : (int, int)
        Where the first directory begins, and its link to the next stands.
    entries : mapping of int to Entry
        Those of these tags are replaced.
    """
    begin, end = place
    fields: dict[int, bytes] = {}
    for at in range(begin + 2, end, 12):
        fields.setdefault(struct.unpack_from(order + "H", block, at)[0], bytes(block[at : at + 12]))
    out = bytearray(block) + b"\0" * (len(block) % 2)
    behind = len(out) + 2 + 12 * len({*fields, *entries}) + 4
    values = b""
    for tag, entry in entries.items():
        data = to_little(entry.kind, entry.data, order == ">")  # swapped again is the other order
        if len(data) > 4:
            data, values = struct.pack(order + "I", behind + len(values)), values + data
        fields[tag] = struct.pack(order + "HHI", tag, entry.kind, entry.count) + data.ljust(4, b"\0")
    following = bytes(block[end : end + 4]) if end + 4 <= len(block) else b"\0\0\0\0"
    struct.pack_into(order + "I", out, 4, len(out))
    out += struct.pack(order + "H", len(fields)) + b"".join(fields[t] for t in sorted(fields)) + following + values
    return bytes(out)


def with_resolution(block: bytes | None, dpi: tuple[float, float]) -> bytes:
    """Return the block with a resolution; nothing else in it moves.

    What the block says of it already stays. The tags are added as :func:`with_orientation` adds its own.

    Parameters
    ----------
    block : bytes or None
        None: a new block is made. A block that is no TIFF structure is returned as it is.
    dpi : (float, float)
        Horizontal and vertical dots per inch, above 0.

    Returns
    -------
    bytes
        A block; the one given where it says so already, or where the resolution fits no rational number of 32 bits.
    """
    x, y = (Fraction(v).limit_denominator(100_000) for v in dpi)
    if not (0 < x < 2**31 and 0 < y < 2**31):
        return block or b""
    entries = {
        t: Entry(5, 1, struct.pack("<II", *v.as_integer_ratio())) for t, v in ((X_RESOLUTION, x), (Y_RESOLUTION, y))
    }
    entries[RESOLUTION_UNIT] = Entry(3, 1, struct.pack("<H", 2))
    if block is None:
        return build(ExifBlock(main=entries))
    order = _order(block)
    if order is None or resolution_of(parse(block).main) is not None:
        return block
    place = _spots(block, order, [])[1].get("main")
    return block if place is None else _extended(block, order, place, entries)


def block_for(exif: bytes | None, orientation: int) -> bytes | None:
    """Return the block to write for a picture, or None if there is nothing to say.

    Parameters
    ----------
    exif : bytes or None
        The block of the picture.
    orientation : int
        What must hold. The block is left alone when it already means this (an invalid tag means 1).

    Returns
    -------
    bytes or None
        The block given where it means this already; else one with the tag.
    """
    current = orientation_of(parse(exif))[0] if exif else 1
    if current == orientation:
        return exif
    return with_orientation(exif, orientation)


# ------------------------------------------------------------------------------------------- what no longer holds

MAKER_NOTE = 0x927C
_OFFSETS = {0x0201: 0x0202, 0x0111: 0x0117}  # where the data of a thumbnail begin, and how long they are
_JPEG = b"\xff\xd8\xff"


def without_previews(block: bytes) -> tuple[bytes, list[str]]:
    """Return a block without the small pictures in it, and what was taken out.

    A thumbnail goes with its directory, its bytes become zeros. Notes of a maker that hold a picture of their own go as
    a whole: their form is known to the maker alone. Nothing else moves.

    Parameters
    ----------
    block : bytes
        Without the ``Exif\\0\\0`` mark.

    Returns
    -------
    bytes
        The same block if there was nothing of the kind, or it is no TIFF structure.
    list of str
        ``"thumbnail"``, ``"maker notes"``.
    """
    order = _order(block)
    if order is None:
        return block, []
    out, taken = bytearray(block), []
    spots, places = _spots(out, order, [])
    spots = [s for s in spots if s.directory in places]
    main = places.get("main")
    if main is not None and main[1] + 4 <= len(out) and out[main[1] : main[1] + 4] != b"\0\0\0\0":
        small = {s.tag: s for s in spots if s.directory == "thumbnail"}
        for start, length in _OFFSETS.items():
            if start in small and length in small:
                a, n = _number(out, order, small[start]), _number(out, order, small[length])
                if a is not None and n is not None and a >= 8:
                    out[a : a + n] = bytes(len(out[a : a + n]))
        if "thumbnail" in places:
            begin, end = places["thumbnail"]
            out[begin : end + 4] = bytes(len(out[begin : end + 4]))
        out[main[1] : main[1] + 4] = b"\0\0\0\0"
        taken.append("thumbnail")
    note = next((s for s in spots if s.directory == "exif" and s.tag == MAKER_NOTE), None)
    if note is not None and _JPEG in out[8:]:
        # its pictures may lie behind it, where only its own offsets point
        out[note.value : note.value + note.size] = bytes(note.size)
        _remove(out, order, note, places["exif"])
        taken.append("maker notes")
    # what is left is in nobody's field
    used = [range(s.value, s.value + s.size) for s in spots if s is not note]
    at = out.find(_JPEG, 8)
    while at >= 0:
        end = out.find(b"\xff\xd9", at)
        inside = next((r for r in used if at in r), None)
        stop = min(inside.stop if inside is not None else len(out), end + 2 if end >= 0 else len(out))
        if inside is None or len(inside) > 64:  # a few letters of a text are no picture
            out[at:stop] = bytes(stop - at)
            taken.append("thumbnail")
        at = out.find(_JPEG, max(stop, at + 1))
    return bytes(out), list(dict.fromkeys(taken))


def _remove(out: bytearray, order: str, spot: _Spot, place: tuple[int, int]) -> None:
    """Take an entry out of its directory; those behind it move up."""
    begin, end = place
    tail = out[spot.at + 12 : end + 4]
    (count,) = struct.unpack_from(order + "H", out, begin)
    struct.pack_into(order + "H", out, begin, count - 1)
    out[spot.at : spot.at + len(tail)] = tail
    out[spot.at + len(tail) : spot.at + len(tail) + 12] = bytes(12)


#: Fields that state the size of the picture, and whether it is the width.
_WIDTHS = {("main", 0x0100), ("exif", 0xA002), ("interop", 0x1001)}
_HEIGHTS = {("main", 0x0101), ("exif", 0xA003), ("interop", 0x1002)}
#: Fields that count in its pixels, and grow with it.
_GROWING = {("exif", 0x9214), ("exif", 0xA214), ("exif", 0xA20E), ("exif", 0xA20F)}


def with_size(block: bytes, width: int, height: int, scale: int) -> bytes:
    """Return a block whose statements of size hold for an enlarged picture; nothing else in it moves.

    Parameters
    ----------
    block : bytes
        Without the ``Exif\\0\\0`` mark.
    width, height : int
        Of the result, as stored.
    scale : int
        By how much it was enlarged; places and the resolution of the focal plane grow with it.

    Returns
    -------
    bytes
        A block of the same length.
    """
    order = _order(block)
    if order is None:
        return block
    out = bytearray(block)
    for spot in _spots(out, order, [])[0]:
        key = (spot.directory, spot.tag)
        if key in _WIDTHS | _HEIGHTS and spot.count == 1 and spot.size <= 4:
            size = width if key in _WIDTHS else height
            struct.pack_into(order + "HHII", out, spot.at, spot.tag, 4, 1, size)
        elif key in _GROWING:
            _grow(out, order, spot, scale)
    return bytes(out)


def _grow(out: bytearray, order: str, spot: _Spot, scale: int) -> None:
    if spot.kind == 3:
        values = struct.unpack_from(f"{order}{spot.count}H", out, spot.value)
        struct.pack_into(f"{order}{spot.count}H", out, spot.value, *(min(65535, v * scale) for v in values))
    elif spot.kind == 5:
        for i in range(spot.count):
            top, bottom = struct.unpack_from(order + "II", out, spot.value + 8 * i)
            whole = Fraction(top * scale, bottom) if bottom else Fraction(0)
            if bottom and whole.numerator < 2**32:
                struct.pack_into(order + "II", out, spot.value + 8 * i, whole.numerator, whole.denominator)
