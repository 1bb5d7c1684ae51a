"""Plan a repair: from options and an inspection to a recipe, and nothing else."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tratto.core.errors import OptionError
from tratto.core.inspection import Inspection
from tratto.core.recipe import Recipe
from tratto.providers.inpainter import is_diffusion
from tratto.steps.diffuse import Diffuse
from tratto.steps.inpaint import Inpaint


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
        What the picture shows, for the prompt of a diffusion model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = "auto"
    grow: Annotated[float, Field(ge=0, le=64)] = 0.0
    blend: Annotated[float, Field(ge=0, le=64)] = 0.0
    seed: Annotated[int, Field(ge=0, le=2**53 - 1)] = 0
    params: dict[str, Any] = Field(default_factory=dict)
    caption: Annotated[str, Field(max_length=2000)] = ""

    @model_validator(mode="before")
    @classmethod
    def _settled(cls, given: Any) -> Any:
        """Turn the paths of a diffusion model's folders into references, so that no recipe holds a path."""
        from tratto.providers.inpainter import is_diffusion, settle_params

        if not isinstance(given, dict):
            return given
        method, params = given.get("method", "auto"), given.get("params") or {}
        if not isinstance(params, dict) or not isinstance(method, str):
            return given
        if given.get("caption") and not is_diffusion(method):
            raise OptionError(f"a caption is for the prompt of sdxl and sd15; {method} takes none")
        return {**given, "params": settle_params(method, params)} if params or is_diffusion(method) else given


def plan(options: RepairOptions, inspection: Inspection) -> Recipe:
    """Turn options and an inspection into a recipe of one step.

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
        painted = Diffuse(
            method=options.method,
            params=options.params,
            caption=options.caption,
            blend=options.blend,
            grow=options.grow,
        )
        return Recipe("repair", (painted,), options.seed, tuple(reasons))
    step = Inpaint(method=options.method, blend=options.blend, grow=options.grow)
    return Recipe("repair", (step,), options.seed, tuple(reasons))


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
            parts.append(f"{where}: {item['msg']}, got {item['input']!r}" if where else item["msg"])
        raise OptionError("; ".join(parts)) from e
