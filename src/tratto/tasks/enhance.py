"""Plan to go over a picture with a full-size model, by its depth, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tratto.core.inspection import Inspection
from tratto.core.options import CLI, LARGEST_SEED, PARAMETERS, SDK, Need, TaskOptions, option

if TYPE_CHECKING:
    from tratto.core.image import Image
    from tratto.core.recipe import Recipe
    from tratto.core.services import Services
    from tratto.tasks.prepared import Given, Prepared


class EnhanceOptions(TaskOptions):
    """What a user may ask of ``enhance``, validated. Its models are folders of this machine: no server offers it."""

    needs = (Need("enhancer", provider="provider", params="params"),)
    no_evidence = "the detail that an enhancer adds is invented"
    provider: Literal["sdxl-lightning"] = option("sdxl-lightning", "Who enhances: sdxl-lightning.")
    params: dict[str, Any] = option(
        {}, "Parameters of the provider, such as model, lightning and controlnet (folders); see docs/full-size.md.",
        "--param", doors=(CLI, SDK), **PARAMETERS,
    )  # fmt: skip
    amount: float = option(0.5, "Share of the way to noise at which it starts; four steps at most.", gt=0, le=1)
    trust: float = option(0.35, "Change, of full scale, at which a pixel takes over a share of 1 / e.", gt=0, le=100)
    seer: str = option(
        "auto",
        "Who sees depth where none is given: auto, geometric (a stand-in), a folder or MiDaS' .onnx.",
        doors=(CLI, SDK),
    )
    seed: int = option(0, "Seed of everything random.", ge=0, le=LARGEST_SEED)


def prepare(options: EnhanceOptions, image: Image, given: Given, services: Services) -> Prepared:
    """Find the folders of the model, and open the depth map, if there is one."""
    from tratto.core.capability import Use
    from tratto.imaging.opening import open_inputs
    from tratto.providers.catalogue import settle
    from tratto.steps.enhance import DEPTH
    from tratto.tasks.prepared import Prepared

    use: Use[Any] = settle(Use("enhancer", options.provider, options.params))
    options = options.model_copy(update={"params": dict(use.params)})  # a recipe names folders by their hash
    drawn = given.inputs.get(DEPTH)
    if drawn is None:
        return Prepared(options.model_copy(update={"seer": _seer(options.seer)}))
    opened = open_inputs({DEPTH: drawn}, given.limits)
    return Prepared(options.model_copy(update={"seer": "given"}), inputs=opened)


def _seer(text: str) -> str:
    """Return who sees depth: ``geometric``, or a reference to a folder."""
    from tratto.core.capability import Use
    from tratto.providers.catalogue import settle
    from tratto.providers.depth import depth_use

    if text == "given":
        return text
    use: Use[Any] = settle(Use("depth") if text == "auto" else depth_use(text))
    return str(use.params.get("model", use.provider))


def plan(options: EnhanceOptions, inspection: Inspection) -> Recipe:
    """Turn options into a recipe of one step.

    Parameters
    ----------
    options : EnhanceOptions
        Provider, amount, trust and seed.
    inspection : Inspection
        Not needed.

    Returns
    -------
    Recipe
        With the reasons in words.
    """
    from tratto.core.recipe import Recipe
    from tratto.steps.enhance import Enhance

    step = Enhance(options.provider, options.params, options.amount, options.trust, options.seer)
    reasons = ("a diffusion model goes over the picture by its depth; what it changes much is taken over little",)
    return Recipe("enhance", (step,), options.seed, reasons)
