"""What a mask means: from pictures and arrays as people make them to one number in [0, 1] for each pixel.

White may change, black must stay, grey is blended. A mask that could mean one thing or its opposite is refused.
Masks are drawn, grown, shrunk, feathered and combined here, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image

#: Channels of a grey mask may differ by this share of full scale: JPEG does not keep grey exactly.
GREY_ENOUGH = 0.1
_ROWS = 256


def mask_from_array(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return the values of a mask array.

    Parameters
    ----------
    array : (H, W) or (H, W, 1) array
        bool, float in [0, 1], or uint8 / uint16, where full scale may change. Whole numbers of which none is above 1
        mean no and yes.

    Returns
    -------
    (H, W) float32 array
        Floats are handed on as they are; :class:`~tratto.core.image.Mask` checks their range.

    Raises
    ------
    OptionError
        For another shape or type.
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim != 2:
        raise OptionError(f"a mask array must be (H, W), one number for each pixel; got the shape {array.shape}")
    if array.dtype == bool or np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float32)
    if array.dtype in (np.uint8, np.uint16):
        return array.astype(np.float32) / np.float32(_full(array, int(np.iinfo(array.dtype).max)))
    raise OptionError(f"a mask array must be bool, uint8, uint16 or float in [0, 1], got {array.dtype}")


def mask_from_picture(image: Image) -> NDArray[np.float32]:
    """Return the values of a mask picture, in its stored order.

    Parameters
    ----------
    image : Image
        Grey, or RGB or palette whose colours are all grey, without transparent parts.

    Returns
    -------
    (H, W) float32 array in [0, 1]
        1 = white = may change.

    Raises
    ------
    OptionError
        If it has colours, inks or transparent parts.
    """
    from tratto.imaging.io import expand_palette

    image = expand_palette(image)
    if image.mode is ColorMode.CMYK:
        raise OptionError("a mask must be a grey picture, got CMYK; save it as grey: white = may change")
    full = _full(image.pixels, image.max_value)
    out = np.empty((image.height, image.width), np.float32)
    for y in range(0, image.height, _ROWS):
        band = slice(y, y + _ROWS)
        if image.alpha is not None and bool((image.alpha[band] != image.max_value).any()):
            raise OptionError(
                "the mask has transparent parts, and they could mean either; save it without transparency: "
                "white = may change, black = must stay"
            )
        values = image.pixels[band].astype(np.float32)
        if values.ndim == 3:
            if float(np.ptp(values, axis=2).max()) > GREY_ENOUGH * full:
                raise OptionError("the mask has colours; save it as grey: white = may change, black = must stay")
            values = values.mean(axis=2, dtype=np.float32)
        out[band] = values / np.float32(full)
    # rounding in the mean must not leave the range
    return np.clip(out, 0.0, 1.0, out=out)


def _full(values: NDArray[Any], full: int) -> int:
    """Return the sample that means yes: full scale, or 1 where none is above 1."""
    return 1 if values.size and int(values.max()) <= 1 else full


#: Kinds of damage that masks and the simulation know by name.
CLASSES = ("crack", "weathering", "missing", "dirt", "vandalism", "scratch", "fold", "stain")


def _same_size(masks: Sequence[NDArray[np.float32]]) -> None:
    if not masks:
        raise OptionError("at least one mask is needed")
    first = masks[0].shape
    for m in masks[1:]:
        if m.shape != first:
            raise OptionError(
                f"masks must be of one size to be combined; one is {first[1]}x{first[0]}, one {m.shape[1]}x{m.shape[0]}"
            )


def union(masks: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return what any of the masks opens: the largest value of each pixel.

    Parameters
    ----------
    masks : sequence of (H, W) float32 in [0, 1]
        At least one, all of one size.

    Raises
    ------
    OptionError
        If there is none, or the sizes differ.
    """
    _same_size(masks)
    out: NDArray[np.float32] = np.maximum.reduce(list(masks))
    return out


def intersection(masks: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return what all of the masks open: the smallest value of each pixel; see :func:`union`."""
    _same_size(masks)
    out: NDArray[np.float32] = np.minimum.reduce(list(masks))
    return out


def subtract(mask: NDArray[np.float32], less: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return a mask without what others open: ``min(mask, 1 - other)`` for each of them.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
        What is taken from.
    less : sequence of (H, W) float32 in [0, 1]
        Of the same size; none leaves the mask as it is.

    Raises
    ------
    OptionError
        If the sizes differ.
    """
    _same_size([mask, *less])
    out = mask.copy()
    for other in less:
        np.minimum(out, np.float32(1) - other, out=out)
    return out


#: Minimum probability of our own network that counts as damage; calibrated so that F1 is near its best.
DAMAGE_PROBABILITY = 0.5


#: How many times the odds of the threshold the odds at the most probable pixel of a find are at least.
CONFIDENT_ODDS = 20.0


def decided(probabilities: Iterable[NDArray[np.float32]], threshold: float = DAMAGE_PROBABILITY) -> NDArray[np.bool_]:
    """Turn probabilities of damage into a mask per class, by two thresholds (hysteresis; Canny 1986).

    A connected region of pixels that are likely enough belongs to a class if its most probable pixel is: there the odds
    are :data:`CONFIDENT_ODDS` times those of the threshold. A lower threshold never loses what a higher one found.

    Parameters
    ----------
    probabilities : K times (H, W) float32 in [0, 1]
        Of each class: an array, or planes that are made one after the other.
    threshold : float
        Minimum probability that counts, in (0, 1).

    Returns
    -------
    (K, H, W) bool
        A plane per class, in the order given.
    """
    import cv2

    confident = CONFIDENT_ODDS * threshold / (CONFIDENT_ODDS * threshold + 1 - threshold)
    found = []
    for plane in probabilities:
        likely = (plane >= threshold) & (plane > 0)  # a kind that is ruled out is at no threshold
        regions, region = cv2.connectedComponents(likely.astype(np.uint8), connectivity=8)
        holds = np.zeros(regions, bool)
        holds[region[plane >= confident]] = True
        holds[0] = False  # what is not likely
        found.append(holds[region])
    return np.stack(found)


def invert(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mask of everything else."""
    return (np.float32(1) - mask).astype(np.float32)


def grow(mask: NDArray[np.float32], pixels: float) -> NDArray[np.float32]:
    """Grow a mask by a distance in pixels (Euclidean, from its half-way line); its edge becomes hard.

    Raises
    ------
    OptionError
        If the distance is negative or not finite.
    """
    return _moved(mask, pixels)


def shrink(mask: NDArray[np.float32], pixels: float) -> NDArray[np.float32]:
    """Shrink a mask by a distance in pixels; see :func:`grow`. Parts thinner than twice that vanish; not all may."""
    return _moved(mask, pixels, inwards=True)


def _moved(mask: NDArray[np.float32], pixels: float, inwards: bool = False) -> NDArray[np.float32]:
    from tratto.imaging.wall_mask import adjust_mask

    if not (np.isfinite(pixels) and pixels >= 0):
        raise OptionError(f"a mask is grown or shrunk by 0 pixels or more, got {pixels}")
    return adjust_mask(mask, -float(pixels) if inwards else float(pixels), 0.0)


def feather(mask: NDArray[np.float32], pixels: float) -> NDArray[np.float32]:
    """Soften a mask's edge: from 1 to 0 over this many pixels, centred on it.

    Half of that width lies outside the mask as it was, so pixels there may change, too.

    Raises
    ------
    OptionError
        If the width is negative or not finite.
    """
    from tratto.imaging.wall_mask import adjust_mask

    return adjust_mask(mask, 0.0, float(pixels))


#: Most points of a shape, and of all shapes of a drawing: filling an outline takes time by the square of its corners.
MOST_POINTS = 20_000


@dataclass(frozen=True)
class Shape:
    """One shape of a drawing, in pixels of the picture as a viewer shows it; pixel centres are whole numbers.

    Attributes
    ----------
    kind : str
        ``line`` (a stroke through the points), ``polygon`` (filled), ``box`` (two opposite corners) or ``disc``
        (its centre).
    points : tuple of (x, y)
        Corners, centre, or the course of a line; as many as the kind needs.
    width : float
        Thickness of a line; radius of a disc.
    erase : bool
        Take this away instead of adding it.
    """

    kind: str
    points: tuple[tuple[float, float], ...]
    width: float = 1.0
    erase: bool = False

    def __post_init__(self) -> None:
        least = {"line": 1, "polygon": 3, "box": 2, "disc": 1}
        if self.kind not in least:
            raise OptionError(f"a shape is one of {', '.join(least)}, got {self.kind!r}")
        exact = self.kind in ("box", "disc")
        if len(self.points) > MOST_POINTS:
            raise OptionError(f"a {self.kind} takes at most {MOST_POINTS} points, got {len(self.points)}")
        if len(self.points) < least[self.kind] or (exact and len(self.points) != least[self.kind]):
            raise OptionError(
                f"a {self.kind} takes {'' if exact else 'at least '}{least[self.kind]} points x,y, "
                f"got {len(self.points)}"
            )
        numbers = [c for p in self.points for c in p]
        if any(len(p) != 2 for p in self.points) or not all(np.isfinite(numbers)) or max(map(abs, numbers)) > 1e6:
            raise OptionError(f"the points of a {self.kind} must be pairs of numbers, got {self.points!r}")
        if not 0 < self.width <= 1e5:
            raise OptionError(f"the width of a {self.kind} must be above 0, got {self.width}")

    @classmethod
    def from_json(cls, data: Any) -> Shape:
        """Read a shape such as ``{"kind": "line", "points": [[10, 20], [30, 40]], "width": 5}``.

        Raises
        ------
        OptionError
            If it is malformed.
        """
        if not isinstance(data, Mapping) or set(data) - {"kind", "points", "width", "erase"}:
            raise OptionError(f"a shape has kind, points and perhaps width and erase; got {str(data)[:80]!r}")
        try:
            points = tuple((float(x), float(y)) for x, y in data["points"])
            return cls(str(data["kind"]), points, float(data.get("width", 1.0)), bool(data.get("erase", False)))
        except (KeyError, TypeError, ValueError, OverflowError) as e:
            raise OptionError(f"a shape needs kind and points [[x, y], ...]: {str(data)[:80]!r}") from e


def draw(height: int, width: int, shapes: Sequence[Shape]) -> NDArray[np.float32]:
    """Draw a mask: hard edges, later shapes over earlier ones.

    Parameters
    ----------
    height, width : int
        Of the picture.
    shapes : sequence of Shape
        What lies outside the picture is cut off.

    Returns
    -------
    (H, W) float32
        0 or 1.
    """
    import cv2

    many = sum(len(s.points) for s in shapes)
    if many > MOST_POINTS or len(shapes) > MOST_POINTS:
        raise OptionError(f"a drawing takes at most {MOST_POINTS} shapes and points, got {max(many, len(shapes))}")
    out = np.zeros((height, width), np.uint8)
    for s in shapes:
        ink = 0 if s.erase else 1
        points = np.asarray(s.points, np.float64)
        if s.kind == "disc":
            _capsule(out, points[0], points[0], s.width, ink)
        elif s.kind == "box":
            (x0, y0), (x1, y1) = np.sort(np.rint(points).astype(int), axis=0).tolist()
            out[max(0, y0) : max(0, y1 + 1), max(0, x0) : max(0, x1 + 1)] = ink
        elif s.kind == "polygon":
            bits = 4  # positions are passed to OpenCV in sixteenths of a pixel
            corners = np.rint(points * (1 << bits)).astype(np.int32)
            cv2.fillPoly(out, [corners.reshape(-1, 1, 2)], ink, cv2.LINE_8, bits)
        else:
            for k in range(max(1, len(points) - 1)):
                _capsule(out, points[k], points[min(k + 1, len(points) - 1)], s.width / 2, ink)
    return out.astype(np.float32)


def _capsule(
    out: NDArray[np.uint8], one: NDArray[np.float64], two: NDArray[np.float64], radius: float, ink: int
) -> None:
    """Fill in place what lies within ``radius`` of the segment between two points; at least its nearest pixels."""
    reach = max(radius, 0.5)
    low = np.floor(np.minimum(one, two) - reach).astype(int)
    high = np.ceil(np.maximum(one, two) + reach).astype(int)
    x0, y0 = max(0, int(low[0])), max(0, int(low[1]))
    x1, y1 = min(out.shape[1], int(high[0]) + 1), min(out.shape[0], int(high[1]) + 1)
    if x0 >= x1 or y0 >= y1:
        return
    y, x = np.mgrid[y0:y1, x0:x1]
    along = two - one
    length = float(along @ along)
    t = 0.0 if length == 0 else np.clip(((x - one[0]) * along[0] + (y - one[1]) * along[1]) / length, 0, 1)
    near = np.hypot(x - one[0] - t * along[0], y - one[1] - t * along[1]) <= reach
    out[y0:y1, x0:x1][near] = ink


def marked(before: NDArray[np.float32], after: NDArray[np.float32], threshold: float = 0.06) -> NDArray[np.float32]:
    """Return where a copy of a picture was painted over, in any program and colour.

    Parameters
    ----------
    before, after : (H, W, 3) float32 in [0, 1]
        The picture and its painted copy.
    threshold : float
        Least difference of a channel that counts; the default is above what saving as a good JPEG does.

    Returns
    -------
    (H, W) float32
        0 or 1; single pixels that stand alone are left out.

    Raises
    ------
    OptionError
        If the sizes differ, or nearly everything differs, so that it cannot be a painted copy.
    """
    import cv2

    if before.shape != after.shape:
        raise OptionError(
            f"the painted copy is {after.shape[1]}x{after.shape[0]}, the picture {before.shape[1]}x{before.shape[0]}; "
            "paint on a copy without cropping or resizing it"
        )
    differs = (np.abs(after - before).max(axis=2) > threshold).astype(np.uint8)
    neighbours = cv2.filter2D(differs, cv2.CV_16S, np.ones((3, 3), np.int16), borderType=cv2.BORDER_CONSTANT)
    out = (differs > 0) & (neighbours > 1)
    if out.mean() > 0.95:
        raise OptionError("the painted copy differs nearly everywhere; it must be a copy of this very picture")
    return np.asarray(out, np.float32)


def to_samples(mask: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a mask as 8-bit grey samples, 255 = may change; values above 0 stay above 0."""
    out: NDArray[np.uint8] = np.rint(mask * 255).astype(np.uint8)
    out[(mask > 0) & (out == 0)] = 1
    return out
