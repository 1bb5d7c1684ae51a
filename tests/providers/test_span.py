"""SPAN as a provider: what it makes of photographs, and that nonsense never comes out."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from tratto.core.capability import Use
from tratto.core.errors import MissingWeights
from tratto.imaging.resample import enlarge_rows, shrink
from tratto.models.store import get_card
from tratto.providers.catalogue import Request, open_provider
from tratto.providers.restorer import span
from tratto_lab.evaluation.metrics import psnr


def photo(side=192):
    from skimage import data

    # at half size, where the grain of the film is gone: nobody can foresee grain
    whole = data.astronaut()[: 2 * side, 100 : 100 + 2 * side].astype(np.float32) / 255
    return np.round(np.clip(shrink(whole, 2), 0, 1) * 255).astype(np.float32) / 255


def small(scale):
    return np.round(np.clip(shrink(photo(), scale), 0, 1) * 255).astype(np.float32) / 255


def page(side=64):
    """Black letters' strokes on white, without smoothing."""
    y, x = np.mgrid[0:side, 0:side]
    ink = ((x % 7 == 2) & (y % 9 < 6)) | ((y % 9 == 3) & (x % 7 < 5))
    return np.repeat((~ink)[..., None], 3, 2).astype(np.float32)


@pytest.mark.parametrize(("scale", "ahead"), [(2, 2.0), (4, 1.0)])
def test_a_photograph_comes_out_closer_than_by_interpolation(scale, ahead):
    source = small(scale)
    out = open_provider("restorer", "span", scale=scale).restore(source)
    plain = enlarge_rows(source, 0, 192, scale, "bicubic")
    found, floor = (psnr(np.clip(p, 0, 1), photo(), border=scale) for p in (out.image, plain))
    assert found > floor + ahead
    error = np.sqrt(np.square(np.clip(out.image, 0, 1) - photo()).mean(2))
    assert 0.5 < (error <= out.sigma).mean() < 0.85


@pytest.mark.parametrize("scale", [2, 4])
def test_on_photographs_the_check_changes_nothing(scale):
    restorer, source = open_provider("restorer", "span", scale=scale), small(scale)
    bare = restorer._network.restore(source)
    assert not span.trouble(source, bare.image, scale).any()
    np.testing.assert_array_equal(restorer.restore(source).image, bare.image)


@pytest.mark.parametrize("scale", [2, 4])
def test_hard_edges_go_to_the_stand_in(scale):
    restorer, source = open_provider("restorer", "span", scale=scale), page()
    bare = restorer._network.restore(source).image
    # why there is a check: of the page nothing is left, by more than a quarter of full scale on the average
    assert np.abs(shrink(np.clip(bare, 0, 1), scale) - source).mean() > 0.15
    out, own = restorer.restore(source), open_provider("restorer", "tratto", scale=scale).restore(source)
    assert np.abs(shrink(np.clip(out.image, 0, 1), scale) - source).mean() < 0.1
    middle = slice(16 * scale, 48 * scale)
    np.testing.assert_allclose(out.image[middle, middle], own.image[middle, middle], atol=0.02)
    np.testing.assert_allclose(out.sigma[middle, middle], own.sigma[middle, middle], rtol=0.2)


def test_between_them_the_two_are_blended_and_their_difference_is_in_the_error():
    picture = small(2)
    picture[:48] = page(96)[:48]
    restorer = open_provider("restorer", "span", scale=2)
    bare = restorer._network.restore(picture)
    share = span.trouble(picture, bare.image, 2)
    assert share[:30].min() == 1
    assert share[80:].max() == 0
    out = restorer.restore(picture)
    assert out.image.dtype == out.sigma.dtype == np.float32
    np.testing.assert_array_equal(out.image[170:], np.clip(bare.image[170:], 0, 1))
    np.testing.assert_allclose(out.sigma[170:], bare.sigma[170:], rtol=1e-5)


def test_trouble_spreads_two_pixels_and_fades_over_two_more():
    flat = np.full((21, 21, 3), 0.5, np.float32)
    wrong = np.repeat(np.repeat(flat, 2, 0), 2, 1)
    wrong[20:22, 20:22] = 1.0
    share = span.trouble(flat, wrong, 2)
    assert share[10, 10] == 1
    assert share[10, 10 + 6 + 1 :].max() == 0
    assert 0 < share[10, 13] < 1
    assert not span.trouble(flat, np.repeat(np.repeat(flat, 2, 0), 2, 1), 2).any()


def test_both_networks_are_in_the_account():
    models = open_provider("restorer", "span", scale=2).info.models
    assert [m.id for m in models] == ["span-x2", "tratto-restore-x2"]
    assert [m.sha256 for m in models] == [get_card(m.id).sha256 for m in models]


@pytest.mark.parametrize("gone", ["span-x4", "tratto-restore-x4"])
def test_it_needs_both(monkeypatch, gone):
    def lacking(request, card_id, runtime=""):
        return MissingWeights("gone; run: x") if card_id == gone else None

    monkeypatch.setattr(span, "missing_network", lacking)
    assert isinstance(span.missing(Request(Use("restorer", "span", scale=4))), MissingWeights)
    assert span.missing(Request(Use("restorer", "span", scale=2))) is None


@pytest.mark.parametrize("scale", [2, 4])
def test_the_cards_say_what_the_licence_asks_for(scale):
    card = get_card(span.card_id(scale))
    assert card.licence == "Apache-2.0"
    assert "Cheng Wan" in card.command
    assert "DIV2K" in card.training_data
    assert card.overlap * 3 // 4 >= card.quality["receptive_radius"] + 8
    floor = {2: 37.9, 4: 32.0}[scale]
    assert card.quality[f"set5_x{scale}_psnr"] >= floor
