"""Between a picture's native samples and linear sRGB light, for steps that calculate with light."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image
from tratto.imaging.color import linear_to_srgb, profile_is_used, srgb_profile, srgb_to_linear

Float = NDArray[np.float32]

__all__ = ["from_linear", "rounded", "rounded_for_lightness", "to_linear"]

#: Rec. 709 luminance of linear RGB.
_LUMINANCE = (np.float32(0.2126), np.float32(0.7152), np.float32(0.0722))


@lru_cache(maxsize=2)
def _table(bits: int) -> Float:
    full = (1 << bits) - 1
    table: Float = srgb_to_linear(np.arange(full + 1, dtype=np.float64) / full).astype(np.float32)
    return table


def _only_rgb(image: Image) -> None:
    if image.mode is not ColorMode.RGB:
        raise OptionError(
            f"calculating with light and colour needs an RGB picture, this one is {image.mode.value}; convert it first"
        )


def to_linear(image: Image, y0: int, y1: int, x0: int = 0, x1: int | None = None) -> Float:
    """Return a window of an RGB picture in linear sRGB light.

    An embedded profile other than sRGB is honoured, in 16 bit; colours outside sRGB are clipped to it.

    Parameters
    ----------
    image : Image
        RGB, of 8 or 16 bits.
    y0, y1, x0, x1 : int
        Window; the whole width by default.

    Returns
    -------
    (y1 - y0, x1 - x0, 3) float32 in [0, 1]
        0 = black, 1 = white of sRGB.

    Raises
    ------
    OptionError
        If the picture is not RGB.

    Examples
    --------
    >>> grey = Image(np.full((1, 1, 3), 188, np.uint8), ColorMode.RGB)
    >>> round(float(to_linear(grey, 0, 1)[0, 0, 0]), 2)
    0.5
    """
    _only_rgb(image)
    part: NDArray[Any] = np.ascontiguousarray(image.pixels[y0:y1, x0:x1])
    icc = image.meta.icc
    if icc is not None and profile_is_used(image):
        part, bits = _transform(part, icc, srgb_profile()), 16
    else:
        bits = image.bits
    light: Float = _table(bits)[part]
    return light


def from_linear(values: Float, image: Image) -> NDArray[np.float32]:
    """Return linear sRGB light as native samples of a picture, not yet rounded.

    Parameters
    ----------
    values : (H, W, 3) float32
        Clipped to [0, 1].
    image : Image
        Whose bits and profile to use.

    Returns
    -------
    (H, W, 3) float32
        In ``0 .. image.max_value``.

    Examples
    --------
    >>> grey = Image(np.full((1, 1, 3), 188, np.uint8), ColorMode.RGB)
    >>> from_linear(to_linear(grey, 0, 1), grey).round(1).ravel().tolist()
    [188.0, 188.0, 188.0]
    """
    _only_rgb(image)
    encoded = linear_to_srgb(np.clip(values, 0, 1))
    icc = image.meta.icc
    if icc is not None and profile_is_used(image):
        deep = np.rint(65535 * encoded).astype(np.uint16)
        native: Float = _transform(deep, srgb_profile(), icc).astype(np.float32) * np.float32(image.max_value / 65535)
        return native
    scaled: Float = encoded * np.float32(image.max_value)
    return scaled


def rounded(samples: Float, image: Image) -> Float:
    """Round native samples to whole numbers, for their lightness where whole steps are coarse.

    Eight bits of sRGB go through :func:`rounded_for_lightness`; what has sixteen, or another profile, is rounded
    sample by sample.

    Parameters
    ----------
    samples : (H, W, 3) float32
        In ``0 .. image.max_value``, as from :func:`from_linear`.
    image : Image
        Says depth and profile of what the samples are for.

    Returns
    -------
    (H, W, 3) float32
        Whole numbers, still floating-point.

    Examples
    --------
    >>> deep = Image(np.zeros((1, 1, 3), np.uint16), ColorMode.RGB, 16)
    >>> rounded(np.float32([[[0.4, 0.6, 1.2]]]), deep).tolist()
    [[[0.0, 1.0, 1.0]]]
    """
    if image.bits != 8 or profile_is_used(image):
        whole: Float = np.rint(samples)
        return whole
    return rounded_for_lightness(samples)


def rounded_for_lightness(samples: Float) -> Float:
    """Round 8-bit sRGB samples so that the luminance of each pixel, more than each channel, is right.

    One step of all three channels is 0.4 of lightness, coarse for the faint relief of a nearly white wall. Green is
    rounded as usual; what that takes from or adds to luminance moves red by up to three quarters of a step, and what is
    left blue likewise. So the error of lightness falls to a third, and no channel is off by more than 1.25 steps. No
    noise is added and no neighbour is looked at.

    Parameters
    ----------
    samples : (..., 3) float32
        Encoded sRGB in 0-255.

    Returns
    -------
    (..., 3) float32
        Whole numbers in 0-255.

    Examples
    --------
    >>> rounded_for_lightness(np.float32([[200.0, 200.4, 200.0]])).tolist()  # red and blue make up for green
    [[201.0, 200.0, 201.0]]
    """
    wr, wg, wb = _LUMINANCE
    slope = _slopes()
    red, green, blue = (samples[..., i] for i in range(3))
    out = np.empty(samples.shape, np.float32)
    whole = np.rint(green)
    out[..., 1] = whole
    error = wg * slope[whole.astype(np.uint8)] * (green - whole)
    for i, channel, weight in ((0, red, wr), (2, blue, wb)):
        gain = weight * slope[np.rint(channel).astype(np.uint8)]
        whole = np.rint(channel + np.clip(error / gain, np.float32(-0.75), np.float32(0.75)))
        np.clip(whole, 0, 255, out=whole)
        out[..., i] = whole
        error = error + gain * (channel - whole)
    return out


@lru_cache(maxsize=1)
def _slopes() -> Float:
    """Return how fast linear light grows with an encoded sample, for each of the 256."""
    v = np.arange(256) / 255
    slopes: Float = np.where(v <= 0.04045, 1 / 12.92, 2.4 / 1.055 * ((v + 0.055) / 1.055) ** 1.4).astype(np.float32)
    return slopes


def _transform(part: NDArray[Any], source: bytes, target: bytes) -> NDArray[Any]:
    import imagecodecs
    from PIL import ImageCms

    deep = part if part.dtype == np.uint16 else part.astype(np.uint16) * np.uint16(257)
    return np.asarray(
        imagecodecs.cms_transform(
            np.ascontiguousarray(deep),
            source,
            target,
            colorspace="rgb",
            outcolorspace="rgb",
            outdtype="uint16",
            intent=int(ImageCms.Intent.RELATIVE_COLORIMETRIC),
        )
    )
