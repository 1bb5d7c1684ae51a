"""Looking at a wall once, and fixing every number that holds for all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tratto.imaging.marks import find_stain
from tratto.imaging.matting import mask_is_hard, matte_radius
from tratto.imaging.pattern import find_pattern, light_field
from tratto.imaging.repaint.kinds import Fit, RepaintTarget, Rows, three
from tratto.imaging.repaint.painter import Painter
from tratto.imaging.repaint.reflections import reflections
from tratto.imaging.repaint.search import solve
from tratto.imaging.repaint.wall import Wall, fit_bands, typical
from tratto.imaging.shading import Float, calm, encoded, knee_for, log_noise

#: Share of a border that must be wall for the wall to leave the picture there.
LEAVES = 0.08
#: How much stronger than in the source a wall's noise may become before it is calmed.
NOISE_GAIN = 1.3
#: Rounding of 8-bit samples, standard deviation in 1/255.
ROUNDING = 0.29


def fit_wall(rows: Rows, mask: Float, target: RepaintTarget, allowed: NDArray[np.bool_] | None = None) -> Fit:
    """Look at a picture and fix every number that repainting its wall needs.

    Parameters
    ----------
    rows : callable
        The picture in linear light.
    mask : (H, W) float32 in [0, 1]
        Share of wall.
    target : RepaintTarget
        The new colour or texture, and how it is to be matched.
    allowed : (H, W) bool or None
        Where the matte may be above 0; None: where the mask is.

    Returns
    -------
    Fit
        Numbers that hold for the whole wall and that a receipt keeps.

    Raises
    ------
    OptionError
        If the mask holds next to no wall.

    Examples
    --------
    >>> wall, mask = np.full((60, 80, 3), 0.4, np.float32), np.ones((60, 80), np.float32)
    >>> target = RepaintTarget(np.float32([0.2, 0.3, 0.5]), np.array([62.0, 0.0, -20.0]), "paint")
    >>> fit = fit_wall(lambda y0, y1, x0=0, x1=None: wall[y0:y1, x0:x1], mask, target)
    >>> [round(v, 2) for v in fit.old], fit.hard
    ([0.4, 0.4, 0.4], True)
    """
    return look_at_wall(rows, mask, target, allowed).fit


def look_at_wall(rows: Rows, mask: Float, target: RepaintTarget, allowed: NDArray[np.bool_] | None = None) -> Painter:
    """Fit a wall, and return what paints it without taking the picture apart a second time.

    A picture small enough to be looked at as a whole stays apart, about 45 bytes a pixel, as long as the painter lives.
    The samples are the same as those of a painter made from the fit alone.

    Parameters
    ----------
    rows, mask, target, allowed
        As for :func:`fit_wall`.

    Returns
    -------
    Painter
        Its ``fit`` is what :func:`fit_wall` returns.

    Raises
    ------
    OptionError
        If the mask holds next to no wall.

    Examples
    --------
    >>> wall, mask = np.full((60, 80, 3), 0.4, np.float32), np.ones((60, 80), np.float32)
    >>> target = RepaintTarget(np.float32([0.2, 0.3, 0.5]), np.array([62.0, 0.0, -20.0]), "paint")
    >>> painter = look_at_wall(lambda y0, y1, x0=0, x1=None: wall[y0:y1, x0:x1], mask, target)
    >>> painter.paint(0, 10).values.shape
    (10, 80, 3)
    """
    height, width = mask.shape
    wall = Wall(rows, mask, target.tile, mask > 0 if allowed is None else allowed)
    bands = fit_bands(height, width)
    old = typical(rows, mask, bands)
    paints: tuple[tuple[float, ...], ...] = ()
    stain: Float | None = None
    if target.pattern != "keep" or target.stains == "remove":
        logs, inside, _ = wall.grid()
        stain = find_stain(logs, inside) if target.stains == "remove" else None
        found = None if target.pattern == "keep" else find_pattern(logs, inside, target.pattern == "remove")
        if found is not None:
            paints = tuple(three(p) for p in found)
            light = light_field(logs, inside, found)
            old = np.asarray(np.exp(np.median(light[inside > 0.5], axis=0)), np.float32)
    one, none = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    hard, radius = mask_is_hard(mask), matte_radius(height, width)
    layer = None if stain is None else three(stain)
    fit = Fit(
        old=three(old), paint=three(target.paint), seen=target.match == "seen", level=one, leaves=_leaves(mask),
        bounce=0.0, spread=one, ambient=none, lift=0.0,
        knee=knee_for(target.paint), keep=one,
        sigma=one, pattern=paints, stain=layer, glossy=target.glossy, hard=hard, radius=radius, missed=0.0,
    )  # fmt: skip
    known = wall.known(fit)
    parts = [wall.separate(fit, known, a, b) for a, b in bands]
    weights = [mask[a:b] for a, b in bands]
    fit = reflections(parts, weights, fit, target)
    noise = float(np.hypot(target.noise, ROUNDING)) / 255
    aimed = encoded(_brightness_of(fit, target))
    keep = np.minimum(1.0, NOISE_GAIN * encoded(old) / np.maximum(aimed, 1e-3))
    if (keep < 1).any():
        fit = replace(fit, keep=three(keep), sigma=three(log_noise(old, noise)))
        sigma, kept = np.asarray(fit.sigma), np.asarray(fit.keep)
        parts = [replace(p, light=calm(p.light, p.alpha, sigma, kept)) for p in parts]
    fit = solve(parts, weights, fit, target)
    return Painter(rows, mask, fit, target.tile, allowed, parts[0] if bands == [(0, height)] else None)


def _leaves(mask: Float) -> int:
    """Return through how many of two opposite sides of the picture the wall goes on beyond it."""
    sides = [float((side > 0.5).mean()) > LEAVES for side in (mask[:, 0], mask[:, -1], mask[0], mask[-1])]
    return max(sum(sides[:2]), sum(sides[2:]))


def _brightness_of(fit: Fit, target: RepaintTarget) -> NDArray[np.float64]:
    """Return what the wall will show in typical light, linear: the reference, or the paint under the known light."""
    reference = np.asarray(target.paint if target.tile is None else target.tile.mean, np.float64)
    return np.clip(reference if target.match == "seen" else reference * np.asarray(fit.level), 0, 1)
