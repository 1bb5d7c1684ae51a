"""Which pixels of a coarse mask of lines are line: read from the contrast of the picture at a finer scale.

A mask of a crack that was found in a reduced picture is some pixels of that wide, however thin the crack is in the
larger one. What stands out from the surroundings of the mask as the strongest pixels nearby do is the line; the rest of
the mask is what it was drawn too widely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

#: Share of the strongest contrast nearby from which on a pixel is line.
LINE = 0.4
#: Contrast, of the full scale, below which the picture does not tell where the line is.
FAINT = 0.02
#: Sides of a mask's pixel in the finer picture from which on there is something to gain.
COARSE = 1.5
#: Edges as blurred as so many pixels of the mask: the picture shows no more than what the mask was drawn by, and all of
#: it stays. The rim grows from 1 pixel to the whole mask as the blur comes near it, so many times as fast.
BLURRED, STEEP = 0.85, 16.0
#: Blur of a sharp edge as it is measured here, less the pixel of rim that any line keeps.
SHARP = 1.2


@dataclass(frozen=True, eq=False)
class LineContrast:
    """How a picture stands out from the surroundings of a mask.

    Attributes
    ----------
    contrast : (H, W) float32
        Towards the colour by which the strongest pixels around differ; 0 outside the mask.
    strongest : (H, W) float32
        Strongest contrast nearby.
    blur : float
        Pixels in which an edge of the lines rises from their surroundings to them, the median; 0 where there is none.

    Examples
    --------
    >>> LineContrast(np.zeros((8, 8), np.float32), np.zeros((8, 8), np.float32), 0.0).blur
    0.0
    """

    contrast: Float
    strongest: Float
    blur: float


def line_pixels(picture: Float, masks: Sequence[Bool], sides: Sequence[float]) -> list[Bool | None]:
    """Return of each coarse mask of lines the pixels that are line, with a rim.

    Parameters
    ----------
    picture : (H, W, 3) float32
        Encoded, in [0, 1].
    masks : sequence of (H, W) bool
        From the coarsest on, each brought to the picture's size.
    sides : sequence of float
        Pixels of the picture to a side of a pixel of each mask, as it was drawn.

    Returns
    -------
    list of (H, W) bool or None
        None: all of the mask stays, since it is empty, hardly coarser than the picture, or the picture is too blurred
        to show more.

    Examples
    --------
    >>> picture = np.full((64, 64, 3), 0.5, np.float32)
    >>> picture[:, 31:34] = 1
    >>> mask = np.zeros((64, 64), bool)
    >>> mask[:, 26:39] = True
    >>> (kept,) = line_pixels(picture, [mask], [4.0])
    >>> [int(x) for x in np.flatnonzero(kept[32])]
    [30, 31, 32, 33, 34]
    """
    import cv2

    found: list[Bool | None] = []
    least: float | None = None  # rim in pixels, by how blurred the picture is beside the coarsest mask
    for mask, side in zip(masks, sides, strict=True):
        if side < COARSE or not mask.any() or mask.all():
            found.append(None)
            continue
        seen = line_contrast(picture, mask, side)
        if least is None:
            least = max(1.0, STEEP * (seen.blur - BLURRED * side))
        if least > 2 * side:
            found.append(None)
            continue
        line = mask & ((seen.contrast >= np.float32(LINE) * seen.strongest) | (seen.strongest < FAINT))
        distance = cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        found.append(mask & (distance <= max(least, seen.blur - SHARP)))
    return found


def line_contrast(picture: Float, mask: Bool, side: float) -> LineContrast:
    """Return how what lies in a mask of lines stands out from what lies around it.

    Parameters
    ----------
    picture : (H, W, 3) float32
        Encoded, in [0, 1].
    mask : (H, W) bool
        Some of it, but not all.
    side : float
        Pixels over which surroundings and contrasts are averaged.

    Examples
    --------
    >>> picture, mask = np.full((64, 64, 3), 0.5, np.float32), np.zeros((64, 64), bool)
    >>> picture[:, 32] = (1, 0.5, 0.5)
    >>> mask[:, 26:39] = True
    >>> round(float(line_contrast(picture, mask, 4.0).contrast[32, 32]), 2)
    0.5
    """
    import cv2

    inside = mask.astype(np.float32)
    off = picture - _surroundings(picture, 1 - inside, side)  # (H, W, 3)
    # the colour of the line: strong differences count by their square
    weight = inside * (off * off).max(axis=2)
    towards = _blurred(off * weight[..., None], side)
    towards /= np.linalg.norm(towards, axis=2, keepdims=True) + np.float32(1e-6)
    signed = np.maximum((off * towards).sum(axis=2), 0)
    contrast = signed * inside
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(side) + 1,) * 2)
    share = _blurred(inside, side) + np.float32(1e-6)

    def nearby(values: Float) -> Float:
        return np.asarray(_blurred(cv2.dilate(values, disc) * inside, side) / share, np.float32)

    strongest = nearby(_blurred(contrast, 0.7))
    slope = np.hypot(*(cv2.Sobel(signed, -1, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1))))
    line = mask & (contrast >= np.float32(LINE) * strongest) & (strongest >= FAINT)
    rise = strongest[line] / (nearby(slope * inside)[line] + np.float32(1e-6))
    return LineContrast(contrast, strongest, float(np.median(rise)) if rise.size else 0.0)


def _surroundings(picture: Float, outside: Float, side: float) -> Float:
    """Return the mean colour around each pixel of what lies outside: nearby, and farther off where nothing does."""
    import cv2

    known = np.dstack([picture * outside[..., None], outside])
    size = picture.shape[1::-1]
    small = cv2.resize(known, (max(1, size[0] // 4), max(1, size[1] // 4)), interpolation=cv2.INTER_AREA)
    far = cv2.resize(_blurred(small, 0.75 * side), size, interpolation=cv2.INTER_LINEAR)
    mean = _blurred(known, side) + np.float32(1e-3) * far
    return np.asarray(mean[..., :3] / (mean[..., 3:] + np.float32(1e-6)), np.float32)


def _blurred(values: Float, deviation: float) -> Float:
    import cv2

    return np.asarray(cv2.GaussianBlur(values, (0, 0), deviation), np.float32)
