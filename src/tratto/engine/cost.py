"""What a job would do and cost, before it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tratto.core.capability import ProviderInfo, RestorerInfo
from tratto.core.errors import PictureTooLarge
from tratto.core.image import ColorMode, Image, Mask
from tratto.core.recipe import Recipe
from tratto.core.services import Services
from tratto.core.step import Step
from tratto.engine.machine import slowness
from tratto.engine.notes import provider_notes
from tratto.engine.run import forbid_drawings, forbid_generative, forbid_inventing
from tratto.imaging.tiling import TileSpec, computed

#: Seconds that a command takes beside its steps, on the reference machine: once, for each megapixel that is opened,
#: inspected and compared, and for each that is written.
START, OPENED, WRITTEN = 1.4, 0.3, 0.35


@dataclass(frozen=True)
class Estimated:
    """What a job would do.

    Attributes
    ----------
    recipe : Recipe
        Resolved as far as possible without running: providers are named.
    seconds : float
        Of the whole command, on this machine as it is loaded: opening, steps, comparing, writing.
    width, height : int
        Of the result.
    warnings : tuple of str
        What the user should know before: invented detail, licences, options without effect.

    Examples
    --------
    >>> Estimated(Recipe('restore', ()), 1.5, 640, 480).seconds
    1.5
    """

    recipe: Recipe
    seconds: float
    width: int
    height: int
    warnings: tuple[str, ...] = ()


def estimate(
    recipe: Recipe,
    image: Image,
    services: Services,
    forensic: bool = False,
    masks: Mapping[str, Mask] | None = None,
    slow: float | None = None,
) -> Estimated:
    """Say what a recipe would do and how long it may take, without doing it.

    Parameters
    ----------
    recipe : Recipe
        As planned or as resolved.
    image : Image
        As it was opened; only its size and mode are looked at.
    services : Services
        Settle ``auto`` and name prices.
    forensic : bool
        Refuse what forensic mode refuses.
    masks : mapping of str to Mask, or None
        As far as they are known: some steps work where their mask is only.
    slow : float or None
        How many times as long as the reference machine this one takes; None: it is measured.

    Raises
    ------
    ForbiddenStep
        If forensic mode would refuse to do it.
    """
    scale, seconds = 1, 0.0
    steps: list[Step] = []
    notes: list[str] = []
    for asked in recipe.steps:
        if forensic:
            forbid_inventing(asked)
        step = asked.named(tuple(services.settle(u) for u in asked.uses))
        for use in step.uses if forensic else ():
            forbid_drawings(use)
        pixels = image.height * image.width * scale**2
        speed = step.megapixels_per_second  # of its own, where it states one
        if speed is None:
            infos = [(services.open(use).info, use) for use in step.uses]
            for info, use in infos:
                if forensic:
                    forbid_generative(info)
                notes += provider_notes(info, use.fast)
            # inks are shown to a restorer as two pictures
            speed = infos[0][0].megapixels_per_second / (2 if image.mode is ColorMode.CMYK else 1)
            pixels = _done(infos[0][0], pixels, image, scale)
        own = step.seconds(masks or {}, services)
        seconds += pixels / 1e6 / max(speed, 1e-6) if own is None else own
        scale *= step.scale
        steps.append(step)
    resolved = replace(recipe, steps=tuple(steps))
    opened = image.height * image.width / 1e6
    seconds = (slowness() if slow is None else slow) * (seconds + START + OPENED * opened + WRITTEN * opened * scale**2)
    return Estimated(resolved, seconds, image.width * scale, image.height * scale, tuple(dict.fromkeys(notes)))


def _done(info: ProviderInfo, pixels: int, image: Image, scale: int) -> int:
    """Return how many pixels a restorer computes: where its speed is that of one tile, what overlaps comes on top."""
    if not isinstance(info, RestorerInfo) or not info.library.startswith("ncnn"):
        return pixels
    spec = TileSpec(info.tile, info.overlap, info.multiple, info.scale, border=info.border)
    return computed(image.height * scale, image.width * scale, spec)


def check_cost(estimated: Estimated, output_pixels: int, minutes: float) -> None:
    """Refuse a job that is over the limits.

    Parameters
    ----------
    estimated : Estimated
        From :func:`estimate`.
    output_pixels : int
        Largest number of pixels of a result.
    minutes : float
        Longest estimated time.

    Raises
    ------
    PictureTooLarge
        With what to do about it.
    """
    pixels = estimated.width * estimated.height
    if pixels > output_pixels:
        raise PictureTooLarge(
            "the result would have {} megapixels, the limit is {}; choose a smaller scale or raise "
            "--max-output-megapixels".format(*apart(pixels / 1e6, output_pixels / 1e6))
        )
    if estimated.seconds > 60 * minutes:
        raise PictureTooLarge(
            "this would take about {} minutes, the limit is {}; choose a faster --provider or raise "
            "--max-minutes".format(*apart(estimated.seconds / 60, minutes))
        )


def apart(value: float, limit: float) -> tuple[str, str]:
    """Return two numbers with as many digits as it takes to tell them apart, and either from 0."""
    for digits in range(16):
        a, b = (f"{v:.{digits}f}" for v in (value, limit))
        if a != b and all(float(text) or not v for text, v in ((a, value), (b, limit))):
            return a, b
    return repr(value), repr(limit)
