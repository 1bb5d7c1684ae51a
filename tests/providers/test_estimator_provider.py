from dataclasses import replace

import numpy as np
import pytest

from tratto.core.capability import ModelRef
from tratto.core.errors import UnavailableError
from tratto.core.image import ColorMode, Image
from tratto.core.inspection import Estimate, Inspection, Opinion, Trait
from tratto.imaging.estimate import SPECTRUM_SIZE, inspect_image, rgb_windows
from tratto.jobs.replaying import _inspection_of
from tratto.providers.catalogue import availability, open_provider
from tratto.providers.estimator import NetworkEstimator, unsuited, with_opinion
from tratto_lab.simulate.degrade import gaussian_noise, grain_noise, jpeg, quantize


class Fake:
    """Answers what it was made with, and keeps what it was shown."""

    library, precision, model = "fake 1", "fp32", ModelRef("fake", "ab" * 32, "CC0-1.0")

    def __init__(self, noise=9.0):
        self.noise, self.shown = noise, []

    def run(self, inputs):
        (x,) = inputs.values()
        self.shown.append(x)
        traits = np.array([self.noise, 1.25, 0.5], np.float32).reshape(1, 3, 1, 1)
        return {"traits": traits, "errors": np.ones((1, 3, 1, 1), np.float32)}


class Card:
    input, output, sigma_output = "spectrum", "traits", "errors"


def grey(h, w, bits=8):
    rng = np.random.default_rng(0)
    return Image(
        rng.integers(0, 2**bits, (h, w)).astype(np.uint8 if bits == 8 else np.uint16),
        ColorMode.GRAY,
    )


def test_the_network_is_shown_the_spectrum_and_what_was_read():
    fake = Fake()
    image = grey(200, 300)
    seen = replace(inspect_image(image), jpeg_quality=Estimate(60.0, "estimated"))
    found = NetworkEstimator(Card, fake).opinion(image, seen)
    assert fake.shown[0].shape == (1, SPECTRUM_SIZE, 1, 1)
    np.testing.assert_allclose(fake.shown[0][0, -2:, 0, 0], [1, 0.4], atol=1e-6)
    assert found == Opinion(Trait(9.0, 1.0), Trait(1.25, 1.0), Trait(0.5, 1.0), "fake abababababab")
    assert NetworkEstimator(Card, Fake(noise=2.0)).opinion(image, inspect_image(image)).grain is None


def test_windows_have_three_channels_of_any_picture():
    assert [w.shape for w in rgb_windows(grey(40, 33))] == [(40, 33, 3)]
    deep = Image(np.full((40, 40, 3), 65535, np.uint16), ColorMode.RGB, 16)
    assert rgb_windows(deep)[0].max() == 1
    assert len(rgb_windows(grey(2000, 2000))) == 16


def test_what_it_was_never_shown_is_not_judged():
    ink = Image(np.zeros((64, 64, 4), np.uint8), ColorMode.CMYK)
    assert "inks" in unsuited(ink)
    assert "too small" in unsuited(grey(47, 400))
    assert unsuited(grey(48, 48)) == ""
    seen = inspect_image(ink)
    with pytest.raises(UnavailableError, match="no second opinion"):
        NetworkEstimator(Card, Fake()).opinion(ink, seen)
    assert with_opinion(ink, seen, lambda: NetworkEstimator(Card, Fake())) is seen


def test_an_inspection_with_an_opinion_survives_its_receipt():
    seen = inspect_image(grey(64, 64))
    assert "opinion" not in seen.to_json()
    for grain in (None, Trait(1.5, 0.2)):
        said = Inspection(**{**vars(seen), "opinion": Opinion(Trait(8.0, 1.0), grain, Trait(0.0, 0.1), "m 0123")})
        assert _inspection_of({"inspection": said.to_json()}) == said
    assert _inspection_of({"inspection": seen.to_json()}) == seen


def scene(seed=0, side=320):
    """Shapes with soft and sharp edges, and a little texture: what a photograph has."""
    import cv2

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    picture = np.stack([0.3 + 0.4 * x, 0.5 + 0.2 * np.sin(5 * y), 0.6 - 0.3 * x * y], 2)
    for _ in range(12):
        at, radius = rng.integers(0, side, 2).tolist(), int(rng.integers(10, 60))
        cv2.circle(picture, at, radius, rng.uniform(0.1, 0.9, 3).tolist(), -1, cv2.LINE_AA)
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 0.6), 0, 1).astype(np.float32)


@pytest.mark.skipif(not availability("estimator")[0].available, reason="the estimator's weights are not here")
@pytest.mark.parametrize(
    ("degrade", "noise", "grain", "off"),
    [
        (lambda p, r: p, 0.0, None, 1.5),
        (lambda p, r: gaussian_noise(p, 15, r), 15.0, 0.0, 2.0),
        (lambda p, r: grain_noise(p, 12, 1.3, r, True), 12.0, 1.3, 3.5),
        (lambda p, r: jpeg(quantize(gaussian_noise(p, 20, r)), 70), 20.0, 0.0, 5.0),
    ],
)
def test_the_network_that_ships_reads_noise_grain_and_noise_under_jpeg(degrade, noise, grain, off):
    picture = quantize(degrade(scene(), np.random.default_rng(1)))
    image = Image(np.rint(picture * 255).astype(np.uint8), ColorMode.RGB)
    said = with_opinion(image, inspect_image(image), lambda: open_provider("estimator")).opinion
    assert said is not None
    assert said.noise.value == pytest.approx(noise, abs=off)
    if grain is None:
        assert said.grain is None
    else:
        assert said.grain.value == pytest.approx(grain, abs=0.4)
