"""A picture of a wall taken apart into what is told of each pixel, and put together again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.imaging.repaint.kinds import Fit
from tratto.imaging.shading import FLOOR, LUMINANCE, Float, per_channel, shoulder, thrice


@dataclass(frozen=True, eq=False)
class Layers:
    """Pixels taken apart.

    ``picture``, ``rest``, ``light`` (..., 3), ``alpha`` (...), ``tile`` (..., 3) or None.
    """

    picture: Float
    rest: Float
    alpha: Float
    light: Float
    tile: Float | None

    def at(self, index: NDArray[np.intp]) -> Layers:
        """Return some pixels."""
        tile = None if self.tile is None else self.tile.reshape(-1, 3)[index]
        return Layers(
            self.picture.reshape(-1, 3)[index],
            self.rest.reshape(-1, 3)[index],
            self.alpha.ravel()[index],
            self.light.reshape(-1, 3)[index],
            tile,
        )

    def between(self, a: int, b: int) -> Layers:
        """Return the pixels from number a up to b."""
        part = slice(a, b)
        tile = None if self.tile is None else self.tile[part]
        return Layers(self.picture[part], self.rest[part], self.alpha[part], self.light[part], tile)


def _less_contrast(light: Float, paint: Float, lift: float) -> Float:
    """Return light in which a paint's lightness keeps ``1 - lift`` of its distance from that in light 1.

    An affine map of the cube root of brightness, which is what CIELAB calls lightness: steps stay in proportion, where
    clipping would lose them.
    """
    if lift == 0:
        return light
    weight = LUMINANCE * paint
    root = np.cbrt(np.maximum(light @ (weight / weight.sum()), FLOOR))
    ratio = (np.float32(lift) / root + np.float32(1 - lift)) ** 3
    out: Float = light * (thrice(ratio) if ratio.ndim == 2 else ratio[:, None])
    return out


def put_together(layers: Layers, new_light: Float, paint: Float, lift: float, knee: float) -> Float:
    """Return linear light; ``new_light`` is that of the layers under the new paint."""
    light = _less_contrast(new_light, paint, lift)
    if layers.tile is not None:
        lit = (paint * layers.tile) * light
    elif light.ndim == 3:
        lit = (light.reshape(len(light), -1) * per_channel(light.shape, paint)).reshape(light.shape)
    else:
        lit = paint * light
    lit = shoulder(lit, knee)
    lit = lit * (thrice(layers.alpha) if layers.alpha.ndim == 2 else layers.alpha[:, None])
    lit += layers.rest
    return lit


def bounced(light: Float, fit: Fit) -> Float:
    """Return the light as it becomes when the wall's own reflections change with its paint.

    Walls light each other. What one adds to another is spread far more evenly than what lamps and windows give, so
    most of the change is the same everywhere: corners and shadows lose the old paint's glow and take on the new one's.
    A light never falls below a third of what it was.
    """
    spread, ambient = np.asarray(fit.spread, np.float32), np.asarray(fit.ambient, np.float32)
    if light.ndim == 3:
        spread, ambient = per_channel(light.shape, spread), per_channel(light.shape, ambient)
    rows = light.reshape(len(light), -1)
    changed = rows * spread
    changed += ambient
    out: Float = np.maximum(changed, rows * np.float32(1 / 3), out=changed).reshape(light.shape)
    return out


def spread_sample(parts: list[Layers], weights: list[Float], count: int) -> Layers:
    """Return about ``count`` wall pixels from all over the wall."""
    chosen = [np.flatnonzero(w.ravel() > 0.5) for w in weights]
    share = min(1.0, count / max(1, sum(len(c) for c in chosen)))
    pieces = [p.at(c[evenly(len(c), share)]) for p, c in zip(parts, chosen, strict=True) if len(c)]
    return joined(pieces)


def evenly(total: int, share: float) -> NDArray[np.intp]:
    """Return places in ``range(total)``: a golden-ratio sequence, which falls into step with no column or pattern."""
    count = max(1, int(total * share))
    if count >= total:
        return np.arange(total)
    return np.unique((np.arange(1, count + 1) * 0.6180339887498949 % 1 * total).astype(np.intp))


def joined(pieces: list[Layers]) -> Layers:
    """Return the pixels of several pieces, one after the other."""
    tiles = [p.tile for p in pieces if p.tile is not None]
    return Layers(
        np.concatenate([p.picture for p in pieces]),
        np.concatenate([p.rest for p in pieces]),
        np.concatenate([p.alpha for p in pieces]),
        np.concatenate([p.light for p in pieces]),
        np.concatenate(tiles) if tiles else None,
    )
