"""Painting one band of rows after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tratto.imaging.repaint.kinds import Fit, Painted, Rows
from tratto.imaging.repaint.layers import Layers, bounced, put_together
from tratto.imaging.repaint.wall import Wall
from tratto.imaging.shading import Float
from tratto.imaging.texture import Tile


class Painter:
    """Makes any band of rows of a wall with its new paint.

    Parameters
    ----------
    rows : callable
        The picture in linear light.
    mask : (H, W) float32 in [0, 1]
        Share of wall.
    fit : Fit
        From :func:`fit_wall`, or from a receipt.
    tile : Tile or None
        As in the wish the fit was made for.
    allowed : (H, W) bool or None
        As given to the fit.
    layers : Layers or None
        The picture taken apart already; see :func:`look_at_wall`.

    Attributes
    ----------
    fit : Fit
        The numbers that it paints by.

    Examples
    --------
    >>> from tratto.imaging.repaint import RepaintTarget, fit_wall
    >>> wall, mask = np.full((60, 80, 3), 0.4, np.float32), np.ones((60, 80), np.float32)
    >>> rows = lambda y0, y1, x0=0, x1=None: wall[y0:y1, x0:x1]
    >>> fit = fit_wall(rows, mask, RepaintTarget(np.float32([0.2, 0.3, 0.5]), np.array([62.0, 0.0, -20.0]), "paint"))
    >>> painter = Painter(rows, mask, fit)
    >>> np.array_equal(painter.paint(0, 60).values[10:20], painter.paint(10, 20).values)
    True
    """

    def __init__(
        self,
        rows: Rows,
        mask: Float,
        fit: Fit,
        tile: Tile | None = None,
        allowed: NDArray[np.bool_] | None = None,
        layers: Layers | None = None,
    ) -> None:
        self._wall = Wall(rows, mask, tile, mask > 0 if allowed is None else allowed)
        self.fit = fit
        self._layers = layers
        self._known = self._wall.known(fit) if layers is None else (None, None)

    def paint(self, y0: int, y1: int) -> Painted:
        """Return rows ``y0`` to ``y1``; they are the same however a picture is cut into bands."""
        fit, known = self.fit, self._layers
        layers = self._wall.separate(fit, self._known, y0, y1) if known is None else known.between(y0, y1)
        paint, light = np.asarray(fit.paint, np.float32), bounced(layers.light, fit)
        return Painted(put_together(layers, light, paint, fit.lift, fit.knee), layers.alpha)
