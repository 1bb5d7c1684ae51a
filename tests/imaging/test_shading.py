import numpy as np

from tratto.imaging.shading import KNEE, blur, calm, encoded, log_noise, masked_blur, shoulder, trusted


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
