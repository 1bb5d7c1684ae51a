"""Damage as a person would mark it: what a network learns to find, and what it is measured against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tratto_lab.simulate.damage import CLASSES, damage
from tratto_lab.simulate.degrade import Picture

#: From this coverage on, and from this change of a channel, a pixel counts as damaged: soot on black is not to be seen.
DAMAGED = 0.15
SEEN = 0.05
#: Texture hides: a change must also reach this share of the standard deviation of the light within some pixels around.
#: (Visual masking; Legge and Foley 1980. The share is by the eye: a smudge of 0.07 on fur that varies by 0.15.)
MASKED = 0.5
#: From this coverage on, damage hides what was there before, older damage too.
HIDES = 0.7


def damaged(
    picture: Picture, kinds: Sequence[tuple[str, float]], rng: np.random.Generator, unit: float
) -> tuple[Picture, Picture]:
    """Damage a picture in several ways and return what of each can be seen.

    Parameters
    ----------
    picture : (H, W, 3) float32 in [0, 1]
        Encoded sRGB, of a clean picture.
    kinds : sequence of (class, severity)
        In order, one over the other.
    rng : numpy.random.Generator
        Draws for all of them.
    unit : float
        Size of the damage in pixels; see :func:`tratto_lab.simulate.damage.damage`.

    Returns
    -------
    picture : (H, W, 3) float32
        With all of the damage.
    target : (H, W, K) float32
        What a person would mark. First where a class covers :data:`DAMAGED` of the pixel or more, changed a channel by
        :data:`SEEN` and :data:`MASKED` or more, and no later damage hides it; then holes and gaps up to four pixels
        wide are closed, and all is grown by one pixel, since a mask that leaves a rim of the damage is of no use.
    """
    import cv2

    disc, cross = (cv2.getStructuringElement(k, (s, s)) for k, s in ((cv2.MORPH_ELLIPSE, 5), (cv2.MORPH_CROSS, 3)))
    now = picture
    target = np.zeros((*picture.shape[:2], len(CLASSES)), np.float32)
    for kind, severity in kinds:
        done = damage(now, kind, severity, rng, unit=unit)
        cover = done.masks[kind]
        target[cover >= HIDES] = 0
        seen = (cover >= DAMAGED) & (np.abs(done.picture - now).max(axis=2) >= _least_seen(now, unit))
        target[seen, CLASSES.index(kind)] = 1
        now = done.picture
    for k in range(len(CLASSES)):
        if target[..., k].any():
            closed = cv2.morphologyEx(np.ascontiguousarray(target[..., k]), cv2.MORPH_CLOSE, disc)
            target[..., k] = cv2.dilate(closed, cross)
    return now, target


def _least_seen(picture: Picture, unit: float) -> Picture:
    """Return the least change that shows at each pixel."""
    import cv2

    light = picture.mean(axis=2)
    mean, square = (cv2.GaussianBlur(p, (0, 0), 4 * unit) for p in (light, light * light))
    return np.maximum(SEEN, MASKED * np.sqrt(np.maximum(square - mean * mean, 0))).astype(np.float32)
