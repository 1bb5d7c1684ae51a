"""Plan a restoration: from options and an inspection to a recipe, and nothing else."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)

from tratto.core.capability import Use
from tratto.core.errors import OptionError
from tratto.core.image import Image
from tratto.core.inspection import Inspection
from tratto.core.recipe import Recipe
from tratto.core.services import Services
from tratto.core.step import Step
from tratto.imaging.opening import open_mask
from tratto.steps.deblur import Deblur
from tratto.steps.denoise import Damage, Denoise
from tratto.steps.upscale import Upscale
from tratto.tasks import Given, Prepared

#: Up to this noise (1/255) and from this JPEG quality on a picture counts as clean. Noise of sigma 2.5 leaves a picture
#: 40 dB from its clean self: there is little to gain, while fine texture, which is easily read as a sigma of 1 to 2,
#: could be lost. Quality 93 quantises no coefficient of the standard table by more than about 14/255.
CLEAN_SIGMA = 2.5
CLEAN_QUALITY = 93.0
#: Noise outlives compression where its sigma (1/255, before compression) is at least the first number plus the second
#: times the factor by which the JPEG quality scales the quantisation tables. By benchmarks/choose_network.py, on six
#: held-out photographs: below it the network for JPEG traces comes closer to the clean picture, above it the one for
#: noise, by up to 6 dB in the mean.
OUTLIVES = (4.0, 7.0)
#: Where no network says how much noise there was: from this quality on, noise that single pixels show as at least this
#: (1/255) outlives it. Compression takes most of it from them, so that this is the coarser rule.
NOISE_SURVIVES_QUALITY = 50.0
NOISE_OUTWEIGHS = 6.0
#: Up to here (1/255) what single pixels show may be fine texture, if no flat area was found to measure noise in and the
#: network sees none. (Where there is a flat area, the calmest blocks may be a mount without noise, and the network is
#: not asked.) Of 126 held-out pictures with noise of more than 4 it overlooked 8 (its model card): mostly grain, and
#: noise under JPEG, which single pixels do not show either.
TEXTURE_SIGMA = 12.0
#: Where the network reads at least so much noise (1/255), with one standard error to spare and GRAIN_SHARE times what
#: single pixels show, the reasons speak of grain.
GRAIN_SIGMA = 5.0
GRAIN_SHARE = 1.5
#: Noise that is spread over fewer pixels than this is no grain.
GRAIN_SIZE = 0.4
#: An edge softer than this many pixels counts as blurred.
SHARP_BLUR = 1.3


#: What each option may be, in words, for messages.
_WANTED = {
    "scale": "1, 2, 3 or 4",
    "strength": "a number from 0 to 1",
    "noise_sigma": "a number from 0 to 255",
    "provider": "the name of a provider, or auto",
    "kernel": "nearest, bilinear, bicubic or lanczos",
    "fast": "true or false",
    "force": "true or false",
    "seed": "a whole number from 0 to 2**53 - 1",
    "params": "names with values",
}
#: They interpolate and remove nothing.
_ONLY_ENLARGE = ("bicubic", "lanczos")
_OWN_OR_AUTO = ("auto", "tratto", "tratto-openvino")


class RestoreOptions(BaseModel):
    """What a user may ask of ``restore``, validated.

    Attributes
    ----------
    scale : int
        1, 2 or 4 (3 where a provider has it).
    strength : float
        0 leaves the picture as it is, 1 is the full effect.
    noise_sigma : float or None
        Noise level in 1/255 (0-255) to believe instead of the estimate. None = estimate.
    provider : str
        Name in the restorer table or ``auto``.
    kernel : str
        How what may not change is enlarged.
    fast : bool
        Allow lower precision.
    force : bool
        Restore even what looks clean.
    seed : int
    params : dict
        Further parameters of the provider.

    Raises
    ------
    OptionError
        Naming every option that is unknown or out of range.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: Literal[1, 2, 3, 4] = 1
    strength: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    noise_sigma: Annotated[float, Field(ge=0.0, le=255.0)] | None = None
    provider: str = "auto"
    kernel: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    fast: bool = False
    force: bool = False
    seed: Annotated[int, Field(ge=0, le=2**53 - 1)] = 0
    params: dict[str, Any] = Field(default_factory=dict)

    @field_validator("strength", "noise_sigma")
    @classmethod
    def _finite(cls, v: float | None) -> float | None:
        if v is not None and not math.isfinite(v):
            raise ValueError("must be a finite number")
        return v

    @model_validator(mode="wrap")
    @classmethod
    def _in_words(cls, data: Any, handler: ModelWrapValidatorHandler[RestoreOptions]) -> RestoreOptions:
        try:
            return handler(data)
        except ValidationError as e:
            raise OptionError("; ".join(_complaints(e))) from e


#: Forensic mode may run it.
NO_EVIDENCE = ""


def uses(options: RestoreOptions) -> tuple[Use[Any], ...]:
    """Return what is needed whatever the picture, so that it is refused early where it is not here."""
    return (Use("restorer", options.provider, options.params, options.scale, options.fast),)


def prepare(options: RestoreOptions, image: Image, given: Given, services: Services) -> Prepared:
    """Open the mask, if there is one."""
    mask = given.inputs.get("mask")
    return Prepared(options, None if mask is None else open_mask(mask, image, given.limits))


def _complaints(error: ValidationError) -> list[str]:
    """Return one sentence for each option that is wrong."""
    parts: dict[str, str] = {}
    for item in error.errors(include_url=False, include_context=False):
        name = str(item["loc"][0]) if item["loc"] else "options"
        wanted = _WANTED.get(name)
        got = repr(item["input"])
        got = got if len(got) <= 80 else f"{got[:80]}..."
        if wanted is not None:
            parts[name] = f"{name} must be {wanted}, got {got}"
        else:
            parts[name] = f"there is no option {name!r}; there are {', '.join(_WANTED)}"
    return list(parts.values())


def softness(inspection: Inspection) -> float | None:
    """Return how soft the edges are in pixels where that counts as blur, else None."""
    blur = inspection.blur_sigma.value
    return blur if blur is not None and blur > SHARP_BLUR else None


def damage_reasons(options: RestoreOptions, inspection: Inspection) -> list[str]:
    """Return in plain words which noise and compression the picture has; empty when it counts as free of both."""
    reasons = []
    sigma = noise_of(options, inspection)
    told = "stated" if options.noise_sigma is not None else inspection.noise_sigma.basis
    if sigma is not None and noisy(options, inspection):
        reasons.append(f"noise: sigma {sigma:.1f} of 255 ({told})")
    quality = inspection.jpeg_quality
    if quality.value is not None and quality.value < CLEAN_QUALITY:
        reasons.append(f"JPEG compression: quality {quality.value:.0f} ({quality.basis})")
    return reasons


def noise_of(options: RestoreOptions, inspection: Inspection) -> float | None:
    """Return the noise that counts, in 1/255: as stated, else as single pixels show it, unless that is fine texture."""
    if options.noise_sigma is not None:
        return options.noise_sigma
    return 0.0 if texture(inspection) else inspection.noise_sigma.value


def texture(inspection: Inspection) -> bool:
    """Return whether what single pixels show as faint noise is fine texture, by the network's opinion."""
    sigma, said = inspection.noise_sigma.value, inspection.opinion
    if sigma is None or said is None or inspection.noise_curve or not CLEAN_SIGMA < sigma <= TEXTURE_SIGMA:
        return False
    return said.noise.value + said.noise.error < CLEAN_SIGMA


def prevailing(options: RestoreOptions, inspection: Inspection) -> Damage:
    """Return which damage our own networks should be chosen for."""
    quality = inspection.jpeg_quality.value
    if quality is None or quality >= CLEAN_QUALITY:
        return "noise"
    said = inspection.opinion
    sigma = said.noise.value if options.noise_sigma is None and said is not None else options.noise_sigma
    if sigma is None:
        read = inspection.noise_sigma.value or 0.0
        return "noise" if quality >= NOISE_SURVIVES_QUALITY and read >= NOISE_OUTWEIGHS else "jpeg"
    return "noise" if sigma >= OUTLIVES[0] + OUTLIVES[1] * table_scale(quality) else "jpeg"


def table_scale(quality: float) -> float:
    """Return the factor by which libjpeg scales its quantisation tables at a quality of 1-100."""
    return 50 / max(quality, 1.0) if quality < 50 else 2 - quality / 50


def plan(options: RestoreOptions, inspection: Inspection) -> Recipe:
    """Turn options and an inspection into a recipe.

    A clean picture at scale 1 gets a recipe without steps: it is left alone. One that is only soft is deblurred. A
    noisy one that is to be enlarged is
    cleaned first by ``auto`` and by our own network. Any other provider that is named gets it as it is, and the reasons
    say that nothing was removed beforehand.

    Parameters
    ----------
    options : RestoreOptions
    inspection : Inspection

    Returns
    -------
    Recipe
        With the reasons in words.
    """
    damage = damage_reasons(options, inspection)
    reasons = list(damage)
    steps: list[Step] = []
    grain = _grain(options, inspection)
    if grain:
        reasons.append(grain)
    if options.noise_sigma is None and texture(inspection):
        shown = inspection.noise_sigma.value or 0.0
        reasons.append(f"fine texture: single pixels show sigma {shown:.1f}, a network sees no noise")
    clean_first = bool(damage) and options.provider in _OWN_OR_AUTO
    if clean_first and "network" not in options.params:
        reasons += _choice(options, inspection)
    soft = softness(inspection)
    if soft is not None:
        reasons.append(f"blur: edges {soft:.1f} pixels soft ({inspection.blur_sigma.basis})")
        if damage or grain:
            reasons.append("the blur stays: sharpening would bring noise, grain and blocks out")
        elif options.scale > 1:
            reasons.append("the blur is enlarged with the picture")
    if options.scale == 1:
        if options.provider == "wiener" or (
            soft is not None and not (damage or grain) and options.provider in _OWN_OR_AUTO
        ):
            enlarged = inspection.upscale.value
            if enlarged is not None and enlarged > 1 and options.provider != "wiener" and not options.force:
                reasons.append(f"it was enlarged {enlarged:.0f} times before, so that there is no detail: left alone")
            else:
                blur = soft or inspection.blur_sigma.value
                known = {} if blur is None else {"blur": round(float(blur), 2)}
                steps.append(
                    Deblur(
                        strength=options.strength,
                        fast=options.fast,
                        params={**known, **(options.params if options.provider == "wiener" else {})},
                    )
                )
        elif damage or (soft is not None and not grain) or options.force:
            steps.append(_denoise(options, inspection))
            if not damage and soft is None:
                reasons.append(f"{_nothing(options, inspection)}; restored because it was asked for")
        elif _unmeasured(options, inspection):
            reasons.append(f"{_nothing(options, inspection)}: left alone; --force restores it (in Python: force=True)")
        else:
            reasons.append(f"{_nothing(options, inspection)}: left alone")
    else:
        if clean_first:
            steps.append(_denoise(options, inspection))
        elif damage and options.provider in _ONLY_ENLARGE:
            reasons.append(f"not removed: {options.provider} only enlarges; provider auto or tratto would clean first")
        elif damage:
            reasons.append(
                f"not removed beforehand: {options.provider} was named and gets the picture as it is; "
                "provider auto or tratto would clean first"
            )
        reasons.append(f"enlarged {options.scale} times as asked")
        upscale_by = inspection.upscale.value
        if upscale_by is not None and upscale_by > 1:
            reasons.append(f"it seems to have been enlarged {upscale_by:.0f} times before, which no detail can undo")
        steps.append(
            Upscale(
                scale=options.scale,
                provider=options.provider,
                strength=options.strength,
                kernel=options.kernel,
                noise_sigma=options.noise_sigma,
                fast=options.fast,
                params=options.params,
            )
        )
    return Recipe(task="restore", steps=tuple(steps), seed=options.seed, reasons=tuple(reasons))


def _choice(options: RestoreOptions, inspection: Inspection) -> list[str]:
    """Say which of our networks a compressed picture gets, and by what."""
    quality = inspection.jpeg_quality.value
    if quality is None or quality >= CLEAN_QUALITY:
        return []
    said, stated = inspection.opinion, options.noise_sigma
    by = "" if said is None else f" (a network reads sigma {said.noise.value:.1f} before compression)"
    by = by if stated is None else f" (sigma {stated:g} as stated)"
    if prevailing(options, inspection) == "noise":
        return [f"the noise outlived the compression{by}: the network for noise"]
    return [f"the network for JPEG traces{by if noisy(options, inspection) else ''}"]


def noisy(options: RestoreOptions, inspection: Inspection) -> bool:
    """Return whether the picture counts as noisy."""
    sigma = noise_of(options, inspection)
    return sigma is not None and sigma > CLEAN_SIGMA


def _unmeasured(options: RestoreOptions, inspection: Inspection) -> bool:
    """Return whether neither noise nor blur could be measured, nor a noise was stated: nobody knows of damage."""
    unknown = inspection.noise_sigma.value is None and inspection.blur_sigma.value is None
    return unknown and options.noise_sigma is None


def _grain(options: RestoreOptions, inspection: Inspection) -> str:
    """Say that a network sees grain of which single pixels show little; empty where it does not."""
    sigma, said = inspection.noise_sigma.value, inspection.opinion
    if options.noise_sigma is not None or sigma is None or said is None or said.grain is None:
        return ""
    if said.noise.value - said.noise.error < max(GRAIN_SIGMA, GRAIN_SHARE * sigma) or said.grain.value < GRAIN_SIZE:
        return ""
    return (
        f"grain: a network reads noise of sigma {said.noise.value:.0f} of 255 over {said.grain.value:.1f} pixels; "
        "single pixels show only part of it, and our networks take little of it away"
    )


def _nothing(options: RestoreOptions, inspection: Inspection) -> str:
    """Say that no damage was found, or that it could not be looked for."""
    if _grain(options, inspection):
        return "nothing else was found"
    if not _unmeasured(options, inspection):
        return "no noise, compression or blur was found"
    what = "nothing" if inspection.jpeg_quality.value is None else "neither noise nor blur"
    why = inspection.noise_sigma.note or inspection.blur_sigma.note
    return f"{what} could be measured" + (f" ({why})" if why else "")


def _denoise(options: RestoreOptions, inspection: Inspection) -> Denoise:
    damage = prevailing(options, inspection)
    return Denoise(
        provider=options.provider,
        strength=options.strength,
        noise_sigma=options.noise_sigma,
        fast=options.fast,
        params=options.params,
        damage=damage,
        grid=(inspection.jpeg_grid or (0, 0)) if options.params.get("network", damage) == "jpeg" else (0, 0),
    )


def make_options(**fields: Any) -> RestoreOptions:
    """Return validated options.

    Parameters
    ----------
    **fields
        Attributes of :class:`RestoreOptions`.

    Raises
    ------
    OptionError
        Naming every option that is unknown or out of range.
    """
    return RestoreOptions(**fields)
