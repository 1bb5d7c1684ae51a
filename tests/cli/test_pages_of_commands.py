"""Every command that opens a picture takes the page that was named, and of several pages none in silence."""

import json

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

import tratto
from tratto.cli.main import app
from tratto.core.errors import OptionError

SIZES = ((60, 80), (50, 70))


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    pages = [Pil.fromarray(rng.integers(90, 160, (*size, 3), np.uint8)) for size in SIZES]
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    masks = [Pil.fromarray(np.full(size, 255, np.uint8)) for size in SIZES]
    masks[0].save(tmp_path / "mask.tif", save_all=True, append_images=masks[1:])
    Pil.fromarray(np.full((60, 80), 255, np.uint8)).save(tmp_path / "one.png")
    return tmp_path


def ran(*words):
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


COMMANDS = {
    "describe": ["describe", "two.tif", "--json"],
    "faces": ["faces", "two.tif", "--json"],
    "draw": ["mask", "draw", "two.tif", "-o", "out.png", "--box", "5,5 20,20", "--json"],
    "wall": ["mask", "wall", "two.tif", "-o", "out.png", "--click", "20,20"],
    "edit": ["mask", "edit", "two.tif", "-o", "out.png"],
    "find": ["mask", "find", "two.tif", "-o", "found", "--json"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_page_is_named_or_the_file_refused(files, monkeypatch, words):
    monkeypatch.chdir(files)
    before = sorted(p.name for p in files.rglob("*"))
    assert ran(*words).exit_code == 2
    assert ran(*words, "--page", "3").exit_code == 3
    assert sorted(p.name for p in files.rglob("*")) == before
    done = ran(*words, "--page", "2")
    assert done.exit_code == 0, done.output
    if "--json" in words:
        told = json.loads(done.stdout)
        told = told[0] if isinstance(told, list) else told
        width = told["masks"][0]["width"] if "masks" in told else told["width"]
        assert width == SIZES[1][1]


@pytest.mark.parametrize(
    "words",
    [
        ["grow", "mask.tif"],
        ["shrink", "mask.tif"],
        ["feather", "mask.tif"],
        ["invert", "mask.tif"],
        ["union", "one.png", "mask.tif"],
        ["subtract", "one.png", "mask.tif"],
        ["intersect", "mask.tif", "one.png"],
        ["draw", "one.png", "--marked", "mask.tif"],
        ["wall", "one.png", "--scribble", "mask.tif"],
    ],
    ids=lambda words: words[0],
)
def test_a_mask_of_several_pages_is_refused(files, monkeypatch, words):
    monkeypatch.chdir(files)
    assert ran("mask", *words, "-o", "out.png").exit_code == 2
    assert not (files / "out.png").exists()


def test_a_swatch_of_several_pages_is_refused(files, monkeypatch):
    monkeypatch.chdir(files)
    mask = ["--mask", "one.png"]
    Pil.fromarray(np.full((60, 80, 3), 120, np.uint8)).save("room.png")
    assert ran("recolor", "room.png", *mask, "--swatch", "two.tif", "-o", "out").exit_code == 2
    for swatch in ("two.tif", (files / "two.tif").read_bytes()):
        with pytest.raises(OptionError):
            tratto.recolor("room.png", mask="one.png", swatch=swatch)
