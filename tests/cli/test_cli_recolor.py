import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.cli.main import app

ROOM = Path(__file__).parents[2] / "examples" / "room"


def tratto(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def folder(tmp_path):
    _, x = np.mgrid[0:64, 0:96]
    light = (0.6 + 0.3 * np.cos(x / 40))[..., None]
    rgb = np.rint(255 * light * np.array([0.9, 0.8, 0.6])).astype(np.uint8)
    rgb[40:, 60:] = (40, 60, 90)
    mask = np.full((64, 96), 255, np.uint8)
    mask[38:, 58:] = 0
    Pil.fromarray(rgb).save(tmp_path / "room.png")
    Pil.fromarray(mask).save(tmp_path / "wall.png")
    Pil.fromarray(np.full((8, 8, 3), (200, 212, 224), np.uint8)).save(tmp_path / "swatch.png")
    return tmp_path


def test_one_room_end_to_end(folder):
    done = tratto(
        "recolor", folder / "room.png", "-o", folder / "out", "--mask", folder / "wall.png", "--color", "#8fa68e"
    )
    assert done.exit_code == 0, done.output
    assert "Delta E of 0." in done.stdout
    bundle = folder / "out" / "room.tratto"
    names = {p.name for p in bundle.iterdir()}
    assert {"receipt.json", "seal.json", "edit-map.png", "confidence.png", "mask.png", "report.html"} <= names
    assert tratto("verify", folder / "out" / "room.png").exit_code == 0
    assert json.loads(tratto("replay", bundle, "--json").stdout)["tier"] == "A"
    before, after = (np.asarray(Pil.open(folder / p / "room.png")) for p in (".", "out"))
    np.testing.assert_array_equal(after[38:, 58:], before[38:, 58:])


def test_a_swatch_is_its_colour_and_a_click_is_a_wall(folder):
    lines = ("--match", "paint", "--click", "20,20", "--click", "30,50", "--json", "--dry-run")
    done = tratto("recolor", folder / "room.png", "-o", folder / "out", "--swatch", folder / "swatch.png", *lines)
    assert done.exit_code == 0, done.output
    step = json.loads(done.stdout)[0]["recipe"]["steps"][0]["params"]
    assert step["color"] == pytest.approx([200 / 255, 212 / 255, 224 / 255])
    assert not (folder / "out").exists()


def test_a_texture_is_laid(folder):
    done = tratto(
        "recolor", folder / "room.png", "-o", folder / "out", "--mask", folder / "wall.png",
        "--texture", folder / "swatch.png", "--corners", "0,0 95,0 95,63 0,63", "--repeat", "3,2", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    params = json.loads(done.stdout)[0]["steps"][0]["params"]
    assert params["repeat"] == [3.0, 2.0]
    assert params["corners"][2] == [95.0, 63.0]


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        ((), "--color"),
        (("--color", "#fff", "--texture", "swatch.png"), "exactly one"),
        (("--color", "sky"), "#rrggbb"),
        (("--color", "#fff", "--click", "3"), "--click"),
        (("--color", "#fff"), "--mask"),
    ],
)
def test_wrong_lines_are_told(folder, extra, word):
    done = tratto("recolor", folder / "room.png", "-o", folder / "out", *extra)
    assert done.exit_code == 2
    assert word in done.stderr


def test_forensic_refuses(folder):
    done = tratto(
        "recolor",
        folder / "room.png",
        "-o",
        folder / "out",
        "--mask",
        folder / "wall.png",
        "--color",
        "#fff",
        "--forensic",
    )
    assert done.exit_code == 7


def test_a_wall_mask_from_clicks_and_a_scribble(folder):
    clicks = ("--click", "20,20", "--click", "30,50", "--not", "80,55")
    done = tratto("mask", "wall", folder / "room.png", "-o", folder / "found.png", *clicks)
    assert done.exit_code == 0, done.output
    truth = np.asarray(Pil.open(folder / "wall.png")) > 127
    found = np.asarray(Pil.open(folder / "found.png")) > 127
    assert (found & truth).sum() / (found | truth).sum() > 0.93
    draw = np.zeros(truth.shape, np.uint8)
    draw[10, 5:80] = 255
    Pil.fromarray(draw).save(folder / "draw.png")
    line = ("mask", "wall", folder / "room.png", "-o", folder / "b.png", "--scribble", folder / "draw.png")
    assert tratto(*line, "--grow", "-1").exit_code == 0
    assert tratto("mask", "wall", folder / "room.png", "-o", folder / "c.png").exit_code == 2
    assert tratto(*line).exit_code == 4  # b.png exists


def refused(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 2, done.output
    return done.output


def test_a_transparent_swatch_shows_no_colour(folder):
    rgba = np.full((8, 8, 4), (200, 30, 30, 0), np.uint8)
    Pil.fromarray(rgba).save(folder / "clear.png")
    rgba[:3, :, :] = (10, 120, 200, 255)
    Pil.fromarray(rgba).save(folder / "part.png")
    start = ("recolor", folder / "room.png", "-o", folder / "out", "--mask", folder / "wall.png", "--dry-run", "--json")
    assert "shows no colour" in refused(*start, "--swatch", folder / "clear.png")
    done = tratto(*start, "--swatch", folder / "part.png")
    color = json.loads(done.stdout)[0]["recipe"]["steps"][0]["params"]["color"]
    assert color == pytest.approx([10 / 255, 120 / 255, 200 / 255])


def test_what_means_nothing_is_refused_and_named(folder):
    start = ("recolor", folder / "room.png", "-o", folder / "out", "--color", "#c8d4e0")
    masked = (*start, "--mask", folder / "wall.png")
    assert "got nan" in refused(*masked, "--feather", "nan")
    assert "reflects no light" in refused(*masked, "--match", "paint", "--was", "#000000")
    assert "--not" in refused(*masked, "--not", "3,3")
    dot = np.zeros((64, 96), np.uint8)
    dot[10:20, 10:20] = 255
    Pil.fromarray(dot).save(folder / "dot.png")
    assert "shrink it less" in refused(*start, "--mask", folder / "dot.png", "--grow", "-9")
    Pil.fromarray(np.full((32, 48), 255, np.uint8)).save(folder / "small.png")
    drawn = ("mask", "wall", folder / "room.png", "-o", folder / "found.png", "--scribble", folder / "small.png")
    assert "48x32, the picture as shown 96x64" in refused(*drawn)
    assert not (folder / "out").exists()
    assert not (folder / "found.png").exists()


def test_the_share_that_may_change_is_that_of_the_mask_as_it_was_grown(folder):
    dot = np.zeros((64, 96), np.uint8)
    dot[10:20, 10:20] = 255
    Pil.fromarray(dot).save(folder / "dot.png")
    start = ("recolor", folder / "room.png", "-o", folder / "out", "--color", "#c8d4e0", "--json")
    done = json.loads(tratto(*start, "--mask", folder / "dot.png", "--grow", "3").stdout)[0]
    before, after = (np.asarray(Pil.open(folder / p / "room.png"), int) for p in (".", "out"))
    changed = np.abs(after - before).max(axis=2) > 0
    assert 100 < changed.sum() <= round(done["mask_share"] * changed.size) < 1.3 * 16 * 16


@pytest.mark.parametrize("name", ["wall_p3.png", "wall_linear_named_srgb.tif"])
def test_figures_are_those_of_the_picture_s_own_profile(tmp_path, name):
    """A wall in Display P3, and one in linear light whose profile calls itself sRGB; Little CMS is the judge."""
    import imagecodecs

    from tratto.imaging.color import srgb_profile
    from tratto.imaging.io import read_image

    cases = Path(__file__).parents[1] / "cases"
    tratto("recolor", cases / name, "--mask", cases / "wall.mask.png", "--color", "#b03a2e", "-o", tmp_path)
    receipt = json.loads((tmp_path / f"{name[:-4]}.tratto/receipt.json").read_text())
    (step,) = receipt["steps"]
    assert step["scores"]["seen_lab_distance"] <= 0.1
    assert step["notes"] == receipt["warnings"] == []

    def lab(pixels, icc):
        return imagecodecs.cms_transform(
            pixels, icc, imagecodecs.cms_profile("lab4"), colorspace="rgb", outcolorspace="lab", outdtype="float32",
            intent=1,
        )  # fmt: skip

    image = read_image(tmp_path / name)
    wall = np.asarray(Pil.open(cases / "wall.mask.png").convert("L")) > 127
    asked = lab(np.array([[[0xB0, 0x3A, 0x2E]]], np.uint8), srgb_profile())[0, 0]
    seen = lab(np.ascontiguousarray(image.pixels), image.meta.icc)[wall].mean(axis=0)
    assert np.linalg.norm(seen - asked) <= 0.1


# ------------------------------------------------------------------------------------------------ colours, light, notes


@pytest.fixture
def warm_room(tmp_path):
    """A grey-blue wall between a white ceiling and a wooden floor, under lamps; the mask, and the light's colour."""
    from tratto.imaging.color import linear_to_srgb

    rng = np.random.default_rng(0)
    light = 0.45 * np.array([1.0, 0.82, 0.55])
    reflected = np.full((90, 120, 3), (0.2, 0.25, 0.35))
    reflected[:25] = 0.8
    reflected[70:] = (0.25, 0.14, 0.07)
    shade = 0.8 + 0.2 * np.linspace(0, 1, 120)[None, :, None]
    linear = reflected * light * shade * rng.normal(1, 0.01, (90, 120, 1))
    Pil.fromarray(np.rint(255 * linear_to_srgb(np.clip(linear, 0, 1))).astype(np.uint8)).save(tmp_path / "room.png")
    mask = np.zeros((90, 120), np.uint8)
    mask[25:70] = 255
    Pil.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path, light


def test_white_paint_in_a_warm_room_has_the_hue_of_its_white(warm_room):
    import tratto
    from tratto.imaging.color import srgb_to_lab
    from tratto.imaging.paint import circular_difference

    folder, _ = warm_room
    # the picture is drawn without light that goes from wall to wall
    options = {"color": "white", "match": "paint", "bounce": 0.0}
    result = tratto.recolor(folder / "room.png", mask=folder / "mask.png", **options)
    labs = [
        srgb_to_lab(result.image.pixels[rows, 30:90] / 255.0).reshape(-1, 3).mean(0)
        for rows in (slice(35, 60), slice(5, 20))
    ]
    hues = [np.degrees(np.arctan2(lab[2], lab[1])) for lab in labs]
    assert circular_difference(*hues) < 5
    assert min(np.hypot(*lab[1:]) for lab in labs) > 12


@pytest.mark.parametrize("light", [(1, 1, 1), (1.3, 1, 0.6), (0.97, 1, 1.05)])
def test_the_light_of_a_room_is_that_of_its_bright_neutral_surfaces(light):
    from tratto.imaging.repaint.reflections import light_color

    rng = np.random.default_rng(1)
    white = rng.uniform(0.6, 0.7, (400, 1)) * np.array(light)
    wood = rng.uniform(0.1, 0.2, (2000, 1)) * np.array([1, 0.5, 0.2]) * light
    found = light_color(np.concatenate([white, wood]))
    np.testing.assert_allclose(found / found[1], light, rtol=0.02)
    # nothing bright that a lamp explains: green and violet
    odd = np.concatenate([rng.uniform(0.5, 0.7, (500, 1)) * c for c in ([[0.3, 1, 0.3]], [[1, 0.3, 1]])])
    np.testing.assert_array_equal(light_color(odd), 1)


@pytest.mark.parametrize(("color", "noted"), [("#f4f1ea", True), ("#506070", False)])
def test_contrast_that_is_given_up_is_told(color, noted):
    import tratto

    room, mask = (Pil.open(ROOM / name).resize((180, 135)) for name in ("room.jpg", "room_wall.png"))
    result = tratto.recolor(room, mask=mask, color=color)
    given_up = result.records[0].scores["contrast_given_up"]
    assert (given_up >= 0.2) == noted
    assert any("--match paint" in w and f"{100 * given_up:.0f} %" in w for w in result.warnings) == noted


def test_several_colors_in_one_run(warm_room):
    folder, _ = warm_room
    Pil.new("RGB", (4, 4), (200, 30, 30)).save(folder / "red.png")
    line = ["recolor", str(folder / "room.png"), "--mask", str(folder / "mask.png")]
    several = [*line, "--color", "NavajoWhite", "--color", "#506070", "--swatch", str(folder / "red.png")]
    done = CliRunner().invoke(app, [*several, "-o", str(folder / "out"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [o["output"].split("/")[-2] for o in told] == ["NavajoWhite", "506070", "red"]
    asked = [o["steps"][0]["params"]["color"] for o in told]
    np.testing.assert_allclose(np.array(asked) * 255, [(255, 222, 173), (80, 96, 112), (200, 30, 30)], atol=1e-6)
    for wrong in (["-o", str(folder / "one.png")], ["-o", str(folder / "new"), "--color", "no-such"]):
        assert CliRunner().invoke(app, [*several, *wrong]).exit_code == 2
    assert not (folder / "new").exists()


def test_the_report_shows_the_colors(warm_room):
    folder, _ = warm_room
    line = ["recolor", str(folder / "room.png"), "--mask", str(folder / "mask.png"), "--color", "#506070"]
    assert CliRunner().invoke(app, [*line, "-o", str(folder)], catch_exceptions=False).exit_code == 4
    assert CliRunner().invoke(app, [*line, "-o", str(folder / "out")]).exit_code == 0
    receipt = json.loads((folder / "out/room.tratto/receipt.json").read_text())
    page = (folder / "out/room.tratto/report.html").read_text()
    scores = receipt["steps"][0]["scores"]
    assert page.count("#506070") >= 2
    assert f"{scores['seen_lab_distance']:.2f} (CIE 1976)" in page
    assert f"{scores['seen_delta_e_2000']:.2f} (CIEDE2000)" in page
    assert 'alt="The colour as seen"' in page
