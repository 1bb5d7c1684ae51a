"""Run a recipe: resolve, apply, composite, digest, time, record. Nothing else executes steps."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from tratto.core.canvas import Canvas, whole_scale
from tratto.core.capability import ProviderInfo, Use
from tratto.core.errors import ForbiddenStep, OptionError
from tratto.core.image import ColorMode, Kernel, Mask
from tratto.core.recipe import Recipe
from tratto.core.result import Outcome
from tratto.core.services import Services
from tratto.core.step import Step, StepRecord
from tratto.engine.notes import licence_notes
from tratto.imaging.composite import combine_sigma, composite, enlarge, keep_outside
from tratto.imaging.io import digest
from tratto.providers.catalogue import CATALOGUE


def _checked_mask(canvas: Canvas) -> Mask | None:
    mask = canvas.masks.get("edit")
    if mask is not None and mask.values.shape != (canvas.source.height, canvas.source.width):
        raise OptionError(
            f"the mask is {mask.values.shape[1]}x{mask.values.shape[0]}, the picture "
            f"{canvas.source.width}x{canvas.source.height}; they must be of one size"
        )
    return mask


def _own_mask(step: Step, canvas: Canvas) -> Mask | None:
    """Return the mask of a step that works under one of its own, a part of the whole; None: it has the whole."""
    name = step.mask
    if not name:
        return None
    own = canvas.masks.get(name)
    whole = canvas.masks.get("edit")
    if own is None or whole is None:
        raise OptionError(f"{step.name} works under a mask called {name!r}, and there is none")
    if own.values.shape != whole.values.shape or bool((own.values > whole.values).any()):
        raise OptionError(f"the mask {name!r} must lie within the whole mask: a pass cannot open what that leaves shut")
    return own


def run(recipe: Recipe, canvas: Canvas, services: Services, allow_generative: bool = True) -> Outcome:
    """Execute a recipe on a canvas.

    Pixels where the edit mask is 0 come out bit-identical to the source (enlarged by the step's kernel if the recipe
    enlarges), whatever the steps do. A step with a mask of its own (its field ``mask``) sees that one as the edit mask,
    and what lies outside comes out as it was before the step.

    Parameters
    ----------
    recipe : Recipe
        As planned, or as resolved by an earlier run (resolving twice changes nothing).
    canvas : Canvas
        Its ``image`` must not be of palette mode.
    services : Services
        Open providers, give scratch space, hear of progress.
    allow_generative : bool
        False refuses steps whose provider may invent detail (forensic mode), before they run.

    Raises
    ------
    ForbiddenStep
        If a generative step is refused.
    OptionError
        If the mask does not fit, or a strength is not in [0, 1].
    """
    mask = _checked_mask(canvas)
    if canvas.image.mode is ColorMode.PALETTE:
        raise OptionError("a palette picture must be expanded to RGB before it is worked on")
    origin = canvas.image
    kernel: Kernel = "bicubic"
    steps: list[Step] = []
    records: list[StepRecord] = []
    before_digest = digest(canvas.image) if recipe.steps else ""
    for asked in recipe.steps:
        own = _own_mask(asked, canvas)
        seen = canvas if own is None else canvas.replace(masks={**canvas.masks, "edit": own})
        step = asked.named(tuple(services.settle(u) for u in asked.uses)).resolve(seen, services)
        strength = float(step.strength)
        if not 0.0 <= strength <= 1.0:
            raise OptionError(f"strength must lie in [0, 1], got {strength}")
        kernel = step.kernel or kernel
        if not allow_generative:
            forbid_inventing(step)
            for use in step.uses:
                forbid_drawings(use)
                forbid_generative(services.open(use).info)
        start = time.perf_counter()
        before = canvas
        after, record = step.apply(seen, services)
        if record.generative and not allow_generative:
            raise ForbiddenStep(_INVENTS.format(step.name))  # a step that says so only afterwards
        if own is not None:
            after = after.replace(masks=canvas.masks)
        scale, total = whole_scale(after.image, before.image), whole_scale(after.image, origin)
        if (scale is None and strength < 1) or (total is None and mask is not None):
            raise OptionError(
                f"{step.name} gives a picture of another geometry, where nothing can be kept or blended: leave the "
                "mask away, and strength at 1"
            )
        scale, total = scale or 0, total or 0
        if strength < 1:
            composite(after.image, enlarge(before.image, scale, kernel, services.scratch), strength, total)
        if own is not None and after.image is not before.image:
            composite(after.image, enlarge(before.image, scale, kernel, services.scratch), own, total)
        elif mask is not None and after.image is not before.image:
            composite(after.image, enlarge(origin, total, kernel, services.scratch), mask, total)
        if scale and after.sigma is not None and after.sigma is not before.sigma:
            if own is None:
                combine_sigma(after.sigma, before.sigma, strength, mask, (scale, total))
            else:
                combine_sigma(after.sigma, None, strength, own, (scale, total))
                keep_outside(after.sigma, before.sigma, own, (scale, total))
        after_digest = before_digest
        if after.image is not before.image:
            after_digest = digest(after.image)
        elif after.scene is not None and after.scene is not before.scene:
            after_digest = after.scene.digest()
        seconds = time.perf_counter() - start
        licences = tuple(note for note in licence_notes(record.models) if note not in record.notes)
        record = replace(
            record,
            notes=(*record.notes, *licences),
            input_digest=before_digest,
            output_digest=after_digest,
            observed={**record.observed, "seconds": round(seconds, 3)},
        )
        canvas, before_digest = after, after_digest
        steps.append(step)
        records.append(record)
    resolved = replace(recipe, steps=tuple(steps))
    scale = whole_scale(canvas.image, origin)
    baseline = None if scale is None else enlarge(origin, scale, kernel, services.scratch)
    return Outcome(canvas, resolved, tuple(records), baseline, kernel)


_INVENTS = (
    "forensic mode allows only steps that cannot invent detail, and {} puts in what the source does not hold; drop "
    "--forensic"
)


def forbid_inventing(step: Step) -> None:
    """Refuse a step that puts in what the source does not hold, whoever does it (its class says ``invents``).

    Raises
    ------
    ForbiddenStep
        If the step does.
    """
    if step.invents:
        raise ForbiddenStep(_INVENTS.format(step.name))


def forbid_drawings(use: Use[Any]) -> None:
    """Refuse a provider that was made for drawings, as its row in the catalogue says.

    Parameters
    ----------
    use : Use
        Its provider is named.

    Raises
    ------
    ForbiddenStep
        If it was.
    """
    row = CATALOGUE.get(use.capability, {}).get(use.provider)
    if row is not None and row.drawings:
        raise ForbiddenStep(
            f"forensic mode shows what is there, and {use.provider} was made for drawings. Choose another --provider "
            "or drop --forensic"
        )


def forbid_generative(info: ProviderInfo) -> None:
    """Refuse a provider that may invent detail; what forensic mode does, in a dry run, too.

    Parameters
    ----------
    info : ProviderInfo
        Of the provider that a step would use.

    Raises
    ------
    ForbiddenStep
        If it may.
    """
    if info.generative:
        raise ForbiddenStep(
            f"forensic mode allows only steps that cannot invent detail; {info.provider} is generative. "
            "Choose another --provider or drop --forensic"
        )
