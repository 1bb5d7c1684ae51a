from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from tratto.core.capability import RestoredTile, RestorerInfo
from tratto.imaging.scratch import allocate


@dataclass
class FakeRestorer:
    """Adds a constant and, if asked, reports a constant error; enlarges by repetition."""

    info: RestorerInfo
    shift: float = 0.1
    calls: list = field(default_factory=list)

    def restore(self, tile, noise_sigma=None):
        s = self.info.scale
        self.calls.append(tile.shape)
        out = np.repeat(np.repeat(tile, s, 0), s, 1) + np.float32(self.shift)
        sigma = np.full(out.shape[:2], 0.02, np.float32) if self.info.has_sigma else None
        return RestoredTile(out, sigma)


@dataclass
class FakeServices:
    """Services around fake restorers, by provider name."""

    restorers: dict
    seed: int = 0
    fast: bool = False
    stages: list = field(default_factory=list)

    def settle(self, use):
        assert use.capability == "restorer"
        return replace(use, provider="fake") if use.provider == "auto" else use

    def open(self, use):
        one = self.restorers[self.settle(use).provider]
        return replace(one, info=replace(one.info, scale=use.scale))

    def scratch(self, shape, dtype):
        return allocate(shape, dtype, in_memory=1000)

    def progress(self, stage, done, total):
        self.stages.append((stage, done, total))

    def run(self, recipe, canvas):
        raise AssertionError("not used")


@pytest.fixture
def fake_services():
    info = RestorerInfo("fake", 1, 40, 8, 4, has_sigma=True, library="numpy")
    return FakeServices(
        {
            "fake": FakeRestorer(info),
            "blind": FakeRestorer(replace(info, provider="blind", has_sigma=False)),
            "dreamer": FakeRestorer(replace(info, provider="dreamer", generative=True)),
        }
    )


@pytest.fixture
def key_folder(tmp_path, monkeypatch):
    """A folder for keys of this test's own."""
    monkeypatch.setenv("TRATTO_KEYS", str(tmp_path / "keys"))
    return tmp_path / "keys"


@pytest.fixture
def log_key(key_folder):
    """The key of a ledger."""
    from tratto.ledger import keys

    keys.new_key("log", "ledger", "example.org/log")
    return keys.signer("log", "ledger")


@pytest.fixture
def me(tmp_path, log_key):
    """A witness that watches that ledger."""
    from tratto.ledger import keys
    from tratto.ledger.witness import Witness

    keys.new_key("eye", "witness", "example.net/eye")
    one = Witness(tmp_path / "state", keys.signer("eye", "witness"), clock=lambda: 1_700_000_000.9)
    one.watch(log_key.verifier)
    return one


@pytest.fixture
def grow():
    """Append entries to a ledger, which is begun if it is not there; return a reader of it."""
    from tratto.ledger import Ledger
    from tratto.ledger.tiles import LedgerReader

    def append(folder, key, *entries):
        opened = Ledger.open(folder, key) if folder.exists() else Ledger.create(folder, key)
        with opened as log:
            log.append([e.encode() for e in entries])
        return LedgerReader(folder, key.verifier)

    return append


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folders of tiny random diffusion models in the published layout; see ``tests/tiny_diffusion.py``."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that are loaded here for the first time
        pytest.importorskip("diffusers")
        pytest.importorskip("peft")
        spec = importlib.util.spec_from_file_location("tiny_diffusion", Path(__file__).parent / "tiny_diffusion.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.write_all(tmp_path_factory.mktemp("tiny"))
