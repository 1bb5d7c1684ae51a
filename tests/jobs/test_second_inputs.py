"""A wallpaper lies in the bundle as it came, and a replay that lacks it asks for it."""

import json

import numpy as np
import pypdfium2
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

import tratto
from tratto.cli.main import app
from tratto.core.errors import OptionError, ReceiptError
from tratto.core.hashing import hash_file


def run(*line):
    return CliRunner().invoke(app, [str(v) for v in line])


@pytest.fixture
def folder(tmp_path):
    _, x = np.mgrid[0:64, 0:96]
    light = (0.6 + 0.3 * np.cos(x / 40))[..., None]
    rgb = np.rint(255 * light * np.array([0.9, 0.8, 0.6])).astype(np.uint8)
    mask = np.full((64, 96), 255, np.uint8)
    mask[38:, 58:] = 0
    Pil.fromarray(rgb).save(tmp_path / "room.png")
    Pil.fromarray(mask).save(tmp_path / "wall.png")
    paper = np.random.default_rng(1).integers(60, 220, (24, 32, 3)).astype(np.uint8)
    Pil.fromarray(paper).save(tmp_path / "paper.jpg", quality=90)
    Pil.fromarray(255 - paper).save(tmp_path / "other.png")
    return tmp_path


def repaint(folder, texture="paper.jpg", **save):
    given = folder / texture if isinstance(texture, str) else texture
    result = tratto.recolor(folder / "room.png", mask=folder / "wall.png", texture=given, repeat=(3, 2))
    name = folder / "out.png"
    options = tratto.SaveOptions("png", **save)
    return tratto.save(result, name, options, source=folder / "room.png", overwrite=True)


def test_the_file_lies_in_the_bundle_byte_by_byte(folder):
    saved = repaint(folder)
    kept = saved.bundle / "inputs" / "texture.jpg"
    assert kept.read_bytes() == (folder / "paper.jpg").read_bytes()
    receipt = json.loads((saved.bundle / "receipt.json").read_text())
    stated = receipt["inputs"]["texture"]
    assert stated["file"] == hash_file(folder / "paper.jpg").to_json()
    assert stated["picture"]["width"] == 32
    assert json.loads((saved.bundle / "seal.json").read_text())["files"]["inputs/texture.jpg"] == stated["file"]
    for recipe in receipt["recipe"].values():
        assert recipe["steps"][0]["params"]["texture"] == "texture"
    assert len((saved.bundle / "receipt.json").read_bytes()) < 8000
    verdict = tratto.verify(saved.output)
    assert verdict.word == "authentic", verdict.reasons
    assert tratto.replay(saved.output).tier == "A"
    page = (saved.bundle / "report.html").read_text()
    assert 'alt="Input: texture"' in page
    assert stated["file"]["sha256"] in page
    assert tratto.revert(saved.output, folder / "back.png").read_bytes() == (folder / "room.png").read_bytes()


def test_an_array_bytes_and_a_picture_of_16_bit_are_kept_too(folder):
    px = np.random.default_rng(2).integers(20000, 60000, (20, 30, 3)).astype(np.uint16)
    saved = repaint(folder, px)
    kept = saved.bundle / "inputs" / "texture.png"
    np.testing.assert_array_equal(tratto.Session().open(kept).pixels, px)
    receipt = json.loads((saved.bundle / "receipt.json").read_text())
    assert receipt["inputs"]["texture"]["file"] is None
    assert tratto.verify(saved.output).word == "authentic"
    assert tratto.replay(saved.output).tier == "A"
    saved = repaint(folder, (folder / "paper.jpg").read_bytes())
    assert (saved.bundle / "inputs" / "texture.jpg").read_bytes() == (folder / "paper.jpg").read_bytes()
    assert tratto.replay(saved.output).tier == "A"


def test_a_large_sample_is_kept_whole_and_used_small(folder):
    big = np.random.default_rng(3).integers(0, 256, (40, 1100, 3)).astype(np.uint8)
    Pil.fromarray(big).save(folder / "big.png")
    saved = repaint(folder, "big.png")
    with Pil.open(saved.bundle / "inputs" / "texture.png") as kept:
        assert kept.size == (1100, 40)
    assert tratto.verify(saved.output).word == "authentic"
    assert tratto.replay(saved.output).tier == "A"


def test_without_originals_a_replay_asks_for_both_and_checks_them(folder):
    saved = repaint(folder, keep_original=False)
    assert not (saved.bundle / "inputs").exists()
    verdict = tratto.verify(saved.output)
    assert verdict.word == "authentic"
    assert any("holds no inputs/texture" in r for r in verdict.reasons)
    room = folder / "room.png"
    with pytest.raises(ReceiptError, match="texture"):
        tratto.replay(saved.output, source=room)
    with pytest.raises(ReceiptError, match="texture"):
        tratto.replay(saved.output, source=room, inputs={"texture": folder / "other.png"})
    with pytest.raises(OptionError, match="character"):
        tratto.replay(saved.output, source=room, inputs={"character": folder / "other.png"})
    assert tratto.replay(saved.output, source=room, inputs={"texture": folder / "paper.jpg"}).tier == "A"
    page = (saved.bundle / "report.html").read_text()
    assert "--input texture=THE-TEXTURE-FILE" in page


def test_the_command_line_takes_inputs_by_role(folder):
    bundle = repaint(folder, keep_original=False).bundle
    both = ("--input", folder / "room.png", "--input", f"texture={folder / 'paper.jpg'}")
    done = run("replay", bundle, *both, "--json")
    assert json.loads(done.stdout)["tier"] == "A", done.output
    assert run("replay", bundle, *both[2:]).exit_code == ReceiptError.exit_code
    assert run("replay", bundle, *both[:2]).exit_code == ReceiptError.exit_code
    assert run("replay", bundle, *both, "--input", folder / "room.png").exit_code == 2
    assert run("replay", bundle, "--input", "texture=").exit_code == 2
    done = run("replay", bundle, *both[:2], "--input", f"wallpaper={folder / 'paper.jpg'}")
    assert done.exit_code == 2
    assert "wallpaper" in done.stderr


def test_a_picture_with_an_equals_sign_in_its_name_is_a_picture(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "a=b.png").write_bytes((folder / "room.png").read_bytes())
    bundle = repaint(folder, keep_original=False).bundle
    assert run("replay", bundle, "--input", "a=b.png", "--input", "texture=paper.jpg").exit_code == 0


def test_a_folder_of_rooms_gets_one_wallpaper(folder):
    rooms = folder / "rooms"
    rooms.mkdir()
    for name in ("a.png", "b.png"):
        (rooms / name).write_bytes((folder / "room.png").read_bytes())
    line = ("recolor", rooms, "-o", folder / "done", "--mask", folder / "wall.png", "--texture")
    assert run(*line, folder / "paper.jpg").exit_code == 0
    for name in ("a", "b"):
        assert (folder / "done" / f"{name}.tratto" / "inputs" / "texture.jpg").is_file()
        assert run("verify", folder / "done" / f"{name}.png").exit_code == 0
    (folder / "no.png").write_bytes(b"no picture")
    assert run(*line, folder / "no.png", "--overwrite").exit_code == 3


def test_a_texture_that_was_not_given_is_asked_for(folder):
    options = tratto.RecolorOptions(texture="texture")
    with pytest.raises(OptionError, match="texture"):
        tratto.recolor(folder / "room.png", options, mask=folder / "wall.png")
    paper = folder / "paper.jpg"
    assert tratto.recolor(folder / "room.png", options, mask=folder / "wall.png", texture=paper).inputs["texture"]
    with pytest.raises(OptionError, match="texture"):
        tratto.recolor(
            folder / "room.png", tratto.RecolorOptions(color="#fff"), mask=folder / "wall.png", texture=paper
        )
    with pytest.raises(OptionError, match="exactly one"):
        tratto.recolor(folder / "room.png", mask=folder / "wall.png", texture=paper, color="#fff")


def test_a_texture_that_changed_since_is_not_kept_as_if_it_were_it(folder):
    result = tratto.recolor(folder / "room.png", mask=folder / "wall.png", texture=folder / "paper.jpg")
    (folder / "paper.jpg").write_bytes((folder / "other.png").read_bytes())
    with pytest.raises(ReceiptError, match="texture"):
        tratto.save(result, folder / "out.png", source=folder / "room.png")
    assert not (folder / "out.png").exists()


def test_printing_shows_the_wallpaper_even_where_it_is_gone(folder):
    from tratto.provenance.printing import printed

    for kept in (True, False):
        document = pypdfium2.PdfDocument(printed(repaint(folder, keep_original=kept).output))
        words = " ".join(page.get_textpage().get_text_range() for page in document)
        document.close()
        assert "went in" in words
        assert "Texture: 32 × 24 pixels, RGB, 8 bit" in words
