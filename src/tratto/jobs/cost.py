"""What a job would do and cost, before it is done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tratto.core.errors import PictureTooLarge
from tratto.core.image import ColorMode, Image
from tratto.core.recipe import Recipe
from tratto.core.services import Services
from tratto.core.step import Step
from tratto.jobs.options import Estimated, JobLimits

if TYPE_CHECKING:
    from tratto.jobs.job import Job


def estimate(job: Job, recipe: Recipe, image: Image, services: Services | None = None) -> Estimated:
    """Say what a recipe would do and how long it may take, without doing it.

    Parameters
    ----------
    job : Job
    recipe : Recipe
    image : Image
    services : Services or None
        None: those of the job.

    Raises
    ------
    ForbiddenStep
        If forensic mode would refuse to do it.
    """
    from tratto.engine.run import forbid_generative, forbid_inventing
    from tratto.steps.denoise import provider_notes

    services = services or job.services(recipe.seed)
    scale, seconds = 1, 0.0
    steps: list[Step] = []
    notes: list[str] = []
    for asked in recipe.steps:
        if job.forensic:
            forbid_inventing(asked)
        step = asked.named(tuple(services.settle(u) for u in asked.uses))
        pixels = image.height * image.width * scale**2
        speed = step.megapixels_per_second  # of its own, where it states one
        if speed is None:
            infos = [(services.open(use).info, use) for use in step.uses]
            for info, use in infos:
                if job.forensic:
                    forbid_generative(info)
                notes += provider_notes(info, use.fast)
            # inks are shown to a restorer as two pictures
            speed = infos[0][0].megapixels_per_second / (2 if image.mode is ColorMode.CMYK else 1)
        seconds += pixels / 1e6 / max(speed, 1e-6)
        scale *= step.scale
        steps.append(step)
    resolved = replace(recipe, steps=tuple(steps))
    return Estimated(resolved, seconds, image.width * scale, image.height * scale, tuple(dict.fromkeys(notes)))


def check_cost(limits: JobLimits, estimated: Estimated) -> None:
    """Refuse a job that is over the limits.

    Raises
    ------
    PictureTooLarge
        With what to do about it.
    """
    pixels = estimated.width * estimated.height
    if pixels > limits.output_pixels:
        raise PictureTooLarge(
            "the result would have {} megapixels, the limit is {}; choose a smaller scale or raise "
            "--max-output-megapixels".format(*apart(pixels / 1e6, limits.output_pixels / 1e6))
        )
    if estimated.seconds > 60 * limits.minutes:
        raise PictureTooLarge(
            "this would take about {} minutes, the limit is {}; choose a faster --provider or raise "
            "--max-minutes".format(*apart(estimated.seconds / 60, limits.minutes))
        )


def apart(value: float, limit: float) -> tuple[str, str]:
    """Return two numbers with as many digits as it takes to tell them apart, and either from 0."""
    for digits in range(16):
        a, b = (f"{v:.{digits}f}" for v in (value, limit))
        if a != b and all(float(text) or not v for text, v in ((a, value), (b, limit))):
            return a, b
    return repr(value), repr(limit)
