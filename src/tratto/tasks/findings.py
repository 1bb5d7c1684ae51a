"""Say in plain sentences what is wrong with a picture and what ``restore`` would do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tratto.tasks.restore import (
    BLUR_STAYS,
    BY_OCTAVE,
    CLEAN_QUALITY,
    RestoreOptions,
    film_grain,
    noise_of,
    noisy,
    outlived,
    softness,
    specked,
    texture,
)

if TYPE_CHECKING:
    from tratto.core.inspection import Inspection
    from tratto.core.recipe import Recipe
    from tratto.core.step import Step

#: Noise (1/255) and JPEG quality in words: up to the first number it is the second.
NOISE_WORDS = ((5.0, "slightly"), (12.0, "plainly"), (25.0, "strongly"), (float("inf"), "very strongly"))
QUALITY_WORDS = (
    (30.0, "very strongly: blocks and rings show"), (60.0, "strongly: rings show along edges"),
    (80.0, "moderately"), (CLEAN_QUALITY, "lightly"),
)  # fmt: skip
#: Share of clipped samples that is worth a sentence.
CLIPPED = 0.01
_OCTAVES = "take the noise off brightness octave by octave"
_DENOISE = {
    "noise": "take the noise away",
    "real": "take noise as cameras and film have it away",
    "jpeg": "take the JPEG artefacts away",
}


def findings(inspection: Inspection) -> list[str]:
    """Return one sentence for each problem of a picture, by the judgement of ``restore``; one that says so for none.

    Examples
    --------
    >>> from tratto.core.inspection import Estimate, Inspection
    >>> no = Estimate(None, "not measurable")
    >>> quality = Estimate(25.0, "exact")
    >>> findings(Inspection(9, 9, "rgb", 8, "jpeg", no, (), (), quality, 1, no, no, 0.0, 0.0))
    ['It was compressed as JPEG at quality 25, very strongly: blocks and rings show.']
    """
    options, octaves = RestoreOptions(), inspection.octaves
    found = []
    sigma, film = noise_of(options, inspection), film_grain(options, inspection)
    if octaves is not None and octaves.screen is not None:
        found.append(f"It is a scan of print, with dots every {octaves.screen:.1f} pixels: they are not noise.")
    elif film is not None:
        found.append(f"It has grain of film: sigma {film:.1f} of 255, over some {_size(inspection):.1f} pixels.")
    elif sigma is not None and noisy(options, inspection):
        spread = f", spread over some {_size(inspection):.1f} pixels" if _size(inspection) >= 1.2 else ""
        found.append(f"It is {_words(NOISE_WORDS, sigma)} noisy: sigma {sigma:.1f} of 255{spread}.")
    elif ground := outlived(options, inspection):
        found.append(f"It has noise that outlived the compression: {ground}.")
    quality = inspection.jpeg_quality.value
    if quality is not None and quality < CLEAN_QUALITY:
        times = "twice as JPEG, last" if inspection.jpeg_generations > 1 else "as JPEG"
        found.append(f"It was compressed {times} at quality {quality:.0f}, {_words(QUALITY_WORDS, quality)}.")
    soft, enlarged = softness(inspection), inspection.upscale.value
    if soft is not None:
        found.append(f"It is soft: its edges are blurred over {soft:.1f} pixels; 0.8 is sharp.")
    if enlarged is not None and enlarged > 1:
        found.append(f"It was enlarged to {enlarged:.0f} times its size: there is no finer detail in it.")
    for share, where in ((inspection.clipped_low, "black"), (inspection.clipped_high, "white")):
        if share >= CLIPPED:
            found.append(f"{100 * share:.1f} % of its samples are clipped at {where}: what was there is lost.")
    if specks := specked(options, inspection):
        found.append(f"Single specks lie on {100 * specks:.1f} % of it: dust, which restore may leave.")
    if found:
        return found
    if inspection.noise_sigma.value is None and inspection.blur_sigma.value is None:
        why = inspection.noise_sigma.note or inspection.blur_sigma.note
        return ["Neither noise nor blur could be measured" + (f": {why}." if why else ".")]
    fine = "; what looks like noise is fine texture" if texture(inspection) else ""
    return [f"No noise, compression or blur was found{fine}."]


def intention(recipe: Recipe, seconds: float) -> str:
    """Return what a recipe of ``restore`` would do and how long it would take, in one sentence.

    Examples
    --------
    >>> from tratto.core.recipe import Recipe
    >>> intention(Recipe("restore", (), 0, ()), 1.0)
    'tratto restore would leave it as it is.'
    """
    stays = "".join(f"; {reason}" for reason in recipe.reasons if reason.startswith(BLUR_STAYS))
    if not recipe.steps:
        return f"tratto restore would leave it as it is{stays}."
    verbs = ", then ".join(_verbs(recipe.steps))
    return f"tratto restore would {verbs}, in some {max(seconds, 1):.0f} s on this machine{stays}."


def _verbs(steps: Sequence[Step]) -> list[str]:
    from tratto.steps.denoise import Denoise
    from tratto.steps.upscale import Upscale

    said = []
    for step in steps:
        if isinstance(step, Upscale):
            words = f"enlarge it {step.scale} times"
        elif isinstance(step, Denoise):
            held = ", never more than was measured" if step.limit is not None else ""
            words = (_OCTAVES if step.provider == BY_OCTAVE else _DENOISE[step.damage]) + held
        else:
            words = "sharpen it by the blur that was measured"
        said.append(words + (f" ({100 * step.strength:.0f} % of the effect)" if step.strength < 1 else ""))
    return said


def _words(scale: Sequence[tuple[float, str]], value: float) -> str:
    return next(words for top, words in scale if value < top)


def _size(inspection: Inspection) -> float:
    return 1.0 if inspection.octaves is None else inspection.octaves.size
