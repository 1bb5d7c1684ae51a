"""Plan a repainting: from options and an inspection to a recipe, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tratto.core.errors import OptionError
from tratto.core.inspection import Inspection
from tratto.core.options import CLI, LARGEST_SEED, PARAMETERS, SDK, BadOptions, Need, TaskOptions, numbers, option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tratto.core.capability import WallDetector
    from tratto.core.image import Image
    from tratto.core.recipe import Recipe
    from tratto.core.services import Services
    from tratto.core.step import Step
    from tratto.tasks.prepared import Given, Prepared

#: An old paint whose channels are all below this (encoded) is refused: no wall is that black.
DARKEST = 0.05
#: Role of the wallpaper sample among a job's inputs.
TEXTURE = "texture"

PAINT = "a color: #c8d4e0, rgb(200, 212, 224), lab(84, -2, -7) or a name of CSS"
#: JSON schema of a color as text.
WRITTEN = {"pattern": "^(#|rgb|lab|[A-Za-z]+$)"}
Channel = Annotated[float, Field(ge=0, le=1)]
Color = tuple[Channel, Channel, Channel]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Point = tuple[Finite, Finite]
#: What the command line has for options of several points.
POINTS: dict[str, Any] = {"metavar": "X,Y", "expected": "points x,y", "parse": numbers(2), "collect": tuple}
Times = Annotated[float, Field(gt=0, le=1000)]


class RecolorOptions(TaskOptions):
    """What a user may ask of ``recolor``, validated. Which part is the wall says the mask, not these options.

    Points are counted in pixels of the picture as a viewer shows it.
    """

    needs = (Need("inpainter", unless=("tratto",)),)
    no_evidence = "another paint is not"
    color: Color | None = option(
        None,
        "New paint: #c8d4e0, rgb(200, 212, 224), lab(84, -2, -7) or a name of CSS.",
        expected=PAINT,
        http=WRITTEN,
        each=True,
    )
    texture: str = option("", "Role of the input that is a wallpaper sample.", doors=())
    clicks: tuple[Point, ...] = option((), "A point x,y on the wall to search it from.", "--click", **POINTS)
    others: tuple[Point, ...] = option((), "A point x,y on something else, to help {clicks}.", "--not", **POINTS)
    corners: tuple[Point, Point, Point, Point] | None = option(
        None,
        "Four points x,y of a rectangle on the wall, from top left clockwise, for {texture}.",
        expected="four points x,y: top left, top right, bottom right, bottom left",
        parse=lambda text: tuple(zip(*[iter(numbers(8)(text))] * 2, strict=True)),
    )
    repeat: tuple[Times, Times] | None = option(
        None, "Tiles ACROSS,DOWN over that rectangle.", expected="ACROSS,DOWN, each above 0 to 1000", parse=numbers(2)
    )
    match: Literal["seen", "paint"] = option(
        "seen", "seen: the wall's mean becomes the color; paint: under its light the paint is."
    )
    was: Color | None = option(
        None, "The old paint where it is known; makes {match} paint exact.", expected=PAINT, http=WRITTEN
    )
    bounce: float | None = option(
        None, "How much of its light the wall gives itself: 0.15 one wall, 0.5 a whole room.", ge=0, le=0.6
    )
    pattern: Literal["auto", "keep", "remove"] = option("auto", "Of the old wall: auto, keep or remove.")
    stains: Literal["keep", "remove"] = option("keep", "Brown stains: keep or remove.")
    glossy: bool = option(False, "The old paint is glossy: mirror images of lamps stay white.")
    grow: float = option(0.0, "Grow the mask by this many pixels; negative shrinks it.", unit="pixels", ge=-64, le=64)
    feather: float = option(0.0, "Soften the mask's edge over this many pixels.", unit="pixels", ge=0, le=64)
    edge: int = option(
        0, "Let the matte reach this many pixels beyond the mask, against a rim of old color.", unit="pixels",
        ge=0, le=16,
    )  # fmt: skip
    strength: float = option(1.0, "0 leaves the picture as it is, 1 is the full effect.", ge=0, le=1)
    provider: Literal["tratto", "sd15"] = option("tratto", "tratto (calculated), or sd15 (a diffusion model).")
    params: dict[str, Any] = option(
        {},
        "Parameters of sd15, such as model=FOLDER; lock=seen, paint or none says what comes after it.",
        "--param",
        doors=(CLI, SDK),
        **PARAMETERS,
    )
    seed: int = option(0, "Seed of a diffusion model's noise; the calculated way draws none.", ge=0, le=LARGEST_SEED)

    @classmethod
    def of(cls, fields: Mapping[str, Any], inputs: Mapping[str, Any], read: Callable[[Any], Any]) -> Self:
        """Return options; a swatch becomes a color, and a wallpaper is named by its role."""
        from tratto.imaging.paint import dominant_color

        swatch, texture = inputs.get("swatch"), inputs.get("texture")
        if sum(given is not None for given in (fields.get("color"), swatch, texture)) != 1:
            raise BadOptions("name the new paint by exactly one of {color}, {swatch} and {texture}")
        if swatch is not None:
            fields = {**fields, "color": dominant_color(_opaque(read(swatch)))}
        elif texture is not None:
            fields = {**fields, "texture": TEXTURE}
        return cls(**fields)

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Refuse what says nothing of where the wall is, or says it twice."""
        if inputs.get("mask") is None and not self.clicks:
            raise BadOptions("recolor needs to know the wall: give {mask}, or {clicks} x,y on it")
        if inputs.get("mask") is not None and self.clicks:
            raise BadOptions("{mask} and {clicks} contradict each other")

    @model_validator(mode="before")
    @classmethod
    def _settled(cls, given: Any) -> Any:
        """Turn the paths of a diffusion model's folders into references, so that no recipe holds a path."""
        if not isinstance(given, dict) or not isinstance(given.get("params", {}), dict):
            return given
        provider, params = given.get("provider", "tratto"), given.get("params") or {}
        if provider != "sd15":
            if params:
                raise OptionError(f"only sd15 takes parameters, got {', '.join(params)} for {provider}")
            return given
        from tratto.providers.inpainter.diffusion import settle_params

        return {**given, "params": settle_params("sd15", params)}

    @field_validator("color", "was", mode="before")
    @classmethod
    def _written(cls, v: Any) -> Any:
        from tratto.imaging.paint import parse_color

        try:
            return parse_color(v) if isinstance(v, str) else v
        except OptionError as e:
            raise ValueError(str(e)) from e

    @field_validator("was")
    @classmethod
    def _reflects(cls, v: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
        if v is not None and max(v) < DARKEST:
            raise ValueError(
                "a paint this dark reflects no light to judge by: name the old paint as it would look in white light"
            )
        return v

    @model_validator(mode="after")
    def _points_belong_together(self) -> RecolorOptions:
        if self.others and not self.clicks:
            raise BadOptions("points on other things ({others}) need points on the wall ({clicks})")
        return self

    @model_validator(mode="after")
    def _one_reference(self) -> RecolorOptions:
        if (self.color is None) == (self.texture == ""):
            raise BadOptions("give exactly one of {color} and {texture}")
        if self.texture == "" and (self.corners is not None or self.repeat is not None):
            raise BadOptions("{corners} and {repeat} lay a {texture}; a plain {color} needs neither")
        return self


def prepare(options: RecolorOptions, image: Image, given: Given, services: Services) -> Prepared:
    """Open the wall's mask or find the wall from clicks, grow and feather it as asked; turn corners to stored pixels.

    The share of wall is in the last bits of the mask's values; see :func:`tratto.imaging.matting.coded`.

    Raises
    ------
    OptionError
        If there is neither a mask nor a click, the mask does not fit, or the wallpaper is missing.
    """
    from tratto.core.capability import Use, WallPrompt
    from tratto.core.image import Mask
    from tratto.imaging.color import view_rgb
    from tratto.imaging.matting import coded
    from tratto.imaging.opening import open_inputs, open_mask
    from tratto.imaging.wall_mask import adjust_mask, stored_point
    from tratto.tasks.prepared import Prepared

    size, turn = (image.width, image.height), image.meta.orientation
    if "mask" in given.inputs:
        values = open_mask(given.inputs["mask"], image, given.limits).values
    elif options.clicks:
        points, others = (
            tuple(stored_point(p, size, turn) for p in places) for places in (options.clicks, options.others)
        )
        detector: WallDetector = services.open(Use("wall"))
        values = detector.find(view_rgb(image), WallPrompt(points, others))
    else:
        raise OptionError("recolor needs to know the wall: give a mask, or click points on it (--mask, --click)")
    wall = Mask(coded(adjust_mask(values, options.grow, options.feather), options.edge))
    if options.corners is not None:
        corners = tuple(stored_point(p, size, turn) for p in options.corners)
        options = options.model_copy(update={"corners": corners})
    second = {role: picture for role, picture in given.inputs.items() if role != "mask"}
    wanted = (options.texture,) if options.texture else ()
    return Prepared(options, wall, inputs=open_inputs(second, given.limits, wanted))


def plan(options: RecolorOptions, inspection: Inspection) -> Recipe:
    """Turn options and an inspection into a recipe of one step, or of two where a diffusion model paints first.

    Parameters
    ----------
    options : RecolorOptions
        Colour or texture, match, and how the wall is treated.
    inspection : Inspection
        Tells the step the noise.

    Returns
    -------
    Recipe
        With the reasons in words.
    """
    from tratto.core.recipe import Recipe
    from tratto.steps.diffuse import Diffuse
    from tratto.steps.repaint import Repaint

    what = (
        "a wallpaper sample" if options.color is None else "#" + "".join(f"{round(255 * v):02x}" for v in options.color)
    )
    locked = {
        "seen": "its mean over the mask, as seen, is brought to the reference",
        "paint": "the paint under the wall's estimated light is the reference",
    }[options.match]
    color = None if options.color is None else [float(v) for v in options.color]
    painted: tuple[Step, ...] = ()
    match = options.match
    if options.provider == "sd15":
        painted = (Diffuse("sd15", options.params, color=color, texture=options.texture, coded=True),)
        match = "paint" if options.params["lock"] == "paint" else "seen"
        locked = (
            "a diffusion model paints it anew: what it shows is invented"
            + {
                "none": "",
                "seen": "; then its mean over the mask, as seen, is brought to the reference",
                "paint": "; then the paint under the wall's estimated light is the reference",
            }[options.params["lock"]]
        )
    step = Repaint(
        color=color,
        texture=options.texture,
        corners=None if options.corners is None else [[float(c) for c in p] for p in options.corners],
        repeat=None if options.repeat is None else [float(v) for v in options.repeat],
        match=match,
        was=None if options.was is None else [float(v) for v in options.was],
        bounce=options.bounce,
        pattern=options.pattern,
        stains=options.stains,
        glossy=options.glossy,
        edge=options.edge,
        coded=True,
        strength=options.strength,
        noise=inspection.noise_sigma.value,
    )
    reasons = [f"the wall is repainted with {what}", locked]
    if options.clicks:
        reasons.append("the wall was searched from " + ", ".join(f"{x:g},{y:g}" for x, y in options.clicks))
    locks = options.provider != "sd15" or options.params["lock"] != "none"
    return Recipe("recolor", (*painted, *((step,) if locks else ())), options.seed, tuple(reasons))


def _opaque(swatch: Image) -> NDArray[np.float32]:
    """Return the pixels of a picture of paint that are not transparent, (N, 3) float32 encoded sRGB.

    What lies under full transparency is no colour that anyone has seen.
    """
    from tratto.imaging.color import view_rgb

    rgb = view_rgb(swatch).reshape(-1, 3)
    shown = rgb if swatch.alpha is None else rgb[2 * swatch.alpha.ravel().astype(int) > swatch.max_value]
    if len(shown) == 0:
        raise BadOptions("{swatch} is transparent all over and shows no colour; save it without alpha")
    return shown
