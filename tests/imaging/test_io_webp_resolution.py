"""WebP has no field for the resolution; it goes into the EXIF block."""

import struct

import numpy as np
import pytest
from PIL import Image as Pil

from tratto.core.image import ColorMode, Image, Metadata
from tratto.imaging import io
from tratto.imaging.io import exif

PIXELS = np.zeros((8, 8, 3), np.uint8)


def written(tmp_path, **meta):
    image = Image(PIXELS, ColorMode.RGB, 8, meta=Metadata("png", **meta))
    io.write_image(image, tmp_path / "a.webp", "webp")
    return tmp_path / "a.webp"


@pytest.mark.parametrize("dpi", [(300.0, 300.0), (72.009, 150.5), (11811 * 0.0254, 11811 * 0.0254)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_resolution_comes_back(tmp_path, dpi, orientation):
    path = written(tmp_path, dpi=dpi, orientation=orientation)
    back = io.read_image(path).meta
    assert back.dpi == pytest.approx(dpi, rel=1e-9)
    assert back.orientation == orientation
    with Pil.open(path) as picture:
        tags = dict(picture.getexif())
    assert float(tags[282]) == pytest.approx(dpi[0], rel=1e-9)
    assert float(tags[283]) == pytest.approx(dpi[1], rel=1e-9)
    assert tags[296] == 2


def test_without_a_resolution_none_is_invented(tmp_path):
    assert io.read_image(written(tmp_path)).meta.exif is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_else_stands_in_the_block_stays_where_it_is(tmp_path, order):
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    # Make in the first directory, an exposure of 1/60 in the second, a marker behind both
    first = struct.pack(order + "H", 2) + struct.pack(order + "HHI", 0x010F, 2, 4) + b"abc\0"
    first += struct.pack(order + "HHII", 0x8769, 4, 1, 38) + struct.pack(order + "I", 0)
    second = struct.pack(order + "HHHIII", 1, 0x829A, 5, 1, 56, 0) + struct.pack(order + "II", 1, 60)
    block = mark + struct.pack(order + "I", 8) + first + second + b"marker"
    assert block[38:40] == struct.pack(order + "H", 1)
    back = io.read_image(written(tmp_path, exif=block, dpi=(240.0, 120.0))).meta
    assert back.dpi == (240.0, 120.0)
    assert back.exif[8 : len(block)] == block[8:]
    parsed = exif.parse(back.exif)
    assert parsed.main[0x010F].data == b"abc\0"
    assert parsed.exif[0x829A].rationals() == ((1, 60),)
    assert parsed.notes == ()


def test_a_resolution_in_the_block_and_a_broken_block_are_left_alone():
    stated = exif.with_resolution(None, (96.0, 96.0))
    assert exif.resolution_of(exif.parse(stated).main) == (96.0, 96.0)
    assert exif.with_resolution(stated, (300.0, 300.0)) == stated
    assert exif.with_resolution(b"rubbish", (300.0, 300.0)) == b"rubbish"
