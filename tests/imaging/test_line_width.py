import cv2
import numpy as np
import pytest

from tratto.imaging.line_width import line_contrast, line_pixels

SIDE = 240


def drawn(width, blur=0.0, light=0.9, seed=0):
    """Return a picture with a slanting line over a slow ramp with a little grain, and the line's pixels."""
    line = np.zeros((SIDE, SIDE), np.uint8)
    cv2.line(line, (20, 30), (220, 200), 255, width)
    share = line.astype(np.float32) / 255
    if blur:
        share = cv2.GaussianBlur(share, (0, 0), blur)
    ramp = np.linspace(0.3, 0.6, SIDE, dtype=np.float32)[None, :, None]
    ground = ramp + np.random.default_rng(seed).normal(0, 0.01, (SIDE, SIDE, 3)).astype(np.float32)
    picture = ground + share[..., None] * (np.float32(light) - ground)
    return np.clip(picture, 0, 1).astype(np.float32), line > 0


def coarse(line, side):
    """Return the mask of a line as it is drawn in a picture reduced ``side`` times, brought to its size."""
    small = cv2.resize(line.astype(np.float32), (SIDE // side, SIDE // side), interpolation=cv2.INTER_AREA)
    small = cv2.dilate((small > 0.1).astype(np.float32), np.ones((3, 3)))
    return cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) >= 0.5


@pytest.mark.parametrize("side", [3, 4, 6])
@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("light", [0.95, 0.05])
def test_a_wide_mask_of_a_thin_line_becomes_the_line_and_a_rim(side, width, light):
    picture, line = drawn(width, light=light)
    mask = coarse(line, side)
    (kept,) = line_pixels(picture, [mask], [float(side)])
    assert (kept & line).sum() >= 0.97 * line.sum()
    near = cv2.dilate(line.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert (kept & ~near).sum() <= 0.01 * mask.sum()
    assert kept.sum() < 0.75 * mask.sum()
    assert not (kept & ~mask).any()


def test_what_the_picture_is_too_blurred_to_show_stays_whole():
    picture, line = drawn(4, blur=4.0)
    assert line_pixels(picture, [coarse(line, 4)], [4.0]) == [None]


def test_the_coarsest_mask_says_for_all_how_blurred_the_picture_is():
    picture, line = drawn(4, blur=4.0)
    assert line_pixels(picture, [coarse(line, 4), coarse(line, 2)], [4.0, 2.0]) == [None, None]
    sharp, line = drawn(4)
    first, second = line_pixels(sharp, [coarse(line, 4), coarse(line, 2)], [4.0, 2.0])
    assert (first & line).sum() >= 0.97 * line.sum()
    assert (second & line).sum() >= 0.97 * line.sum()


def test_masks_that_cannot_be_finer_stay_whole():
    picture, line = drawn(2)
    empty, whole = np.zeros_like(line), np.ones_like(line)
    assert line_pixels(picture, [empty, whole, coarse(line, 2)], [4.0, 4.0, 1.2]) == [None, None, None]


def test_where_nothing_stands_out_the_mask_is_believed():
    picture, mask = np.full((SIDE, SIDE, 3), 0.5, np.float32), np.zeros((SIDE, SIDE), bool)
    mask[100:112, 20:200] = True
    (kept,) = line_pixels(picture, [mask], [4.0])
    assert (kept == mask).all()


def test_the_blur_of_edges_is_measured():
    blurs = []
    for blur in (0.0, 2.0, 4.0):
        picture, line = drawn(8, blur=blur)
        blurs.append(line_contrast(picture, coarse(line, 6), 6.0).blur)
    assert blurs[0] < 2.5
    assert blurs[0] + 1 < blurs[1] < blurs[2] - 1
