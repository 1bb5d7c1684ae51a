"""Binary holes for training and measuring inpainting: thin losses, medium spots, large parts.

The three are made like the damage of :mod:`tratto_lab.simulate.damage`, but their content is simply unknown, so that a
method is measured on filling alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto_lab.simulate.damage_field import Stroke, ink, ragged, wander

Hole = NDArray[np.bool_]
SIZES = ("thin", "medium", "large")
#: Least part of a pixel that a drawn line or blob must cover to make it unknown.
_COVERED = 0.2


def thin(shape: tuple[int, int], rng: np.random.Generator, share: float = 0.06, width: float = 3.0) -> Hole:
    """Return cracks and scratches of about ``width`` pixels that cover about ``share`` of the picture."""
    h, w = shape
    side = float(np.hypot(h, w))
    hole = np.zeros(shape, bool)
    for _ in range(60):
        strokes = []
        straight = rng.uniform() < 0.4
        start = (rng.uniform(0, w), rng.uniform(0, h))
        length = side * rng.uniform(0.2, 0.8)
        line = wander(start, rng.uniform(-np.pi, np.pi), length, rng, 0.04 if straight else rng.uniform(0.15, 0.5), 3.0)
        thick = width * rng.uniform(0.5, 1.4)
        strokes.append(Stroke(line, np.full(len(line), thick)))
        if not straight:
            for _ in range(int(rng.integers(0, 4))):
                k = int(rng.integers(1, len(line)))
                twig = wander((line[k, 0], line[k, 1]), rng.uniform(-np.pi, np.pi), length * 0.4, rng, 0.4, 3.0)
                strokes.append(Stroke(twig, np.full(len(twig), 0.7 * thick)))
        hole |= ink(shape, strokes) > _COVERED
        if hole.mean() >= share:
            break
    return hole


def medium(shape: tuple[int, int], rng: np.random.Generator, share: float = 0.08, radius: float = 7.0) -> Hole:
    """Return spots and flakes of about ``radius`` pixels that cover about ``share`` of the picture."""
    h, w = shape
    hole = np.zeros(shape, bool)
    for _ in range(400):
        blobs = [
            ragged((rng.uniform(0, w), rng.uniform(0, h)), radius * rng.uniform(0.5, 1.5), rng, 0.4) for _ in range(3)
        ]
        hole |= ink(shape, [], blobs) > _COVERED
        if hole.mean() >= share:
            break
    return hole


def large(shape: tuple[int, int], rng: np.random.Generator, share: float = 0.08, parts: int = 2) -> Hole:
    """Return a few large parts that cover about ``share`` of the picture together."""
    h, w = shape
    hole = np.zeros(shape, bool)
    # an irregular blob is about 0.7 of the disc of its radius
    radius = float(np.sqrt(share * h * w / (parts * 0.7 * np.pi)))
    for _ in range(parts):
        center = (rng.uniform(radius, max(radius + 1, w - radius)), rng.uniform(radius, max(radius + 1, h - radius)))
        hole |= ink(shape, [], [ragged(center, radius * rng.uniform(0.85, 1.15), rng, 0.3)]) > _COVERED
    return hole


def hole(shape: tuple[int, int], size: str, rng: np.random.Generator) -> Hole:
    """Return holes of one of :data:`SIZES` with the shares and widths that are measured.

    Raises
    ------
    OptionError
        For another size.
    """
    makers = {"thin": thin, "medium": medium, "large": large}
    if size not in makers:
        raise OptionError(f"holes are {', '.join(SIZES)}; got {size!r}")
    return makers[size](shape, rng)
