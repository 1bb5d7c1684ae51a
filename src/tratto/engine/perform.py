"""A recipe on an opened picture, within limits: priced, run, and brought back to the picture's own mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tratto.core.canvas import Canvas
from tratto.core.errors import ForbiddenStep
from tratto.core.image import ColorMode, Image, Mask
from tratto.core.inspection import Inspection
from tratto.core.recipe import Recipe
from tratto.core.result import Outcome
from tratto.core.services import Services
from tratto.engine.cost import check_cost, estimate
from tratto.engine.machine import SLOWEST
from tratto.engine.run import run
from tratto.imaging.palette import back_to_mode


@dataclass(frozen=True)
class Bounds:
    """What a run may be and cost.

    Attributes
    ----------
    output_pixels : int
        Largest number of pixels of a result.
    minutes : float
        Longest estimated time.
    forensic : bool
        Refuse generative steps and lower precision.
    """

    output_pixels: int
    minutes: float
    forensic: bool = False


def perform(
    recipe: Recipe,
    image: Image,
    inspection: Inspection,
    masks: Mapping[str, Mask],
    services: Services,
    bounds: Bounds,
    inputs: Mapping[str, Image] | None = None,
) -> tuple[Outcome, Image]:
    """Run a recipe on a picture as it was opened.

    Parameters
    ----------
    recipe : Recipe
        As planned, or as resolved by an earlier run.
    image : Image
        Of any mode; a palette is expanded first and brought back afterwards where the size stays.
    inspection : Inspection
        What was measured of ``image``; steps settle their parameters by it.
    masks : mapping of str to Mask
        ``"edit"`` is the one that is enforced.
    services : Services
        Open providers, give scratch space, hear of progress.
    bounds : Bounds
        Largest result, longest time, and whether forensic mode holds.
    inputs : mapping of str to Image, or None
        What else the steps may look at, by role.

    Returns
    -------
    Outcome
        Canvas, resolved recipe and records, of the expanded picture.
    Image
        The result in the source's mode.

    Raises
    ------
    ForbiddenStep, PictureTooLarge, OptionError, UnavailableError
        If forensic mode forbids a step, a limit is exceeded, the mask does not fit, or a provider is not ready.
    """
    from tratto.imaging import io

    if bounds.forensic and any(use.fast for step in recipe.steps for use in step.uses):
        raise ForbiddenStep("forensic mode computes in full precision; drop --fast")
    # how fast this machine is need not be measured for what the slowest would do in time
    cost = estimate(recipe, image, services, bounds.forensic, masks, SLOWEST)
    if cost.seconds > 60 * bounds.minutes:
        cost = estimate(recipe, image, services, bounds.forensic, masks)
    check_cost(cost, bounds.output_pixels, bounds.minutes)
    working = io.expand_palette(image) if image.mode is ColorMode.PALETTE else image
    canvas = Canvas(working, image, masks, inspection, inputs=inputs or {})
    outcome = run(recipe, canvas, services, allow_generative=not bounds.forensic)
    return outcome, back_to_mode(image, outcome.baseline, outcome.canvas.image)
