"""Plan a scene out of views that a model makes of one picture, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tratto.core.inspection import Inspection
from tratto.core.options import CLI, LARGEST_SEED, PARAMETERS, Need, TaskOptions, option
from tratto.steps.lift_views import OBJECT
from tratto.tasks.lift import Export

if TYPE_CHECKING:
    from tratto.core.image import Image
    from tratto.core.recipe import Recipe
    from tratto.core.services import Services
    from tratto.tasks.prepared import Given, Prepared


class LiftViewsOptions(TaskOptions):
    """What a user may ask of ``lift views``, validated. Its models are folders of this machine: no server offers it."""

    needs = (
        Need("views", provider="provider", params="params"),
        Need("rasterizer", provider="rasterizer", params=""),
    )
    no_evidence = "no view but the picture's own was ever seen"
    provider: Literal["syncdreamer", "zero123plus", "triposr"] = option(
        ..., "Who makes the views: syncdreamer, zero123plus or triposr."
    )
    params: dict[str, Any] = option(
        {}, "Parameters of the provider: model=FOLDER, steps, guidance.", "--param", **PARAMETERS
    )
    elevation: float = option(0.0, "Degrees that the camera stands above the object.", unit="degrees", ge=-80, le=80)
    steps: int = option(1000, "Steps of the optimiser.", ge=0, le=200_000)
    gaussians: int = option(8000, "Gaussians that it begins with.", ge=100, le=500_000)
    most: int = option(10_000, "Gaussians that there may be.", ge=100, le=1_000_000)
    rasterizer: str = option("auto", "Who renders: auto, cpu or gsplat.")
    seed: int = option(0, "Seed of everything random.", ge=0, le=LARGEST_SEED)
    export: tuple[Export, ...] = option(
        (), "Also write it as splat, spz, spz4, glb, mesh, webp (turntable) or mp4.", metavar="FORMAT",
        expected="splat, spz, spz4, glb, mesh, webp or mp4", collect=tuple, parse=str, doors=(CLI,),
    )  # fmt: skip


def prepare(options: LiftViewsOptions, image: Image, given: Given, services: Services) -> Prepared:
    """Find the folder of the model, and open the mask of the object, if there is one."""
    from tratto.core.capability import Use
    from tratto.imaging.opening import open_inputs
    from tratto.providers.catalogue import settle
    from tratto.tasks.prepared import Prepared

    use: Use[Any] = settle(Use("views", options.provider, options.params))
    options = options.model_copy(update={"params": dict(use.params)})  # a recipe names folders by their hash
    drawn = given.inputs.get(OBJECT)
    inputs = {} if drawn is None else open_inputs({OBJECT: drawn}, given.limits)
    return Prepared(options, inputs=inputs, output="scene")


def plan(options: LiftViewsOptions, inspection: Inspection) -> Recipe:
    """Turn options into a recipe of one step.

    Parameters
    ----------
    options : LiftViewsOptions
    inspection : Inspection
        Not needed.

    Returns
    -------
    Recipe
    """
    from tratto.core.recipe import Recipe
    from tratto.steps.lift_views import LiftViews

    step = LiftViews(
        options.provider, options.params, options.elevation, options.steps, options.gaussians, options.most,
        options.rasterizer,
    )  # fmt: skip
    reasons = (f"{options.provider} makes views of the object from around, and the scene is fitted to them",)
    return Recipe("lift-views", (step,), options.seed, reasons)
