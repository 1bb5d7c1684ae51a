import numpy as np
import pytest

from tratto.imaging.estimate import SPECTRUM_SIZE, calm_spectrum
from tratto_lab.simulate.degrade import grain_noise

RINGS, SHARES = 10, 4


def levels(spectrum, shrink=0, share=0, plane=0):
    """The rings of one plane, of one share of the blocks, at one size."""
    per_share = 3 * RINGS + 1
    at = shrink * SHARES * per_share + share * per_share + plane * RINGS
    return spectrum[at : at + RINGS]


@pytest.fixture(scope="module")
def flat():
    return np.full((256, 256, 3), 0.5, np.float32)


@pytest.mark.parametrize("sigma", [5.0, 20.0])
def test_white_noise_has_its_variance_in_every_ring_at_both_sizes(flat, sigma):
    noise = np.random.default_rng(0).standard_normal(flat.shape).astype(np.float32)
    spectrum = calm_spectrum([flat + noise * np.float32(sigma / 255)])
    assert spectrum.shape == (SPECTRUM_SIZE,)
    luma = sigma**2 * (0.299**2 + 0.587**2 + 0.114**2)
    np.testing.assert_allclose(levels(spectrum, share=3), np.log10(luma), atol=0.03)
    np.testing.assert_allclose(levels(spectrum, shrink=1, share=3), np.log10(luma / 4), atol=0.05)
    # blue minus luma: blue counts 1 - 0.114 of itself
    chroma = sigma**2 * (0.299**2 + 0.587**2 + (1 - 0.114) ** 2)
    np.testing.assert_allclose(levels(spectrum, share=3, plane=1), np.log10(chroma), atol=0.03)


def test_grain_falls_off_with_frequency_and_a_grey_picture_has_no_colour(flat):
    grain = grain_noise(flat, 12, 1.2, np.random.default_rng(1), True)
    spectrum = calm_spectrum([grain])
    rings = levels(spectrum, share=3)
    assert rings[0] > np.log10(12**2) + 0.5
    assert (np.diff(rings) < 0).all()
    assert rings[-1] < 0
    np.testing.assert_allclose(levels(spectrum, share=3, plane=2), np.log10(0.02), atol=1e-3)


def test_calm_blocks_are_those_of_the_calm_half(flat):
    picture = flat.copy()
    picture[:, 128:] = np.random.default_rng(2).random((256, 128, 3))
    spectrum = calm_spectrum([picture])
    np.testing.assert_allclose(levels(spectrum, share=2), np.log10(0.02), atol=1e-3)
    assert levels(spectrum, share=3).min() > 2.5


def test_what_is_told_and_how_bright_it_is(flat):
    spectrum = calm_spectrum([flat * 0.5], quality=70)
    np.testing.assert_allclose(spectrum[-2:], [1, 0.3], atol=1e-6)
    assert spectrum[3 * RINGS] == pytest.approx(2 * 0.25 * 255 / 256 - 1, abs=1e-3)
    np.testing.assert_array_equal(calm_spectrum([flat])[-2:], np.zeros(2))


def test_crops_are_one_picture_and_clipped_blocks_do_not_count(flat):
    rng = np.random.default_rng(3)
    noisy = (flat + rng.normal(0, 10 / 255, flat.shape)).astype(np.float32)
    one = calm_spectrum([noisy])
    four = calm_spectrum([noisy[y : y + 128, x : x + 128] for y in (0, 128) for x in (0, 128)])
    np.testing.assert_allclose(one, four, atol=0.12)
    blown = noisy.copy()
    blown[:, 128:] = 1.0
    np.testing.assert_allclose(levels(calm_spectrum([blown]), share=3), levels(one, share=3), atol=0.05)


@pytest.mark.parametrize("shape", [(12, 300, 3), (20, 20, 3)])
def test_too_few_blocks_are_no_spectrum(shape):
    assert calm_spectrum([np.zeros(shape, np.float32)]) is None
