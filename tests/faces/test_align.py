"""Cutting out and laying on: against known turns, and there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tratto.faces import align, mesh
from tratto.faces.windows import best_of, windows


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(0.1, 9), st.floats(-50, 50), st.integers(0, 1000))
def test_a_similarity_is_found_again(angle, scale, shift, seed):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.random.default_rng(seed).normal(size=(5, 2)) * 10
    found = align.similarity(points, points @ turn.T + shift)
    np.testing.assert_allclose(found, np.column_stack([turn, [shift, shift]]), atol=1e-6 * (1 + abs(shift) + scale))


def test_a_similarity_does_not_mirror():
    points = np.array([[0.0, 0], [4, 0], [4, 2], [0, 3]])
    found = align.similarity(points, points * [-1, 1])
    assert np.linalg.det(found[:, :2]) >= 0


def test_points_that_coincide_are_refused():
    with pytest.raises(ValueError, match="coincide"):
        align.similarity(np.zeros((4, 2)), np.ones((4, 2)))


def test_there_and_back():
    matrix = align.upright(np.array([12.0, 30]), 17.0, 0.4, 64)
    points = np.array([[1.0, 2], [30, -4]])
    np.testing.assert_allclose(align.moved(align.moved(points, matrix), align.inverse(matrix)), points, atol=1e-9)
    np.testing.assert_allclose(align.moved(np.array([[12.0, 30]]), matrix), [[31.5, 31.5]], atol=1e-9)


def test_a_turned_square_comes_out_upright():
    yy, xx = np.mgrid[:200, :200]
    angle = np.deg2rad(30)
    along = (xx - 100) * np.cos(angle) + (yy - 100) * np.sin(angle)  # grows along the turned upper edge
    picture = np.repeat(((along + 150) / 300)[..., None], 3, axis=2).astype(np.float32)
    out = align.cut(picture, align.upright(np.array([100.0, 100]), 60.0, angle, 60), 60)
    assert np.ptp(out[:, 30, 0]) < 1e-3  # nothing changes downwards
    np.testing.assert_allclose(np.diff(out[30, :, 0]), 1 / 300, atol=1e-4)


def test_making_smaller_does_not_alias():
    board = np.indices((256, 256)).sum(0) % 2
    picture = np.repeat(board[..., None], 3, axis=2).astype(np.float32)
    out = align.cut(picture, align.upright(np.array([127.5, 127.5]), 200.0, 0.1, 50), 50)
    assert np.abs(out - 0.5).max() < 0.05


def test_windows_cover_the_picture_and_a_face_is_whole_in_one():
    width, height, face = 900, 500, 20
    found = list(windows(width, height, 320))
    assert min(side for *_, side in found) <= 320
    rng = np.random.default_rng(0)
    for x, y in rng.uniform((0, 0), (width - face, height - face), (200, 2)):
        assert any(
            left <= x and x + face <= left + side and top <= y and y + face <= top + side and face / side >= 12 / 320
            for left, top, side in found
        )


def test_the_best_of_boxes_that_overlap():
    boxes = np.array([[0.0, 0, 10, 10], [2, 2, 6, 6], [9, 9, 19, 19], [30, 30, 31, 31]])
    assert best_of(boxes, np.array([0.9, 0.8, 0.7, 0.6])) == [0, 2, 3]
    assert best_of(boxes[:0], np.zeros(0)) == []


@pytest.mark.parametrize(("turn", "axis", "sign"), [("yaw", 1, -1), ("pitch", 0, -1), ("roll", 2, 1)])
def test_pose_of_a_turned_flat_face(turn, axis, sign):
    flat = np.zeros((mesh.POINTS, 3))
    flat[mesh.LEFT], flat[mesh.RIGHT], flat[mesh.TOP], flat[mesh.CHIN] = (-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0)
    a = np.deg2rad(20)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(a)
    matrix[i, j], matrix[j, i] = -np.sin(a), np.sin(a)
    found = dict(zip(("yaw", "pitch", "roll"), mesh.pose(flat @ matrix.T), strict=True))
    expected = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, turn: found[turn]}
    assert found == pytest.approx(expected, abs=1e-9)
    assert abs(found[turn]) == pytest.approx(20)


def test_the_outline_is_filled():
    points = np.zeros((mesh.POINTS, 3))
    t = np.linspace(0, 2 * np.pi, len(mesh.OVAL), endpoint=False)
    points[list(mesh.OVAL), :2] = np.column_stack([50 + 30 * np.sin(t), 50 - 40 * np.cos(t)])
    filled = mesh.outline(points, (100, 100))
    assert set(np.unique(filled)) == {0.0, 1.0}
    assert filled.sum() == pytest.approx(np.pi * 30 * 40, rel=0.03)
