"""Damage to pictures and monuments: procedural, seeded, with the exact mask of each class.

Eight classes, each with variants. A severity of 0 is the lightest that a restorer would still call damage, 1 the
heaviest that leaves a picture. Outside the masks the picture is bit-identical to what came in: the masks are made from
what was drawn, and what is below one step of 512 is not counted as changed.

>>> import numpy as np
>>> clean = np.full((64, 96, 3), 0.5, np.float32)
>>> done = damage(clean, "crack", 0.5, np.random.default_rng(1))
>>> bool((done.picture[done.masks["crack"] == 0] == 0.5).all())
True
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tratto.core.errors import OptionError
from tratto.imaging.masks import CLASSES
from tratto_lab.simulate import damage_areas as areas
from tratto_lab.simulate import damage_lines as lines
from tratto_lab.simulate.damage_field import Plane
from tratto_lab.simulate.degrade import Applied, Picture

__all__ = ["CLASSES", "VARIANTS", "Damaged", "damage", "damage_all", "natural_unit", "paste_sprite"]

_Maker = Callable[[Picture, float, float, np.random.Generator, str], lines.Made]

_MAKERS: dict[str, _Maker] = {
    "crack": lines.crack,
    "weathering": areas.weathering,
    "missing": areas.missing,
    "dirt": areas.dirt,
    "vandalism": areas.vandalism,
    "scratch": lines.scratch,
    "fold": lines.fold,
    "stain": areas.stain,
}
#: The forms of each class.
VARIANTS: dict[str, tuple[str, ...]] = {
    "crack": ("emulsion", "masonry"),
    "weathering": ("erosion", "lichen", "peeling"),
    "missing": ("corner", "edge", "hole", "plaster"),
    "dirt": ("dust", "grime"),
    "vandalism": ("spray", "marker"),
    "scratch": ("light", "dark"),
    "fold": ("single", "cross"),
    "stain": ("water", "liquid", "foxing"),
}
#: A change of less than this share of full scale is not one.
UNSEEN = 1 / 512


@dataclass(frozen=True, eq=False)
class Damaged:
    """A damaged picture and what was done.

    Attributes
    ----------
    picture : (H, W, 3) float32 in [0, 1]
        Encoded sRGB, not rounded to 8 bits.
    masks : mapping of str to (H, W) float32 in [0, 1]
        For each class how far it covers the pixel; above 0 exactly where it changed the picture.
    applied : tuple of Applied
        In order: class as ``name``, with variant, severity, unit and what was drawn.

    Examples
    --------
    >>> Damaged(np.zeros((16, 16, 3), np.float32)).mask.max()
    np.float32(0.0)
    """

    picture: Picture
    masks: Mapping[str, Plane] = field(default_factory=dict)
    applied: tuple[Applied, ...] = ()

    @property
    def mask(self) -> Plane:
        """The union of all classes."""
        if not self.masks:
            return np.zeros(self.picture.shape[:2], np.float32)
        return np.asarray(np.maximum.reduce(list(self.masks.values())), np.float32)


def natural_unit(height: int, width: int) -> float:
    """Return the pixels of one unit for a whole picture: 1 at 450 x 450, growing with the side.

    By the eye, from prints scanned at 250 to 600 pixels, whose cracks are two to four pixels wide.

    Examples
    --------
    >>> natural_unit(450, 450)
    1.0
    """
    return max(0.8, float(np.sqrt(height * width)) / 450)


def damage(
    picture: Picture,
    kind: str,
    severity: float,
    rng: np.random.Generator,
    variant: str = "",
    unit: float | None = None,
) -> Damaged:
    """Damage a picture in one way.

    Parameters
    ----------
    picture : (H, W, 3) float32 in [0, 1]
        Encoded sRGB, 16 pixels a side or more.
    kind : str
        One of :data:`CLASSES`.
    severity : float
        0-1.
    rng : numpy.random.Generator
        The source of randomness; the same state gives the same damage.
    variant : str
        One of ``VARIANTS[kind]``; empty: drawn.
    unit : float or None
        Size of the damage in pixels: a thin scratch is about half a unit wide. None: :func:`natural_unit`. For crops of
        a larger picture, the larger picture's.

    Returns
    -------
    Damaged
        With one mask.

    Raises
    ------
    OptionError
        For a picture, class, variant, severity or unit that is out of range.

    Examples
    --------
    >>> wall = np.full((96, 96, 3), 0.5, np.float32)
    >>> done = damage(wall, "stain", 0.8, np.random.default_rng(0))
    >>> list(done.masks), bool(done.masks["stain"].max() > 0)
    (['stain'], True)
    """
    ok = picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.float32 and min(picture.shape[:2]) >= 16
    if not ok:
        raise OptionError(
            f"damage needs a float32 (H, W, 3) picture of 16 pixels or more, got {picture.dtype} {picture.shape}"
        )
    if kind not in VARIANTS:
        raise OptionError(f"damage is one of {', '.join(CLASSES)}; got {kind!r}")
    if variant and variant not in VARIANTS[kind]:
        raise OptionError(f"{kind} comes as {', '.join(VARIANTS[kind])}; got {variant!r}")
    if not 0 <= severity <= 1:
        raise OptionError(f"severity is a number from 0 to 1, got {severity}")
    one = natural_unit(*picture.shape[:2]) if unit is None else unit
    if not 0.1 <= one <= 100:
        raise OptionError(f"a unit is 0.1 to 100 pixels, got {one}")
    variant = variant or VARIANTS[kind][int(rng.integers(len(VARIANTS[kind])))]
    made, cover, facts = _MAKERS[kind](picture, float(severity), one, rng, variant)
    new = np.clip(made, 0, 1).astype(np.float32)
    changed = np.abs(new - picture).max(axis=2) >= np.float32(UNSEEN)
    new = np.where(changed[..., None], new, picture)
    mask = np.where(changed, np.clip(cover, np.float32(1 / 255), 1), 0).astype(np.float32)
    params: dict[str, float | str] = {"variant": variant, "severity": float(severity), "unit": round(one, 4), **facts}
    return Damaged(new, {kind: mask}, (Applied(kind, params),))


def damage_all(
    picture: Picture, kinds: Sequence[tuple[str, float]], rng: np.random.Generator, unit: float | None = None
) -> Damaged:
    """Damage a picture in several ways, one over the other.

    Parameters
    ----------
    picture : (H, W, 3) float32 in [0, 1]
        Encoded sRGB, 16 pixels a side or more.
    kinds : sequence of (class, severity)
        A class may come more than once.
    rng : numpy.random.Generator
        Draws for all, one after the other.
    unit : float or None
        See :func:`damage`.

    Returns
    -------
    Damaged
        A pixel under two classes is in both masks.

    Examples
    --------
    >>> wall = np.full((96, 96, 3), 0.5, np.float32)
    >>> done = damage_all(wall, [("stain", 0.8), ("crack", 0.8)], np.random.default_rng(0))
    >>> [one.name for one in done.applied]
    ['stain', 'crack']
    """
    masks: dict[str, Plane] = {}
    applied: list[Applied] = []
    now = picture
    for kind, severity in kinds:
        done = damage(now, kind, severity, rng, unit=unit)
        now = done.picture
        own = done.masks[kind]
        masks[kind] = np.maximum(masks[kind], own) if kind in masks else own
        applied += done.applied
    return Damaged(now, masks, tuple(applied))


def paste_sprite(
    picture: Picture, sprite: np.ndarray, rng: np.random.Generator, kind: str = "dirt", light: bool | None = None
) -> Damaged:
    """Lay a scanned mark (dust, hair, scratch) over a picture at a random place, turned and scaled at random.

    Parameters
    ----------
    picture : (H, W, 3) float32 in [0, 1]
        Encoded sRGB.
    sprite : (h, w) float32 in [0, 1]
        Its coverage.
    rng : numpy.random.Generator
        Draws place, turn, size and shade.
    kind : str
        The class it counts as.
    light : bool or None
        Whether the mark is light or dark; None: drawn.

    Returns
    -------
    Damaged
        With one mask.

    Examples
    --------
    >>> wall, hair = np.full((96, 96, 3), 0.5, np.float32), np.zeros((32, 32), np.float32)
    >>> hair[14:18] = 1
    >>> bool(paste_sprite(wall, hair, np.random.default_rng(0)).mask.max() > 0)
    True
    """
    import cv2

    h, w = picture.shape[:2]
    size = max(sprite.shape)
    scale = rng.uniform(0.15, 0.8) * min(h, w) / size
    turn = rng.uniform(0, 2 * np.pi)
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    cy, cx = rng.uniform(0, h), rng.uniform(0, w)
    my, mx = (sprite.shape[0] - 1) / 2, (sprite.shape[1] - 1) / 2
    matrix = np.array([[c, -s, cx - c * mx + s * my], [s, c, cy - s * mx - c * my]], np.float32)
    source = sprite if scale >= 0.7 else cv2.GaussianBlur(sprite, (0, 0), 0.4 / max(scale, 0.05))
    alpha = cv2.warpAffine(source, matrix, (w, h), flags=cv2.INTER_LINEAR) * np.float32(rng.uniform(0.7, 1.0))
    bright = bool(rng.uniform() < 0.6) if light is None else light
    tone = np.float32(rng.uniform(0.85, 0.98) if bright else rng.uniform(0.02, 0.2))
    new = np.clip(lines.over(picture, np.full(3, tone, np.float32), alpha.astype(np.float32)), 0, 1)
    changed = np.abs(new - picture).max(axis=2) >= np.float32(UNSEEN)
    new = np.where(changed[..., None], new, picture)
    mask = np.where(changed, np.clip(alpha, np.float32(1 / 255), 1), 0).astype(np.float32)
    params: dict[str, float | str] = {
        "variant": "sprite",
        "scale": round(float(scale), 4),
        "tone": round(float(tone), 3),
    }
    return Damaged(new, {kind: mask}, (Applied(kind, params),))
