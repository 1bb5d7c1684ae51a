"""What a job would do and cost, before it is done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tratto.core.errors import PictureTooLarge
from tratto.core.image import ColorMode, Image
from tratto.core.recipe import Recipe
from tratto.session.options import Estimated, JobLimits, silent
from tratto.session.services import JobServices

if TYPE_CHECKING:
    from tratto.session.jobs import Session


def estimate(session: Session, recipe: Recipe, image: Image) -> Estimated:
    """Say what a recipe would do and how long it may take; see :meth:`tratto.Session.estimate`."""
    from tratto.engine.run import forbid_generative, forbid_inventing
    from tratto.steps.denoise import Denoise, restorer_notes

    services = JobServices(session, recipe.seed, False, silent)
    pixels, scale, seconds, steps = image.height * image.width, 1, 0.0, []
    notes: list[str] = []
    for step in recipe.steps:
        if session.forensic:
            forbid_inventing(step)
        if not hasattr(step, "provider"):  # a step of its own, which states its own speed
            seconds += pixels * scale**2 / 1e6 / float(getattr(step, "megapixels_per_second", 1.0))
            steps.append(step)
            continue
        s = int(getattr(step, "scale", 1))
        params = getattr(step, "params", {})
        name = services.choose_restorer(getattr(step, "provider", "auto"), s, params)
        bare: Any = step
        named: Any = bare.by(name) if isinstance(step, Denoise) else replace(bare, provider=name)
        params = getattr(named, "params", {})
        info = session.restorer(name, s, {**params, "fast": bool(getattr(step, "fast", False))}).info
        if session.forensic:
            forbid_generative(info)
        groups = 2 if image.mode is ColorMode.CMYK else 1
        seconds += groups * pixels * scale**2 / 1e6 / max(info.megapixels_per_second, 1e-6)
        scale *= s
        steps.append(named)
        notes += restorer_notes(info, bool(getattr(step, "fast", False)))
    resolved = replace(recipe, steps=tuple(steps))
    return Estimated(resolved, seconds, image.width * scale, image.height * scale, tuple(dict.fromkeys(notes)))


def check_cost(limits: JobLimits, estimated: Estimated) -> None:
    """Refuse a job that is over the limits; see :meth:`tratto.Session.check_cost`."""
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
