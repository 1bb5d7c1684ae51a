"""Crops of the photographs that are never trained on: what weights are chosen and calibrated by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tratto.corpus.pack import HELD_OUT

#: Side of the crops.
SIDE = 256


def held_out_crops(photos: Path) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield number and central 256 x 256 crop, at half size, of each held-out photograph that is there.

    Parameters
    ----------
    photos : Path
        Folder with the photographs as ``NAME.webp``.

    Yields
    ------
    (int, (256, 256, 3) float32 array)
        Encoded sRGB in [0, 1]. The number is the photograph's place in ``HELD_OUT``, so that noise drawn by it does not
        depend on which others are missing.
    """
    from PIL import Image as PilImage

    for number, name in enumerate(HELD_OUT):
        path = photos / f"{name}.webp"
        if not path.is_file():
            continue
        with PilImage.open(path) as opened:
            half = opened.convert("RGB").reduce(2)
        pixels = np.asarray(half, np.float32) / np.float32(255)
        y, x = (pixels.shape[0] - SIDE) // 2, (pixels.shape[1] - SIDE) // 2
        yield number, np.ascontiguousarray(pixels[y : y + SIDE, x : x + SIDE])
