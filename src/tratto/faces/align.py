"""Cutting a face out of a picture upright, and laying it on given points. The first pixel's centre is at 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Matrix = NDArray[np.float64]


def similarity(source: Points, target: Points) -> Matrix:
    """Return the turn, scaling and shift that lay points on others with the least squared distance, never mirrored.

    Parameters
    ----------
    source, target : (N, 2) array
        x, y; at least two that differ.

    Returns
    -------
    (2, 3) array
        ``target ~ matrix[:, :2] @ source + matrix[:, 2]``.

    Raises
    ------
    ValueError
        If the source points all coincide.

    References
    ----------
    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991 (in the plane,
    without reflection, where it has this closed form).

    Examples
    --------
    >>> square = np.array([[0.0, 0], [1, 0], [1, 1]])
    >>> np.allclose(similarity(square, 2 * square + 3), [[2, 0, 3], [0, 2, 3]])
    True
    """
    a, b = np.asarray(source, np.float64), np.asarray(target, np.float64)
    middle, onto = a.mean(0), b.mean(0)
    a, b = a - middle, b - onto
    power = float((a * a).sum())
    if power == 0:
        raise ValueError("the points to be laid on others all coincide")
    along = float((a * b).sum()) / power
    across = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / power
    turn = np.array([[along, -across], [across, along]])
    return np.column_stack([turn, onto - turn @ middle])


def upright(centre: Points, side: float, angle: float, size: int) -> Matrix:
    """Return the matrix that cuts a turned square out of a picture.

    Parameters
    ----------
    centre : (2,) array
        x, y of its middle.
    side : float
        In pixels of the picture.
    angle : float
        Of its upper edge against the rows, radians, clockwise as seen.
    size : int
        Side of what is cut out, in its own pixels.
    """
    scale = size / side
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    turn = np.array([[cos, sin], [-sin, cos]])
    return np.column_stack([turn, (size - 1) / 2 - turn @ np.asarray(centre, np.float64)])


def inverse(matrix: Matrix) -> Matrix:
    """Return the matrix back."""
    import cv2

    back: Matrix = cv2.invertAffineTransform(matrix)
    return back


def moved(points: Points, matrix: Matrix) -> Points:
    """Return points (N, 2) under a matrix (2, 3)."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def cut(picture: NDArray[np.float32], matrix: Matrix, size: int, border: float | None = None) -> NDArray[np.float32]:
    """Cut a square out of a picture.

    Where it is made smaller, the picture is smoothed first by as much, so that nothing aliases.

    Parameters
    ----------
    picture : (H, W, 3) float32
        Values of any range.
    matrix : (2, 3) array
        From the picture to the square.
    size : int
        Side of the square.
    border : float or None
        Value beyond the picture's edge; None: the edge is repeated.

    Returns
    -------
    (size, size, 3) float32
        The square, in the picture's own values.
    """
    import cv2

    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    value = (border or 0.0,) * 3
    back = inverse(matrix)
    corners = moved(np.array([[-1.0, -1], [size, -1], [size, size], [-1, size]]), back)
    height, width = picture.shape[:2]
    pad = 4 / min(scale, 1.0) + 2
    x0, y0 = (int(max(0, min(v, s - 1))) for v, s in zip(np.floor(corners.min(0) - pad), (width, height), strict=True))
    x1, y1 = (int(max(1, min(v, s))) for v, s in zip(np.ceil(corners.max(0) + pad), (width, height), strict=True))
    part = np.ascontiguousarray(picture[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)])
    if scale < 1:
        sigma = 0.5 * np.sqrt(1 / scale**2 - 1)
        part = cv2.GaussianBlur(part, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ np.array([x0, y0], np.float64)
    out = cv2.warpAffine(part, shifted, (size, size), flags=cv2.INTER_LINEAR, borderMode=mode, borderValue=value)
    return np.asarray(out, np.float32)
