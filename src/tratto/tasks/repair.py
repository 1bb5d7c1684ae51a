"""Plan a repair: from options and an inspection to a recipe, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from tratto.core.errors import NothingToDo, OptionError
from tratto.core.inspection import Inspection
from tratto.core.options import CLI, LARGEST_SEED, NAME, PARAMETERS, SDK, BadOptions, Need, TaskOptions, option

if TYPE_CHECKING:
    from tratto.core.image import Image
    from tratto.core.recipe import Recipe
    from tratto.core.services import Services
    from tratto.core.step import Step
    from tratto.tasks.prepared import Given, Prepared


#: A name, or nothing.
NAMED = {"pattern": "^([A-Za-z0-9][A-Za-z0-9_-]*)?$", "maxLength": 61}


class RepairOptions(TaskOptions):
    """What a user may ask of ``repair``, validated. What is damaged says the mask, not these options."""

    needs = (Need("inpainter", provider="method"),)
    no_evidence = "what fills a hole is not"
    threshold: float = option(
        0.5, "Minimum probability that counts where a network proposes the mask, 0-1.", gt=0, lt=1
    )
    method: str = option(
        "auto",
        "auto (chosen for each part of the mask by its size and surroundings), tratto, patch, texture, plate, "
        "navier-stokes, telea, biharmonic, sdxl or sd15.",
        http=NAME,
    )
    params: dict[str, Any] = option(
        {}, "Parameters of sdxl or sd15, such as model=FOLDER.", "--param", doors=(CLI, SDK), **PARAMETERS
    )
    caption: str = option(
        "", "What the picture shows: for the receipt, and the prompt of sdxl or sd15; auto: say it.", max_length=2000
    )
    template: str = option(
        "", "Named words of yours, in which those of {caption} may stand; see tratto prompts.", http=NAMED
    )
    captioner: str = option("auto", "Who says it for a caption of auto; see tratto describe.", http=NAME)
    grow: float | None = option(
        None,
        "Grow the mask by this many pixels, against a rim of damage. {none}: a mask that a network proposes by what "
        "its rim needs, one of yours not at all.",
        unit="pixels", none="auto", parse=float, ge=0, le=64,
    )  # fmt: skip
    blend: float = option(
        0.0, "Feather the mask's edge over this many pixels, half of them outside it.", unit="pixels", ge=0, le=64
    )
    fill_grain: Literal["match", "none"] = option(
        "match", "match: what is filled gets grain like that around it, in strength, size and colour; none: it stays "
        "smooth. A diffusion model's painting stays as it is."
    )  # fmt: skip
    seed: int = option(0, "Seed of the search for texture, or of a diffusion model's noise.", ge=0, le=LARGEST_SEED)
    then_restore: bool = option(
        False, "Restore what was repaired, as tratto restore does: photo-repaired.png is what is repaired, photo.png "
        "the result, whose account holds both receipts.", doors=(CLI,),
    )  # fmt: skip
    passes: int = option(1, "How many masks are worked through; follows from the masks.", doors=(SDK,), ge=1, le=32)

    @property
    def following(self) -> str:
        """``restore``, if that was asked for."""
        return "restore" if self.then_restore else ""

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Refuse a proposed mask among others, and an empty name."""
        mask = inputs["mask"]
        passes = mask if isinstance(mask, list | tuple) else (mask,)
        if any(isinstance(m, str) and m == "auto" for m in passes) and len(passes) > 1:
            raise BadOptions(
                "{mask} auto proposes one mask for one pass; for more, find masks first (tratto mask find) and name "
                "them"
            )

    @model_validator(mode="before")
    @classmethod
    def _settled(cls, given: Any) -> Any:
        """Turn the paths of a diffusion model's folders into references, so that no recipe holds a path."""
        from tratto.providers.inpainter.diffusion import is_diffusion, settle_params

        if not isinstance(given, dict):
            return given
        if isinstance(template := given.get("template"), str) and template:
            from tratto.core.prompts import filled

            given = {**given, "caption": filled(template, str(given.get("caption") or ""))}
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


def prepare(options: RepairOptions, image: Image, given: Given, services: Services) -> Prepared:
    """Open the masks of all passes and classes, or have the damage found (``"auto"``), and adjust them.

    Raises
    ------
    OptionError
        If there is no mask, it does not fit, or no damage is found.
    """
    from tratto.tasks.masks import AUTO, FOUND, NOTHING, find_masks, found_rims, open_masks, rims_note
    from tratto.tasks.prepared import Prepared

    mask, found, rims = given.inputs.get("mask"), None, None
    notes: tuple[str, ...] = ()
    if mask is None:
        raise OptionError("repair needs to know what is damaged: give a mask, white where it is (--mask)")
    if isinstance(mask, str) and mask == AUTO:
        mask, found = find_masks(image, options.threshold, services)
        notes = (FOUND,)
        if options.grow is None:
            rims = found_rims(image, mask)
            notes = (FOUND, rims_note(rims))
    grow = options.grow or 0.0
    damage, parts = open_masks(mask, image, (grow, options.blend), given.limits, rims)
    if not damage.values.any():
        raise NothingToDo(
            f"{NOTHING} (the mask is black all over); draw a mask (tratto mask draw), or have damage found"
        )
    if found is not None and rims is not None:
        found["grown"] = {"mean": round(rims.mean, 2), "widest": round(rims.widest, 2)}
    settled = {"passes": max(1, len(parts.of_passes())), "grow": grow if rims is None else round(rims.mean, 2)}
    return Prepared(options.model_copy(update=settled), damage, replace(parts, found_by=found), notes)


def plan(options: RepairOptions, inspection: Inspection) -> Recipe:
    """Turn options and an inspection into a recipe: a step for each pass, and one before if there is a caption.

    Parameters
    ----------
    options : RepairOptions
        Method, passes, prompts and seed.
    inspection : Inspection
        Not needed: the mask says what is wrong.

    Returns
    -------
    Recipe
        With the reasons in words.
    """
    from tratto.core.recipe import Recipe
    from tratto.core.result import pass_name
    from tratto.providers.inpainter.diffusion import is_diffusion
    from tratto.steps.describe import AUTO, Describe
    from tratto.steps.diffuse import Diffuse
    from tratto.steps.inpaint import Inpaint

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
    elif options.fill_grain == "match":
        reasons.append("what is filled gets grain like that around it")
    if options.passes > 1:
        reasons.append(f"in {options.passes} passes with a mask each, each on what the one before left")
    steps: list[Step] = []
    if options.caption.strip():
        by = "" if options.caption != AUTO else options.captioner
        steps.append(Describe(caption=options.caption, by=by))
    for number in range(1, options.passes + 1):
        mask = pass_name(number) if options.passes > 1 else ""
        if is_diffusion(options.method):
            steps.append(
                Diffuse(options.method, options.params, blend=options.blend, grow=options.grow or 0.0, mask=mask)
            )
        else:
            steps.append(
                Inpaint(
                    options.method, options.blend, options.grow or 0.0, mask=mask, grain=options.fill_grain, tight=True
                )
            )
    return Recipe("repair", tuple(steps), options.seed, tuple(reasons))
