import numpy as np
import pytest

from tratto.imaging.fill import ErrorCurve, expected_error, plate_fill, smooth_fill


def plane(h=40, w=50):
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    return np.stack([0.2 + 0.01 * x, 0.1 + 0.015 * y, 0.3 + 0.004 * (x + y)], -1).astype(np.float32)


def slit(h=40, w=50):
    hole = np.zeros((h, w), bool)
    hole[18:22, 8:42] = True
    return hole


@pytest.mark.parametrize("fill", [smooth_fill, plate_fill])
def test_outside_is_kept_and_inside_lies_in_range(fill):
    rng = np.random.default_rng(0)
    picture, hole = rng.uniform(0.2, 0.7, (40, 50, 3)).astype(np.float32), slit()
    done = fill(picture, hole)
    np.testing.assert_array_equal(done[~hole], picture[~hole])
    assert done.min() >= picture[~hole].min() - 1e-6
    assert done.max() <= picture[~hole].max() + 1e-6


def test_a_ramp_is_continued_exactly():
    picture, hole = plane(), slit()
    broken = np.where(hole[..., None], np.float32(0), picture)
    # a plane has no Laplacian: the thin plate is exact, up to where the iteration stops
    np.testing.assert_allclose(plate_fill(broken, hole, 400, 1e-6), picture, atol=2e-3)


def test_the_plate_is_the_solution_of_a_direct_solver():
    rng = np.random.default_rng(1)
    picture = rng.uniform(0.2, 0.8, (16, 18, 1)).astype(np.float32)
    hole = np.zeros((16, 18), bool)
    hole[6:9, 5:12] = True
    hole[0:2, 14:16] = True
    n = hole.size
    laplacian = np.zeros((n, n))
    for y in range(16):
        for x in range(18):
            for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
                yy, xx = min(max(y + dy, 0), 15), min(max(x + dx, 0), 17)
                laplacian[y * 18 + x, yy * 18 + xx] += 1
                laplacian[y * 18 + x, y * 18 + x] -= 1
    square = laplacian @ laplacian
    free = hole.ravel()
    known = picture.ravel().astype(np.float64)
    exact = known.copy()
    exact[free] = np.linalg.solve(square[np.ix_(free, free)], -square[np.ix_(free, ~free)] @ known[~free])
    exact = np.clip(exact, known[~free].min(), known[~free].max())
    done = plate_fill(picture, hole, 2000, 1e-7)
    np.testing.assert_allclose(done.ravel(), exact, atol=2e-3)


def test_nothing_known_or_nothing_missing():
    picture = plane()
    np.testing.assert_array_equal(plate_fill(picture, np.zeros((40, 50), bool)), picture)
    np.testing.assert_array_equal(plate_fill(picture, np.ones((40, 50), bool)), np.full_like(picture, 0.5))


def test_sixteen_bits_are_kept():
    picture, hole = plane(), slit()
    done = smooth_fill(picture, hole)[hole]
    assert len(np.unique(np.rint(done * 65535) % 257)) > 20  # not on the grid of 8 bits


def test_expected_error_grows_inwards_and_with_contrast():
    rng = np.random.default_rng(2)
    hole = np.zeros((60, 60), bool)
    hole[20:40, 20:40] = True
    quiet = (0.5 + 0.02 * rng.standard_normal((60, 60, 3))).astype(np.float32)
    loud = (0.5 + 0.10 * rng.standard_normal((60, 60, 3))).astype(np.float32)
    curve = ErrorCurve(1.0, 4.0)
    a, b = expected_error(quiet, hole, curve), expected_error(loud, hole, curve)
    assert a[~hole].max() == 0
    assert (b[hole] > 3 * a[hole]).all()
    assert a[30, 30] > 1.5 * a[20, 30]
    # deep inside it is the contrast itself
    np.testing.assert_allclose(b[30, 30], 0.10 * (1 - np.exp(-10 / 4)), rtol=0.15)
