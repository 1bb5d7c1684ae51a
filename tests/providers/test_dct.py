"""The sliding cosine transform: what it takes off, where, and how much of it is noise."""

import cv2
import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.imaging.estimate.octaves import estimate_octaves
from tratto.providers.catalogue import open_provider
from tratto.providers.restorer.dct import SIDE, Dct, noise_by_frequency


def scene(side=160):
    y, x = np.mgrid[:side, :side] / side
    gray = 0.5 + 0.2 * np.sin(5 * x) * np.cos(4 * y) + 0.2 * (x + y > 1.1)
    return np.stack([gray, 0.9 * gray, 0.8 * gray + 0.05], -1).astype(np.float32)


def grain(side, size, sigma, seed=0):
    """Noise of one colour, of sigma/255, spread over some pixels."""
    noise = np.random.default_rng(seed).standard_normal((side + 64, side + 64)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), size)[32:-32, 32:-32] if size else noise[32:-32, 32:-32]
    return (sigma / 255 * noise / noise.std())[..., None]


def decibels(a, b):
    return -10 * np.log10(np.square(a - b).mean())


@pytest.mark.parametrize("size", [0, 1.0, 1.6])
def test_noise_goes_by_what_its_octaves_show_be_it_fine_or_coarse(size):
    clean = scene()
    noisy = clean + grain(160, size, 12)
    seen = estimate_octaves(noisy, levels=0).luma[:3]
    done = Dct(seen).restore(noisy).image
    assert decibels(done, clean) > decibels(noisy, clean) + 4
    # told another size of the same noise, it cannot do as much
    other = Dct(tuple(reversed(seen)) if size else (0, 0, seen[0])).restore(noisy).image
    assert decibels(other, clean) < decibels(done, clean) - 1


def test_white_noise_has_one_height_at_all_frequencies():
    white = tuple(8 * 0.75**0.5 / 2**k for k in range(4))
    heights = 255 * noise_by_frequency(white)
    assert heights.shape == (SIDE, SIDE)
    assert np.allclose(heights, 8, rtol=1e-3)
    one = 255 * noise_by_frequency((0, 0, 4, 0))
    assert one[0, 1] < one[0, 2] > one[0, 8] == 0  # what is spread over 4 pixels has its own place


def test_colours_stay_and_so_does_what_is_not_noisy():
    noisy = scene() + np.random.default_rng(1).normal(0, 10 / 255, (160, 160, 3)).astype(np.float32)
    done = Dct((8, 4, 2, 1)).restore(noisy).image
    moved = done - noisy
    assert np.ptp(moved, axis=2).max() < 1e-5  # red, green and blue change by the same
    assert np.abs(moved).mean() > 4 / 255
    assert np.array_equal(Dct((0, 0, 0, 0)).restore(noisy).image, noisy)
    sharp = scene()
    assert np.abs(Dct((0.3, 0.2)).restore(sharp).image - sharp).max() < 3 / 255


@pytest.mark.parametrize("shape", [(4, 4), (8, 64), (100, 12)])
def test_small_tiles_are_led_out(shape):
    tile = np.random.default_rng(0).random((*shape, 3), np.float32)
    assert Dct((5, 5)).restore(tile).image.shape == tile.shape


def test_what_is_no_noise_is_refused():
    for noise in ((-1.0,), (float("nan"),), (float("inf"), 1)):
        with pytest.raises(OptionError):
            Dct(noise)
    with pytest.raises(OptionError):
        open_provider("restorer", "dct", params={"noise1": 300})
    with pytest.raises(OptionError):
        open_provider("restorer", "dct", params={"noise3": 3})
    with pytest.raises(OptionError):
        Dct((5,)).restore(np.zeros((6, 8, 3), np.float32))
