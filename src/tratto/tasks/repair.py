"""Plan a repair: from options and an inspection to a recipe, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tratto.core.capability import Use
from tratto.core.errors import OptionError
from tratto.core.image import Image
from tratto.core.inspection import Inspection
from tratto.core.recipe import Recipe
from tratto.core.result import pass_name
from tratto.core.services import Services
from tratto.core.step import Step
from tratto.imaging.masks import DAMAGE_CHANCE
from tratto.providers.inpainter.diffusion import is_diffusion
from tratto.steps.describe import AUTO, Describe
from tratto.steps.diffuse import Diffuse
from tratto.steps.inpaint import Inpaint
from tratto.tasks import Given, Prepared
from tratto.tasks.masks import AUTO as FIND
from tratto.tasks.masks import FOUND, find_masks, open_masks


class RepairOptions(BaseModel):
    """What a user may ask of ``repair``, validated. What is damaged says the mask, not these options.

    Attributes
    ----------
    method : str
        ``auto`` chooses for each part of the mask by its size and its surroundings; or a name in the in-painter table.
    grow : float
        Pixels to grow the mask by, 0-64: a mask drawn tightly leaves a rim of the damage, which would be taken for the
        picture.
    blend : float
        Width in pixels of a feather, 0-64; half of it lies outside the mask, where pixels then change, too.
    seed : int
        Of the search for texture, and of a diffusion model's noise.
    params : dict
        Parameters of a diffusion model (``sdxl``, ``sd15``); see :mod:`tratto.providers.inpainter.diffusion`.
    caption : str
        What the picture shows: for the account, and for the prompt of a diffusion model. ``auto``: a captioner says it.
        Empty: nothing is said.
    captioner : str
        Who says it: a name in :data:`tratto.providers.caption.CAPTIONERS`, ``joycaption:FOLDER``, or ``auto``.
    passes : int
        How many masks are worked through one after the other, 1-32; follows from the masks.
    threshold : float
        Least chance that counts where the mask is found by a network.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = "auto"
    grow: Annotated[float, Field(ge=0, le=64)] = 0.0
    blend: Annotated[float, Field(ge=0, le=64)] = 0.0
    seed: Annotated[int, Field(ge=0, le=2**53 - 1)] = 0
    params: dict[str, Any] = Field(default_factory=dict)
    caption: Annotated[str, Field(max_length=2000)] = ""
    captioner: str = "auto"
    passes: Annotated[int, Field(ge=1, le=32)] = 1
    threshold: Annotated[float, Field(gt=0, lt=1)] = DAMAGE_CHANCE

    @model_validator(mode="before")
    @classmethod
    def _settled(cls, given: Any) -> Any:
        """Turn the paths of a diffusion model's folders into references, so that no recipe holds a path."""
        from tratto.providers.inpainter.diffusion import settle_params

        if not isinstance(given, dict):
            return given
        method, params = given.get("method", "auto"), given.get("params") or {}
        if not isinstance(params, dict) or not isinstance(method, str):
            return given
        if params or is_diffusion(method):
            given = {**given, "params": settle_params(method, params)}
        captioner = given.get("captioner", "auto")
        if isinstance(captioner, str) and captioner != "auto":
            from tratto.providers.caption import settle_captioner

            given = {**given, "captioner": settle_captioner(captioner)}
        return given


#: Why forensic mode refuses it.
NO_EVIDENCE = "what fills a hole is not"


def uses(options: RepairOptions) -> tuple[Use[Any], ...]:
    """Return what is needed whatever the picture, so that it is refused early where it is not here."""
    return (Use("in-painter", options.method, options.params),)


def prepare(options: RepairOptions, image: Image, given: Given, services: Services) -> Prepared:
    """Open the masks of all passes and classes, or have the damage found (``"auto"``), and adjust them.

    Raises
    ------
    OptionError
        If there is no mask, it does not fit, or no damage is found.
    """
    mask, found = given.inputs.get("mask"), None
    if mask is None:
        raise OptionError("repair needs to know what is damaged: give a mask, white where it is (--mask)")
    if isinstance(mask, str) and mask == FIND:
        mask, found = find_masks(image, options.threshold, services)
    damage, parts = open_masks(mask, image, (options.grow, options.blend), given.limits)
    options = options.model_copy(update={"passes": max(1, len(parts.of_passes()))})
    return Prepared(options, damage, replace(parts, found_by=found), () if found is None else (FOUND,))


def plan(options: RepairOptions, inspection: Inspection) -> Recipe:
    """Turn options and an inspection into a recipe: a step for each pass, and one before if there is a caption.

    Parameters
    ----------
    options : RepairOptions
    inspection : Inspection
        Not needed: the mask says what is wrong.

    Returns
    -------
    Recipe
        With the reasons in words.
    """
    how = (
        "each part by a method chosen for its size and surroundings"
        if options.method == "auto"
        else f"all of it by {options.method}"
    )
    reasons = [f"what the mask marks is filled, {how}"]
    if options.grow:
        reasons.append(f"the mask was grown by {options.grow:g} pixels")
    if options.blend:
        reasons.append(f"its edge was feathered over {options.blend:g} pixels, half of them outside the mask")
    if is_diffusion(options.method):
        reasons.append("a diffusion model paints it from a prompt: what it shows is invented")
    if options.passes > 1:
        reasons.append(f"in {options.passes} passes with a mask each, each on what the one before left")
    steps: list[Step] = []
    if options.caption.strip():
        by = "" if options.caption != AUTO else options.captioner
        steps.append(Describe(caption=options.caption, by=by))
    for number in range(1, options.passes + 1):
        mask = pass_name(number) if options.passes > 1 else ""
        if is_diffusion(options.method):
            steps.append(Diffuse(options.method, options.params, blend=options.blend, grow=options.grow, mask=mask))
        else:
            steps.append(Inpaint(options.method, options.blend, options.grow, mask=mask))
    return Recipe("repair", tuple(steps), options.seed, tuple(reasons))


def make_options(**fields: Any) -> RepairOptions:
    """Return validated options.

    Parameters
    ----------
    **fields
        Attributes of :class:`RepairOptions`.

    Raises
    ------
    OptionError
        Naming every option that is unknown or out of range.
    """
    try:
        return RepairOptions(**fields)
    except ValidationError as e:
        parts = []
        for item in e.errors(include_url=False, include_context=False):
            where = ".".join(str(p) for p in item["loc"])
            got = repr(item["input"])
            got = got if len(got) <= 80 else f"{got[:80]}... ({len(got)} characters)"
            parts.append(f"{where}: {item['msg']}, got {got}" if where else item["msg"])
        raise OptionError("; ".join(parts)) from e
