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
