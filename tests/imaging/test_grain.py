import cv2
import numpy as np
import pytest

import tratto
from tratto.core.image import ColorMode
from tratto.imaging.grain import bands, grain_curve, grain_like, missing_grain, white, windows_of


def print_with_grain(height, width, size, strength=5.0, seed=0, shade=0.0):
    """A smooth picture under grain of so many pixels and 1/255; ``shade`` makes it stronger where it is bright."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0.25, 0.7, width, dtype=np.float32)[None, :, None]
    noise = rng.standard_normal((height, width, 3)).astype(np.float32)
    noise = 0.6 * noise.mean(axis=2, keepdims=True) * np.sqrt(3) + 0.4 * noise
    noise = cv2.GaussianBlur(noise, (0, 0), size) if size else noise
    noise *= strength / 255 / noise.std()
    levels = np.clip(np.broadcast_to(ramp, noise.shape) + noise * (1 + shade * (ramp - 0.475)), 0, 1)
    return np.rint(levels * 255).astype(np.uint8)


def deviation(values):
    return float(np.median(np.abs(values - np.median(values))) / 0.6745)


@pytest.mark.parametrize("size", [0, 1.0, 3.0])
def test_fillings_have_the_grain_around_them(size):
    picture = print_with_grain(240, 320, size)
    hole = np.zeros((240, 320), bool)
    hole[100:112, 40:280] = True
    hole[30:70, 150:170] = True
    near = cv2.dilate(hole.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    plain = tratto.repair(picture, mask=hole, method="plate", fill_grain="none")
    done = tratto.repair(picture, mask=hole, method="plate")
    for band, smooth in zip(
        bands(done.image.pixels.astype(np.float32))[:2], bands(plain.image.pixels.astype(np.float32))[:2], strict=True
    ):
        around = deviation(band[near & ~hole])
        assert deviation(smooth[hole]) < 0.7 * around
        assert 0.8 < deviation(band[hole]) / around < 1.25
    high = bands(done.image.pixels.astype(np.float32))[0]
    inside, ring = np.corrcoef(high[hole].T), np.corrcoef(high[near & ~hole].T)
    assert np.abs(inside - ring).max() < 0.2
    np.testing.assert_array_equal(done.image.pixels[~hole], picture[~hole])
    assert done.receipt["steps"][0]["params"]["grain"] == "match"
    assert done.receipt["steps"][0]["scores"]["grain_sigma"] > 0.5
    # the noise that was put in is part of the stated error
    assert (done.confidence[hole] <= plain.confidence[hole]).all()
    assert (done.confidence[hole] < plain.confidence[hole]).mean() > 0.9


def test_grain_is_seeded_and_the_same_again():
    picture = print_with_grain(120, 160, 1.0)
    hole = np.zeros((120, 160), bool)
    hole[50:62, 30:130] = True
    one, same, other = (tratto.repair(picture, mask=hole, method="plate", seed=s).image.pixels for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_grain_follows_brightness():
    picture = print_with_grain(240, 320, 0.8, shade=3.0)
    hole = np.zeros((240, 320), bool)
    hole[100:112] = True
    high = bands(tratto.repair(picture, mask=hole, method="plate").image.pixels.astype(np.float32))[0]
    dark, bright = (slice(100, 112), slice(0, 80)), (slice(100, 112), slice(240, 320))
    ring = slice(80, 100)
    wanted = deviation(high[ring, 240:320]) / deviation(high[ring, :80])
    assert deviation(high[bright]) / deviation(high[dark]) == pytest.approx(wanted, rel=0.3)


def test_a_clean_picture_and_detail_get_no_grain():
    y, x = np.mgrid[0:160, 0:200]
    smooth = np.rint(np.stack([120 + 40 * np.sin(x / 30), 100 + 0.2 * y, 90 + 0.1 * x], axis=2)).astype(np.uint8)
    hole = np.zeros((160, 200), bool)
    hole[70:80, 20:180] = True
    plain = tratto.repair(smooth, mask=hole, method="plate", fill_grain="none").image.pixels
    done = tratto.repair(smooth, mask=hole, method="plate").image.pixels
    assert np.abs(done.astype(int) - plain).max() <= 2
    leaves = (np.random.default_rng(0).integers(0, 2, (160, 200, 1)) * 160 + 40).repeat(3, 2).astype(np.uint8)
    plain = tratto.repair(leaves, mask=hole, method="plate", fill_grain="none").image.pixels
    done = tratto.repair(leaves, mask=hole, method="plate").image.pixels
    assert np.abs(done.astype(int) - plain).max() <= 2


@pytest.mark.parametrize("mode", ["grey", "deep", "inks"])
def test_every_kind_of_picture(mode):
    picture = print_with_grain(120, 160, 1.0)
    if mode == "grey":
        picture = picture[..., 0]
    elif mode == "deep":
        picture = picture.astype(np.uint16) * 257
    else:
        picture = tratto.Image(np.concatenate([picture, picture[..., :1] // 2], axis=2), ColorMode.CMYK)
    hole = np.zeros((120, 160), bool)
    hole[50:62, 30:130] = True
    done = tratto.repair(picture, mask=hole, method="plate").image.pixels
    full = 255 * (257 if mode == "deep" else 1)
    high = bands(np.atleast_3d(done).astype(np.float32) / full)[0]
    around = high[30:45, 30:130]
    assert 0.75 < deviation(high[hole]) / deviation(around) < 1.3


def test_white_noise_is_the_same_in_every_window():
    whole = white((0, 600, 0, 700), 2, 3)
    np.testing.assert_array_equal(white((200, 300, 250, 520), 2, 3), whole[200:300, 250:520])
    assert whole.std() == pytest.approx(1, abs=0.01)


def test_made_grain_has_spectrum_and_covariance():
    rng = np.random.default_rng(1)
    grain = cv2.GaussianBlur(rng.standard_normal((200, 240, 3)).astype(np.float32), (0, 0), 2.0)
    grain[..., 1] = 0.8 * grain[..., 0] + 0.6 * grain[..., 1]
    made = grain_like(grain, np.ones((200, 240), bool), white((0, 200, 0, 240), 3, 0))
    np.testing.assert_allclose(np.cov(made.reshape(-1, 3).T), np.cov(grain.reshape(-1, 3).T), atol=0.15 * grain.var())
    for shift in (1, 2, 4):
        want = (grain[:, shift:, 0] * grain[:, :-shift, 0]).mean() / grain[..., 0].var()
        got = (made[:, shift:, 0] * made[:, :-shift, 0]).mean() / made[..., 0].var()
        assert got == pytest.approx(want, abs=0.12)


def test_too_little_around_gives_nothing():
    planes = np.full((20, 20, 3), 0.5, np.float32)
    assert grain_curve(planes, np.ones((20, 20), bool), 1.0) is None
    curve = grain_curve(
        np.random.default_rng(0).uniform(0, 1, (128, 128, 3)).astype(np.float32), np.zeros((128, 128), bool), 1
    )
    assert not missing_grain(planes, np.ones((20, 20), bool), curve, (0, 20, 0, 20), 0).any()


def test_windows_hold_all_of_a_hole_once():
    hole = np.random.default_rng(0).uniform(0, 1, (600, 500)) > 0.999
    seen = np.zeros(hole.shape, int)
    for (y0, y1, x0, x1), (a, b, c, d) in windows_of(hole):
        assert a <= y0 < y1 <= b
        assert c <= x0 < x1 <= d
        seen[y0:y1, x0:x1] += 1
    assert (seen[hole] == 1).all()


def test_texture_is_not_taken_for_grain():
    """Half of the picture is calm, half strong coloured stripes; its noise is half a level."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[0:256, 0:320]
    stripes = np.sign(np.sin(x / 1.7 + 3 * np.sin(y / 31)))[..., None] * np.array([30, 12, 5])
    picture = 120 + stripes * (x > 160)[..., None] + rng.normal(0, 0.6, (256, 320, 3))
    picture = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    hole = np.hypot(y - 128, x - 165) < 22
    done = tratto.repair(picture, mask=hole)
    assert done.receipt["steps"][0]["scores"].get("grain_sigma", 0.0) < 2


def test_how_much_may_be_grain_does_not_shrink_in_an_enlarged_print():
    """Stripes of detail at every brightness; the limit is a multiple of what the calmest blocks have."""
    rng = np.random.default_rng(4)
    grain = cv2.GaussianBlur(rng.standard_normal((240, 320)).astype(np.float32), (0, 0), 0.7)
    grain *= 5 / grain.std()
    detail = 30 * np.sign(np.sin(np.arange(320) / 2.0)) * (np.arange(240)[:, None] % 120 < 66)
    shares = []
    for scale in (1, 4):
        size = (320 * scale, 240 * scale)
        noise = cv2.resize(grain, size, interpolation=cv2.INTER_LANCZOS4)
        light = np.linspace(70, 180, 320 * scale)[None] + noise + cv2.resize(detail, size)
        picture = np.clip(np.rint(light), 0, 255).astype(np.uint8)[..., None].repeat(3, 2)
        limits = grain_curve(picture, np.zeros(picture.shape[:2], bool), 255.0).limits
        there = [float(band.std()) for band in bands(noise[..., None])[:2]]
        shares.append(255 * limits.mean(axis=(0, 2)) / there)
    assert (shares[1] > 0.9 * shares[0]).all(), shares
    assert (shares[1] < 1.2 * shares[0]).all(), shares
