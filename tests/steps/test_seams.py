"""Tiles against the whole picture, with the networks that ship."""

import numpy as np
import pytest

from tratto.imaging.tiling import TileJob, TileSpec, run_tiled
from tratto.providers.catalogue import open_provider


def run(restorer, picture, tile):
    info = restorer.info
    h, w = picture.shape[:2]
    out = np.zeros((h * info.scale, w * info.scale, 3), np.float32)

    def write(y0, rows):
        out[y0 : y0 + rows.shape[0]] = rows

    job = TileJob(
        lambda y0, y1, x0, x1: picture[y0:y1, x0:x1],
        lambda t: restorer.restore(t).image,
        write,
        lambda d, t: None,
    )
    run_tiled(h, w, TileSpec(tile, info.overlap, info.multiple, info.scale, 3, info.border), job)
    return np.clip(out, 0, 1)


@pytest.mark.parametrize(
    ("name", "scale", "side"),
    [("tratto", 1, 320), ("tratto", 2, 170), ("tratto", 4, 170), ("span", 2, 170), ("span", 4, 170)],
)
def test_two_tile_sizes_against_untiled(name, scale, side):
    """Largest difference 1/255 anywhere, for a photograph whose lower half is under noise that hides every edge.

    Rows of tiles lie in both halves and across the line between them. The smaller tiles are a quarter larger than twice
    the overlap at least: any smaller would take many times the picture and show nothing more.
    """
    from skimage import data

    restorer = open_provider("restorer", name, scale=scale)
    rng = np.random.default_rng(0)
    picture = data.astronaut()[:side, :side].astype(np.float32) / 255
    picture[side // 2 :] += rng.normal(0, 25 / 255, picture[side // 2 :].shape).astype(np.float32)
    picture = np.clip(picture, 0, 1)
    whole = run(restorer, picture, 2048)
    smaller = 128 if restorer.info.overlap > 36 else 112
    for tile in (280, 300) if restorer.info.overlap > 100 else (smaller, 152):
        assert np.abs(run(restorer, picture, tile) - whole).max() <= 1 / 255
