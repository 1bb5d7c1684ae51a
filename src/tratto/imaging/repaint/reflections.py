"""What the wall throws back: bounced light, and how much of the tint is its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.imaging.repaint.kinds import Fit, RepaintTarget, three
from tratto.imaging.repaint.layers import Layers
from tratto.imaging.shading import FLOOR, LUMINANCE, Float, largest

#: Share of a wall's light that comes from walls of its paint, by how many of two opposite sides of the picture it
#: leaves through: a wall that ends on both sides is one wall of several (0.1 to 0.2 in rendered rooms), one that goes
#: on beyond both is taken for a closed room of one paint (0.5 to 0.6).
USUAL_BOUNCE = (0.15, 0.35, 0.55)
#: How far the old paint's own glow, where it is coloured enough to be seen, is believed over that.
GLOW_TRUST = 0.6
#: How evenly light is spread that a paint adds or takes away; fitted to rendered rooms.
EVEN_GAIN, EVEN_LOSS = 0.9, 0.4
#: How much of the colour, not the strength, of that change is shown where the mean as seen is locked.
SEEN_TINT = 0.5


def reflections(parts: list[Layers], weights: list[Float], fit: Fit, target: RepaintTarget) -> Fit:
    """Estimate how much light the wall gives itself, and what the new paint makes of it.

    With a share ``s`` of a wall's light coming from walls of its own paint ``a``, light grows as ``1 / (1 - s a)``
    (a sum over bounces). Another paint ``n`` multiplies it by ``R = (1 - s a) / (1 - s n)`` on the whole; where that is
    more light, it comes as an even addition, where it is less, partly as an even loss.
    """
    old = np.asarray(fit.old, np.float64)
    level = _level(parts, weights, fit.old, target)
    albedo = np.clip(old / level, 0, 0.9)
    share = target.bounce
    if share is None:
        usual, glow = USUAL_BOUNCE[fit.leaves], _own_share(parts, weights, albedo)
        share = usual if glow is None else GLOW_TRUST * glow + (1 - GLOW_TRUST) * usual
    ratio = (1 - share * albedo) / (1 - share * np.clip(np.asarray(target.paint, np.float64), 0, 0.9))
    if fit.seen:  # a guess too strong would turn every shadow into the old paint's opposite
        ratio = ratio**SEEN_TINT * float(np.exp(np.log(ratio) @ LUMINANCE)) ** (1 - SEEN_TINT)
    even = np.where(ratio > 1, EVEN_GAIN, EVEN_LOSS)
    return replace(
        fit,
        level=three(level),
        bounce=float(share),
        spread=three(1 + (ratio - 1) * (1 - even)),
        ambient=three((ratio - 1) * even),
    )


def _own_share(parts: list[Layers], weights: list[Float], albedo: NDArray[np.float64]) -> float | None:
    """Estimate the share of a wall's light that comes from walls of the same paint, by the colour of that light.

    Where a paint is coloured, its own reflections are, too: with an even part ``s a`` and a varying rest, the light of
    one channel is a straight line over that of another, with a slope of ``(1 - s a) / (1 - s b)``. Where the paint is
    nearly neutral, or lights of several colours bend the line, nothing is claimed.
    """
    places = [np.flatnonzero((w > 0.98).ravel())[::5] for w in weights]
    light = np.concatenate([p.light.reshape(-1, 3)[c] for p, c in zip(parts, places, strict=True)]).astype(np.float64)
    shown = np.concatenate([p.picture.reshape(-1, 3)[c] for p, c in zip(parts, places, strict=True)])
    light = light[largest(shown) <= np.float32(0.97)]
    if len(light) < 100:
        return None
    light = light / np.maximum(light.mean(axis=0), 1e-6)
    weight = 1 / (0.3 + light.mean(axis=1)) ** 2
    found = []
    for i, j in ((0, 1), (0, 2), (1, 2)):
        if abs(albedo[i] - albedo[j]) < 0.1:
            continue
        values, vectors = np.linalg.eigh(np.cov(light[:, [j, i]].T, aweights=weight))
        slope = vectors[1, 1] / vectors[0, 1] if abs(vectors[0, 1]) > 1e-6 else 0.0
        bottom = albedo[i] - slope * albedo[j]
        if slope > 0 and values[0] < 0.03 * values[1] and abs(bottom) > 0.02:
            found.append(float((1 - slope) / bottom))
    if not found:
        return None
    # floors and furniture colour the light as well; measured on rendered rooms, a third of the slope is theirs
    return float(np.clip(0.7 * float(np.median(found)), 0.05, 0.6))


def _level(parts: list[Layers], weights: list[Float], typical: Any, target: RepaintTarget) -> NDArray[np.float64]:
    """Return the light, relative to the typical, in which the paint shows its own colour, as factors of the paint.

    With the old paint known this is physics: the wall's light divided by it. Without, its color is that of what is
    neutral in the room, and its strength is read there, too: the lighter quarter of what is no wall and no lamp begins
    at surfaces that are taken to reflect half the light. No paint reflects more than 0.85 of it.
    """
    old = np.asarray(typical, np.float32)
    if target.was is not None:
        return np.asarray(old / np.maximum(target.was, FLOOR), np.float64)
    least = float(old @ LUMINANCE) / 0.85
    places = [np.flatnonzero((w < 0.02).ravel())[::3] for w in weights]
    beside = np.concatenate([p.picture.reshape(-1, 3)[c] for p, c in zip(parts, places, strict=True)])
    beside = beside[largest(beside) < 0.97]
    strength = float(np.percentile(beside @ LUMINANCE, 75)) / 0.5 if len(beside) > 200 else 0.0
    return np.asarray(max(strength, least, 1e-3) * light_color(beside), np.float64)


#: Light of a room is sought among these temperatures (kelvin), and against the white of the picture it is this far
#: from neutral at most: beyond, it is furniture.
TEMPERATURES = np.geomspace(2000, 9000, 28)
#: Surfaces count as neutral under a light up to this far from it (natural logarithm of red and blue over green), as
#: bright ones from this share of the brightest on, and as enough from this share of the bright ones on.
NEAR, BRIGHT, ENOUGH = 0.07, 0.5, 0.15


def light_color(room: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the color of a room's light, by the bright surfaces in it that one light would make of neutral ones.

    Ceilings, doors and frames are white more often than not, and so the brightest surfaces that a lamp or daylight
    (Planck's radiator) explains are taken for neutral. Where too few are, the light is taken for white.

    Parameters
    ----------
    room : (N, 3) array
        Linear sRGB of what is neither the wall nor a lamp.

    Returns
    -------
    (3,) float64
        Linear sRGB of luminance 1.

    Examples
    --------
    >>> warm = np.full((500, 3), (0.6, 0.5, 0.36))
    >>> np.round(light_color(warm) / light_color(warm)[1], 2)
    array([1.2 , 1.  , 0.72])
    """
    white = np.ones(3)
    level = np.asarray(room, np.float64) @ LUMINANCE
    if len(level) < 200:
        return white
    bright = np.asarray(room, np.float64)[level > max(BRIGHT * float(np.percentile(level, 98)), 1e-3)]
    logs = np.log(np.maximum(bright, 1e-4))
    seen = logs[:, [0, 2]] - logs[:, [1]]
    lights = _radiator(TEMPERATURES)
    near = [np.hypot(*(seen - light).T) < NEAR for light in lights]
    shares = [float(n.mean()) for n in near]
    best = int(np.argmax(shares))
    if shares[best] < ENOUGH:
        return white
    red, blue = np.exp(np.median(seen[near[best]], axis=0))
    color = np.array([red, 1.0, blue])
    return np.asarray(color / (color @ LUMINANCE), np.float64)


def _radiator(kelvin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithms of red and blue over green in linear sRGB of Planck's radiator, 6500 K being white.

    Planck's law at the peaks of the three primaries; within a few per cent of the integral over the CIE observer.
    """
    waves = np.array([610e-9, 545e-9, 465e-9])
    second = 1.438777e-2

    def logs(temperature: NDArray[np.float64]) -> NDArray[np.float64]:
        emitted = -np.log(np.expm1(second / (waves[None] * temperature[:, None])))
        return np.asarray(emitted[:, [0, 2]] - emitted[:, [1]])

    return logs(np.asarray(kelvin)) - logs(np.array([6500.0]))
