import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto_lab.simulate.damage import CLASSES, VARIANTS, damage, damage_all, natural_unit, paste_sprite
from tratto_lab.simulate.damage_field import Stroke, fractal, ink
from tratto_lab.simulate.holes import SIZES, hole


def picture(h=96, w=128):
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    base = 0.45 + 0.25 * np.sin(x / 9) * np.cos(y / 13)
    return np.stack([base, 0.9 * base + 0.05, 0.8 * base], -1).astype(np.float32)


EVERY = [(kind, variant) for kind in VARIANTS for variant in VARIANTS[kind]]


@pytest.mark.parametrize(("kind", "variant"), EVERY)
def test_mask_is_exactly_where_the_picture_changed(kind, variant):
    clean = picture()
    changed_somewhere = False
    for seed in range(4):
        done = damage(clean, kind, 0.8, np.random.default_rng(seed), variant, unit=1.5)
        mask = done.masks[kind]
        assert done.picture.dtype == mask.dtype == np.float32
        assert done.picture.min() >= 0
        assert done.picture.max() <= 1
        assert 0 <= mask.min() <= mask.max() <= 1
        changed = (done.picture != clean).any(axis=2)
        np.testing.assert_array_equal(mask > 0, changed)
        changed_somewhere |= bool(changed.any())
        assert done.applied[0].name == kind
        assert done.applied[0].parameters["variant"] == variant
    assert changed_somewhere


@pytest.mark.parametrize("kind", CLASSES)
def test_same_seed_same_damage_and_input_untouched(kind):
    clean = picture()
    kept = clean.copy()
    a = damage(clean, kind, 0.6, np.random.default_rng(5))
    b = damage(clean, kind, 0.6, np.random.default_rng(5))
    c = damage(clean, kind, 0.6, np.random.default_rng(6))
    np.testing.assert_array_equal(a.picture, b.picture)
    assert a.applied == b.applied
    assert (a.picture != c.picture).any()
    np.testing.assert_array_equal(clean, kept)


@pytest.mark.parametrize("kind", CLASSES)
def test_severity_damages_more(kind):
    clean = picture(128, 128)

    def share(severity):
        seeds = range(12)
        return np.mean(
            [np.abs(damage(clean, kind, severity, np.random.default_rng(s)).picture - clean).mean() for s in seeds]
        )

    assert share(0.9) > 1.3 * share(0.1)


def test_several_kinds_keep_a_mask_each():
    clean = picture()
    done = damage_all(clean, [("crack", 0.9), ("stain", 0.9), ("crack", 0.5)], np.random.default_rng(2), unit=1.5)
    assert set(done.masks) == {"crack", "stain"}
    assert [a.name for a in done.applied] == ["crack", "stain", "crack"]
    np.testing.assert_array_equal(done.mask, np.maximum(done.masks["crack"], done.masks["stain"]))
    np.testing.assert_array_equal(done.picture[done.mask == 0], clean[done.mask == 0])


def test_no_damage_has_an_empty_mask():
    done = damage_all(picture(), [], np.random.default_rng(0))
    assert done.mask.max() == 0


def test_what_makes_no_sense_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(OptionError, match="one of crack"):
        damage(picture(), "flood", 0.5, rng)
    with pytest.raises(OptionError, match="severity"):
        damage(picture(), "crack", 1.5, rng)
    with pytest.raises(OptionError, match="emulsion, masonry"):
        damage(picture(), "crack", 0.5, rng, "spray")
    with pytest.raises(OptionError, match="float32"):
        damage(picture().astype(np.float64), "crack", 0.5, rng)
    with pytest.raises(OptionError, match="unit"):
        damage(picture(), "crack", 0.5, rng, unit=0.0)


def test_sprite_is_laid_on_with_its_mask():
    clean = picture()
    sprite = np.zeros((40, 60), np.float32)
    sprite[10:30, 20:40] = 1
    done = paste_sprite(clean, sprite, np.random.default_rng(3), light=True)
    changed = (done.picture != clean).any(axis=2)
    np.testing.assert_array_equal(done.masks["dirt"] > 0, changed)
    assert changed.any()
    assert (done.picture[changed].mean(axis=1) >= clean[changed].mean(axis=1)).all()


def test_a_straight_line_covers_its_area():
    line = ink((40, 60), [Stroke(np.array([[5.0, 20.0], [55.0, 20.0]]), np.array([4.0, 4.0]))])
    # a line of 4 pixels thickness over 50 columns, its round ends aside
    np.testing.assert_allclose(line[:, 15:45].sum(axis=0), 4.0, atol=0.3)
    np.testing.assert_allclose((line[:, 15:45] * np.arange(40)[:, None]).sum(axis=0) / 4.0, 20.0, atol=1.6)
    assert line[:16].max() == 0
    assert line[25:].max() == 0


def test_a_thin_line_covers_a_part_of_its_pixels():
    line = ink((20, 40), [Stroke(np.array([[2.0, 10.0], [38.0, 10.0]]), np.array([0.5, 0.5]))])
    np.testing.assert_allclose(line[:, 10:30].sum(axis=0), 0.5, atol=0.26)


def test_fractal_noise_has_about_unit_deviation():
    values = [fractal((96, 96), 24.0, np.random.default_rng(s)) for s in range(20)]
    assert abs(np.mean([v.mean() for v in values])) < 0.15
    assert 0.7 < np.mean([v.std() for v in values]) < 1.3


@pytest.mark.parametrize("size", SIZES)
def test_holes_cover_about_the_stated_share(size):
    shares = [hole((200, 240), size, np.random.default_rng(s)).mean() for s in range(8)]
    want = {"thin": 0.06, "medium": 0.08, "large": 0.08}[size]
    assert 0.6 * want < np.mean(shares) < 1.8 * want
    with pytest.raises(OptionError, match="thin, medium, large"):
        hole((20, 20), "huge", np.random.default_rng(0))


def test_large_holes_are_deeper_than_thin_ones():
    import cv2

    def depth(size):
        h = hole((200, 240), size, np.random.default_rng(4))
        return cv2.distanceTransform(np.pad(h, 1).astype(np.uint8), cv2.DIST_L2, 3).max()

    assert depth("thin") < 5
    assert 4 < depth("medium") < 25
    assert depth("large") > 20


def test_natural_unit_grows_with_the_picture():
    assert natural_unit(100, 100) == 0.8
    assert natural_unit(900, 900) == 2.0


def test_sheet_shows_every_variant():
    from tratto.core.image import ColorMode, Image
    from tratto_lab.simulate.damage_sheet import damage_sheet

    image = Image(np.rint(255 * picture()).astype(np.uint8), ColorMode.RGB)
    sheet = damage_sheet(image, 0.7, 1, width=64)
    rows = -(-(1 + len(EVERY)) // 4)
    assert (sheet.width, sheet.height) == (4 * 70 + 6, rows * (48 + 24) + 6)
    with pytest.raises(OptionError, match="64x64"):
        damage_sheet(Image(np.zeros((20, 20, 3), np.uint8), ColorMode.RGB))
