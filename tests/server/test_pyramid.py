"""Tiles: every pixel at its place, every level half of the one above, right side up."""

import io

import numpy as np
import pytest
from PIL import Image as Pil

from tratto.core.image import ColorMode, Image, Metadata
from tratto.server.pyramid import TILE, Grid, halved, preview_path, read_tile, within, write_pyramid
from tratto.server.views import edit_view, mask_view, turned_box, upright


def whole(path, grid, level):
    columns, rows = grid.tiles(level)
    lines = []
    for y in range(rows):
        tiles = [np.asarray(Pil.open(io.BytesIO(read_tile(path, level, x, y)[0]))) for x in range(columns)]
        lines.append(np.concatenate(tiles, axis=1))
    return np.concatenate(lines)


@pytest.mark.parametrize("shape", [(1, 1), (256, 256), (257, 511), (1030, 700), (3, 2000), (2000, 3)])
def test_every_level_is_whole_and_half_of_the_one_above(tmp_path, shape):
    rgba = np.random.default_rng(0).integers(0, 255, (*shape, 4), dtype=np.uint8)  # PNG: exact
    grid = Grid(shape[1], shape[0])
    facts = write_pyramid(grid, lambda a, b: rgba[a:b], tmp_path / "x", tmp_path / "p")
    assert facts["type"] == "image/png"
    expected = rgba
    for level in range(grid.highest, grid.lowest - 1, -1):
        got = whole(tmp_path / "x", grid, level)
        assert got.shape[:2] == grid.size(level)[::-1]
        assert np.array_equal(got, expected), level
        expected = halved(expected)
    assert max(grid.size(grid.lowest)) <= TILE
    assert read_tile(tmp_path / "x", grid.highest + 1, 0, 0) is None
    assert read_tile(tmp_path / "x", grid.highest, grid.tiles(grid.highest)[0], 0) is None
    with Pil.open(preview_path(tmp_path / "p", 320)) as small:
        assert max(small.size) == min(320, max(shape))


def test_halving_takes_the_mean_of_four():
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    mean = picture.reshape(3, 2, 4, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved(picture) - mean).max() <= 0.5
    assert within(picture, 4).shape == (3, 4, 3)


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_turned_picture_and_its_boxes_are_shown_upright(turn):
    from PIL import ImageOps

    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 255, (30, 50, 3), dtype=np.uint8)
    grid, bands = upright(Image(pixels, ColorMode.RGB, meta=Metadata(orientation=turn)))
    exif = Pil.Exif()
    exif[274] = turn
    stored = io.BytesIO()
    Pil.fromarray(pixels).save(stored, "PNG", exif=exif)
    shown = np.asarray(ImageOps.exif_transpose(Pil.open(stored)))
    assert np.array_equal(bands(0, grid.height), shown)
    mask = np.zeros((30, 50), np.uint16)
    mask[4:9, 10:30] = 65535
    grid, bands = mask_view(mask, turn)
    x, y, w, h = turned_box((10, 4, 20, 5), 50, 30, turn)
    veil = bands(0, grid.height)[..., 3]
    assert veil[y : y + h, x : x + w].min() == 255
    assert (veil > 0).sum() == w * h


def test_an_edit_map_is_clear_where_nothing_changed():
    samples = np.zeros((40, 40), np.uint16)
    samples[10:20, 10:20] = 512 * 7
    _, bands, legend = edit_view(samples, 1)
    shown = bands(0, 40)
    assert legend["high"] == 8.0
    assert (shown[..., 3] > 0).sum() == 100
