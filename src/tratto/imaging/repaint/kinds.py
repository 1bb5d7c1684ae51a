"""What is wished for, what was found, what comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tratto.imaging.shading import Float
from tratto.imaging.texture import Tile

Match = Literal["seen", "paint"]
MATCHES: tuple[Match, ...] = ("seen", "paint")
PATTERNS = ("auto", "keep", "remove")
#: ``rows(y0, y1)`` returns those rows of the picture in linear light, (y1 - y0, W, 3) float32.
Rows = Callable[[int, int], Float]


@dataclass(frozen=True, eq=False)
class RepaintTarget:
    """What is wanted of a wall.

    Attributes
    ----------
    paint : (3,) float32
        Linear; the mean of the texture where there is one.
    lab : (3,) float64
        Mean CIELAB that the wall as seen should have under ``match="seen"``.
    match : str
        ``seen`` locks the mean over the mask as seen; ``paint`` makes the paint under the estimated light the
        reference.
    was : (3,) float32 or None
        The old paint, linear, where it is known.
    tile : Tile or None
        The wallpaper or texture that is laid on; None: a single colour.
    noise : float
        Of the source, standard deviation in 1/255.
    bounce : float or None
        Share of the wall's light that comes from the wall itself and its like, 0-0.6; None = estimated.
    pattern : str
        Of the old paint: ``auto`` paints over it where its colours tell it from light, ``remove`` also where only its
        brightness does, ``keep`` lets it show through.
    stains : str
        ``keep``, or ``remove`` for brown ones.
    glossy : bool
        Whether the old paint mirrors lamps, so that their image must stay white.
    coarse : bool
        The result is kept in eight bits of sRGB, so the mean is taken of samples rounded to them.

    Examples
    --------
    >>> target = RepaintTarget(np.float32([0.2, 0.3, 0.5]), np.array([62.0, 0.0, -20.0]), "seen")
    >>> target.match, target.pattern, target.stains
    ('seen', 'auto', 'keep')
    """

    paint: Float
    lab: NDArray[np.float64]
    match: Match
    was: Float | None = None
    tile: Tile | None = None
    noise: float = 0.0
    bounce: float | None = None
    pattern: str = "auto"
    stains: str = "keep"
    glossy: bool = False
    coarse: bool = False


@dataclass(frozen=True)
class Fit:
    """Numbers that hold for the whole wall; JSON-able.

    Attributes
    ----------
    old : tuple of 3 floats
        Colour of the old paint as seen in typical light, linear.
    paint : tuple of 3 floats
        What stands in its place: a colour, or the factors of the texture.
    seen : bool
        The mean as seen is locked, so burnt places are lit as bright as they are seen, not as they may have been.
    level : tuple of 3 floats
        Estimated strength of the typical light: a surface of reflectance 1 would show this, linear.
    leaves : int
        Through how many of two opposite sides of the picture the wall leaves it: 0, 1 or 2.
    bounce : float
        Share of the wall's light that comes from the wall itself and its like.
    spread, ambient : tuple of 3 floats
        What the new paint does to the light: ``spread * light + ambient``; see :func:`bounced`.
    lift : float
        How much of the light's contrast is given up so that a bright mean can be reached; 0 = none.
    knee : float
        Where the shoulder begins that keeps highlights below full scale, linear.
    keep, sigma : tuple of 3 floats
        For :func:`tratto.imaging.shading.calm`.
    pattern : tuple of (3 floats)
        Colours of the old pattern (logarithms, the first is 0); empty where there is none.
    stain : tuple of 3 floats or None
        What one layer of a stain lets through (logarithm), where stains are taken off.
    glossy : bool
        The old paint mirrors lamps, whose image stays white.
    hard : bool
        The mask was black and white.
    radius : int
        Of the matte, pixels.
    missed : float
        CIELAB distance of the mean from the wish that no setting could close; 0 under ``match="paint"``.

    Examples
    --------
    >>> from tratto.imaging.repaint import fit_wall
    >>> wall = np.full((60, 80, 3), 0.4, np.float32)
    >>> target = RepaintTarget(np.float32([0.2, 0.3, 0.5]), np.array([62.0, 0.0, -20.0]), "paint")
    >>> fit = fit_wall(lambda y0, y1, x0=0, x1=None: wall[y0:y1, x0:x1], np.ones((60, 80), np.float32), target)
    >>> fit.hard, fit.missed, fit.pattern
    (True, 0.0, ())
    """

    old: tuple[float, float, float]
    paint: tuple[float, float, float]
    seen: bool
    level: tuple[float, float, float]
    leaves: int
    bounce: float
    spread: tuple[float, float, float]
    ambient: tuple[float, float, float]
    lift: float
    knee: float
    keep: tuple[float, float, float]
    sigma: tuple[float, float, float]
    pattern: tuple[tuple[float, ...], ...]
    stain: tuple[float, float, float] | None
    glossy: bool
    hard: bool
    radius: int
    missed: float


@dataclass(frozen=True, eq=False)
class Painted:
    """A band of rows.

    Attributes
    ----------
    values : (h, W, 3) float32
        Linear light.
    alpha : (h, W) float32
        Share of wall.

    Examples
    --------
    >>> band = Painted(np.full((2, 3, 3), 0.5, np.float32), np.ones((2, 3), np.float32))
    >>> band.values.shape, float(band.alpha.min())
    ((2, 3, 3), 1.0)
    """

    values: Float
    alpha: Float


def three(values: NDArray[Any]) -> tuple[float, float, float]:
    """Return three plain numbers."""
    r, g, b = (float(v) for v in values)
    return (r, g, b)
