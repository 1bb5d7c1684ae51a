"""Find damage in a picture: our own network, or a segmentation model of the YOLO family that a user trained (ONNX).

The result is a probability per class and pixel. It is a proposal: a person looks at the mask and corrects it before
anything is repaired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.open import open_backend
from tratto.core.capability import DamageDetector, DescriberInfo
from tratto.core.errors import MissingWeights, OptionError, UnavailableError, WeightMismatch
from tratto.imaging.line_width import line_pixels
from tratto.imaging.masks import CLASSES, DAMAGE_PROBABILITY, decided
from tratto.imaging.specks import find_specks
from tratto.models.card import ModelCard
from tratto.providers.catalogue import Request
from tratto.providers.described import NetworkDescriber
from tratto.providers.restorer.network import missing_network

if TYPE_CHECKING:
    from tratto.backends.onnx import OnnxFile

Float = NDArray[np.float32]

CARD = "tratto-damage"
#: Damage of whatever kind, beside the classes.
ANY = "any"
#: Mean side of the largest look at a whole picture. The network knows damage as a print of that many pixels shows it;
#: in a larger scan the same crack is wider than any it has seen.
SIDE = 900
#: Shorter side of the smallest look, at which a crease of a sixtieth of the print is as wide as those it has seen.
FIRST_SIDE = 256
#: Kinds that show at every size: the mean of all looks counts. Of lines the most confident look counts, since they show
#: at the size at which they are as wide as those that the network knows.
AREAS = ("missing", "vandalism", "stain")
#: What runs along lines. A smaller look cannot tell how wide a line is: of what is as probable or more in it, those
#: pixels count that are line by the contrast of the picture at the size of the last look.
LINES, PROBABLE = ("crack", "scratch", "fold"), 0.3
#: Eaten surfaces are fine-grained: two looks next to each other have to see them.
GRAINY = "weathering"
#: Specks show only if they are not made smaller: the first of several looks does not count. But what is wider than so
#: many pixels of the last look is none, and would show in the first, too.
SPECKS, WIDE = "dirt", 11
#: Name of the network's second output: the probabilities of a person who knows that every kind is there.
TOLD_OUTPUT = "chance_if_there"
#: Least score of a find of a user's own model, unless another is given.
YOLO_SCORE = 0.25


def missing(request: Request) -> UnavailableError | None:
    """Return why a damage detector cannot be used here, or None."""
    if request.variant == "yolo":
        if not request.params.get("model"):
            return MissingWeights("yolo needs a segmentation model of your own: tratto mask find --model FILE.onnx")
        return None
    try:
        request.card(CARD)
    except OptionError:
        return MissingWeights(
            f"the network that finds damage is not here (no card {CARD}); reinstall Tratto, draw a mask (tratto mask "
            "draw), or find it with a YOLO segmentation model of your own (tratto mask find --model FILE.onnx)"
        )
    return missing_network(request, CARD)


def open(request: Request) -> DamageDetector:
    """Open a detector."""
    if request.variant == "yolo":
        names = [n.strip() for n in str(request.params.get("classes", "")).split(",") if n.strip()]
        return open_yolo(Path(str(request.params["model"])), names, float(request.params.get("score", YOLO_SCORE)))
    return open_card(request.card(CARD), request.device)


def open_card(card: ModelCard, device: str = "auto") -> NetworkDetector:
    """Open a card of capability ``damage``."""
    return NetworkDetector(card, open_backend(card, device, runtime="onnx"))


class NetworkDetector(NetworkDescriber):
    """Runs a network that finds damage; see :class:`tratto.core.capability.DamageDetector`.

    Parameters
    ----------
    card : ModelCard
        Says which classes its planes are.
    backend : Backend
        Opened with that card.
    """

    def find(self, picture: Float, kinds: Sequence[str] = ()) -> Mapping[str, Float]:
        """Return the probability of each class of damage, and of any, for every pixel.

        The network looks at the picture in several sizes (:meth:`sizes`), and what it answers is joined before anything
        is decided (:func:`joined`). In a scan that is known to have dirt, dust and hairs that no look shows are looked
        for in full size (:func:`tratto.imaging.specks.find_specks`).

        Parameters
        ----------
        picture : (H, W, 3) float32
            Encoded sRGB in [0, 1].
        kinds : sequence of str
            Classes that the picture is known to have; it has no others then. Empty: the network judges by the whole
            picture which it has.

        Returns
        -------
        mapping of str to (H, W) float32 in [0, 1]
            By the names in :data:`tratto.imaging.masks.CLASSES`, and :data:`ANY`. :func:`masks_of` turns them into
            masks.

        Raises
        ------
        OptionError
            If a kind is none of the classes, or the network cannot be told.
        """
        for kind in kinds:
            if kind not in CLASSES:
                raise OptionError(f"a kind of damage is one of {', '.join(CLASSES)}; got {kind!r}")
        sizes = self.sizes(*picture.shape[:2])
        # of what is shown at more than half its size, the network sees most specks, and more surely
        averaged = SPECKS in kinds and 2 * sizes[-1][0] < picture.shape[1]
        dust = find_specks(picture) if averaged else None
        looks = [self._look(picture, size, kinds) for size in sizes]
        return _Looks(looks, picture.shape[1::-1], _line_pixels(picture, looks), dust)

    def sizes(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """Return the sizes (width, height) at which a picture is looked at; see :func:`look_sizes`."""
        return look_sizes(height, width)

    def _look(self, picture: Float, size: tuple[int, int], kinds: Sequence[str]) -> dict[str, Float]:
        """Return the planes of a whole picture, shown at a size (width, height)."""
        planes = (*CLASSES, ANY)
        shown = _shown(picture, size)
        height, width = shown.shape[:2]
        below, right = -height % self._card.multiple, -width % self._card.multiple
        framed = np.pad(shown, ((0, below), (0, right), (0, 0)), mode="edge")
        ran = self._backend.run({self._card.input: np.ascontiguousarray(framed.transpose(2, 0, 1))[None]})
        if kinds and TOLD_OUTPUT not in ran:
            raise OptionError(
                f"{self._card.id} cannot be told which kinds of damage there are: no output {TOLD_OUTPUT!r}"
            )
        out = ran[TOLD_OUTPUT if kinds else self._card.output]
        if out.shape != (1, len(planes), *framed.shape[:2]):
            raise WeightMismatch(
                f"{self._card.id}: expected {len(planes)} planes of {framed.shape[:2]}, got {out.shape}"
            )
        seen = {}
        for k, name in enumerate(planes):
            seen[name] = np.ascontiguousarray(np.clip(out[0, k, :height, :width], 0, 1))
            if kinds and name not in (*kinds, ANY):
                seen[name][:] = 0
        return seen


def _shown(picture: Float, size: tuple[int, int]) -> Float:
    """Return a picture reduced to a size (width, height)."""
    import cv2

    if size == picture.shape[1::-1]:
        return picture
    return np.asarray(cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA), np.float32)


def look_sizes(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Return the sizes (width, height) at which a picture is looked at, the smallest first.

    The shorter side doubles from :data:`FIRST_SIDE` on as long as it stays clear of the last size: the picture's own,
    or where it is larger than :data:`SIDE` squared, that.

    Examples
    --------
    >>> look_sizes(256, 400), look_sizes(4000, 6000)
    (((400, 256),), ((384, 256), (768, 512), (1102, 735)))
    """
    last = min(1.0, SIDE / float(np.sqrt(height * width)))
    shares, share = [], FIRST_SIDE / min(height, width)
    while share * CLEAR <= last:
        shares.append(share)
        share *= 2
    return tuple((max(1, round(width * s)), max(1, round(height * s))) for s in (*shares, last))


#: A look is left out if the last one is less than this many times as large.
CLEAR = 1.3


def joined(name: str, planes: Sequence[Float]) -> Float:
    """Return one probability of a class from those of several looks.

    Parameters
    ----------
    name : str
        Of the class; it decides how looks are joined.
    planes : sequence of (h, w) float32 in [0, 1]
        From the smallest look on, brought to one size.

    Examples
    --------
    >>> looks = [np.float32([[0.9]]), np.float32([[0.4]])]
    >>> [round(float(joined(name, looks)[0, 0]), 2) for name in ("fold", "stain", "weathering")]
    [0.9, 0.65, 0.6]
    """
    if len(planes) == 1:
        return planes[0]
    if name in AREAS:
        return np.asarray(np.mean(planes, axis=0), np.float32)
    if name == SPECKS:
        return _specks(planes)
    if name == GRAINY:
        planes = [np.sqrt(one * other) for one, other in pairwise(planes)]
    return np.asarray(np.maximum.reduce(list(planes)), np.float32)


def _specks(planes: Sequence[Float]) -> Float:
    """Return the probability of dirt: of the looks but the first, and the mean with that where it is wide."""
    import cv2

    first, *others = planes
    plane = np.maximum.reduce(others)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (WIDE, WIDE))
    wide = cv2.morphologyEx((plane >= 0.5).astype(np.uint8), cv2.MORPH_OPEN, kernel)
    wide = cv2.dilate(wide, kernel) > 0
    return np.asarray(np.where(wide, np.minimum(plane, (plane + first) / 2), plane), np.float32)


class _Looks(Mapping[str, Float]):
    """What several looks at a picture said, as one probability of each class in full size.

    The planes of the looks are joined at the size of the last one and enlarged linearly when they are asked for: all at
    once are large.
    """

    def __init__(
        self,
        looks: Sequence[Mapping[str, Float]],
        size: tuple[int, int],
        lines: Sequence[NDArray[np.bool_] | None],
        dust: NDArray[np.bool_] | None = None,
    ) -> None:
        self._looks, self._size, self._lines, self._dust = looks, size, lines, dust

    def __getitem__(self, name: str) -> Float:
        size = self._looks[-1][name].shape[::-1]
        planes = [_enlarged(look[name], size) for look in self._looks]
        if name in LINES:
            planes = [p if kept is None else p * kept for p, kept in zip(planes, self._lines, strict=True)]
        plane = joined(name, planes)
        if size != self._size:
            plane = _enlarged(plane, self._size)
        if self._dust is not None and name in (SPECKS, ANY):
            plane = np.maximum(plane, self._dust)
        return np.asarray(plane, np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._looks[-1])

    def __len__(self) -> int:
        return len(self._looks[-1])


def _line_pixels(picture: Float, looks: Sequence[Mapping[str, Float]]) -> list[NDArray[np.bool_] | None]:
    """Return of each look what is line of the lines that it sees, at the size of the last one; None: all of it."""
    height, width = looks[-1][ANY].shape
    marked = [np.maximum.reduce([look[name] for name in LINES]) for look in looks[:-1]]
    masks = [_enlarged(plane, (width, height)) >= PROBABLE for plane in marked]
    return [*line_pixels(_shown(picture, (width, height)), masks, [width / m.shape[1] for m in marked]), None]


def _enlarged(plane: Float, size: tuple[int, int]) -> Float:
    import cv2

    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.float32)


def masks_of(probabilities: Mapping[str, Float], threshold: float = DAMAGE_PROBABILITY) -> dict[str, NDArray[np.bool_]]:
    """Turn what a :class:`NetworkDetector` finds into a mask for each class; see :func:`tratto.imaging.masks.decided`.

    Raises
    ------
    OptionError
        If the threshold is not between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise OptionError(f"a threshold is a number between 0 and 1, got {threshold}")
    found = decided((probabilities[k] for k in CLASSES), threshold)
    return dict(zip(CLASSES, found, strict=True))


def detector_facts(info: DescriberInfo) -> dict[str, Any]:
    """Return what a receipt says of a detector: provider, library, models."""
    return {"provider": info.provider, "library": info.library, "models": [m.to_json() for m in info.models]}


@dataclass(frozen=True)
class YoloOutput:
    """The two outputs of a YOLO segmentation network, and how the picture was shown to it.

    Attributes
    ----------
    rows : (1, 4 + classes + coefficients, N) or its last two axes exchanged, float32
        For each of N places: centre x, centre y, width, height in network pixels; a score per class; coefficients.
    prototypes : (1, coefficients, h, w) float32
        Mask prototypes, a whole number of times smaller than the network's input.
    names : sequence of str
        Of the classes, in order.
    scale, left, top : float
        Network pixels per picture pixel, and the border that was added on the left and at the top.
    """

    rows: Float
    prototypes: Float
    names: tuple[str, ...]
    scale: float = 1.0
    left: float = 0.0
    top: float = 0.0


def decode_yolo(
    output: YoloOutput, size: tuple[int, int], network: tuple[int, int], score: float = 0.25, overlap: float = 0.7
) -> dict[str, Float]:
    """Turn the outputs of a YOLO segmentation network into a mask per class.

    Scores are thresholded, boxes that overlap a better one of their class are dropped (greedy non-maximum suppression),
    and each mask is the sigmoid of its coefficients times the prototypes, cut to its box.

    Parameters
    ----------
    output : YoloOutput
        Rows, prototypes and names of the classes.
    size : (int, int)
        Rows and columns of the picture.
    network : (int, int)
        Rows and columns of the network's input.
    score, overlap : float
        Least score of a find; largest intersection over union of two finds of one class.

    Returns
    -------
    dict of str to (rows, columns) float32 in [0, 1]
        Only classes that were found.

    Raises
    ------
    OptionError
        If the shapes do not belong together.
    """
    prototypes = output.prototypes
    classes = len(output.names)
    if output.rows.ndim != 3 or prototypes.ndim != 4 or output.rows.shape[0] != 1 or prototypes.shape[0] != 1:
        raise OptionError(
            "a YOLO segmentation model gives (1, 4 + classes + coefficients, N) and (1, coefficients, h, w); "
            f"got {output.rows.shape} and {prototypes.shape}"
        )
    wide = 4 + classes + prototypes.shape[1]
    rows = output.rows[0]
    if rows.shape[0] == wide:
        rows = rows.T
    elif rows.shape[1] != wide:
        raise OptionError(
            f"{classes} classes and {prototypes.shape[1]} prototypes need rows of {wide} numbers; got {rows.shape}"
        )
    scores = rows[:, 4 : 4 + classes]
    kind = scores.argmax(axis=1)
    best = scores.max(axis=1)
    keep = best > score
    rows, kind, best = rows[keep], kind[keep], best[keep]
    corners = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2], axis=1)
    found: dict[str, Float] = {}
    for index in _suppressed(corners, kind, best, overlap):
        mask = _one_mask(rows[index, 4 + classes :], corners[index], prototypes[0], network)
        shown = _back(mask, output, size)
        name = output.names[int(kind[index])]
        found[name] = np.maximum(found[name], shown) if name in found else shown
    return found


def _suppressed(corners: Float, kind: NDArray[np.intp], best: Float, overlap: float) -> list[int]:
    """Return the finds that stay, best first."""
    order = list(np.argsort(-best, kind="stable"))
    area = np.prod(np.maximum(corners[:, 2:] - corners[:, :2], 0), axis=1)
    kept: list[int] = []
    for k in order:
        clash = False
        for other in kept:
            if kind[other] != kind[k]:
                continue
            low = np.maximum(corners[k, :2], corners[other, :2])
            high = np.minimum(corners[k, 2:], corners[other, 2:])
            common = float(np.prod(np.maximum(high - low, 0)))
            if common > overlap * max(float(area[k] + area[other]) - common, 1e-9):
                clash = True
                break
        if not clash:
            kept.append(int(k))
    return kept


def _one_mask(coefficients: Float, corners: Float, prototypes: Float, network: tuple[int, int]) -> Float:
    """Return one find's mask at the network's size, 0 outside its box."""
    import cv2

    logits = np.tensordot(coefficients, prototypes, axes=1)
    probability = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    full = cv2.resize(probability.astype(np.float32), (network[1], network[0]), interpolation=cv2.INTER_LINEAR)
    x0, y0, x1, y1 = (int(v) for v in (*np.floor(corners[:2]), *np.ceil(corners[2:])))
    out = np.zeros(network, np.float32)
    inside = (slice(max(0, y0), max(0, y1)), slice(max(0, x0), max(0, x1)))
    out[inside] = full[inside]
    return out


def _back(mask: Float, output: YoloOutput, size: tuple[int, int]) -> Float:
    """Return a mask of the network's size in the picture's geometry."""
    import cv2

    half = 0.5 * (output.scale - 1)  # pixel centres: the middle of a picture pixel in network pixels
    matrix = np.array([[output.scale, 0, output.left + half], [0, output.scale, output.top + half]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(mask, matrix, (size[1], size[0]), flags=flags), np.float32)


def letterbox(rgb: Float, side: tuple[int, int]) -> tuple[Float, float, int, int]:
    """Fit a picture into a network's input without distorting it, on mid-grey.

    Returns
    -------
    (picture, scale, left, top)
        The picture of that size; pixels of it per pixel of ``rgb``; and how far the picture stands from left and top.
    """
    import cv2

    h, w = rgb.shape[:2]
    scale = min(side[0] / h, side[1] / w)
    small = (max(1, round(w * scale)), max(1, round(h * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shown = cv2.resize(rgb, small, interpolation=method)
    left, top = (side[1] - small[0]) // 2, (side[0] - small[1]) // 2
    out = np.full((*side, 3), np.float32(114 / 255))
    out[top : top + small[1], left : left + small[0]] = shown
    return out.astype(np.float32), scale, left, top


@dataclass(frozen=True, eq=False)
class YoloDetector:
    """A user's segmentation model, opened; see :class:`tratto.core.capability.DamageDetector`.

    Attributes
    ----------
    file : OnnxFile
        The opened network, with what its metadata say.
    tensors : (str, str, str)
        Names of its input, of the rows and of the prototypes.
    names : tuple of str
        Of its classes, in order.
    side : (int, int)
        Rows and columns of its input.
    score : float
        Least score of a find.
    """

    file: OnnxFile
    tensors: tuple[str, str, str]
    names: tuple[str, ...]
    side: tuple[int, int]
    score: float = YOLO_SCORE

    @property
    def info(self) -> DescriberInfo:
        """Facts about this detector."""
        from tratto.backends.onnx import library

        return DescriberInfo("yolo", library=library())

    def sizes(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """Return the one size (width, height) at which the model looks."""
        scale = min(self.side[0] / height, self.side[1] / width)
        return ((max(1, round(width * scale)), max(1, round(height * scale))),)

    def find(self, picture: Float, kinds: Sequence[str] = ()) -> dict[str, Float]:
        """Find damage; only classes that were found. It cannot be told ``kinds``."""
        if kinds:
            raise OptionError("a model of your own cannot be told which kinds of damage there are")
        entry, rows, prototypes = self.tensors
        shown, scale, left, top = letterbox(picture, self.side)
        got = self.file.run({entry: np.ascontiguousarray(shown.transpose(2, 0, 1))[None]}, [rows, prototypes])
        found = YoloOutput(got[rows], got[prototypes], self.names, scale, left, top)
        return decode_yolo(found, (picture.shape[0], picture.shape[1]), self.side, self.score)


def open_yolo(path: Path, names: Sequence[str] = (), score: float = YOLO_SCORE) -> YoloDetector:
    """Open a YOLO segmentation model that was exported to ONNX.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file. One input (1, 3, H, W) of RGB in [0, 1], two outputs: rows of three axes and prototypes of
        four. Class names are read from its metadata (``names``, as exporters write them).
    names : sequence of str
        Of the classes, in order, where the file does not say.
    score : float
        Least score of a find.

    Raises
    ------
    InputError
        If there is no such file, or it is no ONNX model.
    OptionError
        If it is no segmentation model of this family, or its classes have no names.
    """
    from tratto.backends.onnx import OnnxFile

    opened = OnnxFile(path)
    rows = [o for o in opened.outputs if len(o[1]) == 3]
    prototypes = [o for o in opened.outputs if len(o[1]) == 4]
    entry = opened.inputs[0] if len(opened.inputs) == 1 else ("", [])
    takes_rgb = len(entry[1]) == 4 and (entry[1][1] == 3 or not isinstance(entry[1][1], int))
    if not takes_rgb or len(rows) != 1 or len(prototypes) != 1:
        tensors = "; ".join(f"{name} {shape}" for name, shape in (*opened.inputs, *opened.outputs))
        raise OptionError(
            f"{path.name} is no YOLO segmentation model: expected an input (1, 3, H, W) and the outputs "
            f"(1, 4 + classes + coefficients, N) and (1, coefficients, h, w); it has {tensors}"
        )
    found = tuple(names) or _names_of(opened.facts.get("names", ""))
    if not found:
        raise OptionError(f"{path.name} does not name its classes; give them in order: --classes crack,stain,...")
    side = _side_of(entry[1][2:], opened.facts.get("imgsz", ""))
    return YoloDetector(opened, (entry[0], rows[0][0], prototypes[0][0]), found, side, score)


def _names_of(text: str) -> tuple[str, ...]:
    """Return class names from a model's metadata: a dictionary or list, written as Python or JSON writes it."""
    import ast

    try:
        value = ast.literal_eval(text[:100_000]) if text else ()
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return ()
    if isinstance(value, dict):
        plain = all(isinstance(k, int | str) and str(k).isascii() and str(k).isdecimal() for k in value)
        value = [value[k] for k in sorted(value, key=int)] if plain and len(value) <= MOST_CLASSES else ()
    if not isinstance(value, list | tuple) or len(value) > MOST_CLASSES:
        return ()
    if not all(isinstance(n, str | int) for n in value):
        return ()
    try:
        return tuple(str(n)[:60] for n in value)
    except ValueError:  # a number of thousands of digits
        return ()


def _side_of(shape: Sequence[Any], text: str) -> tuple[int, int]:
    """Return rows and columns of the network's input; 640 x 640, the family's usual size, where it is free."""
    import ast

    sides = [s for s in shape if isinstance(s, int) and s > 0]
    if len(sides) != 2:
        try:
            value = ast.literal_eval(text[:1000]) if text else None
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            value = None
        sides = list(value) if isinstance(value, list | tuple) and len(value) == 2 else []
    if len(sides) != 2 or not all(map(_is_side, sides)):
        return 640, 640
    return sides[0], sides[1]


#: Most classes, and longest side in pixels, that a model of somebody's may state.
MOST_CLASSES, LONGEST_SIDE = 1000, 8192


def _is_side(value: Any) -> bool:
    """Return whether a number can be a side of a network's input: the family works on multiples of 32."""
    return type(value) is int and 32 <= value <= LONGEST_SIDE
