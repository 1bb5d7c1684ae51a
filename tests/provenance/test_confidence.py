import numpy as np
import pytest
from scipy import stats

from tratto.core.errors import OptionError
from tratto.core.result import CONFIDENCE_FULL
from tratto.provenance import confidence as c


def test_confidence_of_known_errors():
    sigma = np.array([[0, 655, 16384, 65535]], np.uint16)  # 0, 0.01, a quarter, one
    out = np.zeros((1, 4), np.uint16)
    c.confidence_map(sigma, 1.0, out)
    assert out.tolist() == [[65535, 62915, 0, 0]]
    c.confidence_map(sigma, 0.5, out)
    assert out.tolist() == [[65535, 64225, 32767, 0]]
    c.confidence_map(sigma, 0.0, out)
    assert out.tolist() == [[65535] * 4]


def test_without_an_error_map_nothing_is_claimed_where_edited():
    out = np.zeros((1, 3), np.uint16)
    for weight, want in ((0.0, 65535), (0.5, 32768), (1.0, 0)):
        c.confidence_map(None, weight, out)
        assert out.tolist() == [[want] * 3]


def test_bands_join():
    sigma = np.random.default_rng(0).integers(0, 20000, (700, 900)).astype(np.uint16)
    out = np.zeros_like(sigma)
    c.confidence_map(sigma, 1.0, out)
    want = np.rint(65535 * (1 - np.minimum(1, sigma.astype(float) / (65535 * CONFIDENCE_FULL))))
    assert np.abs(out - want).max() <= 1


def test_sigma_comes_back():
    sigma = np.arange(0, 16383, dtype=np.uint16)[None]
    out = np.zeros_like(sigma)
    c.confidence_map(sigma, 1.0, out)
    np.testing.assert_allclose(c.sigma_from_confidence(out), sigma / 65535.0, atol=0.5 * CONFIDENCE_FULL / 65535 * 1.01)


def test_shapes_must_agree():
    out = np.zeros((2, 3), np.uint16)
    with pytest.raises(OptionError):
        c.confidence_map(np.zeros((3, 2), np.uint16), 1.0, out)
    with pytest.raises(OptionError):
        c.confidence_map(None, 1.0, np.zeros((2, 3), np.uint8))


def test_spread_fit_recovers_a_power_law():
    rng = np.random.default_rng(2)
    edit = rng.uniform(0.005, 0.2, 20_000)
    texture = rng.uniform(0.005, 0.2, 20_000)
    true = 0.3 * edit**0.7 * texture**0.25
    spread = true * np.exp(rng.normal(0, 0.3, true.size))
    model = c.spread_fit(spread[:5000], edit[:5000], texture[:5000])
    assert model.coefficients[1:] == pytest.approx((0.7, 0.25), abs=0.03)
    rest = model.predict(edit[5000:], texture[5000:])
    assert rest.dtype == np.float32
    assert stats.spearmanr(rest, true[5000:]).statistic > 0.99
    # the stated error is right in mean square, not only in the logarithm
    assert np.mean(rest.astype(float) ** 2) == pytest.approx(np.mean(spread[5000:] ** 2), rel=0.05)


def test_spread_fit_with_nothing_to_learn():
    model = c.spread_fit(np.zeros(100), np.zeros(100), np.full(100, 0.1))
    assert model.predict(np.array([0.0, 0.5]), np.array([0.1, 0.1])).tolist() == [0.0, 0.0]
    with pytest.raises(OptionError, match="at least 16"):
        c.spread_fit(np.zeros(3), np.zeros(3), np.zeros(3))
    with pytest.raises(OptionError, match="not negative"):
        c.spread_fit(np.full(20, -1.0), np.zeros(20), np.zeros(20))


def test_local_std_against_slow_reference():
    rng = np.random.default_rng(3)
    g = rng.random((12, 15)) + 1000.0
    padded = np.pad(g, 2, mode="reflect")
    want = np.array([[padded[y : y + 5, x : x + 5].std() for x in range(15)] for y in range(12)])
    np.testing.assert_allclose(c.local_std(g), want, rtol=1e-5)
    assert c.local_std(np.full((9, 9), 0.3)).max() == 0.0
