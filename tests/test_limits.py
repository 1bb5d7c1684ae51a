"""Limits that limit: what a small file can ask of this machine."""

import os
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.core.errors import InputError, OptionError, PictureTooLarge
from tratto.imaging.io import read_image
from tratto.imaging.masks import MOST_POINTS, Shape, draw
from tratto.models.card import load_card
from tratto.provenance import recheck_maps
from tratto.provenance.verify import verify


def test_a_mask_is_hashed_in_bands_as_the_work_saw_it():
    from tratto.provenance.receipt import array_digest

    rng = np.random.default_rng(0)
    mask = rng.integers(0, 65536, (300, 200)).astype(np.uint16)
    assert recheck_maps._mask_digest(mask) == array_digest(mask.astype(np.float32) / np.float32(65535))


def test_many_tiny_tiles_are_refused(tmp_path):
    side, number = 1024, 1 << 20
    entries = [
        (256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1),
        (322, 4, 1, 1), (323, 4, 1, 1), (324, 4, number, 200), (325, 4, number, 200),
    ]  # fmt: skip
    data = b"II*\0" + struct.pack("<I", 8)
    data += struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries) + b"\0" * 4
    path = tmp_path / "tiles.tif"
    path.write_bytes(data.ljust(200, b"\0") + b"\1\0\0\0" * number)
    with pytest.raises(PictureTooLarge):
        read_image(path)


def test_usual_tiles_are_read(tmp_path):
    picture = np.arange(512 * 512, dtype=np.uint32).astype(np.uint8).reshape(512, 512)
    tifffile.imwrite(tmp_path / "a.tif", picture, tile=(16, 16))
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, picture)


def test_an_outline_of_very_many_corners_is_refused():
    points = tuple((float(i % 300), float(i * 7 % 200)) for i in range(MOST_POINTS + 1))
    with pytest.raises(OptionError):
        Shape("polygon", points)
    half = Shape("polygon", points[: MOST_POINTS // 2 + 1])
    with pytest.raises(OptionError):
        draw(200, 300, [half, half])


@pytest.mark.parametrize(
    "data", [{"points": [[10**400, 1]]}, {"points": [[[]]]}, {"points": None}, {"points": [["a", 1]]}]
)
def test_shapes_of_anything(data):
    with pytest.raises(OptionError):
        Shape.from_json({"kind": "disc", **data})


@pytest.mark.parametrize("given", ["/dev/zero", "pipe", "deep", "name"])
def test_cards_of_anything(tmp_path, given):
    from pathlib import Path

    path = tmp_path / "card.toml"
    if given == "pipe":
        os.mkfifo(path)
    elif given == "deep":
        path.write_text("a=" + "[" * 100_000)
    elif given == "name":
        path = tmp_path / ("n" * 300)
    else:
        path = Path(given)
    with pytest.raises(OptionError):
        load_card(path)


@pytest.mark.parametrize(
    "text", ["[" * 9000, "{1: 2, 'a': 3}", "{'²': 'a'}", "[1e400]", "['a'] * 9", str(list(range(5000)))]
)
def test_names_in_a_model_are_believed_only_as_names(text):
    from tratto.providers.damage import _names_of

    assert _names_of(text) == ()


def test_the_side_of_a_model_is_one_that_a_network_has():
    from tratto.providers.damage import _side_of

    for text in (
        "[" * 9000,
        "[1, 10**9]",
        "[1000000000, 640]",
        "[True, True]",
        "['a', 'b']",
        "[0, 0]",
        "[-640, 640]",
        "9",
    ):
        assert _side_of([None, None], text) == (640, 640)
    assert _side_of([None, None], "[320, 416]") == (320, 416)
    assert _side_of([99999999, 640], "") == (640, 640)


def test_long_names_and_nul_are_one_line(tmp_path):
    from typer.testing import CliRunner

    from tratto.cli.main import app

    long = tmp_path / ("a" * 300 + ".png")
    commands = (
        ["verify", long], ["restore", long, "-o", tmp_path / "o"], ["inspect", long], ["replay", long],
        ["revert", long, "-o", tmp_path / "x.png"], ["report", long], ["audit", long], ["describe", long],
        ["mask", "invert", long, "-o", tmp_path / "m.png"], ["mask", "find", long, "-o", tmp_path / "m"],
        ["repair", tmp_path / "a.png", "--mask", long, "-o", tmp_path / "o"],
    )  # fmt: skip
    for command in commands:
        result = CliRunner().invoke(app, [str(c) for c in command])
        assert isinstance(result.exception, SystemExit), (command[0], result.exception)
        assert 2 <= result.exit_code <= 10, (command[0], result.output)
        assert "a fault in tratto" not in result.output
    for call in (read_image, verify):
        with pytest.raises(InputError):
            call("a\0b.png")


# ---------------------------------------------------------------------------------------------- one option for pictures


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("joined", [True, False])
def test_one_option_lets_larger_pictures_in_wherever_it_stands(tmp_path, monkeypatch, place, joined):
    import tratto.imaging.io.limits as limits
    from tratto.cli.main import app

    monkeypatch.delenv(limits.MAX_MEGAPIXELS, raising=False)
    Pil.fromarray(np.full((40, 50), 120, np.uint8)).save(tmp_path / "a.png")
    for allowed, code in (("0.001", 3), ("0.002", 0), ("much", 2), ("0", 2), ("-3", 2), ("inf", 2)):
        line = ["inspect", str(tmp_path / "a.png")]
        line[place:place] = [f"{limits.OPTION}={allowed}"] if joined else [limits.OPTION, allowed]
        assert CliRunner().invoke(app, line).exit_code == code, (line, allowed)
        assert limits.MAX_MEGAPIXELS not in os.environ


def test_where_speed_is_that_of_a_tile_overlaps_are_estimated():
    from types import SimpleNamespace

    from tratto.core.capability import RestorerInfo
    from tratto.engine.cost import _done

    info = {"provider": "x", "precision": "fp32", "models": (), "generative": True, "megapixels_per_second": 1.0}
    given = {**info, "scale": 4, "tile": 192, "overlap": 32, "border": 10}
    picture = SimpleNamespace(height=169, width=300)
    tiled, whole = (RestorerInfo(**given, library=name) for name in ("ncnn 1.0", "onnxruntime 1.0"))
    assert _done(whole, 50_700, picture, 1) == 50_700
    # two tiles of 192 x 189 beside each other
    assert _done(tiled, 50_700, picture, 1) == 2 * 192 * 189
