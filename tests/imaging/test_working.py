import imagecodecs
import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image, Metadata
from tratto.imaging.color import srgb_to_linear
from tratto.imaging.working import from_linear, to_linear


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_samples_come_back_exactly(bits, dtype):
    pixels = np.random.default_rng(0).integers(0, 1 << bits, (16, 20, 3)).astype(dtype)
    image = Image(pixels, ColorMode.RGB, bits)
    light = to_linear(image, 0, 16)
    np.testing.assert_allclose(light, srgb_to_linear(pixels / (2**bits - 1)), atol=1e-6)
    np.testing.assert_array_equal(np.rint(from_linear(light, image)).astype(dtype), pixels)
    np.testing.assert_array_equal(to_linear(image, 2, 5, 3, 9), light[2:5, 3:9])


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_a_profile_is_honoured_and_undone(bits, dtype):
    # mid greys and pale colours, which both spaces hold
    full = (1 << bits) - 1
    pixels = np.rint(np.random.default_rng(1).uniform(0.35, 0.65, (12, 12, 3)) * full).astype(dtype)
    image = Image(pixels, ColorMode.RGB, bits, meta=Metadata(icc=imagecodecs.cms_profile("adobergb")))
    light = to_linear(image, 0, 12)
    # Adobe RGB (1998): pure gamma of 563/256, and a red primary farther out, so reds are stronger in sRGB terms
    gray = Image(np.full((1, 1, 3), full // 2, dtype), ColorMode.RGB, bits, meta=image.meta)
    np.testing.assert_allclose(to_linear(gray, 0, 1), ((full // 2) / full) ** (563 / 256), atol=2e-3)
    assert np.abs(light - srgb_to_linear(pixels / full)).max() > 0.01
    np.testing.assert_allclose(from_linear(light, image) / full, pixels / full, atol=1 / 255)


def test_only_rgb_is_light():
    with pytest.raises(OptionError, match="gray"):
        to_linear(Image(np.zeros((4, 4), np.uint8), ColorMode.GRAY), 0, 4)
    with pytest.raises(OptionError, match="cmyk"):
        from_linear(np.zeros((4, 4, 3), np.float32), Image(np.zeros((4, 4, 4), np.uint8), ColorMode.CMYK))


def test_rounding_for_lightness_takes_two_thirds_of_the_error_of_lightness():
    from tratto.imaging.color import srgb_to_lab
    from tratto.imaging.working import rounded_for_lightness

    rng = np.random.default_rng(0)
    samples = rng.uniform(200, 250, (20_000, 1)) * np.array([1, 0.99, 0.96]) + rng.uniform(-0.5, 0.5, (20_000, 3))
    samples = samples.astype(np.float32)
    whole = rounded_for_lightness(samples)
    np.testing.assert_array_equal(whole, np.rint(whole))
    assert np.abs(whole - samples).max() <= 1.25
    want = srgb_to_lab(samples / 255)
    plain, fine = ((srgb_to_lab(v / 255) - want) for v in (np.rint(samples), whole))
    assert fine[:, 0].std() < 0.36 * plain[:, 0].std()
    assert np.abs(fine.mean(axis=0)).max() < 0.02  # no colour gains on the whole
    assert np.linalg.norm(fine, axis=1).max() < 1.6


def test_rounding_for_lightness_leaves_whole_numbers_and_the_ends():
    from tratto.imaging.working import rounded_for_lightness

    every = np.stack(np.meshgrid([0, 1, 7, 128, 254, 255], [0, 3, 200, 255], [0, 9, 255]), axis=-1).astype(np.float32)
    np.testing.assert_array_equal(rounded_for_lightness(every), every)
