import math

import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.imaging.color import srgb_to_lab
from tratto.imaging.paint import parse_color
from tratto_lab.evaluation.paint import mean_lab, score_color, summarise


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
