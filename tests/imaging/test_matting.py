import numpy as np
import pytest

from tratto.imaging.matting import coded, coverage, make_matte, mask_is_hard, matte_radius

WALL = np.array([0.40, 0.36, 0.25], np.float32)
OTHER = np.array([0.05, 0.08, 0.20], np.float32)


def slanted(size=64):
    """Exact coverage of a slanted edge, by 16 x 16 sub-pixels."""
    n = 16 * size
    y, x = (np.mgrid[0:n, 0:n] + 0.5) / 16
    return ((x - 30.3 + 0.31 * (y - size / 2)) < 0).reshape(size, 16, size, 16).mean(axis=(1, 3)).astype(np.float32)


def mixed(alpha):
    a = alpha[..., None]
    return (a * WALL + (1 - a) * OTHER).astype(np.float32)


def test_a_soft_mask_gives_its_own_coverage_and_the_parts_back():
    alpha = slanted()
    matte = make_matte(mixed(alpha), alpha, 2, hard=False)
    np.testing.assert_allclose(matte.alpha, alpha, atol=0.02)
    edge = alpha > 0.3
    np.testing.assert_allclose(matte.wall[edge], np.broadcast_to(WALL, matte.wall[edge].shape), atol=0.02)
    want = (1 - alpha)[..., None] * OTHER
    np.testing.assert_allclose(matte.rest, want, atol=0.012)


def test_a_hard_mask_finds_the_coverage_from_the_colours():
    alpha = slanted()
    code = coded((alpha > 0.5).astype(np.float32), 2)
    matte = make_matte(mixed(alpha), coverage(code), 2, hard=True, allowed=code > 0)
    np.testing.assert_allclose(matte.alpha, alpha, atol=0.08)
    assert np.abs(matte.alpha - alpha).mean() < 0.004


def test_outside_the_mask_there_is_no_wall_and_the_parts_add_up():
    rng = np.random.default_rng(0)
    alpha = slanted()
    picture = (mixed(alpha) * rng.uniform(0.9, 1.1, (64, 64, 1))).astype(np.float32)
    mask = (alpha > 0.5).astype(np.float32)
    matte = make_matte(picture, mask, 2, hard=True)
    assert (matte.alpha[mask == 0] == 0).all()
    np.testing.assert_array_equal(matte.rest[mask == 0], picture[mask == 0])
    np.testing.assert_allclose(matte.alpha[..., None] * matte.wall + matte.rest, picture, atol=2e-4)
    deep = np.zeros((64, 64), bool)
    deep[:, :15] = True
    np.testing.assert_array_equal(matte.wall[deep], picture[deep])
    assert (matte.rest[deep] == 0).all()


def test_a_shadow_on_the_wall_is_not_taken_for_something_else():
    mask = np.zeros((60, 60), np.float32)
    mask[:, :40] = 1
    picture = mixed(mask)
    picture[:, 36:40] *= np.float32(0.5)  # dark along the edge, but the wall's own colour
    alpha = make_matte(picture, mask, 3, hard=False).alpha
    np.testing.assert_array_equal(alpha[:, :40], 1)


def test_kinds_of_masks():
    alpha = slanted()
    assert mask_is_hard((alpha > 0.5).astype(np.float32))
    assert not mask_is_hard(alpha)
    assert [matte_radius(*s) for s in ((240, 320), (1000, 1000), (3000, 4000), (9000, 12000))] == [2, 2, 7, 8]


def test_reach_goes_as_far_as_asked_and_coverage_comes_back():
    mask = np.zeros((20, 20), np.float32)
    mask[8:12, 8:12] = 1
    mask[8:12, 7] = np.float32(100 / 255)
    code = coded(mask, 2)
    assert ((code > 0)[:, 9]).sum() == 8
    assert (code > 0)[9, 6:14].all()
    assert code[code > 0].min() > 0.996
    np.testing.assert_allclose(coverage(code), mask, atol=1e-6)
    stored = (np.rint(code * 65535) / 65535).astype(np.float32)  # as a bundle keeps it
    np.testing.assert_array_equal(stored, code)
    assert ((coded(mask, 0) > 0) == (mask > 0)).all()


def test_empty_and_full_masks():
    picture = np.full((8, 8, 3), 0.5, np.float32)
    none = make_matte(picture, np.zeros((8, 8), np.float32), 2, hard=True)
    assert (none.alpha == 0).all()
    np.testing.assert_array_equal(none.rest, picture)
    full = make_matte(picture, np.ones((8, 8), np.float32), 2, hard=True)
    assert (full.alpha == 1).all()
    assert full.rest.max() == pytest.approx(0)
