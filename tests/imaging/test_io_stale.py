"""What in a file's metadata shows the picture as it was, and its sizes; exiftool as the independent reader."""

import io
import json
import shutil
import struct
import subprocess

import numpy as np
import pytest
from PIL import Image as Pil

from tratto.imaging.io import exif, photoshop

EXIFTOOL = shutil.which("exiftool")


def small_jpeg(color=(255, 0, 0)):
    out = io.BytesIO()
    Pil.new("RGB", (16, 12), color).save(out, "JPEG")
    return out.getvalue()


def block(order, maker=b"", sizes=(160, 120)):
    """Return an EXIF block with sizes, focal plane, maker notes and a thumbnail, in either byte order."""
    e = "<" if order == b"II" else ">"
    thumb = small_jpeg()
    main_at, exif_at = 8, 8 + 2 + 12 * 2 + 4
    fields = [(0xA002, 3, 1, sizes[0]), (0xA003, 4, 1, sizes[1]), (0xA20E, 5, 1, None), (0xA214, 3, 2, (80, 60))]
    if maker:
        fields.insert(0, (0x927C, 7, len(maker), None))
    values_at = exif_at + 2 + 12 * len(fields) + 4
    focal_at = values_at
    maker_at = focal_at + 8
    thumb_dir = maker_at + len(maker) + len(maker) % 2
    thumb_at = thumb_dir + 2 + 24 + 4
    out = order + struct.pack(e + "HI", 42, main_at)
    out += struct.pack(e + "H", 2) + struct.pack(e + "HHIHH", 0x0112, 3, 1, 1, 0)
    out += struct.pack(e + "HHII", 0x8769, 4, 1, exif_at) + struct.pack(e + "I", thumb_dir)
    out += struct.pack(e + "H", len(fields))
    for tag, kind, count, value in fields:
        out += struct.pack(e + "HHI", tag, kind, count)
        if tag == 0x927C:
            out += struct.pack(e + "I", maker_at)
        elif tag == 0xA20E:
            out += struct.pack(e + "I", focal_at)
        elif tag == 0xA214:
            out += struct.pack(e + "HH", *value)
        else:
            out += struct.pack(e + "HH", value, 0) if kind == 3 else struct.pack(e + "I", value)
    out += struct.pack(e + "I", 0) + struct.pack(e + "II", 3000, 7) + maker + b"\0" * (len(maker) % 2)
    out += struct.pack(e + "H", 2) + struct.pack(e + "HHII", 0x0201, 4, 1, thumb_at)
    out += struct.pack(e + "HHII", 0x0202, 4, 1, len(thumb)) + struct.pack(e + "I", 0)
    return out + thumb


def told(data, tmp_path, *tags):
    if EXIFTOOL is None:
        pytest.skip("exiftool is not here")
    picture = Pil.new("RGB", (8, 8))
    picture.save(tmp_path / "a.jpg", exif=b"Exif\0\0" + data)
    command = [EXIFTOOL, "-j", "-n", *(f"-{t}" for t in tags), str(tmp_path / "a.jpg")]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]


@pytest.mark.parametrize("order", [b"II", b"MM"])
def test_a_thumbnail_goes_with_its_bytes(order, tmp_path):
    data = block(order)
    assert exif.parse(data).thumbnail
    after, taken = exif.without_previews(data)
    assert taken == ["thumbnail"]
    assert len(after) == len(data)
    assert b"\xff\xd8\xff" not in after
    assert not exif.parse(after).thumbnail
    assert exif.parse(after).exif == exif.parse(data).exif
    assert exif.without_previews(after) == (after, [])
    assert "ThumbnailImage" in told(data, tmp_path, "ThumbnailImage", "ExifImageWidth")
    assert "ThumbnailImage" not in told(after, tmp_path, "ThumbnailImage", "ExifImageWidth")


@pytest.mark.parametrize("order", [b"II", b"MM"])
def test_maker_notes_with_a_picture_go_and_others_stay(order):
    data = block(order, maker=b"MAKER" + small_jpeg())
    after, taken = exif.without_previews(data)
    assert set(taken) == {"thumbnail", "maker notes"}
    assert b"\xff\xd8\xff" not in after
    assert 0x927C not in exif.parse(after).exif
    rest = {t: e for t, e in exif.parse(data).exif.items() if t != 0x927C}
    assert exif.parse(after).exif == rest
    plain = block(order, maker=b"MAKER of 3000 numbers")
    after, taken = exif.without_previews(plain)
    assert taken == ["thumbnail"]
    assert exif.parse(after).exif[0x927C].data == b"MAKER of 3000 numbers"


@pytest.mark.parametrize("order", [b"II", b"MM"])
def test_sizes_follow_an_enlargement(order, tmp_path):
    after = exif.with_size(block(order), 320, 240, 2)
    found = exif.parse(after).exif
    assert (found[0xA002].numbers(), found[0xA003].numbers()) == ((320,), (240,))
    assert found[0xA214].numbers() == (160, 120)
    (focal,) = found[0xA20E].rationals()
    assert focal[0] / focal[1] == pytest.approx(2 * 3000 / 7)
    facts = told(after, tmp_path, "ExifImageWidth", "ExifImageHeight")
    assert (facts["ExifImageWidth"], facts["ExifImageHeight"]) == (320, 240)


def test_blocks_of_anything_come_back_or_are_cleaned():
    rng = np.random.default_rng(0)
    good = block(b"II", maker=b"MAKER" + small_jpeg())
    for _ in range(400):
        data = bytearray(good)
        for at in rng.integers(0, len(data), 6):
            data[at] = rng.integers(0, 256)
        data = bytes(data[: int(rng.integers(0, len(data)))])
        for after in (exif.without_previews(data)[0], exif.with_size(data, 99999, 88888, 4)):
            assert len(after) == len(data)


def resource(number, data):
    return b"8BIM" + struct.pack(">H", number) + b"\0\0" + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)


def test_photoshop_thumbnails_go_and_the_rest_stays():
    records = bytes([0x1C, 2, 25, 0, 2]) + b"k1" + bytes([0x1C, 2, 202, 0, 5]) + b"thumb"
    whole = resource(0x03ED, b"r" * 16) + resource(0x0409, small_jpeg()) + resource(0x040C, small_jpeg())
    whole += resource(photoshop.IPTC, records)
    after, found = photoshop.without_stale(whole)
    assert found
    assert [n for n, *_ in photoshop.resources(after)] == [0x03ED, photoshop.IPTC]
    assert photoshop.records_of(after) == records[:7]
    assert photoshop.without_stale(after) == (after, False)
    rng = np.random.default_rng(1)
    for _ in range(300):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 4):
            data[at] = rng.integers(0, 256)
        photoshop.without_stale(bytes(data[: int(rng.integers(0, len(data)))]))
