"""Noise estimates against known noise."""

import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.imaging.estimate import estimate_noise
from tratto.imaging.estimate.noise import _censored_moments, _unclip


def _eight_bit(values):
    return (np.clip(np.rint(values), 0, 255) / 255).astype(np.float32)


@pytest.mark.parametrize("sigma", [2, 5, 15, 25, 50])
def test_gaussian_noise_on_a_known_scene(scene, sigma):
    rng = np.random.default_rng(sigma)
    got = estimate_noise(_eight_bit(scene + sigma * rng.standard_normal(scene.shape)))
    assert got.sigma == pytest.approx(sigma, abs=0.1 + 0.04 * sigma)
    assert len(got.channels) == 3


@pytest.mark.parametrize("sigma", [5, 25])
def test_gaussian_noise_on_photographs(photos, sigma):
    errors = []
    for k, p in enumerate(photos):
        noisy = p + sigma * np.random.default_rng(k).standard_normal(p.shape)
        errors.append(estimate_noise(_eight_bit(noisy)).sigma - sigma)
    assert np.mean(np.abs(errors)) < 1.0


def test_clean_scene_is_clean(scene):
    got = estimate_noise(_eight_bit(scene))
    assert got.sigma < 0.5


def test_channels_are_told_apart(scene):
    sigmas = np.array([4.0, 12.0, 24.0])
    noisy = scene + sigmas * np.random.default_rng(1).standard_normal(scene.shape)
    got = estimate_noise(_eight_bit(noisy))
    np.testing.assert_allclose(got.channels, sigmas, rtol=0.06)
    assert got.sigma == pytest.approx(np.sqrt(np.mean(np.square(got.channels))), rel=1e-6)


def test_photon_noise_shows_as_rising_curve():
    rng = np.random.default_rng(2)
    ramp = np.repeat(np.linspace(10, 235, 640)[None, :], 400, axis=0)
    gain = 1.5  # variance = gain * brightness
    noisy = rng.poisson(ramp / gain) * gain
    curve = np.array(estimate_noise(_eight_bit(noisy)).curve)
    assert len(curve) >= 12
    np.testing.assert_allclose(curve[:, 1], np.sqrt(gain * 255 * curve[:, 0]), rtol=0.08)
    assert curve[-1, 1] > 2 * curve[0, 1]


def test_censored_moments_against_sampling():
    rng = np.random.default_rng(3)
    x = np.clip(20 + 40 * rng.standard_normal(2_000_000), 0, 255)
    mean, variance = _censored_moments(20, 40)
    assert mean == pytest.approx(x.mean(), abs=0.1)
    assert variance == pytest.approx(x.var(), rel=0.005)
    y, v = _unclip(mean, variance)
    assert (y, np.sqrt(v)) == (pytest.approx(20, abs=0.05), pytest.approx(40, abs=0.05))


@pytest.mark.parametrize("level", [30, 128, 230])
def test_clipping_does_not_lower_the_estimate(level):
    noisy = level + 40 * np.random.default_rng(4).standard_normal((256, 256))
    assert np.clip(noisy, 0, 255).std() < 40
    assert estimate_noise(_eight_bit(noisy)).sigma == pytest.approx(40, abs=2)


def test_sixteen_bit_levels_are_not_blurred_by_rounding():
    noisy = 0.5 + 0.2 / 255 * np.random.default_rng(5).standard_normal((128, 128))
    deep = (np.rint(noisy * 65535) / 65535).astype(np.float32)
    assert estimate_noise(deep, levels=65535).sigma == pytest.approx(0.2, rel=0.05)


def test_crops_of_one_picture_count_together(scene):
    noisy = _eight_bit(scene + 10 * np.random.default_rng(6).standard_normal(scene.shape))
    got = estimate_noise([noisy[:128], noisy[128:]])
    assert got.sigma == pytest.approx(10, abs=0.5)


def test_nothing_to_measure():
    black = estimate_noise(np.zeros((64, 64, 3), np.float32))
    assert (black.sigma, black.channels, black.curve) == (None, (), ())
    assert "clipping" in black.note
    assert estimate_noise(np.full((8, 8), 0.5, np.float32)).sigma is None
    assert estimate_noise(np.full((64, 64), 128 / 255, np.float32)).sigma == 0.0
    with pytest.raises(OptionError, match="same channels"):
        estimate_noise([np.zeros((64, 64, 3), np.float32), np.zeros((64, 64), np.float32)])


@pytest.mark.parametrize("shade", [0.0, 0.5, 200 / 255, 1.0])
def test_a_plain_frame_does_not_hide_the_noise(shade):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :240]
    plane = 0.5 + 0.2 * np.sin(x / 31.0) * np.cos(y / 23.0)
    noisy = np.clip(plane[..., None] + rng.normal(0, 15 / 255, (200, 240, 3)), 0, 1)
    framed = np.full((260, 300, 3), shade)
    framed[30:230, 30:270] = np.round(noisy * 255) / 255
    got = estimate_noise(framed.astype(np.float32), 255)
    assert got.sigma == pytest.approx(15, abs=1)
    assert estimate_noise(np.full((64, 64, 3), shade, np.float32), 255).sigma in (None, 0.0)
