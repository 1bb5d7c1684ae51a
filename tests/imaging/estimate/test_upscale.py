"""Enlargement told from native."""

import io

import numpy as np
import pytest
from PIL import Image as PilImage

from tratto.core.errors import OptionError
from tratto.imaging.estimate import estimate_upscale

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
KERNELS = {
    "nearest": PilImage.Resampling.NEAREST,
    "bilinear": PilImage.Resampling.BILINEAR,
    "bicubic": PilImage.Resampling.BICUBIC,
    "lanczos": PilImage.Resampling.LANCZOS,
}


def _luma(picture):
    return picture.astype(np.float32) @ LUMA / np.float32(255)


def _enlarge(picture, factor, kernel):
    return np.asarray(
        PilImage.fromarray(picture).resize((picture.shape[1] * factor, picture.shape[0] * factor), KERNELS[kernel])
    )


@pytest.mark.parametrize("kernel", list(KERNELS))
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_enlarged(photos, factor, kernel):
    got = [estimate_upscale(_luma(_enlarge(p[:120, :150], factor, kernel))).value for p in photos]
    assert got.count(factor) >= 3 if factor == 4 else got.count(factor) == 4


def test_native_noisy_and_blurred(photos):
    import cv2

    rng = np.random.default_rng(1)
    for p in photos:
        noisy = np.clip(p + 8 * rng.standard_normal(p.shape), 0, 255)
        for x in (p, noisy, cv2.GaussianBlur(p, (0, 0), 1.2)):
            got = estimate_upscale(_luma(x))
            assert (got.value, got.basis) == (1.0, "estimated")


@pytest.mark.parametrize("quality", [20, 50, 80, 95])
def test_jpeg_is_not_enlargement(photos, quality):
    for p in photos:
        buffer = io.BytesIO()
        PilImage.fromarray(p).save(buffer, "JPEG", quality=quality)
        assert estimate_upscale(_luma(np.asarray(PilImage.open(buffer)))).value == 1.0


def test_enlarged_after_jpeg(photos):
    for p in photos:
        buffer = io.BytesIO()
        PilImage.fromarray(p).save(buffer, "JPEG", quality=80)
        small = np.asarray(PilImage.open(buffer))
        assert estimate_upscale(_luma(_enlarge(small, 2, "bicubic"))).value == 2.0


def test_repeated_pixels_up_to_eight():
    rng = np.random.default_rng(2)
    small = rng.integers(0, 256, (40, 40)).astype(np.float32) / 255
    for factor in (2, 5, 6, 8):
        got = estimate_upscale(np.kron(small, np.ones((factor, factor), np.float32)))
        assert (got.value, got.note) == (float(factor), "pixels are repeated")


def test_nothing_to_measure():
    for x in (np.zeros((5, 5), np.float32), np.full((80, 80), 0.3, np.float32)):
        assert estimate_upscale(x).basis == "not measurable"
    with pytest.raises(OptionError, match="planes"):
        estimate_upscale(np.zeros((40, 40, 3), np.float32))
