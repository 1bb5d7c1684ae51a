"""Pictures as plain RGB, for training and measuring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tratto.core.image import ColorMode
from tratto.imaging import io
from tratto.imaging.color import view_rgb


def encoded_rgb(path: Path) -> tuple[NDArray[np.float32], bool]:
    """Read a picture as RGB in its own encoding.

    Grey becomes three equal channels, a palette its colours, CMYK what its profile shows; a profile of grey or RGB is
    not used, and neither is transparency. 16 bits keep their depth.

    Parameters
    ----------
    path : Path
        Of one page.

    Returns
    -------
    ((H, W, 3) float32 array, bool)
        In [0, 1], in stored order, and whether it was grey.

    Raises
    ------
    TrattoError
        If it cannot be read.
    """
    image = io.read_image(path)
    gray = image.mode is ColorMode.GRAY
    if not gray and image.mode is not ColorMode.RGB:
        return view_rgb(image), False
    pixels = np.asarray(image.pixels, np.float32) / np.float32(image.max_value)
    return (np.repeat(pixels[..., None], 3, axis=2) if gray else pixels), gray
