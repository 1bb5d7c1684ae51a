"""What saving a file does: rounding and JPEG."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tratto.core.errors import OptionError
from tratto_lab.simulate.degrade.kinds import Picture, check_picture

Subsampling = Literal["4:2:0", "4:4:4"]


def jpeg(
    picture: Picture, quality: int, subsampling: Subsampling = "4:2:0", shift: tuple[int, int] = (0, 0)
) -> Picture:
    """Encode and decode with a real JPEG encoder (libjpeg-turbo through OpenCV).

    Parameters
    ----------
    picture : ndarray
        float32 (H, W, 3); clipped and rounded to 8 bit, as any encoder does.
    quality : int
        1 to 100.
    subsampling : {"4:2:0", "4:4:4"}
        Chroma sub-sampling.
    shift : (int, int)
        Rows and columns (0-7) by which the 8 x 8 grid lies off the picture's corner. The picture is extended by its
        edge pixels, encoded, and cropped back.

    Returns
    -------
    ndarray
        float32 (H, W, 3) in [0, 1], multiples of 1/255.

    Raises
    ------
    OptionError
        If a parameter is out of range.

    Examples
    --------
    >>> noise = np.random.default_rng(0).random((32, 32, 3), np.float32)
    >>> bool(np.abs(jpeg(noise, 10) - noise).mean() > np.abs(jpeg(noise, 95, "4:4:4") - noise).mean())
    True
    """
    import cv2

    check_picture(picture)
    if not 1 <= quality <= 100:
        raise OptionError(f"JPEG quality is 1 to 100; got {quality}")
    if not (0 <= shift[0] < 8 and 0 <= shift[1] < 8):
        raise OptionError(f"the grid shift is 0 to 7 in each direction; got {shift}")
    factors = {"4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444}
    if subsampling not in factors:
        raise OptionError(f"subsampling is one of {sorted(factors)}; got {subsampling!r}")
    levels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)[..., ::-1]
    dy, dx = shift
    if dy or dx:
        levels = cv2.copyMakeBorder(np.ascontiguousarray(levels), dy, 0, dx, 0, cv2.BORDER_REPLICATE)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factors[subsampling]]
    ok, data = cv2.imencode(".jpg", np.ascontiguousarray(levels), options)
    if not ok:  # pragma: no cover - the encoder has no way to fail on checked input
        raise OptionError("the JPEG encoder refused the picture")
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)[dy:, dx:, ::-1]
    return decoded.astype(np.float32) / np.float32(255)


def double_jpeg(
    picture: Picture, first: int, second: int, shift: tuple[int, int], subsampling: Subsampling = "4:2:0"
) -> Picture:
    """Two encodings whose 8 x 8 grids do not coincide, as after cropping a JPEG and saving it again.

    Examples
    --------
    >>> noise = np.random.default_rng(0).random((32, 32, 3), np.float32)
    >>> double_jpeg(noise, 60, 80, (3, 5)).shape
    (32, 32, 3)
    """
    return jpeg(jpeg(picture, first, subsampling, shift), second, subsampling)


def quantize(picture: Picture, levels: int = 255) -> Picture:
    """Clip to [0, 1] and round to multiples of ``1 / levels``, as saving a file does.

    Examples
    --------
    >>> quantize(np.full((1, 1, 3), 0.4, np.float32), levels=1).tolist()
    [[[0.0, 0.0, 0.0]]]
    """
    return (np.round(np.clip(picture, 0, 1) * levels) / levels).astype(np.float32)
