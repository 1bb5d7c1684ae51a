"""What every inpainter must keep."""

from __future__ import annotations

import numpy as np
import pytest

from tratto.core.capability import Inpainter, Use
from tratto.core.errors import OptionError, UnavailableError
from tratto.providers.catalogue import CATALOGUE, open_provider, settle
from tratto.steps.inpaint import LARGE, SCAN

INPAINTERS = CATALOGUE["inpainter"]


def available():
    out = []
    for name, row in INPAINTERS.items():
        if row.settles:  # what it paints is free; its own tests say what it keeps
            continue
        try:
            out.append(settle(Use("inpainter", name)).provider)
        except UnavailableError:
            continue
    return out


@pytest.fixture(params=available())
def painter(request):
    return open_provider("inpainter", request.param)


def smooth(h=48, w=60):
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    return np.stack([0.5 + 0.3 * np.sin(x / 11 + k) * np.cos(y / 13 - k) for k in range(3)], -1).astype(np.float32)


def small_hole(h=48, w=60):
    hole = np.zeros((h, w), bool)
    hole[20:24, 10:50] = True
    hole[5:11, 30:36] = True
    return hole


def test_known_pixels_come_back_and_holes_are_filled_well(painter):
    picture, hole = smooth(), small_hole()
    given = np.where(hole[..., None], np.float32(0.9), picture)
    kept = given.copy()
    done = painter.fill(given, hole, 3)
    assert isinstance(painter, Inpainter)
    assert done.image.dtype == np.float32
    assert done.image.shape == picture.shape
    np.testing.assert_array_equal(done.image[~hole], picture[~hole])
    np.testing.assert_array_equal(given, kept)
    # a constant at the mean of the known would be off by 0.2
    assert np.abs(done.image - picture)[hole].mean() < 0.05


def test_what_a_hole_holds_does_not_matter(painter):
    picture, hole = smooth(), small_hole()
    rng = np.random.default_rng(0)
    one = np.where(hole[..., None], np.float32(0), picture)
    two = np.where(hole[..., None], rng.uniform(0, 1, picture.shape).astype(np.float32), picture)
    np.testing.assert_array_equal(painter.fill(one, hole, 1).image, painter.fill(two, hole, 1).image)


def test_same_seed_same_filling(painter):
    picture, hole = smooth(), small_hole()
    a, b = painter.fill(picture, hole, 5), painter.fill(picture, hole, 5)
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.sigma, b.sigma)


def test_error_is_stated_inside_holes(painter):
    picture, hole = smooth(), small_hole()
    sigma = painter.fill(picture, hole, 1).sigma
    assert sigma is not None
    assert sigma.shape == hole.shape
    assert np.isfinite(sigma[hole]).all()
    assert sigma[hole].min() > 0
    assert sigma[hole].max() < 0.5


def test_no_hole_no_change(painter):
    picture = smooth()
    np.testing.assert_array_equal(painter.fill(picture, np.zeros(picture.shape[:2], bool), 1).image, picture)


def test_other_shapes_are_refused(painter):
    with pytest.raises(OptionError, match="float32"):
        painter.fill(smooth().astype(np.float64), small_hole(), 1)
    with pytest.raises(OptionError, match="float32"):
        painter.fill(smooth(), small_hole()[1:], 1)


def test_info_is_plausible(painter):
    info = painter.info
    assert info.provider in INPAINTERS
    assert info.channels in (0, 3)
    assert 0 <= info.context <= 512
    assert 0.001 < info.megapixels_per_second < 1000
    assert info.library.split(" ")[-1][0].isdigit()


def test_table():
    assert {LARGE, SCAN} <= set(INPAINTERS)
    assert INPAINTERS[settle(Use("inpainter")).provider].auto
    with pytest.raises(OptionError, match="navier-stokes"):
        settle(Use("inpainter", "magic"))
