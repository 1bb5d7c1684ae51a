from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import skimage.data

from tratto.core.errors import OptionError
from tratto.providers.catalogue import open_provider
from tratto.providers.restorer.nlm import NonLocalMeans
from tratto_lab.evaluation.metrics import psnr


@pytest.fixture(scope="module")
def face():
    return (skimage.data.astronaut()[60:188, 160:288] / 255).astype(np.float32)


@pytest.mark.parametrize(("sigma", "gain"), [(10, 2.5), (25, 5.0)])
def test_nlm_removes_noise(face, sigma, gain):
    noisy = np.clip(face + np.random.default_rng(0).normal(0, sigma / 255, face.shape), 0, 1).astype(np.float32)
    out = open_provider("restorer", "nlm", scale=1).restore(noisy, float(sigma)).image
    assert psnr(np.clip(out, 0, 1), face) > psnr(noisy, face) + gain


def test_nlm_prefers_its_parameter_to_the_estimate_and_has_a_default(face):
    fixed = NonLocalMeans(25.0).restore(face, 3.0).image
    np.testing.assert_array_equal(fixed, NonLocalMeans().restore(face, 25.0).image)
    np.testing.assert_array_equal(NonLocalMeans().restore(face).image, NonLocalMeans().restore(face, 10.0).image)


def test_nlm_keeps_what_is_finer_than_eight_bits():
    flat = np.full((20, 20, 3), 0.123456, np.float32)
    np.testing.assert_array_equal(NonLocalMeans().restore(flat, 10.0).image, flat)
    step = np.random.default_rng(1).random((16, 16, 3), dtype=np.float32)
    np.testing.assert_array_equal(NonLocalMeans().restore(step, 0.0).image, step)


@pytest.mark.parametrize("sigma", [-1.0, float("nan"), float("inf")])
def test_nlm_refuses_senseless_noise(face, sigma):
    with pytest.raises(OptionError, match="noise level"):
        NonLocalMeans().restore(face, sigma)


@pytest.mark.parametrize(("name", "kernel"), [("bicubic", "BICUBIC"), ("lanczos", "LANCZOS")])
@pytest.mark.parametrize("scale", [2, 4])
def test_kernels_agree_with_pillow_inside(face, name, kernel, scale):
    out = open_provider("restorer", name, scale=scale).restore(face).image
    size = (face.shape[1] * scale, face.shape[0] * scale)
    for c in range(3):
        plane = PIL.Image.fromarray(face[..., c]).resize(size, getattr(PIL.Image.Resampling, kernel))
        b = 4 * scale  # Pillow drops taps outside the picture, we repeat the edge
        np.testing.assert_allclose(out[b:-b, b:-b, c], np.asarray(plane)[b:-b, b:-b], rtol=0, atol=2e-6)
