import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.core.image import Metadata
from tratto.imaging.color import srgb_to_linear
from tratto.imaging.io import image_from_array
from tratto.imaging.texture import LARGEST_TILE, Tile, homography, sample_of

CORNERS = [(10.0, 20.0), (90.0, 30.0), (80.0, 95.0), (5.0, 70.0)]


def test_corners_go_to_the_rectangle():
    h = homography(CORNERS, 3.0, 2.0)
    for (x, y), want in zip(CORNERS, [(0, 0), (3, 0), (3, 2), (0, 2)], strict=True):
        u, v, w = h @ (x, y, 1)
        np.testing.assert_allclose((u / w, v / w), want, atol=1e-9)


@pytest.mark.parametrize(
    "corners",
    [
        CORNERS[:3],
        [CORNERS[0], CORNERS[2], CORNERS[1], CORNERS[3]],
        [(0, 0), (1, 1), (2, 2), (0, 5)],
        [(0, np.nan)] * 4,
    ],
)
def test_what_is_no_convex_quadrilateral_is_refused(corners):
    with pytest.raises(OptionError):
        homography(corners, 1, 1)


def test_a_tile_at_its_own_size_comes_back_and_repeats():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
    tile = Tile.of(rgb, homography([(-0.5, -0.5), (15.5, -0.5), (15.5, 11.5), (-0.5, 11.5)], 1, 1))
    y, x = np.mgrid[0:24, 0:32].astype(np.float32)
    want = srgb_to_linear(np.tile(rgb, (2, 2, 1)) / 255)
    np.testing.assert_allclose(tile.sample(y, x), want, atol=1e-4)


def test_far_away_a_tile_is_its_mean():
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    tile = Tile.of(rgb, np.diag([7.3, 7.3, 1.0]))  # seven tiles to a pixel
    y, x = np.mgrid[0:5, 0:5].astype(np.float32)
    np.testing.assert_allclose(tile.sample(y, x), np.broadcast_to(tile.mean, (5, 5, 3)), atol=1e-5)
    np.testing.assert_allclose(tile.mean, srgb_to_linear(rgb / 255).mean(axis=(0, 1)), atol=1e-6)


def test_a_sample_is_upright_and_reduced_to_its_longest_side():
    rgb = np.random.default_rng(2).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    np.testing.assert_array_equal(sample_of(image_from_array(rgb)), rgb)
    lying = image_from_array(rgb).replace(meta=Metadata(orientation=6))
    np.testing.assert_array_equal(sample_of(lying), np.rot90(rgb, -1))
    big = np.full((100, 3 * LARGEST_TILE, 3), 77, np.uint8)
    big[:, ::3] = 101  # a third of each mean
    small = sample_of(image_from_array(big))
    assert small.shape == (33, LARGEST_TILE, 3)
    assert (small == 85).all()
