"""A scene in another frame whose axes point the same way or the opposite one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tratto.core.artifact import Scene


def flipped(scene: Scene, x: int, y: int, z: int) -> Scene:
    """Return a scene after a half turn, which changes the sign of two axes: positions, rotations and harmonics.

    Parameters
    ----------
    scene : Scene
        It is not changed.
    x, y, z : int
        1 or -1 each; two of them are -1, or none.

    Examples
    --------
    >>> scene = Scene.of_points(np.array([[1.0, 2, 3]]), np.array([[9, 9, 9]], np.uint8), 0.1)
    >>> flipped(scene, 1, -1, -1).positions.tolist()
    [[1.0, -2.0, -3.0]]
    """
    terms = scene.harmonics.shape[1]
    # of each basis function, by the powers of x, y and z in it
    signs = [1, y, z, x, x * y, y * z, 1, x * z, 1, y, x * y * z, y, z, x, z, x][:terms]
    return replace(
        scene,
        positions=scene.positions * np.array([x, y, z], np.float32),
        rotations=scene.rotations * np.array([1, y * z, x * z, x * y], np.float32),
        harmonics=scene.harmonics * np.array(signs, np.float32)[:, None],
    )
