"""Plan a scene: from photographs with known cameras to a recipe, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tratto.core.errors import OptionError
from tratto.core.inspection import Inspection
from tratto.core.options import CLI, HTTP, LARGEST_SEED, NAME, PARAMETERS, SDK, Need, TaskOptions, option

if TYPE_CHECKING:
    from tratto.core.image import Image
    from tratto.core.recipe import Recipe
    from tratto.core.services import Services
    from tratto.tasks.prepared import Given, Prepared

#: Other forms of a scene.
Export = Literal["splat", "spz", "spz4", "glb", "mesh", "webp", "mp4"]
#: Most photographs that a job is given; of more, so many are taken at equal distances.
MOST = 200


class LiftOptions(TaskOptions):
    """What a user may ask of ``lift``, validated."""

    needs = (Need("rasterizer", provider="rasterizer", params=""),)
    no_evidence = "what a scene shows between and behind the photographs is not in them"
    steps: int = option(2000, "Steps of the optimiser.", ge=0, le=200_000)
    gaussians: int = option(10_000, "Gaussians that it begins with.", ge=100, le=500_000)
    most: int = option(12_000, "Gaussians that there may be.", ge=100, le=1_000_000)
    degree: int = option(0, "Degree of the spherical harmonics: 0 is matt, 3 shines.", ge=0, le=3)
    strategy: Literal["mcmc", "default", "none"] = option(
        "mcmc", "How Gaussians come and go: mcmc, default (clone, split and prune) or none."
    )
    start: Literal["auto", "hull", "points", "space"] = option(
        "auto", "Where it begins: hull (transparency), points (of COLMAP), space, or auto: the first that there is."
    )
    hold_out: int = option(8, "Hold out every so many-th photograph and measure against it; 0: none.", ge=0, le=1000)
    side: int = option(512, "Longest side of the photographs as they are used.", unit="pixels", ge=16, le=4096)
    refine: int = option(0, "Rounds of refinement by enhanced renderings (MVCRM, with restore).", ge=0, le=10)
    depth_gate: float = option(
        0.0, "Refine only where depths of two views agree within this share; 0: off, 0.1 is usual.", ge=0, le=1
    )
    feature_gate: float = option(
        0.0, "Refine only where a picture and its enhanced form correlate so far; 0: off, 0.7 is usual.", ge=0, lt=1
    )
    enhancer: Literal["restore", "sdxl-lightning"] = option(
        "restore",
        "Who enhances renderings when it refines: restore, or sdxl-lightning, which invents.",
        doors=(CLI, SDK),
    )
    enhancer_params: dict[str, Any] = option(
        {},
        "Parameters of sdxl-lightning: folders; see tratto enhance.",
        "--enhancer-param",
        doors=(CLI, SDK),
        **PARAMETERS,
    )
    rasterizer: str = option("auto", "Who renders: auto, cpu or gsplat.", http=NAME)
    seed: int = option(0, "Seed of everything random.", ge=0, le=LARGEST_SEED)
    export: tuple[Export, ...] = option(
        (), "Also write it as splat, spz, spz4, glb, mesh, webp (turntable) or mp4.", metavar="FORMAT",
        expected="splat, spz, spz4, glb, mesh, webp or mp4", collect=tuple, parse=str, doors=(CLI, HTTP),
    )  # fmt: skip
    cameras: tuple[dict[str, Any], ...] = option(
        (), "A camera for each photograph, the picture first.", expected="cameras as tables", doors=(SDK,)
    )
    points: tuple[tuple[float, ...], ...] = option(
        (), "Points that were measured, x y z red green blue.", expected="rows of six numbers", doors=(SDK,)
    )


def prepare(options: LiftOptions, image: Image, given: Given, services: Services) -> Prepared:
    """Open the photographs beside the first; each has a role of its own.

    Raises
    ------
    OptionError
        If there are not as many cameras as photographs, or too few.
    """
    from tratto.imaging.opening import open_inputs
    from tratto.tasks.prepared import Prepared

    if options.refine and options.enhancer != "restore":
        from tratto.core.capability import Use
        from tratto.providers.catalogue import settle

        use: Use[Any] = settle(Use("enhancer", options.enhancer, options.enhancer_params))
        options = options.model_copy(update={"enhancer_params": dict(use.params)})
    more = given.inputs.get("view") or ()
    if len(more) + 1 != len(options.cameras):
        raise OptionError(f"lift needs a camera for each photograph, got {len(options.cameras)} for {len(more) + 1}")
    if len(options.cameras) < 3:
        raise OptionError(f"lift needs at least three photographs with cameras, got {len(options.cameras)}")
    roles = {role(i + 1): path for i, path in enumerate(more)}
    return Prepared(options, inputs=open_inputs(roles, given.limits), output="scene")


def role(number: int) -> str:
    """Return the role of a photograph; number 0 is the picture."""
    return "picture" if number == 0 else f"view-{number:03d}"


def plan(options: LiftOptions, inspection: Inspection) -> Recipe:
    """Turn options into a recipe of one step.

    Parameters
    ----------
    options : LiftOptions
        Cameras, and how the scene is fitted.
    inspection : Inspection
        Not needed: cameras and pixels decide.

    Returns
    -------
    Recipe
        With the reasons in words.
    """
    from tratto.core.recipe import Recipe
    from tratto.steps.reconstruct import Reconstruct

    cameras = [{**dict(c), "role": role(i)} for i, c in enumerate(options.cameras)]
    every = options.hold_out
    held_out = [c["role"] for i, c in enumerate(cameras) if every and i % every == every // 2]
    if len(cameras) - len(held_out) < 2:
        held_out = []
    reasons = [f"{len(cameras) - len(held_out)} photographs with known cameras show the scene"]
    if held_out:
        reasons.append(f"{len(held_out)} more are held out, and what they show is measured against them")
    if options.refine:
        reasons.append("its views are rendered and restored, and what several of them agree on is taken over")
    enhancer = None
    if options.refine and options.enhancer != "restore":
        enhancer = {"provider": options.enhancer, "params": options.enhancer_params}
    gates: dict[str, Any] = {"depth_gate": options.depth_gate, "feature_gate": options.feature_gate}
    step = Reconstruct(
        cameras, held_out, [list(p) for p in options.points], options.start, options.strategy, options.steps,
        options.gaussians, max(options.most, options.gaussians), options.degree, options.side, options.refine,
        gates if options.refine else None, options.rasterizer, enhancer,
    )  # fmt: skip
    return Recipe("lift", (step,), options.seed, tuple(reasons))
