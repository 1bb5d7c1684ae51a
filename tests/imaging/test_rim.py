import numpy as np
import pytest

from tratto.imaging.overlay import overlay
from tratto.imaging.rim import grown_by_rims, measure_rims


def crease(height, width, half, soft=0.0):
    """A bright crease through the middle, so many pixels to each side, its edges over ``soft`` pixels."""
    y = np.abs(np.arange(height) - height / 2 + 0.5)
    line = np.clip((half - y) / max(soft, 1e-6) + 0.5, 0, 1)
    return np.repeat((0.3 + 0.4 * line)[:, None, None], width, 1).repeat(3, 2).astype(np.float32)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_growth_is_what_the_rim_needs_at_every_size(scale):
    height, width, half = 160 * scale, 120 * scale, 6 * scale
    picture = crease(height, width, half)
    mask = np.zeros((height, width), bool)
    mask[height // 2 - 4 * scale : height // 2 + 4 * scale] = True  # two pixels too tight on each side
    rims = measure_rims(picture, mask)
    assert 2 * scale <= rims.widest <= 3 * scale + 1
    grown = grown_by_rims(mask, rims)
    damage = np.abs(picture[..., 0] - 0.3) > 0.01
    assert (grown & mask).sum() == mask.sum()
    assert (damage & ~grown).sum() <= 0.02 * damage.sum()
    assert grown.sum() <= 2 * damage.sum()


def test_a_mask_that_covers_its_damage_grows_by_a_pixel_at_most():
    picture = crease(240, 300, 3)
    mask = np.zeros((240, 300), bool)
    mask[112:128] = True
    assert measure_rims(picture, mask).widest <= 1


def test_large_pictures_are_measured_smaller_and_grown_in_full(monkeypatch):
    monkeypatch.setattr("tratto.imaging.rim.WORKING", 150_000)  # a tenth, and a picture of a tenth
    picture = crease(600, 285, 10, soft=4)
    mask = np.zeros((600, 285), bool)
    mask[293:307] = True
    rims = measure_rims(picture, mask)
    assert rims.need.size <= 160_000
    grown = grown_by_rims(mask, rims)
    assert grown.shape == mask.shape
    assert 11 <= int(grown[:, 250].sum()) / 2 <= 16


def test_nothing_and_everything_stay():
    picture = crease(64, 64, 3)
    for mask in (np.zeros((64, 64), bool), np.ones((64, 64), bool)):
        rims = measure_rims(picture, mask)
        assert rims.widest == 0
        np.testing.assert_array_equal(grown_by_rims(mask, rims), mask)


def test_an_overlay_colours_the_mask_alone():
    rng = np.random.default_rng(0)
    picture = rng.uniform(0, 1, (600, 40, 3)).astype(np.float32)
    mask = np.zeros((600, 40), bool)
    mask[500:520, 5:9] = True
    shown = overlay(picture, {"scratch": mask})
    plain = np.rint(picture * 255).astype(np.uint8)
    np.testing.assert_array_equal(shown[~mask], plain[~mask])
    want = 0.3 * picture[510, 6] * 255 + 0.7 * np.array((60, 210, 220))
    np.testing.assert_allclose(shown[510, 6], want, atol=1)
