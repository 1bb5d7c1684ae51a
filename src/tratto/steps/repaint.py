"""Give a wall another paint under its own light."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tratto.core.canvas import Canvas
from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image
from tratto.core.inspection import Inspection
from tratto.core.recipe import step_params
from tratto.core.services import Services
from tratto.core.step import BaseStep, StepRecord
from tratto.imaging.color import delta_e_2000, linear_to_srgb, profile_is_used, srgb_to_lab, srgb_to_linear, view_wide
from tratto.imaging.matting import coverage
from tratto.imaging.paint import HUE_CHROMA, circular_difference
from tratto.imaging.repaint import MATCHES, PATTERNS, Fit, Match, Painter, RepaintTarget, look_at_wall
from tratto.imaging.scratch import release
from tratto.imaging.shading import largest
from tratto.imaging.texture import Tile, homography, sample_of
from tratto.imaging.working import from_linear, rounded, to_linear

Float = NDArray[np.float32]

#: Rows made at once are as many as keep a band near this number of pixels.
BAND_PIXELS = 1 << 20


@dataclass(frozen=True)
class Repaint(BaseStep):
    """Parameters of the step. What may be repainted is the canvas's ``edit`` mask.

    Attributes
    ----------
    color : list of 3 floats or None
        Encoded sRGB in [0, 1]. None when there is a texture.
    texture : str
        Role of the input that is the sample, such as ``texture``; empty for a plain colour.
    corners : list of four [x, y] or None
        Corners of a rectangle on the wall, in pixels of the picture as stored: where the texture's perspective comes
        from. None: the texture lies flat in the picture.
    repeat : list of 2 floats
        How many tiles go across and down that rectangle (or the picture).
    match : str
        ``seen`` or ``paint``; see :class:`tratto.imaging.repaint.RepaintTarget`.
    was : list of 3 floats or None
        The old paint, encoded sRGB, where it is known.
    bounce : float or None
        Share of the wall's light that comes from the wall itself and its like. None: estimated.
    pattern : str
        What becomes of the old paint's pattern: ``auto``, ``keep`` or ``remove``.
    stains : str
        ``keep``, or ``remove`` for brown stains.
    glossy : bool
        Keep the mirror images of lamps white.
    edge : int
        How many pixels the mask was widened for the matte.
    coded : bool
        The mask is one of :func:`tratto.imaging.matting.coded`; otherwise its values are the share of wall, and the
        engine's blend by them is undone as far as samples reach.
    strength : float
        0 leaves the wall as it is, 1 repaints it fully.
    noise : float or None
        Of the source, 1/255. None: taken from the inspection.
    fit : dict or None
        Every number found by looking at the pixels (:class:`tratto.imaging.repaint.Fit`). None: to be found.
    """

    color: list[float] | None = None
    texture: str = ""
    corners: list[list[float]] | None = None
    repeat: list[float] | None = None
    match: str = "seen"
    was: list[float] | None = None
    bounce: float | None = None
    pattern: str = "auto"
    stains: str = "keep"
    glossy: bool = False
    edge: int = 0
    coded: bool = False
    strength: float = 1.0
    noise: float | None = None
    fit: dict[str, Any] | None = None
    name: ClassVar[str] = "repaint"
    #: Forensic mode refuses it.
    invents: ClassVar[bool] = True
    #: Speed on two cores, for estimates of time.
    speed: ClassVar[float | None] = 1.5

    def __post_init__(self) -> None:
        if (self.color is None) == (self.texture == ""):
            raise OptionError("repaint takes either a color or a texture")
        if self.match not in MATCHES:
            raise OptionError(f"match must be one of {', '.join(MATCHES)}, got {self.match!r}")
        if self.pattern not in PATTERNS:
            raise OptionError(f"pattern must be one of {', '.join(PATTERNS)}, got {self.pattern!r}")
        if self.stains not in ("keep", "remove"):
            raise OptionError(f"stains must be keep or remove, got {self.stains!r}")
        for name in ("color", "was"):
            value = getattr(self, name)
            if value is not None and not (len(value) == 3 and all(0 <= float(v) <= 1 for v in value)):
                raise OptionError(f"{name} takes three values in [0, 1], got {value!r}")

    def resolve(self, canvas: Canvas, services: Services) -> Repaint:
        """Look at the wall and fix every number."""
        noise = self.noise
        window = _window(canvas, self.coded)
        if noise is None:
            noise = _noise(canvas.inspection)
        if self.fit is not None:
            return replace(self, noise=noise)
        target = self._target(window, noise, self._sample(canvas))
        painter = look_at_wall(window.rows, window.share, target, window.mask > 0)
        found = replace(self, noise=noise, fit=_plain(asdict(painter.fit)))
        # what was seen serves once more, in apply; it is no parameter, and nothing depends on it but time
        object.__setattr__(found, "_ready", (canvas.image, canvas.masks["edit"], window, painter))
        return found

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Repaint the rows that the mask touches."""
        if self.fit is None or self.noise is None:
            raise OptionError("repaint must be resolved before it is applied")
        image, fit = canvas.image, _fit_of(self.fit)
        window, painter = self._again(canvas)
        tile = self._tile(window, self._sample(canvas))
        if painter is None:
            painter = Painter(window.rows, window.share, fit, tile, window.mask > 0)
        out: NDArray[Any] = services.scratch(image.pixels.shape, image.pixels.dtype)
        sigma: NDArray[np.uint16] = services.scratch(image.pixels.shape[:2], np.uint16)  # type: ignore[assignment]
        out[:] = image.pixels
        seen, count = np.zeros(3), 0
        height = window.mask.shape[0]
        step = max(16, BAND_PIXELS // window.mask.shape[1])
        for a in range(0, height, step):
            b = min(height, a + step)
            done = painter.paint(a, b)
            where = (slice(window.y0 + a, window.y0 + b), slice(window.x0, window.x1))
            mask = window.mask[a:b]
            before = np.asarray(image.pixels[where])
            native = _native(done.values, before, mask, image)
            out[where] = native
            error = _error(before, native, done.alpha, self.noise / 255, image.max_value)
            sigma[where] = np.rint(65535 * error).astype(np.uint16)
            # what the engine will show: the mask's share of it
            wall = np.flatnonzero((window.share[a:b] > 0.5).ravel())
            old = before.reshape(-1, 3)[wall].astype(np.float32)
            new = native.reshape(-1, 3)[wall].astype(np.float32)
            if self.strength < 1:
                new = np.rint(old + np.float32(self.strength) * (new - old))
            shown = np.rint(old + mask.ravel()[wall, None] * (new - old))
            # as the picture's own profile shows it
            lab = np.asarray(srgb_to_lab(view_wide(image.replace(pixels=shown[None].astype(out.dtype), alpha=None))[0]))
            seen += np.array([lab[:, i].sum(dtype=np.float64) for i in range(3)])
            count += len(wall)
            for array in (out, sigma, image.pixels):
                release(array)
            services.progress(self.name, b, height)
        soft = float(np.count_nonzero((window.share > 0.5) & (window.share < 0.98))) / max(count, 1)
        scores, notes = self._scores(seen / max(count, 1), (count, soft), fit, tile)
        record = StepRecord(
            step=self.name,
            params=step_params(self),
            precision="fp32",
            library=f"numpy {np.__version__}",
            seed=services.seed,
            # nothing is invented by a model, but the wall shows what never was: no evidence, not for examination
            generative=True,
            confidence_basis="model",
            scores=scores,
            notes=notes,
        )
        return canvas.replace(image=image.replace(pixels=out), sigma=sigma), record

    def _again(self, canvas: Canvas) -> tuple[_Window, Painter | None]:
        """Return what :meth:`resolve` looked at, if that was this canvas, and let go of it."""
        image, mask, window, painter = self.__dict__.pop("_ready", (None, None, None, None))
        if image is canvas.image and mask is canvas.masks.get("edit") and image is not None:
            return window, painter
        return _window(canvas, self.coded), None

    def _sample(self, canvas: Canvas) -> NDArray[np.uint8] | None:
        """Return the sample of wallpaper; None for a plain colour."""
        if not self.texture:
            return None
        if self.texture not in canvas.inputs:
            raise OptionError(f"repaint lays the input {self.texture!r}, and it was not given; name it with --texture")
        return sample_of(canvas.inputs[self.texture])

    def _tile(self, window: _Window, sample: NDArray[np.uint8] | None) -> Tile | None:
        if sample is None:
            return None
        across, down = self.repeat or [4.0, 4.0 * window.height / window.width * sample.shape[1] / sample.shape[0]]
        corners = self.corners
        if corners is None:
            w, h = window.width - 1.0, window.height - 1.0
            corners = [[0.0, 0.0], [w, 0.0], [w, h], [0.0, h]]
        matrix = homography(corners, across, down) @ np.array([[1, 0, window.x0], [0, 1, window.y0], [0, 0, 1]], float)
        return Tile.of(sample, matrix)

    def _reference(self, tile: Tile | None) -> tuple[Float, NDArray[np.float64]]:
        """Return the reference as mean linear light and as mean CIELAB."""
        if tile is not None:
            sample = np.asarray(linear_to_srgb(tile.levels[0]), np.float64).reshape(-1, 3)
            return tile.mean, np.asarray(srgb_to_lab(sample)).mean(axis=0)
        color = np.asarray(self.color, np.float64)
        return srgb_to_linear(color).astype(np.float32), np.asarray(srgb_to_lab(color))

    def _target(self, window: _Window, noise: float, sample: NDArray[np.uint8] | None) -> RepaintTarget:
        tile = self._tile(window, sample)
        paint, lab = self._reference(tile)
        was = None if self.was is None else srgb_to_linear(np.asarray(self.was, np.float64)).astype(np.float32)
        match: Match = "seen" if self.match == "seen" else "paint"
        coarse = window.image.bits == 8 and not profile_is_used(window.image)
        return RepaintTarget(
            paint, lab, match, was, tile, noise, self.bounce, self.pattern, self.stains, self.glossy, coarse
        )

    def _scores(
        self, lab: NDArray[np.float64], pixels: tuple[int, float], fit: Fit, tile: Tile | None
    ) -> tuple[dict[str, float], tuple[str, ...]]:
        """Return how far the wall as seen is from the reference; nothing is stated that could not be measured.

        ``pixels``: how many were measured, and which share of them is only partly wall.
        """
        notes = []
        count, soft = pixels
        if count == 0:
            return {}, ("the colour as seen is not measurable: no pixel of the mask is above one half",)
        _, want = self._reference(tile)
        distance = float(np.linalg.norm(lab - want))
        scores = {
            "seen_lab_distance": distance,
            "seen_delta_e_2000": float(delta_e_2000(lab, want)),
            "seen_chroma_difference": float(np.hypot(*lab[1:]) - np.hypot(*want[1:])),
            "seen_pixels": float(count),
            **{f"seen_lab_{axis}": float(v) for axis, v in zip("lab", lab, strict=True)},
            "contrast_given_up": fit.lift,
        }
        if min(float(np.hypot(*lab[1:])), float(np.hypot(*want[1:]))) >= HUE_CHROMA:
            angles = [float(np.degrees(np.arctan2(v[2], v[1]))) for v in (lab, want)]
            scores["seen_hue_error"] = circular_difference(*angles)
        # the paint itself: the colour the wall would have in white light as strong as is estimated here
        if self.strength == 1:  # halfway between two paints there is none to compare
            factors = np.asarray(fit.paint) * (1.0 if tile is None else tile.mean)
            white = np.clip(factors / np.asarray(fit.level), 0, 1)
            itself = np.asarray(srgb_to_lab(linear_to_srgb(white)), np.float64)
            scores["paint_lab_distance"] = float(np.linalg.norm(itself - want))
            scores["paint_delta_e_2000"] = float(delta_e_2000(itself, want))
        elif self.strength > 0:
            notes.append(
                f"strength {self.strength:g} puts the wall between its old look and the new paint, so its mean is "
                f"a Delta E of {distance:.1f} (CIE 1976) from the reference"
            )
        if self.match == "seen" and fit.lift >= LIFTED:
            notes.append(
                f"{100 * fit.lift:.0f} % of the wall's light and shade was given up so that its mean could be the "
                'color; --match paint (in Python: match="paint") keeps them, and shows what that paint would look like'
            )
        if fit.hard and self.edge == 0:
            notes.append(
                "the mask is black and white: pixels just outside it that hold some of the old colour had to stay; "
                "--edge 2 lets the matte reach them"
            )
        if fit.pattern:
            notes.append(f"the old wall has a pattern of {len(fit.pattern)} colours, which was painted over")
        if self.stains == "remove":
            removed = "brown stains were taken off" if fit.stain is not None else "no brown stain was found to take off"
            notes.append(removed)
        if self.match == "seen" and distance > 1 and self.strength == 1:
            why = "its light leaves no room for more"
            if soft > 0.25:
                why = f"{100 * soft:.0f} % of it is covered by the mask in part only, and shows what was there"
            notes.append(f"the wall's mean misses the reference by a Delta E of {distance:.1f} (CIE 1976): {why}")
        return {k: round(v, 4) for k, v in scores.items()}, tuple(notes)


@dataclass(frozen=True, eq=False)
class _Window:
    """The part of a picture around its mask: what the engine blends by, and the share of wall."""

    image: Image
    mask: Float
    share: Float
    y0: int
    x0: int
    x1: int

    def rows(self, a: int, b: int) -> Float:
        return to_linear(self.image, self.y0 + a, self.y0 + b, self.x0, self.x1)

    @property
    def width(self) -> int:
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height


#: What is looked at around the mask, so that what lies beside the wall is known.
_MARGIN = 32


def _window(canvas: Canvas, code: bool) -> _Window:
    image = canvas.image
    if image.mode is not ColorMode.RGB:
        raise OptionError(
            f"a wall can be recoloured in an RGB picture only, this one is {image.mode.value}; convert it first"
        )
    mask = canvas.masks.get("edit")
    if mask is None:
        raise OptionError("recolor needs to know the wall: give --mask, or --click points on it")
    if canvas.scale != 1:
        raise OptionError("repaint must come before anything that enlarges")
    rows, columns = np.flatnonzero(mask.values.any(axis=1)), np.flatnonzero(mask.values.any(axis=0))
    if len(rows) == 0:
        raise OptionError("the mask is empty: not one of its pixels is above 0; draw the wall in white")
    y0, y1 = max(0, int(rows[0]) - _MARGIN), min(image.height, int(rows[-1]) + 1 + _MARGIN)
    x0, x1 = max(0, int(columns[0]) - _MARGIN), min(image.width, int(columns[-1]) + 1 + _MARGIN)
    values = np.ascontiguousarray(mask.values[y0:y1, x0:x1])
    return _Window(image, values, coverage(values) if code else values, y0, x0, x1)


def _noise(inspection: Inspection | None) -> float:
    value = None if inspection is None else inspection.noise_sigma.value
    return 0.0 if value is None else round(float(value), 3)


def _native(values: Float, before: NDArray[Any], mask: Float, image: Image) -> NDArray[Any]:
    """Return what to hand to the engine so that its blend by the mask shows ``values``.

    The engine mixes encoded samples, ``mask`` of the new and the rest of the old. Light does not mix that way, and the
    matte has taken the old colour out already, so the mix is undone here as far as samples reach. With a coded mask
    that is everywhere.
    """
    native: NDArray[Any] = rounded(from_linear(values, image), image).astype(image.pixels.dtype)
    mixed = np.flatnonzero(((mask > 0) & (mask < 1)).ravel())
    if len(mixed):
        old = before.reshape(-1, 3)[mixed].astype(np.float32)
        asked = old + (native.reshape(-1, 3)[mixed] - old) / mask.ravel()[mixed, None]
        native.reshape(-1, 3)[mixed] = np.clip(np.rint(asked), 0, image.max_value)
    return native


def _error(before: NDArray[Any], after: NDArray[Any], alpha: Float, noise: float, full: int) -> Float:
    """Return the expected one-sigma error of the repainted samples, full scale = 1, at most 1.

    Three parts: noise of the source times how much brighter the wall became; on the edge, a doubt about alpha of up to
    a tenth times the change; and where the source was at full scale, the light there is not known at all.
    """
    scale = np.float32(1 / full)
    a, b = before.astype(np.float32) * scale, after.astype(np.float32) * scale
    third = np.full(3, 1 / 3, np.float32)
    gain = np.clip((b @ third + np.float32(0.02)) / (a @ third + np.float32(0.02)), 0, 8)
    edge = np.float32(0.4) * alpha * (1 - alpha) * (np.abs(b - a) @ third)
    burnt = np.float32(0.1) * (largest(a) > 0.985)
    rounding = np.float32(ROUNDING_ERROR) * np.maximum(gain, 1)
    out: Float = np.sqrt((np.float32(noise) * gain) ** 2 + edge * edge + burnt * burnt + rounding * rounding)
    return np.clip(np.where(alpha > 0, out, np.float32(0)), 0, 1).astype(np.float32, copy=False)


#: From this share of the wall's contrast on that is given up a note says so.
LIFTED = 0.2
#: Rounding to 8 bit twice, one sigma.
ROUNDING_ERROR = 0.41 / 255


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {k: _lists(v) for k, v in values.items()}


def _lists(value: Any) -> Any:
    return [_lists(v) for v in value] if isinstance(value, tuple | list) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, tuple | list) else value


def _fit_of(values: dict[str, Any]) -> Fit:
    known = {f.name for f in fields(Fit)}
    if set(values) != known:
        raise OptionError(f"the fit of repaint must hold {', '.join(sorted(known))}; it may come from another version")
    fit: Any = {k: _tuples(v) for k, v in values.items()}
    return Fit(**fit)
