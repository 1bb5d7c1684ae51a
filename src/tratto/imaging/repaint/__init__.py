"""Repaint a wall: the whole calculation, from linear light and a mask to linear light.

A pixel is ``alpha * old * light + rest``, and becomes ``alpha * new * light + rest``. :func:`fit_wall` looks at the
picture once and fixes every number that holds for the whole wall; :class:`Painter` then makes any band of rows from the
picture alone, so that memory stays bounded and a band's result does not depend on where the picture was cut.
"""

from tratto.imaging.repaint.fitting import fit_wall, look_at_wall
from tratto.imaging.repaint.kinds import MATCHES, PATTERNS, Fit, Match, Painted, RepaintTarget, Rows
from tratto.imaging.repaint.painter import Painter

__all__ = [
    "MATCHES",
    "PATTERNS",
    "Fit",
    "Match",
    "Painted",
    "Painter",
    "RepaintTarget",
    "Rows",
    "fit_wall",
    "look_at_wall",
]
