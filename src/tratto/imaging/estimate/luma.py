"""Luma of encoded RGB, as JPEG weighs it (ITU-R BT.601)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LUMA", "luma_of"]

#: Weights of red, green and blue.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def luma_of(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the luma of a picture.

    Parameters
    ----------
    rgb : (H, W, 3) float32 array
        Of any range.

    Returns
    -------
    (H, W) float32 array
        In the unit of the samples.

    Examples
    --------
    >>> luma_of(np.ones((1, 2, 3), np.float32)).round(3).tolist()
    [[1.0, 1.0]]
    """
    import cv2

    # A product with three weights in NumPy takes ten times as long. Its last bit is another, which counts where
    # samples are compared with each other, as in looking for enlargement: there the product stands.
    return np.asarray(cv2.transform(rgb, LUMA[None]), np.float32)
