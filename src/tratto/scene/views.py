"""Photographs with known cameras, and where a reconstruction begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import Scene
from tratto.core.errors import InputError, MissingExtra, OptionError
from tratto.scene.camera import Camera


@dataclass(frozen=True, eq=False)
class View:
    """A photograph and its camera.

    Attributes
    ----------
    camera : Camera
        Where it was taken from; without distortion.
    color : (H, W, 3) float32
        Encoded sRGB in [0, 1]; not multiplied by alpha.
    alpha : (H, W) float32 or None
        1 where the object is; None: all of it is part of the scene.

    Raises
    ------
    OptionError
        If the picture is not of the camera's size.
    """

    camera: Camera
    color: NDArray[np.float32]
    alpha: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        size = (self.camera.height, self.camera.width)
        if self.color.shape != (*size, 3) or (self.alpha is not None and self.alpha.shape != size):
            raise OptionError(f"a view must be {size[1]}x{size[0]} pixels like its camera, got {self.color.shape}")

    def over(self, background: tuple[float, float, float]) -> NDArray[np.float32]:
        """Return the photograph over a background."""
        if self.alpha is None:
            return self.color
        a = self.alpha[..., None]
        out: NDArray[np.float32] = self.color * a + (1 - a) * np.asarray(background, np.float32)
        return out


def looked_at(cameras: Sequence[Camera]) -> tuple[NDArray[np.float64], float]:
    """Return the point that cameras look at, by least squares over their axes, and their mean distance from it.

    Examples
    --------
    >>> from tratto.scene.camera import orbit
    >>> middle, distance = looked_at(orbit((1, 2, 3), 2.0, [0, 90, 200], 20.0, (8, 8), 8.0))
    >>> np.allclose(middle, [1, 2, 3], atol=1e-4), round(distance, 3)
    (True, 2.0)
    """
    total, right = np.zeros((3, 3)), np.zeros(3)
    for camera in cameras:
        axis = camera.r[2]
        across = np.eye(3) - np.outer(axis, axis)
        total, right = total + across, right + across @ camera.center
    # cameras that all look the same way meet nowhere: a little weight on their middle decides
    centers = np.array([c.center for c in cameras])
    total, right = total + 1e-6 * len(cameras) * np.eye(3), right + 1e-6 * centers.sum(axis=0)
    middle = np.linalg.solve(total, right)
    return middle, float(np.linalg.norm(centers - middle, axis=1).mean())


def extent(cameras: Sequence[Camera]) -> float:
    """Return a scene's size as 3D Gaussian splatting has it: 1.1 times the cameras' largest distance from their mean.

    Raises
    ------
    OptionError
        If all cameras stand in one place, from where no depth can be told.
    """
    centers = np.array([c.center for c in cameras])
    size = float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max())
    if size < 1e-9:
        raise OptionError("all cameras stand in one place, from where depth cannot be told; give views from several")
    return 1.1 * size


def visual_hull(views: Sequence[View], count: int, seed: int = 0, cells: int = 96) -> Scene:
    """Return Gaussians on the surface of what all silhouettes allow (Laurentini 1994, "The visual hull concept").

    Parameters
    ----------
    views : sequence of View
        Each with alpha. What lies outside a picture is empty, unless the object touches its border.
    count : int
        Gaussians.
    seed : int
        Of what is drawn among the cells.
    cells : int
        Along each side of the grid that is carved.

    Raises
    ------
    InputError
        If the silhouettes leave nothing: cameras and pictures do not belong together, or alpha is empty.
    """
    middle, distance = looked_at([v.camera for v in views])
    widest = max(max(v.camera.width / v.camera.fx, v.camera.height / v.camera.fy) for v in views)
    low, high = middle - distance * widest / 2, middle + distance * widest / 2
    for along in (cells // 2, cells):  # the box of the coarse hull is carved again, finely
        size = float((high - low).max()) / along
        steps = [np.arange(int(np.ceil((high[i] - low[i]) / size)) or 1) * size + low[i] + size / 2 for i in range(3)]
        grid = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1)
        inside = _carve(views, grid.reshape(-1, 3)).reshape(grid.shape[:3])
        if not inside.any():
            raise InputError(
                "the silhouettes of the photographs have nothing in common: check that cameras and photographs belong "
                "together, and that transparency marks what is not the object"
            )
        filled = grid[inside]
        low, high = filled.min(axis=0) - size, filled.max(axis=0) + size
    padded = np.pad(inside, 1)
    buried = inside.copy()
    for axis in range(3):
        for way in (-1, 1):
            buried &= np.roll(padded, way, axis)[1:-1, 1:-1, 1:-1]
    surface = grid[inside & ~buried]
    rng = np.random.default_rng(seed)
    points = surface[rng.integers(0, len(surface), count)] + rng.uniform(-0.5, 0.5, (count, 3)) * size
    spacing = size * np.sqrt(len(surface) / count)
    return Scene.of_points(points, _colors(views, points), 0.5 * spacing, 0.5)


def _carve(views: Sequence[View], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    left = np.arange(len(points))  # most are gone after the first view, and the others need not look at them
    shown = np.zeros(len(points), bool)
    for view in views:
        if view.alpha is None:
            raise OptionError("a visual hull needs photographs with alpha, and one has none")
        at, depth = view.camera.project(points[left])
        x, y = (np.floor(np.clip(at[:, i], -1, 2**30)).astype(np.int64) for i in (0, 1))
        within = (depth > 0) & (x >= 0) & (y >= 0) & (x < view.camera.width) & (y < view.camera.height)
        shown[left[within]] = True
        border = np.concatenate([view.alpha[[0, -1]].ravel(), view.alpha[:, [0, -1]].ravel()])
        gone = ~within & bool((border <= 0.5).all())  # the whole object is in this picture
        gone[within] = view.alpha[y[within], x[within]] <= 0.5
        left = left[~gone]
    kept = np.zeros(len(points), bool)
    kept[left] = True
    return kept & shown


def _colors(views: Sequence[View], points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the mean colour of points over the photographs that hold them; grey where none does."""
    total, weight = np.zeros((len(points), 3)), np.zeros(len(points))
    for view in views:
        at, depth = view.camera.project(points)
        x, y = (np.floor(np.clip(at[:, i], -1, 2**30)).astype(np.int64) for i in (0, 1))
        within = (depth > 0) & (x >= 0) & (y >= 0) & (x < view.camera.width) & (y < view.camera.height)
        share = np.ones(int(within.sum())) if view.alpha is None else view.alpha[y[within], x[within]]
        total[within] += share[:, None] * view.color[y[within], x[within]]
        weight[within] += share
    mean = total / np.maximum(weight, 1e-9)[:, None]
    return np.where(weight[:, None] > 0, mean, 0.5).astype(np.float32)


def from_points(points: NDArray[np.float64], colors: NDArray[np.uint8], count: int, seed: int = 0) -> Scene:
    """Return Gaussians at points that were measured, such as those of COLMAP.

    Parameters
    ----------
    points : (N, 3) float64
        In the world of the cameras.
    colors : (N, 3) uint8
        Of each, encoded sRGB.
    count : int
        At most so many, drawn at random.
    seed : int
        Of what is drawn.

    Raises
    ------
    MissingExtra
        If scipy is not installed.
    InputError
        If there are fewer than 4.
    """
    try:
        from scipy.spatial import cKDTree
    except ModuleNotFoundError as e:
        raise MissingExtra("a reconstruction that begins with points", "splat") from e
    if len(points) < 4:
        raise InputError(f"a reconstruction needs at least 4 points to begin with, got {len(points)}")
    if len(points) > count:
        kept = np.sort(np.random.default_rng(seed).permutation(len(points))[:count])
        points, colors = points[kept], colors[kept]
    apart, _ = cKDTree(points).query(points, 4)
    size = np.maximum(apart[:, 1:].mean(axis=1), 1e-7)
    return Scene.of_points(points, colors, np.minimum(size, np.quantile(size, 0.9)), 0.1)


def in_space(views: Sequence[View], count: int, seed: int = 0) -> Scene:
    """Return Gaussians strewn about the point that the cameras look at, coloured by the photographs."""
    middle, distance = looked_at([v.camera for v in views])
    rng = np.random.default_rng(seed)
    points = middle + rng.uniform(-0.6, 0.6, (count, 3)) * distance
    return Scene.of_points(points, _colors(views, points), 0.6 * distance / count ** (1 / 3), 0.1)
