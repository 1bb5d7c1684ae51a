"""Dust and hairs at full size."""

import cv2
import numpy as np

from tratto.imaging.specks import find_specks


def _paper(rng, height=400, width=600):
    y, x = np.mgrid[0:height, 0:width]
    plane = 0.5 + 0.2 * np.sin(x / 90) * np.cos(y / 70)
    return (plane[..., None] + rng.normal(0, 0.01, (height, width, 3))).astype(np.float32)


def test_specks_and_a_hair_are_found_and_nothing_else():
    rng = np.random.default_rng(3)
    picture = _paper(rng)
    truth = np.zeros(picture.shape[:2], np.uint8)
    for k in range(30):
        cv2.circle(truth, (20 + 19 * k, 30 + 11 * k), 1 + k % 3, 1, -1)
    cv2.ellipse(truth, (300, 320), (90, 30), 0, 10, 160, 1, 2)
    shade = np.where(np.arange(600) % 2 > 0, 0.95, 0.05)[None, :, None]
    found = find_specks(np.where(truth[..., None] > 0, shade, picture).astype(np.float32))
    count, labels = cv2.connectedComponents(truth)
    hit = np.bincount(labels[found], minlength=count)[1:] / np.bincount(labels.ravel())[1:]
    assert np.mean(hit > 0.5) >= 0.9
    assert (found & (cv2.dilate(truth, np.ones((7, 7), np.uint8)) == 0)).mean() < 1e-4


def test_texture_and_wide_things_are_left_alone():
    rng = np.random.default_rng(4)
    noise = np.clip(0.5 + rng.normal(0, 0.15, (300, 300, 1)), 0, 1).astype(np.float32).repeat(3, axis=2)
    assert find_specks(noise).mean() < 0.002
    wide = _paper(rng)
    cv2.circle(wide, (200, 200), 25, (0.05, 0.05, 0.05), -1)
    cv2.line(wide, (0, 350), (599, 300), (0.9, 0.9, 0.9), 12)
    assert not find_specks(wide).any()


def test_what_is_found_does_not_depend_on_the_squares():
    rng = np.random.default_rng(5)
    picture = np.full((1100, 1200, 3), 0.5, np.float32)
    places = rng.integers(10, 1090, (60, 2))
    for y, x in places:
        picture[y : y + 3, x : x + 3] = 0.95
    found = find_specks(picture)
    assert all(found[y : y + 3, x : x + 3].all() for y, x in places)
    assert np.array_equal(find_specks(picture[20:]), found[20:])
