import cv2
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


def test_copied_texture_gets_the_light_of_its_surroundings():
    """The broad part of a filling is that of the smoothest continuation, its fine part that of what was copied."""
    from tratto.providers.catalogue import open_provider

    y, x = np.mgrid[:96, :96]
    rng = np.random.default_rng(0)
    picture = (0.25 + 0.5 * x / 96)[..., None] + rng.normal(0, 0.04, (96, 96, 1))
    picture = np.repeat(np.clip(picture, 0, 1), 3, axis=2).astype(np.float32)
    hole = (x - 48) ** 2 + (y - 48) ** 2 < 24**2
    blank = np.where(hole[..., None], np.float32(0), picture)
    truth, fills = (0.25 + 0.5 * x / 96)[hole], {}
    for name in ("patch", "mixed", "plate"):
        fills[name] = open_provider("inpainter", name).fill(blank, hole, 1).image
        np.testing.assert_array_equal(fills[name][~hole], picture[~hole])
    wrong = {n: float(np.abs(cv2.GaussianBlur(f, (0, 0), 6).mean(2)[hole] - truth).mean()) for n, f in fills.items()}
    assert wrong["mixed"] < wrong["patch"]
    fine = {n: float((f - cv2.GaussianBlur(f, (0, 0), 2))[hole].std()) for n, f in fills.items()}
    assert fine["mixed"] > 0.8 * fine["patch"] > 2 * fine["plate"]
