"""Crops of the photographs that are never trained on: what weights are chosen and calibrated by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError
from tratto.corpus.pack import HELD_OUT, SUFFIXES

#: Side of the crops.
SIDE = 256


def held_out_crops(photos: Path) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield number and central 256 x 256 crop, at half size, of each held-out photograph that is there.

    Parameters
    ----------
    photos : Path
        Folder with the photographs, by the names in ``HELD_OUT``, as WebP, PNG or JPEG; a pack holds none.

    Yields
    ------
    (int, (256, 256, 3) float32 array)
        Encoded sRGB in [0, 1]. The number is the photograph's place in ``HELD_OUT``, so that noise drawn by it does not
        depend on which others are missing.

    Raises
    ------
    InputError
        If one of them cannot be read, or has fewer than 512 pixels on a side.
    """
    from PIL import Image as PilImage

    for number, name in enumerate(HELD_OUT):
        path = next((p for p in (photos / f"{name}{suffix}" for suffix in SUFFIXES) if p.is_file()), None)
        if path is None:
            continue
        try:
            with PilImage.open(path) as opened:
                half = opened.convert("RGB").reduce(2)
        except (OSError, ValueError, PilImage.DecompressionBombError) as e:
            raise InputError(f"{path} cannot be read: {e}") from e
        if min(half.size) < SIDE:
            raise InputError(
                f"{path} has the name of a held-out photograph, which needs {2 * SIDE} pixels on each side; it is "
                f"{half.width * 2}x{half.height * 2}"
            )
        pixels = np.asarray(half, np.float32) / np.float32(255)
        y, x = (pixels.shape[0] - SIDE) // 2, (pixels.shape[1] - SIDE) // 2
        yield number, np.ascontiguousarray(pixels[y : y + SIDE, x : x + SIDE])
