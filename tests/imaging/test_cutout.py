"""An object's soft edge, and its own colours there."""

import numpy as np
import pytest

from tratto.imaging.cutout import matted, own_colors, trimap


def soft_disc(size=72):
    v, u = np.mgrid[0:size, 0:size] + 0.5
    middle = size / 2
    alpha = np.clip((size / 3.6 - np.hypot(u - middle, v - middle)) / 4 + 0.5, 0, 1).astype(np.float32)
    rng = np.random.default_rng(0)
    object_, ground = (np.float32(c) + rng.normal(0, 0.01, (size, size, 3)) for c in ((0.8, 0.3, 0.2), (0.1, 0.3, 0.6)))
    a = alpha[..., None]
    return (a * object_ + (1 - a) * ground).astype(np.float32), alpha


def test_a_rough_cover_becomes_the_true_soft_edge():
    pytest.importorskip("pymatting")
    picture, alpha = soft_disc(288)
    rough = np.roll((alpha > 0.5).astype(np.float32), 1, axis=1)
    edge = (alpha > 0) & (alpha < 1)
    assert np.abs(rough - alpha)[edge].mean() > 0.2
    got = matted(picture, rough)
    assert np.abs(got - alpha)[edge].mean() < 0.12
    assert got[144, 144] > 0.98
    assert got[8, 8] < 0.02


def test_what_is_all_or_nothing_stays():
    picture = np.full((40, 40, 3), 0.5, np.float32)
    for value in (0.0, 1.0):
        cover = np.full((40, 40), value, np.float32)
        np.testing.assert_array_equal(matted(picture, cover), cover)
    assert set(np.unique(trimap(np.full((9, 9), 0.5, np.float32)))) == {0.5}


def test_an_edge_loses_the_colour_of_its_ground():
    picture, alpha = soft_disc(72)
    edge = (alpha > 0.2) & (alpha < 0.8)
    off = np.abs(picture[edge] - (0.8, 0.3, 0.2)).mean()
    got = np.abs(own_colors(picture, alpha)[edge] - (0.8, 0.3, 0.2)).mean()
    assert got < 0.6 * off
    np.testing.assert_array_equal(own_colors(picture, alpha)[alpha == 1], picture[alpha == 1])
