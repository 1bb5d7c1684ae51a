from dataclasses import replace

import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.imaging.color import linear_to_srgb, srgb_to_lab, srgb_to_linear
from tratto.imaging.paint import parse_color
from tratto.imaging.repaint import Painter, RepaintTarget, fit_wall, look_at_wall
from tratto.imaging.texture import Tile, homography

OLD = np.array([0.55, 0.48, 0.36], np.float32)


def lit(height=90, width=120, seed=0):
    """Soft light with fall-off, a soft shadow and a fine relief; mean near 0.6."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    light = 0.35 + 0.5 * np.exp(-((x - 30) ** 2 + (y - 20) ** 2) / 4000)
    light *= 1 - 0.4 / (1 + np.exp(-(x - 80) / 2))
    light *= np.exp(np.random.default_rng(seed).normal(0, 0.02, light.shape))
    return light[..., None] * np.array([1.0, 0.97, 0.9])


def room(mask=None):
    light = lit()
    mask = np.ones(light.shape[:2], np.float32) if mask is None else mask
    other = np.array([0.1, 0.2, 0.3])
    picture = mask[..., None] * OLD * light + (1 - mask[..., None]) * other
    return picture.astype(np.float32), light, mask


def wish(code, match="seen", **more):
    rgb = np.array(parse_color(code))
    return RepaintTarget(srgb_to_linear(rgb).astype(np.float32), np.asarray(srgb_to_lab(rgb)), match, **more)


def run(picture, mask, wanted):
    rows = lambda a, b: picture[a:b]  # noqa: E731
    fit = fit_wall(rows, mask, wanted)
    return fit, Painter(rows, mask, fit, wanted.tile).paint(0, len(picture))


@pytest.mark.parametrize("code", ["#8fa68e", "#22345c", "#b5573a", "#7d7d7d", "#c9b0a0"])
def test_the_mean_as_seen_becomes_the_reference(code):
    picture, _, mask = room()
    fit, done = run(picture, mask, wish(code))
    mean = srgb_to_lab(linear_to_srgb(done.values.astype(np.float64)))[mask > 0.5].mean(axis=0)
    assert np.linalg.norm(mean - srgb_to_lab(np.array(parse_color(code)))) < 0.15
    assert fit.missed < 0.05


def test_a_known_old_paint_gives_the_true_repainted_wall():
    picture, light, mask = room()
    wanted = wish("#6f8faf", "paint", was=OLD, bounce=0.0)
    _, done = run(picture, mask, wanted)
    np.testing.assert_allclose(done.values, wanted.paint * light, rtol=0.03)


def test_reflections_follow_the_sum_over_bounces():
    picture, _, mask = room()
    fit, _ = run(picture, mask, wish("#6f8faf", "paint", was=OLD, bounce=0.4))
    ratio = np.array(fit.spread) + np.array(fit.ambient)
    paint = srgb_to_linear(np.array(parse_color("#6f8faf")))
    # the wall as told reflects exactly its paint
    np.testing.assert_allclose(np.array(fit.old) / np.array(fit.level), OLD, rtol=1e-4)
    np.testing.assert_allclose(ratio, (1 - 0.4 * OLD) / (1 - 0.4 * paint), rtol=1e-4)


def test_structure_stays_under_a_colour_far_brighter():
    picture, _, mask = room()
    dark = (picture * 0.05).astype(np.float32)
    fit, done = run(dark, mask, wish("#e8e4da"))
    before = srgb_to_lab(linear_to_srgb(dark))[..., 0]
    after = srgb_to_lab(linear_to_srgb(np.clip(done.values, 0, 1)))[..., 0]
    assert fit.missed < 0.3
    from scipy.ndimage import gaussian_filter

    a, b = (np.stack(np.gradient(gaussian_filter(v, 2))).ravel() for v in (before, after))
    assert np.corrcoef(a, b)[0, 1] > 0.95
    assert done.values.max() <= 1.0


def test_bands_are_the_same_however_they_are_cut():
    mask = np.zeros((200, 60), np.float32)
    mask[10:190, 5:40] = 1
    mask[10:190, 40] = 0.5
    rng = np.random.default_rng(1)
    picture = rng.uniform(0.2, 0.4, (200, 60, 3)).astype(np.float32)
    rows = lambda a, b: picture[a:b]  # noqa: E731
    fit = replace(fit_wall(rows, mask, wish("#c8d4e0", noise=2.0)), keep=(0.5, 0.6, 0.7), sigma=(0.05, 0.05, 0.06))
    painter = Painter(rows, mask, fit)
    whole = painter.paint(0, 200)
    parts = [painter.paint(a, min(200, a + 37)) for a in range(0, 200, 37)]
    np.testing.assert_allclose(np.concatenate([p.values for p in parts]), whole.values, atol=2e-6)
    np.testing.assert_allclose(np.concatenate([p.alpha for p in parts]), whole.alpha, atol=2e-6)


def test_no_old_colour_is_left_on_a_soft_edge():
    y, x = np.mgrid[0:90, 0:120]
    mask = np.clip((70.5 - x + 0.2 * (y - 45)) / 2, 0, 1).astype(np.float32)
    light = np.full((90, 120, 3), 0.8)
    other = np.array([0.1, 0.2, 0.3])
    picture = (mask[..., None] * OLD * light + (1 - mask[..., None]) * other).astype(np.float32)
    wanted = wish("#203a24", "paint", was=OLD, bounce=0.0)
    _, done = run(picture, mask, wanted)
    true = mask[..., None] * wanted.paint * light + (1 - mask[..., None]) * other
    np.testing.assert_allclose(done.values, true, atol=0.004)


def test_a_texture_lies_under_the_light_and_its_mean_is_met():
    picture, light, mask = room()
    rng = np.random.default_rng(3)
    rgb = rng.integers(90, 200, (16, 16, 3)).astype(np.uint8)
    tile = Tile.of(rgb, homography([(0, 0), (119, 0), (119, 89), (0, 89)], 5, 4))
    lab = np.asarray(srgb_to_lab(rgb / 255)).reshape(-1, 3).mean(axis=0)
    _, done = run(picture, mask, RepaintTarget(tile.mean, lab, "seen", tile=tile, bounce=0.0))
    mean = srgb_to_lab(linear_to_srgb(np.clip(done.values, 0, 1))).reshape(-1, 3).mean(axis=0)
    assert np.linalg.norm(mean - lab) < 0.4
    y, x = np.mgrid[0:90, 0:120].astype(np.float32)
    ratio = done.values / (tile.sample(y, x) * light)
    assert (ratio.std(axis=(0, 1)) / ratio.mean(axis=(0, 1))).max() < 0.06


def test_a_mask_without_a_wall_is_refused():
    picture, _, _ = room()
    thin = np.zeros(picture.shape[:2], np.float32)
    thin[3, 3:9] = 1
    with pytest.raises(OptionError, match="16"):
        run(picture, thin, wish("#8fa68e"))


def test_a_white_wall_keeps_the_structure_that_eight_bits_can_hold():
    """The seven rendered cases in small: a mean of lightness 95 under uneven light."""
    y, x = np.mgrid[0:120, 0:160].astype(np.float64)
    light = 0.5 + 0.6 * np.exp(-((x - 40) ** 2 + (y - 20) ** 2) / 900)
    light *= np.exp(np.random.default_rng(2).normal(0, 0.02, light.shape))
    picture = np.clip(OLD * light[..., None], 0, 1).astype(np.float32)
    wanted = wish("#f4f2ee")
    fit, done = run(picture, np.ones(light.shape, np.float32), wanted)
    from tratto.imaging.working import rounded_for_lightness
    from tratto_lab.evaluation.recolor import gradient_correlation

    after = rounded_for_lightness((255 * linear_to_srgb(np.clip(done.values, 0, 1))).astype(np.float32))
    before = np.rint(255 * linear_to_srgb(picture)).astype(np.uint8)
    kept = gradient_correlation(before, after.astype(np.uint8), np.full(light.shape, 255, np.uint8))
    assert fit.missed < 0.05
    assert kept > 0.95


def test_how_much_light_a_wall_gives_itself_follows_from_where_it_ends():
    grey = np.full((90, 120, 3), 0.3, np.float32)
    shares = {}
    for name, columns in {"ends twice": (20, 100), "ends once": (0, 100), "goes on": (0, 120)}.items():
        mask = np.zeros((90, 120), np.float32)
        mask[10:70, columns[0] : columns[1]] = 1
        shares[name] = run(grey, mask, wish("#6f8faf", "paint"))[0].bounce
    assert shares == {"ends twice": 0.15, "ends once": 0.35, "goes on": 0.55}


@pytest.mark.parametrize("code", ["#8fa68e", "#f4f2ee"])
def test_a_picture_taken_apart_once_gives_the_samples_of_taking_it_apart_again(code):
    mask = np.clip((100.5 - np.arange(120)[None]) / 3, 0, 1).repeat(90, axis=0).astype(np.float32)
    picture, _, _ = room(mask)
    rows = lambda a, b: picture[a:b]  # noqa: E731
    for match in ("seen", "paint"):
        wanted = wish(code, match, noise=2.0)
        ready = look_at_wall(rows, mask, wanted)
        assert ready.fit == fit_wall(rows, mask, wanted)
        again = Painter(rows, mask, ready.fit)
        for a, b in ((0, 37), (37, 90)):
            np.testing.assert_array_equal(ready.paint(a, b).values, again.paint(a, b).values)
            np.testing.assert_array_equal(ready.paint(a, b).alpha, again.paint(a, b).alpha)
