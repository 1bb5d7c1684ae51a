"""For one picture the file is opened once, hashed once, and inspected once, whichever door it comes through."""

import os
import pickle
import sys

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

import tratto
from tratto.cli.main import app
from tratto.core.hashing import FileFacts, HeldFile, hold
from tratto.imaging import estimate

#: What the running test counts: a hook cannot be taken away again.
watched: dict = {}


@pytest.fixture(scope="module")
def hook():
    def see(event, args):
        if event == "open" and watched and isinstance(args[0], str | os.PathLike) and os.fspath(args[0]) in watched:
            watched[os.fspath(args[0])] += 1

    sys.addaudithook(see)


@pytest.fixture
def counts(hook, tmp_path, monkeypatch):
    """Return the openings of a noisy picture, how often its bytes were hashed, and its inspections."""
    noise = np.random.default_rng(1).normal(120, 12, (48, 64, 3))
    picture = tmp_path / "photo.png"
    Pil.fromarray(noise.clip(0, 255).astype(np.uint8)).save(picture)
    data, of, look = picture.read_bytes(), FileFacts.of, estimate.inspect_image
    seen = {"hashed": 0, "inspected": 0}

    def hashing(content):
        seen["hashed"] += content == data
        return of(content)

    def inspecting(image):
        seen["inspected"] += 1
        return look(image)

    monkeypatch.setattr(FileFacts, "of", staticmethod(hashing))
    monkeypatch.setattr(estimate, "inspect_image", inspecting)
    watched[str(picture)] = 0
    yield picture, lambda: (watched[str(picture)], seen["hashed"], seen["inspected"])
    watched.clear()


def typed(*words):
    done = CliRunner().invoke(app, [str(w) for w in words])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("more", "expected"), [([], (1, 1, 1)), (["--jobs", "1"], (1, 1, 1)), (["--dry-run"], (1, 0, 1))]
)
def test_the_command(counts, tmp_path, more, expected):
    picture, count = counts
    typed("restore", picture, "-o", tmp_path / "out", *more)
    assert count() == expected


def test_the_command_with_a_mask(counts, tmp_path):
    picture, count = counts
    Pil.new("L", (64, 48), 255).save(tmp_path / "mask.png")
    typed("restore", picture, "-o", tmp_path / "out", "--mask", tmp_path / "mask.png")
    assert count() == (1, 1, 1)


def test_all_pages_of_a_file_are_read_from_one_opening(hook, tmp_path):
    picture = tmp_path / "two.tif"
    pages = [Pil.new("L", (40, 32), grey) for grey in (80, 90)]
    pages[0].save(picture, save_all=True, append_images=pages[1:])
    watched[str(picture)] = 0
    try:
        typed("restore", picture, "-o", tmp_path / "out", "--page", "all")
        assert watched[str(picture)] == 1
    finally:
        watched.clear()
    assert sorted(p.name for p in (tmp_path / "out").glob("*.tif*")) == ["two-page-001.tif", "two-page-002.tif"]


def test_inspect(counts):
    picture, count = counts
    typed("inspect", picture)
    assert count() == (1, 0, 1)


def test_the_function(counts):
    picture, count = counts
    result = tratto.restore(picture)
    assert count() == (1, 1, 1)
    assert result.receipt["inputs"]["picture"]["file"]["bytes"] == picture.stat().st_size


def test_what_changes_after_planning_is_not_mixed(counts):
    """What was decoded is what is hashed; to another process goes the path alone."""
    picture, _ = counts
    held = hold(picture)
    before = held.facts
    sent = pickle.dumps(held)
    picture.write_bytes(b"another")
    assert held.facts == before
    assert len(sent) < 1000
    assert isinstance(again := pickle.loads(sent), HeldFile)
    assert again.data == b"another"
