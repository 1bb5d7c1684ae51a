import logging

import numpy as np
import pytest
from PIL import Image as Pil

from tratto.core.errors import InputError, OptionError
from tratto.imaging.color import srgb_to_lab
from tratto.imaging.paint import dominant_color
from tratto_lab.corpus.wall_pairs import (
    WallPairOptions,
    WallPairs,
    eroded,
    find_pairs,
    make_reference,
    mask_quality,
    options_of,
    random_color,
    repainted,
)
from tratto_lab.evaluation.paint import score_color

WALL = np.array([0.8, 0.7, 0.5])


def room(height=120, width=160, seed=0):
    """A wall above a dark floor, with light that falls off, and its mask."""
    rng = np.random.default_rng(seed)
    x = np.linspace(1, 0.8, width)[None, :, None]
    wall = WALL * x + rng.normal(0, 0.005, (height, width, 3))
    mask = np.zeros((height, width), np.float32)
    mask[: height * 2 // 3] = 1
    return np.where(mask[..., None] > 0, wall, [0.3, 0.2, 0.1]).clip(0, 1).astype(np.float32), mask


def write(folder, name, rgb, mask):
    Pil.fromarray(np.rint(255 * rgb).astype(np.uint8)).save(folder / f"{name}.png")
    Pil.fromarray(np.rint(255 * mask).astype(np.uint8)).save(folder / f"{name}_mask.png")


@pytest.fixture
def folder(tmp_path):
    for seed in range(3):
        write(tmp_path, f"room{seed}", *room(seed=seed))
    return tmp_path


def test_a_sample_has_the_stated_shapes_ranges_and_colour(folder):
    pairs = WallPairs(folder, WallPairOptions(side=96, random_share=0))
    sample = pairs.sample(0, np.random.default_rng(0))
    assert {k: v.shape for k, v in sample.items() if k != "name"} == {
        "pixel_values": (3, 96, 96),
        "mask": (1, 96, 96),
        "reference_image": (3, 512, 512),
        "dominant_color": (3,),
    }
    assert sample["name"] == "room0.png"
    assert all(v.dtype == np.float32 for k, v in sample.items() if k != "name")
    assert sample["pixel_values"].min() >= -1
    assert sample["pixel_values"].max() <= 1
    assert set(np.unique(sample["mask"])) == {0.0, 1.0}
    # the wall's colour is somewhere along its fall-off of light
    ratio = sample["dominant_color"] / WALL
    assert np.ptp(ratio) < 0.01
    assert 0.8 < ratio.mean() < 1
    # 96 rows for 120, two thirds of them wall, less five
    assert sample["mask"][0].sum(axis=0).max() == 64 - 5


def test_equal_generators_give_equal_samples_and_iterating_gives_each_once(folder):
    pairs = WallPairs(folder, WallPairOptions(side=64))
    a, b = (pairs.sample(1, np.random.default_rng(7)) for _ in range(2))
    for key in ("pixel_values", "mask", "reference_image", "dominant_color"):
        np.testing.assert_array_equal(a[key], b[key])
    assert [s["name"] for s in pairs] == ["room0.png", "room1.png", "room2.png"]


def test_the_picture_is_never_its_own_reference(folder):
    """Grain and light aside a reference is one colour: it holds nothing of the picture's structure."""
    pairs = WallPairs(folder, WallPairOptions(side=64))
    for sample in pairs:
        field = sample["reference_image"]
        assert field.std(axis=(1, 2)).max() < 2 * (8 + 0.05 * 255 / 2) / 255
        picture = sample["pixel_values"]
        assert picture.std(axis=(1, 2)).max() > 0.3
        np.testing.assert_allclose((field.mean(axis=(1, 2)) + 1) / 2, sample["dominant_color"], atol=0.02)


def test_grain_and_light_of_a_reference_are_as_asked():
    rng = np.random.default_rng(0)
    color = (0.5, 0.4, 0.6)
    plain = make_reference(color, WallPairOptions(texture=False), rng)
    np.testing.assert_array_equal(np.unique(plain.reshape(-1, 3), axis=0), [np.float32(color)])
    grain = make_reference(color, WallPairOptions(gradient=(1, 1)), rng) - plain
    assert grain.std() == pytest.approx(8 / 255, rel=0.01)
    lit = make_reference(color, WallPairOptions(grain=0), rng) / plain
    assert lit.min() == pytest.approx(0.95, abs=1e-5)
    assert lit.max() == pytest.approx(1.05, abs=1e-5)


def test_random_colours_are_a_share_and_their_walls_are_truly_painted(folder):
    pairs = WallPairs(folder, WallPairOptions(side=64, random_share=0.3))
    for k in range(60):
        pairs.sample(k % 3, np.random.default_rng(k))
    assert pairs.counts.made == 60
    assert 10 <= pairs.counts.random <= 27  # three standard deviations about 18
    always = WallPairs(folder, WallPairOptions(side=64, random_share=1, texture=False))
    for k in range(4):
        sample = always.sample(0, np.random.default_rng(k))
        wall = ((sample["pixel_values"] + 1) / 2).transpose(1, 2, 0)
        score = score_color(wall, sample["mask"][0], sample["dominant_color"])
        assert score.lab_distance < 3  # the eroded mask is a part of what was painted


def test_random_colours_lie_in_the_gamut_and_spread():
    colors = np.array([random_color(np.random.default_rng(k)) for k in range(200)])
    assert colors.min() >= 0
    assert colors.max() <= 1
    lab = srgb_to_lab(colors)
    assert 15 <= lab[:, 0].min() < 30
    assert lab[:, 0].max() > 85
    assert np.hypot(lab[:, 1], lab[:, 2]).std() > 15


@pytest.mark.parametrize("method", ["median", "mean", "kmeans"])
def test_the_colour_is_found_by_the_method_asked_for(folder, method):
    pairs = WallPairs(folder, WallPairOptions(side=120, random_share=0, erosion=0, color=method))
    rng = np.random.default_rng(0)
    sample = pairs.sample(0, rng)
    wall = ((sample["pixel_values"] + 1) / 2).transpose(1, 2, 0)[sample["mask"][0] > 0]
    np.testing.assert_allclose(sample["dominant_color"], dominant_color(wall, method), atol=1e-6)


def test_little_wall_takes_the_pictures_mean_and_next_to_none_is_refused_by_name(tmp_path, caplog):
    rgb, _ = room()
    small, tiny = np.zeros((2, 120, 160), np.float32)
    small[30:39, 60:69] = 1
    tiny[30:33, 60:63] = 1
    write(tmp_path, "small", rgb, small)
    write(tmp_path, "tiny", rgb, tiny)
    options = WallPairOptions(side=120, random_share=0, erosion=0, least_quality=0)
    with caplog.at_level(logging.WARNING):
        pairs = WallPairs(tmp_path, options)
        sample = pairs.sample(0, np.random.default_rng(0))
    assert [p.name for p in pairs.pairs] == ["small.png"]
    assert pairs.counts.refused == ["tiny.png"]
    assert pairs.counts.few == 1
    assert "tiny.png" in caplog.text
    assert "picture's mean" in caplog.text
    mean = ((sample["pixel_values"] + 1) / 2).mean(axis=(1, 2))
    np.testing.assert_allclose(sample["dominant_color"], mean, atol=1e-4)
    with pytest.raises(InputError, match="no pair"):
        WallPairs([p for p in find_pairs(tmp_path) if p.name == "tiny.png"], options)


def test_erosion_takes_pixels_off_the_edge_and_none_off_the_pictures_border():
    mask = np.zeros((40, 50), np.float32)
    mask[:20, 10:] = 1
    out = eroded(mask, 5)
    np.testing.assert_array_equal(np.argwhere(out > 0).min(axis=0), [0, 15])
    np.testing.assert_array_equal(np.argwhere(out > 0).max(axis=0), [14, 49])


def test_a_good_mask_scores_high_and_each_fault_lowers_its_own_part():
    rgb, mask = room()
    good = mask_quality(rgb, mask)
    assert good.score > 0.95
    # speckled: every other pixel
    speckled = mask.copy()
    speckled[::2, ::2] = 0
    assert mask_quality(rgb, speckled).solid < 0.2
    # half of the mask lies on another thing
    both = np.zeros_like(mask)
    both[30:110, 40:120] = 1
    blue = np.where(mask[..., None] > 0, rgb, np.float32([0.2, 0.3, 0.7]))
    assert mask_quality(blue, both).one_paint == pytest.approx(50 / 80, abs=0.03)
    # it ends in the middle of the wall
    half = np.zeros_like(mask)
    half[10:50, 30:110] = 1
    assert mask_quality(rgb, half).edge < 0.05
    assert mask_quality(rgb, half).score < 0.6
    assert mask_quality(rgb, np.zeros_like(mask)).score == 0
    assert mask_quality(np.full((50, 60, 3), 0.5, np.float32), np.ones((50, 60), np.float32)).score == 1
    with pytest.raises(OptionError, match="one size"):
        mask_quality(rgb, mask[:-1])


def test_poor_masks_are_left_out_and_counted(tmp_path):
    rgb, mask = room()
    write(tmp_path, "good", rgb, mask)
    half = np.zeros_like(mask)
    half[10:50, 30:110] = 1
    write(tmp_path, "poor", rgb, half)
    pairs = WallPairs(tmp_path, WallPairOptions(side=64))
    assert [p.name for p in pairs.pairs] == ["good.png"]
    assert [n for n, _ in pairs.counts.poor] == ["poor.png"]
    assert pairs.counts.poor[0][1] < 0.6
    assert pairs.counts.found == 2


def test_repainting_leaves_what_is_no_wall():
    rgb, mask = room()
    out = repainted(rgb, mask, (0.2, 0.4, 0.6))
    np.testing.assert_array_equal(out[mask == 0], rgb[mask == 0])
    assert score_color(out, mask, np.array([0.2, 0.4, 0.6])).lab_distance < 0.2


def test_both_layouts_are_found_and_an_empty_folder_is_told(tmp_path):
    with pytest.raises(InputError, match="with a mask"):
        find_pairs(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        find_pairs(tmp_path / "none")
    for part in ("images", "masks"):
        (tmp_path / "set" / part).mkdir(parents=True)
        Pil.new("RGB", (8, 8)).save(tmp_path / "set" / part / "a.png")
    write(tmp_path, "b", *room())
    assert [p.name for p in find_pairs(tmp_path)] == ["b.png", "set/images/a.png"]


def test_sizes_that_differ_and_options_out_of_range_are_told(tmp_path):
    rgb, mask = room()
    write(tmp_path, "a", rgb, mask[:-2])
    with pytest.raises(InputError, match="160x118"):
        WallPairs(tmp_path)
    for change in ({"color": "mode"}, {"random_share": 2}, {"erosion": -1}, {"gradient": (0, 1)}, {"texture": 3}):
        with pytest.raises(OptionError, match=next(iter(change))):
            WallPairOptions(**change)
    with pytest.raises(OptionError, match="option colour"):
        options_of({"colour": "mean"}, 64)
    assert options_of({"color": "kmeans", "gradient": [0.9, 1.1]}, 64).side == 64
