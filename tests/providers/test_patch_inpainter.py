import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.imaging.fill import plate_fill
from tratto.providers.inpainter.patch import PatchSettings, _halved, patch_fill


def stripes(h=72, w=80, period=6):
    x = np.arange(w)
    row = ((x // (period // 2)) % 2).astype(np.float32)
    return np.repeat(np.tile(0.2 + 0.6 * row, (h, 1))[..., None], 3, axis=2).astype(np.float32)


def middle(h=72, w=80, half=11):
    hole = np.zeros((h, w), bool)
    hole[h // 2 - half : h // 2 + half, w // 2 - half : w // 2 + half] = True
    return hole


def test_periodic_texture_is_continued():
    picture, hole = stripes(), middle()
    done = patch_fill(np.where(hole[..., None], np.float32(0), picture), hole, 1)
    error = np.abs(done - picture)[hole].mean()
    smooth = np.abs(plate_fill(picture, hole) - picture)[hole].mean()
    assert error < 0.06
    assert error < 0.4 * smooth


def test_a_flat_picture_stays_flat():
    picture = np.full((60, 64, 3), 0.37, np.float32)
    hole = middle(60, 64, 9)
    np.testing.assert_allclose(patch_fill(np.where(hole[..., None], 0, picture), hole, 0), picture, atol=1e-6)


def test_texture_keeps_its_contrast():
    rng = np.random.default_rng(0)
    picture = np.repeat(rng.uniform(0.2, 0.8, (80, 90, 1)).astype(np.float32), 3, axis=2)
    hole = middle(80, 90, 12)
    done = patch_fill(np.where(hole[..., None], 0, picture), hole, 0)
    assert done[hole].std() > 0.5 * picture[~hole].std()


def test_any_number_of_channels_and_any_size():
    for h, w, c in ((41, 53, 1), (64, 47, 4), (150, 33, 3)):
        rng = np.random.default_rng(h)
        picture = rng.uniform(0, 1, (h, w, c)).astype(np.float32)
        hole = middle(h, w, 5)
        done = patch_fill(picture, hole, 2)
        assert done.shape == picture.shape
        np.testing.assert_array_equal(done[~hole], picture[~hole])
        assert np.isfinite(done).all()


def test_hole_at_the_corner_and_hardly_anything_known():
    picture = stripes()
    hole = np.zeros(picture.shape[:2], bool)
    hole[:30, :30] = True
    assert np.isfinite(patch_fill(picture, hole, 0)).all()
    hole[:] = True
    hole[:3] = False  # no whole patch is known: smooth filling
    done = patch_fill(picture, hole, 0)
    assert done.min() >= 0.19
    assert done.max() <= 0.81


def test_halving_averages_what_is_known():
    picture = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    hole = np.zeros((4, 4), bool)
    hole[0, 0] = hole[0, 1] = hole[1, 0] = True
    hole[2, 2] = True
    small, marks = _halved(picture, hole)
    np.testing.assert_array_equal(marks, [[True, False], [False, False]])
    np.testing.assert_allclose(small[1, 0, 0], np.mean([8, 9, 12, 13]))
    np.testing.assert_allclose(small[1, 1, 0], np.mean([11, 14, 15]))


def test_settings_are_checked():
    with pytest.raises(OptionError, match="at least 1"):
        PatchSettings(turns=0)
