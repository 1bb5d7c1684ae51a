"""Paint colours: how they are written down and what a swatch picture shows.

Conventions as in :mod:`tratto.imaging.color`: sRGB encoded in [0, 1], CIELAB for D65.
"""

from __future__ import annotations

import math
import re
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.imaging.color import lab_to_srgb, srgb_to_lab

__all__ = ["HUE_CHROMA", "circular_difference", "dominant_color", "parse_color"]

#: Below this CIELAB chroma a colour is called neutral and has no hue worth measuring: one unit of Lab, which nobody
#: sees, would already turn it by 30 degrees.
HUE_CHROMA = 2.0

_HEX = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)
_CALL = re.compile(r"(rgb|lab)\s*[( ]\s*([^)]*?)\s*\)?", re.IGNORECASE)


def parse_color(text: str) -> tuple[float, float, float]:
    """Return the sRGB values of a colour written as text.

    Parameters
    ----------
    text : str
        ``#c8d4e0`` or ``#cde`` (the # may be left out), ``rgb(200, 212, 224)`` with 0-255, ``lab(83.9, -1.5, -7.2)``,
        or a name of CSS such as ``navajowhite``.

    Returns
    -------
    (r, g, b) floats in [0, 1]
        Encoded sRGB.

    Raises
    ------
    OptionError
        If it cannot be read, is out of range, or is a Lab colour outside sRGB by more than one step of 255.

    Examples
    --------
    >>> [round(v, 3) for v in parse_color('#336699')]
    [0.2, 0.4, 0.6]
    """
    expected = f"a color is #rrggbb, rgb(R, G, B) with 0-255, lab(L, a, b) or a name of CSS; got {text!r}"
    stripped = text.strip()
    from PIL.ImageColor import colormap, getrgb

    if stripped.lower() in colormap:
        named = getrgb(stripped)
        return (named[0] / 255, named[1] / 255, named[2] / 255)
    found = _HEX.fullmatch(stripped)
    if found:
        code = found.group(1)
        code = "".join(c + c for c in code) if len(code) == 3 else code
        return (int(code[0:2], 16) / 255, int(code[2:4], 16) / 255, int(code[4:6], 16) / 255)
    call = _CALL.fullmatch(stripped)
    if call is None:
        raise OptionError(expected)
    try:
        values = [float(v) for v in re.split(r"[,\s]+", call.group(2))]
    except ValueError:
        raise OptionError(expected) from None
    if len(values) != 3 or not all(math.isfinite(v) for v in values):
        raise OptionError(expected)
    if call.group(1).lower() == "rgb":
        if not all(0 <= v <= 255 for v in values):
            raise OptionError(f"rgb values lie in 0-255, got {text!r}")
        return (values[0] / 255, values[1] / 255, values[2] / 255)
    srgb = lab_to_srgb(np.array(values, np.float64))
    if srgb.min() < -1 / 255 or srgb.max() > 1 + 1 / 255:
        raise OptionError(f"{text!r} lies outside sRGB, which is what the picture can show; choose a paler colour")
    r, g, b = (float(v) for v in np.clip(srgb, 0, 1))
    return (r, g, b)


def dominant_color(
    rgb: NDArray[np.floating[Any]], method: Literal["median", "mean", "kmeans"] = "median"
) -> tuple[float, float, float]:
    """Return the colour that a picture, or the masked part of one, mostly has.

    Parameters
    ----------
    rgb : (..., 3) array
        Encoded sRGB in [0, 1]; only the pixels that count.
    method : str
        ``median`` per channel, ``mean``, or ``kmeans``: the centre of the largest of five clusters in CIELAB
        (deterministic start: pixels at evenly spaced ranks of lightness).

    Returns
    -------
    (r, g, b) floats in [0, 1]
        Encoded sRGB.

    Raises
    ------
    OptionError
        If there is no finite pixel.

    Examples
    --------
    >>> dominant_color(np.full((8, 8, 3), 0.25, np.float32))
    (0.25, 0.25, 0.25)
    """
    flat = np.asarray(rgb, np.float64).reshape(-1, 3)
    flat = flat[np.isfinite(flat).all(axis=1)]
    if len(flat) == 0:
        raise OptionError("a dominant colour needs at least one pixel with finite values; got none")
    if method == "mean":
        value = flat.mean(axis=0)
    elif method == "kmeans":
        value = _largest_cluster(flat)
    elif method == "median":
        value = np.median(flat, axis=0)
    else:
        raise OptionError(f"the method is median, mean or kmeans, got {method!r}")
    r, g, b = (float(v) for v in np.clip(value, 0, 1))
    return (r, g, b)


def _largest_cluster(flat: NDArray[np.float64]) -> NDArray[np.float64]:
    sample = flat[:: max(1, len(flat) // 20_000)]
    lab = np.asarray(srgb_to_lab(sample), np.float64)
    ranks = np.argsort(lab[:, 0], kind="stable")[np.linspace(0, len(lab) - 1, 7)[1:-1].astype(int)]
    centres = lab[ranks]
    label = np.zeros(len(lab), int)
    for _ in range(20):
        distance = ((lab[:, None] - centres[None]) ** 2).sum(axis=2)
        new = distance.argmin(axis=1)
        moved = centres.copy()
        for k in range(len(centres)):
            if (new == k).any():
                moved[k] = lab[new == k].mean(axis=0)
        done = bool((new == label).all()) and bool(np.allclose(moved, centres))
        centres, label = moved, new
        if done:
            break
    counts = np.bincount(label, minlength=len(centres))
    return np.asarray(lab_to_srgb(centres[int(counts.argmax())]), np.float64)


def circular_difference(a: float, b: float) -> float:
    """Return the difference of two angles in degrees, 0-180.

    Examples
    --------
    >>> circular_difference(350, 10), circular_difference(10, 350)
    (20.0, 20.0)
    """
    d = abs(a - b) % 360.0
    return min(d, 360.0 - d)
