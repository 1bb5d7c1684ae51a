"""Smooth first fillings of holes: pure functions on float pictures of any depth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

#: Radius in pixels of the neighbourhood that is continued into a hole.
RADIUS = 3


def smooth_fill(picture: Float, hole: NDArray[np.bool_]) -> Float:
    """Continue a picture into its holes along lines of equal brightness.

    Navier-Stokes inpainting (Bertalmio, Bertozzi and Sapiro 2001) of OpenCV, channel by channel in floating point, so
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


#: Conjugate gradients stop when the residual has fallen by this factor: a hundredth of an 8-bit step on photographs.
TOLERANCE = 2e-3
#: Stopping early suits wide holes better than the exact solution, which overshoots there: on six
#: photographs 23.2 dB after 50 rounds and 22.8 dB at the end in medium holes, 25.3 dB either way in thin ones
#: (Navier-Stokes: 22.6 and 24.5 dB).
ROUNDS = 40


def plate_fill(picture: Float, hole: NDArray[np.bool_], rounds: int = ROUNDS, tolerance: float = TOLERANCE) -> Float:
    """Span a thin plate over the holes: the smoothest continuation in value and slope.

    Minimises the integral of the squared Laplacian over picture and holes with what is known held fixed, that is,
    solves the biharmonic equation in the holes; with mirrored borders. By conjugate gradients from
    :func:`smooth_fill`, stopped early: wide holes keep something of that first filling.

    Parameters
    ----------
    picture : (H, W, C) float32
        Finite.
    hole : (H, W) bool
        True where unknown.
    rounds : int
        Most iterations.
    tolerance : float
        Residual, relative to the first one, at which to stop.

    Returns
    -------
    (H, W, C) float32
        Equal to ``picture`` outside the holes; within the range of the known samples around them.
    """
    import cv2

    start = smooth_fill(picture, hole)
    if not hole.any() or hole.all():
        return start
    height, width = hole.shape
    out = start.copy()
    # Solve only where holes are: the window of all of them, grown by the stencil.
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    y0, y1 = max(0, int(rows[0]) - 4), min(height, int(rows[-1]) + 5)
    x0, x1 = max(0, int(columns[0]) - 4), min(width, int(columns[-1]) + 5)
    marks = hole[y0:y1, x0:x1]
    stencil = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)

    def squared_laplacian(u: Float) -> Float:
        # mirrored with the edge sample repeated, the Laplacian is symmetric, so this is its square
        once = cv2.filter2D(u, -1, stencil, borderType=cv2.BORDER_REFLECT)
        return np.asarray(cv2.filter2D(once, -1, stencil, borderType=cv2.BORDER_REFLECT), np.float32)

    free = marks.astype(np.float32)
    for c in range(picture.shape[2]):
        u = np.ascontiguousarray(start[y0:y1, x0:x1, c])
        residual = -squared_laplacian(u) * free
        direction = residual.copy()
        power = float(np.vdot(residual, residual))
        goal = tolerance**2 * power
        for _ in range(rounds):
            if power <= goal or power <= 1e-12:
                break
            applied = squared_laplacian(direction) * free
            step = power / max(float(np.vdot(direction, applied)), 1e-30)
            u += np.float32(step) * direction
            residual -= np.float32(step) * applied
            following = float(np.vdot(residual, residual))
            direction = residual + np.float32(following / power) * direction
            power = following
        plane = picture[..., c]
        low, high = float(plane[~hole].min()), float(plane[~hole].max())
        out[y0:y1, x0:x1, c][marks] = np.clip(u[marks], low, high)
    return out


@dataclass(frozen=True)
class ErrorCurve:
    """How the error of a filling grows from the border of a hole inwards.

    ``sigma = share * contrast * (1 - exp(-distance / reach))``, where contrast is the standard deviation of what is
    known around. Fitted to photographs by ``benchmarks/repair_error.py``.

    Attributes
    ----------
    share : float
        Of the contrast, deep inside.
    reach : float
        Pixels over which two thirds of it are reached.
    """

    share: float
    reach: float


def _blurred(plane: Float, sigma: float, shrink: int) -> Float:
    """Return a plane (H, W) under a Gaussian of ``sigma`` pixels, worked out at 1/``shrink`` of its size."""
    import cv2

    height, width = plane.shape
    if shrink == 1 or min(height, width) < 8 * shrink:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))
    small = cv2.resize(plane, (width // shrink, height // shrink), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / shrink, borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def expected_error(picture: Float, hole: NDArray[np.bool_], curve: ErrorCurve) -> Float:
    """Return the expected one-sigma error of a filling, RMS over the channels; 0 outside the holes.

    Parameters
    ----------
    picture : (H, W, C) float32
        What the holes hold is of no account.
    hole : (H, W) bool
        What was filled.
    curve : ErrorCurve
        Measured error of a filling by its distance from what is known.

    Returns
    -------
    (H, W) float32
        At least half an 8-bit step inside the holes.
    """
    import cv2

    out = np.zeros(hole.shape, np.float32)
    if not hole.any():
        return out
    known = (~hole).astype(np.float32)
    if not known.any():
        out[hole] = curve.share * 0.3  # about the deviation of a photograph
        return out
    variance, weight = np.zeros(hole.shape, np.float32), np.zeros(hole.shape, np.float32)
    # near surroundings where there are any, wider ones deep inside; those in a quarter of the size, which is enough
    for sigma, trust, shrink in ((6.0, 1.0, 1), (24.0, 1e-3, 4)):
        blur = partial(_blurred, sigma=sigma, shrink=shrink)
        support = blur(known)
        safe = np.maximum(support, np.float32(1e-6))
        spread = np.zeros(hole.shape, np.float32)
        for c in range(picture.shape[2]):
            plane = np.where(hole, np.float32(0), picture[..., c])
            mean = blur(plane) / safe
            spread += np.maximum(blur(plane * plane) / safe - mean * mean, 0) / picture.shape[2]
        variance += np.float32(trust) * support * spread
        weight += np.float32(trust) * support
    everywhere = float(picture[~hole].var(axis=0).mean())
    # where nothing is near, the whole window's contrast
    contrast = np.sqrt((variance + np.float32(1e-6 * everywhere)) / (weight + np.float32(1e-6)))
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    grown = np.float32(curve.share) * contrast * (1 - np.exp(-depth / np.float32(curve.reach)))
    out[hole] = np.maximum(grown[hole], np.float32(0.5 / 255))
    return out
