from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np
import pytest

from tratto.core.capability import Use
from tratto.core.errors import MissingExtra, MissingWeights, OptionError, UnavailableError
from tratto.providers import catalogue
from tratto.providers.catalogue import CATALOGUE, Param, availability, open_provider, row_of, settle
from tratto.providers.restorer import network
from tratto.providers.restorer import tratto as own
from tratto.providers.restorer.realesrgan import card_id as realesrgan_id
from tratto.providers.restorer.waifu2x import card_id as waifu2x_id

RESTORERS = CATALOGUE["restorer"]


def choose(name, scale=1, params=None):
    return settle(Use("restorer", name, params or {}, scale)).provider


def test_auto_never_invents_but_where_filling_is_asked_for():
    for capability, rows in CATALOGUE.items():
        for row in rows.values():
            assert not (row.auto and row.generative) or capability == "inpainter"
    assert [n for n, row in RESTORERS.items() if row.generative] == ["span-sharp", "realesrgan", "maxim"]


def test_every_row_has_its_module_and_every_capability_its_noun():
    assert list(CATALOGUE) == list(catalogue.NOUNS)
    for capability, rows in CATALOGUE.items():
        for name, row in rows.items():
            module = importlib.import_module(row.module)
            assert callable(module.missing)
            assert callable(module.open)
            assert callable(getattr(module, "settle", None)) or not row.settles
            assert row.scales
            assert row_of(Use(capability, name, {}, row.scales[0])) is row


@pytest.mark.parametrize("capability", ["captioner", "structure", "damage", "estimator", "wall", "depth"])
def test_what_ships_of_every_capability_opens_and_says_who_it_is(capability):
    opened = open_provider(capability)
    assert opened.info.provider in CATALOGUE[capability]
    assert opened.info.library
    assert not opened.info.generative


def test_a_capability_or_scorer_that_is_not_there():
    with pytest.raises(OptionError, match="'magic'"):
        settle(Use("magic"))
    with pytest.raises(OptionError, match="named: clip"):
        settle(Use("scorer"))


@pytest.mark.parametrize(
    ("param", "value"),
    [(Param((1, 2)), 3), (Param((1, 2)), True), (Param(high=1), 2), (Param(), "1"), (Param(kind="path"), ""),
     (Param(kind="text"), 3)],
)  # fmt: skip
def test_parameters_are_checked_by_their_row(param, value):
    with pytest.raises(OptionError, match="someone"):
        param.check("someone", "name", value)


AUTO = {1: ("tratto", "nlm"), 2: ("span", "tratto", "bicubic"), 4: ("span", "tratto", "bicubic")}


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_auto_takes_the_first_that_is_ready(monkeypatch, scale):
    modules = [importlib.import_module(RESTORERS[name].module) for name in AUTO[scale]]
    for module in modules:
        monkeypatch.setattr(module, "missing", lambda *a: None)
    for module, name in zip(modules, AUTO[scale], strict=True):
        assert choose("auto", scale) == name
        monkeypatch.setattr(module, "missing", lambda *a: MissingWeights("none"))


def test_auto_with_nothing_ready(monkeypatch):
    for row in RESTORERS.values():
        monkeypatch.setattr(importlib.import_module(row.module), "missing", lambda *a: MissingWeights("none"))
    with pytest.raises(UnavailableError, match="tratto models"):
        choose("auto", 2)


def test_a_name_that_is_not_ready_is_an_error_and_not_another_provider(monkeypatch):
    monkeypatch.setattr(own, "missing", lambda *a: MissingWeights("gone; run: x"))
    with pytest.raises(MissingWeights, match="gone"):
        choose("tratto")
    with pytest.raises(MissingWeights, match="gone"):
        open_provider("restorer", "tratto")


@pytest.mark.parametrize(
    ("name", "scale", "params", "words"),
    [
        ("magic", 1, {}, "no restorer is called 'magic'; choose auto, span, tratto"),
        ("nlm", 2, {}, "nlm works at x1, not at x2; x2 is offered by: span, tratto"),
        ("bicubic", 1, {}, "not at x1"),
        ("bicubic", 5, {}, "offered by: none"),
        ("nlm", 1, {"strength": 3}, "no parameter 'strength'; its parameters: sigma"),
        ("nlm", 1, {"sigma": -1}, "from 0 to 255"),
        ("nlm", 1, {"sigma": 1e99}, "from 0 to 255"),
        ("nlm", 1, {"sigma": float("nan")}, "from 0 to 255"),
        ("nlm", 1, {"sigma": True}, "from 0 to 255"),
        ("nlm", 1, {"sigma": "high"}, "from 0 to 255"),
        ("waifu2x", 1, {"noise": 4}, "noise must be one of none, 0, 1, 2, 3"),
        ("waifu2x", 1, {"noise": True}, "noise must be one of"),
        ("waifu2x", 1, {"noise": "none"}, "only denoises"),
        ("waifu2x", 1, {"model": "photo"}, "cunet only"),
        ("realesrgan", 2, {"model": "x4plus"}, "by 4 only"),
        ("realesrgan", 4, {"model": "x2"}, "model must be one of"),
        ("auto", 3, {}, "x3 is offered by: realesrgan"),
        ("auto", 1, {"sigma": 3}, "need a provider by name"),
    ],
)
def test_refuses(name, scale, params, words):
    with pytest.raises(OptionError, match=words):
        choose(name, scale, params)
    if name != "auto":
        with pytest.raises(OptionError, match=words):
            open_provider("restorer", name, scale=scale, params=params)


def test_auto_has_no_row():
    with pytest.raises(OptionError, match="'auto'"):
        row_of(Use("restorer", "auto"))


def test_numbers_may_come_as_text_from_a_command_line():
    with pytest.raises(OptionError):
        choose("waifu2x", 1, {"noise": "1"})  # whoever reads the command line must make it a number


def test_cards_by_parameters():
    assert waifu2x_id(1, {}) == "waifu2x-cunet-x1-noise1"
    assert waifu2x_id(1, {"noise": 0}) == "waifu2x-cunet-x1-noise0"
    assert waifu2x_id(2, {}) == "waifu2x-photo-x2"
    assert waifu2x_id(2, {"noise": 3, "model": "cunet"}) == "waifu2x-cunet-x2-noise3"
    assert realesrgan_id(4, {}) == "realesrgan-x4plus"
    assert realesrgan_id(4, {"model": "x4plus-anime"}) == "realesrgan-x4plus-anime"
    assert realesrgan_id(4, {"model": "animevideo"}) == "realesrgan-animevideo-x4"
    assert [realesrgan_id(s, {}) for s in (2, 3)] == ["realesrgan-animevideo-x2", "realesrgan-animevideo-x3"]


def test_every_combination_of_parameters_has_a_card():
    from tratto.models.store import all_cards

    cards = all_cards()
    for scale in (1, 2):
        for noise in RESTORERS["waifu2x"].params["noise"].choices:
            for model in RESTORERS["waifu2x"].params["model"].choices:
                try:
                    one = waifu2x_id(scale, {"noise": noise, "model": model})
                except OptionError:
                    assert scale == 1
                    continue
                assert cards[one].scale == scale


def test_availability_says_why_not_and_what_to_do(monkeypatch):
    rows = {a.name: a for a in availability("restorer")}
    assert list(rows) == list(RESTORERS)
    assert rows["nlm"].available
    assert rows["nlm"].why_not == rows["nlm"].fix == ""
    assert rows["realesrgan"].generative
    monkeypatch.setattr(
        network, "runtime_missing", lambda card, runtime="": MissingExtra(f"{card.id} (ncnn)", "upscale")
    )
    row = {a.name: a for a in availability("restorer")}["waifu2x"]
    assert not row.available
    assert row.ready == ()
    assert row.fix == "pip install 'tratto[upscale]'"
    assert "waifu2x-cunet-x1-noise1" in row.why_not


def test_availability_of_only_some_scales(monkeypatch):
    error = MissingWeights("x4 is not here; run: get it")
    monkeypatch.setattr(own, "missing", lambda request: error if request.scale == 4 else None)
    row = {a.name: a for a in availability("restorer")}["tratto"]
    assert (row.available, row.ready, row.why_not, row.fix) == (True, (1, 2), "x4: x4 is not here", "get it")


def test_asking_what_is_there_loads_no_runtime():
    code = (
        "import sys; from tratto.core.capability import Use; "
        "from tratto.providers.catalogue import availability, settle; "
        "availability(); settle(Use('restorer', scale=2)); "
        "print([m for m in ('cv2', 'onnxruntime', 'openvino', 'ncnn', 'torch', 'scipy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    assert out.stdout.strip() == "[]"


def test_params_are_kept_in_the_info():
    assert open_provider("restorer", "nlm", scale=1, params={"sigma": 7}).info.params == {"sigma": 7}
    assert np.isclose(open_provider("restorer", "bicubic", scale=2).info.megapixels_per_second, 1.0)


def test_the_network_for_jpeg_is_a_parameter_at_scale_one_only():
    from tratto.providers.restorer.tratto import card_id

    assert card_id(1) == card_id(1, {"network": "noise"}) == "tratto-restore-x1"
    assert card_id(1, {"network": "jpeg"}) == "tratto-restore-jpeg"
    assert card_id(1, {"network": "real"}) == "tratto-restore-real"
    with pytest.raises(OptionError, match="at x1"):
        choose("tratto", 2, {"network": "jpeg"})
    with pytest.raises(OptionError, match="noise, real, jpeg"):
        choose("tratto", 1, {"network": "blur"})
