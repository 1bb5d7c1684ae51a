"""Between stored and displayed order (EXIF 2.32, tag 274)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError

#: The orientation that undoes each orientation: only the quarter turns differ from themselves.
_INVERSE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


def oriented(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn an array from stored to displayed order.

    Parameters
    ----------
    array : (H, W) or (H, W, C) array
        In stored order.
    orientation : int
        EXIF orientation 1-8.

    Returns
    -------
    array
        A view; (W, H, ...) for orientations 5-8.

    Raises
    ------
    OptionError
        If the orientation is not 1-8.

    Examples
    --------
    >>> oriented(np.arange(6).reshape(2, 3), 6).tolist()  # turned a quarter to the right
    [[3, 0], [4, 1], [5, 2]]
    """
    if orientation == 1:
        return array
    if orientation == 2:
        return array[:, ::-1]
    if orientation == 3:
        return array[::-1, ::-1]
    if orientation == 4:
        return array[::-1]
    if orientation == 5:
        return np.swapaxes(array, 0, 1)
    if orientation == 6:
        return np.swapaxes(array, 0, 1)[:, ::-1]
    if orientation == 7:
        return np.swapaxes(array, 0, 1)[::-1, ::-1]
    if orientation == 8:
        return np.swapaxes(array, 0, 1)[::-1]
    raise OptionError(f"an EXIF orientation is 1-8, got {orientation}")


def unoriented(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn an array from displayed to stored order; the inverse of :func:`oriented`.

    Parameters
    ----------
    array : (H, W) or (H, W, C) array
        In displayed order.
    orientation : int
        EXIF orientation 1-8 of the stored picture.

    Returns
    -------
    array
        A view.

    Raises
    ------
    OptionError
        If the orientation is not 1-8.

    Examples
    --------
    >>> unoriented(oriented(np.arange(6).reshape(2, 3), 6), 6).tolist()
    [[0, 1, 2], [3, 4, 5]]
    """
    if orientation not in _INVERSE:
        raise OptionError(f"an EXIF orientation is 1-8, got {orientation}")
    return oriented(array, _INVERSE[orientation])
