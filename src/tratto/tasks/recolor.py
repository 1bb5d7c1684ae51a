"""Plan a repainting: from options and an inspection to a recipe, and nothing else."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tratto.core.capability import Use, WallDetector, WallPrompt
from tratto.core.errors import OptionError
from tratto.core.image import Image, Mask
from tratto.core.inspection import Inspection
from tratto.core.recipe import Recipe
from tratto.core.services import Services
from tratto.core.step import Step
from tratto.imaging.color import view_rgb
from tratto.imaging.matting import coded
from tratto.imaging.opening import open_inputs, open_mask
from tratto.imaging.wall_mask import adjust_mask, stored_point
from tratto.steps.diffuse import Diffuse
from tratto.steps.repaint import Repaint
from tratto.tasks import Given, Prepared

#: An old paint whose channels are all below this (encoded) is refused: no wall is that black.
DARKEST = 0.05
#: Role of the wallpaper sample among a job's inputs.
TEXTURE = "texture"

Channel = Annotated[float, Field(ge=0.0, le=1.0)]


class RecolorOptions(BaseModel):
    """What a user may ask of ``recolor``, validated. Which part is the wall says the mask, not these options.

    Attributes
    ----------
    color : (r, g, b) floats in [0, 1] or str or None
        The new paint, encoded sRGB; text as ``#c8d4e0``, ``rgb(200, 212, 224)`` or ``lab(84, -2, -7)``.
    texture : str
        Role of the input that is a wallpaper sample (:data:`TEXTURE`), instead of a colour; empty: none.
    corners : four (x, y) or None
        Of a rectangle on the wall, in pixels of the picture as a viewer shows it, for the texture's perspective.
    repeat : (across, down) or None
        Tiles over that rectangle, or over the picture.
    match : str
        ``seen``: the wall's mean as seen becomes the reference. ``paint``: the paint under the wall's estimated light
        is the reference.
    was : like ``color`` or None
        The old paint where it is known; makes ``paint`` exact.
    bounce : float or None
        Share of the wall's light that comes from the wall itself and its like, 0-0.6: about 0.15 for one wall of
        several, 0.5 for a room all of one paint. None: estimated.
    pattern : str
        Of the old wall: ``auto`` paints over a pattern whose colours show that it is none of the light's, ``remove``
        also one of brightness alone, ``keep`` lets it show through.
    stains : str
        ``keep``, or ``remove`` to take brown stains off; grey dirt looks like shadow and stays.
    glossy : bool
        The old paint is glossy: the mirror images of lamps stay white.
    clicks : (x, y) points
        On the wall, in pixels of the picture as a viewer shows it: where no mask is given, the wall is searched from
        here.
    others : (x, y) points
        On what is no wall, likewise; with ``clicks`` only.
    grow : float
        Pixels to grow the mask by; negative shrinks it.
    feather : float
        Width in pixels of a soft edge; 0 keeps the mask's own.
    edge : int
        How many pixels beyond the mask the matte may reach, 0-16.
    strength : float
        0-1.
    seed : int
    provider : str
        ``tratto``: calculated, exact, nothing invented. ``sd15``: painted anew by a diffusion model.
    params : dict
        Parameters of ``sd15``; see :mod:`tratto.providers.inpainter.diffusion`. ``lock`` says what happens after it:
        ``seen`` or ``paint`` bring the wall onto the colour as the embedded method does, ``none`` leaves it as painted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    color: tuple[Channel, Channel, Channel] | None = None
    texture: str = ""
    corners: tuple[tuple[float, float], ...] | None = None
    repeat: tuple[Annotated[float, Field(gt=0, le=1000)], Annotated[float, Field(gt=0, le=1000)]] | None = None
    match: Literal["seen", "paint"] = "seen"
    was: tuple[Channel, Channel, Channel] | None = None
    bounce: Annotated[float, Field(ge=0.0, le=0.6)] | None = None
    pattern: Literal["auto", "keep", "remove"] = "auto"
    stains: Literal["keep", "remove"] = "keep"
    glossy: bool = False
    clicks: tuple[tuple[float, float], ...] = ()
    others: tuple[tuple[float, float], ...] = ()
    grow: Annotated[float, Field(ge=-64, le=64)] = 0.0
    feather: Annotated[float, Field(ge=0, le=64)] = 0.0
    edge: Annotated[int, Field(ge=0, le=16)] = 0
    strength: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    seed: Annotated[int, Field(ge=0, le=2**53 - 1)] = 0
    provider: Literal["tratto", "sd15"] = "tratto"
    params: dict[str, Any] = Field(default_factory=dict)

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

    @field_validator("corners")
    @classmethod
    def _quadrilateral(cls, v: tuple[tuple[float, float], ...] | None) -> tuple[tuple[float, float], ...] | None:
        if v is not None and (len(v) != 4 or not all(math.isfinite(c) for p in v for c in p)):
            raise ValueError("takes four points x,y: top left, top right, bottom right, bottom left")
        return v

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
            raise ValueError("points on other things (--not) need points on the wall (--click); they change no mask")
        return self

    @model_validator(mode="after")
    def _one_reference(self) -> RecolorOptions:
        if (self.color is None) == (self.texture == ""):
            raise ValueError("give exactly one of a color and a texture")
        if self.texture == "" and (self.corners is not None or self.repeat is not None):
            raise ValueError("corners and repeat lay a texture; a plain color needs neither")
        return self


#: Why forensic mode refuses it.
NO_EVIDENCE = "another paint is not"


def uses(options: RecolorOptions) -> tuple[Use[Any], ...]:
    """Return what is needed whatever the picture, so that it is refused early where it is not here."""
    return (Use("in-painter", options.provider, options.params),) if options.provider == "sd15" else ()


def prepare(options: RecolorOptions, image: Image, given: Given, services: Services) -> Prepared:
    """Open the wall's mask or find the wall from clicks, grow and feather it as asked; turn corners to stored pixels.

    The share of wall is in the last bits of the mask's values; see :func:`tratto.imaging.matting.coded`.

    Raises
    ------
    OptionError
        If there is neither a mask nor a click, the mask does not fit, or the wallpaper is missing.
    """
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
    inspection : Inspection
        Tells the step the noise.

    Returns
    -------
    Recipe
        With the reasons in words.
    """
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


def make_options(**fields: Any) -> RecolorOptions:
    """Return validated options.

    Parameters
    ----------
    **fields
        Attributes of :class:`RecolorOptions`.

    Raises
    ------
    OptionError
        Naming every option that is unknown or out of range.
    """
    try:
        return RecolorOptions(**fields)
    except ValidationError as e:
        parts = []
        for item in e.errors(include_url=False, include_context=False):
            where = ".".join(str(p) for p in item["loc"])
            message = item["msg"].removeprefix("Value error, ")
            given = item["input"]
            if isinstance(given, str | int | float) and repr(given) not in message:
                message += f", got {given!r}"
            parts.append(f"{where}: {message}" if where else message)
        raise OptionError("; ".join(parts)) from e
