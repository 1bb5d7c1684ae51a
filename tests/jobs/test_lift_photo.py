"""``tratto lift PHOTO``: one photograph becomes an object with its account, its exports and its replay."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("numba")

import tratto
from tratto.cli.main import app
from tratto.core.errors import ForbiddenStep, InputError, OptionError, OutputError, ReceiptError
from tratto.core.image import ColorMode
from tratto.core.image import Image as Picture
from tratto.jobs.lifting import lift_photo
from tratto.jobs.session import Session
from tratto.scene.formats import read_scene
from tratto.steps.lift_photo import focal_of
from tratto.tasks.lift_photo import LiftPhotoOptions

FEW = {"steps": 8, "side": 64}


def vase(side=96, ground=None):
    """A picture of a vase, on transparency or before a ground."""
    v, u = (np.mgrid[0:side, 0:side] + 0.5) / side
    alpha = (np.abs(u - 0.5) < 0.14 + 0.08 * np.sin(7 * v)) & (v > 0.15) & (v < 0.85)
    color = np.stack([0.3 + 0.6 * u, 0.2 + 0.5 * v, 0.3 + 0.2 * np.sin(20 * v)], axis=-1)
    if ground is not None:
        return np.rint(255 * np.where(alpha[..., None], color, ground)).astype(np.uint8), alpha
    return np.rint(255 * np.concatenate([color, alpha[..., None]], axis=-1)).astype(np.uint8), alpha


def test_a_photograph_becomes_an_object_with_its_account(tmp_path):
    photo = tmp_path / "vase.png"
    Image.fromarray(vase()[0]).save(photo)
    options = LiftPhotoOptions(export=("splat", "webp"), **FEW)
    made = lift_photo(Session(), photo, tmp_path / "out", options)
    assert made.saved.output == tmp_path / "out" / "vase.ply"
    assert [p.name for p in made.exports] == ["vase.splat", "vase.webp"]
    scene = read_scene(made.saved.output)
    assert scene.marked
    assert 0 < scene.scene.seen.sum() < len(scene.scene)
    step = made.result.records[0]
    assert step.generative
    assert step.scores["photograph_psnr"] > 20
    assert made.result.resolved.steps[0].outline == "alpha"
    assert [u.capability for u in made.result.resolved.steps[0].uses] == ["shell", "rasterizer"]
    verdict = tratto.verify(made.saved.output)
    assert verdict.word == "authentic", verdict.reasons
    assert tratto.replay(made.saved.output).tier == "A"
    assert 'alt="Contact sheet"' in (made.saved.bundle / "report.html").read_text()
    with pytest.raises(OutputError):
        lift_photo(Session(), photo, tmp_path / "out", options)


def test_a_mask_says_what_the_object_is(tmp_path):
    picture, alpha = vase(ground=(0.5, 0.5, 0.5))
    result_of = Session().run
    options = LiftPhotoOptions(shape="mirror", elevation=20, field_of_view=30, **FEW)
    mask = np.rint(255 * alpha).astype(np.uint8)
    made = result_of("lift-photo", {"picture": picture, "object": mask}, options)
    step = made.resolved.steps[0]
    assert (step.outline, step.provider, step.elevation) == ("mask", "mirror", 20)
    assert step.focal == pytest.approx(48 / np.tan(np.radians(15)))
    assert made.records[0].scores["elevation"] == 20
    with pytest.raises(OptionError, match="of one size"):
        result_of("lift-photo", {"picture": picture, "object": mask[:50]}, options)


@pytest.mark.parametrize("finder", ["u2netp", "grabcut"])
def test_an_object_is_found_before_its_ground(finder):
    picture, alpha = vase(160, (0.1, 0.5, 0.9))
    made = Session().run("lift-photo", {"picture": picture}, LiftPhotoOptions(background=finder, shape="mirror", **FEW))
    assert made.resolved.steps[0].outline == "found"
    assert made.resolved.steps[0].background == finder
    ids = {m.id for m in made.records[0].models}
    assert ("u2netp" in ids) == (finder == "u2netp")
    low, high = made.main.facts()["scene"]["low"], made.main.facts()["scene"]["high"]
    rows, columns = (np.flatnonzero(alpha.any(axis=a)) for a in (1, 0))
    wide, tall = high[0] - low[0], high[1] - low[1]
    assert wide / tall == pytest.approx(len(columns) / len(rows), abs=0.12)


def test_a_flat_picture_shows_nothing():
    with pytest.raises(InputError, match="object stands"):
        Session().run("lift-photo", {"picture": np.full((64, 64, 3), 128, np.uint8)}, LiftPhotoOptions(**FEW))


def test_what_cannot_be_is_refused(tmp_path):
    photo = tmp_path / "vase.png"
    Image.fromarray(vase()[0]).save(photo)
    with pytest.raises(ForbiddenStep):
        Session(forensic=True).run("lift-photo", {"picture": photo})
    with pytest.raises(OptionError):
        lift_photo(Session(), photo, tmp_path / "o", LiftPhotoOptions(export=("obj",)))
    for field, value in (("elevation", 95), ("side", 8), ("shape", "nobody"), ("background", "nobody")):
        with pytest.raises(OptionError):
            tratto.lift(photo, **{field: value, "steps": 0})
    with pytest.raises(OptionError):
        tratto.lift(tmp_path, object=photo)
    with pytest.raises(OptionError):
        tratto.lift(photo, tratto.LiftPhotoOptions(), steps=3)
    tiny = np.zeros((9, 9, 4), np.uint8)
    with pytest.raises(OptionError, match="16x16"):
        Session().run("lift-photo", {"picture": tiny}, LiftPhotoOptions(**FEW))


QUICKEST = {"steps": 0, "side": 64, "shape": "mirror"}


def test_transparency_of_a_palette_counts_and_nobody_needs_a_network(tmp_path):
    photo, (rgba, alpha) = tmp_path / "vase.png", vase()
    colors = Image.fromarray(rgba[..., :3]).quantize(100)
    indices = np.where(alpha, np.asarray(colors), 255).astype(np.uint8)
    picture = Image.fromarray(indices, "P")
    picture.putpalette((colors.getpalette() + [0] * 768)[:768])
    picture.save(photo, transparency=255)
    made = lift_photo(Session(), photo, tmp_path / "out", LiftPhotoOptions(export=("splat",), **QUICKEST))
    step = made.result.resolved.steps[0]
    assert (step.outline, step.background) == ("alpha", "")
    assert made.result.records[0].models == ()
    verdict = tratto.verify(made.saved.output)
    assert verdict.word == "authentic", verdict.reasons
    assert tratto.replay(made.saved.output).tier == "A"
    assert tratto.verify(made.exports[0]).word == "unknown"
    again = lift_photo(Session(), photo, tmp_path / "out", LiftPhotoOptions(**QUICKEST), overwrite=True)
    assert any("vase.splat" in n for n in again.notes)
    with made.saved.output.open("ab") as file:
        file.write(b"x")
    assert tratto.verify(made.saved.output).word == "altered"


@pytest.mark.parametrize(
    ("level", "drawn", "word"),
    [
        (0, None, "transparent"),
        (100, None, "transparent"),
        (255, 0, "mask of the object"),
        (255, 120, "mask of the obj"),
    ],
)
def test_what_tells_no_object_is_named(level, drawn, word):
    picture = vase()[0]
    picture[..., 3] = level
    given = {"picture": picture}
    if drawn is not None:
        given["object"] = np.full(picture.shape[:2], drawn, np.uint8)
    with pytest.raises(InputError, match=word):
        Session().run("lift-photo", given, LiftPhotoOptions(**QUICKEST))


def test_a_strip_and_a_file_of_several_pages_are_refused_in_the_words_of_the_line(tmp_path):
    strip = np.zeros((40, 6000, 4), np.uint8)
    strip[10:30, 100:5900] = 255
    with pytest.raises(InputError, match="too thin"):
        Session().run("lift-photo", {"picture": strip}, LiftPhotoOptions(**QUICKEST))
    page = Image.fromarray(vase()[0])
    page.save(tmp_path / "two.tif", save_all=True, append_images=[page])
    with pytest.raises(InputError, match="2 pages"):
        lift_photo(Session(), tmp_path / "two.tif", tmp_path / "o", LiftPhotoOptions(**QUICKEST))


def test_a_mask_is_of_the_page_that_is_named(tmp_path):
    one, two = (Image.fromarray(vase(ground=(g, 0.5, 0.5))[0]) for g in (0.1, 0.9))
    one.save(tmp_path / "two.tif", save_all=True, append_images=[two])
    given = ["mask", "background", str(tmp_path / "two.tif"), "-o", str(tmp_path / "m.png"), "--provider", "grabcut"]
    assert CliRunner().invoke(app, given).exit_code == OptionError.exit_code
    assert not (tmp_path / "m.png").exists()
    assert CliRunner().invoke(app, [*given, "--page", "2"]).exit_code == 0
    assert (tmp_path / "m.png").is_file()


def test_a_replay_names_its_inputs_in_the_words_of_each_door(tmp_path):
    made = tratto.restore(np.full((20, 20), 90, np.uint8), force=True)
    saved = tratto.save(made, tmp_path / "a.png")
    receipt = tmp_path / "r.json"
    receipt.write_bytes((saved.bundle / "receipt.json").read_bytes())
    told = CliRunner().invoke(app, ["replay", str(receipt)])
    assert told.exit_code == ReceiptError.exit_code
    assert "--input FILE" in told.stderr
    assert "source" not in told.stderr
    with pytest.raises(ReceiptError, match="source=FILE"):
        tratto.replay(receipt)


def test_forensic_mode_refuses_before_it_asks_for_weights():
    for options in (LiftPhotoOptions(views="zero123plus"), tratto.EnhanceOptions()):
        with pytest.raises(ForbiddenStep):
            Session(forensic=True).check_options(options)


def test_the_focal_length_of_the_exif_block_counts():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 85
    picture = Picture(np.zeros((300, 400), np.uint8), ColorMode.GRAY)
    known = picture.replace(meta=picture.meta.__class__(exif=exif.tobytes().removeprefix(b"Exif\0\0")))
    assert focal_of(known) == pytest.approx(85 * 500 / 43.27)
    assert focal_of(picture) == pytest.approx(200 / np.tan(np.radians(19.8)))


def run(*line):
    return CliRunner().invoke(app, [str(part) for part in line])


def test_the_command_tells_a_photograph_from_a_folder(tmp_path):
    photo = tmp_path / "vase.png"
    Image.fromarray(vase()[0]).save(photo)
    done = run("lift", photo, "-o", tmp_path, "--json", "--steps", "4", "--side", "64")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["scores"]["photograph_psnr"] > 15
    assert (tmp_path / "vase.ply").is_file()
    folder = run("lift", tmp_path, "-o", tmp_path / "x")
    assert folder.exit_code != 0
    assert "holds no cameras" in folder.stderr
    mask = run("mask", "background", photo, "-o", tmp_path / "masks", "--provider", "grabcut", "--hard", "--json")
    assert mask.exit_code == 0, mask.output
    assert json.loads(mask.stdout)["mask"].endswith("vase.png")
