import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.providers.catalogue import open_provider
from tratto.providers.restorer.wiener import MOST, RATIO, SHARP, wiener_kernel


def test_its_response_is_the_formula():
    taken = 1.2
    kernel = wiener_kernel(float(np.hypot(taken, SHARP))).astype(float)
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    x = np.arange(-12, 13)
    for f in (0.0, 0.05, 0.1, 0.2):
        response = float((kernel * np.cos(2 * np.pi * f * x)[None, :]).sum())
        h = np.exp(-2 * (np.pi * taken * f) ** 2)
        assert response == pytest.approx(h * (1 + RATIO) / (h * h + RATIO), abs=0.02)


def test_noise_holds_it_back_octave_by_octave():
    blur = float(np.hypot(1.2, SHARP))
    x = np.arange(-12, 13)

    def response(kernel, f):
        return float((kernel.astype(float) * np.cos(2 * np.pi * f * x)[None, :]).sum())

    plain, fine, coarse = (wiener_kernel(blur, n) for n in ((), (4.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 4.0)))
    np.testing.assert_array_equal(plain, wiener_kernel(blur, (0.0, 0.0)))
    assert response(fine, 0.3) < response(plain, 0.3) - 0.2
    assert response(coarse, 0.3) == pytest.approx(response(plain, 0.3), abs=0.06)
    assert response(coarse, 0.06) < response(plain, 0.06)
    assert fine.sum() == pytest.approx(1, abs=1e-6)


def test_sharp_edges_are_left_and_no_more_than_the_most_is_taken():
    sharp = np.zeros((25, 25))
    sharp[12, 12] = 1
    np.testing.assert_allclose(wiener_kernel(0.5), sharp, atol=1e-6)
    np.testing.assert_array_equal(wiener_kernel(float(np.hypot(MOST, SHARP)) + 1), wiener_kernel(9.0))


def test_a_blurred_photograph_comes_closer_by_a_decibel():
    import cv2
    from skimage import data

    clean = data.astronaut()[:256, :256].astype(np.float32) / 255
    soft = np.round(cv2.GaussianBlur(clean, (0, 0), 1.6) * 255).astype(np.float32) / 255
    out = open_provider("restorer", "wiener", scale=1, params={"blur": 1.7}).restore(soft).image

    def decibels(a):
        return -10 * np.log10(np.square(np.clip(a, 0, 1) - clean).mean())

    assert decibels(out) > decibels(soft) + 1


def test_what_it_cannot_take_is_refused():
    with pytest.raises(OptionError, match="blur"):
        open_provider("restorer", "wiener", scale=1, params={"blur": -1})
    with pytest.raises(OptionError, match="noise1"):
        open_provider("restorer", "wiener", scale=1, params={"noise1": -1})
    with pytest.raises(OptionError, match="x1"):
        open_provider("restorer", "wiener", scale=2)
