"""Pinhole cameras that look at a scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError

#: Largest side of a picture that is rendered, in pixels.
LARGEST_SIDE = 16384


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion; x right, y down, z forward; the first pixel's centre lies at (0.5, 0.5).

    Attributes
    ----------
    width, height : int
        Pixels.
    fx, fy, cx, cy : float
        Focal lengths and principal point, pixels.
    rotation : tuple of 9 float
        World to camera, row by row; orthonormal, determinant 1.
    translation : tuple of 3 float
        World to camera: a point p is seen at ``rotation @ p + translation``.

    Raises
    ------
    OptionError
        If a size is out of range, a number is not finite or the rotation is none.

    Examples
    --------
    >>> camera = Camera(64, 48, 80.0, 80.0, 32.0, 24.0)
    >>> camera.center.tolist()
    [0.0, 0.0, 0.0]
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    rotation: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    translation: tuple[float, ...] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not (1 <= self.width <= LARGEST_SIDE and 1 <= self.height <= LARGEST_SIDE):
            raise OptionError(
                f"a camera's picture must have sides of 1 to {LARGEST_SIDE} pixels, got {self.width}x{self.height}"
            )
        if len(self.rotation) != 9 or len(self.translation) != 3:
            raise OptionError("a camera needs 9 numbers of rotation and 3 of translation")
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.rotation, *self.translation)
        if not np.isfinite(numbers).all() or min(self.fx, self.fy) <= 0:
            raise OptionError("a camera's numbers must be finite, and its focal lengths above 0")
        r = self.r
        if np.abs(r @ r.T - np.eye(3)).max() > 1e-4 or np.linalg.det(r) < 0:
            raise OptionError("a camera's rotation must be orthonormal, with determinant 1")

    @property
    def r(self) -> NDArray[np.float64]:
        """The rotation as a matrix, (3, 3)."""
        return np.array(self.rotation, np.float64).reshape(3, 3)

    @property
    def t(self) -> NDArray[np.float64]:
        """The translation, (3,)."""
        return np.array(self.translation, np.float64)

    @property
    def center(self) -> NDArray[np.float64]:
        """Where the camera stands in the world, (3,)."""
        return -self.r.T @ self.t + 0.0

    def project(self, points: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where points of the world, (N, 3), are seen: pixels (N, 2) and depth (N,), in front where above 0."""
        seen = np.asarray(points, np.float64) @ self.r.T + self.t
        depth = seen[:, 2]
        safe = np.where(np.abs(depth) < 1e-12, 1e-12, depth)
        at = seen[:, :2] / safe[:, None] * (self.fx, self.fy) + (self.cx, self.cy)
        return at, depth

    def resized(self, width: int, height: int) -> Camera:
        """Return the camera with a picture of another size and the same view."""
        x, y = width / self.width, height / self.height
        return replace(self, width=width, height=height, fx=self.fx * x, fy=self.fy * y, cx=self.cx * x, cy=self.cy * y)

    def moved(self, rotation: NDArray[Any]) -> Camera:
        """Return the camera after the whole world, cameras and all, was turned by a rotation (3, 3)."""
        return replace(self, rotation=tuple((self.r @ np.asarray(rotation, np.float64).T).ravel().tolist()))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {
            "size": [self.width, self.height],
            "intrinsics": [self.fx, self.fy, self.cx, self.cy],
            "rotation": list(self.rotation),
            "translation": list(self.translation),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Camera:
        """Return a camera from :meth:`to_json`.

        Raises
        ------
        OptionError
            If it is malformed.
        """
        try:
            width, height = (int(v) for v in data["size"])
            fx, fy, cx, cy = (float(v) for v in data["intrinsics"])
            turned, moved = (tuple(float(v) for v in data[k]) for k in ("rotation", "translation"))
            return cls(width, height, fx, fy, cx, cy, turned, moved)
        except (KeyError, TypeError, ValueError) as e:
            raise OptionError(f"a camera is malformed: {type(e).__name__} {e}") from e


def look_at(
    eye: NDArray[Any] | tuple[float, ...],
    target: NDArray[Any] | tuple[float, ...],
    size: tuple[int, int],
    focal: float,
) -> Camera:
    """Return a camera that looks at a point, upright: the world's y points down.

    Parameters
    ----------
    eye, target : (3,) array
        Where the camera stands, and what it looks at; they must differ.
    size : tuple of int
        Width and height.
    focal : float
        Pixels.

    Examples
    --------
    >>> look_at((0, 0, -2), (0, 0, 0), (64, 64), 70.0).center.tolist()
    [0.0, 0.0, -2.0]
    """
    eye, target = np.asarray(eye, np.float64), np.asarray(target, np.float64)
    forward = target - eye
    forward = forward / max(float(np.linalg.norm(forward)), 1e-12)
    right = np.cross((0.0, 1.0, 0.0), forward)
    if np.linalg.norm(right) < 1e-9:  # straight from above or below
        right = np.array([1.0, 0.0, 0.0])
    right /= np.linalg.norm(right)
    r = np.stack([right, np.cross(forward, right), forward])
    width, height = size
    return Camera(
        width, height, focal, focal, width / 2, height / 2, tuple(r.ravel().tolist()), tuple((-r @ eye).tolist())
    )


def orbit(
    target: NDArray[Any] | tuple[float, ...],
    distance: float,
    azimuths: NDArray[Any] | list[float],
    elevation: float,
    size: tuple[int, int],
    focal: float,
) -> tuple[Camera, ...]:
    """Return cameras on a circle around a point.

    Parameters
    ----------
    target : (3,) array
        Middle of the circle.
    distance : float
        From the middle to each camera, in the world's unit.
    azimuths : sequence of float
        Degrees; at 0 the camera stands in front, at -z.
    elevation : float
        Degrees above the horizon.
    size : tuple of int
        Width and height.
    focal : float
        Pixels.

    Examples
    --------
    >>> front, right = orbit((0, 0, 0), 2.0, [0, 90], 0.0, (8, 8), 8.0)
    >>> np.allclose(front.center, [0, 0, -2]), np.allclose(right.center, [2, 0, 0])
    (True, True)
    """
    e = np.deg2rad(elevation)
    made = []
    for azimuth in np.deg2rad(np.asarray(azimuths, np.float64)):
        away = np.array([np.sin(azimuth) * np.cos(e), -np.sin(e), -np.cos(azimuth) * np.cos(e)])
        made.append(look_at(np.asarray(target) + distance * away, target, size, focal))
    return tuple(made)
