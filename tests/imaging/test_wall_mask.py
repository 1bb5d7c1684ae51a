import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.imaging.io import oriented
from tratto.imaging.wall_mask import adjust_mask, stored_point, wall_from_points, wall_from_scribble


def room(seed=0):
    """A wall with fall-off, a floor, and a picture on the wall."""
    _, x = np.mgrid[0:120, 0:160]
    rgb = np.empty((120, 160, 3))
    rgb[:] = [0.80, 0.72, 0.60]
    rgb *= (0.6 + 0.4 * x / 160)[..., None]
    truth = np.ones((120, 160), bool)
    truth[90:] = False
    rgb[90:] = [0.45, 0.30, 0.20]
    truth[30:60, 60:100] = False
    rgb[30:60, 60:100] = [0.2, 0.3, 0.5]
    return (rgb + np.random.default_rng(seed).normal(0, 0.01, rgb.shape)).clip(0, 1).astype(np.float32), truth


def overlap(mask, truth):
    return ((mask > 0.5) & truth).sum() / ((mask > 0.5) | truth).sum()


def test_one_click_finds_the_wall():
    rgb, truth = room()
    mask = wall_from_points(rgb, [(20, 20)])
    assert mask.dtype == np.float32
    assert overlap(mask, truth) > 0.97
    np.testing.assert_array_equal(mask, wall_from_points(rgb, [(20, 20)]))


def test_scribbles_say_what_is_wall_and_what_is_not():
    rgb, truth = room()
    draw = np.zeros(truth.shape, bool)
    draw[10, 10:150] = True
    other = np.zeros_like(draw)
    other[45, 65:95] = True
    assert overlap(wall_from_scribble(rgb, draw, other), truth) > 0.97


def test_points_on_other_things_part_what_looks_alike():
    rgb, truth = room()
    rgb[90:] = rgb[:30] * np.float32(0.97)  # a floor nearly of the wall's colour
    rgb[88:90] *= np.float32(0.93)
    alone = wall_from_points(rgb, [(20, 20)], tolerance=3.0)
    told = wall_from_points(rgb, [(20, 20)], 3.0, [(20, 110), (140, 110), (80, 45)])
    assert overlap(told, truth) > 0.93
    assert overlap(told, truth) > overlap(alone, truth)


def test_points_outside_and_empty_scribbles_are_refused():
    rgb, _ = room()
    with pytest.raises(OptionError, match="outside"):
        wall_from_points(rgb, [(160, 3)])
    with pytest.raises(OptionError, match="at least one"):
        wall_from_points(rgb, [])
    with pytest.raises(OptionError, match="empty"):
        wall_from_scribble(rgb, np.zeros((120, 160), bool))
    with pytest.raises(OptionError, match="size"):
        wall_from_scribble(rgb, np.ones((12, 16), bool))


def test_growing_and_feathering_by_exact_distances():
    mask = np.zeros((21, 21), np.float32)
    mask[:, :10] = 1
    np.testing.assert_array_equal(adjust_mask(mask, grow=3)[5], np.r_[np.ones(13), np.zeros(8)])
    np.testing.assert_array_equal(adjust_mask(mask, grow=-3)[5], np.r_[np.ones(7), np.zeros(14)])
    soft = adjust_mask(mask, feather=4)[5]
    np.testing.assert_allclose(soft[7:13], [1.0, 0.875, 0.625, 0.375, 0.125, 0.0], atol=1e-6)
    assert adjust_mask(mask) is mask
    with pytest.raises(OptionError):
        adjust_mask(mask, feather=-1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_follow_the_orientation(orientation):
    stored = np.arange(5 * 7).reshape(5, 7)
    shown = oriented(stored, orientation)
    for y in range(shown.shape[0]):
        for x in range(shown.shape[1]):
            sx, sy = stored_point((x, y), (7, 5), orientation)
            assert stored[int(sy), int(sx)] == shown[y, x]


def test_a_region_that_gets_stuck_grows_again_with_more_tolerance():
    # a wall whose light falls off in steps larger than what the grain of a flat picture explains
    ramp = np.linspace(0.15, 0.95, 64, dtype=np.float32)
    rgb = np.full((120, 160, 3), (0.1, 0.2, 0.5), np.float32)
    rgb[:, :64] = ramp[None, :, None] * np.array([0.9, 0.85, 0.75], np.float32)
    found = wall_from_points(rgb, [(32, 60)])
    assert found[:, 66:].max() < 0.5
    assert (found[:, 8:56] > 0.5).mean() > 0.8


def test_points_that_contradict_each_other_are_refused():
    rgb = np.full((40, 50, 3), 0.6, np.float32)
    with pytest.raises(OptionError, match="something else"):
        wall_from_points(rgb, [(20, 20)], 1.0, [(20, 20)])


def test_nothing_left_and_more_than_the_picture_are_refused():
    mask = np.zeros((20, 30), np.float32)
    mask[5:15, 5:25] = 1
    for size in ({"grow": 31.0}, {"grow": -31.0}, {"feather": 31.0}):
        with pytest.raises(OptionError, match="side of 30"):
            adjust_mask(mask, **size)
    with pytest.raises(OptionError, match="nothing is left"):
        adjust_mask(mask, grow=-8)


def test_a_point_in_a_burnt_pool_takes_the_pool_in_and_leaves_out_what_hangs_there():
    y, x = np.mgrid[0:120, 0:160].astype(np.float32)
    light = 0.5 + 1.2 * np.exp(-((x - 110) ** 2 + (y - 40) ** 2) / 200)
    rgb = np.clip(light[..., None] * np.array([0.9, 0.7, 0.4], np.float32), 0, 1) ** np.float32(1 / 2.2)
    rgb[50:70, 30:50] = (0.1, 0.3, 0.2)  # a picture on the wall
    rgb[100:] = (0.3, 0.2, 0.35)
    others = [(20, 110), (140, 110)]
    pool = (slice(37, 44), slice(107, 114))
    found = wall_from_points(rgb, [(20, 20), (110, 40)], 1.0, others)
    assert found[pool].min() > 0.5
    assert found[54:66, 34:46].max() < 0.5
