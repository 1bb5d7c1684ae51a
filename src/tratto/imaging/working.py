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

__all__ = ["from_linear", "to_linear"]


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
    y0, y1, x0, x1 : int
        Window; the whole width by default.

    Returns
    -------
    (y1 - y0, x1 - x0, 3) float32 in [0, 1]

    Raises
    ------
    OptionError
        If the picture is not RGB.
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
