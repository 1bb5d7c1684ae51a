"""The unsupported-attribute rate: closed forms, and planted things against what a restorer may do."""

import cv2
import numpy as np
import pytest
from skimage import data

from tratto.core.errors import OptionError
from tratto.provenance.unsupported import EDGE, LIMIT, TOLERANCE, unsupported, unsupported_in_meaning


def photo():
    return data.astronaut()[:160, :160].astype(np.float32) / 255


def test_equal_pictures_hold_nothing_unsupported():
    found = unsupported(photo(), photo(), 0.0)
    assert (found.rate, found.score) == (0.0, 0.0)
    assert found.ratio.shape == (160, 160)


def test_a_uniform_shift_is_counted_against_the_tolerance():
    """On a flat picture without noise only the tolerance stands: lightness moved by k tolerances gives the ratio k."""
    flat = np.full((64, 64, 3), 0.5, np.float32)
    found = unsupported(flat, flat + np.float32(6 * TOLERANCE), 0.0)
    assert found.ratio == pytest.approx(6.0, abs=1e-3)
    assert found.rate == 1.0
    assert unsupported(flat, flat + np.float32(3 * TOLERANCE), 0.0).rate == 0.0


def test_taking_away_white_noise_gives_ratios_of_one_sigma():
    """At each size the difference is noise of at most the stated deviation, so that the ratio seldom passes 4."""
    rng = np.random.default_rng(0)
    clean = np.full((256, 256, 3), 0.5, np.float32)
    noisy = clean + rng.normal(0, 40 / 255, clean.shape).astype(np.float32)
    found = unsupported(noisy, clean, 40.0)
    assert found.rate < 0.002
    assert 3.0 < found.score < 4.6  # the top thousandth of the largest of nine normal variables
    assert unsupported(noisy, clean, 10.0).rate > 0.05  # more was taken than the noise explains


def test_sharpening_is_supported_and_a_pasted_object_is_not():
    source = photo()
    sharper = np.clip(source + 0.5 * (source - cv2.GaussianBlur(source, (0, 0), 1.2)), 0, 1)
    assert unsupported(source, sharper, 0.0).rate == 0.0
    pasted = source.copy()
    pasted[60:90, 20:50] = data.coffee()[100:130, 200:230] / np.float32(255)
    found = unsupported(source, pasted, 0.0)
    where = found.ratio > LIMIT
    assert where[65:85, 25:45].mean() > 0.8
    assert where[:40].mean() == where[:, 80:].mean() == 0.0
    asked = np.zeros(where.shape, bool)
    asked[40:110, :75] = True
    assert unsupported(source, pasted, 0.0, asked).rate == 0.0


def test_an_enlarged_result_is_compared_on_the_grid_of_the_source():
    source = photo()
    large = np.kron(source, np.ones((2, 2, 1), np.float32))
    assert unsupported(source, large, 0.0).score == pytest.approx(0.0, abs=1e-4)
    large[100:140, 100:140] = 1 - large[100:140, 100:140]
    found = unsupported(source, large, 0.0)
    assert found.ratio.shape == (160, 160)
    assert (found.ratio > LIMIT)[52:68, 52:68].mean() > 0.5


def test_an_edge_may_move_by_its_share():
    """A ramp of slope g moved by d pixels differs by g d; allowed is EDGE times the size times g."""
    ramp = np.repeat(np.linspace(0, 1, 400, dtype=np.float32)[None, :, None], 3, 2) * np.ones((64, 1, 1), np.float32)
    slope, step = 1 / 399, 12.0
    moved = ramp + np.float32(step * slope)
    ratio = unsupported(ramp, moved, 0.0).ratio[20:44, 100:300]
    expected = step * slope / np.hypot(EDGE * 1.5 * slope, TOLERANCE)
    assert ratio == pytest.approx(expected, rel=2e-3)


def test_sizes_that_do_not_fit():
    with pytest.raises(OptionError, match="whole number"):
        unsupported(photo(), photo()[:100], 0.0)
    with pytest.raises(OptionError, match="whole number"):
        unsupported(photo()[..., 0], photo(), 0.0)


# ------------------------------------------------------------------------------------------------------ in meaning


class Means:
    """Knows three things: how red, how green and how blue a window is on the whole."""

    def embed(self, pictures):
        rows = np.stack([p.mean(axis=(0, 1)) for p in pictures]).astype(np.float64)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_distance_is_one_minus_the_cosine_and_the_median_is_taken_off():
    source = np.zeros((128, 128, 3), np.float32)
    source[..., 0] = 1
    result = source.copy()
    result[:64, :64] = (0, 1, 0)
    found = unsupported_in_meaning(source, result, Means())
    quarter = 1 - 1 / np.sqrt(2)  # windows half red, half green: unit vectors 45 degrees apart
    tenth = 1 - 0.75 / np.hypot(0.75, 0.25)  # a quarter green
    expected = [[1, quarter, 0], [quarter, tenth, 0], [0, 0, 0]]
    assert np.allclose(found.distance, expected, atol=1e-6)
    assert found.score == pytest.approx(1.0, abs=1e-6)
    assert found.rate == pytest.approx(3 / 9)


def test_what_the_prompt_asks_for_is_supported():
    source = np.zeros((64, 64, 3), np.float32)
    source[..., 0] = 1
    green = np.zeros_like(source)
    green[..., 1] = 1
    without = unsupported_in_meaning(source, green, Means()).distance[0, 0]
    asked = unsupported_in_meaning(source, green, Means(), np.array([0, 1, 0])).distance[0, 0]
    other = unsupported_in_meaning(source, green, Means(), np.array([0, 0, 5.0])).distance[0, 0]
    away = unsupported_in_meaning(source, green, Means(), np.array([1.0, 0, 0])).distance[0, 0]
    assert (without, asked, other) == pytest.approx((1.0, 0.5, 1.0))
    assert away == pytest.approx(1.0)  # the change leads away from the prompt: nothing of it is supported


def test_what_is_done_everywhere_alike_is_no_invention():
    rng = np.random.default_rng(0)
    source = rng.random((160, 160, 3)).astype(np.float32) * 0.2 + 0.2
    result = source * np.array([1.5, 1, 1], np.float32)
    found = unsupported_in_meaning(source, result, Means())
    assert found.distance.min() > 0.01
    assert found.score < 0.002
    assert found.rate == 0


def test_windows_cover_the_whole_and_an_enlarged_result_is_compared_in_place():
    source = np.full((100, 70, 3), 0.5, np.float32)
    result = np.full((200, 140, 3), 0.5, np.float32)
    result[-4:, -4:] = (1, 0, 0)
    found = unsupported_in_meaning(source, result, Means())
    assert found.distance.shape == (3, 2)
    assert (found.distance > 0).tolist() == [[False, False], [False, False], [False, True]]
    with pytest.raises(OptionError, match="whole number"):
        unsupported_in_meaning(source, result[:-1], Means())
    with pytest.raises(OptionError, match="least one"):
        unsupported_in_meaning(source, result, Means(), window=0)
