import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.imaging.resample import KERNELS, enlarge_into, enlarge_rows


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_constant_stays_constant(kernel, scale):
    flat = np.full((5, 7, 3), 201, np.uint8)
    np.testing.assert_allclose(enlarge_rows(flat, 0, 5 * scale, scale, kernel), 201, rtol=1e-6)


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_a_ramp_stays_a_ramp_inside(kernel):
    ramp = np.arange(20, dtype=np.uint16)[None, :].repeat(3, 0)
    out = enlarge_rows(ramp, 0, 6, 2, kernel)[2]
    want = (np.arange(40) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(out[4:-4], want[4:-4], atol=1e-5)


def test_bicubic_against_the_closed_form_of_keys():
    """A unit impulse at x2: Keys' kernel (a = -1/2) at distances 1/4, 3/4, 5/4, 7/4."""
    line = np.zeros((1, 9), np.uint8)
    line[0, 4] = 1
    row = enlarge_rows(line, 0, 1, 2, "bicubic")[0]
    want = [0.8671875, 0.2265625, -0.0703125, -0.0234375]
    np.testing.assert_allclose([row[9], row[10], row[11], row[12]], want, atol=1e-6)
    np.testing.assert_allclose([row[8], row[7], row[6], row[5]], want, atol=1e-6)


def test_agrees_with_opencv_lanczos_free_bilinear():
    import cv2

    picture = np.random.default_rng(0).integers(0, 256, (17, 23, 3), np.uint8)
    want = cv2.resize(picture.astype(np.float32), (46, 34), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(enlarge_rows(picture, 0, 34, 2, "bilinear"), want, atol=1e-3)


@pytest.mark.parametrize("kernel", KERNELS)
def test_bands_equal_the_whole(kernel):
    picture = np.random.default_rng(3).integers(0, 65536, (31, 12), np.uint16)
    whole = enlarge_rows(picture, 0, 124, 4, kernel)
    parts = [enlarge_rows(picture, a, min(a + 10, 124), 4, kernel) for a in range(0, 124, 10)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    out = np.zeros((124, 48), np.uint16)
    enlarge_into(picture, out, 4, kernel, 65535, band=7)
    np.testing.assert_array_equal(out, np.clip(np.rint(whole), 0, 65535).astype(np.uint16))


def test_unknown_kernel():
    with pytest.raises(OptionError, match="unknown kernel"):
        enlarge_rows(np.zeros((2, 2), np.uint8), 0, 4, 2, "sinc")
