import math

import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.imaging.color import srgb_to_lab
from tratto.imaging.paint import circular_difference, dominant_color, mean_lab, parse_color, score_color, summarise


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("#c8d4e0", (200 / 255, 212 / 255, 224 / 255)),
        ("C8D4E0", (200 / 255, 212 / 255, 224 / 255)),
        ("#fa0", (1.0, 170 / 255, 0.0)),
        ("rgb(200, 212, 224)", (200 / 255, 212 / 255, 224 / 255)),
        ("rgb 0 0 255", (0.0, 0.0, 1.0)),
    ],
)
def test_colors_as_written(text, want):
    assert parse_color(text) == pytest.approx(want)


def test_lab_color_comes_back_as_lab():
    assert srgb_to_lab(np.array(parse_color("lab(60, 20, -30)"))) == pytest.approx((60, 20, -30), abs=1e-3)


@pytest.mark.parametrize(
    "text",
    ["", "#12345", "blue", "rgb(1,2)", "rgb(300,0,0)", "rgb(-1,0,0)", "lab(50, 200, 0)", "lab(a,b,c)", "lab(nan,0,0)"],
)
def test_what_is_no_color_is_refused(text):
    with pytest.raises(OptionError):
        parse_color(text)


def test_dominant_color_by_each_method():
    pixels = np.concatenate([np.tile([0.2, 0.4, 0.6], (70, 1)), np.tile([0.9, 0.1, 0.1], (30, 1))])
    assert dominant_color(pixels) == pytest.approx((0.2, 0.4, 0.6))
    assert dominant_color(pixels, "mean") == pytest.approx((0.41, 0.31, 0.45))
    assert dominant_color(pixels, "kmeans") == pytest.approx((0.2, 0.4, 0.6), abs=1e-4)
    with pytest.raises(OptionError, match="at least one pixel"):
        dominant_color(np.full((5, 3), np.nan))
    with pytest.raises(OptionError, match="kmeans"):
        dominant_color(pixels, "mode")


@pytest.mark.parametrize(("a", "b", "want"), [(10, 350, 20), (350, 10, 20), (0, 180, 180), (-90, 90, 180), (725, 5, 0)])
def test_hue_goes_round(a, b, want):
    assert circular_difference(a, b) == pytest.approx(want)


def test_scores_of_a_known_difference():
    reference = np.array([0.5, 0.5, 0.5])
    lab = np.array(srgb_to_lab(reference))
    picture = np.broadcast_to(parse_color(f"lab({lab[0] + 3}, 4, 0)"), (6, 6, 3))
    score = score_color(picture, np.ones((6, 6)), reference)
    assert score.lab_distance == pytest.approx(5.0, abs=5e-3)
    assert score.delta_e_76 == score.lab_distance
    assert score.chroma_difference == pytest.approx(4.0, abs=5e-3)
    assert score.hue_error is None  # the reference is grey
    assert score.pixels == 36


def test_only_the_mask_is_measured_and_hue_is_circular():
    picture = np.zeros((4, 4, 3))
    picture[:2] = parse_color("lab(60, 30, 0)")
    mask = np.zeros((4, 4))
    mask[:2] = 0.51
    score = score_color(picture, mask, np.array(parse_color("lab(60, 0, -30)")))
    assert score.hue_error == pytest.approx(90.0, abs=0.01)
    assert score.pixels == 8
    assert mean_lab(picture, mask) == pytest.approx((60, 30, 0), abs=1e-3)


def test_empty_masks_and_nan_are_not_measurable():
    picture = np.full((4, 4, 3), 0.5)
    empty = score_color(picture, np.full((4, 4), 0.5), picture)
    assert not empty.measurable
    assert empty.lab_distance is None
    picture[1, 1, 2] = np.nan
    broken = score_color(picture, np.ones((4, 4)), np.full(3, 0.5))
    assert not broken.measurable
    assert "finite" in broken.reason
    assert score_color(np.full((4, 4, 3), 0.5), np.ones((4, 4)), picture).measurable is False


def test_summary_leaves_out_what_was_not_measurable():
    s = summarise([1.0, None, 3.0, math.nan])
    assert (s.mean, s.worst, s.measured, s.left_out) == (2.0, 3.0, 2, 2)
    assert summarise([None]).mean is None


def test_masks_of_another_size_are_refused():
    with pytest.raises(OptionError, match="one size"):
        mean_lab(np.zeros((4, 4, 3)), np.zeros((3, 4)))
