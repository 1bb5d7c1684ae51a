"""A label that can be seen: that a picture shows a synthetic face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WORDS = "SYNTHETIC FACE"


def size_of(shape: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of the label on a picture of so many rows and columns.

    Examples
    --------
    >>> size_of((1000, 1000))
    (33, 250)
    """
    width = min(shape[1], max(96, round(0.25 * min(shape))))
    return min(shape[0], max(8, round(width * 0.132))), width


def draw_label(picture: NDArray[np.float32], box: Sequence[int]) -> None:
    """Draw the label into a picture ((H, W, 3) float32 in [0, 1]), in place.

    Parameters
    ----------
    picture : (H, W, 3) float32
        Encoded sRGB; what lies in the box is overwritten.
    box : x, y, width, height
        In pixels; it must lie inside the picture.
    """
    import cv2

    x, y, width, height = box
    sign = np.zeros((66, 500), np.uint8)
    (wide, high), _ = cv2.getTextSize(WORDS, cv2.FONT_HERSHEY_DUPLEX, 1.4, 3)
    cv2.putText(sign, WORDS, ((500 - wide) // 2, (66 + high) // 2), cv2.FONT_HERSHEY_DUPLEX, 1.4, 255, 3, cv2.LINE_AA)
    small = cv2.resize(sign, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    picture[y : y + height, x : x + width] = (np.float32(0.08) + np.float32(0.9) * small)[..., None]
