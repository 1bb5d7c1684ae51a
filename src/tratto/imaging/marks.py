"""What lies on a wall and is neither its paint nor its light: stains, and the glare of glossy paint.

Both are looked for against the wall's slow light, taken from a grid of pixels.

A *stain* absorbs: it darkens, and blue the most (rust, water, smoke, grease are brown). Its strength per pixel is read
from its colour and undone in all channels (Beer and Lambert). Grey dirt looks like shadow and cannot be told from it;
nor can a brown stain be told from a shadow that a wooden floor lights, so this is done only when asked for.

*Glare* adds: the mirror image of a lamp on the paint, in the lamp's colour whatever the paint (the dichromatic model,
Shafer 1985). On a coloured paint it shows as light that lacks the paint's colour. It is taken off before and put back
after painting. A lamp's pool of light on a pale matt wall looks much the same, so this, too, must be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.imaging.shading import FLOOR, Float, blur, field_at, masked_blur

__all__ = ["Ground", "find_stain", "ground_of", "without_marks"]

#: Slowness of the light, as a share of the grid's longer side.
SLOW = 0.1
#: A stain must cover at least and at most these shares of the wall, its colour must explain this much of what is
#: strange in colour, and blue must fall this many times as fast as red.
COVERED, EXPLAINED, BROWN = (0.005, 0.4), 0.7, 1.4
#: Difference of logarithms of colour from which on a place is strange.
STRANGE = 0.06
#: Glare must exceed the slow light by this share, and add this much linear light.
BRIGHTER, ADDED = 0.25, 0.02


@dataclass(frozen=True, eq=False)
class Ground:
    """The slow part of a wall.

    Attributes
    ----------
    field : (h, w, 3) float32
        Logarithm of the wall's slow light on a grid.
    step : int
        Pixels between grid points; the first lies at ``step // 2``.

    Examples
    --------
    >>> plain = ground_of(np.zeros((40, 40, 3), np.float32), np.ones((40, 40), np.float32), 4, None)
    >>> plain.field.shape, plain.step
    ((40, 40, 3), 4)
    """

    field: Float
    step: int


def _chroma(logs: Float) -> Float:
    out: Float = logs - logs.mean(axis=-1, keepdims=True)
    return out


def ground_of(logs: Float, weight: Float, step: int, stain: Float | None) -> Ground:
    """Return the slow part of a wall, stained places left out.

    Parameters
    ----------
    logs : (h, w, 3) float32
        Logarithm of linear light on the grid.
    weight : (h, w) float32
        1 = wall.
    step : int
        Pixels between grid points.
    stain : (3,) float32 or None
        As found by :func:`find_stain`.

    Examples
    --------
    >>> wall = np.ones((40, 40), np.float32)
    >>> ground = ground_of(np.full((40, 40, 3), -0.5, np.float32), wall, 1, None)
    >>> np.allclose(ground.field, -0.5, atol=1e-4)
    True
    """
    size = SLOW * max(logs.shape[:2])
    slow = masked_blur(logs, weight, size)[0]
    for _ in range(4 if stain is not None else 0):
        strength = _strength(logs - slow, np.asarray(stain, np.float32))
        clean = weight / (1 + (strength / np.float32(0.15)) ** 2)
        slow = masked_blur(logs, clean, size)[0]
    return Ground(slow, step)


def _strength(rest: Float, stain: Float) -> Float:
    """Return how strong the stain is, 0 and above, from what its colour explains."""
    colour = _chroma(stain)
    found = _chroma(rest) @ colour / max(float(colour @ colour), 1e-9)
    out: Float = np.clip(found, 0, 4)
    return out


def find_stain(logs: Float, weight: Float) -> Float | None:
    """Return the logarithm of what one layer of a stain lets through, or None where there is none.

    Parameters
    ----------
    logs : (h, w, 3) float32
        Logarithm of linear light on the grid.
    weight : (h, w) float32
        1 = wall.

    Returns
    -------
    (3,) float32 or None
        Negative numbers.

    Examples
    --------
    >>> logs = np.full((60, 60, 3), -0.5, np.float32)
    >>> find_stain(logs, np.ones((60, 60), np.float32)) is None  # an even wall
    True
    >>> logs[20:32, 20:32] += np.float32([-0.1, -0.2, -0.4])  # brown
    >>> stain = find_stain(logs, np.ones((60, 60), np.float32))
    >>> bool(stain[2] < stain[1] < stain[0] < 0)
    True
    """
    inside = weight > 0.5
    if np.count_nonzero(inside) < 400:
        return None
    size = SLOW * max(logs.shape[:2])
    fine = masked_blur(logs, weight, 1.0)[0]
    slow = masked_blur(logs, weight, size)[0]
    stain: NDArray[np.float64] | None = None
    for _ in range(3):
        rest = (fine - slow)[inside].astype(np.float64)
        colour = rest - rest.mean(axis=1, keepdims=True)
        # brown: less blue than red, and darker
        strange = (colour[:, 0] - colour[:, 2] > 2 * STRANGE) & (rest.mean(axis=1) < -STRANGE)
        share = float(strange.mean())
        if not COVERED[0] <= share <= COVERED[1]:
            return None
        # the straight line through the origin that the strange places lie on
        _, vectors = np.linalg.eigh(rest[strange].T @ rest[strange])
        stain = vectors[:, -1] * -np.sign(vectors[:, -1].sum())
        clean = weight.copy()
        clean[inside] = 1 / (1 + (_strength((fine - slow)[inside], stain.astype(np.float32)) / 0.15) ** 2)
        slow = masked_blur(logs, clean, size)[0]
    if stain is None or not (stain[2] < stain[1] < stain[0] < 0 and stain[2] < BROWN * stain[0]):
        return None
    rest = (fine - slow)[inside].astype(np.float64)
    colour = rest - rest.mean(axis=1, keepdims=True)
    strange = np.abs(colour).max(axis=1) > STRANGE
    known = stain.astype(np.float32)
    along = _strength(rest[strange].astype(np.float32), known)[:, None] * _chroma(known)
    left = float(((colour[strange] - along) ** 2).sum()) / max(float((colour[strange] ** 2).sum()), 1e-9)
    return stain.astype(np.float32) if left < 1 - EXPLAINED else None


def without_marks(
    wall: Float, weight: Float, ground: Ground, wanted: tuple[Float | None, bool], origin: tuple[int, int]
) -> tuple[Float, Float]:
    """Return the wall without stains and glare, and the glare.

    Parameters
    ----------
    wall : (H, W, 3) float32
        Linear light.
    weight : (H, W) float32
        How much of the pixel is wall.
    ground : Ground
        The slow part of the wall, from :func:`ground_of`.
    wanted : ((3,) float32 or None, bool)
        The stain to take off, and whether to take off glare.
    origin : (int, int)
        Row and column of the first pixel in the picture that the grid was taken from.

    Returns
    -------
    wall : (H, W, 3) float32
        Linear light.
    glare : (H, W) float32
        Linear light of each channel.

    Examples
    --------
    >>> wall, weight = np.full((40, 40, 3), 0.5, np.float32), np.ones((40, 40), np.float32)
    >>> ground = ground_of(np.log(wall), weight, 1, None)
    >>> clean, glare = without_marks(wall, weight, ground, (None, True), (0, 0))
    >>> np.allclose(clean, wall), float(glare.max())
    (True, 0.0)
    """
    stain, glossy = wanted
    slow = field_at(ground.field, ground.step, origin, (wall.shape[0], wall.shape[1]))
    if stain is not None:
        rest = np.log(np.maximum(wall, FLOOR)) - slow
        strength = _strength(masked_blur(rest, weight, 1.2)[0], stain)
        strength = np.maximum(strength - np.float32(0.03), 0)
        wall = wall * np.exp(-strength[..., None] * stain)
    glare = _glare(wall, weight, np.exp(slow)) if glossy else np.zeros_like(weight)
    return wall - glare[..., None], glare


def _glare(wall: Float, weight: Float, slow: Float) -> Float:
    """Return white light on top of the wall's own, by least squares of what exceeds the slow light."""
    over = wall - slow
    # over = more * slow + glare * (1, 1, 1)
    uu = (slow * slow).sum(axis=2)
    uv = slow.sum(axis=2)
    determinant = 3 * uu - uv * uv
    found = (uu * over.sum(axis=2) - uv * (over * slow).sum(axis=2)) / np.maximum(determinant, np.float32(1e-9))
    # on a nearly neutral paint glare and light look alike: nothing is claimed
    coloured = np.clip(determinant / np.maximum(uv * uv, np.float32(1e-9)) * 8 - np.float32(0.2), 0, 1)
    brighter = over.mean(axis=2) / np.maximum(slow.mean(axis=2), FLOOR)
    gate = np.clip((brighter - np.float32(BRIGHTER)) / np.float32(BRIGHTER), 0, 1)
    # a lamp's pool of light is more of the wall's own light; only its mirror image is white
    share = found / np.maximum(over.mean(axis=2), np.float32(1e-4))
    gate = gate * np.clip((share - np.float32(0.5)) * 4, 0, 1)
    found = np.clip(found - np.float32(ADDED), 0, None) * coloured * gate * (weight > 0)
    # under the glare the wall is lit at least as elsewhere
    most = np.maximum((wall - np.float32(0.95) * slow).min(axis=2), 0)
    out: Float = np.minimum(blur(np.minimum(found, most).astype(np.float32), 1.0), most)
    return out
