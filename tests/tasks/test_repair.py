import json

import numpy as np
import pytest
from PIL import Image as Pil

import tratto
from tratto.core.capability import Filled, InpainterInfo
from tratto.core.errors import ForbiddenStep, OptionError
from tratto.core.image import ColorMode
from tratto.jobs import Session, replay, save, verify
from tratto.steps.inpaint import DEEP, HALF_DEEP, Inpaint, deep_pixels, fill_channels, find_parts
from tratto.tasks.repair import RepairOptions, plan


def picture(h=120, w=150, bits=8):
    y, x = np.mgrid[0:h, 0:w]
    full = 255 if bits == 8 else 65535
    base = 0.5 + 0.2 * np.sin(x / 5.0) * np.cos(y / 7.0) + 0.1 * np.sin((x + y) / 2.0)
    px = np.stack([base, 0.8 * base + 0.1, 0.7 * base], -1)
    return np.rint(px * full).astype(np.uint8 if bits == 8 else np.uint16)


def damage(h=120, w=150):
    hole = np.zeros((h, w), bool)
    hole[30:33, 10:140] = True  # a scratch
    hole[70:110, 60:100] = True  # a large part
    hole[50:90, 80:82] = True  # a crack that runs into it
    return hole


def test_outside_the_mask_every_sample_is_the_same_and_inside_it_is_filled():
    px, hole = picture(), damage()
    broken = px.copy()
    broken[hole] = (255, 0, 255)
    done = tratto.repair(broken, mask=hole)
    out = done.image.pixels
    np.testing.assert_array_equal(out[~hole], px[~hole])
    assert not (out[hole] == (255, 0, 255)).all(axis=1).any()
    assert np.abs(out[hole].astype(float) - px[hole]).mean() < 40
    np.testing.assert_array_equal(done.edit_map[~hole], 0)
    np.testing.assert_array_equal(done.confidence[~hole], 65535)
    assert done.confidence[hole].max() < 65535
    assert done.receipt["claim"]["status"] == "hypothetical reconstruction"
    assert done.receipt["mask"]["covered"] == pytest.approx(hole.mean())


def test_the_record_says_who_filled_what():
    px, hole = picture(), damage()
    step = tratto.repair(px, mask=hole).receipt["steps"][0]
    assert step["step"] == "inpaint"
    assert step["params"]["fine"] in ("tratto", "plate")
    (region,) = step["params"]["regions"]
    assert region["by"] == "mixed"
    x, y = region["at"]
    assert hole[y, x]
    assert region["depth"] > DEEP
    # the crack that runs into the large part is not part of it
    assert region["box"][1] > 60
    assert step["scores"]["filled_pixels"] == hole.sum()
    assert step["generative"] is True


@pytest.mark.parametrize("mode", ["gray", "rgba", "cmyk", "sixteen"])
def test_other_modes_keep_what_is_outside(mode, tmp_path):
    px, hole = picture(bits=16 if mode == "sixteen" else 8), damage()
    if mode == "gray":
        given = px[..., 0]
    elif mode == "rgba":
        given = np.concatenate([px, np.full((*hole.shape, 1), 77, np.uint8)], axis=2)
    elif mode == "sixteen":
        given = px
    else:
        from tratto.core.image import Image

        inks = np.concatenate([255 - px, np.full((*hole.shape, 1), 30, np.uint8)], axis=2)
        given = Image(inks, ColorMode.CMYK)
    done = tratto.repair(given, mask=hole)
    before = given.pixels if mode == "cmyk" else given
    after = done.to_numpy()
    np.testing.assert_array_equal(after[~hole], before[~hole])
    assert after.dtype == before.dtype
    assert (after[hole] != before[hole]).any()
    if mode == "rgba":
        np.testing.assert_array_equal(after[..., 3], 77)


def test_bundle_verifies_replays_and_reverts(tmp_path):
    px, hole = picture(), damage()
    px[hole] = 255
    Pil.fromarray(px).save(tmp_path / "a.png")
    done = tratto.repair(tmp_path / "a.png", mask=hole, seed=5)
    saved = save(done, tmp_path / "out.png", source=tmp_path / "a.png")
    assert verify(saved.output).exit_code == 0
    assert replay(saved.output).tier == "A"
    tratto.revert(saved.output, tmp_path / "back.png")
    assert (tmp_path / "back.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def test_growing_and_blending_are_in_mask_and_receipt():
    px, hole = picture(), np.zeros((120, 150), bool)
    hole[60:64, 40:60] = True
    plain = tratto.repair(px, mask=hole)
    grown = tratto.repair(px, mask=hole, grow=3)
    soft = tratto.repair(px, mask=hole, blend=4)
    assert (plain.mask.values > 0).sum() == 80
    y, x = np.mgrid[0:120, 0:150]
    distance = np.hypot(np.maximum(np.maximum(60 - y, y - 63), 0), np.maximum(np.maximum(40 - x, x - 59), 0))
    np.testing.assert_array_equal(grown.mask.values > 0, distance < 3.5)
    assert ((soft.mask.values > 0) & (soft.mask.values < 1)).any()
    assert grown.receipt["steps"][0]["params"]["grow"] == 3
    assert soft.receipt["steps"][0]["params"]["blend"] == 4
    outside = soft.mask.values == 0
    np.testing.assert_array_equal(soft.image.pixels[outside], px[outside])
    assert "4 pixels" in " ".join(soft.asked.reasons)


def test_an_empty_mask_is_no_repair():
    with pytest.raises(OptionError, match="nothing is repaired"):
        tratto.repair(picture(), mask=np.zeros((120, 150), bool))


def test_what_makes_no_sense_is_refused():
    px = picture()
    with pytest.raises(OptionError, match="what is damaged"):
        tratto.repair(px)
    with pytest.raises(OptionError, match="whole picture"):
        tratto.repair(px, mask=np.ones((120, 150), bool))
    with pytest.raises(OptionError, match="grow"):
        RepairOptions(grow=-1)
    with pytest.raises(OptionError, match="no inpainter"):
        tratto.repair(px, mask=damage(), method="magic")
    with pytest.raises(ForbiddenStep, match="forensic"):
        Session(forensic=True).repair(px, RepairOptions(), damage())


@pytest.mark.parametrize("method", ["plate", "telea", "navier-stokes", "patch", "mixed"])
def test_a_named_method_does_all(method):
    px, hole = picture(), damage()
    done = tratto.repair(px, mask=hole, method=method)
    step = done.receipt["steps"][0]
    assert step["provider"] == method
    regions = step["params"]["regions"]
    # copied texture fills a deep part in one go, where squares would leave a seam
    assert {r["by"] for r in regions} == ({method} if method in ("patch", "mixed") else set())
    np.testing.assert_array_equal(done.image.pixels[~hole], px[~hole])


def test_plan_is_one_step_that_survives_json():
    from tratto.core.recipe import Recipe
    from tratto.steps import step_class

    recipe = plan(RepairOptions(method="telea", grow=2, seed=9), None)
    again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())), step_class)
    assert again == recipe
    assert recipe.steps[0] == Inpaint(method="telea", grow=2, grain="match", tight=True)
    assert recipe.seed == 9


def test_deep_parts_are_cut_off_from_lines():
    hole = damage()
    deep, depth = deep_pixels(hole)
    assert deep[75:105, 65:95].all()
    assert not deep[30:33].any()
    assert not deep[50:60].any()
    # what is left to the inpainter of fine damage is thin
    assert depth[hole & ~deep].max() <= HALF_DEEP
    (part,) = find_parts(hole)
    assert part.depth == pytest.approx(20, abs=1)
    assert part.pixels == deep.sum()


def test_a_region_of_another_mask_is_refused(fake_services):
    from tratto.core.canvas import Canvas
    from tratto.core.image import Image, Mask

    image = Image(picture(), ColorMode.RGB)
    canvas = Canvas(image, image, {"edit": Mask(damage().astype(np.float32))})
    step = Inpaint(fine="plate", regions=[{"at": [0, 0], "by": "patch"}])
    with pytest.raises(OptionError, match="another mask"):
        step.apply(canvas, fake_services)


class Recorder:
    """An inpainter of three channels that fills with a constant and remembers what it saw."""

    info = InpainterInfo("recorder", 8, channels=3, library="numpy 1")

    def __init__(self):
        self.seen = []

    def fill(self, picture, hole, seed=0):
        self.seen.append(picture)
        return Filled(np.where(hole[..., None], np.float32(0.25), picture), np.full(hole.shape, 0.1, np.float32))


def test_inks_are_shown_as_light_and_come_back_as_inks():
    planes = np.full((8, 8, 4), 0.9, np.float32)
    hole = np.zeros((8, 8), bool)
    hole[2:4] = True
    painter = Recorder()
    out, sigma = fill_channels(painter, planes, hole, 0, ColorMode.CMYK)
    assert len(painter.seen) == 2
    np.testing.assert_allclose(painter.seen[0][0, 0], 0.1, atol=1e-6)
    np.testing.assert_allclose(out[2, 0], 0.75, atol=1e-6)
    np.testing.assert_allclose(out[0, 0], 0.9, atol=1e-6)
    np.testing.assert_allclose(sigma[2, 0], 0.1, atol=1e-6)


def test_specks_in_a_scan_are_filled_in_small_windows():
    from tratto.steps.inpaint import SCAN_PIXELS

    hole = np.zeros((1500, 1400), bool)
    spots = np.random.default_rng(3).integers(20, 1380, (30, 2))
    for y, x in spots:
        hole[y : y + 4, x : x + 4] = True
    assert hole.size > SCAN_PIXELS
    step = Inpaint(fine="tratto", regions=[], tight=True)
    squares = step._squares(hole, 65)
    seen = np.zeros(hole.shape, int)
    for (y0, y1, x0, x1), (a, b, c, d) in squares:
        seen[y0:y1, x0:x1] += 1
        assert (a, c) == (max(0, y0 - 65) // 2 * 2, max(0, x0 - 65) // 2 * 2)
        assert (b, d) == (min(1500, y1 + 65), min(1400, x1 + 65))
    assert (seen[hole] == 1).all()
    tight = sum((b - a) * (d - c) for _, (a, b, c, d) in squares)
    whole = sum((b - a) * (d - c) for _, (a, b, c, d) in Inpaint(fine="tratto", regions=[])._squares(hole, 65))
    assert tight < 0.3 * whole


def test_the_estimate_grows_with_what_there_is_to_fill():
    from tratto.core.image import Mask
    from tratto.jobs import Job

    services = Job().services()
    spot, parts = np.zeros((1500, 1400), np.float32), np.zeros((1500, 1400), np.float32)
    spot[700:704, 700:704] = 1
    for y in range(100, 1400, 200):
        for x in range(100, 1300, 200):
            parts[y : y + 40, x : x + 40] = 1
    step = Inpaint(fine="tratto", grain="match", tight=True)
    few, many = (step.seconds({"edit": Mask(m)}, services) for m in (spot, parts))
    assert 0 < few < 2 < many
    assert step.seconds({}, services) is None
    assert step.seconds({"edit": Mask(spot * 0)}, services) == 0


def test_a_deep_part_of_a_scan_is_copied_without_a_rim():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:1300, 0:1300]
    base = 110 + 60 * (((x + y // 2) // 9) % 2) + 0.03 * x
    px = np.clip(base[..., None] + rng.normal(0, 3, (1300, 1300, 3)), 0, 255).astype(np.uint8)
    hole = (y - 600) ** 2 + (x - 700) ** 2 < 40**2
    done = tratto.repair(px, mask=hole)
    (region,) = done.resolved.steps[0].regions
    assert region["by"] == "texture"
    inside = done.image.pixels[hole].astype(float)
    assert abs(inside.mean() - px[hole].mean()) < 4
    assert inside.std() == pytest.approx(px[hole].std(), rel=0.25)
    np.testing.assert_array_equal(done.image.pixels[~hole], px[~hole])
    again = tratto.repair(px, mask=hole)
    np.testing.assert_array_equal(again.image.pixels, done.image.pixels)
