"""Repaint a wall: the whole calculation, from linear light and a mask to linear light.

A pixel is ``alpha * old * light + rest``, and becomes ``alpha * new * light + rest``. :func:`fit_wall` looks at the
picture once and fixes every number that holds for the whole wall; :class:`Painter` then makes any band of rows from the
picture alone, so that memory stays bounded and a band's result does not depend on where the picture was cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.imaging.color import linear_to_lab, linear_to_srgb, srgb_to_lab
from tratto.imaging.marks import Ground, find_stain, ground_of, without_marks
from tratto.imaging.matting import make_matte, mask_is_hard, matte_radius
from tratto.imaging.pattern import GRID, Pattern, find_pattern, light_field, without_pattern
from tratto.imaging.shading import (
    FLOOR,
    LUMINANCE,
    Float,
    calm,
    encoded,
    knee_for,
    largest,
    log_noise,
    per_channel,
    shoulder,
    thrice,
    trusted,
    unburnt,
)
from tratto.imaging.texture import Tile
from tratto.imaging.working import rounded_for_lightness

__all__ = ["MATCHES", "PATTERNS", "Fit", "Match", "Painted", "Painter", "Rows", "Wish", "fit_wall", "look_at_wall"]

Match = Literal["seen", "paint"]
MATCHES: tuple[Match, ...] = ("seen", "paint")
PATTERNS = ("auto", "keep", "remove")

#: ``rows(y0, y1)`` returns those rows of the picture in linear light, (y1 - y0, W, 3) float32.
Rows = Callable[[int, int], Float]

#: The most pixels that the fit looks at, about how many of them its search uses, and how many settle the mean.
FIT_PIXELS = 1_200_000
SAMPLE = 9_000
SETTLE = 60_000
#: How many squares of nine pixels tell whether the structure stays.
SQUARES = 2_000
#: CIELAB distance at which the mean counts as met.
CLOSE = 0.005
#: Share of a wall's light that comes from walls of its paint, by how many of two opposite sides of the picture it
#: leaves through: a wall that ends on both sides is one wall of several (0.1 to 0.2 in rendered rooms), one that goes
#: on beyond both is taken for a closed room of one paint (0.5 to 0.6).
USUAL_BOUNCE = (0.15, 0.35, 0.55)
#: How far the old paint's own glow, where it is coloured enough to be seen, is believed over that.
GLOW_TRUST = 0.6
#: Share of a border that must be wall for the wall to leave the picture there.
LEAVES = 0.08
#: How evenly light is spread that a paint adds or takes away; fitted to rendered rooms.
EVEN_GAIN, EVEN_LOSS = 0.9, 0.4
#: How much of the colour, not the strength, of that change is shown where the mean as seen is locked.
SEEN_TINT = 0.5
#: How much stronger than in the source a wall's noise may become before it is calmed.
NOISE_GAIN = 1.3
#: Correlation of gradients from which on the structure of a wall counts as kept.
SHOWS = 0.97
#: Shares of contrast that may be given up, tried in this order.
LIFTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.66, 0.72, 0.78, 0.83, 0.87, 0.9, 0.93)
_SOBEL = np.array(
    [[-1, -1], [0, -2], [1, -1], [-2, 0], [0, 0], [2, 0], [-1, 1], [0, 2], [1, 1]], np.float32
)  # fmt: skip
#: Rounding of 8-bit samples, standard deviation in 1/255.
ROUNDING = 0.29


@dataclass(frozen=True, eq=False)
class Wish:
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
        What the new paint does to the light: ``spread * light + ambient``; see :func:`_bounced`.
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
    hard : bool
        The mask was black and white.
    radius : int
        Of the matte, pixels.
    missed : float
        CIELAB distance of the mean from the wish that no setting could close; 0 under ``match="paint"``.
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
    """

    values: Float
    alpha: Float


@dataclass(frozen=True, eq=False)
class _Layers:
    """Pixels taken apart.

    ``picture``, ``rest``, ``light`` (..., 3), ``alpha`` (...), ``tile`` (..., 3) or None.
    """

    picture: Float
    rest: Float
    alpha: Float
    light: Float
    tile: Float | None

    def at(self, index: NDArray[np.intp]) -> _Layers:
        tile = None if self.tile is None else self.tile.reshape(-1, 3)[index]
        return _Layers(
            self.picture.reshape(-1, 3)[index],
            self.rest.reshape(-1, 3)[index],
            self.alpha.ravel()[index],
            self.light.reshape(-1, 3)[index],
            tile,
        )

    def between(self, a: int, b: int) -> _Layers:
        part = slice(a, b)
        tile = None if self.tile is None else self.tile[part]
        return _Layers(self.picture[part], self.rest[part], self.alpha[part], self.light[part], tile)


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


def _put_together(layers: _Layers, new_light: Float, paint: Float, lift: float, knee: float) -> Float:
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


def _bounced(light: Float, fit: Fit) -> Float:
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


# ------------------------------------------------------------------------------------------------------------ fit


def halo(fit_radius: int) -> int:
    """Return how many rows beyond a band its result depends on."""
    return 12 * fit_radius + 2 + 36


@dataclass(frozen=True, eq=False)
class _Wall:
    """A picture, the mask of its wall, and what is laid on it."""

    rows: Rows
    mask: Float
    tile: Tile | None
    allowed: NDArray[np.bool_]

    def grid(self) -> tuple[Float, Float, int]:
        """Return the logarithm of the picture and the wall on a grid of pixels, and the step between them."""
        height, width = self.mask.shape
        step = max(1, -(-max(height, width) // GRID))
        half = step // 2
        lines = [self.rows(y, y + 1)[0, half::step] for y in range(half, height, step)]
        logs = np.log(np.maximum(np.stack(lines), FLOOR))
        inside = (self.mask[half::step, half::step] > 0.98).astype(np.uint8)
        import cv2

        inside = cv2.erode(inside, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
        return logs, inside.astype(np.float32), step

    def pattern(self, paints: tuple[tuple[float, ...], ...]) -> Pattern | None:
        """Return the pattern of these colours with the light over it; None where there are none."""
        if not paints:
            return None
        logs, inside, step = self.grid()
        known = np.asarray(paints, np.float32)
        return Pattern(known, light_field(logs, inside, known), step)

    def ground(self, fit: Fit) -> Ground | None:
        """Return the slow light that marks are told by; None where none are to be taken off."""
        if fit.stain is None and not fit.glossy:
            return None
        logs, inside, step = self.grid()
        return ground_of(logs, inside, step, None if fit.stain is None else np.asarray(fit.stain, np.float32))

    def known(self, fit: Fit) -> tuple[Pattern | None, Ground | None]:
        """Return what must be known of the whole wall to take any part of it apart."""
        return self.pattern(fit.pattern), self.ground(fit)

    def separate(self, fit: Fit, known: tuple[Pattern | None, Ground | None], y0: int, y1: int) -> _Layers:
        """Take rows apart, looking at the halo around them."""
        pattern, ground = known
        margin = halo(fit.radius)
        a, b = max(0, y0 - margin), min(self.mask.shape[0], y1 + margin)
        picture = self.rows(a, b)
        matte = make_matte(picture, self.mask[a:b], fit.radius, fit.hard, self.allowed[a:b])
        wall, rest = matte.wall, matte.rest
        if ground is not None:
            stain = None if fit.stain is None else np.asarray(fit.stain, np.float32)
            wall, glare = without_marks(wall, matte.alpha, ground, (stain, fit.glossy), (a, 0))
            rest = rest + (matte.alpha * glare)[..., None]
        if pattern is not None:
            wall = without_pattern(wall, matte.alpha, pattern, (a, 0))
        old: Float = np.asarray(fit.old, np.float32)
        quotient = (wall.reshape(len(wall), -1) / per_channel(wall.shape, old)).reshape(wall.shape)
        light: Float = unburnt(quotient, picture, not fit.seen)
        light = trusted(light, old, fit.seen)
        if min(fit.keep) < 1:
            light = calm(light, matte.alpha, np.asarray(fit.sigma), np.asarray(fit.keep))
        part = slice(y0 - a, y1 - a)
        laid = None
        if self.tile is not None:
            y, x = np.mgrid[y0:y1, 0 : self.mask.shape[1]].astype(np.float32)
            laid = self.tile.sample(y, x)
        return _Layers(picture[part], rest[part], matte.alpha[part], light[part], laid)


def _fit_bands(height: int, width: int) -> list[tuple[int, int]]:
    """Return the bands of rows that the fit looks at: all, or sixteen evenly spread ones of a large picture."""
    if height * width <= FIT_PIXELS:
        return [(0, height)]
    rows = max(1, FIT_PIXELS // width // 16)
    starts = np.linspace(0, height - rows, 16).astype(int)
    return [(int(s), int(s) + rows) for s in dict.fromkeys(starts.tolist())]


def _typical(rows: Rows, mask: Float, bands: list[tuple[int, int]]) -> Float:
    """Return the median linear colour of the wall."""
    parts = [(rows(a, b), mask[a:b]) for a, b in bands]
    for least in (0.98, 0.5):
        chosen = [[p[..., i][m > least] for p, m in parts] for i in range(3)]  # faster than three at a time
        if sum(map(len, chosen[0])) >= 16:
            middle = np.array([np.median(np.concatenate(c)) for c in chosen], np.float32)
            return np.asarray(np.maximum(middle, FLOOR), np.float32)
    raise OptionError("the mask holds no wall: fewer than 16 of its pixels are above one half; draw it again")


def fit_wall(rows: Rows, mask: Float, wish: Wish, allowed: NDArray[np.bool_] | None = None) -> Fit:
    """Look at a picture and fix every number that repainting its wall needs.

    Parameters
    ----------
    rows : callable
        The picture in linear light.
    mask : (H, W) float32 in [0, 1]
        Share of wall.
    wish : Wish
    allowed : (H, W) bool or None
        Where the matte may be above 0; None: where the mask is.

    Returns
    -------
    Fit

    Raises
    ------
    OptionError
        If the mask holds next to no wall.
    """
    return look_at_wall(rows, mask, wish, allowed).fit


def look_at_wall(rows: Rows, mask: Float, wish: Wish, allowed: NDArray[np.bool_] | None = None) -> Painter:
    """Fit a wall, and return what paints it without taking the picture apart a second time.

    A picture small enough to be looked at as a whole stays apart, about 45 bytes a pixel, as long as the painter lives.
    The samples are the same as those of a painter made from the fit alone.

    Parameters
    ----------
    rows, mask, wish, allowed
        As for :func:`fit_wall`.

    Returns
    -------
    Painter

    Raises
    ------
    OptionError
        If the mask holds next to no wall.
    """
    height, width = mask.shape
    wall = _Wall(rows, mask, wish.tile, mask > 0 if allowed is None else allowed)
    bands = _fit_bands(height, width)
    old = _typical(rows, mask, bands)
    paints: tuple[tuple[float, ...], ...] = ()
    stain: Float | None = None
    if wish.pattern != "keep" or wish.stains == "remove":
        logs, inside, _ = wall.grid()
        stain = find_stain(logs, inside) if wish.stains == "remove" else None
        found = None if wish.pattern == "keep" else find_pattern(logs, inside, wish.pattern == "remove")
        if found is not None:
            paints = tuple(_three(p) for p in found)
            light = light_field(logs, inside, found)
            old = np.asarray(np.exp(np.median(light[inside > 0.5], axis=0)), np.float32)
    one, none = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    hard, radius = mask_is_hard(mask), matte_radius(height, width)
    layer = None if stain is None else _three(stain)
    fit = Fit(
        old=_three(old), paint=_three(wish.paint), seen=wish.match == "seen", level=one, leaves=_leaves(mask),
        bounce=0.0, spread=one, ambient=none, lift=0.0,
        knee=knee_for(wish.paint), keep=one,
        sigma=one, pattern=paints, stain=layer, glossy=wish.glossy, hard=hard, radius=radius, missed=0.0,
    )  # fmt: skip
    known = wall.known(fit)
    parts = [wall.separate(fit, known, a, b) for a, b in bands]
    weights = [mask[a:b] for a, b in bands]
    fit = _reflections(parts, weights, fit, wish)
    noise = float(np.hypot(wish.noise, ROUNDING)) / 255
    target = encoded(_brightness_of(fit, wish))
    keep = np.minimum(1.0, NOISE_GAIN * encoded(old) / np.maximum(target, 1e-3))
    if (keep < 1).any():
        fit = replace(fit, keep=_three(keep), sigma=_three(log_noise(old, noise)))
        sigma, kept = np.asarray(fit.sigma), np.asarray(fit.keep)
        parts = [replace(p, light=calm(p.light, p.alpha, sigma, kept)) for p in parts]
    fit = _solve(parts, weights, fit, wish)
    return Painter(rows, mask, fit, wish.tile, allowed, parts[0] if bands == [(0, height)] else None)


def _leaves(mask: Float) -> int:
    """Return through how many of two opposite sides of the picture the wall goes on beyond it."""
    sides = [float((side > 0.5).mean()) > LEAVES for side in (mask[:, 0], mask[:, -1], mask[0], mask[-1])]
    return max(sum(sides[:2]), sum(sides[2:]))


def _reflections(parts: list[_Layers], weights: list[Float], fit: Fit, wish: Wish) -> Fit:
    """Estimate how much light the wall gives itself, and what the new paint makes of it.

    With a share ``s`` of a wall's light coming from walls of its own paint ``a``, light grows as ``1 / (1 - s a)``
    (a sum over bounces). Another paint ``n`` multiplies it by ``R = (1 - s a) / (1 - s n)`` on the whole; where that is
    more light, it comes as an even addition, where it is less, partly as an even loss.
    """
    old = np.asarray(fit.old, np.float64)
    level = _level(parts, weights, fit.old, wish)
    albedo = np.clip(old / level, 0, 0.9)
    share = wish.bounce
    if share is None:
        usual, glow = USUAL_BOUNCE[fit.leaves], _own_share(parts, weights, albedo)
        share = usual if glow is None else GLOW_TRUST * glow + (1 - GLOW_TRUST) * usual
    ratio = (1 - share * albedo) / (1 - share * np.clip(np.asarray(wish.paint, np.float64), 0, 0.9))
    if fit.seen:  # a guess too strong would turn every shadow into the old paint's opposite
        ratio = ratio**SEEN_TINT * float(np.exp(np.log(ratio) @ LUMINANCE)) ** (1 - SEEN_TINT)
    even = np.where(ratio > 1, EVEN_GAIN, EVEN_LOSS)
    return replace(
        fit,
        level=_three(level),
        bounce=float(share),
        spread=_three(1 + (ratio - 1) * (1 - even)),
        ambient=_three((ratio - 1) * even),
    )


def _own_share(parts: list[_Layers], weights: list[Float], albedo: NDArray[np.float64]) -> float | None:
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


def _brightness_of(fit: Fit, wish: Wish) -> NDArray[np.float64]:
    """Return what the wall will show in typical light, linear: the reference, or the paint under the known light."""
    reference = np.asarray(wish.paint if wish.tile is None else wish.tile.mean, np.float64)
    return np.clip(reference if wish.match == "seen" else reference * np.asarray(fit.level), 0, 1)


def _three(values: NDArray[Any]) -> tuple[float, float, float]:
    r, g, b = (float(v) for v in values)
    return (r, g, b)


def _solve(parts: list[_Layers], weights: list[Float], fit: Fit, wish: Wish) -> Fit:
    start = np.ones(3, np.float32) if wish.tile is not None else wish.paint
    if wish.match == "paint":
        return replace(fit, paint=_three(start * np.asarray(fit.level)), lift=0.0, missed=0.0)
    small, squares = _spread_sample(parts, weights, SAMPLE), _squares(parts, weights)
    search = _Search(_Lit.of(small, fit), None if squares is None else _Lit.of(squares, fit), fit.knee, start, wish.lab)
    scale, lift = search.best()[:2]
    # a small sample serves the search; a larger one settles the mean
    large = replace(search, sample=_Lit.of(_spread_sample(parts, weights, SETTLE), fit), coarse=wish.coarse)
    factors, missed, _ = large.fit(scale, lift, 6)
    return replace(fit, paint=_three(start * factors), lift=lift, missed=missed)


def _spread_sample(parts: list[_Layers], weights: list[Float], count: int) -> _Layers:
    """Return about ``count`` wall pixels from all over the wall."""
    chosen = [np.flatnonzero(w.ravel() > 0.5) for w in weights]
    share = min(1.0, count / max(1, sum(len(c) for c in chosen)))
    pieces = [p.at(c[_evenly(len(c), share)]) for p, c in zip(parts, chosen, strict=True) if len(c)]
    return _joined(pieces)


def _evenly(total: int, share: float) -> NDArray[np.intp]:
    """Return places in ``range(total)``: a golden-ratio sequence, which falls into step with no column or pattern."""
    count = max(1, int(total * share))
    if count >= total:
        return np.arange(total)
    return np.unique((np.arange(1, count + 1) * 0.6180339887498949 % 1 * total).astype(np.intp))


def _joined(pieces: list[_Layers]) -> _Layers:
    tiles = [p.tile for p in pieces if p.tile is not None]
    return _Layers(
        np.concatenate([p.picture for p in pieces]),
        np.concatenate([p.rest for p in pieces]),
        np.concatenate([p.alpha for p in pieces]),
        np.concatenate([p.light for p in pieces]),
        np.concatenate(tiles) if tiles else None,
    )


def _level(parts: list[_Layers], weights: list[Float], typical: Any, wish: Wish) -> NDArray[np.float64]:
    """Return the light, relative to the typical, in which the paint shows its own colour, as factors of the paint.

    With the old paint known this is physics: the wall's light divided by it. Without, white light is assumed, and its
    strength is read from the rest of the room: the lighter quarter of what is no wall and no lamp begins at surfaces
    that are taken to reflect half the light. No paint reflects more than 0.85 of it.
    """
    old = np.asarray(typical, np.float32)
    if wish.was is not None:
        return np.asarray(old / np.maximum(wish.was, FLOOR), np.float64)
    least = float(old @ LUMINANCE) / 0.85
    places = [np.flatnonzero((w < 0.02).ravel())[::3] for w in weights]
    beside = np.concatenate([p.picture.reshape(-1, 3)[c] for p, c in zip(parts, places, strict=True)])
    room = beside[largest(beside) < 0.97] @ LUMINANCE
    strength = float(np.percentile(room, 75)) / 0.5 if len(room) > 200 else 0.0
    return np.full(3, max(strength, least, 1e-3))


def _squares(parts: list[_Layers], weights: list[Float]) -> _Layers | None:
    """Return wall pixels in about ``SQUARES`` groups of nine, each a square of three by three, row by row.

    None for a wall too narrow for squares.
    """
    chosen = []
    for weight in weights:
        ok = (weight > 0.99).astype(np.uint8)
        if min(ok.shape) > 4:
            import cv2

            # edges of the wall have the largest steps of all, and are none of its structure
            ok = cv2.erode(ok, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
        chosen.append(np.flatnonzero(ok.ravel()) if min(ok.shape) > 4 else np.zeros(0, np.intp))
    share = min(1.0, SQUARES / max(1, sum(len(c) for c in chosen)))
    pieces = []
    for layers, weight, index in zip(parts, weights, chosen, strict=True):
        if len(index):
            width = weight.shape[1]
            square = np.array([dy * width + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
            pieces.append(layers.at((index[_evenly(len(index), share)][:, None] + square).ravel()))
    return _joined(pieces) if pieces else None


@dataclass(frozen=True, eq=False)
class _Lit:
    """A sample of pixels, and their light under the new paint."""

    layers: _Layers
    light: Float

    @classmethod
    def of(cls, layers: _Layers, fit: Fit) -> _Lit:
        return cls(layers, _bounced(layers.light, fit))


@dataclass(frozen=True, eq=False)
class _Search:
    """Find the paint whose mean over a sample, as seen, is the target.

    ``squares`` tell how much of the wall's structure stays.
    """

    sample: _Lit
    squares: _Lit | None
    knee: float
    start: Float
    target: NDArray[np.float64]
    coarse: bool = False

    def seen(self, scale: NDArray[np.float64], lift: float, sample: _Lit | None = None) -> Float:
        lit = sample or self.sample
        return _put_together(lit.layers, lit.light, (self.start * scale).astype(np.float32), lift, self.knee)

    def mean(self, scale: NDArray[np.float64], lift: float) -> NDArray[np.float64]:
        seen = self.seen(scale, lift)
        if self.coarse:  # steps of eight bits fall into step with a narrow range of light, and pull its mean
            whole = rounded_for_lightness(255 * linear_to_srgb(np.clip(seen, 0, 1)))
            lab = np.asarray(srgb_to_lab(whole / np.float32(255)))
        else:
            lab = np.asarray(linear_to_lab(seen))
        return np.array([lab[:, i].mean(dtype=np.float64) for i in range(3)])

    def fit(
        self, scale: NDArray[np.float64], lift: float, rounds: int = 14, slopes: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
        """Return the factors of the paint, the distance that is left, and how the mean answers to their logarithms.

        Damped Gauss-Newton in the logarithms; after differences once, the slopes are kept up to date by Broyden's
        rule (1965), and taken anew when a move does not help.
        """
        log = np.log(scale)
        error = self.mean(np.exp(log), lift) - self.target
        best, best_error = log, float(np.linalg.norm(error))
        j, fresh = slopes, False
        for _ in range(rounds):
            if best_error < CLOSE:
                break
            if j is None:
                moves = 0.02 * np.eye(3)
                j = np.stack([(self.mean(np.exp(log + d), lift) - self.target - error) / 0.02 for d in moves], axis=1)
                fresh = True
            move = np.clip(-np.linalg.solve(j.T @ j + 1e-3 * np.eye(3), j.T @ error), -0.7, 0.7)
            there = np.clip(log + move, np.log(1e-4), np.log(100.0))
            move = there - log
            new = self.mean(np.exp(there), lift) - self.target
            size = float(np.linalg.norm(new))
            if size > 0.8 * best_error and not fresh:
                j = None  # slopes from elsewhere mislead
                continue
            if float(move @ move) > 1e-12:
                j = j + np.outer(new - error - j @ move, move) / float(move @ move)
            fresh = False
            log, error = there, new
            if size < best_error:
                best, best_error = log, size
        return np.exp(best), best_error, np.zeros((3, 3)) if j is None else j

    def agreement(self, scale: NDArray[np.float64], lift: float) -> float:
        """Return the correlation of lightness gradients (Sobel) before and after, as 8-bit samples show them."""
        if self.squares is None:
            return 1.0
        seen = linear_to_srgb(np.clip(self.seen(scale, lift, self.squares), 0, 1))
        shown = rounded_for_lightness(255 * seen) / np.float32(255)
        after = np.asarray(srgb_to_lab(shown))[:, 0].reshape(-1, 9) @ _SOBEL
        before = np.asarray(linear_to_lab(self.squares.layers.picture))[:, 0].reshape(-1, 9) @ _SOBEL
        together = float(np.sqrt((before * before).mean() * (after * after).mean()))
        return float((before * after).mean()) / max(1e-9, together)

    def too_bright(self, scale: NDArray[np.float64]) -> bool:
        """Return whether more than a fiftieth of the wall would exceed full scale, beyond what did before."""
        layers = self.sample.layers
        new = self.start * scale if layers.tile is None else self.start * scale * layers.tile
        over = (new * self.sample.light).max(axis=-1) > 1
        return float(over.mean()) > 0.02 + float((layers.picture.max(axis=-1) > 0.97).mean())

    def best(self) -> tuple[NDArray[np.float64], float, float]:
        """Return factors, lift and the distance left.

        All contrast stays if it fits; else as much as lets the structure of the wall show, or what shows most of it.
        """
        scale, error, slopes = self.fit(np.ones(3), 0.0)
        if not self.too_bright(scale) and error < 0.1:
            return scale, 0.0, error
        found, score = (scale, 0.0, error), -np.inf
        for lift in LIFTS:
            scale, error, slopes = self.fit(scale, lift, slopes=slopes if slopes.any() else None)
            here = self.agreement(scale, lift) - max(0.0, error - 0.05)
            if here > score:
                found, score = (scale, lift, error), here
            if here > SHOWS:
                break
        return found


class Painter:
    """Makes any band of rows of a wall with its new paint.

    Parameters
    ----------
    rows : callable
        The picture in linear light.
    mask : (H, W) float32 in [0, 1]
    fit : Fit
    tile : Tile or None
        As in the wish the fit was made for.
    allowed : (H, W) bool or None
        As given to the fit.
    layers : _Layers or None
        The picture taken apart already; see :func:`look_at_wall`.

    Attributes
    ----------
    fit : Fit
    """

    def __init__(
        self,
        rows: Rows,
        mask: Float,
        fit: Fit,
        tile: Tile | None = None,
        allowed: NDArray[np.bool_] | None = None,
        layers: _Layers | None = None,
    ) -> None:
        self._wall = _Wall(rows, mask, tile, mask > 0 if allowed is None else allowed)
        self.fit = fit
        self._layers = layers
        self._known = self._wall.known(fit) if layers is None else (None, None)

    def paint(self, y0: int, y1: int) -> Painted:
        """Return rows ``y0`` to ``y1``; they are the same however a picture is cut into bands."""
        fit, known = self.fit, self._layers
        layers = self._wall.separate(fit, self._known, y0, y1) if known is None else known.between(y0, y1)
        paint, light = np.asarray(fit.paint, np.float32), _bounced(layers.light, fit)
        return Painted(_put_together(layers, light, paint, fit.lift, fit.knee), layers.alpha)
