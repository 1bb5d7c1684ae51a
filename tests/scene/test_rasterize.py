"""The rasterizer against a plain one in 64 bits, and what it promises beside: equal bits, several at once."""

import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("numba")
torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))
import oracle  # noqa: E402

from tratto.core.errors import OptionError  # noqa: E402
from tratto.scene.camera import Camera, look_at, orbit  # noqa: E402
from tratto.scene.rasterize import PARAMETERS, Constants, backward, render  # noqa: E402

VIEWS = {
    "outside": look_at((0.4, -0.7, -2.2), (0, 0, 0), (53, 37), 50.0),
    "inside": look_at((0.05, 0.1, -0.3), (0, 0, 1), (40, 40), 30.0),  # some behind, some beyond the clamped slopes
}


def relative(a, b):
    return float(np.linalg.norm(np.asarray(a, np.float64) - b) / np.linalg.norm(b))


def both(scene, camera, dtype, seed=1):
    """Render and carry random gradients back, with ours and the oracle."""
    rng = np.random.default_rng(seed)
    arrays = SimpleNamespace(**{n: getattr(scene, n).astype(dtype) for n in PARAMETERS})
    shape = (camera.height, camera.width)
    gradients = [rng.normal(size=(*shape, 3)), rng.normal(size=shape), rng.normal(size=shape)]
    ground = (0.2, 0.5, 0.9)
    mine = render(arrays, camera, ground)
    back = backward(mine, *(g.astype(dtype) for g in gradients))
    tensors = oracle.tensors_of(scene)
    theirs = oracle.render(tensors, camera, ground)
    sum((t * torch.tensor(g)).sum() for t, g in zip(theirs, gradients, strict=True)).backward()
    pictures = [(a, b.detach().numpy()) for a, b in zip((mine.color, mine.depth, mine.alpha), theirs, strict=True)]
    return pictures, [(getattr(back, n), t.grad.numpy()) for n, t in zip(PARAMETERS, tensors, strict=True)]


@pytest.mark.parametrize(("view", "degree"), [("outside", 0), ("outside", 3), ("inside", 1), ("inside", 2)])
def test_in_64_bits_it_is_the_plain_one(view, degree, make_cloud):
    pictures, gradients = both(make_cloud(70, degree, 3), VIEWS[view], np.float64)
    for a, b in pictures:
        assert np.abs(a - b).max() <= 1e-13 * max(1.0, np.abs(b).max())
    for a, b in gradients:
        assert relative(a, b) <= 2e-13  # measured 1e-14 to 6e-14


def test_in_32_bits_it_stays_close(make_cloud):
    pictures, gradients = both(make_cloud(70, 1, 3), VIEWS["outside"], np.float32)
    for a, b in pictures:
        assert a.dtype == np.float32
        assert np.abs(a - b).max() <= 3e-6 * max(1.0, np.abs(b).max())
    for a, b in gradients:
        assert relative(a, b) <= 1e-5


def test_gradients_are_slopes(make_cloud):
    """Finite differences know nothing of the oracle's formulas, either."""
    scene, camera = make_cloud(20, 1, 5), VIEWS["outside"]
    arrays = {n: getattr(scene, n).astype(np.float64) for n in PARAMETERS}
    weight = np.random.default_rng(0).normal(size=(37, 53, 3))
    smooth = Constants(transmittance_min=1e-12)
    back = backward(render(SimpleNamespace(**arrays), camera, constants=smooth), weight)
    for name in PARAMETERS:
        slopes = getattr(back, name)
        where = np.unravel_index(np.argmax(np.abs(slopes)), slopes.shape)
        sides = []
        for step in (1e-6, -1e-6):
            moved = {k: v.copy() for k, v in arrays.items()}
            moved[name][where] += step
            sides.append((render(SimpleNamespace(**moved), camera, constants=smooth).color * weight).sum())
        assert slopes[where] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=2e-3)


def test_equal_bits_each_time_and_on_any_number_of_threads(make_cloud):
    import numba

    scene, camera = make_cloud(500, 0), VIEWS["outside"]
    weight = np.ones((37, 53, 3), np.float32)

    def once():
        seen = render(scene, camera)
        return [seen.color, *(getattr(backward(seen, weight), n) for n in PARAMETERS)]

    first = once()
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = once()
    finally:
        numba.set_num_threads(before)
    for a, b, c in zip(first, once(), alone, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_two_at_once_in_one_process_do_not_meet(make_cloud):
    scenes = [make_cloud(300, 0, seed) for seed in (1, 2)]
    alone = [render(s, VIEWS["outside"]).color for s in scenes]
    wrong = []

    def work(i):
        for _ in range(20):
            seen = render(scenes[i], VIEWS["outside"])
            backward(seen, np.ones_like(seen.color))
            if not np.array_equal(seen.color, alone[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_depth_ties_are_broken_by_index(make_cloud):
    scene = make_cloud(2)
    scene.positions[:] = 0
    scene.opacities[:] = 3
    scene.harmonics[0], scene.harmonics[1] = 1.5, -1.5
    seen = render(scene, look_at((0, 0, -2), (0, 0, 0), (9, 9), 20.0))
    assert seen.color[4, 4, 0] > 0.8


def test_nothing_in_view_is_the_background(make_cloud):
    scene = make_cloud(5)
    seen = render(scene, look_at((0, 0, 5), (0, 0, 9), (20, 10), 20.0), (0.1, 0.2, 0.3))
    assert not seen.visible.any()
    assert np.allclose(seen.color, (0.1, 0.2, 0.3))
    assert not backward(seen, np.ones((10, 20, 3), np.float32)).positions.any()


def test_cameras():
    camera = VIEWS["outside"]
    at, depth = camera.project(np.array([[0.0, 0, 0]]))
    np.testing.assert_allclose(at[0], (26.5, 18.5))
    assert depth[0] == pytest.approx(np.linalg.norm((0.4, 0.7, 2.2)))
    assert camera.project(np.array([[0.0, -0.1, 0]]))[0][0, 1] < 18.5  # up in the world is up in the picture
    assert Camera.from_json(camera.to_json()) == camera
    half = camera.resized(106, 74)
    np.testing.assert_allclose(half.project(np.array([[0.1, 0.2, 0]]))[0], 2 * camera.project([[0.1, 0.2, 0]])[0])
    turn = orbit((0, 0, 0), 1, [90], 0, (8, 8), 8.0)[0].r.T
    moved = camera.moved(turn)
    np.testing.assert_allclose(
        moved.project(np.array([[0.1, 0.2, 0.3]]) @ turn.T)[0], camera.project([[0.1, 0.2, 0.3]])[0]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0}, {"height": 10**6}, {"fx": 0.0}, {"cx": float("nan")}, {"rotation": (1.0,) * 9},
        {"rotation": (1.0, 0, 0, 0, 1, 0, 0, 0, -1)}, {"translation": (0.0, 0.0)},
    ],
)  # fmt: skip
def test_cameras_that_are_none_are_refused(change):
    with pytest.raises(OptionError):
        Camera(**{**{"width": 8, "height": 8, "fx": 8.0, "fy": 8.0, "cx": 4.0, "cy": 4.0}, **change})


@pytest.mark.parametrize("change", [{"alpha_min": 1e-5}, {"alpha_max": 1.0}, {"dilation": -1.0}, {"near": 0.0}])
def test_constants_out_of_range_are_refused(change):
    with pytest.raises(OptionError):
        Constants(**change)
