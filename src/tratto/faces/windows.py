"""Looking for faces of every size: windows over a picture, and one answer out of many that overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

#: Share of a window's side by which two neighbours overlap: a face of up to so much of it is whole in one of them.
OVERLAP = 0.3


def windows(width: int, height: int, smallest: float) -> Iterator[tuple[float, float, float]]:
    """Yield squares over a picture: (left, top, side) in pixels.

    First one that is wider than the picture (a face that fills it has to be seen from further away), then one that
    just holds it, then halves, until the side is no more than `smallest`.

    Parameters
    ----------
    width, height : int
        Of the picture.
    smallest : float
        Side of the smallest windows.

    Examples
    --------
    >>> [round(side) for _, _, side in windows(400, 300, 400)]
    [600, 400]
    """
    side = float(max(width, height))
    yield (width - 1.5 * side) / 2, (height - 1.5 * side) / 2, 1.5 * side
    yield (width - side) / 2, (height - side) / 2, side
    while side > smallest:
        side /= 2
        for top in _starts(height, side):
            for left in _starts(width, side):
                yield left, top, side


def _starts(length: int, side: float) -> Sequence[float]:
    if length <= side:
        return ((length - side) / 2,)
    count = int(np.ceil((length - side) / (side * (1 - OVERLAP)))) + 1
    return tuple(float(v) for v in np.linspace(0, length - side, count))


def best_of(boxes: NDArray[np.float64], scores: NDArray[np.float64], most: float = 0.3) -> list[int]:
    """Return which boxes to keep: the best first, none that overlaps a better one.

    Parameters
    ----------
    boxes : (N, 4) array
        x0, y0, x1, y1.
    scores : (N,) array
        The more, the better; of equal ones the first wins.
    most : float
        Share of the smaller of two boxes that both may cover.

    Examples
    --------
    >>> best_of(np.array([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 0, 30, 10]]), np.array([0.7, 0.9, 0.8]))
    [1, 2]
    """
    kept: list[int] = []
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for i in np.argsort(-scores, kind="stable"):
        if kept:
            others = boxes[kept]
            both = np.minimum(boxes[i, 2:], others[:, 2:]) - np.maximum(boxes[i, :2], others[:, :2])
            shared = np.prod(np.clip(both, 0, None), axis=1) / np.minimum(areas[i], areas[kept])
            if shared.max() > most:
                continue
        kept.append(int(i))
    return kept
