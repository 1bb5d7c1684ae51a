"""Crops of the photographs that are never trained on: what weights are chosen and calibrated by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError
from tratto_lab.corpus.pack import HELD_OUT, SUFFIXES

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
    for number, path in _files(photos):
        half = _reduced(path, 2)
        if min(half.shape[:2]) < SIDE:
            raise InputError(
                f"{path} has the name of a held-out photograph, which needs {2 * SIDE} pixels on each side; it is "
                f"{half.shape[1] * 2}x{half.shape[0] * 2}"
            )
        yield number, _middle(half, SIDE)


def held_out_pictures(
    photos: Path, shrinks: tuple[int, ...] = (2, 3, 4), side: int = 384
) -> Iterator[NDArray[np.float32]]:
    """Yield the middle of each held-out photograph that is there at several sizes.

    Parameters
    ----------
    photos : Path
        As for :func:`held_out_crops`.
    shrinks : tuple of int
        How many times smaller.
    side : int
        Rows and columns at most.

    Yields
    ------
    (H, W, 3) float32 array
        Encoded sRGB in [0, 1].

    Raises
    ------
    InputError
        If one of them cannot be read.
    """
    for _, path in _files(photos):
        for shrink in shrinks:
            yield _middle(_reduced(path, shrink), side)


def need_held_out(photos: Path) -> None:
    """Make sure that there is something to measure on.

    Raises
    ------
    InputError
        If no held-out photograph lies in the folder.
    """
    if next(_files(photos), None) is None:
        raise InputError(
            f"{photos} has none of the held-out photographs that weights are measured on: {', '.join(HELD_OUT)} "
            f"({', '.join(SUFFIXES)})"
        )


def _files(photos: Path) -> Iterator[tuple[int, Path]]:
    for number, name in enumerate(HELD_OUT):
        path = next((p for p in (photos / f"{name}{suffix}" for suffix in SUFFIXES) if p.is_file()), None)
        if path is not None:
            yield number, path


def _reduced(path: Path, shrink: int) -> NDArray[np.float32]:
    from PIL import Image as PilImage

    try:
        with PilImage.open(path) as opened:
            return np.asarray(opened.convert("RGB").reduce(shrink), np.float32) / np.float32(255)
    except (OSError, ValueError, PilImage.DecompressionBombError) as e:
        raise InputError(f"{path} cannot be read: {e}") from e


def _middle(pixels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    h, w = min(side, pixels.shape[0]), min(side, pixels.shape[1])
    y, x = (pixels.shape[0] - h) // 2, (pixels.shape[1] - w) // 2
    return np.ascontiguousarray(pixels[y : y + h, x : x + w])
