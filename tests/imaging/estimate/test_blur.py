"""Blur against edges and pictures of known blur."""

import math

import cv2
import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.imaging.estimate import estimate_blur

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@pytest.mark.parametrize("sigma", [0.6, 1.0, 1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("degrees", [0, 20, 45, 90])
def test_straight_edge_in_closed_form(sigma, degrees):
    y, x = np.mgrid[:160, :160] - 79.3
    t = x * math.cos(math.radians(degrees)) + y * math.sin(math.radians(degrees))
    edge = 0.2 + 0.6 * 0.5 * (1 + np.vectorize(math.erf)(t / (sigma * math.sqrt(2))))
    got = estimate_blur(edge.astype(np.float32))
    assert got.basis == "estimated"
    assert got.value == pytest.approx(sigma, rel=0.06, abs=0.1)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0, 3.0])
def test_blurred_photographs(photos, sigma):
    for p in photos:
        sharp = p.astype(np.float32) @ LUMA / np.float32(255)
        own = estimate_blur(sharp).value
        got = estimate_blur(cv2.GaussianBlur(sharp, (0, 0), sigma)).value
        assert got == pytest.approx(math.hypot(sigma, own), abs=0.15 + 0.2 * sigma)


def test_noise_is_not_taken_for_sharpness(scene):
    rng = np.random.default_rng(0)
    soft = cv2.GaussianBlur((scene[..., 0] / 255).astype(np.float32), (0, 0), 2.0)
    noisy = (soft + 10 / 255 * rng.standard_normal(soft.shape)).astype(np.float32)
    assert estimate_blur(noisy, noise_sigma=10).value == pytest.approx(2.0, abs=0.4)


def test_nothing_to_measure():
    for x in (np.zeros((5, 5), np.float32), np.full((80, 80), 0.3, np.float32)):
        assert estimate_blur(x).basis == "not measurable"
    pure_noise = 0.5 + 0.05 * np.random.default_rng(1).standard_normal((128, 128)).astype(np.float32)
    assert estimate_blur(pure_noise.astype(np.float32), noise_sigma=12.75).basis == "not measurable"
    with pytest.raises(OptionError, match="planes"):
        estimate_blur(np.zeros((40, 40, 3), np.float32))
