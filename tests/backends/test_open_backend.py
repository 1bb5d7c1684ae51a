from __future__ import annotations

import importlib.util
import os
from dataclasses import replace

import pytest

from tratto.backends import open as opening
from tratto.core.errors import OptionError
from tratto.models.store import get_card


def test_threads_are_the_cores_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert opening.default_threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert opening.default_threads() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert opening.default_threads() == 1


def test_no_backend_for_it_yet():
    with pytest.raises(OptionError, match="'torch'"):
        opening.open_backend(get_card("depth-anything-v2-small"))


def test_missing_runtimes_name_their_extra(monkeypatch):
    card = get_card("waifu2x-photo-x2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'tratto[upscale]'" in str(opening.runtime_missing(card))
    assert "pip install 'tratto[openvino]'" in str(opening.runtime_missing(replace(card, backend="onnx"), "openvino"))
    assert "pip install 'tratto[diffusion]'" in str(opening.runtime_missing(get_card("sdxl-inpainting")))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert opening.runtime_missing(card) is None


def test_a_card_with_two_files_of_a_kind_is_refused(tmp_path):
    card = replace(get_card("waifu2x-photo-x2"), files={"a.param": "0" * 64, "b.param": "0" * 64})
    from tratto.models.store import Weights

    paths = {"a.param": tmp_path / "a.param", "b.param": tmp_path / "b.param"}
    one = opening.Opening(card, Weights(paths, card.ref()), "fp32", 1)
    with pytest.raises(OptionError, match=r"\.param file, it names 2"):
        one.file(".param")
    with pytest.raises(OptionError, match="it names 0"):
        one.file(".bin")
