import numpy as np
import pytest

from tratto.core.errors import MissingExtra, OptionError
from tratto_lab.evaluation import features


@pytest.fixture(scope="module")
def distance():
    if not features.features_available():
        pytest.skip("the packages of the feature distance are not installed")
    return features.FeatureDistance()


def picture():
    from skimage import data

    return data.astronaut()[100:228, 150:310].astype(np.float32) / 255


def test_equal_pictures_have_no_distance_and_it_is_symmetric(distance):
    a = picture()
    b = np.clip(a + np.random.default_rng(0).normal(0, 0.1, a.shape), 0, 1).astype(np.float32)
    assert distance(a, a) == 0
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-5)
    assert 0 < distance(a, b) < 4


def test_more_blur_and_more_noise_are_farther(distance):
    import cv2

    a = picture()
    blurs = [distance(a, cv2.GaussianBlur(a, (0, 0), s)) for s in (0.6, 1.2, 2.4)]
    rng = np.random.default_rng(1)
    noises = [distance(a, (a + rng.normal(0, s, a.shape)).astype(np.float32)) for s in (0.02, 0.08, 0.3)]
    assert blurs == sorted(blurs)
    assert noises == sorted(noises)


def test_a_blur_is_farther_than_a_shade_of_equal_error(distance):
    # what squared error calls equal, a person does not
    import cv2

    a = picture() * 0.8
    blurred = cv2.GaussianBlur(a, (0, 0), 2.0)
    shade = a + np.float32(np.sqrt(np.square(blurred - a).mean()))
    assert distance(a, blurred) > 2 * distance(a, shade)


def test_other_shapes_are_refused(distance):
    with pytest.raises(OptionError, match="one size"):
        distance(np.zeros((64, 64, 3), np.float32), np.zeros((64, 65, 3), np.float32))
    with pytest.raises(OptionError, match="at least 32"):
        distance(np.zeros((16, 64, 3), np.float32), np.zeros((16, 64, 3), np.float32))


def test_without_its_packages_it_says_so(monkeypatch):
    monkeypatch.setattr(features, "features_available", lambda: False)
    with pytest.raises(MissingExtra, match="bench"):
        features.FeatureDistance()
