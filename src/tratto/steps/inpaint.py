"""Fill what a mask marks, each part by the method that suits its size and surroundings.

What is thin, everywhere in the mask, is filled by one inpainter of fine damage; what is deep is cut off from the lines
that run into it and filled part by part with copied texture.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tratto.core.canvas import Canvas
from tratto.core.capability import Inpainter, Use
from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image, Mask, Samples
from tratto.core.recipe import step_params
from tratto.core.services import Services
from tratto.core.step import BaseStep, StepRecord
from tratto.imaging.clear import colours_under_clear, opaque_around, premultiplied, within_alpha
from tratto.imaging.grain import grain_curve, missing_grain, windows_of
from tratto.imaging.scratch import release

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]
#: Rows y0 to y1 and columns x0 to x1, without the last ones.
Window = tuple[int, int, int, int]

#: Deep parts reach this much beyond the pixels deeper than ``HALF_DEEP``: what is cut off there is no deeper than that.
RIM = 2.0
#: Parts deeper than this (largest distance to their border, in pixels) are filled with copied texture.
DEEP = 12.0
#: Textured parts are so from this depth on already ...
HALF_DEEP = 7.0
#: ... textured being a deviation of this much from the smoothed surroundings, full scale = 1.
TEXTURED = 0.045
#: Side of the squares in which fine damage is filled, and of the smallest that they are cut into.
CELL, SMALLEST = 512, 64
#: Most pixels of a window in which texture is looked for.
WINDOW = 3_000_000
#: Seconds for each megapixel of the windows that each method fills, on the reference machine (benchmarks/estimates.py).
SECONDS = {
    "tratto": 1.7, "plate": 0.8, "telea": 0.55, "navier-stokes": 0.6, "biharmonic": 0.8, "patch": 9.0, "mixed": 9.8,
    "texture": 2.8, "grain": 0.9, "whole": 0.15,
}  # fmt: skip
#: Samples up to which a copy of the filled picture is kept while grain is put in.
SMALL = 100_000_000
GRAIN_NOTE = "noise like the grain around it was put into the filling: it is as strong and as coarse, and shows nothing"
#: Names of the inpainters of large parts, in the provider table: of a picture, and of a scan of more pixels than that.
LARGE, SCAN, SCAN_PIXELS = "mixed", "texture", 1_500_000
#: Those that copy texture: they fill a deep part in one go, squares would leave a seam where they meet.
COPYING = ("patch", LARGE, SCAN)


@dataclass(frozen=True)
class Inpaint(BaseStep):
    """Parameters of the step. What is to be filled is the canvas's ``edit`` mask where it is above 0.

    Attributes
    ----------
    method : str
        ``auto`` chooses for each part; else a name in the inpainter table for all of them.
    blend : float
        Width in pixels of the feather that was asked for; it is in the mask, and stands here for the record.
    grow : float
        Pixels by which the mask was grown; likewise.
    fine : str
        Who fills all parts that ``regions`` does not name. Empty: to be chosen.
    regions : list of dict or None
        Parts that somebody else fills: ``at`` [x, y], their first pixel in reading order, ``box`` [x, y, width,
        height], ``pixels``, ``depth``, ``texture`` and ``by``. None: to be chosen.
    mask : str
        Name of the mask of this pass, which the engine shows as the ``edit`` mask. Empty: the whole.
    grain : str
        ``match``: what the filling lacks of the grain around it is put in; ``none``.
    tight : bool
        Of a scan of many pixels, whether the squares in which fine damage is filled are cut to what of it they hold.
    """

    method: str = "auto"
    blend: float = 0.0
    grow: float = 0.0
    fine: str = ""
    regions: list[dict[str, Any]] | None = field(default=None)
    mask: str = ""
    grain: str = "none"
    tight: bool = False
    name: ClassVar[str] = "inpaint"
    #: Forensic mode refuses it.
    invents: ClassVar[bool] = True
    #: Speed on two cores, for estimates of time: of pictures with a few per cent of damage.
    speed: ClassVar[float | None] = 0.4

    def __post_init__(self) -> None:
        if not all(isinstance(v, str) for v in (self.method, self.fine, self.mask)):
            raise OptionError("method and fine are names of inpainters, mask is that of a mask")
        if self.grain not in ("match", "none"):
            raise OptionError(f"grain is match or none, got {str(self.grain)[:80]!r}")
        for region in self.regions or []:
            if not isinstance(region, dict) or not {"at", "by"} <= set(region) or len(region["at"]) != 2:
                raise OptionError(f"a region has at [x, y] and by, got {str(region)[:80]!r}")

    def resolve(self, canvas: Canvas, services: Services) -> Inpaint:
        """Look at each part of the mask and fix who fills it."""
        if self.fine and self.regions is not None:
            return self
        hole = hole_of(canvas, "inpaint")
        _check_something_is_known(hole)
        if self.method in COPYING:
            return replace(self, regions=[{**part.to_json(), "by": self.method} for part in find_parts(hole)])
        if self.method != "auto":
            return replace(self, regions=[])
        regions: list[dict[str, Any]] = []
        who = LARGE if hole.size <= SCAN_PIXELS else SCAN
        for part in find_parts(hole):
            texture = surrounding_texture(canvas.image, hole, part.box)
            if part.depth > DEEP or texture > TEXTURED:
                regions.append({**part.to_json(), "texture": round(texture, 4), "by": who})
        return replace(self, regions=regions)

    @property
    def uses(self) -> tuple[Use[Inpainter], ...]:
        """Who fills fine damage, then those that fill parts."""
        others = dict.fromkeys(str(r["by"]) for r in self.regions or ())
        names = (self.fine or self.method, *(n for n in others if n != self.fine))
        return tuple(Use("inpainter", name) for name in names)

    def named(self, uses: tuple[Use[Any], ...]) -> Inpaint:
        """Return the step with the one who fills fine damage fixed."""
        return replace(self, fine=uses[0].provider)

    def seconds(self, masks: Mapping[str, Mask], services: Services) -> float | None:
        """Return what the windows that have to be filled take, each at its method's speed; None without a mask."""
        mask = masks.get(self.mask or "edit")
        if mask is None:
            return None
        hole = np.asarray(mask.values > 0)
        if not hole.any() or hole.all():
            return 0.0
        name = self.fine or self.method
        fine: Inpainter = services.open(Use("inpainter", name))
        context = fine.info.context or 2 * CELL
        copying = self.method in COPYING
        parts = find_parts(hole) if self.method == "auto" or copying else []
        deep = [part for part in parts if copying or part.depth > DEEP]
        who = self.method if copying else LARGE if hole.size <= SCAN_PIXELS else SCAN
        total = 0.0
        for part in deep:
            y0, y1, x0, x1 = _around(np.asarray(part.box), hole.shape, who == SCAN)
            total += SECONDS[who] * (y1 - y0) * (x1 - x0)
        thin = hole & ~deep_pixels(hole)[0] if deep else hole
        total += SECONDS.get(name, 1 / fine.info.megapixels_per_second) * sum(
            (b - a) * (d - c) for _, (a, b, c, d) in self._squares(thin, context)
        )
        if self.grain == "match":
            total += SECONDS["grain"] * sum((b - a) * (d - c) for _, (a, b, c, d) in windows_of(hole))
        # finding the parts, copying, and bringing the pixels back
        return (total + SECONDS["whole"] * hole.size) / 1e6

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Fill fine damage first, then the large parts, smallest first, so that each sees what is known by then."""
        if not self.fine or self.regions is None:
            raise OptionError("inpaint must be resolved before it is applied")
        image, hole = canvas.image, hole_of(canvas, "inpaint")
        out: Samples = services.scratch(image.pixels.shape, image.pixels.dtype)  # type: ignore[assignment]
        # a painter takes its colours from what can be seen; outside the hole the engine puts back what was there
        out[:] = colours_under_clear(image, hole)
        sigma: NDArray[np.uint16] = services.scratch(image.pixels.shape[:2], np.uint16)  # type: ignore[assignment]
        labels, large, boxes = _large_parts(hole, self.regions)
        fine = services.open(self.uses[0])
        work = _Work(image, out, sigma, services)
        rest = np.zeros_like(hole)
        if large:
            named = np.zeros(len(boxes), bool)
            named[list(large)] = True
            rest = named[labels]
        fine_hole = hole & ~rest
        self._fill_fine(work, fine, hole, fine_hole)
        users = {self.fine: fine} if fine_hole.any() else {}
        order = sorted(large, key=lambda k: int(large[k]["pixels"]) if "pixels" in large[k] else 0)
        scan = [k for k in order if large[k]["by"] == SCAN]
        if scan:
            users[SCAN] = services.open(Use("inpainter", SCAN))
            work.fill_at_once(users[SCAN], [_part_job(labels, k, boxes[k], rest, scan=True) for k in scan])
            rest &= ~np.isin(labels, scan)
        others = [k for k in order if large[k]["by"] != SCAN]
        for done, label in enumerate(others):
            who = str(large[label]["by"])
            painter = users.setdefault(who, services.open(Use("inpainter", who)))
            window, unknown, own = _part_job(labels, label, boxes[label], rest)
            work.fill(painter, window, unknown, own)
            unknown &= ~own
            services.progress(self.name, done + 1, len(others))
        record = self._record(users, hole, large, services)
        if self.grain == "match":
            strength = work.put_grain(hole)
            notes = (*record.notes, GRAIN_NOTE) if strength else record.notes
            record = replace(record, scores={**record.scores, "grain_sigma": round(255 * strength, 4)}, notes=notes)
        alpha = self._alpha(image, hole, out)
        clear = 0 if alpha is None else int(np.count_nonzero(np.asarray(alpha)[hole] == 0))
        if clear:
            words = f"{clear} pixels of the mask stay transparent, as their surroundings are: their filling is not seen"
            record = replace(record, notes=(*record.notes, words))
        return canvas.replace(image=image.replace(pixels=out, alpha=alpha), sigma=sigma), record

    def _alpha(self, image: Image, hole: Bool, out: Samples) -> Samples | None:
        """Make opaque what was filled inside an opaque object; bring premultiplied colours under their alpha."""
        if image.alpha is None:
            return None
        solid = opaque_around(image.alpha, hole, image.max_value)
        alpha = np.where(solid, image.alpha.dtype.type(image.max_value), image.alpha)
        if premultiplied(image):
            within_alpha(out, alpha)
        return alpha if solid.any() else image.alpha

    def _fill_fine(self, work: _Work, painter: Inpainter, hole: Bool, fine: Bool) -> None:
        """Fill in squares, each with its surroundings, those that hold any fine damage."""
        if not fine.any():
            return
        # a method that looks at everything gets at least a few cells around
        context = painter.info.context or 2 * CELL
        todo = self._squares(fine, context)
        for done, ((y0, y1, x0, x1), window) in enumerate(todo):
            where = (slice(window[0], window[1]), slice(window[2], window[3]))
            inner = (slice(y0 - window[0], y1 - window[0]), slice(x0 - window[2], x1 - window[2]))
            own = np.zeros_like(fine[where])
            own[inner] = fine[y0:y1, x0:x1]
            work.fill(painter, window, hole[where], own)
            work.services.progress(self.name, done + 1, len(todo))

    def _squares(self, hole: Bool, context: int) -> list[tuple[Window, Window]]:
        """Return where fine damage is filled: squares that hold any of it, each with the window that is seen."""
        if not self.tight or hole.size <= SCAN_PIXELS:
            return list(zip(_cells(hole, 0), _cells(hole, context), strict=True))
        return [one for cell in _cells(hole, 0) for one in _cut(hole, cell, context)]

    def _record(
        self, users: dict[str, Inpainter], hole: Bool, large: dict[int, dict[str, Any]], services: Services
    ) -> StepRecord:
        infos = [p.info for p in users.values()]
        filled = int(np.count_nonzero(hole))
        deep = sum(int(r.get("pixels", 0)) for r in large.values())
        scores = {"filled_pixels": float(filled), "large_parts": float(len(large)), "large_pixels": float(deep)}
        notes = ["what fills the mask was not in the picture: a reconstruction, not evidence"] if filled else []
        if large:
            notes.append(f"{len(large)} large part(s) filled with texture copied from elsewhere in the picture")
        notes += [f"{i.provider} is a stand-in: {i.stand_in}" for i in infos if i.stand_in]
        one = infos[0] if len(infos) == 1 else None
        return StepRecord(
            step=self.name,
            params=step_params(self),
            provider=one.provider if one else "",
            precision=", ".join(sorted({i.precision for i in infos})),
            library=", ".join(dict.fromkeys(i.library for i in infos)),
            models=tuple(dict.fromkeys(m for i in infos for m in i.models)),
            seed=services.seed,
            generative=True,
            confidence_basis="model",
            scores=scores,
            notes=tuple(notes),
        )


@dataclass(eq=False)
class _Work:
    """The arrays of one run, and how a window of them is filled."""

    image: Image
    out: Samples
    sigma: NDArray[np.uint16]
    services: Services

    def fill_at_once(self, painter: Inpainter, jobs: Sequence[tuple[Window, Bool, Bool]]) -> None:
        """Fill parts on all cores: none sees what another one was filled with, so their order is of no account."""
        with ThreadPoolExecutor(_cores()) as pool:
            made = [pool.submit(self._made, painter, *job) for job in jobs]
            try:
                for done, ((window, _, mine), one) in enumerate(zip(jobs, made, strict=True)):
                    self._put(window, mine, *one.result())
                    self.services.progress("large parts", done + 1, len(jobs))
            finally:
                for one in made:
                    one.cancel()

    def fill(self, painter: Inpainter, window: Window, unknown: Bool, mine: Bool) -> None:
        """Fill ``mine``, seeing a window in which ``unknown`` is not known; both are of the window's size."""
        self._put(window, mine, *self._made(painter, window, unknown, mine))

    def _made(self, painter: Inpainter, window: Window, unknown: Bool, mine: Bool) -> tuple[Float, Float]:
        """Return what a window is filled with, and its expected error."""
        y0, y1, x0, x1 = window
        where = (slice(y0, y1), slice(x0, x1))
        full = np.float32(self.image.max_value)
        native = np.asarray(self.out[where], np.float32) / full
        planes = native[..., None] if native.ndim == 2 else native
        return fill_channels(painter, planes, unknown, self.services.seed, self.image.mode)

    def _put(self, window: Window, mine: Bool, values: Float, error: Float) -> None:
        """Write what was made of a window into the picture."""
        y0, y1, x0, x1 = window
        where = (slice(y0, y1), slice(x0, x1))
        full = np.float32(self.image.max_value)
        native = self.out[where]
        levels = np.clip(np.rint(values * full), 0, full).astype(self.out.dtype)
        target = self.out[where]
        target[mine] = levels[..., 0][mine] if native.ndim == 2 else levels[mine]
        self.sigma[where][mine] = np.clip(np.rint(error[mine] * 65535), 0, 65535).astype(np.uint16)
        for array in (self.out, self.sigma, self.image.pixels):
            release(array)

    def put_grain(self, hole: Bool) -> float:
        """Put in what the filling lacks of the grain around it; return its mean standard deviation, full scale = 1."""
        full = np.float32(self.image.max_value)
        curve = grain_curve(self.out, hole, float(full))
        if curve is None or not hole.any():
            return 0.0
        squares, todo = 0.0, windows_of(hole)
        # no window sees the grain that another one got, so that they can be worked on at once
        copied = self.out.size < SMALL
        filled = np.array(self.out) if copied else self.out

        def made(window: Window) -> tuple[Float, Float]:
            where = (slice(window[0], window[1]), slice(window[2], window[3]))
            native = np.asarray(filled[where], np.float32) / full
            planes = native[..., None] if native.ndim == 2 else native
            return planes, missing_grain(np.ascontiguousarray(planes), hole[where], curve, window, self.services.seed)

        with ThreadPoolExecutor(_cores()) as pool:
            windows = [window for _, window in todo]
            results = pool.map(made, windows) if copied else map(made, windows)
            for done, ((own, window), (planes, grain)) in enumerate(zip(todo, results, strict=True)):
                squares += self._add(own, window, (planes, grain), hole)
                self.services.progress("grain", done + 1, len(todo))
        return float(np.sqrt(squares / int(hole.sum())))

    def _add(
        self,
        own: Window,
        window: Window,
        made: tuple[Float, Float],
        hole: Bool,
    ) -> float:
        """Put grain into the hole's pixels of a square; return the sum of the variances that were added."""
        (y0, y1, x0, x1), (planes, grain) = window, made
        full = np.float32(self.image.max_value)
        where = (slice(y0, y1), slice(x0, x1))
        mine = np.zeros((y1 - y0, x1 - x0), bool)
        inner = (slice(own[0] - y0, own[1] - y0), slice(own[2] - x0, own[3] - x0))
        mine[inner] = hole[where][inner]
        levels = np.clip(np.rint((planes + grain) * full), 0, full).astype(self.out.dtype)
        self.out[where][mine] = levels[..., 0][mine] if self.out.ndim == 2 else levels[mine]
        added = np.square(grain[mine]).mean(axis=1)
        # it is independent of what was there
        error = np.sqrt(np.square(self.sigma[where][mine] / np.float32(65535)) + added)
        self.sigma[where][mine] = np.clip(np.rint(error * 65535), 0, 65535).astype(np.uint16)
        return float(added.sum(dtype=np.float64))


def _cells(hole: Bool, context: int) -> list[Window]:
    """Return the squares that hold any of a hole with so many pixels around each: (y0, y1, x0, x1)."""
    height, width = hole.shape
    return [
        (max(0, y - context), min(height, y + CELL + context), max(0, x - context), min(width, x + CELL + context))
        for y in range(0, height, CELL)
        for x in range(0, width, CELL)
        if hole[y : y + CELL, x : x + CELL].any()
    ]


def _cut(hole: Bool, cell: Window, context: int) -> list[tuple[Window, Window]]:
    """Cut a square to what it holds of a hole, in four if that makes less to look at, and those again."""
    y0, y1, x0, x1 = cell
    part = hole[y0:y1, x0:x1]
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if not len(rows):
        return []
    own = (y0 + int(rows[0]), y0 + int(rows[-1]) + 1, x0 + int(columns[0]), x0 + int(columns[-1]) + 1)
    # networks work on a grid of two pixels: a window begins on it
    top, left = (max(0, v - context) // 2 * 2 for v in (own[0], own[2]))
    window = (top, min(hole.shape[0], own[1] + context), left, min(hole.shape[1], own[3] + context))
    if max(y1 - y0, x1 - x0) <= SMALLEST:
        return [(own, window)]
    middle, centre = (y0 + y1) // 2, (x0 + x1) // 2
    quarters = [
        one
        for a, b in ((y0, middle), (middle, y1))
        for c, d in ((x0, centre), (centre, x1))
        for one in _cut(hole, (a, b, c, d), context)
    ]
    return quarters if sum(_size(w) for _, w in quarters) < _size(window) else [(own, window)]


def _size(window: Window) -> int:
    return (window[1] - window[0]) * (window[3] - window[2])


def _cores() -> int:
    return max(1, min(8, os.cpu_count() or 1))


def fill_channels(painter: Inpainter, planes: Float, hole: Bool, seed: int, mode: ColorMode) -> tuple[Float, Float]:
    """Fill native colour channels with an inpainter that may only know RGB.

    Parameters
    ----------
    painter : Inpainter
        Called once or, where it knows RGB only, for each group of channels.
    planes : (h, w, C) float32 in [0, 1]
        In native encoding, 0 = black or no ink.
    hole : (h, w) bool
        True = to be filled.
    seed : int
        Of what the painter draws.
    mode : ColorMode
        Inks are shown to a network as light, so that dark is dark.

    Returns
    -------
    (h, w, C) and (h, w) float32
        The filled channels and the expected error in the holes.
    """
    count, takes = planes.shape[2], painter.info.channels
    light = 1 - planes if mode is ColorMode.CMYK else planes
    if takes in (0, count):
        done = painter.fill(np.ascontiguousarray(light), hole, seed)
        image, errors = done.image, [done.sigma]
    else:
        groups = [slice(0, 3), slice(3, 4)] if count == 4 else [slice(0, 1)]
        parts, errors = [], []
        for group in groups:
            some = np.ascontiguousarray(light[..., group])
            wide = some.shape[2] == 3
            done = painter.fill(some if wide else np.repeat(some, 3, axis=2), hole, seed)
            parts.append(done.image if wide else done.image.mean(axis=2, keepdims=True, dtype=np.float32))
            errors.append(done.sigma)
        image = np.concatenate(parts, axis=2)
    known = [e for e in errors if e is not None]
    sigma = np.sqrt(np.mean(np.square(np.stack(known)), axis=0)) if known else np.full(hole.shape, 0.25)
    back = 1 - image if mode is ColorMode.CMYK else image
    return back.astype(np.float32), np.asarray(sigma, np.float32)


@dataclass(frozen=True)
class Part:
    """One deep part of a mask.

    Attributes
    ----------
    at : (x, y)
        Its first pixel in reading order, by which a record names it.
    box : (x, y, width, height)
        Around its deep pixels.
    pixels : int
        How many of its pixels are deep.
    depth : float
        Largest distance of its pixels to the nearest known one.
    """

    at: tuple[int, int]
    box: Window
    pixels: int
    depth: float

    def to_json(self) -> dict[str, Any]:
        """Return what a record keeps."""
        return {"at": list(self.at), "box": list(self.box), "pixels": self.pixels, "depth": round(self.depth, 2)}


def deep_pixels(hole: Bool) -> tuple[Bool, Float]:
    """Return the deep parts of a mask, cut off from lines that run into them, and the depth of every pixel.

    A pixel is in a deep part if it is in the mask and within ``HALF_DEEP + RIM`` of one that lies deeper than
    ``HALF_DEEP``.
    """
    import cv2

    # beyond the picture's edge nothing is known: it does not bring a pixel nearer to what is
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    core = depth > HALF_DEEP
    if not core.any():
        return core, depth
    to_core = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return hole & (to_core <= HALF_DEEP + RIM), depth


def _check_something_is_known(hole: Bool) -> None:
    if hole.size and hole.all():
        raise OptionError("the mask opens the whole picture: there is nothing left to repair it from")


def _labelled(deep: Bool) -> tuple[int, NDArray[np.int32], NDArray[np.int32]]:
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats(deep.astype(np.uint8), connectivity=8)
    return int(count), labels, stats


def find_parts(hole: Bool) -> list[Part]:
    """Return the deep parts of a mask, connected over 8 neighbours.

    Parameters
    ----------
    hole : (H, W) bool
        True = to be filled.

    Raises
    ------
    OptionError
        If the mask opens the whole picture.
    """
    _check_something_is_known(hole)
    deep, depth = deep_pixels(hole)
    if not deep.any():
        return []
    count, labels, stats = _labelled(deep)
    deepest = np.zeros(count, np.float32)
    np.maximum.at(deepest, labels[deep], depth[deep])
    firsts = _first_pixels(labels, stats, count)
    return [
        Part(firsts[k], (int(s[0]), int(s[1]), int(s[2]), int(s[3])), int(s[4]), float(deepest[k]))
        for k, s in enumerate(stats)
        if k > 0
    ]


def _first_pixels(labels: NDArray[np.int32], stats: NDArray[np.int32], count: int) -> list[tuple[int, int]]:
    out = [(0, 0)]
    for k in range(1, count):
        x, y, width = (int(v) for v in stats[k, :3])
        out.append((x + int(np.argmax(labels[y, x : x + width] == k)), y))
    return out


def _large_parts(
    hole: Bool, regions: list[dict[str, Any]]
) -> tuple[NDArray[np.int32], dict[int, dict[str, Any]], NDArray[np.int32]]:
    """Return the labels of all deep parts, the regions by label, and the box of each label."""
    if not regions:
        return np.zeros((0, 0), np.int32), {}, np.zeros((0, 4), np.int32)
    _, labels, stats = _labelled(deep_pixels(hole)[0])
    found: dict[int, dict[str, Any]] = {}
    for region in regions:
        x, y = (int(v) for v in region["at"])
        label = int(labels[y, x]) if 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1] else 0
        if label == 0:
            raise OptionError(
                f"the recipe names a part at {x},{y}, where the mask has no deep part; is it another mask?"
            )
        found[label] = region
    return labels, found, stats[:, :4]


def _part_job(
    labels: NDArray[np.int32], label: int, box: NDArray[np.int32], rest: Bool, scan: bool = False
) -> tuple[Window, Bool, Bool]:
    """Return the window of a part, what is unknown in it (a view), and which of that is the part."""
    window = _around(box, labels.shape, scan)
    where = (slice(window[0], window[1]), slice(window[2], window[3]))
    return window, rest[where], labels[where] == label


def _around(box: NDArray[np.int32], shape: tuple[int, ...], scan: bool = False) -> Window:
    """Return the window in which texture for a part is looked for: its size again on each side, at least 96.

    In a scan three quarters of its size, at least 64: there that holds as much of the picture.
    """
    x0, y0, width, height = (int(v) for v in box)
    y1, x1 = y0 + height, x0 + width
    reach = max(64, max(width, height) * 3 // 4) if scan else max(96, max(width, height))
    while reach > 64 and (y1 - y0 + 2 * reach) * (x1 - x0 + 2 * reach) > WINDOW:
        reach = max(64, reach // 2)
    return max(0, y0 - reach), min(shape[0], y1 + reach), max(0, x0 - reach), min(shape[1], x1 + reach)


def surrounding_texture(image: Image, hole: Bool, box: Window) -> float:
    """Return how textured the known surroundings of a part are: deviation from their smoothed selves, full scale = 1.

    Parameters
    ----------
    image : Image
        Only its samples around the box are read.
    hole : (H, W) bool
        True = not known.
    box : (x, y, width, height)
        Of the part, in pixels.
    """
    import cv2

    x, y, width, height = box
    reach = 12
    where = (slice(max(0, y - reach), y + height + reach), slice(max(0, x - reach), x + width + reach))
    window = np.asarray(image.pixels[where], np.float32) / np.float32(image.max_value)
    gray = window if window.ndim == 2 else window.mean(axis=2)
    known = (~hole[where]).astype(np.float32)
    blur = cv2.GaussianBlur(gray * known, (0, 0), 2.5) / np.maximum(cv2.GaussianBlur(known, (0, 0), 2.5), 1e-3)
    ring = known > 0
    return float(np.sqrt(np.mean(np.square((gray - blur)[ring])))) if ring.any() else 0.0


def hole_of(canvas: Canvas, step: str) -> Bool:
    """Return where the picture is to be filled by a step that works at the size of the source."""
    mask = canvas.masks.get("edit")
    if mask is None:
        raise OptionError(f"{step} needs a mask: white where the picture is to be painted anew")
    if canvas.scale != 1:
        raise OptionError(f"{step} works at the size of the source; enlarge afterwards")
    return np.asarray(mask.values > 0)
