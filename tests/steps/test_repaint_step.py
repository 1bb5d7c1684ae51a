import json
from dataclasses import fields, replace

import numpy as np
import pytest

import tratto
from tratto.core.canvas import Canvas
from tratto.core.errors import ForbiddenStep, OptionError
from tratto.core.image import Mask
from tratto.core.recipe import Recipe
from tratto.imaging.color import srgb_to_lab
from tratto.imaging.io import image_from_array
from tratto.imaging.matting import coverage
from tratto.imaging.paint import parse_color
from tratto.steps import step_class
from tratto.steps.repaint import Repaint


def room(dtype=np.uint8):
    y, x = np.mgrid[0:96, 0:128]
    light = 0.55 + 0.35 * np.cos(x / 50) * np.cos(y / 60)
    mask = np.clip((90.5 - x + 0.15 * y) / 2, 0, 1)
    mask[:20] = 0
    wall, other = np.array([0.85, 0.75, 0.6]), np.array([0.25, 0.35, 0.3])
    rgb = mask[..., None] * wall * light[..., None] + (1 - mask[..., None]) * other
    rgb += np.random.default_rng(0).normal(0, 0.004, rgb.shape)
    full = np.iinfo(dtype).max
    return np.rint(rgb.clip(0, 1) * full).astype(dtype), np.rint(255 * mask).astype(np.uint8)


def mean_seen(result, mask):
    rgb = np.asarray(result.image.pixels) / result.image.max_value
    return np.asarray(srgb_to_lab(rgb))[mask > 127].mean(axis=0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_wall_is_met_and_nothing_else_is_touched(dtype):
    picture, mask = room(dtype)
    result = tratto.recolor(picture, mask=mask, color="#6f8faf")
    out = np.asarray(result.image.pixels)
    assert out.dtype == dtype
    np.testing.assert_array_equal(out[mask == 0], picture[mask == 0])
    want = np.asarray(srgb_to_lab(np.array(parse_color("#6f8faf"))))
    assert np.linalg.norm(mean_seen(result, mask) - want) < 0.15
    scores = result.records[0].scores
    assert scores["seen_lab_distance"] == pytest.approx(np.linalg.norm(mean_seen(result, mask) - want), abs=0.02)
    assert scores["seen_hue_error"] < 0.5
    assert result.edit_map[mask == 0].max() == 0
    assert (result.edit_map[30:80, 10:60] > 0).all()
    assert (result.confidence[mask == 0] == 65535).all()
    assert (result.confidence[30:80, 10:60] < 65535).all()


def test_the_claim_is_hypothetical_and_the_numbers_are_in_the_recipe():
    picture, mask = room()
    result = tratto.recolor(picture, mask=mask, color="#6f8faf", match="paint", was="#d9bf99")
    assert result.receipt["claim"]["status"] == "hypothetical reconstruction"
    step = result.resolved.steps[0]
    assert isinstance(step, Repaint)
    assert step.fit is not None
    again = Recipe.from_json(json.loads(json.dumps(result.resolved.to_json())), step_class)
    assert again == result.resolved
    assert "paint_lab_distance" in result.records[0].scores
    assert result.records[0].scores["paint_lab_distance"] < 0.01


def test_a_saved_result_replays_bit_by_bit_and_verifies(tmp_path):
    picture, mask = room()
    tile = np.random.default_rng(1).integers(60, 220, (24, 24, 3)).astype(np.uint8)
    corners = ((5, 20), (80, 22), (78, 90), (8, 94))
    from tratto.imaging.io import image_from_array, write_image

    source = tmp_path / "room.png"
    write_image(image_from_array(picture), source, "png")
    result = tratto.recolor(source, mask=mask, texture=tile, corners=corners, repeat=(4, 4), edge=2)
    tratto.save(result, tmp_path / "out.png", source=source)
    assert tratto.replay(tmp_path / "out.png").tier == "A"
    assert tratto.verify(tmp_path / "out.png").word == "authentic"


def test_half_strength_is_half_way():
    picture, mask = room()
    full = tratto.recolor(picture, mask=mask, color="#6f8faf").image.pixels.astype(int)
    half = tratto.recolor(picture, mask=mask, color="#6f8faf", strength=0.5).image.pixels.astype(int)
    deep = (slice(30, 80), slice(5, 70))
    assert np.abs(half[deep] - (full[deep] + picture[deep].astype(int)) / 2).max() <= 0.5


def test_a_hard_mask_is_told_of_and_edge_reaches_beyond():
    picture, mask = room()
    hard = np.where(mask > 127, 255, 0).astype(np.uint8)
    strict = tratto.recolor(picture, mask=hard, color="#203a24")
    np.testing.assert_array_equal(strict.image.pixels[hard == 0], picture[hard == 0])
    assert any("--edge 2" in w for w in strict.warnings)
    wide = tratto.recolor(picture, mask=hard, color="#203a24", edge=2)
    changed = (wide.image.pixels != picture).any(axis=2) & (hard == 0)
    assert changed.any()
    from scipy.ndimage import distance_transform_edt

    assert distance_transform_edt(hard == 0)[changed].max() <= 2.9
    soft = tratto.recolor(picture, mask=mask, color="#203a24", match="paint", was="#d9bf99").image.pixels.astype(float)
    told = {"color": "#203a24", "match": "paint", "was": "#d9bf99"}
    rim = (mask > 0) & (hard == 0)
    near = tratto.recolor(picture, mask=hard, edge=2, **told).image.pixels.astype(float)
    far = tratto.recolor(picture, mask=hard, **told).image.pixels.astype(float)
    assert np.abs(near - soft)[rim].mean() < 0.3 * np.abs(far - soft)[rim].mean()


def test_clicks_find_the_wall():
    picture, mask = room()
    result = tratto.recolor(picture, clicks=((30, 60),), color="#6f8faf")
    found = coverage(result.mask.values) > 0.5
    truth = mask > 127
    assert (found & truth).sum() / (found | truth).sum() > 0.95
    assert any("searched from 30,60" in r for r in result.asked.reasons)


def test_what_makes_no_sense_is_refused():
    picture, mask = room()
    with pytest.raises(OptionError, match="wall"):
        tratto.recolor(picture, color="#6f8faf")
    with pytest.raises(OptionError, match="gray"):
        tratto.recolor(picture[..., 0], mask=mask, color="#6f8faf")
    with pytest.raises(OptionError, match="empty"):
        tratto.recolor(picture, mask=np.zeros_like(mask), color="#6f8faf")
    with pytest.raises(ForbiddenStep):
        tratto.recolor(picture, mask=mask, color="#6f8faf", session=tratto.Session(forensic=True))
    with pytest.raises(OptionError, match="either"):
        Repaint()
    with pytest.raises(OptionError, match="match"):
        Repaint(color=[0, 0, 0], match="both")
    with pytest.raises(OptionError, match="resolved"):
        Repaint(color=[0, 0, 0]).apply(None, None)
    step = tratto.recolor(picture, mask=mask, color="#6f8faf").resolved.steps[0]
    broken = replace(step, fit={"old": [1, 1, 1]})
    from tratto.core.canvas import Canvas
    from tratto.core.image import Mask
    from tratto.imaging.io import image_from_array

    image = image_from_array(picture)
    canvas = Canvas(image, image, {"edit": Mask((mask / 255).astype(np.float32))})
    with pytest.raises(OptionError, match="fit"):
        broken.apply(canvas, None)


def test_palette_pictures_keep_what_is_outside():
    from PIL import Image as Pil

    picture, mask = room()
    flat = Pil.fromarray(picture).quantize(64)
    result = tratto.recolor(flat, mask=mask, color="#6f8faf")
    before = np.asarray(flat.convert("RGB"))
    palette = result.image.palette[:, :3]
    shown = palette[result.image.pixels]
    np.testing.assert_array_equal(shown[mask == 0], before[mask == 0])


def test_what_resolving_saw_is_let_go_and_serves_no_other_picture(fake_services):
    picture, mask = room()
    step = tratto.recolor(picture, mask=mask, color="#22345c").resolved.steps[0]
    assert set(step.__dict__) == {f.name for f in fields(step)}  # nothing large stays behind in a recipe
    under = {"edit": Mask(mask.astype(np.float32) / 255)}
    canvas, other = (Canvas(i, i, under) for i in map(image_from_array, (picture, 255 - picture)))
    asked = Repaint(color=[0.2, 0.3, 0.5], noise=1.0)
    for seen in (canvas, other):
        wrong = asked.resolve(seen, fake_services)  # looked at one picture, applied to the other
        applied, _ = wrong.apply(other, fake_services)
        plain, _ = replace(wrong).apply(other, fake_services)
        np.testing.assert_array_equal(applied.image.pixels, plain.image.pixels)


@pytest.mark.parametrize("strength", [0.0, 0.4])
def test_a_share_of_the_effect_is_measured_as_it_is_seen(strength):
    picture, mask = room()
    result = tratto.recolor(picture, mask=mask, color="#22345c", strength=strength)
    want = np.asarray(srgb_to_lab(np.array(parse_color("#22345c"))))
    record = result.records[0]
    assert record.scores["seen_lab_distance"] == pytest.approx(np.linalg.norm(mean_seen(result, mask) - want), abs=0.02)
    assert record.scores["seen_lab_distance"] > 10
    assert "paint_lab_distance" not in record.scores
    assert any("strength 0.4" in n for n in record.notes) == (strength == 0.4)


def test_a_mean_missed_under_a_wide_soft_edge_says_so():
    picture, mask = room()
    result = tratto.recolor(picture, mask=mask, color="#f4f2ee", feather=64)
    assert any("in part only" in n for n in result.records[0].notes)
