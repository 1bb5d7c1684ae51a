import numpy as np
import pytest

from tratto.core.image import ColorMode, Image
from tratto.imaging import clear


def test_each_clear_pixel_takes_the_nearest_colour_seen():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    alpha = np.where(rng.random((40, 50)) < 0.1, 255, 0).astype(np.uint8)
    image = Image(pixels, ColorMode.RGB, alpha=alpha)
    got = clear.colours_under_clear(image)
    seen = np.argwhere(alpha > 0)
    for y, x in [(0, 0), (17, 23), (39, 49), (5, 40)]:
        far = np.hypot(*(seen - (y, x)).T)
        nearest = seen[far <= far.min() * 1.08 + 1e-9]  # the transform of five steps is exact to a few per cent
        assert any(np.array_equal(got[y, x], pixels[a, b]) for a, b in nearest)
    assert np.array_equal(got[alpha > 0], pixels[alpha > 0])


def test_bands_do_not_show_and_holes_give_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    pixels = rng.integers(1, 256, (90, 30)).astype(np.uint8)
    alpha = np.zeros((90, 30), np.uint8)
    alpha[::7, ::5] = 9
    hole = np.zeros((90, 30), bool)
    hole[21, 10] = True
    image = Image(pixels, ColorMode.GRAY, alpha=alpha)
    whole = clear.colours_under_clear(image, hole)
    monkeypatch.setattr(clear, "_BAND", 16)
    monkeypatch.setattr(clear, "_REACH", 16)
    assert np.array_equal(whole, clear.colours_under_clear(image, hole))
    assert whole[21, 11] != pixels[21, 10] or pixels[21, 10] in (pixels[14, 10], pixels[21, 15], pixels[28, 10])


def test_nothing_is_copied_where_nothing_is_clear():
    image = Image(np.zeros((4, 4), np.uint8), ColorMode.GRAY, alpha=np.full((4, 4), 3, np.uint8))
    assert clear.colours_under_clear(image) is image.pixels
    none = Image(np.zeros((4, 4), np.uint8), ColorMode.GRAY)
    assert clear.colours_under_clear(none) is none.pixels
    blind = Image(np.arange(16, dtype=np.uint8).reshape(4, 4), ColorMode.GRAY, alpha=np.zeros((4, 4), np.uint8))
    assert np.array_equal(clear.colours_under_clear(blind), blind.pixels)


@pytest.mark.parametrize("full", [255, 65535])
def test_a_part_is_opaque_only_if_all_around_it_is(full):
    alpha = np.full((40, 40), full, np.uint8 if full == 255 else np.uint16)
    alpha[:, 30:] = 0
    hole = np.zeros((40, 40), bool)
    hole[5:10, 5:10] = True  # inside
    hole[20:25, 25:35] = True  # over the edge
    alpha[hole] = 0
    solid = clear.opaque_around(alpha, hole, full)
    assert np.array_equal(solid, hole & (np.indices((40, 40))[0] < 15))
