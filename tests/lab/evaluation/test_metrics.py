"""Metrics against closed forms, scikit-image and the published protocol."""

import math

import numpy as np
import pytest
from skimage import data
from skimage.metrics import structural_similarity

from tratto.core.errors import OptionError
from tratto_lab.evaluation.metrics import psnr, rgb_to_y, ssim


def test_psnr_closed_forms():
    a = np.zeros((4, 5))
    assert psnr(a, a) == math.inf
    assert psnr(a, a + 0.1) == pytest.approx(20.0, abs=1e-12)
    assert psnr(a, a + 1) == pytest.approx(0.0, abs=1e-12)
    # one sample of 20 wrong by 51/255: mse = 0.04 / 20
    b = a.copy()
    b[1, 2] = 51
    assert psnr(a, b, data_range=255) == pytest.approx(10 * math.log10(20 / 0.04), abs=1e-12)


def test_psnr_border_and_bytes():
    a = np.zeros((6, 6, 3), np.uint8)
    b = a.copy()
    b[0] = 255
    assert psnr(a, b, data_range=255, border=1) == math.inf
    # unsigned bytes must not wrap around: 0 - 255 is 255 away, not 1
    assert psnr(a, np.full_like(a, 255), data_range=255) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("border", [0, 3])
def test_ssim_equals_reference_on_the_valid_area(border):
    rng = np.random.default_rng(1)
    a = data.astronaut()[100:180, 60:190] / 255.0
    b = np.clip(a + 0.08 * rng.standard_normal(a.shape), 0, 1)
    inner = (slice(border, a.shape[0] - border), slice(border, a.shape[1] - border))
    ref = structural_similarity(
        a[inner],
        b[inner],
        data_range=1.0,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(a, b, border=border) == pytest.approx(ref, abs=1e-6)
    ref_gray = structural_similarity(
        a[inner][..., 1],
        b[inner][..., 1],
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(a[..., 1], b[..., 1], border=border) == pytest.approx(ref_gray, abs=1e-6)


def test_ssim_one_window_by_hand():
    rng = np.random.default_rng(2)
    a, b = rng.random((2, 11, 11))
    t = np.arange(-5, 6)
    w = np.exp(-(t[:, None] ** 2 + t[None, :] ** 2) / (2 * 1.5**2))
    w /= w.sum()
    ma, mb = (w * a).sum(), (w * b).sum()
    va, vb, cov = (w * (a - ma) ** 2).sum(), (w * (b - mb) ** 2).sum(), (w * (a - ma) * (b - mb)).sum()
    want = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
    assert ssim(a, b) == pytest.approx(want, abs=1e-12)
    assert ssim(a, a) == pytest.approx(1.0, abs=1e-12)


def test_rgb_to_y_primaries():
    rgb = np.array([[[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]], float)
    want = np.array([[16.0, 235.0, 16 + 65.481, 16 + 128.553, 16 + 24.966]]) / 255
    np.testing.assert_allclose(rgb_to_y(rgb), want, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: psnr(np.zeros((3, 3)), np.zeros((3, 4))), "same shape"),
        (lambda: psnr(np.zeros(3), np.zeros(3)), "must be"),
        (lambda: psnr(np.zeros((4, 4)), np.zeros((4, 4)), border=2), "nothing is left"),
        (lambda: psnr(np.zeros((4, 4)), np.zeros((4, 4)), border=-1), "border"),
        (lambda: psnr(np.zeros((4, 4)), np.zeros((4, 4)), data_range=0), "data_range"),
        (lambda: ssim(np.zeros((10, 40)), np.zeros((10, 40))), "11x11"),
        (lambda: rgb_to_y(np.zeros((4, 4))), "H, W, 3"),
    ],
)
def test_senseless_arguments(call, text):
    with pytest.raises(OptionError, match=text):
        call()
