"""A photograph's object as a shell of two layers, and what is made of it."""

import numpy as np
import pytest

pytest.importorskip("numba")

from tratto.core.errors import InputError
from tratto.scene.complete import Completion, closed, completed
from tratto.scene.measures import psnr
from tratto.scene.rasterize import render
from tratto.scene.shell import (
    FILL,
    SIDE,
    Frame,
    Shell,
    _quaternions,
    framed,
    gaussians,
    mirrored,
    network_input,
    photographed,
)

BLACK = (0.0, 0.0, 0.0)


def disc(side=128, radius=40.0, x=60.0, y=70.0):
    """A photograph of a smoothly coloured disc."""
    v, u = np.mgrid[0:side, 0:side] + 0.5
    alpha = np.clip(radius + 0.5 - np.hypot(u - x, v - y), 0, 1).astype(np.float32)
    color = np.stack([u / side, v / side, np.full_like(u, 0.4)], axis=-1).astype(np.float32)
    return color, alpha


def test_a_square_is_cut_where_it_should_be_at_any_scale():
    v, u = np.mgrid[0:200, 0:300] + 0.5
    ramp = np.stack([u, v], axis=-1).astype(np.float32)
    for length in (40.0, 56.0, 160.0):
        frame = Frame(150.25, 99.5, length)
        cut = frame.cut(ramp, SIDE, FILL)
        y, x = np.mgrid[0:SIDE, 0:SIDE] + 0.5
        want = np.stack([150.25 + (x - 64) * length / FILL, 99.5 + (y - 64) * length / FILL], axis=-1)
        inside = ((want > 4) & (want < (296, 196))).all(axis=-1)
        assert inside.mean() > 0.6
        np.testing.assert_allclose(cut[inside], want[inside], atol=0.02 * length / 40)


def test_nothing_that_stands_out_is_said():
    with pytest.raises(InputError, match="object stands"):
        framed(np.zeros((50, 50), np.float32))


@pytest.mark.parametrize("elevation", [-20.0, 0.0, 35.0])
def test_the_world_stands_upright_around_the_object(elevation):
    color, alpha = disc()
    frame = framed(alpha)
    view = photographed(color, alpha, frame, 300.0, elevation, 96)
    at, depth = view.camera.project(np.zeros((1, 3)))
    np.testing.assert_allclose(at, [[48.0, 48.0]], atol=1e-9)
    assert depth[0] == pytest.approx(300 / frame.length)
    # one silhouette's length across the middle fills what the square gives it
    side = view.camera.r[0]
    ends, _ = view.camera.project(np.stack([-0.5 * side, 0.5 * side]))
    assert ends[1, 0] - ends[0, 0] == pytest.approx(96 * FILL / SIDE)
    # y points down: the camera above looks down
    assert np.degrees(np.arcsin(view.camera.r[2, 1])) == pytest.approx(elevation)
    # the photograph's middle lies on the axis, wherever the object is
    assert view.camera.cx == pytest.approx(48 + (64 - frame.x) * 96 * FILL / SIDE / frame.length)


def test_points_of_a_ball_lie_on_it():
    color, alpha = disc(x=64.0, y=64.0)
    frame = framed(alpha)
    focal = 2000.0  # so far that rays are almost parallel
    view = photographed(color, alpha, frame, focal, 10.0, 128)
    v, u = (np.mgrid[0:SIDE, 0:SIDE] + 0.5 - SIDE / 2) / FILL
    half = np.sqrt(np.maximum(0.25 - u**2 - v**2, 0)).astype(np.float32)
    scene = gaussians(view, Shell(-half, half, np.zeros((SIDE, SIDE, 3), np.float32), 10.0), sides=False)
    distance = np.linalg.norm(scene.positions, axis=1)
    assert np.abs(distance - 0.5).mean() < 0.006
    assert np.quantile(np.abs(distance - 0.5), 0.95) < 0.03
    before = (scene.positions @ view.camera.r[2]) < 0
    assert (scene.seen[before] == 1).mean() > 0.98
    assert (scene.seen[~before] == 0).mean() > 0.98


def test_rotations_become_quaternions():
    rng = np.random.default_rng(0)
    q = rng.normal(size=(50, 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    w, x, y, z = q.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    got = _quaternions(np.array(rows).transpose(2, 0, 1))
    np.testing.assert_allclose(np.abs((got * q).sum(axis=1)), 1, atol=1e-12)


def test_inflated_as_thick_as_wide():
    _, alpha = disc(radius=56.0, x=64.0, y=64.0)
    shell = mirrored(np.zeros((SIDE, SIDE, 3), np.float32), alpha)
    assert shell.back[64, 64] == pytest.approx(0.5, abs=0.02)  # a disc becomes a ball
    np.testing.assert_array_equal(shell.front, -shell.back)
    assert shell.back[alpha == 0].max() == 0


def test_a_completed_shell_shows_the_photograph_and_gives_equal_bits():
    color, alpha = disc()
    frame = framed(alpha)
    square = network_input(color, alpha, frame)
    shell = mirrored(square[..., :3] / np.maximum(square[..., 3:], 1e-3), square[..., 3], 10.0)
    view = photographed(color, alpha, frame, 200.0, 10.0, 64)
    raw = gaussians(view, shell)
    how = Completion(views=4, side=32, steps=150)
    made = completed(raw, view, 10.0, how)
    before, after = (psnr(render(s, view.camera, BLACK).color, view.over(BLACK)) for s in (raw, made))
    print(before, after)
    assert after > max(28, before + 4)
    assert (made.seen == raw.seen).all()
    assert completed(raw, view, 10.0, how).digest() == made.digest()


def test_a_crack_is_closed_and_what_lies_beside_it_is_left():
    color = np.zeros((40, 40, 3), np.float32)
    alpha = np.zeros((40, 40), np.float32)
    alpha[8:32, 8:32] = 1
    color[8:32, 8:32] = (0.8, 0.4, 0.2)
    alpha[:, 20] = 0
    color[:, 20] = 0
    filled, whole = closed(color, alpha, 3)
    assert whole[12:28, 20].min() == 1
    np.testing.assert_allclose(filled[12:28, 20], np.broadcast_to((0.8, 0.4, 0.2), (16, 3)), atol=0.02)
    assert whole[:, :8].max() == 0
