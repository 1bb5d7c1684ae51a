"""Plan an object in space: from one photograph to a recipe, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tratto.core.errors import OptionError
from tratto.core.inspection import Inspection
from tratto.core.options import CLI, HTTP, LARGEST_SEED, NAME, PARAMETERS, SDK, BadOptions, Need, TaskOptions, option
from tratto.tasks.lift import Export

if TYPE_CHECKING:
    from tratto.core.image import Image
    from tratto.core.recipe import Recipe
    from tratto.core.services import Services
    from tratto.tasks.prepared import Given, Prepared

#: Steps of the optimiser: of a shell that is told, and of views that a full-size model makes.
STEPS, STEPS_VIEWS = 200, 1000


class LiftPhotoOptions(TaskOptions):
    """What a user may ask of ``lift`` with one photograph, validated."""

    needs = (
        Need("rasterizer", provider="rasterizer", params=""),
        Need("shell", provider="shape", params=""),
        Need("background", provider="background", params=""),
        Need("views", provider="views", params="params", unless=("",)),
    )
    no_evidence = "what lies behind the one photograph is not in it"
    elevation: float | None = option(
        None, "How far the camera stands above the object; else the network tells it.", unit="degrees", ge=-80, le=80
    )
    field_of_view: float | None = option(
        None, "Of the photograph's longer side; else what its EXIF says, else 39.6.", unit="degrees", ge=1, le=150
    )
    views: str = option(
        "", "Have a full-size model make views from around: syncdreamer, zero123plus or triposr.", doors=(CLI, SDK)
    )
    params: dict[str, Any] = option(
        {}, "Parameters of {views}: model=FOLDER, and steps and guidance of the model.", "--param", doors=(CLI, SDK),
        **PARAMETERS,
    )  # fmt: skip
    gaussians: int = option(8000, "Gaussians that {views} begins with.", ge=100, le=500_000, doors=(CLI, SDK))
    side: int = option(256, "Side of the square around the object, as it is used.", unit="pixels", ge=64, le=512)
    steps: int | None = option(
        None, f"Steps of the optimiser; else {STEPS}, with {{views}} {STEPS_VIEWS}.", ge=0, le=10_000
    )
    refine: int = option(0, "Rounds of refinement by enhanced renderings (MVCRM, with restore).", ge=0, le=10)
    background: str = option(
        "auto", "Who finds the object where the photograph has no transparency: auto, u2netp or grabcut.", http=NAME
    )
    shape: str = option("auto", "Who tells its shape: auto, tratto (our own network) or mirror (nobody).", http=NAME)
    rasterizer: str = option("auto", "Who renders: auto, cpu or gsplat.", http=NAME)
    seed: int = option(0, "Seed of everything random.", ge=0, le=LARGEST_SEED)
    export: tuple[Export, ...] = option(
        (), "Also write it as splat, spz, spz4, glb, mesh, webp (turntable) or mp4.", metavar="FORMAT",
        expected="splat, spz, spz4, glb, mesh, webp or mp4", collect=tuple, parse=str, doors=(CLI, HTTP),
    )  # fmt: skip

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Refuse what only one of both ways takes."""
        if self.params and not self.views:
            raise BadOptions("{params} are those of {views}; name one")
        if self.views and self.refine:
            raise BadOptions("{refine} is for what is made without {views}; leave one of them away")


def prepare(options: LiftPhotoOptions, image: Image, given: Given, services: Services) -> Prepared:
    """Open the mask of the object, if there is one.

    Raises
    ------
    OptionError
        If the photograph is too small to show anything.
    """
    from tratto.core.capability import Use
    from tratto.imaging.opening import open_inputs
    from tratto.steps.lift_photo import OBJECT
    from tratto.tasks.prepared import Prepared

    options.check(given.inputs)
    if options.views:  # a recipe names folders by their hash
        params = services.settle(Use("views", options.views, options.params)).params
        options = options.model_copy(update={"params": dict(params)})
    if min(image.width, image.height) < 16:
        raise OptionError(f"lift needs a photograph of at least 16x16 pixels, got {image.width}x{image.height}")
    drawn = given.inputs.get(OBJECT)
    inputs = {} if drawn is None else open_inputs({OBJECT: drawn}, given.limits)
    return Prepared(options, inputs=inputs, output="scene")


def plan(options: LiftPhotoOptions, inspection: Inspection) -> Recipe:
    """Turn options into a recipe of one step.

    Parameters
    ----------
    options : LiftPhotoOptions
        Field of view, elevation, sizes and steps.
    inspection : Inspection
        Tells the photograph's size.

    Returns
    -------
    Recipe
        With the reasons in words.
    """
    import math

    from tratto.core.recipe import Recipe
    from tratto.steps.lift_photo import LiftPhoto

    focal = 0.0
    if options.field_of_view is not None:
        focal = max(inspection.width, inspection.height) / 2 / math.tan(math.radians(options.field_of_view) / 2)
    if options.views:
        from tratto.steps.lift_views import LiftViews

        made = LiftViews(
            options.views, options.params, options.elevation, STEPS_VIEWS if options.steps is None else options.steps,
            options.gaussians, options.gaussians * 5 // 4, options.rasterizer, "auto", options.background, focal,
            options.side, options.shape,
        )  # fmt: skip
        why = f"{options.views} makes views of the object from around; the scene is fitted to them and the photograph"
        return Recipe("lift-photo", (made,), options.seed, (why,))
    step = LiftPhoto(
        focal=focal, elevation=options.elevation, side=options.side,
        steps=STEPS if options.steps is None else options.steps, refine=options.refine,
        background=options.background, provider=options.shape, rasterizer=options.rasterizer,
    )  # fmt: skip
    reasons = [
        "the object is told from its ground, and a network tells its front, its back and what that looks like",
        "renderings of it from around are fitted together with the photograph, which counts as much as all of them",
    ]
    if options.refine:
        reasons.append(
            "its renderings are restored, and what several of them agree on is taken over where it is invented"
        )
    return Recipe("lift-photo", (step,), options.seed, tuple(reasons))
