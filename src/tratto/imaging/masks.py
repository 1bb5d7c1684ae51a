"""What a mask means: from pictures and arrays as people make them to one number in [0, 1] for each pixel.

White may change, black must stay, grey is blended. A mask that could mean one thing or its opposite is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image

#: Channels of a grey mask may differ by this share of full scale: JPEG does not keep grey exactly.
GREY_ENOUGH = 0.1
_ROWS = 256


def mask_from_array(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return the values of a mask array.

    Parameters
    ----------
    array : (H, W) or (H, W, 1) array
        bool, float in [0, 1], or uint8 / uint16, where full scale may change. Whole numbers of which none is above 1
        mean no and yes.

    Returns
    -------
    (H, W) float32 array
        Floats are handed on as they are; :class:`~tratto.core.image.Mask` checks their range.

    Raises
    ------
    OptionError
        For another shape or type.
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim != 2:
        raise OptionError(f"a mask array must be (H, W), one number for each pixel; got the shape {array.shape}")
    if array.dtype == bool or np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float32)
    if array.dtype in (np.uint8, np.uint16):
        return array.astype(np.float32) / np.float32(_full(array, int(np.iinfo(array.dtype).max)))
    raise OptionError(f"a mask array must be bool, uint8, uint16 or float in [0, 1], got {array.dtype}")


def mask_from_picture(image: Image) -> NDArray[np.float32]:
    """Return the values of a mask picture, in its stored order.

    Parameters
    ----------
    image : Image
        Grey, or RGB or palette whose colours are all grey, without transparent parts.

    Returns
    -------
    (H, W) float32 array in [0, 1]

    Raises
    ------
    OptionError
        If it has colours, inks or transparent parts.
    """
    from tratto.imaging.io import expand_palette

    image = expand_palette(image)
    if image.mode is ColorMode.CMYK:
        raise OptionError("a mask must be a grey picture, got CMYK; save it as grey: white = may change")
    full = _full(image.pixels, image.max_value)
    out = np.empty((image.height, image.width), np.float32)
    for y in range(0, image.height, _ROWS):
        band = slice(y, y + _ROWS)
        if image.alpha is not None and bool((image.alpha[band] != image.max_value).any()):
            raise OptionError(
                "the mask has transparent parts, and they could mean either; save it without transparency: "
                "white = may change, black = must stay"
            )
        values = image.pixels[band].astype(np.float32)
        if values.ndim == 3:
            if float(np.ptp(values, axis=2).max()) > GREY_ENOUGH * full:
                raise OptionError("the mask has colours; save it as grey: white = may change, black = must stay")
            values = values.mean(axis=2, dtype=np.float32)
        out[band] = values / np.float32(full)
    # rounding in the mean must not leave the range
    return np.clip(out, 0.0, 1.0, out=out)


def _full(values: NDArray[Any], full: int) -> int:
    """Return the sample that means yes: full scale, or 1 where none is above 1."""
    return 1 if values.size and int(values.max()) <= 1 else full
