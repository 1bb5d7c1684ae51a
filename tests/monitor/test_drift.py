"""Drift on fixed bins: against scipy, a closed form, and draws from one population and from another."""

import math

import numpy as np
import pytest
from scipy import stats

from tratto.monitor import drift
from tratto.monitor.drift import compare, counts_of, ks, ks_chance, psi, psi_chance
from tratto.monitor.watched import BY_NAME

NOISE = BY_NAME["noise"].edges


def test_bins_hold_their_lower_edge():
    assert counts_of([-1, 0, 0.99, 1, 5, 6, None, None], (0, 1, 5)) == [1, 2, 1, 2, 2]


def test_the_index_is_that_of_its_definition():
    a, b = np.array([120, 300, 80]), np.array([60, 320, 140])
    p, q = ((v + 0.5) / (v.sum() + 1.5) for v in (a, b))
    assert psi(a, b) == pytest.approx(float(np.sum((q - p) * np.log(q / p))))
    assert psi(b, a) == pytest.approx(psi(a, b))
    assert psi([0, 5, 5, 0], [0, 5, 5, 0]) == 0  # bins that nobody fills say nothing


def test_the_distance_is_that_of_scipy_on_the_bins():
    rng = np.random.default_rng(0)
    a, b = rng.gamma(2, 2, 400), rng.gamma(2, 3, 300)
    binned = [np.digitize(v, NOISE) for v in (a, b)]
    assert ks(counts_of(a, NOISE), counts_of(b, NOISE)) == pytest.approx(stats.ks_2samp(*binned).statistic)


def test_what_chance_gives():
    counts = [100] * 8
    assert psi_chance(counts, counts) == pytest.approx(2 / 800 * stats.chi2.isf(drift.CHANCE, 7), rel=0.02)
    assert 2 * math.exp(-2 * ks_chance(300, 200) ** 2 * 300 * 200 / 500) == pytest.approx(drift.CHANCE)


def month(seed, worse=1.0, count=300):
    """Noise of a month of scans: a mix of calm and of strong; a worse month has so many times as much."""
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(count) < 0.7, rng.gamma(3, 0.7, count), rng.gamma(5, 2, count))
    return counts_of(values * worse, NOISE)


def test_equal_months_raise_no_alert_and_a_worse_one_does():
    reference = month(0)
    levels = [compare(reference, month(1 + k)).level for k in range(100)]
    assert set(levels) == {"steady"}
    assert {compare(reference, month(1000 + k, worse=2.0)).level for k in range(20)} == {"alert"}


def test_a_small_month_is_not_judged_and_a_large_one_by_its_size():
    assert compare(month(0), month(1, count=20)).level == "too few"
    small = compare(month(0, count=40), month(5, count=40))
    assert small.psi > drift.WATCH  # which is chance, with so few
    assert small.level == "steady"
    moved = [300, 200, 100], [200, 200, 200]
    assert compare(*moved).level == "watch"
    assert compare(*([n // 15 for n in side] for side in moved)).level == "steady"
