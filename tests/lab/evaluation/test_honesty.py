import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tratto.core.errors import OptionError
from tratto_lab.evaluation import honesty as c


def test_coverage_of_normal_errors_is_one_sigma():
    rng = np.random.default_rng(1)
    sigma = rng.uniform(0.01, 0.1, 200_000)
    error = rng.normal(0, sigma)
    assert c.coverage(sigma, error) == pytest.approx(0.6827, abs=0.004)
    assert c.calibration_factor(sigma * 0.5, error) == pytest.approx(2.0, abs=0.02)
    assert c.coverage([1, 1, 1, 1], [0.5, -1.0, 1.5, -3]) == 0.5
    factor = c.calibration_factor(sigma * 0.5, error)
    assert c.coverage(sigma * 0.5 * factor, error) == pytest.approx(c.ONE_SIGMA, abs=1e-4)


def test_no_factor_repairs_a_sigma_of_zero():
    with pytest.raises(OptionError, match="zero"):
        c.calibration_factor(np.zeros(10), np.ones(10))


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=60))
def test_rank_correlation_agrees_with_scipy(pairs):
    a, b = np.array(pairs, float).T
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert c.rank_correlation(a, b) == 0.0
    else:
        assert c.rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


def test_rank_correlation_refuses_nan_and_unequal_sizes():
    with pytest.raises(OptionError):
        c.rank_correlation([1.0, np.nan], [1.0, 2.0])
    with pytest.raises(OptionError):
        c.rank_correlation([1.0], [1.0, 2.0])
