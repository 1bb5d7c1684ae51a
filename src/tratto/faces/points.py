"""Five points of a face from whatever scheme of points it was found with, and the scheme of 106.

The 106 points are those of InsightFace's ``2d106det``. They are no extension of the 68 that older programs number: what
is 36 to 47 there, the eyes, is one eye and a brow here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.faces import mesh

Points = NDArray[np.float64]

#: Number of points of the scheme.
MANY = 106
#: Points of its parts; those of the contour do not follow each other around the face.
GROUPS = {
    "contour": tuple(range(33)),
    "left_eye": tuple(range(33, 43)),
    "left_brow": tuple(range(43, 52)),
    "mouth": tuple(range(52, 72)),
    "nose": tuple(range(72, 87)),
    "right_eye": tuple(range(87, 97)),
    "right_brow": tuple(range(97, 106)),
}
#: Tip of the nose and corners of the mouth among the 106.
TIP, CORNERS = 86, (52, 61)
#: Where eyes, tip of the nose and corners of the mouth lie in the 112 pixels that ArcFace looks at (Deng et al. 2019,
#: "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", arXiv 1801.07698).
ARCFACE = (
    (38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041),
)  # fmt: skip


def five(points: Points) -> Points:
    """Return the middles of the eyes, the tip of the nose and the corners of the mouth, from left to right: (5, 2).

    Parameters
    ----------
    points : (468, 2 or 3) or (106, 2 or 3) array
        Of the mesh or of InsightFace's 106; depth is not looked at.

    Raises
    ------
    OptionError
        If it is another scheme.

    Examples
    --------
    >>> five(np.arange(212.0).reshape(106, 2))[2].tolist()
    [172.0, 173.0]
    """
    flat = np.asarray(points, np.float64)[:, :2]
    if len(flat) == mesh.POINTS:
        eyes = [flat[list(corners)].mean(0) for corners in (mesh.LEFT_EYE, mesh.RIGHT_EYE)]
        return np.array([*eyes, flat[1], flat[61], flat[291]])
    if len(flat) == MANY:
        eyes = [flat[list(GROUPS[name])].mean(0) for name in ("left_eye", "right_eye")]
        return np.array([*eyes, flat[TIP], *flat[list(CORNERS)]])
    raise OptionError(f"the points of a face are {mesh.POINTS} or {MANY}, got {len(flat)}")


def on_template(side: int, wide: float = 0.0) -> Points:
    """Return where the five points lie in a square: those of ArcFace, in a frame of 112 + 2 x `wide` pixels' width.

    Parameters
    ----------
    side : int
        Of the square, in pixels.
    wide : float
        Pixels of 112 that are added at the left and at the right, while nothing is added above: 8 for ``inswapper``,
        whose picture of 128 lies 8 to the left of ArcFace's and begins where that begins.
    """
    scale = side / (112 + 2 * wide)
    return (np.array(ARCFACE) + [wide, 0] + 0.5) * scale - 0.5


def outline(points: Points, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return a face's outline filled, float32 (H, W), 1 inside; of 106 points the hull of contour and brows."""
    if len(points) == mesh.POINTS:
        return mesh.outline(points, shape)
    around = GROUPS["contour"] + GROUPS["left_brow"] + GROUPS["right_brow"]
    return mesh.hull(points, around, shape).astype(np.float32)
