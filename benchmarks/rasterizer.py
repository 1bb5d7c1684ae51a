"""The rasterizer: how exact it is, and how fast.

``python benchmarks/rasterizer.py [--gsplat FOLDER]``. The first oracle is the plain one of the tests, in 64 bits. The
second is gsplat's own reference in torch, which runs on a CPU: unpack its wheel (``pip download --no-deps gsplat``) and
name the folder; nothing of it is imported but its mathematics. Times are medians of a forward and a backward pass, as
wall clock and as processor time of all threads: under load the second is the one to look at, halved for two cores.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
import types
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from tratto.core.artifact import Scene
from tratto.scene.camera import look_at
from tratto.scene.rasterize import PARAMETERS, backward, render

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "scene"))
import oracle


def cloud(count: int, degree: int = 0, seed: int = 0) -> Scene:
    """Gaussians in a shell, sized so that they cover it."""
    rng = np.random.default_rng(seed)
    at = rng.normal(size=(count, 3))
    at *= rng.uniform(0.3, 0.5, (count, 1)) / np.linalg.norm(at, axis=1, keepdims=True)
    return Scene(
        at.astype(np.float32),
        rng.normal(size=(count, 4)).astype(np.float32),
        np.log(rng.uniform(0.3, 1, (count, 3)) / np.sqrt(count)).astype(np.float32),
        rng.normal(0, 1.5, count).astype(np.float32),
        rng.normal(0, 0.5, (count, (degree + 1) ** 2, 3)).astype(np.float32),
        np.ones(count, np.uint8),
    )


def exact() -> None:
    """Print the largest differences from the plain oracle."""
    for dtype in (np.float64, np.float32):
        worst, slopes = 0.0, 0.0
        for seed in range(6):
            scene = cloud(150, seed % 4, seed)
            camera = look_at((0.3, -0.5, -1.5), (0, 0, 0), (61, 47), 60.0)
            rng = np.random.default_rng(seed)
            down = [rng.normal(size=(47, 61, 3)), rng.normal(size=(47, 61)), rng.normal(size=(47, 61))]
            arrays = SimpleNamespace(**{n: getattr(scene, n).astype(dtype) for n in PARAMETERS})
            mine = render(arrays, camera, (0.2, 0.5, 0.9))
            back = backward(mine, *(d.astype(dtype) for d in down))
            tensors = oracle.tensors_of(scene)
            theirs = oracle.render(tensors, camera, (0.2, 0.5, 0.9))
            sum((t * torch.tensor(d)).sum() for t, d in zip(theirs, down, strict=True)).backward()
            for a, b in zip((mine.color, mine.depth, mine.alpha), theirs, strict=True):
                worst = max(worst, float(np.abs(a - b.detach().numpy()).max()))
            for n, t in zip(PARAMETERS, tensors, strict=True):
                g = t.grad.numpy()
                slopes = max(slopes, float(np.linalg.norm(getattr(back, n) - g) / np.linalg.norm(g)))
        print(f"plain oracle, {np.dtype(dtype).name}: picture {worst:.1e}, gradients (relative L2) {slopes:.1e}")


def gsplat_reference(folder: Path) -> None:
    """Print the differences from gsplat's reference: projection and spherical harmonics."""
    place = next(folder.rglob("_torch_impl.py"))
    package = types.ModuleType("gsplat")
    package.__path__ = [str(place.parent.parent)]
    sys.modules["gsplat"] = package
    cuda = types.ModuleType("gsplat.cuda")
    cuda.__path__ = [str(place.parent)]
    sys.modules["gsplat.cuda"] = cuda
    spec = importlib.util.spec_from_file_location("gsplat.cuda._torch_impl", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    scene, camera = cloud(2000, 3), look_at((0.3, -0.5, -1.5), (0, 0, 0), (128, 96), 100.0)
    seen = render(scene, camera)
    projected, visible = seen.state[5], seen.visible
    means, quats, scales = (torch.tensor(getattr(scene, n)) for n in ("positions", "rotations", "scales"))
    unit = quats / quats.norm(dim=-1, keepdim=True)
    covariance, _ = module._quat_scale_to_covar_preci(unit, scales.exp(), True, False, triu=False)
    view = torch.eye(4)
    view[:3, :3], view[:3, 3] = torch.tensor(camera.r), torch.tensor(camera.t)
    lens = torch.tensor([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]).float()
    found = module._fully_fused_projection(means, covariance, view[None], lens[None], 128, 96, eps2d=0.3)
    _, flat, depths, conics, _ = (None if f is None else f[0].numpy() for f in found)
    direction = means - torch.tensor(camera.center).float()
    color = (module._spherical_harmonics(3, direction, torch.tensor(scene.harmonics)) + 0.5).clamp(min=0).numpy()
    for name, mine, theirs in (
        ("position", projected[:, :2], flat), ("inverse covariance", projected[:, 2:5], conics),
        ("color", projected[:, 6:9], color), ("depth", projected[:, 9], depths),
    ):  # fmt: skip
        apart = np.abs(mine[visible] - theirs[visible]) / np.maximum(1, np.abs(theirs[visible]))
        print(f"gsplat's reference, float32: {name} {apart.max():.1e}")
    picture, alpha = composited(
        flat, conics, color, depths, 1 / (1 + np.exp(-scene.opacities.astype(np.float64))), visible
    )
    print(
        f"gsplat's reference, float32: whole picture {np.abs(seen.color - picture).max():.1e}, "
        f"alpha {np.abs(seen.alpha - alpha).max():.1e}"
    )


def composited(
    flat: np.ndarray,
    conics: np.ndarray,
    color: np.ndarray,
    depths: np.ndarray,
    opacity: np.ndarray,
    visible: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Lay what gsplat's reference projected over each other, pixel by pixel, in 64 bits.

    Its own code for this part needs CUDA; the conventions are gsplat's.
    """
    y, x = np.mgrid[:96, :128] + 0.5
    picture, left, open_ = np.zeros((96, 128, 3)), np.ones((96, 128)), np.ones((96, 128), bool)
    for i in np.argsort(depths, kind="stable"):
        if not visible[i]:
            continue
        u, v = x - flat[i, 0], y - flat[i, 1]
        a, b, c = conics[i].astype(np.float64)
        alpha = np.minimum(0.99, opacity[i] * np.exp(-0.5 * (a * u * u + c * v * v) - b * u * v))
        counts = open_ & (alpha >= 1 / 255)
        after = left * (1 - alpha)
        open_ &= ~(counts & (after <= 1e-4))  # the one that would close a pixel is left out
        counts &= open_
        picture += np.where(counts, alpha * left, 0)[..., None] * color[i]
        left = np.where(counts, after, left)
    return picture, 1 - left


def fast(repeats: int) -> None:
    """Print how long a forward and a backward pass take."""
    for count, side in ((10_000, 128), (10_000, 256), (50_000, 256)):
        scene, camera = cloud(count), look_at((0.0, 0, -1.5), (0, 0, 0), (side, side), side * 1.1)
        down = np.random.default_rng(1).normal(size=(side, side, 3)).astype(np.float32)
        backward(render(scene, camera), down)
        wall, cpu = [], []
        for _ in range(repeats):
            w, c = time.perf_counter(), time.process_time()
            backward(render(scene, camera), down)
            wall.append(time.perf_counter() - w)
            cpu.append(time.process_time() - c)
        print(
            f"{count} Gaussians at {side} squared: wall {1e3 * statistics.median(wall):.1f} ms (best "
            f"{1e3 * min(wall):.1f}), processor {1e3 * statistics.median(cpu):.1f} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gsplat", type=Path)
    parser.add_argument("--repeats", type=int, default=50)
    given = parser.parse_args()
    exact()
    if given.gsplat:
        gsplat_reference(given.gsplat)
    fast(given.repeats)


if __name__ == "__main__":
    main()
