import numpy as np
import pytest

from tratto.core.capability import ModelRef
from tratto.core.errors import UnavailableError
from tratto.core.image import ColorMode, Image
from tratto.providers import estimator
from tratto.providers.estimator import crops, opinion, unsuited


class Fake:
    """Answers noise = 255 x the crop's deviation, and keeps what it was shown."""

    library, precision, model = "fake 1", "fp32", ModelRef("fake", "0" * 64, "CC0-1.0")

    def __init__(self):
        self.shown = []

    def run(self, inputs):
        (x,) = inputs.values()
        self.shown.append(x)
        traits = np.array([255 * x.std(), 0, 0], np.float32).reshape(1, 3, 1, 1)
        return {"traits": traits, "errors": np.ones((1, 3, 1, 1), np.float32)}


class Card:
    input, output, sigma_output = "image", "traits", "errors"


def grey(h, w, bits=8):
    rng = np.random.default_rng(0)
    top = 2**bits - 1
    return Image(
        rng.integers(0, top + 1, (h, w, 1)).astype(np.uint8 if bits == 8 else np.uint16)[..., 0], ColorMode.GRAY
    )


@pytest.mark.parametrize(
    ("h", "w", "count", "side"), [(40, 33, 1, (40, 32)), (128, 256, 2, (128, 128)), (1000, 1000, 24, (128, 128))]
)
def test_crops_cover_the_picture_within_its_sides(h, w, count, side):
    cut = crops(grey(h, w))
    assert len(cut) == count
    assert all(c.shape == (*side, 3) and c.dtype == np.float32 for c in cut)
    assert all(s % 8 == 0 for s in side)


def test_large_pictures_are_shown_in_at_most_32_crops():
    assert 16 <= len(crops(grey(3000, 2500))) <= 32


def test_the_median_counts(monkeypatch):
    monkeypatch.setattr(estimator, "get_card", lambda name: Card)
    pixels = np.full((128, 384, 3), 100, np.uint8)
    pixels[:, :128] = np.random.default_rng(0).integers(0, 256, (128, 128, 3))
    fake = Fake()
    found = opinion(Image(pixels, ColorMode.RGB), fake)
    assert found.crops == len(fake.shown) == 3
    assert found.noise.value == 0
    assert found.noise.error == 1
    assert found.to_json()["model"]["id"] == "fake"


def test_what_it_was_never_shown_is_not_judged():
    ink = Image(np.zeros((64, 64, 4), np.uint8), ColorMode.CMYK)
    assert "inks" in unsuited(ink)
    assert "too small" in unsuited(grey(31, 400))
    assert unsuited(grey(32, 32)) == ""
    with pytest.raises(UnavailableError, match="no second opinion"):
        opinion(ink, Fake())
