"""Depth maps as pictures, for validation grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError

__all__ = ["DepthPicture", "depth_picture"]

#: A range of depth below this share of its largest value is none.
FLAT = 1e-6


@dataclass(frozen=True, eq=False)
class DepthPicture:
    """A depth map made visible.

    Attributes
    ----------
    pixels : (H, W, 3) uint8
        sRGB: black for the smallest value, pale yellow for the largest; uniform mid grey where nothing could be shown.
    low, high : float or None
        The values that became black and pale yellow; None if nothing finite was there.
    cleaned : int
        Values that were no finite numbers; they are shown as the smallest.
    note : str
        Empty, or why the picture shows nothing.

    Examples
    --------
    >>> depth_picture(np.array([[1.0, 2.0], [3.0, np.nan]])).cleaned
    1
    """

    pixels: NDArray[np.uint8]
    low: float | None
    high: float | None
    cleaned: int
    note: str


def depth_picture(depth: NDArray[Any]) -> DepthPicture:
    """Return a depth map as a picture: cleaned, brought to its own range, in the inferno colours.

    Parameters
    ----------
    depth : (H, W) array of numbers
        Any unit; NaN and infinity are allowed.

    Returns
    -------
    DepthPicture
        A flat map, or one without a finite value, is said to be so and is grey: a stretch of its rounding would look
        like depth.

    Raises
    ------
    OptionError
        If it is not two-dimensional or empty.

    Examples
    --------
    >>> shown = depth_picture(np.array([[1.0, 2.0, 3.0]]))
    >>> shown.low, shown.high, shown.pixels.shape
    (1.0, 3.0, (1, 3, 3))
    >>> depth_picture(np.ones((2, 2))).note == ""  # a flat map shows nothing
    False
    """
    import cv2

    values = np.asarray(depth, np.float64)
    if values.ndim != 2 or values.size == 0:
        raise OptionError(f"a depth map is (H, W) with at least one value, got {values.shape}")
    good = np.isfinite(values)
    cleaned = int(values.size - np.count_nonzero(good))
    gray = np.full((*values.shape, 3), 128, np.uint8)
    if not good.any():
        return DepthPicture(gray, None, None, cleaned, "no value of the depth map is finite")
    low, high = float(values[good].min()), float(values[good].max())
    if high - low <= FLAT * max(abs(low), abs(high)):
        return DepthPicture(gray, low, high, cleaned, f"the depth map is flat: every finite value is {low:g}")
    share = (np.where(good, values, low) - low) / (high - low)
    steps = np.rint(255 * share).astype(np.uint8)
    shown = cv2.applyColorMap(steps, cv2.COLORMAP_INFERNO)[..., ::-1]
    return DepthPicture(np.ascontiguousarray(shown, np.uint8), low, high, cleaned, "")
