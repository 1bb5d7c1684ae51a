"""EXIF blocks byte by byte."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL.TiffImagePlugin import IFDRational

from tratto.core.image import ColorMode
from tratto.imaging.io.exif import (
    Entry,
    ExifBlock,
    block_for,
    build,
    checked_orientation,
    orientation_of,
    parse,
    resolution_of,
    to_little,
    with_orientation,
)
from tratto.imaging.io.icc import profile_notes


def camera(endian: str = ">", orientation: int | None = 6) -> bytes:
    fields = Pillow.Exif()
    fields.endian = endian
    fields[0x010F] = "Maker"
    if orientation is not None:
        fields[0x0112] = orientation
    own = fields.get_ifd(0x8769)
    own[0x829A], own[0x927C] = IFDRational(1, 125), b"note" + bytes(range(200))
    fields.get_ifd(0x8825)[1] = "N"
    return fields.tobytes()[6:]


@pytest.mark.parametrize("endian", ["<", ">"])
def test_parse(endian):
    block = parse(camera(endian))
    assert block.main[0x010F] == Entry(2, 6, b"Maker\0")
    assert block.main[0x0112].numbers() == (6,)
    assert block.exif[0x829A].rationals() == ((1, 125),)
    assert block.exif[0x927C].data[:4] == b"note"
    assert block.gps[1].data == b"N\0"
    assert block.notes == ()
    assert orientation_of(block) == (6, None)


@pytest.mark.parametrize(
    ("kind", "big", "little"),
    [
        (1, b"abc", b"abc"),
        (3, b"\1\2\3\4", b"\2\1\4\3"),
        (4, b"\1\2\3\4", b"\4\3\2\1"),
        (5, b"\1\2\3\4\5\6\7\x08", b"\4\3\2\1\x08\7\6\5"),
        (12, b"\1\2\3\4\5\6\7\x08", b"\x08\7\6\5\4\3\2\1"),
        (7, b"\1\2", b"\1\2"),
    ],
)
def test_byte_order(kind, big, little):
    assert to_little(kind, big, True) == little
    assert to_little(kind, little, False) == little


def test_build_is_the_inverse_of_parse_and_pillow_reads_it():
    block = ExifBlock(
        main={0x010F: Entry(2, 6, b"Maker\0"), 0x0112: Entry(3, 1, b"\3\0")},
        exif={0x829A: Entry(5, 1, struct.pack("<II", 1, 125)), 0x9000: Entry(7, 4, b"0232")},
        gps={1: Entry(2, 2, b"N\0")},
        interop={1: Entry(2, 4, b"R98\0")},
    )
    data = build(block)
    assert parse(data) == block
    assert build(parse(data)) == data
    seen = Pillow.Exif()
    seen.load(b"Exif\0\0" + data)
    assert (seen[0x010F], seen[0x0112]) == ("Maker", 3)
    assert seen.get_ifd(0x8769)[0x829A] == IFDRational(1, 125)
    assert seen.get_ifd(0x8825)[1] == "N"
    assert seen.get_ifd(0xA005)[1] == "R98"


@pytest.mark.parametrize("endian", ["<", ">"])
def test_orientation_is_overwritten_in_place(endian):
    before = camera(endian)
    after = with_orientation(before, 8)
    assert len(after) == len(before)
    assert sum(a != b for a, b in zip(after, before, strict=True)) == 1
    assert orientation_of(parse(after)) == (8, None)


@pytest.mark.parametrize("endian", ["<", ">"])
def test_missing_orientation_is_added_without_moving_anything(endian):
    before = camera(endian, orientation=None)
    assert 0x0112 not in parse(before).main
    after = with_orientation(before, 5)
    # all but the offset of the first directory stays where it was
    assert after[8 : len(before)] == before[8:]
    block, old = parse(after), parse(before)
    assert orientation_of(block) == (5, None)
    assert (block.exif, block.gps) == (old.exif, old.gps)
    assert {t: e for t, e in block.main.items() if t != 0x0112} == old.main
    buffer = io.BytesIO()
    Pillow.new("L", (2, 2)).save(buffer, "JPEG", exif=b"Exif\0\0" + after)
    with Pillow.open(buffer) as seen:
        assert seen.getexif()[0x0112] == 5
        assert seen.getexif().get_ifd(0x8769)[0x829A] == IFDRational(1, 125)


@pytest.mark.parametrize("bad", [None, b"", b"junk", b"II*\0\xff\xff\0\0", b"II*\0\x08\0\0\0\xff\xff"])
def test_unusable_block_is_replaced_by_a_small_one(bad):
    block = with_orientation(bad, 7)
    assert parse(block).main == {0x0112: Entry(3, 1, b"\7\0")}
    assert len(block) == 26


def test_block_is_left_alone_when_it_says_the_same():
    block = camera()
    assert block_for(block, 6) is block
    assert block_for(None, 1) is None
    nine = with_orientation(None, 1).replace(b"\x12\x01\x03\0\1\0\0\0\1", b"\x12\x01\x03\0\1\0\0\0\x09")
    assert orientation_of(parse(nine))[0] == 1
    assert block_for(nine, 1) is nine
    assert orientation_of(parse(block_for(nine, 2))) == (2, None)


@pytest.mark.parametrize(
    ("values", "expected"), [((1,), 1), ((8,), 8), ((0,), 1), ((9,), 1), ((), 1), ((65535,), 1), ((3, 4), 3)]
)
def test_checked_orientation(values, expected):
    found, note = checked_orientation(values)
    assert found == expected
    assert (note is None) == (len(values) > 0 and 1 <= values[0] <= 8)


def test_orientation_of_another_type_is_not_believed():
    block = ExifBlock(main={0x0112: Entry(2, 2, b"6\0")})
    assert orientation_of(block) == (1, "the orientation tag is not a number, expected 1-8; taken as 1")


def resolution(x: tuple[int, int], y: tuple[int, int], unit: int | None) -> dict[int, Entry]:
    out = {0x011A: Entry(5, 1, struct.pack("<II", *x)), 0x011B: Entry(5, 1, struct.pack("<II", *y))}
    if unit is not None:
        out[0x0128] = Entry(3, 1, struct.pack("<H", unit))
    return out


@pytest.mark.parametrize(
    ("x", "y", "unit", "expected"),
    [
        ((300, 1), (150, 1), 2, (300.0, 150.0)),
        ((100, 1), (100, 1), 3, (254.0, 254.0)),
        ((72, 1), (72, 1), None, (72.0, 72.0)),
        ((1, 1), (1, 1), 1, None),
        ((300, 0), (300, 1), 2, None),
        ((0, 1), (300, 1), 2, None),
    ],
)
def test_resolution(x, y, unit, expected):
    assert resolution_of(resolution(x, y, unit)) == expected


def test_resolution_of_nothing():
    assert resolution_of({}) is None
    assert resolution_of({0x011A: Entry(3, 1, b"\1\0"), 0x011B: Entry(3, 1, b"\1\0")}) is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b""]), st.integers(1, 8))
def test_no_block_can_break_it(data, head, orientation):
    block = head + data
    found = orientation_of(parse(block))[0]
    assert 1 <= found <= 8
    assert len(parse(block).notes) <= 20
    patched = with_orientation(block, orientation)
    assert orientation_of(parse(patched)) == (orientation, None)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 8))
def test_damaged_camera_blocks_are_survived(seed, damage):
    rng = np.random.default_rng(seed)
    block = bytearray(camera("<" if seed % 2 else ">"))
    for _ in range(damage):
        block[int(rng.integers(4, len(block)))] = int(rng.integers(0, 256))
    parsed = parse(bytes(block))
    assert parse(build(parsed)).gps.keys() == parsed.gps.keys()


def profile(space: bytes, size: int | None = None) -> bytes:
    return struct.pack(">I", size or 200) + bytes(12) + space + bytes(16) + b"acsp" + bytes(160)


@pytest.mark.parametrize(
    ("data", "mode", "words"),
    [
        (None, ColorMode.RGB, None),
        (profile(b"RGB "), ColorMode.RGB, None),
        (profile(b"RGB "), ColorMode.PALETTE, None),
        (profile(b"GRAY"), ColorMode.GRAY, None),
        (profile(b"CMYK"), ColorMode.CMYK, None),
        (profile(b"CMYK"), ColorMode.RGB, "'CMYK', the picture is rgb"),
        (profile(b"RGB ", 999), ColorMode.RGB, "says it has 999 bytes and has 200"),
        (b"short", ColorMode.RGB, "malformed"),
        (bytes(200), ColorMode.RGB, "malformed"),
    ],
)
def test_profile_notes(data, mode, words):
    notes = profile_notes(data, mode)
    assert notes == [] if words is None else words in notes[0]
