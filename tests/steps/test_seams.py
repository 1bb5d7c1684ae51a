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
    run_tiled(h, w, TileSpec(tile, info.overlap, info.multiple, info.scale, 3), job)
    return np.clip(out, 0, 1)


@pytest.mark.parametrize(("scale", "side"), [(1, 400), (2, 240), (4, 240)])
def test_three_tile_sizes_against_untiled(scale, side):
    """Largest difference 1/255 anywhere, for noise that hides every edge and for a photograph."""
    from skimage import data

    restorer = open_provider("restorer", "tratto", scale=scale)
    rng = np.random.default_rng(0)
    photo = data.astronaut()[:side, :side].astype(np.float32) / 255
    noisy = np.clip(photo + rng.normal(0, 25 / 255, photo.shape), 0, 1).astype(np.float32)
    for picture in (photo, noisy):
        whole = run(restorer, picture, 2048)
        for tile in (240, 280, 320):
            assert np.abs(run(restorer, picture, tile) - whole).max() <= 1 / 255
