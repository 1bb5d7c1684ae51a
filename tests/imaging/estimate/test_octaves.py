"""Noise and grain by octave, and print screens."""

import cv2
import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image
from tratto.core.inspection import Inspection
from tratto.imaging.estimate import estimate_octaves, find_screen, inspect_image


def levels(x):
    return np.round(np.clip(x, 0, 255)).astype(np.float32) / 255


def ramp(side=320):
    y, x = np.mgrid[:side, :side]
    return np.repeat((60 + 0.2 * x + 0.2 * y)[..., None], 3, axis=2)


@pytest.mark.parametrize("sigma", [2.0, 6.0, 20.0])
def test_white_noise_halves_from_octave_to_octave(sigma):
    noisy = levels(ramp() + np.random.default_rng(0).normal(0, sigma, (320, 320, 3)))
    seen = estimate_octaves(noisy)
    for channel in seen.channels:
        for k in range(3):
            assert channel[k] == pytest.approx(sigma * np.sqrt(0.75) / 2**k, rel=0.12)
    assert seen.sigma == pytest.approx(sigma, rel=0.05)
    assert seen.size == pytest.approx(1, abs=0.1)
    assert seen.one_colour == pytest.approx(np.sqrt(0.299**2 + 0.587**2 + 0.114**2), abs=0.06)


def test_grain_of_one_colour_is_seen_with_its_size():
    grain = cv2.GaussianBlur(np.random.default_rng(1).normal(size=(320, 320)), (0, 0), 1.0)
    grain *= 6 / grain.std()
    seen = estimate_octaves(levels(ramp() + grain[..., None]))
    # the octaves of second differences hold three quarters of what is white, and half of what is smooth
    assert 0.6 * 6 < seen.sigma < 6
    assert 1.6 < seen.size < 2.6
    assert seen.one_colour == pytest.approx(1, abs=0.02)
    assert seen.luma[1] > seen.luma[0]


def test_noise_that_grows_with_light_has_a_curve_that_grows():
    clean = np.linspace(20, 235, 640)[None, :, None].repeat(320, 0).repeat(3, 2)
    noisy = clean + np.random.default_rng(2).normal(size=clean.shape) * (1 + clean / 40)
    curve = estimate_octaves(levels(noisy)).curve
    assert len(curve) >= 6
    assert curve[-1][1] > 2 * curve[0][1]


def test_each_channel_is_measured_by_itself():
    noise = np.random.default_rng(3).normal(size=(320, 320, 3)) * (2, 4, 8)
    seen = estimate_octaves(levels(ramp() + noise))
    assert [c[0] for c in seen.channels] == pytest.approx([1.73, 3.46, 6.93], rel=0.1)


def test_texture_is_not_noise():
    from skimage import data

    for name in ("grass", "gravel", "brick"):
        assert estimate_octaves(getattr(data, name)().astype(np.float32) / 255).sigma < 1.5
    clean = estimate_octaves(np.full((128, 128), 0.5, np.float32))
    assert (clean.sigma, clean.size, clean.one_colour) == (0, 1, 0)


def test_what_is_too_small_or_no_picture_is_told():
    assert estimate_octaves(np.zeros((20, 20), np.float32)) is None
    with pytest.raises(OptionError, match="crops"):
        estimate_octaves(np.zeros((64, 64, 2), np.float32))
    with pytest.raises(OptionError, match="luma"):
        find_screen(np.zeros((64, 64, 3), np.float32))


def screen_of(gray, period, degrees):
    a = np.deg2rad(degrees)
    y, x = np.mgrid[: gray.shape[0], : gray.shape[1]]
    u, v = (x * np.cos(a) + y * np.sin(a)) / period, (y * np.cos(a) - x * np.sin(a)) / period
    threshold = (np.cos(2 * np.pi * u) + np.cos(2 * np.pi * v)) / 4 + 0.5
    return cv2.GaussianBlur((1 / (1 + np.exp((threshold - gray) * 12))).astype(np.float32), (0, 0), 0.6)


@pytest.mark.parametrize(("period", "degrees"), [(3.2, 45), (4.5, 30), (6, 15), (8, 45)])
def test_a_print_screen_is_found_with_its_period(period, degrees):
    from skimage import data

    gray = data.camera()[:320, :320].astype(np.float32) / 255
    assert find_screen(gray) is None
    assert find_screen(screen_of(gray, period, degrees)) == pytest.approx(period, rel=0.15)


def test_photographs_and_textures_are_no_print_screens():
    from skimage import data

    for name in ("astronaut", "coffee", "chelsea", "brick", "grass", "gravel", "text", "page"):
        x = getattr(data, name)().astype(np.float32) / 255
        assert find_screen(x if x.ndim == 2 else x.mean(axis=2, dtype=np.float32)) is None, name


def test_the_inspection_holds_it_and_its_json_gives_it_back():
    x = np.round(ramp() + np.random.default_rng(4).normal(0, 5, (320, 320, 3))).astype(np.uint8)
    whole = inspect_image(Image(x, ColorMode.RGB))
    found = whole.octaves
    assert found.tint == ()
    assert Inspection.from_json(whole.to_json()) == whole
    tone = np.round(x[..., 1:2] * np.array([1.0, 0.8, 0.6]) + (20, 10, 0)).astype(np.uint8)
    whole = inspect_image(Image(tone, ColorMode.RGB))
    tinted = whole.octaves
    assert len(tinted.tint) == 9
    assert Inspection.from_json(whole.to_json()) == whole
    gray = inspect_image(Image(x[..., 0].copy(), ColorMode.GRAY)).octaves
    assert (len(gray.channels), gray.tint) == (1, ())


def test_single_specks_are_counted():
    from skimage import data

    x = data.chelsea()[:256, :256].copy()
    assert inspect_image(Image(x, ColorMode.RGB)).octaves.specks < 0.001
    at = np.random.default_rng(5).random((256, 256)) < 0.03
    x[at] = 255
    assert inspect_image(Image(x, ColorMode.RGB)).octaves.specks == pytest.approx(0.03, abs=0.012)
