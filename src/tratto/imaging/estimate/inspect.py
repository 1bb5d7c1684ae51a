"""What is wrong with a picture: all estimates together, exact where the file says so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image
from tratto.core.inspection import Estimate, Inspection, OctaveNoise
from tratto.imaging.color import profile_is_used, to_float
from tratto.imaging.estimate.blur import estimate_blur
from tratto.imaging.estimate.jpeg import JpegTrace, jpeg_quality_from_pixels, jpeg_quality_from_tables
from tratto.imaging.estimate.luma import LUMA
from tratto.imaging.estimate.noise import NoiseEstimate, estimate_noise
from tratto.imaging.estimate.octaves import estimate_octaves
from tratto.imaging.estimate.screen import find_screen
from tratto.imaging.estimate.upscale import estimate_upscale

__all__ = ["inspect_image", "rgb_windows", "sample_windows"]

_WHOLE = 2_000_000  # pixels up to which the whole picture is looked at
_WINDOW = 336  # a multiple of 24, so that the grids of codecs and of enlargement stay in step
_ACROSS = 4
_ALIGN = 24
_MIN_SIDE = 17
_ONE_TINT = 0.75 / 255  # rms from one line through the colours up to which a picture is of one tint: rounding is 0.3


@dataclass(frozen=True)
class _Sample:
    """Crops of one picture: the channels as stored, RGB for JPEG artefacts, and luma."""

    channels: list[NDArray[np.float32]]
    rgb: list[NDArray[np.float32]]
    luma: list[NDArray[np.float32]]


def sample_windows(height: int, width: int) -> tuple[tuple[int, int, int, int], ...]:
    """Choose the parts of a picture that are looked at: all of a small one, sixteen windows spread over a large one.

    Parameters
    ----------
    height, width : int
        Size in pixels.

    Returns
    -------
    tuple of (top, left, bottom, right)
        Top and left are multiples of 24; the windows do not overlap; at most 2 megapixels together.

    Examples
    --------
    >>> sample_windows(600, 800)
    ((0, 0, 600, 800),)
    >>> len(sample_windows(4000, 6000))
    16
    """
    if height * width <= _WHOLE:
        return ((0, 0, height, width),)
    rows, cols = _starts(height), _starts(width)
    # A long strip is too narrow for four windows one way; the rest goes the other way.
    if len(rows) < _ACROSS:
        cols = _starts(width, _ACROSS * _ACROSS // len(rows))
    elif len(cols) < _ACROSS:
        rows = _starts(height, _ACROSS * _ACROSS // len(cols))
    return tuple((y, x, min(y + _WINDOW, height), min(x + _WINDOW, width)) for y in rows for x in cols)


def _starts(length: int, most: int = _ACROSS) -> list[int]:
    n = max(1, min(most, length // _WINDOW))
    gap = max(0, length - _WINDOW)
    return [round((k + 0.5) / n * length - _WINDOW / 2) // _ALIGN * _ALIGN for k in range(n)] if gap else [0]


def inspect_image(image: Image) -> Inspection:
    """Look a picture over: noise, JPEG compression, blur, enlargement, clipping.

    Large pictures are judged by sixteen windows of 336 x 336 pixels at full resolution, so that time and memory stay
    bounded and memory-mapped samples are read only there. The result depends on the samples alone.

    Parameters
    ----------
    image : Image
        Of any mode and depth. Palette pictures are looked at through their palette, CMYK ink by ink.

    Returns
    -------
    Inspection
        Estimates that cannot be had carry ``not measurable`` and the reason.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(128, 10, (128, 128))
    >>> found = inspect_image(Image(np.clip(noise, 0, 255).astype(np.uint8), ColorMode.GRAY))
    >>> round(found.noise_sigma.value)
    10
    """
    windows = sample_windows(image.height, image.width)
    raw = [np.asarray(image.pixels[y0:y1, x0:x1]) for y0, x0, y1, x1 in windows]
    low, high = _clipping(image, raw)
    facts: dict[str, Any] = {
        "width": image.width,
        "height": image.height,
        "mode": str(image.mode),
        "bits": image.bits,
        "format": image.meta.format,
        "clipped_low": low,
        "clipped_high": high,
    }
    exact = _from_file(image)
    reason = ""
    if image.bits == 1:
        reason = "one-bit samples carry no brightness to measure"
    elif min(image.height, image.width) < _MIN_SIDE:
        reason = f"a side of less than {_MIN_SIDE} pixels is too small to measure"
    if reason:
        nothing = Estimate(None, "not measurable", reason)
        return Inspection(
            **facts,
            noise_sigma=nothing,
            noise_channels=(),
            noise_curve=(),
            jpeg_quality=exact or nothing,
            jpeg_generations=1 if exact else 0,
            blur_sigma=nothing,
            upscale=nothing,
            jpeg_grid=(0, 0) if exact else None,
        )
    sample = _sample(image, raw)
    levels = 255 if image.mode is ColorMode.PALETTE else image.max_value
    noise = estimate_noise(sample.channels, levels)
    trace = jpeg_quality_from_pixels(sample.rgb)
    upscale = estimate_upscale(sample.luma)
    octaves = _octaves(image, sample, levels)
    blur = estimate_blur(sample.luma, noise.sigma)
    quality = exact or trace.quality
    return Inspection(
        **facts,
        noise_sigma=_rounded(_noise_with_caveats(image, noise, quality, upscale, octaves)),
        noise_channels=tuple(round(c, 3) for c in noise.channels),
        noise_curve=tuple((round(y, 4), round(s, 3)) for y, s in noise.curve),
        jpeg_quality=quality,
        jpeg_generations=_generations(exact, trace),
        blur_sigma=_rounded(blur),
        upscale=upscale,
        # what the file says is its last compression, and that begins at the corner
        jpeg_grid=(0, 0) if exact else trace.grid,
        octaves=octaves,
    )


def _octaves(image: Image, sample: _Sample, levels: int) -> OctaveNoise | None:
    """Noise and grain by octave, and a print screen; of inks and of dithered palettes nothing."""
    if image.mode in (ColorMode.CMYK, ColorMode.PALETTE):
        return None
    seen = estimate_octaves([c[..., 0] if c.ndim == 3 and c.shape[2] == 1 else c for c in sample.rgb], levels)
    if seen is None:
        return None
    screen = find_screen(sample.luma)
    return replace(
        seen,
        luma=tuple(round(v, 3) for v in seen.luma),
        channels=tuple(tuple(round(v, 3) for v in c) for c in seen.channels),
        curve=tuple((round(y, 4), round(s, 3)) for y, s in seen.curve),
        screen=None if screen is None else round(screen, 2),
        specks=round(seen.specks, 5),
        tint=_tint(sample.rgb),
    )


def _tint(crops: list[NDArray[np.float32]]) -> tuple[float, ...]:
    """Constant, factor and factor of the square by which each channel follows from luma; empty if it does not."""
    if crops[0].ndim != 3 or crops[0].shape[2] != 3:
        return ()
    step = max(1, sum(c.shape[0] * c.shape[1] for c in crops) // 100_000)
    flat = [c.reshape(-1, 3) for c in crops]
    rgb = (flat[0] if len(flat) == 1 else np.concatenate(flat))[::step].astype(np.float64)
    luma = rgb @ LUMA.astype(np.float64)
    powers = np.stack([np.ones_like(luma), luma, luma**2], axis=1)
    fitted = np.linalg.lstsq(powers, rgb, rcond=None)[0]
    if np.sqrt(np.square(rgb - powers @ fitted).mean()) > _ONE_TINT or np.square(rgb - luma[:, None]).max() == 0:
        return ()
    return tuple(round(float(v), 6) for v in fitted.T.ravel())


def rgb_windows(image: Image) -> list[NDArray[np.float32]]:
    """Return the parts of a grey, RGB or palette picture that are looked at, (h, w, 3) float32 in [0, 1], as stored.

    Examples
    --------
    >>> [p.shape for p in rgb_windows(Image(np.zeros((40, 50), np.uint8), ColorMode.GRAY))]
    [(40, 50, 3)]
    """
    raw = [np.asarray(image.pixels[y0:y1, x0:x1]) for y0, x0, y1, x1 in sample_windows(image.height, image.width)]
    parts = _sample(image, raw).rgb
    return [np.repeat(p[..., None], 3, axis=2) if p.ndim == 2 else np.ascontiguousarray(p[..., :3]) for p in parts]


def _rounded(e: Estimate) -> Estimate:
    return e if e.value is None else replace(e, value=round(e.value, 3))


def _clipping(image: Image, raw: list[NDArray[Any]]) -> tuple[float, float]:
    """Fraction of samples at black and at white (for a palette: of its colours as they are used; for CMYK: of pixels).

    One-bit samples have no other values: they lost nothing.
    """
    if image.bits == 1:
        return 0.0, 0.0
    n = low = high = 0
    for part in raw:
        values: NDArray[Any] = part
        top = image.max_value
        if image.mode is ColorMode.PALETTE and image.palette is not None:
            values = image.palette[np.minimum(part, len(image.palette) - 1), :3]
            top = 255
        black, white = values == 0, values == top
        if image.mode is ColorMode.CMYK:  # ink takes light away: none of any is white
            full, white = white, black.all(axis=2)
            black = full[..., 3] | full[..., :3].all(axis=2)
        n += black.size
        low += int(np.count_nonzero(black))
        high += int(np.count_nonzero(white))
    return round(low / n, 6), round(high / n, 6)


def _from_file(image: Image) -> Estimate | None:
    facts = image.meta.jpeg
    if facts is None or not facts.tables:
        return None
    try:
        return jpeg_quality_from_tables(facts.tables)
    except OptionError:  # a table of the wrong length: the samples must do
        return None


def _sample(image: Image, raw: list[NDArray[Any]]) -> _Sample:
    if image.mode is ColorMode.PALETTE and image.palette is not None:
        last = len(image.palette) - 1
        rgb = [to_float(image.palette[np.minimum(p, last), :3], 8) for p in raw]
        return _Sample(rgb, rgb, [p @ LUMA for p in rgb])
    channels = [to_float(p, image.bits) for p in raw]
    if image.mode is ColorMode.GRAY:
        return _Sample(channels, channels, channels)
    if image.mode is ColorMode.RGB:
        return _Sample(channels, channels, [p @ LUMA for p in channels])
    # JPEG transforms the three coloured inks, inverted, like RGB and compresses the key beside them: look where the
    # picture is. What the eye sees, for blur and enlargement, is both.
    light = [np.float32(1) - p[..., :3] for p in channels]
    key = [np.float32(1) - p[..., 3] for p in channels]
    colour_varies = sum(float(p.var()) * p.size / 3 for p in light) >= sum(float(p.var()) * p.size for p in key)
    seen = [p @ LUMA * k for p, k in zip(light, key, strict=True)]
    return _Sample(channels, light if colour_varies else key, seen)


def _generations(exact: Estimate | None, trace: JpegTrace) -> int:
    if exact is None:
        return trace.generations
    # The file is one generation. Any grid but its own is an older one.
    if trace.generations == 2 or (trace.grid is not None and trace.grid != (0, 0)):
        return 2
    return 1


def _noise_with_caveats(
    image: Image, noise: NoiseEstimate, quality: Estimate, upscale: Estimate, octaves: OctaveNoise | None
) -> Estimate:
    if noise.sigma is None:
        return Estimate(None, "not measurable", noise.note)
    note = noise.note
    if quality.value is not None and quality.value < 96:
        note += "; JPEG compression removes fine noise, so that there may have been more of it"
    if upscale.value is not None and upscale.value > 1:
        note += "; enlargement has smoothed the noise"
    if profile_is_used(image):
        note += "; in the samples as stored, which the profile of the picture shows otherwise than sRGB"
    if image.mode is ColorMode.PALETTE:
        note += "; dithering of a palette reads as noise"
    if octaves is not None and octaves.screen is not None:
        note += "; the dots of a print screen are counted in, which are no noise"
    return Estimate(noise.sigma, "estimated", note)
