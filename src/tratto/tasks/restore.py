"""Plan a restoration: from options and an inspection to a recipe, and nothing else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from tratto.core.inspection import Inspection
from tratto.core.options import LARGEST_SEED, NAME, NAMED_VALUES, PARAMETERS, Need, TaskOptions, option

if TYPE_CHECKING:
    from tratto.core.image import Image
    from tratto.core.recipe import Recipe
    from tratto.core.services import Services
    from tratto.core.step import Step
    from tratto.steps.denoise import Degradation, Denoise
    from tratto.tasks.prepared import Given, Prepared

#: Up to this noise (1/255) and from this JPEG quality on a picture counts as clean. Noise of sigma 2.5 leaves a picture
#: 40 dB from its clean self: there is little to gain, while fine texture, which is easily read as a sigma of 1 to 2,
#: could be lost. Quality 93 quantises no coefficient of the standard table by more than about 14/255.
CLEAN_SIGMA = 2.5
CLEAN_QUALITY = 93.0
#: Noise outlives compression where its sigma (1/255, before compression) is at least the first number plus the second
#: times the factor by which the JPEG quality scales the quantisation tables. By benchmarks/choose_network.py, on five
#: held-out photographs: below it the network for JPEG artefacts comes closer to the clean picture, above it the one for
#: real noise, by up to 10 dB.
OUTLIVES = (2.0, 7.0)
#: Where no network says how much noise there was: from this quality on, noise that single pixels show as at least this
#: (1/255) outlives it. Compression takes most of it from them, so that this is the coarser rule.
NOISE_SURVIVES_QUALITY = 50.0
NOISE_OUTWEIGHS = 6.0
#: Up to here (1/255) what single pixels show may be fine texture, if no flat area was found to measure noise in and the
#: network sees none. (Where there is a flat area, the calmest blocks may be a mount without noise, and the network is
#: not asked.) Of 126 held-out pictures with noise of more than 4 it overlooked 8 (its model card): mostly grain, and
#: noise under JPEG, which single pixels do not show either.
TEXTURE_SIGMA = 12.0
#: Where calm parts that are even show less than this share of what single pixels show, that is texture elsewhere: white
#: noise shows 0.57 of itself in the finest octave of luma.
CALM = 0.2
#: Where the network reads at least so much noise (1/255), with one standard error to spare and GRAIN_SHARE times what
#: single pixels show, the reasons speak of grain.
GRAIN_SIGMA = 5.0
GRAIN_SHARE = 1.5
#: Noise that is spread over fewer pixels than this is no grain.
GRAIN_SIZE = 0.4
#: An edge softer than this many pixels counts as blurred.
SHARP_BLUR = 1.3
#: From this noise (1/255, octaves of 1 to 4 pixels, colours pooled) on a picture counts as noisy though single pixels
#: show little. On 65 crops of free photographs with simulated noise of cameras (demosaiced, denoised, of all octaves)
#: it is seen in two of three; 8 of the same 65 without it read as more, most of them with noise of their own.
COARSE_SIGMA = 1.5
#: Noise spread over fewer pixels than this single pixels show well enough, and what they show decides; so it is where
#: the octaves hold no more than counts as clean, and less than GRAIN_SHARE times what single pixels show.
COARSE_SIZE = 1.1
#: Noise up to this (1/255) is taken away only as far as it was measured (a limit, times LIMIT), and what is uneven in
#: the calmest blocks is not noise, whoever says so: on 22 crops the network for noise took up to 9 dB of texture where
#: 1.5 dB of noise were to be had.
FAINT_SIGMA = 4.0
LIMIT = 1.25
#: More than this is believed only where single pixels or the network show half of it, too, or where it falls clearly
#: from 2 to 4 pixels: the water of a pond is as even as noise.
COARSE_CERTAIN = 4.0
#: Grain of film: of one colour (luma over the mean of the channels), spread over more pixels than white noise, and at
#: least so strong. Noise of a camera differs from channel to channel, unless a compression took the colours of it away:
#: what has been compressed counts as grain only where the user asks for it to be reduced or removed.
FILM_COLOUR, FILM_SIZE, FILM_SIGMA = 0.9, 1.2, 1.5
#: Deblurring multiplies noise several times: above this (1/255) in the octaves of 1 or 2 pixels nothing is sharpened,
#: whether it is noise or texture that is seen there. At 0.8 a smooth sky with noise of 0.33 was sharpened and lost
#: 8 dB (benchmarks/no_harm.py).
SHARPEN_NOISE = 0.3
#: A mild compression has done less harm to a sharp picture than the network for its artefacts can do. Where no noise is
#: seen only this share of its change is made: by JPEG quality, between these along a line. On 22 crops of free
#: photographs: quality 90, 1.0: +0.08 dB in the mean, -3.7 at worst; 0.25: +0.41 and 0.0; quality 75, 1.0: +1.00 and
#: -0.22; 0.5: +0.90 and +0.22; quality 50, 1.0: +1.38 and +0.28.
JPEG_SHARE = ((55.0, 1.0), (75.0, 0.5), (90.0, 0.25))

#: Noise counts as white where it is spread over fewer pixels than the first, of colours that have less than the second
#: in common (white noise in three channels 0.67, demosaiced noise more) and shown by single pixels to the third.
WHITE_SIZE, WHITE_COLOUR, WHITE_SHOWN = 1.4, 0.96, 0.7
#: From this JPEG quality on noise counts as having outlived the compression where at least so much is seen (1/255; see
#: heard), or at least so much was there before it, as the network reads it or the user states it.
HEARD_QUALITY, HEARD, SAID = 60.0, 0.7, 1.5
#: Where more than the first (1/255) is heard and the network reads less than that, it may be texture: this share of the
#: effect on noise. By benchmarks/doubted_noise.py: with all of it clean crops lost up to 1.2 dB, with this none lost.
DOUBTED, DOUBTED_SHARE = 2.5, 0.35

#: The provider that takes noise off by its octaves.
BY_OCTAVE = "dct"
#: Noise of cameras and grain of film are coarse, and the network takes much of what is coarse for texture: before it
#: runs so many times what the octaves show is taken off them, where one shows at least as much as the second (1/255).
#: On the eight pairs of PolyU that may choose (benchmarks/octaves_first.py): without it 38.30 dB, with 1.0 times 38.85,
#: with 1.25 and 1.5 38.89. Not where the octaves together show more than the third: the network knows strong noise by
#: itself, and faces turned to wax. Nor where nothing was compressed and another network sees no noise. On 60 files of a
#: simulated camera, of which it changes 21, it brings 0.15 dB (0.6 less at worst, 3.0 more at best); where the noise is
#: strong it would cost 0.4 (1.2 at worst), where none is seen 1.3 (2.3 at worst).
SPECTRUM, SPECTRUM_SEEN, SPECTRUM_STRONG = 1.25, 0.5, 3.5
#: Share of single specks from which they are spoken of.
SPECKS = 0.002

#: How the reason begins why nothing is sharpened.
BLUR_STAYS = "the blur stays"
Grain = Literal["keep", "reduce", "remove"]
#: What of the grain is taken away.
GRAIN_STRENGTH = {"reduce": 0.5, "remove": 1.0}
GRAIN_WORDS = {"reduce": "reduced by half", "remove": "removed"}


#: They interpolate and remove nothing.
_ONLY_ENLARGE = ("bicubic", "lanczos")
_OWN_OR_AUTO = ("auto", "tratto", "tratto-openvino")
#: Providers that act whenever they are named: nothing here measures the blur of a motion.
_WHEN_NAMED = ("maxim",)


class RestoreOptions(TaskOptions):
    """What a user may ask of ``restore``, validated."""

    needs = (Need("restorer", scale="scale", fast="fast"),)
    scale: Literal[1, 2, 3, 4] = option(1, "Enlarge 1, 2 or 4 times (3 where a provider has it).", short="-s")
    strength: float = option(1.0, "0 leaves the picture as it is, 1 is the full effect.", ge=0, le=1)
    noise_sigma: float | None = option(
        None, "Noise level of 255; {none}: it is estimated.", "--sigma", unit="1/255", none="auto", parse=float,
        ge=0, le=255,
    )  # fmt: skip
    provider: str = option("auto", "Who does it; see tratto models.", http=NAME)
    kernel: Literal["nearest", "bilinear", "bicubic", "lanczos"] = option(
        "bicubic", "How what may not change is enlarged: nearest, bilinear, bicubic or lanczos."
    )
    fast: bool = option(False, "Allow lower precision where it is faster.")
    force: bool = option(False, "Restore even what looks clean.")
    grain: Grain = option(
        "keep", "Grain of film: keep it where it is told from noise, reduce it (half the effect), or remove it."
    )
    seed: int = option(0, "Seed of everything random.", ge=0, le=LARGEST_SEED)
    params: dict[str, Any] = option({}, "Parameters of the provider.", "--param", http=NAMED_VALUES, **PARAMETERS)


def prepare(options: RestoreOptions, image: Image, given: Given, services: Services) -> Prepared:
    """Open the mask, if there is one."""
    from tratto.imaging.opening import open_mask
    from tratto.tasks.prepared import Prepared

    mask = given.inputs.get("mask")
    return Prepared(options, None if mask is None else open_mask(mask, image, given.limits))


def softness(inspection: Inspection) -> float | None:
    """Return how soft the edges are in pixels where that counts as blur, else None."""
    blur = inspection.blur_sigma.value
    return blur if blur is not None and blur > SHARP_BLUR else None


def degradation_reasons(options: RestoreOptions, inspection: Inspection) -> list[str]:
    """Return in plain words which noise and compression the picture has; empty when it counts as free of both."""
    reasons = []
    sigma = noise_of(options, inspection)
    noise_basis: str = "stated" if options.noise_sigma is not None else inspection.noise_sigma.basis
    if options.grain != "keep":
        film = film_grain(options, inspection)
        read = (
            "as stated: none is told from other noise or texture here" if film is None else f"sigma {film:.1f} of 255"
        )
        if options.provider in _OWN_OR_AUTO:
            reasons.append(f"grain of film ({read}), to be {GRAIN_WORDS[options.grain]}")
        else:
            reasons.append(f"grain of film ({read}): asked for, but {options.provider} does not know grain; auto does")
    elif sigma is not None and noisy(options, inspection):
        coarse = coarse_noise(options, inspection)
        if coarse is not None and inspection.octaves is not None:
            noise_basis += (
                f", spread over some {inspection.octaves.size:.1f} pixels, so that single ones show little of it"
            )
        reasons.append(f"noise: sigma {sigma:.1f} of 255 ({noise_basis})")
    quality = inspection.jpeg_quality
    if quality.value is not None and quality.value < CLEAN_QUALITY:
        reasons.append(f"JPEG compression: quality {quality.value:.0f} ({quality.basis})")
    return reasons


def noise_of(options: RestoreOptions, inspection: Inspection) -> float | None:
    """Return the noise that counts, in 1/255: as stated, else as single pixels show it, unless that is fine texture."""
    if options.noise_sigma is not None:
        return options.noise_sigma
    if screened(options, inspection) or (options.grain == "keep" and film_grain(options, inspection) is not None):
        return 0.0
    coarse = coarse_noise(options, inspection)
    if coarse is not None:
        return coarse
    return 0.0 if texture(inspection) else inspection.noise_sigma.value


def screened(options: RestoreOptions, inspection: Inspection) -> bool:
    """Return whether the picture is a scan of a print screen, of which the user did not say otherwise."""
    if options.noise_sigma is not None or inspection.octaves is None:
        return False
    return inspection.octaves.screen is not None


def spread_noise(inspection: Inspection) -> float | None:
    """Return the noise of all octaves (1/255) where it can be told from texture, else None."""
    octaves, said = inspection.octaves, inspection.opinion
    if octaves is None or octaves.screen is not None or octaves.sigma < COARSE_SIGMA:
        return None
    read = 0.0 if texture(inspection) else inspection.noise_sigma.value or 0.0
    shown = max(read, 0.0 if said is None else said.noise.value + said.noise.error)
    return None if octaves.sigma > COARSE_CERTAIN and shown < octaves.sigma / 2 and not octaves.falls else octaves.sigma


def film_grain(options: RestoreOptions, inspection: Inspection) -> float | None:
    """Return how strong the picture's own grain of film is (1/255); None: none is seen, or a noise is stated."""
    octaves, sigma = inspection.octaves, spread_noise(inspection)
    if options.noise_sigma is not None or octaves is None or sigma is None or sigma < FILM_SIGMA:
        return None
    quality = inspection.jpeg_quality.value
    if (
        octaves.size < FILM_SIZE
        or octaves.one_colour < FILM_COLOUR
        or (quality is not None and quality < CLEAN_QUALITY)
    ):
        return None
    return sigma


def coarse_noise(options: RestoreOptions, inspection: Inspection) -> float | None:
    """Return noise (1/255) that is spread over several pixels, so that single ones do not show it; None: there is none.

    Under compression the finest octaves are gone and the network for JPEG artefacts takes the rest.
    """
    quality, sigma = inspection.jpeg_quality.value, spread_noise(inspection)
    if options.noise_sigma is not None or sigma is None or (quality is not None and quality < CLEAN_QUALITY):
        return None
    if inspection.octaves is None or inspection.octaves.size < COARSE_SIZE:
        return None
    read = 0.0 if texture(inspection) else inspection.noise_sigma.value or 0.0
    if sigma <= CLEAN_SIGMA and sigma < GRAIN_SHARE * read:
        return None
    return sigma if read <= CLEAN_SIGMA and film_grain(options, inspection) is None else None


def texture(inspection: Inspection) -> bool:
    """Return whether what single pixels show is fine texture: by the network's opinion, or by how uneven it is."""
    sigma, octaves = inspection.noise_sigma.value, inspection.octaves
    if sigma is None or not CLEAN_SIGMA < sigma <= TEXTURE_SIGMA:
        return False
    uneven = octaves is not None and not any(octaves.even[:2])
    if uneven and sigma <= FAINT_SIGMA:
        return True
    calm = octaves is not None and all(octaves.even[:2]) and max(octaves.luma[:2]) < CALM * sigma
    return _none_said(inspection) and (uneven or calm or not inspection.noise_curve)


def _none_said(inspection: Inspection) -> bool:
    said = inspection.opinion
    return said is not None and said.noise.value + said.noise.error < CLEAN_SIGMA


def prevailing(options: RestoreOptions, inspection: Inspection) -> Degradation:
    """Return which degradation our own networks should be chosen for."""
    quality = inspection.jpeg_quality.value
    if quality is None or quality >= CLEAN_QUALITY or options.grain != "keep":
        return "noise" if white(inspection) else "real"
    return _compressed(options, inspection, quality)[0]


def outlived(options: RestoreOptions, inspection: Inspection) -> str:
    """Return what says that noise outlived the compression; empty where nothing does, or nothing was compressed."""
    quality = inspection.jpeg_quality.value
    if quality is None or quality >= CLEAN_QUALITY or options.grain != "keep":
        return ""
    degradation, ground = _compressed(options, inspection, quality)
    return ground if degradation == "real" else ""


def _compressed(options: RestoreOptions, inspection: Inspection, quality: float) -> tuple[Degradation, str]:
    """Return which degradation prevails in a compressed picture, and what says so."""
    said, stated = inspection.opinion, options.noise_sigma
    sigma, ground = None, ""
    if stated is not None:
        sigma, ground = stated, f"sigma {stated:g} as stated"
    elif said is not None:
        sigma, ground = said.noise.value, f"a network reads sigma {said.noise.value:.1f} before compression"
    if quality >= HEARD_QUALITY and (sigma or 0.0) >= SAID:
        return "real", ground
    if stated is None and quality >= HEARD_QUALITY and (left := heard(inspection)) >= HEARD:
        return "real", f"the octaves of 2 and 4 pixels show {left:.1f} of 255"
    if sigma is None:
        read = inspection.noise_sigma.value or 0.0
        real = quality >= NOISE_SURVIVES_QUALITY and read >= NOISE_OUTWEIGHS
        return "real" if real else "jpeg", f"single pixels show sigma {read:.1f}"
    return "real" if sigma >= OUTLIVES[0] + OUTLIVES[1] * table_scale(quality) else "jpeg", ground


def white(inspection: Inspection) -> bool:
    """Return whether the noise is as in formulas: single pixels show all of it, each channel has its own."""
    octaves, read = inspection.octaves, inspection.noise_sigma.value or 0.0
    if octaves is None or octaves.sigma == 0:
        return True
    return octaves.size < WHITE_SIZE and octaves.one_colour < WHITE_COLOUR and read > WHITE_SHOWN * octaves.sigma


def heard(inspection: Inspection) -> float:
    """Return the noise of luma (1/255) in the octaves of 2 and 4 pixels, which compression leaves, where it is even."""
    octaves = inspection.octaves
    if octaves is None:
        return 0.0
    return math.sqrt(sum(octaves.luma[k] ** 2 for k in (1, 2) if len(octaves.even) > k and octaves.even[k]))


def doubted(options: RestoreOptions, inspection: Inspection) -> bool:
    """Return whether what the octaves of a compressed picture show as noise may be texture: the network reads less."""
    said, shown = inspection.opinion, heard(inspection)
    return options.noise_sigma is None and said is not None and shown > DOUBTED and said.noise.value < shown


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
        Scale, provider, what may be removed, and how strongly.
    inspection : Inspection
        Measured noise, blur, compression and earlier enlargement: what decides.

    Returns
    -------
    Recipe
        With the reasons in words.
    """
    from tratto.core.recipe import Recipe
    from tratto.steps.deblur import Deblur
    from tratto.steps.upscale import Upscale

    degradation = degradation_reasons(options, inspection)
    if screened(options, inspection) and options.scale == 1 and not options.force and options.provider in _OWN_OR_AUTO:
        return Recipe(task="restore", steps=(), seed=options.seed, reasons=(_screen(inspection), "left alone"))
    reasons = list(degradation)
    if screened(options, inspection):
        reasons.append(_screen(inspection))
    film = film_grain(options, inspection)
    if film is not None and options.grain == "keep" and not options.force:
        reasons.append(
            f"grain of film kept: sigma {film:.1f} of 255 over some {_size(inspection):.1f} pixels; "
            "--grain reduce or remove takes it away (in Python: grain=)"
        )
    steps: list[Step] = []
    if specks := specked(options, inspection):
        reasons.append(
            f"single specks on {100 * specks:.1f} % of the pixels: they are not noise to the network, which "
            "may leave them; tratto repair finds dust"
        )
    grain = _grain(options, inspection)
    if grain:
        reasons.append(grain)
    if options.noise_sigma is None and texture(inspection):
        shown = inspection.noise_sigma.value or 0.0
        by = "a network sees no noise" if _none_said(inspection) else "but unevenly, as no noise is"
        reasons.append(f"fine texture: single pixels show sigma {shown:.1f}, {by}")
    clean_first = bool(degradation) and options.provider in _OWN_OR_AUTO
    if clean_first and "network" not in options.params:
        reasons += _choice(options, inspection)
    soft = softness(inspection)
    if soft is not None:
        reasons.append(f"blur: edges {soft:.1f} pixels soft ({inspection.blur_sigma.basis})")
        if degradation or grain:
            reasons.append(f"{BLUR_STAYS}: sharpening would bring noise, grain and blocks out")
        elif (doubt := _unsure(inspection)) and options.provider in _OWN_OR_AUTO:
            reasons.append(f"{BLUR_STAYS}: {doubt}")
        elif options.scale > 1:
            reasons.append("the blur is enlarged with the picture")
    if options.scale == 1:
        sharpen = soft is not None and not (degradation or grain or film) and not _unsure(inspection)
        if options.provider == "wiener" or (sharpen and options.provider in _OWN_OR_AUTO and not options.force):
            enlarged = inspection.upscale.value
            if enlarged is not None and enlarged > 1 and options.provider != "wiener" and not options.force:
                reasons.append(
                    f"it was enlarged to {enlarged:.0f} times its size, so that there is no detail: left alone"
                )
            else:
                blur = soft or inspection.blur_sigma.value
                asked = options.params if options.provider == "wiener" else {}
                known = {} if blur is None else {"blur": round(float(blur), 2)}
                steps.append(
                    Deblur(
                        strength=options.strength,
                        fast=options.fast,
                        params={**known, **_octaves(inspection), **asked},
                    )
                )
        elif (
            degradation
            or (soft is not None and options.provider not in _OWN_OR_AUTO)
            or options.force
            or options.provider in _WHEN_NAMED
        ):
            steps += (cleaning := _denoise(options, inspection))
            reasons += [*_octave_reasons(cleaning), *_held(options, cleaning)]
            if not degradation and soft is None:
                reasons.append(f"{_nothing(options, inspection)}; restored because it was asked for")
        elif _unmeasured(options, inspection):
            reasons.append(f"{_nothing(options, inspection)}: left alone; --force restores it (in Python: force=True)")
        else:
            reasons.append(f"{_nothing(options, inspection)}: left alone")
    else:
        if clean_first:
            steps += (cleaning := _denoise(options, inspection))
            reasons += _octave_reasons(cleaning)
        elif degradation and options.provider in _ONLY_ENLARGE:
            reasons.append(f"not removed: {options.provider} only enlarges; provider auto or tratto would clean first")
        elif degradation:
            reasons.append(
                f"not removed beforehand: {options.provider} was named and gets the picture as it is; "
                "provider auto or tratto would clean first"
            )
        reasons.append(f"enlarged {options.scale} times as asked")
        upscale_by = inspection.upscale.value
        if upscale_by is not None and upscale_by > 1:
            reasons.append(
                f"it seems to have been enlarged to {upscale_by:.0f} times its size, which no detail can undo"
            )
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
    if options.grain != "keep":
        kind = "white" if prevailing(options, inspection) == "noise" else "real"
        return [f"the network for {kind} noise and not that for JPEG artefacts, since it is the grain that is to go"]
    degradation, ground = _compressed(options, inspection, quality)
    if degradation == "real":
        return [f"noise outlived the compression ({ground}): the network for real noise, then that for JPEG artefacts"]
    return ["the network for JPEG artefacts" + (f" ({ground})" if noisy(options, inspection) else "")]


def noisy(options: RestoreOptions, inspection: Inspection) -> bool:
    """Return whether the picture counts as noisy."""
    sigma = noise_of(options, inspection)
    return sigma is not None and (sigma > CLEAN_SIGMA or coarse_noise(options, inspection) is not None)


def specked(options: RestoreOptions, inspection: Inspection) -> float:
    """Return the share of single specks where they are what counts as noise; 0: they are not."""
    octaves = inspection.octaves
    if octaves is None or not noisy(options, inspection) or any(octaves.even[:1]):
        return 0.0
    return octaves.specks if octaves.specks > SPECKS else 0.0


def _unmeasured(options: RestoreOptions, inspection: Inspection) -> bool:
    """Return whether neither noise nor blur could be measured, nor a noise was stated: then none is known."""
    unknown = inspection.noise_sigma.value is None and inspection.blur_sigma.value is None
    return unknown and options.noise_sigma is None


def _grain(options: RestoreOptions, inspection: Inspection) -> str:
    """Say that a network sees grain of which single pixels show little; empty where it does not."""
    sigma, said = inspection.noise_sigma.value, inspection.opinion
    if options.noise_sigma is not None or sigma is None or said is None or said.grain is None:
        return ""
    if film_grain(options, inspection) is not None:  # said already
        return ""
    if said.noise.value - said.noise.error < max(GRAIN_SIGMA, GRAIN_SHARE * sigma) or said.grain.value < GRAIN_SIZE:
        return ""
    return (
        f"grain: a network reads noise of sigma {said.noise.value:.0f} of 255 over {said.grain.value:.1f} pixels; "
        "single pixels show only part of it, and our networks take little of it away"
    )


def _nothing(options: RestoreOptions, inspection: Inspection) -> str:
    """Say that no degradation was found, or that it could not be looked for."""
    if _grain(options, inspection) or film_grain(options, inspection) is not None:
        return "nothing else was found"
    if not _unmeasured(options, inspection):
        return (
            "no noise or compression was found" if softness(inspection) else "no noise, compression or blur was found"
        )
    what = "nothing" if inspection.jpeg_quality.value is None else "neither noise nor blur"
    why = inspection.noise_sigma.note or inspection.blur_sigma.note
    return f"{what} could be measured" + (f" ({why})" if why else "")


def _limit(options: RestoreOptions, inspection: Inspection) -> float | None:
    """Return the largest change that faint noise accounts for, None where it is strong, stated or forced."""
    quality = inspection.jpeg_quality.value
    if options.noise_sigma is not None or options.force or options.grain != "keep":
        return None
    if quality is not None and quality < CLEAN_QUALITY:  # what the compression did goes, too
        return None
    sigma = coarse_noise(options, inspection)
    if sigma is None:
        read = noise_of(options, inspection) or 0.0
        # what is spread over several pixels counts, too
        sigma = LIMIT * max(read, spread_noise(inspection) or 0.0)
        return round(sigma, 2) if 0 < read <= FAINT_SIGMA else None
    return round(sigma, 2)


def mild_share(quality: float) -> float:
    """Return the share of the network for JPEG's change that a compression of some quality calls for (JPEG_SHARE).

    Examples
    --------
    >>> mild_share(40), mild_share(75), mild_share(95)
    (1.0, 0.5, 0.25)
    """
    (q0, s0), (q1, s1), (q2, s2) = JPEG_SHARE
    if quality <= q1:
        return s0 + (s1 - s0) * min(max((quality - q0) / (q1 - q0), 0.0), 1.0)
    return s1 + (s2 - s1) * min((quality - q1) / (q2 - q1), 1.0)


def _held(options: RestoreOptions, steps: list[Denoise]) -> list[str]:
    """Say where less than the whole effect is let through, and why."""
    steps = [step for step in steps if step.provider != BY_OCTAVE]
    if not steps:
        return []
    first, last = steps[0], steps[-1]
    if len(steps) > 1 and first.strength < options.strength:
        share = 100 * first.strength / options.strength
        return [f"{share:.0f} % of the effect on noise: the octaves show more than a network reads, it may be texture"]
    if last.limit is not None:
        return [f"held back where more than sigma {last.limit:.1f} would go: that is texture"]
    if last.strength < options.strength and last.damage == "jpeg":
        share = 100 * last.strength / options.strength
        if len(steps) > 1:
            return [
                f"{share:.0f} % of the effect on JPEG artefacts: after so mild a compression there is texture to lose"
            ]
        return [f"{share:.0f} % of the effect: so mild a compression, with little noise, leaves texture to lose"]
    return []


def _screen(inspection: Inspection) -> str:
    period = 0.0 if inspection.octaves is None else inspection.octaves.screen or 0.0
    return (
        f"a print screen with a period of {period:.1f} pixels: its dots are the picture, not noise, "
        "and no network here was made for them"
    )


def _size(inspection: Inspection) -> float:
    return 1.0 if inspection.octaves is None else inspection.octaves.size


def _octaves(inspection: Inspection) -> dict[str, Any]:
    """The noise by which the filter for blur is held back."""
    seen = inspection.octaves
    return {} if seen is None else {f"noise{2**k}": value for k, value in enumerate(seen.luma)}


def _spectrum(inspection: Inspection) -> list[float]:
    """The noise of brightness by octave (1/255) that is surely noise; empty where it was not measured.

    An octave that is uneven may be texture and counts for no more than its finer neighbour, the finest for no more than
    its coarser one; noise of more than some 4 pixels is not known.
    """
    seen = inspection.octaves
    if seen is None or seen.screen is not None or len(seen.luma) < 2:
        return []
    noise = [seen.luma[0] if seen.even[0] else min(seen.luma[:2])]
    for value, even in zip(seen.luma[1:3], seen.even[1:], strict=False):
        noise.append(value if even else min(value, noise[-1]))
    return noise if SPECTRUM * max(noise) >= SPECTRUM_SEEN else []


def _by_octave(options: RestoreOptions, inspection: Inspection) -> dict[str, Any]:
    """What is taken off octave by octave; empty where nothing is."""
    noise = _spectrum(inspection)
    if options.grain == "keep" and options.provider != BY_OCTAVE:
        quality = inspection.jpeg_quality.value
        unsaid = _none_said(inspection) and (quality is None or quality >= CLEAN_QUALITY)
        if unsaid or math.hypot(*noise) > SPECTRUM_STRONG:
            return {}
    return {f"noise{2**k}": round(SPECTRUM * value, 2) for k, value in enumerate(noise)}


def _octave_reasons(steps: list[Denoise]) -> list[str]:
    """Say what goes octave by octave."""
    said = []
    for step in steps:
        if step.provider == BY_OCTAVE:
            taken = {name.removeprefix("noise"): value for name, value in step.params.items() if value}
            shown = ", ".join(f"{value:g} of 255 at {size} pixel{'s' * (size != '1')}" for size, value in taken.items())
            said.append(
                f"noise of brightness that is taken off frequency by frequency, up to: {shown}"
                if taken
                else "no noise of brightness was measured, so that dct changes nothing; its parameters state it "
                "(--param noise1=5; in Python: params=)"
            )
    return said


def _unsure(inspection: Inspection) -> str:
    """Say why nothing may be sharpened although no noise was found; empty where noise and blur are known well."""
    octaves, said = inspection.octaves, inspection.opinion
    if inspection.noise_sigma.value is None:
        return "the noise could not be measured, and sharpening would bring it out"
    if octaves is not None and max(octaves.luma[:2]) > SHARPEN_NOISE:
        return (
            f"the calmest parts show {max(octaves.luma[:2]):.1f} of 255, noise or texture, "
            "and sharpening would bring it out"
        )
    quality = inspection.jpeg_quality.value
    if quality is not None:
        return "the picture was compressed, and sharpening would bring blocks out"
    if said is not None and said.blur.value + said.blur.error < 0.5:
        return "a network sees no blur, only edges that are soft by themselves"
    return ""


def _denoise(options: RestoreOptions, inspection: Inspection) -> list[Denoise]:
    """Return what cleans the picture: one network, or in a compressed one with noise that for noise, then for JPEG.

    On real pairs and on simulated ones (benchmarks/choose_network.py) the two in this order, the second in part where
    the compression was mild, came closer to the truth than either alone, in the mean and at worst.
    """
    from tratto.steps.denoise import Denoise

    first = prevailing(options, inspection)
    own = options.provider in _OWN_OR_AUTO
    by_hand = not own or "network" in options.params
    octaves, quality = inspection.octaves, inspection.jpeg_quality.value
    share = 1.0 if options.force or quality is None else mild_share(quality)

    def one(degradation: Degradation, share: float) -> Denoise:
        network = options.params.get("network", degradation)
        return Denoise(
            provider=options.provider,
            strength=round(options.strength * share, 3),
            limit=_limit(options, inspection) if degradation != "jpeg" and not by_hand else None,
            tint=octaves.tint if own and octaves is not None else (),
            noise_sigma=options.noise_sigma,
            fast=options.fast,
            params={**_by_octave(options, inspection), **options.params}
            if options.provider == BY_OCTAVE
            else options.params,
            damage=degradation,
            grid=(inspection.jpeg_grid or (0, 0)) if network == "jpeg" else (0, 0),
        )

    def by_octave(share: float) -> list[Denoise]:
        spectrum = _by_octave(options, inspection)
        strength, limit = round(options.strength * share, 3), _limit(options, inspection)
        return [Denoise(provider=BY_OCTAVE, strength=strength, limit=limit, params=spectrum)] if spectrum else []

    if own and options.grain != "keep":
        share = GRAIN_STRENGTH[options.grain]
        return [*by_octave(share), one(first, share)]
    if options.params.get("network", first) == "jpeg" or by_hand:
        return [one(first, share if own and options.params.get("network", first) == "jpeg" else 1.0)]
    if first == "real" and quality is not None and quality < CLEAN_QUALITY:
        sure = options.force or not doubted(options, inspection)
        doubt = 1.0 if sure else DOUBTED_SHARE
        return [*by_octave(doubt), one("real", doubt), one("jpeg", share)]
    return [*(by_octave(1.0) if first == "real" else ()), one(first, 1.0)]
