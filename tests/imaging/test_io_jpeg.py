"""JPEG against Pillow, and the markers byte by byte."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import skimage.data
from PIL import Image as Pillow

from tratto.core.errors import CorruptPicture, OutputError, PictureTooLarge, UnsupportedFormat
from tratto.core.image import ColorMode, Image, Metadata
from tratto.imaging.io import Limits, WriteOptions, count_pages, read_image, write_image
from tratto.imaging.io.jpeg import ZIGZAG


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return skimage.data.astronaut()[40:140, 130:263]


def saved(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    mode = "CMYK" if pixels.ndim == 3 and pixels.shape[2] == 4 else None
    picture = (
        Pillow.fromarray(pixels) if mode is None else Pillow.frombytes(mode, pixels.shape[1::-1], pixels.tobytes())
    )
    picture.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def pillow(data: bytes) -> np.ndarray:
    with Pillow.open(io.BytesIO(data)) as seen:
        return np.asarray(seen)


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


@pytest.mark.parametrize("quality", [5, 50, 95])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_samples_and_facts_match_pillow(photo, quality, subsampling, progressive):
    data = saved(photo, quality=quality, subsampling=subsampling, progressive=progressive)
    image = read_image(data)
    assert np.array_equal(image.pixels, pillow(data))
    assert image.meta.jpeg.subsampling == subsampling
    assert image.meta.jpeg.progressive is progressive
    with Pillow.open(io.BytesIO(data)) as seen:
        assert [list(t) for t in image.meta.jpeg.tables] == list(seen.quantization.values())
    assert count_pages(data) == 1


def test_zigzag_is_that_of_the_standard():
    # T.81, figure A.6, first row and first column
    place = {natural: zigzag for zigzag, natural in enumerate(ZIGZAG)}
    assert [place[i] for i in range(8)] == [0, 1, 5, 6, 14, 15, 27, 28]
    assert [place[8 * i] for i in range(8)] == [0, 2, 3, 9, 10, 20, 21, 35]
    assert sorted(ZIGZAG) == list(range(64))


def test_gray_and_plain_rgb(photo):
    data = saved(photo[..., 0])
    image = read_image(data)
    assert (image.mode, image.meta.jpeg.subsampling) == (ColorMode.GRAY, "gray")
    assert np.array_equal(image.pixels, pillow(data))
    data = saved(photo, keep_rgb=True)
    assert np.array_equal(read_image(data).pixels, pillow(data))


def test_cmyk_of_adobe_has_no_ink_at_zero():
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[:, 8:] = 30, 60, 90, 120
    data = saved(ink, quality=100)
    assert b"Adobe" in data
    image = read_image(data)
    assert image.mode is ColorMode.CMYK
    assert np.array_equal(image.pixels, pillow(data))
    # white paper is 0, and not 255 as the file stores it; 2: measured error of the compression here
    assert np.abs(image.pixels.astype(int) - ink).max() <= 2
    assert "notes" not in image.meta.extra


def test_cmyk_without_adobe_mark_is_taken_as_it_is():
    ink = np.zeros((16, 16, 4), np.uint8)
    data = saved(ink, quality=100)
    at = data.index(b"\xff\xee")
    image = read_image(data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :])
    assert (image.pixels == 255).all()
    assert "Adobe" in image.meta.extra["notes"][0]


def test_ycck(photo):
    import imagecodecs

    ink = np.dstack([photo, photo[..., :1] // 2])
    data = bytes(imagecodecs.jpeg8_encode(255 - ink, level=98, colorspace="CMYK", outcolorspace="YCCK"))
    image = read_image(data)
    assert image.mode is ColorMode.CMYK
    assert np.array_equal(image.pixels, pillow(data))
    # 40: chroma at half size; the sign of the ink is what this is about
    assert np.abs(image.pixels.astype(int) - ink).mean() < 6


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_keep_uses_the_same_tables(tmp_path, photo, subsampling):
    image = read_image(saved(photo, quality=63, subsampling=subsampling, progressive=True))
    write_image(image, tmp_path / "a.jpg", "jpeg", WriteOptions(keep_tables=True, quality=11))
    assert read_image(tmp_path / "a.jpg").meta.jpeg == image.meta.jpeg


def test_saving_again_with_the_same_tables_changes_little(tmp_path):
    gray = skimage.data.camera()[100:228, 100:228]
    image = read_image(saved(gray, quality=70))
    write_image(image, tmp_path / "a.jpg", "jpeg", WriteOptions(keep_tables=True))
    again = read_image(tmp_path / "a.jpg")
    # the same grid and tables: only rounding to 8 bits in between moves anything
    assert np.abs(again.pixels.astype(int) - image.pixels).mean() < 0.2


def test_profile_in_parts_extended_xmp_and_comments_come_back(tmp_path, photo):
    icc = bytes(np.random.default_rng(0).integers(0, 256, 200_000, dtype=np.uint8))
    image = read_image(with_segments(saved(photo), segment(0xFE, b"made by hand"), segment(0xFE, b"\xff\x00")))
    from base64 import b64encode
    from dataclasses import replace

    more = b"<more>" + b"x" * 150_000 + b"</more>"
    meta = replace(
        image.meta, icc=icc, xmp=b"<x/>", extra={**image.meta.extra, "xmp_extended": b64encode(more).decode()}
    )
    write_image(image.replace(meta=meta), tmp_path / "a.jpg", "jpeg")
    back = read_image(tmp_path / "a.jpg")
    assert back.meta.icc == icc
    assert back.meta.xmp == b"<x/>"
    assert back.meta.extra["xmp_extended"] == meta.extra["xmp_extended"]
    assert back.meta.extra["jpeg_comments"] == [b64encode(b"made by hand").decode(), b64encode(b"\xff\x00").decode()]
    with Pillow.open(tmp_path / "a.jpg") as seen:
        assert seen.info["icc_profile"] == icc


def test_missing_part_of_a_profile_is_noted(photo):
    image = read_image(with_segments(saved(photo), segment(0xE2, b"ICC_PROFILE\0\x01\x02" + bytes(50))))
    assert image.meta.icc == bytes(50)
    assert "incomplete" in image.meta.extra["notes"][0]


def test_what_is_not_carried_on_is_noted(photo):
    more = segment(0xE2, b"MPF\0" + bytes(20))
    credentials = segment(0xEB, b"JP\0\x01\0\0\0\x01\0\0\0\x20jumb" + bytes(20))
    notes = read_image(with_segments(saved(photo), more, credentials, credentials)).meta.extra["notes"]
    assert len(notes) == 2
    assert "MPF" in notes[0]
    assert "credentials" in notes[1]


@pytest.mark.parametrize(("unit", "x", "expected"), [(1, 300, 300.0), (2, 100, 254.0), (0, 1, None)])
def test_density(photo, unit, x, expected):
    data = saved(photo)
    jfif = data.index(b"JFIF\0")
    data = data[: jfif + 7] + struct.pack(">BHH", unit, x, x) + data[jfif + 12 :]
    assert read_image(data).meta.dpi == (None if expected is None else (expected, expected))


def test_data_behind_the_end_is_no_harm(photo):
    data = saved(photo)
    assert np.array_equal(read_image(data + b"PK\x03\x04 something else").pixels, pillow(data))


def test_fill_bytes_before_markers(photo):
    data = saved(photo)
    at = data.index(b"\xff\xdb")
    assert np.array_equal(read_image(data[:at] + b"\xff" * 9 + data[at:]).pixels, pillow(data))


def test_frame_kinds_that_are_not_read(photo):
    data = saved(photo)
    at = data.index(b"\xff\xc0")
    for marker, name in ((0xC3, "lossless"), (0xC5, "lossless or hierarchical")):
        with pytest.raises(UnsupportedFormat, match=name):
            read_image(data[:at] + bytes([0xFF, marker]) + data[at + 2 :])
    with pytest.raises(UnsupportedFormat, match="12 bits"):
        read_image(data[: at + 4] + b"\x0c" + data[at + 5 :])
    with pytest.raises(UnsupportedFormat, match="height"):
        read_image(data[: at + 5] + b"\0\0" + data[at + 7 :])
    with pytest.raises(PictureTooLarge, match="limit"):
        read_image(data[: at + 5] + b"\xff\xff\xff\xff" + data[at + 9 :])


def test_scans_without_end_are_refused(photo):
    data = saved(photo, progressive=True)
    last = data.rindex(b"\xff\xda")
    with pytest.raises(PictureTooLarge, match="scans"):
        read_image(data[:-2] + data[last:-2] * 300 + b"\xff\xd9")


def test_no_picture_inside():
    with pytest.raises(CorruptPicture, match="holds no picture"):
        read_image(b"\xff\xd8\xff\xd9")
    with pytest.raises(CorruptPicture, match="end mark"):
        read_image(b"\xff\xd8\xff" + b"\xff" * 1000)


def test_metadata_over_the_limit_is_refused(photo):
    data = with_segments(saved(photo), *[segment(0xE1, b"x" * 60_000)] * 4)
    assert read_image(data).width == photo.shape[1]
    with pytest.raises(PictureTooLarge, match="metadata"):
        read_image(data, Limits(max_metadata=200_000))


def test_too_long_exif_is_an_output_error(tmp_path, photo):
    image = Image(photo.copy(), ColorMode.RGB, meta=Metadata(exif=b"II*\0\x08\0\0\0" + bytes(65500)))
    with pytest.raises(OutputError, match="EXIF"):
        write_image(image, tmp_path / "a.jpg", "jpeg")
    assert list(tmp_path.iterdir()) == []


def test_large_pictures_are_encoded_in_bands(tmp_path, monkeypatch, photo):
    from tratto.imaging.io import jpeg

    write_image(Image(photo.copy(), ColorMode.RGB), tmp_path / "a.jpg", "jpeg")
    monkeypatch.setattr(jpeg, "rows_per_band", lambda *_: 7)
    write_image(Image(photo.copy(), ColorMode.RGB), tmp_path / "b.jpg", "jpeg")
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
