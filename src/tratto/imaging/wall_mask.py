"""Help with masks: a wall from a click or a scribble, and growing, shrinking and feathering of any mask.

The wall is grown from the points in small steps of colour, so that fall-off and shading are followed and edges stop it,
and kept to the points' chromaticity; where points on other things are given, too, the picture is divided between them
along its edges. What comes out is the start of a GrabCut (Rother, Kolmogorov and Blake 2004, in OpenCV) that settles
the border. All of it on a picture of at most ``WORK`` pixels on its longer side; the border is then placed again at
full size by the matte.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.imaging.color import srgb_to_lab
from tratto.imaging.shading import blur

Float = NDArray[np.float32]

__all__ = ["adjust_mask", "draw_points", "stored_point", "wall_from_points", "wall_from_scribble"]

#: Longer side of the picture the wall is searched in.
WORK = 480
#: Rounds of GrabCut.
ROUNDS = 3
#: A region below this share of the picture got stuck in grain or in a steep fall-off of light: it grows again with each
#: of these factors of tolerance until it is larger.
STUCK, LOOSER = 0.002, (1.5, 2.2, 3.3)
#: CIELAB lightness from which on a pool of light has lost the paint's colour.
BURNT = 92.0


def wall_from_points(
    rgb: Float,
    points: Sequence[Sequence[float]],
    tolerance: float = 1.0,
    others: Sequence[Sequence[float]] = (),
) -> Float:
    """Return the mask of the surface that the points lie on.

    Parameters
    ----------
    rgb : (H, W, 3) float32
        Encoded sRGB in [0, 1].
    points : sequence of (x, y)
        Pixels on the wall; several where furniture cuts it into parts.
    tolerance : float
        1 = as measured; above, less alike parts are taken in too.
    others : sequence of (x, y)
        Pixels on the ceiling, the floor, furniture: what the wall must not run into.

    Returns
    -------
    (H, W) float32 in [0, 1]
        1 = of that surface.

    Raises
    ------
    OptionError
        If there is no point, or one lies outside the picture.

    Examples
    --------
    >>> room = np.full((60, 80, 3), 0.8, np.float32)
    >>> room[:, 40:] = (0.2, 0.3, 0.6)
    >>> mask = wall_from_points(room, [(10, 30)])
    >>> bool(mask[30, 10] > 0.5), bool(mask[30, 70] > 0.5)
    (True, False)
    """
    if len(points) == 0:
        raise OptionError("at least one point on the wall is needed")
    wall, other = (draw_points(p, (rgb.shape[0], rgb.shape[1])) for p in (points, others))
    return wall_from_scribble(rgb, wall, other if other.any() else None, tolerance)


def draw_points(points: Sequence[Sequence[float]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a drawing that is True at points (x, y) of a picture of this shape.

    Raises
    ------
    OptionError
        If a point lies outside.

    Examples
    --------
    >>> int(draw_points([(2, 2)], (5, 5)).sum()) > 0
    True
    """
    drawn = np.zeros(shape[:2], bool)
    for point in points:
        x, y = (float(v) for v in point)
        if not (0 <= x < shape[1] and 0 <= y < shape[0]):
            raise OptionError(f"the point {x:g},{y:g} lies outside the picture of {shape[1]}x{shape[0]}")
        drawn[int(y), int(x)] = True
    return drawn


def wall_from_scribble(
    rgb: Float, wall: NDArray[np.bool_], other: NDArray[np.bool_] | None = None, tolerance: float = 1.0
) -> Float:
    """Return the mask of the surface that a rough scribble lies on.

    Parameters
    ----------
    rgb : (H, W, 3) float32
        Encoded sRGB in [0, 1].
    wall : (H, W) bool
        True where the user drew on the wall.
    other : (H, W) bool or None
        True where the user drew on something else.
    tolerance : float
        1 = as measured; above, less alike parts are taken in too.

    Returns
    -------
    (H, W) float32 in [0, 1]
        1 = of that surface.

    Raises
    ------
    OptionError
        If nothing is drawn, the sizes differ, the two drawings contradict each other or nothing is found.

    Examples
    --------
    >>> room = np.full((60, 80, 3), 0.8, np.float32)
    >>> room[:, 40:] = (0.2, 0.3, 0.6)
    >>> drawn = np.zeros((60, 80), bool)
    >>> drawn[28:32, 5:30] = True
    >>> mask = wall_from_scribble(room, drawn)
    >>> bool(mask[5, 5] > 0.5), bool(mask[30, 70] > 0.5)
    (True, False)
    """
    import cv2

    if wall.shape != rgb.shape[:2] or (other is not None and other.shape != wall.shape):
        raise OptionError(
            f"a scribble must be of the picture's size {rgb.shape[1]}x{rgb.shape[0]}, got {wall.shape[::-1]}"
        )
    if not wall.any():
        raise OptionError("the scribble is empty; draw at least one point on the wall")
    ratio = min(1.0, WORK / max(wall.shape))
    size = (max(8, round(wall.shape[1] * ratio)), max(8, round(wall.shape[0] * ratio)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    seeds = _shrunk(wall, size)
    stop = np.zeros_like(seeds) if other is None else _shrunk(other, size)
    if not (seeds & ~stop).any():
        raise OptionError("every point on the wall is also a point on something else; they must lie apart")
    if stop.any():
        cut = _grab_cut(small, _parted(small, seeds, stop, tolerance), seeds, stop)
    else:
        for looser in (1.0, *LOOSER):
            cut = _grab_cut(small, _grown(small, seeds, stop, looser * tolerance), seeds, stop)
            if np.count_nonzero(cut) >= STUCK * cut.size:
                break
    if not cut.any():
        raise OptionError("no wall was found from these points; give more of them, or a higher tolerance")
    soft = blur(cut.astype(np.float32), 0.7)
    full = cv2.resize(soft, wall.shape[::-1], interpolation=cv2.INTER_CUBIC)
    width = 0.5 if ratio == 1 else 0.25
    out: Float = np.clip((full - 0.5) / (2 * width) + 0.5, 0, 1).astype(np.float32)
    return out


def _shrunk(points: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a drawing at the working size; single points stay."""
    out = np.zeros((size[1], size[0]), bool)
    y, x = np.nonzero(points)
    out[y * size[1] // points.shape[0], x * size[0] // points.shape[1]] = True
    return out


def _grown(small: Float, seeds: NDArray[np.bool_], stop: NDArray[np.bool_], tolerance: float) -> NDArray[np.bool_]:
    """Grow a region from the seeds in small steps of smoothed Lab, within the seeds' chromaticity."""
    import cv2

    smooth = cv2.bilateralFilter(small, 5, 0.06, 3)
    lab = np.asarray(srgb_to_lab(cv2.medianBlur(smooth, 3)), np.float32)
    around = cv2.dilate(seeds.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    color = np.median(lab[around], axis=0)
    # what the picture's own grain makes neighbours differ by, from the quieter half of all steps
    steps = np.abs(np.diff(lab, axis=1)).max(axis=2)
    grain = float(np.median(steps)) + 0.15
    limit = tolerance * min(2.5, max(0.8, 2.5 * grain))
    barrier = (_strange(lab, color, tolerance) | stop).astype(np.uint8)
    flood = np.zeros((lab.shape[0] + 2, lab.shape[1] + 2), np.uint8)
    flood[1:-1, 1:-1] = barrier
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | (2 << 8)
    work = np.ascontiguousarray(lab)
    for y, x in np.argwhere(seeds):
        if flood[y + 1, x + 1] == 0:
            cv2.floodFill(work, flood, (int(x), int(y)), (0, 0, 0), (limit,) * 3, (limit,) * 3, flags)
    region = (flood[1:-1, 1:-1] == 2).astype(np.uint8)
    region = cv2.morphologyEx(region, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    grown: NDArray[np.bool_] = (region > 0) | around & ~stop
    return grown


def _strange(lab: Float, color: Float, tolerance: float) -> NDArray[np.bool_]:
    """Return where the chromaticity is not that of one paint, in whatever light."""
    chroma = np.hypot(lab[..., 1] - color[1], lab[..., 2] - color[2])
    # chroma grows with brightness under one light, so its distance is judged relative to lightness
    scale = np.maximum(lab[..., 0], 15) / max(float(color[0]), 15.0)
    off = np.hypot(lab[..., 1] - color[1] * scale, lab[..., 2] - color[2] * scale)
    allowed = tolerance * (8.0 + 0.12 * float(np.hypot(color[1], color[2])))
    strange: NDArray[np.bool_] = np.minimum(off, chroma) > allowed
    return strange


def _parted(small: Float, seeds: NDArray[np.bool_], stop: NDArray[np.bool_], tolerance: float) -> NDArray[np.bool_]:
    """Divide the picture between the wall's points and the others' along its edges (watershed, Meyer 1992)."""
    import cv2

    smooth = cv2.medianBlur(cv2.bilateralFilter(small, 7, 0.08, 3), 5)
    markers = np.zeros(seeds.shape, np.int32)
    dot = np.ones((3, 3), np.uint8)
    markers[cv2.dilate(seeds.astype(np.uint8), dot) > 0] = 1
    markers[cv2.dilate(stop.astype(np.uint8), dot) > 0] = 2
    cv2.watershed(np.ascontiguousarray(np.rint(255 * np.clip(smooth, 0, 1)).astype(np.uint8)), markers)
    region: NDArray[np.bool_] = markers == 1
    lab = np.asarray(srgb_to_lab(smooth), np.float32)
    around = cv2.dilate(seeds.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    pools = around & (lab[..., 0] > BURNT)  # points in the bright pool of a lamp say nothing of the paint elsewhere
    color = np.median(lab[around & ~pools if (around & ~pools).any() else around], axis=0)
    strange = _strange(lab, color, tolerance)
    if pools.any():
        there = np.median(lab[pools], axis=0)
        strange &= _strange(lab, there, tolerance) | (lab[..., 0] < there[0] - 10)
    plain = region & ~strange
    # furniture that nobody pointed at goes by its colour, unless the wall has a pattern and would go with it
    return plain if np.count_nonzero(plain) > 0.6 * np.count_nonzero(region) else region


def _grab_cut(
    small: Float, region: NDArray[np.bool_], seeds: NDArray[np.bool_], stop: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Settle the border of a region by GrabCut within a few pixels of it."""
    import cv2

    inner = cv2.erode(region.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    outer = cv2.dilate(region.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    labels = np.full(region.shape, cv2.GC_BGD, np.uint8)
    labels[outer] = cv2.GC_PR_BGD
    labels[region] = cv2.GC_PR_FGD
    labels[inner | seeds] = cv2.GC_FGD
    labels[stop] = cv2.GC_BGD
    if not ((labels == cv2.GC_BGD) | (labels == cv2.GC_PR_BGD)).any() or not (labels == cv2.GC_FGD).any():
        return region
    picture = np.rint(255 * small[..., ::-1]).astype(np.uint8)
    cv2.setRNGSeed(0)  # its clusters start from random pixels
    cv2.grabCut(
        np.ascontiguousarray(picture), labels, None, np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK
    )
    return np.asarray((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def adjust_mask(mask: Float, grow: float = 0.0, feather: float = 0.0) -> Float:
    """Grow or shrink a mask and soften its edge.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
        1 = inside; the edge lies where it is 0.5.
    grow : float
        Pixels; negative shrinks. Distances are Euclidean, from the half-way line of the mask.
    feather : float
        Width in pixels over which the edge goes from 0 to 1, centred on it; 0 keeps the mask's own edge.

    Returns
    -------
    (H, W) float32 in [0, 1]
        The mask itself when both are 0.

    Raises
    ------
    OptionError
        If a number is not finite or larger than the picture, the feather negative, or nothing left of the mask.

    Examples
    --------
    >>> mask = np.zeros((9, 9), np.float32)
    >>> mask[4, 4] = 1
    >>> int((adjust_mask(mask, grow=2) > 0.5).sum())
    21
    """
    import cv2

    if not (np.isfinite(grow) and np.isfinite(feather) and feather >= 0):
        raise OptionError(f"grow must be finite and feather 0 or more, got {grow} and {feather}")
    if max(abs(grow), feather) > max(mask.shape):
        raise OptionError(
            f"grow and feather are pixels, at most the picture's longer side of {max(mask.shape)}; "
            f"got {grow:g} and {feather:g}"
        )
    if grow == 0 and feather == 0:
        return mask
    inside = (mask > 0.5).astype(np.uint8)
    if not inside.any() or inside.all():
        return inside.astype(np.float32)
    within = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    beyond = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    signed = np.where(inside > 0, within - 0.5, 0.5 - beyond) + np.float32(grow)
    width = max(feather, 1e-3)
    out: Float = np.clip(signed / width + 0.5, 0, 1).astype(np.float32)
    if not out.any():
        raise OptionError(f"nothing is left of the mask when it shrinks by {-grow:g} pixels; shrink it less")
    return out


def stored_point(point: Sequence[float], size: tuple[int, int], orientation: int) -> tuple[float, float]:
    """Return where a point of the picture as shown lies in the picture as stored.

    Parameters
    ----------
    point : (x, y)
        Pixel centres are whole numbers.
    size : (int, int)
        Width and height as stored.
    orientation : int
        EXIF orientation 1-8.

    Returns
    -------
    (x, y)
        In pixels of the picture as stored; whole numbers are pixel centres.

    Examples
    --------
    >>> stored_point((0, 0), (4, 3), 1)
    (0.0, 0.0)
    """
    x, y = (float(v) for v in point)
    right, bottom = size[0] - 1.0, size[1] - 1.0
    places = {
        1: (x, y), 2: (right - x, y), 3: (right - x, bottom - y), 4: (x, bottom - y),
        5: (y, x), 6: (y, bottom - x), 7: (right - y, bottom - x), 8: (right - y, x),
    }  # fmt: skip
    return places[orientation]
