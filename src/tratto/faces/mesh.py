"""The mesh of 468 points: which point is what, outline, and pose.

The numbering is that of MediaPipe's face mesh (Kartynnik et al. 2019, "Real-time Facial Surface Geometry from Monocular
Video on Mobile GPUs", arXiv 1907.06724).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import FaceBox

POINTS = 468
#: Corners of the eyes from the left of the picture to the right, tip of the nose, corners of the mouth.
SEVEN = (33, 133, 362, 263, 1, 61, 291)
LEFT_EYE, RIGHT_EYE = (33, 133), (362, 263)
#: Ends of the face: left and right beside the ears, top of the forehead, chin.
LEFT, RIGHT, TOP, CHIN = 234, 454, 10, 152
#: The outline, clockwise from the top.
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)


def pose(mesh: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return how a face is turned, in degrees.

    Parameters
    ----------
    mesh : (468, 3) array
        x, y and depth in pixels; nearer is less.

    Returns
    -------
    (yaw, pitch, roll)
        Yaw: positive where it looks to the right of the picture. Pitch: positive where it looks down. Roll: positive
        where it leans to the right (clockwise).

    Examples
    --------
    >>> flat = np.zeros((468, 3))
    >>> flat[LEFT], flat[RIGHT], flat[TOP], flat[CHIN] = (-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0)
    >>> pose(flat)
    (0.0, 0.0, 0.0)
    """
    across, down = mesh[RIGHT] - mesh[LEFT], mesh[CHIN] - mesh[TOP]
    roll = float(np.arctan2(across[1], across[0]))
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    flat_across, flat_down = turn @ across[:2], turn @ down[:2]
    yaw = float(np.arctan2(across[2], flat_across[0]))
    pitch = float(np.arctan2(down[2], flat_down[1]))
    yaw, pitch, roll = (float(v) for v in np.degrees([yaw, pitch, roll]))
    return yaw, pitch, roll


def outline(mesh: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return the face's outline filled, float32 (H, W), 1 inside.

    Parameters
    ----------
    mesh : (468, 2 or 3) array
        Points in pixels; depth is not looked at.
    shape : (int, int)
        Rows and columns.
    """
    import cv2

    out = np.zeros(shape, np.float32)
    corners = np.rint(mesh[list(OVAL), :2] * 8).astype(np.int32)
    cv2.fillPoly(out, [corners.reshape(-1, 1, 2)], 1.0, lineType=cv2.LINE_8, shift=3)
    return out


#: Parts of the face that are no skin, as points around them.
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
BROWS = ((46, 53, 52, 65, 55, 70, 63, 105, 66, 107), (276, 283, 282, 295, 285, 300, 293, 334, 296, 336))
NOSTRILS = (98, 97, 2, 326, 327, 294, 278, 4, 48, 64)
#: On the cheeks, the nose and the forehead: where skin is mostly seen.
SKIN = (50, 280, 205, 425, 117, 346, 6, 197, 195, 5, 151, 9, 108, 337)
#: The forehead, above the brows.
FOREHEAD = (
    *(10, 338, 297, 332, 284, 251, 21, 54, 103, 67, 109, 151),
    *(66, 105, 63, 70, 296, 334, 293, 300),
)
#: Between the eyes, where the frame of glasses crosses the nose.
BRIDGE = 168


def width(points: NDArray[np.float64]) -> float:
    """Return the distance of the sides of a face beside the ears, in the plane or in depth, in pixels."""
    return float(np.linalg.norm(points[RIGHT] - points[LEFT]))


def box_of(points: NDArray[np.float64]) -> FaceBox:
    """Return the box of a face of which the 468 points are known."""
    low, high = points[:, :2].min(0).tolist(), points[:, :2].max(0).tolist()
    one, other = (tuple(points[list(i), :2].mean(0).tolist()) for i in (LEFT_EYE, RIGHT_EYE))
    return FaceBox((low[0], low[1], high[0], high[1]), 1.0, ((one[0], one[1]), (other[0], other[1])))


def hull(
    points: NDArray[np.float64], indices: tuple[int, ...], shape: tuple[int, int], grow: float = 0.0
) -> NDArray[np.bool_]:
    """Return the convex hull of some points filled, grown by so many pixels, bool (H, W)."""
    import cv2

    out = np.zeros(shape, np.uint8)
    corners = cv2.convexHull(np.rint(points[list(indices), :2] * 8).astype(np.int32).reshape(-1, 1, 2))
    cv2.fillConvexPoly(out, corners, 1, lineType=cv2.LINE_8, shift=3)
    reach = round(grow)
    if reach > 0:
        cv2.circle(kernel := np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8), (reach, reach), reach, 1, -1)
        out = cv2.dilate(out, kernel)
    return out > 0
