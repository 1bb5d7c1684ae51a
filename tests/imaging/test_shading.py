import numpy as np
import pytest

from tratto.imaging.shading import (
    KNEE,
    blur,
    calm,
    encoded,
    knee_for,
    log_noise,
    masked_blur,
    per_channel,
    shoulder,
    thrice,
    trusted,
    unburnt,
)


def test_the_shoulder_keeps_what_fits_and_never_clips():
    x = np.linspace(0, 3, 2001).astype(np.float32)
    y = shoulder(x)
    np.testing.assert_array_equal(y[x <= KNEE], x[x <= KNEE])
    assert (np.diff(y[x < 1.5]) > 0).all()
    assert y.max() <= 1


def test_masked_blur_ignores_what_has_no_weight():
    values = np.zeros((21, 21, 3), np.float32)
    values[:, :10] = 0.25
    values[:, 10:] = 9.0
    weight = np.zeros((21, 21), np.float32)
    weight[:, :10] = 1
    mean, support = masked_blur(values, weight, 2.0)
    np.testing.assert_allclose(mean[:, :13], 0.25, atol=1e-5)
    assert support[10, 20] < 1e-6
    one = blur(np.ones((5, 5, 1), np.float32), 1.0)
    assert one.shape == (5, 5, 1)


def test_noise_in_the_logarithm_is_the_derivative():
    level = np.array([0.02, 0.2, 0.7])
    step = 1e-5
    v = encoded(level)
    linear = lambda e: np.where(e <= 0.04045, e / 12.92, ((e + 0.055) / 1.055) ** 2.4)  # noqa: E731
    want = (np.log(linear(v + step)) - np.log(linear(v - step))) / 2
    np.testing.assert_allclose(log_noise(level, step), want, rtol=1e-3)


def test_calming_takes_noise_and_keeps_an_edge():
    rng = np.random.default_rng(1)
    truth = np.ones((80, 80, 3), np.float32)
    truth[:, 40:] = 2.0
    sigma = np.array([0.08, 0.05, 0.05])
    noisy = (truth * np.exp(rng.normal(0, 1, truth.shape) * sigma)).astype(np.float32)
    done = calm(noisy, np.ones((80, 80), np.float32), sigma, np.full(3, 0.2))
    flat = (slice(None), slice(5, 30))
    assert np.log(done[flat]).std() < 0.45 * np.log(noisy[flat]).std()
    step = np.log(done[:, 42:46]).mean() - np.log(done[:, 34:38]).mean()
    np.testing.assert_allclose(step, np.log(2), atol=0.03)


def test_calming_with_all_kept_changes_nothing():
    rng = np.random.default_rng(2)
    light = rng.uniform(0.5, 2, (20, 20, 3)).astype(np.float32)
    done = calm(light, np.ones((20, 20), np.float32), np.full(3, 0.1), np.ones(3))
    np.testing.assert_allclose(done, light, rtol=2e-5)


def test_a_channel_the_paint_does_not_reflect_says_nothing_of_the_light():
    old = np.array([0.4, 0.3, 0.0005], np.float32)
    light = np.ones((8, 8, 3), np.float32)
    light[:4] = 2.0
    light[..., 2] = 30.0  # what a clipped channel may claim
    done = trusted(light, old)
    np.testing.assert_allclose(done[..., 2], light[..., 0], rtol=0.03)
    np.testing.assert_allclose(done[..., :2], light[..., :2], rtol=0.02)
    same = np.random.default_rng(0).uniform(0.5, 2, (4, 4, 3)).astype(np.float32)
    assert trusted(same, np.array([0.5, 0.4, 0.3], np.float32)) is same


def test_the_knee_lies_above_the_mean_of_a_white_wall():
    assert knee_for(np.array([0.2, 0.3, 0.1])) == pytest.approx(0.88)
    assert knee_for(np.array([0.9, 0.88, 0.8])) == pytest.approx(0.95)
    assert knee_for(np.array([1.0, 1.0, 1.0])) == pytest.approx(0.99)
    x = np.linspace(0, 3, 301).astype(np.float32)
    bent = shoulder(x, 0.95)
    np.testing.assert_array_equal(bent[x <= 0.95], x[x <= 0.95])
    assert bent.max() <= 1
    assert (np.diff(bent) >= 0).all()


def test_burnt_channels_get_the_light_that_the_others_show():
    old = np.array([0.5, 0.25, 0.1], np.float32)
    true = np.array([[[0.8] * 3, [2.4] * 3, [6.0] * 3, [40.0] * 3]], np.float32)
    picture = np.minimum(old * true, 1).astype(np.float32)
    most = unburnt(picture / old, picture, True)
    np.testing.assert_allclose(most[0, :2], true[0, :2], rtol=1e-5)  # red burnt out, the others tell
    np.testing.assert_allclose(most[0, 2], 6.0, rtol=1e-5)
    np.testing.assert_allclose(most[0, 3], 10.0, rtol=1e-5)  # all burnt out: at least as much as blue shows
    even = unburnt(picture / old, picture, False)
    y = np.array([0.2126, 0.7152, 0.0722])
    np.testing.assert_allclose(even[0, 3], y.sum() / (y @ old), rtol=1e-4)
    assert np.ptp(even[0, 3]) < 1e-5  # no colour of its own


def test_what_is_not_burnt_is_not_touched():
    light = np.full((3, 4, 3), 0.7, np.float32)
    assert unburnt(light, light * np.float32(0.9), True) is light


def test_planes_laid_out_calculate_as_stretched_ones():
    rng = np.random.default_rng(4)
    picture, plane = rng.random((5, 7, 3), np.float32), rng.random((5, 7), np.float32)
    np.testing.assert_array_equal(picture * thrice(plane), picture * plane[..., None])
    three = np.array([0.3, 0.5, 0.7], np.float32)
    rows = picture.reshape(5, -1) * per_channel(picture.shape, three)
    np.testing.assert_array_equal(rows.reshape(5, 7, 3), picture * three)
