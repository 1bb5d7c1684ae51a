"""Lay a sample of wallpaper or fabric on a wall: tiled, in perspective, without moiré."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.core.image import Image
from tratto.imaging.color import srgb_to_linear, view_rgb

Float = NDArray[np.float32]

__all__ = ["LARGEST_TILE", "Tile", "homography", "sample_of"]

#: Longest side that a texture sample is used at.
LARGEST_TILE = 512


def sample_of(image: Image) -> NDArray[np.uint8]:
    """Return a picture of wallpaper as a sample to be laid: upright, in sRGB, at most 512 pixels on its longer side.

    Parameters
    ----------
    image : Image
        A profile is honoured; alpha is not.

    Returns
    -------
    (h, w, 3) uint8
        A larger picture is reduced by area means.

    Examples
    --------
    >>> from tratto.core.image import ColorMode
    >>> sample_of(Image(np.zeros((600, 1024, 3), np.uint8), ColorMode.RGB)).shape
    (300, 512, 3)
    """
    from PIL import Image as Pil

    from tratto.imaging import io

    rgb = io.oriented(view_rgb(image), image.meta.orientation)
    picture = Pil.fromarray(np.ascontiguousarray(np.rint(255 * rgb).astype(np.uint8)), "RGB")
    if max(picture.size) > LARGEST_TILE:
        ratio = LARGEST_TILE / max(picture.size)
        size = (max(1, round(picture.width * ratio)), max(1, round(picture.height * ratio)))
        picture = picture.resize(size, Pil.Resampling.BOX)
    return np.asarray(picture)


def homography(corners: Sequence[Sequence[float]], width: float, height: float) -> NDArray[np.float64]:
    """Return the matrix from picture points to wall points.

    Parameters
    ----------
    corners : four (x, y)
        Top left, top right, bottom right and bottom left of a rectangle on the wall, in pixels.
    width, height : float
        Sides of that rectangle, in any unit.

    Returns
    -------
    (3, 3) float64
        ``(u, v, w) = H @ (x, y, 1)``; the wall point is ``(u / w, v / w)``.

    Raises
    ------
    OptionError
        If the corners are not a convex quadrilateral.

    Examples
    --------
    >>> homography([[0, 0], [4, 0], [4, 2], [0, 2]], 4, 2).round(6).shape
    (3, 3)
    """
    points = np.asarray(corners, np.float64)
    if points.shape != (4, 2) or not np.isfinite(points).all():
        raise OptionError(f"corners are four points x,y; got {corners!r}")
    edges = np.roll(points, -1, axis=0) - points
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    if not ((turns > 1e-6).all() or (turns < -1e-6).all()):
        raise OptionError(
            "the four corners must go round the wall in order: top left, top right, bottom right, bottom left"
        )
    wall = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    rows = []
    for (x, y), (u, v) in zip(points, wall, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    h = np.linalg.solve(np.array(rows), wall.ravel())
    return np.append(h, 1.0).reshape(3, 3)


@dataclass(frozen=True, eq=False)
class Tile:
    """A texture on a wall, ready to be sampled.

    Attributes
    ----------
    levels : tuple of (h, w, 3) float32
        The sample in linear light and its halvings (area means), the finest first.
    matrix : (3, 3) float64
        From picture points to tiles: one unit is one tile.

    Examples
    --------
    >>> tile = Tile.of(np.full((8, 4, 3), 255, np.uint8), np.eye(3))
    >>> [level.shape[:2] for level in tile.levels], tile.mean.tolist()
    ([(8, 4), (4, 2), (2, 1), (1, 1)], [1.0, 1.0, 1.0])
    """

    levels: tuple[Float, ...]
    matrix: NDArray[np.float64]

    @classmethod
    def of(cls, rgb: NDArray[np.uint8], matrix: NDArray[np.float64]) -> Tile:
        """Return a tile of an sRGB sample."""
        import cv2

        level = srgb_to_linear(rgb.astype(np.float32) / 255).astype(np.float32)
        levels = [level]
        while max(level.shape[:2]) > 1:
            size = (max(1, level.shape[1] // 2), max(1, level.shape[0] // 2))
            level = cv2.resize(level, size, interpolation=cv2.INTER_AREA)
            levels.append(level)
        return cls(tuple(levels), matrix)

    @property
    def mean(self) -> Float:
        """Mean linear colour, (3,)."""
        return np.asarray(self.levels[0].mean(axis=(0, 1)), np.float32)

    def sample(self, y: Float, x: Float) -> Float:
        """Return the texture's linear colour at picture points.

        Bilinear within a level, linear between the two levels whose pixels are next to the size of a picture pixel on
        the tile (trilinear mip mapping, Williams 1983), taken along the longer side of that pixel.

        Parameters
        ----------
        y, x : (...) float32
            Pixel centres are whole numbers.

        Returns
        -------
        (..., 3) float32
            Linear light.
        """
        u, v = self._wall(y, x)
        ux, vx = self._wall(y, x + 1)
        uy, vy = self._wall(y + 1, x)
        rows, columns = self.levels[0].shape[:2]
        across = np.hypot((ux - u) * columns, (vx - v) * rows)
        down = np.hypot((uy - u) * columns, (vy - v) * rows)
        depth = np.clip(np.log2(np.maximum(np.maximum(across, down), 1e-6)), 0, len(self.levels) - 1)
        low = np.minimum(depth.astype(int), len(self.levels) - 1)
        share = (depth - low).astype(np.float32)[..., None]
        out = np.zeros((*u.shape, 3), np.float32)
        for k, level in enumerate(self.levels):
            for part, weight in ((low == k, 1 - share), (np.minimum(low + 1, len(self.levels) - 1) == k, share)):
                if part.any():
                    out[part] += _wrapped(level, u[part], v[part]) * weight[part]
        return out

    def _wall(self, y: Float, x: Float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        m = self.matrix
        w = m[2, 0] * x + m[2, 1] * y + m[2, 2]
        w = np.where(np.abs(w) < 1e-9, 1e-9, w)
        return (m[0, 0] * x + m[0, 1] * y + m[0, 2]) / w, (m[1, 0] * x + m[1, 1] * y + m[1, 2]) / w


def _wrapped(level: Float, u: NDArray[np.float64], v: NDArray[np.float64]) -> Float:
    """Bilinear samples of a tile that repeats; ``u`` and ``v`` in tiles."""
    rows, columns = level.shape[:2]
    px, py = u * columns - 0.5, v * rows - 0.5
    x0, y0 = np.floor(px), np.floor(py)
    fx, fy = (px - x0).astype(np.float32)[..., None], (py - y0).astype(np.float32)[..., None]
    xa, ya = x0.astype(np.int64) % columns, y0.astype(np.int64) % rows
    xb, yb = (xa + 1) % columns, (ya + 1) % rows
    top = level[ya, xa] * (1 - fx) + level[ya, xb] * fx
    bottom = level[yb, xa] * (1 - fx) + level[yb, xb] * fx
    out: Float = top * (1 - fy) + bottom * fy
    return out
