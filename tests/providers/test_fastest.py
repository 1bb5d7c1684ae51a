"""Which way to run our networks is the fastest is measured once."""

import json
import time

import numpy as np
import pytest

from tratto.core.capability import RestoredTile, Use
from tratto.core.errors import UnavailableError
from tratto.providers import catalogue
from tratto.providers.fastest import cache_file, fastest


class _Takes:
    def __init__(self, seconds):
        self.seconds, self.runs = seconds, 0

    def restore(self, tile, noise_sigma=None):
        self.runs += 1
        time.sleep(self.seconds)
        return RestoredTile(tile, None)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_the_faster_one_is_taken_and_kept():
    ways = {"a": _Takes(0.02), "b": _Takes(0.0)}
    assert fastest(ways.__getitem__, ("a", "b"), "x1") == "b"
    runs = ways["a"].runs
    assert fastest(ways.__getitem__, ("a", "b"), "x1") == "b"
    assert ways["a"].runs == runs
    (kept,) = json.loads(cache_file().read_text()).values()
    assert kept["seconds"]["a"] > kept["seconds"]["b"]


def test_what_fails_is_left_out_and_a_broken_cache_is_none():
    cache_file().parent.mkdir(parents=True)
    cache_file().write_text("[1, ")

    def opened(name):
        if name == "b":
            raise UnavailableError("not here")
        return _Takes(0.01)

    assert fastest(opened, ("a", "b"), "x1") == "a"


def test_auto_asks_only_where_speed_was_asked_for(monkeypatch):
    asked = []

    def chosen(opened, names, model):
        asked.append(names)
        return names[-1]

    pytest.importorskip("openvino")
    monkeypatch.setattr("tratto.providers.fastest.fastest", chosen)
    assert catalogue.settle(Use("restorer")).provider == "tratto"
    assert asked == []
    assert catalogue.settle(Use("restorer", fast=True)).provider == "tratto-openvino"
    assert asked == [("tratto", "tratto-openvino")]
    assert catalogue.settle(Use("restorer", "tratto", fast=True)).provider == "tratto"
    assert catalogue.settle(Use("restorer", scale=2, fast=True)).provider == "span"


def test_the_tile_is_one_that_restorers_take():
    way = _Takes(0.0)
    way.restore = lambda tile, noise_sigma=None: RestoredTile(np.ascontiguousarray(tile, np.float32), None)
    assert fastest({"a": way}.__getitem__, ("a",), "x1") == "a"
