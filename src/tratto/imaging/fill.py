"""Smooth first fillings of holes: pure functions on float pictures of any depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

#: Radius in pixels of the neighbourhood that is continued into a hole.
RADIUS = 3


def smooth_fill(picture: Float, hole: NDArray[np.bool_]) -> Float:
    """Continue a picture into its holes along lines of equal brightness.

    Navier-Stokes in-painting (Bertalmio, Bertozzi and Sapiro 2001) of OpenCV, channel by channel in floating point, so
    that 16-bit pictures keep their depth. What the holes hold is of no account.

    Parameters
    ----------
    picture : (H, W, C) float32
        Finite.
    hole : (H, W) bool
        True where unknown.

    Returns
    -------
    (H, W, C) float32
        Equal to ``picture`` outside the holes; all of it mean grey where nothing is known.
    """
    import cv2

    if not hole.any():
        return picture.copy()
    if hole.all():
        return np.full_like(picture, 0.5)
    marks = hole.astype(np.uint8)
    out = np.empty_like(picture)
    for c in range(picture.shape[2]):
        plane = np.ascontiguousarray(np.where(hole, np.float32(0), picture[..., c]))
        done = cv2.inpaint(plane, marks, RADIUS, cv2.INPAINT_NS)
        low, high = float(plane[~hole].min()), float(plane[~hole].max())
        # the scheme can overshoot or leave what it never reached
        filled = np.clip(np.nan_to_num(done, nan=0.5 * (low + high)), low, high)
        out[..., c] = np.where(hole, filled, picture[..., c])
    return out
