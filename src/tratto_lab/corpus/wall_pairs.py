"""Pictures of walls with masks, as samples to learn repainting from.

The reference a model is shown is never the picture itself: it is a plain field of the wall's colour, made here, with a
little grain and an uneven light. A model that was shown the picture would learn to copy it (a leak), and fail with
every other reference. So that it also meets colours that no wall of the set has, some samples take a random one; their
picture is then the wall truly repainted in it by the embedded method, since a reference that the picture does not
follow would teach the model to ignore references.

How good a mask is says :func:`mask_quality`: the geometric mean of three shares, each 1 for a perfect mask.

* *solid*: how much of the mask is left by an opening with a disc of a fiftieth of the shorter side. Speckled and ragged
  masks lose much.
* *one paint*: how many of its pixels have the chromaticity of its median, with chroma in proportion to lightness, as
  one paint under one light has it.
* *edge*: how much of its border has another colour outside than inside (6 CIELAB between the local means). A mask that
  ends in the middle of a wall, or runs over into the ceiling, fails here. Where the mask leaves the picture there is no
  border; a mask without any border gets 1.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, OptionError
from tratto.imaging.color import linear_to_srgb, srgb_to_lab, srgb_to_linear
from tratto.imaging.paint import dominant_color

__all__ = ["MaskQuality", "WallCounts", "WallPair", "WallPairOptions", "WallPairs", "find_pairs", "mask_quality"]

Float = NDArray[np.float32]
log = logging.getLogger(__name__)

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
#: Side of the reference.
REFERENCE = 512
#: Fewer pixels of wall than the first: the picture's mean is taken. Fewer than the second: refused.
FEW, TOO_FEW = 100, 10
#: Chromaticity of one paint, and the step of colour at an edge, CIELAB.
ONE_PAINT, EDGE_STEP = 12.0, 6.0
#: Longer side at which the quality of a mask is judged.
JUDGED_AT = 384


@dataclass(frozen=True)
class WallPairOptions:
    """How samples are made.

    Attributes
    ----------
    side : int
        Of the square that is cut out, pixels.
    color : str
        ``median``, ``mean`` or ``kmeans``: see :func:`tratto.imaging.paint.dominant_color`.
    random_share : float
        Share of the samples that take a random colour.
    texture : bool
        Grain and uneven light on the reference.
    grain : float
        Standard deviation of the grain, of 255.
    gradient : (float, float)
        Light at the two ends of the reference, as factors of encoded values; the direction is drawn.
    erosion : int
        Pixels that are taken off the mask's edge, at the size of the cut-out.
    least_quality : float
        Masks below are left out.

    Examples
    --------
    >>> WallPairOptions(side=256).color
    'median'
    """

    side: int = 512
    color: Literal["median", "mean", "kmeans"] = "median"
    random_share: float = 0.3
    texture: bool = True
    grain: float = 8.0
    gradient: tuple[float, float] = (0.95, 1.05)
    erosion: int = 5
    least_quality: float = 0.6

    def __post_init__(self) -> None:
        if self.color not in ("median", "mean", "kmeans"):
            raise OptionError(f"color must be median, mean or kmeans, got {self.color!r}")
        for name, low, high in (
            ("side", 16, 4096),
            ("random_share", 0, 1),
            ("grain", 0, 64),
            ("erosion", 0, 64),
            ("least_quality", 0, 1),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise OptionError(f"{name} lies between {low} and {high}, got {value!r}")
        if not isinstance(self.texture, bool):
            raise OptionError(f"texture is true or false, got {self.texture!r}")
        ends = tuple(self.gradient) if isinstance(self.gradient, list | tuple) else ()
        if len(ends) != 2 or not all(isinstance(v, int | float) and 0.5 <= v <= 1.5 for v in ends):
            raise OptionError(f"gradient takes two factors between 0.5 and 1.5, got {self.gradient!r}")


@dataclass(frozen=True)
class MaskQuality:
    """See the head of this module; every number in [0, 1].

    Examples
    --------
    >>> round(MaskQuality(1.0, 0.5, 0.5).score, 2)
    0.63
    """

    solid: float
    one_paint: float
    edge: float

    @property
    def score(self) -> float:
        """Geometric mean of the three."""
        return float((self.solid * self.one_paint * self.edge) ** (1 / 3))


@dataclass(frozen=True)
class WallPair:
    """A picture and the mask of its wall.

    Attributes
    ----------
    name : str
        The picture's path below the folder.
    picture, mask : Path
        The two files, of one size.

    Examples
    --------
    >>> WallPair("room.jpg", Path("walls/room.jpg"), Path("walls/room_mask.png")).mask.name
    'room_mask.png'
    """

    name: str
    picture: Path
    mask: Path


@dataclass
class WallCounts:
    """What became of the pairs and samples so far; also logged.

    Attributes
    ----------
    found : int
        Pairs in the folder.
    poor : list of (str, float)
        Left out for their mask, with its quality.
    refused : list of str
        Left out since there is next to no wall.
    few : int
        Samples whose colour is the picture's mean, for want of wall.
    random : int
        Samples with a random colour.
    made : int
        Samples that were made.

    Examples
    --------
    >>> WallCounts(3, [("room.jpg", 0.4)], []).made
    0
    """

    found: int
    poor: list[tuple[str, float]]
    refused: list[str]
    few: int = 0
    random: int = 0
    made: int = 0


def mask_quality(rgb: Float, mask: Float) -> MaskQuality:
    """Judge the mask of a wall by itself and by the picture under it.

    Parameters
    ----------
    rgb : (H, W, 3) float32
        Encoded sRGB in [0, 1].
    mask : (H, W) float32 in [0, 1]
        1 = wall.

    Returns
    -------
    MaskQuality
        All zero for an empty mask.

    Raises
    ------
    OptionError
        If mask and picture differ in size.

    Examples
    --------
    >>> wall, mask = np.full((64, 64, 3), 0.3, np.float32), np.zeros((64, 64), np.float32)
    >>> wall[:, :32], mask[:, :32] = 0.7, 1
    >>> mask_quality(wall, mask).score > 0.9, mask_quality(wall, 0 * mask).score
    (True, 0.0)
    """
    import cv2

    if mask.shape != rgb.shape[:2]:
        raise OptionError(f"the mask is {mask.shape[::-1]}, the picture {rgb.shape[1::-1]}; they must be of one size")
    ratio = min(1.0, JUDGED_AT / max(mask.shape))
    if ratio < 1:
        size = (max(8, round(mask.shape[1] * ratio)), max(8, round(mask.shape[0] * ratio)))
        rgb, mask = (cv2.resize(np.ascontiguousarray(v), size, interpolation=cv2.INTER_AREA) for v in (rgb, mask))
    inside = (mask > 0.5).astype(np.uint8)
    area = int(np.count_nonzero(inside))
    if area == 0:
        return MaskQuality(0.0, 0.0, 0.0)
    radius = max(1, round(min(inside.shape) / 50))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = (x * x + y * y <= radius * radius + radius).astype(np.uint8)
    # beyond the picture the mask goes on as it is
    wide = cv2.copyMakeBorder(inside, *(2 * radius,) * 4, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(wide, cv2.MORPH_OPEN, disc)[2 * radius : -2 * radius, 2 * radius : -2 * radius]
    lab = np.ascontiguousarray(srgb_to_lab(cv2.GaussianBlur(rgb, (0, 0), 1.0)), np.float32)
    wall = lab[inside > 0]
    middle = np.median(wall, axis=0)
    scale = np.maximum(wall[:, 0], 15) / max(float(middle[0]), 15.0)
    off = np.hypot(wall[:, 1] - middle[1] * scale, wall[:, 2] - middle[2] * scale)
    allowed = ONE_PAINT + 0.12 * float(np.hypot(middle[1], middle[2]))
    return MaskQuality(
        min(1.0, float(np.count_nonzero(opened & inside)) / area),
        float((off <= allowed).mean()),
        _edge(lab, inside),
    )


def _edge(lab: Float, inside: NDArray[np.uint8]) -> float:
    """Return which share of a mask's border parts two colours."""
    import cv2

    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    grown = cv2.dilate(inside, cross, borderType=cv2.BORDER_REPLICATE)
    border = (grown > 0) & (cv2.erode(inside, cross, borderType=cv2.BORDER_REPLICATE) == 0)
    if not border.any() or inside.all():
        return 1.0
    means = []
    for side in (inside, 1 - inside):
        # the pixels next to the border are mixtures and tell neither colour
        deep = cv2.erode(side, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE).astype(np.float32)
        weight = deep + np.float32(1e-3) * side
        total = np.maximum(cv2.GaussianBlur(weight, (0, 0), 3.0), np.float32(1e-9))
        means.append(cv2.GaussianBlur(lab * weight[..., None], (0, 0), 3.0) / total[..., None])
    step = np.linalg.norm(means[0] - means[1], axis=2)
    return float((step[border] >= EDGE_STEP).mean())


def find_pairs(folder: Path) -> list[WallPair]:
    """Return the pictures of a folder that have a mask, in the order of their names.

    The mask of ``walls/room.jpg`` is ``walls/room_mask.png``, or ``masks/room.png`` beside the folder ``images`` in
    which the picture lies.

    Raises
    ------
    InputError
        If the folder cannot be read or holds no pair.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image as Pil
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("room.png", "room_mask.png", "other.png"):
    ...     Pil.new("L", (8, 8)).save(folder / name)
    >>> [pair.name for pair in find_pairs(folder)]
    ['room.png']
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    try:
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES and p.is_file())
    except OSError as e:
        raise InputError(f"{folder}: cannot be listed: {e}") from e
    pairs = []
    for path in paths:
        places = [path.with_name(path.stem + "_mask.png")]
        if path.parent.name == "images":
            places.append(path.parent.parent / "masks" / (path.stem + ".png"))
        mask = next((m for m in places if m.is_file()), None)
        if mask is not None:
            pairs.append(WallPair(path.relative_to(folder).as_posix(), path, mask))
    if not pairs:
        raise InputError(
            f"{folder} holds no picture with a mask; expected room.jpg with room_mask.png beside it, or images/room.jpg"
            " with masks/room.png"
        )
    return pairs


class WallPairs:
    """Samples of repainted walls. Equal generators give equal samples.

    Parameters
    ----------
    pairs : Path or sequence of WallPair
        A folder as :func:`find_pairs` reads it, or pairs.
    options : WallPairOptions or None
        Side, erosion and how poor a mask may be; None: the defaults.

    Attributes
    ----------
    pairs : list of WallPair
        Those that are good enough.
    counts : WallCounts
        What became of pairs and samples so far.

    Raises
    ------
    InputError
        If nothing is left, with what was left out and why.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image as Pil
    >>> folder = Path(tempfile.mkdtemp())
    >>> Pil.new("RGB", (64, 64), (180, 150, 120)).save(folder / "room.png")
    >>> Pil.new("L", (64, 64), 255).save(folder / "room_mask.png")
    >>> pairs = WallPairs(folder, WallPairOptions(side=32, least_quality=0.0))
    >>> sample = pairs.sample(0, np.random.default_rng(0))
    >>> sample["name"], sample["mask"].shape
    ('room.png', (1, 32, 32))
    """

    def __init__(self, pairs: Path | list[WallPair], options: WallPairOptions | None = None) -> None:
        self.options = options or WallPairOptions()
        found = find_pairs(pairs) if isinstance(pairs, Path) else list(pairs)
        self.counts = WallCounts(len(found), [], [])
        self.pairs: list[WallPair] = []
        for pair in found:
            rgb, mask = _read(pair)
            best = eroded(_cut(rgb, mask, self.options.side, None)[1], self.options.erosion)
            if np.count_nonzero(best > 0.5) < TOO_FEW:
                self.counts.refused.append(pair.name)
                log.warning("%s: refused, fewer than %d pixels of wall after erosion", pair.name, TOO_FEW)
                continue
            quality = mask_quality(rgb, mask)
            if quality.score < self.options.least_quality:
                self.counts.poor.append((pair.name, quality.score))
                log.info("%s: left out, its mask has a quality of %.2f", pair.name, quality.score)
                continue
            self.pairs.append(pair)
        if not self.pairs:
            raise InputError(
                f"no pair of {len(found)} is good enough: {len(self.counts.poor)} mask(s) below a quality of "
                f"{self.options.least_quality:g}, {len(self.counts.refused)} with fewer than {TOO_FEW} pixels of wall"
            )

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.pairs)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield each sample once, drawn from seed 0."""
        for index in range(len(self)):
            yield self.sample(index, np.random.default_rng([0, index]))

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """Return a sample.

        Parameters
        ----------
        index : int
            Of the pair.
        rng : numpy.random.Generator
            Draws the cut-out, and the colour where one is random.

        Returns
        -------
        dict
            ``pixel_values`` (3, side, side) float32 in [-1, 1], ``mask`` (1, side, side) float32 in [0, 1],
            ``reference_image`` (3, 512, 512) float32 in [-1, 1], ``dominant_color`` (3,) float32 encoded sRGB in
            [0, 1], and ``name``.

        Raises
        ------
        InputError
            Naming the pair, if its files cannot be read or hold fewer than ten pixels of wall in every cut-out.
        """
        pair, options = self.pairs[index], self.options
        read = _read(pair)
        for draw in (rng, None):
            rgb, mask = _cut(*read, options.side, draw)
            wall = eroded(mask, options.erosion)
            count = int(np.count_nonzero(wall > 0.5))
            if count >= TOO_FEW:
                break
        else:
            raise InputError(
                f"{pair.name}: only {count} pixel(s) of wall are left in a square of {options.side}, at least "
                f"{TOO_FEW} are needed; leave this pair out or lower the erosion"
            )
        self.counts.made += 1
        if rng.random() < options.random_share:
            self.counts.random += 1
            color = random_color(rng)
            rgb = repainted(rgb, mask, color)
        elif count < FEW:
            self.counts.few += 1
            log.warning("%s: only %d pixels of wall; the colour is the picture's mean", pair.name, count)
            color = dominant_color(rgb, "mean")
        else:
            color = dominant_color(rgb[wall > 0.5], options.color)
        reference = make_reference(color, options, rng)
        return {
            "pixel_values": np.ascontiguousarray((2 * rgb - 1).transpose(2, 0, 1), np.float32),
            "mask": np.ascontiguousarray(wall[None], np.float32),
            "reference_image": np.ascontiguousarray((2 * reference - 1).transpose(2, 0, 1), np.float32),
            "dominant_color": np.asarray(color, np.float32),
            "name": pair.name,
        }


def random_color(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw a colour evenly over sRGB's part of CIELAB between lightness 15 and 96, as encoded sRGB."""
    from tratto.imaging.color import lab_to_srgb

    while True:
        lab = np.array([rng.uniform(15, 96), *rng.uniform(-70, 80, 2)])
        rgb = np.asarray(lab_to_srgb(lab), np.float64)
        if rgb.min() >= 0 and rgb.max() <= 1:
            return (float(rgb[0]), float(rgb[1]), float(rgb[2]))


def make_reference(color: tuple[float, float, float], options: WallPairOptions, rng: np.random.Generator) -> Float:
    """Return a field of a colour, (512, 512, 3) float32 in [0, 1]; with grain and uneven light if asked for."""
    field = np.empty((REFERENCE, REFERENCE, 3), np.float32)
    field[:] = np.asarray(color, np.float32)
    if not options.texture:
        return field
    y, x = np.mgrid[-1 : 1 : REFERENCE * 1j, -1 : 1 : REFERENCE * 1j].astype(np.float32)
    turn = float(rng.uniform(0, 2 * np.pi))
    along = (np.cos(turn) * x + np.sin(turn) * y) / (abs(np.cos(turn)) + abs(np.sin(turn)))
    low, high = options.gradient
    light = np.float32((low + high) / 2) + np.float32((high - low) / 2) * along
    grain = rng.normal(0, options.grain / 255, field.shape).astype(np.float32)
    out: Float = np.clip(field * light[..., None] + grain, 0, 1).astype(np.float32)
    return out


def eroded(mask: Float, pixels: int) -> Float:
    """Return a mask as 0 and 1, with a disc of so many pixels taken off its edge; the picture's border is none."""
    import cv2

    inside = (mask > 0.5).astype(np.uint8)
    if pixels == 0:
        return inside.astype(np.float32)
    y, x = np.mgrid[-pixels : pixels + 1, -pixels : pixels + 1]
    disc = (x * x + y * y <= pixels * pixels).astype(np.uint8)
    shrunk = cv2.erode(inside, disc, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return np.asarray(shrunk, np.float32)


def repainted(rgb: Float, mask: Float, color: tuple[float, float, float]) -> Float:
    """Return a picture with its wall repainted so that its mean as seen is a colour, by the embedded method."""
    from tratto.imaging.repaint import Painter, RepaintTarget, fit_wall

    linear = np.asarray(srgb_to_linear(rgb), np.float32)
    paint = np.asarray(srgb_to_linear(np.asarray(color, np.float64)), np.float32)
    target = RepaintTarget(paint, np.asarray(srgb_to_lab(np.asarray(color, np.float64))), "seen", noise=1.0)

    def rows(a: int, b: int) -> Float:
        return linear[a:b]

    fit = fit_wall(rows, mask, target)
    new = Painter(rows, mask, fit).paint(0, len(linear)).values
    encoded = np.asarray(linear_to_srgb(np.clip(new, 0, 1)), np.float32)
    out: Float = np.where(mask[..., None] > 0, np.clip(encoded, 0, 1), rgb)
    return out


def _read(pair: WallPair) -> tuple[Float, Float]:
    """Return picture and mask as a viewer shows them."""
    from tratto.imaging import io
    from tratto.imaging.color import view_rgb

    out = []
    for path in (pair.picture, pair.mask):
        image = io.read_image(path)
        out.append(np.asarray(io.oriented(view_rgb(image), image.meta.orientation), np.float32))
    rgb, mask = out[0], np.ascontiguousarray(out[1].mean(axis=2))
    if rgb.shape[:2] != mask.shape:
        raise InputError(
            f"{pair.name}: the picture is {rgb.shape[1]}x{rgb.shape[0]}, its mask {mask.shape[1]}x{mask.shape[0]}; "
            "they must be of one size"
        )
    return rgb, mask


def _cut(rgb: Float, mask: Float, side: int, rng: np.random.Generator | None) -> tuple[Float, Float]:
    """Return a square whose side is the picture's shorter one, brought to ``side``.

    Its place is the first of four draws that is wall to a tenth; else, or without a generator, the middle of the wall.
    """
    import cv2

    height, width = mask.shape
    edge = min(height, width)
    place = None
    draws = [] if rng is None else rng.integers([height - edge + 1, width - edge + 1], size=(4, 2)).tolist()
    for a, b in draws:
        if place is None and float((mask[a : a + edge, b : b + edge] > 0.5).mean()) >= 0.1:
            place = (a, b)
    if place is None:
        rows, columns = np.nonzero(mask > 0.5)
        middle = (float(np.mean(rows)), float(np.mean(columns))) if len(rows) else (height / 2, width / 2)
        place = (
            int(np.clip(middle[0] - edge / 2, 0, height - edge)),
            int(np.clip(middle[1] - edge / 2, 0, width - edge)),
        )
    y, x = place
    how = cv2.INTER_AREA if edge > side else cv2.INTER_LINEAR
    parts = [np.ascontiguousarray(v[y : y + edge, x : x + edge]) for v in (rgb, mask)]
    first, second = (v if edge == side else cv2.resize(v, (side, side), interpolation=how) for v in parts)
    return np.clip(first, 0, 1).astype(np.float32), np.clip(second, 0, 1).astype(np.float32)


def options_of(values: Mapping[str, Any], side: int) -> WallPairOptions:
    """Return options from a mapping of their fields, as a run file has them.

    Raises
    ------
    OptionError
        If a field is unknown or out of range.
    """
    known = [n for n in WallPairOptions.__dataclass_fields__ if n != "side"]
    unknown = [str(k) for k in values if k not in known]
    if unknown:
        raise OptionError(f"data: walls have no option {', '.join(unknown)}; there are {', '.join(known)}")
    fields: dict[str, Any] = {str(k): v for k, v in values.items()}
    return WallPairOptions(side=side, **fields)
