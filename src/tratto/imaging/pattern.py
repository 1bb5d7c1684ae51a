"""Tell a wallpaper's pattern from the light on it.

Light changes slowly over a wall, and where it changes at once (a cast shadow, a sunny patch) it does so along few
lines. A pattern changes everywhere and between few colours. So: take the slow part out of the logarithm of the picture,
gather what is left into two to four colours, and put the light together again from each colour's own pixels.
Deterministic: the clusters start from evenly spaced ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.imaging.shading import FLOOR, Float, field_at, masked_blur

__all__ = ["Pattern", "find_pattern", "light_field", "without_pattern"]

#: Longer side of the grid of pixels that is looked at, and the slowness of light as shares of the grid's longer side.
GRID = 256
SLOW, LESS_SLOW = 0.07, 0.035
#: A pattern's colours explain at least this share of what is not slow, each on at least this share of the wall, and
#: change from one to another at least this often per pixel step; measured against rendered sunlight and plaster.
EXPLAINED, LEAST_SHARE, CHANGES = 0.72, 0.06, 0.02
#: How far apart in chromaticity (natural logarithm) two colours of a pattern must be to be found unasked.
APART = 0.12


@dataclass(frozen=True, eq=False)
class Pattern:
    """Colours of a pattern and the light over it.

    Attributes
    ----------
    paints : (K, 3) float32
        Logarithm of each colour relative to the commonest, which is first and 0.
    field : (h, w, 3) float32
        Logarithm of the commonest colour's light on the grid.
    step : int
        Pixels between grid points; the first lies at ``step // 2``.

    Examples
    --------
    >>> paints = np.log(np.float32([[1, 1, 1], [0.5, 0.6, 0.9]]))
    >>> Pattern(paints, np.zeros((20, 20, 3), np.float32), 4).paints.shape
    (2, 3)
    """

    paints: Float
    field: Float
    step: int


def _clusters(values: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """k-means labels of (N, 3) values; starts from evenly spaced ranks along the widest direction."""
    every, values = values, values[:: max(1, len(values) // 6000)]
    centred = values - values.mean(axis=0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    axis = axis * np.sign(axis[np.abs(axis).argmax()])
    order = np.argsort(centred @ axis, kind="stable")
    centres = values[order[((np.arange(count) + 0.5) / count * len(values)).astype(int)]]
    label = np.full(len(values), -1)
    for _ in range(30):
        new = _nearest(values, centres)
        if (new == label).all():
            break
        label = new
        for k in range(count):
            if (label == k).any():
                centres[k] = values[label == k].mean(axis=0)
    return _nearest(every, centres)


def _nearest(values: NDArray[np.float64], centres: NDArray[Any]) -> NDArray[np.intp]:
    """Return which of (K, 3) centres each of (N, 3) values is nearest to."""
    c = np.asarray(centres, np.float64)
    return np.asarray((values @ (-2 * c.T) + (c * c).sum(axis=1)).argmin(axis=1), np.intp)


def find_pattern(logs: Float, weight: Float, asked: bool) -> Float | None:
    """Return the colours of a pattern, or None where there is none.

    Parameters
    ----------
    logs : (h, w, 3) float32
        Logarithm of linear light on the grid.
    weight : (h, w) float32
        1 = wall.
    asked : bool
        True: the user says there is one, so brightness alone may tell its colours, too.

    Returns
    -------
    (K, 3) float32 or None
        As in :class:`Pattern`.

    Examples
    --------
    >>> logs = np.zeros((64, 64, 3), np.float32)
    >>> find_pattern(logs, np.ones((64, 64), np.float32), False) is None  # an even wall
    True
    >>> logs[:, np.arange(64) % 8 < 3] = np.float32([-0.7, -0.4, -0.1])  # stripes
    >>> find_pattern(logs, np.ones((64, 64), np.float32), False).round(1).tolist()
    [[0.0, 0.0, 0.0], [-0.699999988079071, -0.4000000059604645, -0.10000000149011612]]
    """
    inside = weight > 0.5
    if np.count_nonzero(inside) < 400:
        return None
    size = max(logs.shape[:2])
    slow = masked_blur(logs, weight, SLOW * size)[0]
    rest = logs - slow
    colour = np.abs(rest - rest.mean(axis=2, keepdims=True)).max(axis=2)[inside]
    if not asked and float((colour > APART / 3).mean()) < LEAST_SHARE:
        return None
    for count in (2, 3, 4):
        paints, labels = _settle(logs, weight, slow, count, size)
        if _is_pattern(logs, labels, paints, weight, asked):
            return paints
    return None


def _settle(logs: Float, weight: Float, slow: Float, count: int, size: int) -> tuple[Float, NDArray[np.intp]]:
    """Alternate between the light of each colour's own pixels and the colours under that light."""
    inside = weight > 0.5
    labels = np.zeros(inside.shape, np.intp)
    rest = (logs - slow)[inside].astype(np.float64)
    paints = np.zeros((count, 3), np.float32)
    for turn in range(5):
        if turn == 0:
            labels[inside] = _clusters(rest, count)
        else:
            labels[inside] = _nearest(rest, paints)
        for k in range(count):
            chosen = labels[inside] == k
            if chosen.any():
                paints[k] = np.median(rest[chosen], axis=0)
        light = masked_blur(logs - paints[labels], weight, LESS_SLOW * size)[0]
        rest = (logs - light)[inside].astype(np.float64)
    shares = np.bincount(labels[inside], minlength=count)
    order = np.argsort(-shares, kind="stable")
    paints = paints[order] - paints[order[0]]
    back = np.empty(count, np.intp)
    back[order] = np.arange(count)
    return paints.astype(np.float32), back[labels]


def _is_pattern(logs: Float, labels: NDArray[np.intp], paints: Float, weight: Float, asked: bool) -> bool:
    inside = weight > 0.5
    shares = np.bincount(labels[inside], minlength=len(paints)) / np.count_nonzero(inside)
    if shares.min() < LEAST_SHARE:
        return False
    size = max(logs.shape[:2])
    light = masked_blur(logs - paints[labels], weight, LESS_SLOW * size)[0]
    plain = masked_blur(logs, weight, LESS_SLOW * size)[0]
    left = float(((logs - paints[labels] - light)[inside] ** 2).sum())
    whole = float(((logs - plain)[inside] ** 2).sum())
    if left > (1 - (EXPLAINED if not asked else 0.5 * EXPLAINED)) * whole:
        return False
    across = inside[:, 1:] & inside[:, :-1]
    down = inside[1:] & inside[:-1]
    steps = np.count_nonzero((labels[:, 1:] != labels[:, :-1]) & across)
    steps += np.count_nonzero((labels[1:] != labels[:-1]) & down)
    if steps < CHANGES * (np.count_nonzero(across) + np.count_nonzero(down)):
        return False
    chroma = paints - paints.mean(axis=1, keepdims=True)
    return asked or float(np.abs(chroma[1:]).max()) >= APART


def light_field(logs: Float, weight: Float, paints: Float) -> Float:
    """Return the logarithm of the light on the grid, as the commonest colour shows it.

    Parameters
    ----------
    logs : (h, w, 3) float32
        Logarithm of linear light on the grid.
    weight : (h, w) float32
        1 = wall.
    paints : (K, 3) float32
        Logarithms of the pattern's colours against the first, which is the commonest and is 0.

    Returns
    -------
    (h, w, 3) float32
        On the same grid, smooth.

    Examples
    --------
    >>> logs = np.full((64, 64, 3), -0.3, np.float32)
    >>> paints = np.float32([[0, 0, 0], [-0.7, -0.4, -0.1]])
    >>> logs[:, np.arange(64) % 8 < 3] += paints[1]
    >>> np.allclose(light_field(logs, np.ones((64, 64), np.float32), paints), -0.3, atol=0.01)
    True
    """
    size = max(logs.shape[:2])
    light = masked_blur(logs, weight, SLOW * size)[0]
    gap = min(float(((p - q) ** 2).sum()) for i, p in enumerate(paints) for q in paints[:i])
    for loose in (0.4, 0.3, 0.2, 0.15, 0.1, 0.1):
        off = ((logs - light)[..., None, :] - paints) ** 2
        labels = off.sum(axis=-1).argmin(axis=-1)
        # mixtures on outlines are farther from every colour than pure pixels, and say nothing of the light
        pure = weight / (1 + (off.sum(axis=-1).min(axis=-1) / np.float32(loose * gap)) ** 2)
        near, support = masked_blur(logs - paints[labels], pure, LESS_SLOW * size)
        far, _ = masked_blur(logs - paints[labels], pure, SLOW * size)
        trust = (support / (support + np.float32(0.02)))[..., None]
        light = near * trust + far * (1 - trust)
    return np.asarray(light, np.float32)


def without_pattern(wall: Float, weight: Float, pattern: Pattern, origin: tuple[int, int]) -> Float:
    """Return the wall as if it were painted in the pattern's commonest colour.

    Parameters
    ----------
    wall : (H, W, 3) float32
        Linear light.
    weight : (H, W) float32
        How much of the pixel is wall.
    pattern : Pattern
        Its colours and the light on it, from :func:`find_pattern`.
    origin : (int, int)
        Row and column of the first pixel in the picture that the grid was taken from.

    Returns
    -------
    (H, W, 3) float32
        Linear light; only what ``weight`` covers means something.

    Examples
    --------
    >>> wall = np.full((64, 64, 3), 0.5, np.float32)
    >>> paints = np.float32([[0, 0, 0], [-0.7, -0.4, -0.1]])
    >>> wall[:, np.arange(64) % 8 < 3] *= np.exp(paints[1])
    >>> pattern = Pattern(paints, np.full((64, 64, 3), np.log(0.5), np.float32), 1)
    >>> plain = without_pattern(wall, np.ones((64, 64), np.float32), pattern, (0, 0))
    >>> np.allclose(plain, 0.5, atol=0.01)
    True
    """
    field = field_at(pattern.field, pattern.step, origin, (wall.shape[0], wall.shape[1]))
    shown = np.exp(np.log(np.maximum(wall, FLOOR)) - field)
    paints = np.exp(pattern.paints)
    best = np.full(wall.shape[:2], np.inf, np.float32)
    share_of = np.ones_like(wall)
    pure = np.zeros(wall.shape[:2], np.float32)
    for i in range(len(paints)):
        for j in range(i + 1, len(paints)):
            line = paints[j] - paints[i]
            t = np.clip((shown - paints[i]) @ line / max(float(line @ line), 1e-9), 0, 1)
            mixed = paints[i] + t[..., None] * line
            # in the logarithm, where a shade of grey more or less is the same step for each colour
            off = ((np.log(np.maximum(shown, FLOOR)) - np.log(mixed)) ** 2).sum(axis=2)
            closer = off < best
            best = np.where(closer, off, best)
            share_of = np.where(closer[..., None], mixed, share_of)
            pure = np.where(closer, np.abs(2 * t - 1), pure)
    detail = (np.log(np.maximum(shown, FLOOR)) - np.log(share_of)).mean(axis=2)
    # pixels on an outline are mixtures, whose brightness tells little of the light
    trust = weight * (np.float32(0.02) + pure**8) / (1 + best / np.float32(0.02))
    calm, _ = masked_blur(np.clip(detail, -0.5, 0.5)[..., None], trust, 1.2)
    plain: Float = np.exp(field + calm).astype(np.float32)
    return plain
