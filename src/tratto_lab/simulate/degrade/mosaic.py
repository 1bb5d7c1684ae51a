"""The colour filter array of a sensor, and three ways of filling in what it did not see.

A sensor sees one colour per pixel, in squares of two by two (Bayer 1976, US patent 3 971 065). What a demosaicer puts
between spreads noise over neighbours and couples the channels: demosaiced noise is neither white nor grey.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto_lab.simulate.degrade.kinds import Picture, check_picture

Plane = NDArray[np.float32]
Pattern = Literal["RGGB", "BGGR", "GRBG", "GBRG"]
Demosaicer = Literal["bilinear", "malvar", "edge"]
PATTERNS: tuple[Pattern, ...] = ("RGGB", "BGGR", "GRBG", "GBRG")
DEMOSAICERS: tuple[Demosaicer, ...] = ("bilinear", "malvar", "edge")

# Malvar, He and Cutler 2004, "High-quality linear interpolation for demosaicing of Bayer-patterned color images",
# figure 2, in eighths: what is missing is interpolated, and corrected by the Laplacian of the colour that is there.
_GREEN = np.array([[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]], np.float32)
_ALONG = np.array(
    [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]], np.float32
)
_ACROSS = np.array(
    [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]], np.float32
)


def filters(pattern: Pattern) -> NDArray[np.int64]:
    """Return the colour (0 red, 1 green, 2 blue) of each pixel of a square of two by two, int64 (2, 2).

    Raises
    ------
    OptionError
        If it is none of :data:`PATTERNS`.
    """
    if pattern not in PATTERNS:
        raise OptionError(f"a colour filter array is one of {', '.join(PATTERNS)}; got {pattern!r}")
    return np.array(["RGB".index(c) for c in pattern]).reshape(2, 2)


def mosaic(raw: Picture, pattern: Pattern = "RGGB") -> Plane:
    """Keep of each pixel the one colour that its filter lets through.

    Parameters
    ----------
    raw : ndarray
        float32 (H, W, 3), linear camera RGB.
    pattern : str
        Colours of the upper left square, row by row.

    Returns
    -------
    ndarray
        float32 (H, W).

    Examples
    --------
    >>> raw = np.zeros((2, 2, 3), np.float32)
    >>> raw[..., 0] = 1
    >>> mosaic(raw, "RGGB").tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    check_picture(raw)
    out = np.empty(raw.shape[:2], np.float32)
    for (y, x), colour in np.ndenumerate(filters(pattern)):
        out[y::2, x::2] = raw[y::2, x::2, colour]
    return out


def demosaic(plane: Plane, pattern: Pattern = "RGGB", how: Demosaicer = "malvar") -> Picture:
    """Fill in the two colours that each pixel did not see.

    Parameters
    ----------
    plane : ndarray
        float32 (H, W), what :func:`mosaic` returns; at least 4 x 4 pixels.
    pattern : str
        Colours of the upper left square, row by row.
    how : {"bilinear", "malvar", "edge"}
        Means of the neighbours; Malvar, He and Cutler 2004; OpenCV's edge-aware one, which takes 16-bit samples, so
        that values outside [-1/8, 15/8] are clipped.

    Returns
    -------
    ndarray
        float32 (H, W, 3). Samples that were seen come back as they are (``"edge"``: to half of 2/65535).

    Raises
    ------
    OptionError
        If an option is unknown or the plane too small.

    Examples
    --------
    >>> plane = np.full((8, 8), 0.5, np.float32)
    >>> np.allclose(demosaic(plane), 0.5, atol=1e-6)
    True
    """
    import cv2

    if how not in DEMOSAICERS:
        raise OptionError(f"a demosaicer is one of {', '.join(DEMOSAICERS)}; got {how!r}")
    if plane.ndim != 2 or min(plane.shape) < 4:
        raise OptionError(f"a mosaic has at least 4 x 4 samples; got the shape {plane.shape}")
    colours = filters(pattern)
    if how == "edge":
        # 16 bits over a range that leaves room for noise below black and above white
        levels = np.round(np.clip((plane + 0.125) / 2, 0, 1) * 65535).astype(np.uint16)
        # OpenCV names a pattern by the second and third pixel of the second row
        code = {
            "RGGB": cv2.COLOR_BayerBG2RGB_EA,
            "BGGR": cv2.COLOR_BayerRG2RGB_EA,
            "GRBG": cv2.COLOR_BayerGB2RGB_EA,
            "GBRG": cv2.COLOR_BayerGR2RGB_EA,
        }[pattern]
        filled = cv2.demosaicing(levels, code).astype(np.float32) * np.float32(2 / 65535) - np.float32(0.125)
        return np.asarray(filled, np.float32)

    def filtered(source: Plane, kernel: NDArray[np.float32], parts: float) -> Plane:
        # mirrored about the border pixel, so that a red neighbour stays a red one
        return np.asarray(cv2.filter2D(source, -1, kernel / np.float32(parts), borderType=cv2.BORDER_REFLECT_101))

    if how == "bilinear":
        out = np.zeros((*plane.shape, 3), np.float32)
        for (y, x), colour in np.ndenumerate(colours):
            out[y::2, x::2, colour] = plane[y::2, x::2]
        cross = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], np.float32)
        square = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32)
        planes = [filtered(np.ascontiguousarray(out[..., c]), cross if c == 1 else square, 4) for c in range(3)]
        return np.stack(planes, axis=2)

    green, across = filtered(plane, _GREEN, 8), filtered(plane, _ACROSS, 8)
    along, upright = filtered(plane, _ALONG, 8), filtered(plane, np.ascontiguousarray(_ALONG.T), 8)
    out = np.empty((*plane.shape, 3), np.float32)
    for (y, x), colour in np.ndenumerate(colours):
        at = (slice(y, None, 2), slice(x, None, 2))
        out[(*at, colour)] = plane[at]
        if colour == 1:
            beside = int(colours[y, 1 - x])  # red or blue, whichever stands in the same row
            out[(*at, beside)] = along[at]
            out[(*at, 2 - beside)] = upright[at]
        else:
            out[(*at, 1)] = green[at]
            out[(*at, 2 - colour)] = across[at]
    return out
