import numpy as np

from tratto.imaging.pattern import Pattern, find_pattern, light_field, without_pattern

A = np.array([0.5, 0.42, 0.25], np.float32)
B = np.array([0.2, 0.16, 0.22], np.float32)


def wall(seed=0):
    """Stripes of two colours under light that falls off, with a little noise."""
    y, x = np.mgrid[0:120, 0:160]
    stripe = (x // 9 % 2 == 1) | (y // 15 % 4 == 3)
    light = (0.5 + 0.8 * np.exp(-((x - 40) ** 2 + (y - 30) ** 2) / 6000))[..., None]
    paint = np.where(stripe[..., None], B, A)
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.01, paint.shape))
    return (paint * light * noise).astype(np.float32), light.astype(np.float32)


def test_two_colours_are_found_and_taken_off():
    picture, light = wall()
    weight = np.ones(picture.shape[:2], np.float32)
    logs = np.log(picture)
    paints = find_pattern(logs, weight, asked=False)
    assert paints is not None
    assert len(paints) == 2
    ratio = np.abs(paints[1])
    np.testing.assert_allclose(ratio, np.abs(np.log(B / A)), atol=0.04)
    pattern = Pattern(paints, light_field(logs, weight, paints), 1)
    plain = without_pattern(picture, weight, pattern, (0, 0))
    off = np.log(plain / light)
    assert (off - off.mean(axis=(0, 1))).std() < 0.08
    assert np.log(picture / light).std() > 0.3


def test_a_shadow_and_noise_are_no_pattern():
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:120, 0:160]
    light = np.where(x + 0.4 * y > 90, 1.0, 0.3)[..., None] * np.array([1.0, 0.95, 0.85])
    picture = (A * light * np.exp(rng.normal(0, 0.05, (120, 160, 3)))).astype(np.float32)
    weight = np.ones((120, 160), np.float32)
    assert find_pattern(np.log(picture), weight, asked=False) is None
    assert find_pattern(np.log(picture), np.zeros_like(weight), asked=True) is None


def test_brightness_alone_is_a_pattern_only_when_asked():
    y, x = np.mgrid[0:120, 0:160]
    picture = (A * np.where((x // 8 + y // 8) % 2, 1.0, 0.6)[..., None]).astype(np.float32)
    weight = np.ones((120, 160), np.float32)
    assert find_pattern(np.log(picture), weight, asked=False) is None
    paints = find_pattern(np.log(picture), weight, asked=True)
    assert paints is not None
    np.testing.assert_allclose(np.abs(paints[1]), np.log(1 / 0.6), atol=0.05)
