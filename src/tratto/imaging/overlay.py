"""Show masks over their picture, in a colour for each class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

#: Colour of each class of damage, and of the other masks in turn.
COLORS = {
    "crack": (230, 60, 50), "weathering": (70, 170, 70), "missing": (60, 110, 230), "dirt": (230, 200, 50),
    "vandalism": (220, 70, 200), "scratch": (60, 210, 220), "fold": (240, 140, 40), "stain": (150, 90, 220),
}  # fmt: skip
#: How much of the colour lies over the picture.
COVER = 0.7
_ROWS = 512


def color_of(name: str, number: int = 0) -> tuple[int, int, int]:
    """Return the colour of a class; of a name that is none, one by its number.

    Examples
    --------
    >>> color_of("crack"), color_of("wall")
    ((230, 60, 50), (230, 60, 50))
    """
    return COLORS.get(name) or list(COLORS.values())[number % len(COLORS)]


def overlay(picture: NDArray[np.float32], masks: Mapping[str, NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Lay masks over a picture.

    Parameters
    ----------
    picture : (H, W, 3) float32 in [0, 1]
        Encoded sRGB.
    masks : mapping of str to (H, W) float32 in [0, 1] or bool
        By class; later ones lie over earlier ones.

    Returns
    -------
    (H, W, 3) uint8
        Encoded sRGB.

    Examples
    --------
    >>> overlay(np.zeros((1, 2, 3), np.float32), {"crack": np.array([[0.0, 1.0]])}).tolist()
    [[[0, 0, 0], [161, 42, 35]]]
    """
    out = np.empty(picture.shape, np.uint8)
    for y in range(0, picture.shape[0], _ROWS):
        band = slice(y, y + _ROWS)
        shown = picture[band] * np.float32(255)
        for number, (name, mask) in enumerate(masks.items()):
            share = np.float32(COVER) * mask[band, :, None].astype(np.float32)
            shown = shown * (1 - share) + share * np.asarray(color_of(name, number), np.float32)
        out[band] = np.rint(np.clip(shown, 0, 255))
    return out
