"""Let a diffusion model paint what a mask marks, in windows of the size it was trained on.

Damage that fits into a window is painted at full scale, neighbouring parts together; so is damage that is thin, however
long. What is larger is painted at a smaller scale first, so that it hangs together, and then gone over in windows at
full scale with part of the noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tratto.core.canvas import Canvas
from tratto.core.capability import DepthEstimator, InpainterInfo, Use
from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Depth, Image, Samples
from tratto.core.recipe import step_params
from tratto.core.services import Services
from tratto.core.step import BaseStep, StepRecord
from tratto.imaging.scratch import release
from tratto.steps.inpaint import hole_of

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]
Box = tuple[int, int, int, int]

#: Share of a window's side that is kept on each side as surroundings.
MARGIN = 1 / 8
#: Damage no deeper than this share of a window's side is painted at full scale however long it is.
THIN = 1 / 8
#: A window painted at a smaller scale than this gets gone over.
COARSE = 1 / 1.25
#: Side of the plain picture of a paint that an IP-Adapter is shown.
REFERENCE = 512


@dataclass(frozen=True)
class Diffuse(BaseStep):
    """Parameters of the step. What is painted is the canvas's ``edit`` mask where it is above 0.

    Attributes
    ----------
    method : str
        ``sdxl`` or ``sd15``.
    params : dict
        As :func:`tratto.providers.inpainter.diffusion.settle` returns them.
    caption : str
        What the picture shows, for the ``{caption}`` of the prompt. Empty: the canvas's, if there is one.
    prompt : str or None
        The prompt as used; None: to be put together. Empty: the empty text's embedding in both branches.
    color : list of 3 floats or None
        Paint that an IP-Adapter is shown, encoded sRGB in [0, 1].
    texture : str
        Or the role of the input that is a sample of it.
    coded : bool
        The mask is one of :func:`tratto.imaging.matting.coded`: light is mixed by the coverage it holds.
    blend, grow : float
        Feather and growth that are in the mask already; here for the record.
    windows : list of dict or None
        ``box`` [x, y, width, height] of what the model sees, ``own`` likewise of what is taken from it, ``strength``,
        and ``again``, whether it goes over what was painted before. None: to be laid out.
    mask : str
        Name of the mask of this pass, which the engine shows as the ``edit`` mask. Empty: the whole.
    """

    method: str = "sdxl"
    params: dict[str, Any] = field(default_factory=dict)
    caption: str = ""
    prompt: str | None = None
    color: list[float] | None = None
    texture: str = ""
    coded: bool = False
    blend: float = 0.0
    grow: float = 0.0
    windows: list[dict[str, Any]] | None = None
    mask: str = ""
    name: ClassVar[str] = "diffuse"
    #: Forensic mode refuses it.
    invents: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.color is not None and not (len(self.color) == 3 and all(0 <= float(v) <= 1 for v in self.color)):
            raise OptionError(f"color takes three values in [0, 1], got {self.color!r}")
        if self.color is not None and self.texture:
            raise OptionError("diffuse takes a color or a texture, not both")
        for window in self.windows or []:
            if not isinstance(window, dict) or set(window) != {"box", "own", "strength", "again"}:
                raise OptionError(f"a window has box, own, strength and again, got {str(window)[:80]!r}")

    @property
    def megapixels_per_second(self) -> float | None:
        """Speed for estimates of time: on a GPU as published, or on two cores."""
        from tratto.backends.diffusion import gpu_here, missing_diffusion

        fast = self.params.get("device", "auto") != "cpu" and missing_diffusion() is None and gpu_here()
        per_window = 0.15 if fast else 0.0005
        return per_window * 50 / max(1, int(self.params.get("steps", 50)))

    def resolve(self, canvas: Canvas, services: Services) -> Diffuse:
        """Open the model, and fix precision, prompt and windows."""
        if self.windows is not None and self.prompt is not None:
            return self
        hole = hole_of(canvas, "diffuse")
        painter = self._painter(services)
        params = {**self.params, "dtype": painter.info.precision}
        caption = self.caption or canvas.caption or ""
        prompt = self.prompt if self.prompt is not None else fill_prompt(str(params.get("prompt", "")), caption)
        strength, refine = float(params["strength"]), float(params["refine"])
        windows = plan_windows(hole, painter.side, strength, refine)
        return replace(self, params=params, caption=caption, prompt=prompt, windows=windows)

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Paint window after window; each sees what was painted before."""
        from tratto.imaging.matting import coverage

        if self.windows is None or self.prompt is None:
            raise OptionError("diffuse must be resolved before it is applied")
        painter, image, hole = self._painter(services), canvas.image, hole_of(canvas, "diffuse")
        depth, seer = self._depth(canvas, painter, services)
        reference = self._reference(painter, canvas)
        share = coverage(canvas.masks["edit"].values) if self.coded else None
        out: Samples = services.scratch(image.pixels.shape, image.pixels.dtype)  # type: ignore[assignment]
        out[:] = image.pixels
        sigma: NDArray[np.uint16] = services.scratch(image.pixels.shape[:2], np.uint16)  # type: ignore[assignment]
        # the error of what a model invents is not known: the largest that can be told
        sigma[hole] = round(0.25 * 65535)
        again = np.zeros_like(hole)
        for window in self.windows:
            if window["again"]:
                again[_slices(window["own"])] = True
        todo = {False: hole.copy(), True: hole & again}
        total = sum(_steps(self.params, w) for w in self.windows)
        before = 0
        for number, window in enumerate(self.windows):
            x, y, width, height = (int(v) for v in window["box"])
            where = _slices(window["box"])
            rest = todo[bool(window["again"])]
            own = np.zeros_like(hole)
            inside = _slices(window["own"])
            own[inside] = rest[inside]
            mine = own[where]
            if not mine.any():
                before += _steps(self.params, window)
                continue
            working = image.replace(pixels=out)
            seen = shown(working, (x, y, width, height))
            wanted = self._wanted(None if depth is None else depth[where], reference, window)

            def progress(done: int, of: int, start: int = before) -> None:
                services.progress(self.name, min(start + done, total), total)

            # noise of its own for each window: the same in all would show as a pattern
            painted = painter.paint(seen, rest[where], wanted, services.seed + number, progress)
            part = None if share is None else share[where]
            values = _mixed(shown(image, (x, y, width, height)), painted, part)
            native = native_samples(values, image)
            out[where][mine] = native[mine]
            rest &= ~own
            before += _steps(self.params, window)
            for array in (out, sigma, image.pixels):
                release(array)
        record = self._record((painter.info, seer), painter.side, hole, services)
        return canvas.replace(image=image.replace(pixels=out), sigma=sigma), record

    @property
    def uses(self) -> tuple[Use[Any], ...]:
        """The model, opened with those of the parameters that it is opened with; then who estimates depth."""
        from tratto.providers.depth import depth_use
        from tratto.providers.inpainter.diffusion import opening

        model: Use[Any] = Use("inpainter", self.method, opening(self.params))
        source = str(self.params.get("depth", ""))
        if not source:
            return (model,)
        return (model, depth_use(source))

    def _painter(self, services: Services) -> Any:
        return services.open(self.uses[0])

    def _wanted(self, depth: Float | None, reference: Float | None, window: dict[str, Any]) -> Any:
        from tratto.providers.inpainter.diffusion import InpaintRequest

        p = self.params
        return InpaintRequest(
            prompt=self.prompt or None,
            negative=str(p["negative"]),
            steps=_all_steps(p, window),
            guidance=float(p["guidance"]),
            strength=float(window["strength"]),
            depth=depth,
            control_scale=float(p["control_scale"]),
            reference=reference,
            reference_scale=float(p.get("reference_scale", 1.0)),
        )

    def _depth(self, canvas: Canvas, painter: Any, services: Services) -> tuple[Float | None, Any]:
        """Return the depth map for a ControlNet, and facts about who estimated it."""
        if not painter.takes_depth:
            return None, None
        found, seer = canvas.depth, None
        if found is None:
            estimator: DepthEstimator = services.open(self.uses[1])
            image = canvas.image
            found, seer = estimator.estimate(shown(image, (0, 0, image.width, image.height))), estimator.info
        if found.values.shape != (canvas.image.height, canvas.image.width):
            raise OptionError("the depth map must have the size of the picture")
        return near_is_one(found), seer

    def _reference(self, painter: Any, canvas: Canvas) -> Float | None:
        from tratto.imaging.texture import sample_of

        if not painter.takes_reference:
            return None
        if self.texture:
            if self.texture not in canvas.inputs:
                raise OptionError(f"diffuse is to go by the input {self.texture!r}, and it was not given")
            return (sample_of(canvas.inputs[self.texture]) / np.float32(255)).astype(np.float32)
        if self.color is None:
            raise OptionError("an IP-Adapter needs a picture to go by: a color or a texture")
        return np.broadcast_to(np.asarray(self.color, np.float32), (REFERENCE, REFERENCE, 3)).copy()

    def _record(self, who: tuple[InpainterInfo, Any], side: int, hole: Bool, services: Services) -> StepRecord:
        info, seer = who
        models = (*info.models, *(seer.models if seer is not None else ()))
        filled = int(np.count_nonzero(hole))
        notes = []
        if filled:
            notes.append("what fills the mask was painted by a diffusion model: it is invented, and no evidence")
        coarse = [w for w in self.windows or () if max(w["box"][2:]) * COARSE > side]
        if coarse:
            notes.append(f"{len(coarse)} large part(s) were painted at a smaller scale and enlarged")
        if seer is not None and seer.stand_in:
            notes.append(f"the depth is of {seer.provider}, a stand-in: {seer.stand_in}")
        scores = {"filled_pixels": float(filled), "windows": float(len(self.windows or ()))}
        return StepRecord(
            step=self.name,
            params=step_params(self),
            provider=info.provider,
            precision=info.precision,
            library=info.library,
            models=models,
            seed=services.seed,
            generative=True,
            confidence_basis="none",
            scores=scores,
            notes=tuple(notes),
        )


def fill_prompt(template: str, caption: str) -> str:
    """Return the prompt with the caption in it; without a caption, what led to it falls away.

    Parameters
    ----------
    template : str
        May hold ``{caption}``, once or more.
    caption : str
        In one line when it is put in; empty: there is none.
    """
    text = " ".join(caption.split())
    if not text:
        template = template.replace(": {caption}", "")
    return template.replace("{caption}", text).strip()


def near_is_one(depth: Depth) -> Float:
    """Return a depth map as a depth ControlNet was trained to see it: in [0, 1], near is 1, linear in 1 / distance.

    A map in metres is turned to its inverse first. A flat map becomes 0.5.
    """
    values = depth.values.astype(np.float64)
    good = np.isfinite(values)
    if not good.any():
        raise OptionError("the depth map holds no finite value")
    values = np.where(good, values, np.median(values[good]))
    if depth.unit == "metre":
        values = 1 / np.maximum(values, 1e-3)
        nearer_is_larger = True
    else:
        nearer_is_larger = depth.nearer_is == "larger"
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-12:
        return np.full(values.shape, 0.5, np.float32)
    scaled = (values - low) / (high - low)
    return (scaled if nearer_is_larger else 1 - scaled).astype(np.float32)


def shown(image: Image, box: Box) -> Float:
    """Return a window as encoded sRGB, (h, w, 3) float32 in [0, 1]; an embedded profile is honoured.

    Parameters
    ----------
    image : Image
        RGB or grey.
    box : (x, y, width, height)
        In stored pixels; it must lie inside.

    Raises
    ------
    OptionError
        If the picture is of another mode.
    """
    from tratto.imaging.color import linear_to_srgb
    from tratto.imaging.working import to_linear

    x, y, width, height = box
    if image.mode is ColorMode.RGB:
        return linear_to_srgb(to_linear(image, y, y + height, x, x + width)).astype(np.float32)
    if image.mode is ColorMode.GRAY:
        gray = np.asarray(image.pixels[y : y + height, x : x + width], np.float32) / np.float32(image.max_value)
        return np.repeat(gray[..., None], 3, axis=2)
    raise OptionError(
        f"diffusion models paint RGB and grey pictures, this one is {image.mode.value}; convert it to RGB first"
    )


def native_samples(values: Float, image: Image) -> NDArray[Any]:
    """Return encoded sRGB as samples of a picture's own kind, rounded."""
    from tratto.imaging.color import srgb_to_linear
    from tratto.imaging.working import from_linear

    if image.mode is ColorMode.RGB:
        native = from_linear(srgb_to_linear(values).astype(np.float32), image)
    else:
        native = values.mean(axis=2, dtype=np.float32) * np.float32(image.max_value)
    rounded: NDArray[Any] = np.clip(np.rint(native), 0, image.max_value).astype(image.pixels.dtype)
    return rounded


def _mixed(before: Float, after: Float, share: Float | None) -> Float:
    """Mix light by a share; None: all of ``after``."""
    from tratto.imaging.color import linear_to_srgb, srgb_to_linear

    if share is None:
        return after
    a, b = srgb_to_linear(before), srgb_to_linear(after)
    return linear_to_srgb(a + share[..., None] * (b - a)).astype(np.float32)


def plan_windows(hole: Bool, side: int, strength: float, refine: float) -> list[dict[str, Any]]:
    """Lay windows over a mask.

    Parameters
    ----------
    hole : (H, W) bool
        True where it is to be painted.
    side : int
        Of the squares that the model was trained on.
    strength : float
        Of the windows that paint.
    refine : float
        Strength of the windows that go over what was painted at a smaller scale; 0 = none do.

    Returns
    -------
    list of dict
        ``box`` and ``own`` as [x, y, width, height], ``strength`` and ``again``; every marked pixel is in one ``own``.

    Raises
    ------
    OptionError
        If the mask opens the whole picture.
    """
    import cv2

    if hole.size and hole.all():
        raise OptionError("the mask opens the whole picture: there is nothing left to repair it from")
    height, width = hole.shape
    inner = side - 2 * int(side * MARGIN)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(hole.astype(np.uint8), connectivity=8)
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    deepest = np.zeros(count, np.float32)
    np.maximum.at(deepest, labels[hole], depth[hole])
    small: list[Box] = []
    large: list[Box] = []
    for k in range(1, count):
        x, y, w, h = (int(v) for v in stats[k, :4])
        if max(w, h) <= inner:
            small.append((x, y, w, h))
        elif deepest[k] <= side * THIN:
            small += _cells(labels[y : y + h, x : x + w] == k, (x, y), inner)
        else:
            large.append((x, y, w, h))
    out = []
    for own in _grouped(sorted(small, key=lambda b: (b[1], b[0])), inner):
        out.append(_window(_square(own, side, width, height), own, strength))
    for own in large:
        reach = max(own[2:])
        box = _square(own, max(side, reach + 2 * max(int(side * MARGIN), reach // 8)), width, height)
        out.append(_window(box, own, strength))
        if refine > 0 and max(box[2:]) * COARSE > side:
            x, y, w, h = own
            for cell in _cells(hole[y : y + h, x : x + w], (x, y), inner):
                out.append(_window(_square(cell, side, width, height), cell, refine, again=True))
    return out


def _window(box: Box, own: Box, strength: float, again: bool = False) -> dict[str, Any]:
    return {"box": list(box), "own": list(own), "strength": strength, "again": again}


def _slices(box: Sequence[int]) -> tuple[slice, slice]:
    x, y, width, height = (int(v) for v in box)
    return slice(y, y + height), slice(x, x + width)


def _cells(part: Bool, corner: tuple[int, int], inner: int) -> list[Box]:
    """Return the boxes, none larger than ``inner``, that hold what is marked, cell by cell."""
    out = []
    for y in range(0, part.shape[0], inner):
        for x in range(0, part.shape[1], inner):
            cell = part[y : y + inner, x : x + inner]
            rows, columns = np.flatnonzero(cell.any(axis=1)), np.flatnonzero(cell.any(axis=0))
            if len(rows):
                y0, x0 = int(rows[0]), int(columns[0])
                size = (int(columns[-1]) + 1 - x0, int(rows[-1]) + 1 - y0)
                out.append((corner[0] + x + x0, corner[1] + y + y0, *size))
    return out


def _grouped(boxes: list[Box], inner: int) -> list[Box]:
    """Join boxes, in order, that fit together into a square of this side."""
    out = []
    rest = boxes
    while rest:
        x0, y0, x1, y1 = rest[0][0], rest[0][1], rest[0][0] + rest[0][2], rest[0][1] + rest[0][3]
        left = []
        for x, y, w, h in rest[1:]:
            a, b, c, d = min(x0, x), min(y0, y), max(x1, x + w), max(y1, y + h)
            if max(c - a, d - b) <= inner:
                x0, y0, x1, y1 = a, b, c, d
            else:
                left.append((x, y, w, h))
        out.append((x0, y0, x1 - x0, y1 - y0))
        rest = left
    return out


def _square(own: Box, side: int, width: int, height: int) -> Box:
    """Return the square around a box, moved and cut so that it lies in the picture."""
    x, y, w, h = own
    wide, high = min(side, width), min(side, height)
    left = min(max(0, x + w // 2 - wide // 2), width - wide)
    top = min(max(0, y + h // 2 - high // 2), height - high)
    return left, top, wide, high


def _all_steps(params: dict[str, Any], window: dict[str, Any]) -> int:
    """Return from how many steps a window's share is taken; going over takes one step at least."""
    steps = int(params["steps"])
    return max(steps, math.ceil(1 / float(window["strength"]))) if window["again"] else steps


def _steps(params: dict[str, Any], window: dict[str, Any]) -> int:
    return max(1, int(_all_steps(params, window) * min(1.0, float(window["strength"]))))
