"""Paint colours: how they are written down, what a swatch picture shows, and how far two colours are apart.

Conventions as in :mod:`tratto.imaging.color`: sRGB encoded in [0, 1], CIELAB for D65.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tratto.core.errors import OptionError
from tratto.imaging.color import delta_e_2000, lab_to_srgb, srgb_to_lab

__all__ = [
    "HUE_CHROMA",
    "ColourScore",
    "Summary",
    "circular_difference",
    "dominant_color",
    "mean_lab",
    "parse_color",
    "score_color",
    "summarise",
]

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
        ``#c8d4e0`` or ``#cde`` (the # may be left out), ``rgb(200, 212, 224)`` with 0-255, ``lab(83.9, -1.5, -7.2)``.

    Returns
    -------
    (r, g, b) floats in [0, 1]
        Encoded sRGB.

    Raises
    ------
    OptionError
        If it cannot be read, is out of range, or is a Lab colour outside sRGB by more than one step of 255.
    """
    told = f"a color is #rrggbb, rgb(R, G, B) with 0-255 or lab(L, a, b); got {text!r}"
    stripped = text.strip()
    found = _HEX.fullmatch(stripped)
    if found:
        code = found.group(1)
        code = "".join(c + c for c in code) if len(code) == 3 else code
        return (int(code[0:2], 16) / 255, int(code[2:4], 16) / 255, int(code[4:6], 16) / 255)
    call = _CALL.fullmatch(stripped)
    if call is None:
        raise OptionError(told)
    try:
        values = [float(v) for v in re.split(r"[,\s]+", call.group(2))]
    except ValueError:
        raise OptionError(told) from None
    if len(values) != 3 or not all(math.isfinite(v) for v in values):
        raise OptionError(told)
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

    Raises
    ------
    OptionError
        If there is no finite pixel.
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


# --------------------------------------------------------------------------------------------------------- scores


@dataclass(frozen=True)
class ColourScore:
    """How far a wall as seen is from the colour it should have.

    Attributes
    ----------
    measurable : bool
        False for an empty mask or values that are not finite; then every number is None, never zero.
    reason : str
        Why it could not be measured.
    lab_distance : float or None
        Euclidean distance of mean Lab to reference Lab (CIE76 of the means).
    delta_e_76, delta_e_2000 : float or None
        Colour differences between mean and reference; the first equals ``lab_distance``.
    hue_error : float or None
        Circular hue difference, 0-180 degrees; None also when either colour is neutral.
    chroma_difference : float or None
        Chroma of the output less that of the reference.
    pixels : int
        How many were measured.
    """

    measurable: bool
    reason: str = ""
    lab_distance: float | None = None
    delta_e_76: float | None = None
    delta_e_2000: float | None = None
    hue_error: float | None = None
    chroma_difference: float | None = None
    pixels: int = 0


def circular_difference(a: float, b: float) -> float:
    """Return the difference of two angles in degrees, 0-180."""
    d = abs(a - b) % 360.0
    return min(d, 360.0 - d)


def mean_lab(rgb: ArrayLike, mask: ArrayLike | None = None) -> NDArray[np.float64] | None:
    """Return the mean CIELAB over the pixels where the mask is above 0.5.

    Parameters
    ----------
    rgb : (H, W, 3) array
        Encoded sRGB in [0, 1].
    mask : (H, W) array in [0, 1] or None
        None: everywhere.

    Returns
    -------
    (3,) float64 or None
        None when no pixel is masked or a masked one is not finite.

    Raises
    ------
    OptionError
        If mask and picture differ in size.
    """
    v = np.asarray(rgb)
    if mask is not None:
        m = np.asarray(mask)
        if m.shape != v.shape[:-1]:
            raise OptionError(f"the mask is {m.shape}, the picture {v.shape[:-1]}; they must be of one size")
        v = v[m > 0.5]
    v = v.reshape(-1, 3)
    if len(v) == 0 or not np.isfinite(v).all():
        return None
    total = np.zeros(3)
    for i in range(0, len(v), 1 << 16):
        total += np.asarray(srgb_to_lab(v[i : i + (1 << 16)]), np.float64).sum(axis=0)
    return total / len(v)


def score_color(output: ArrayLike, mask: ArrayLike, reference: ArrayLike) -> ColourScore:
    """Measure a repainted picture against its reference, on masked pixels only.

    The reference counts as a whole (its mean, it is meant to be uniform); the output counts where the mask is above
    0.5. An empty mask is not a score of zero: it is not measurable.

    Parameters
    ----------
    output : (H, W, 3) array
        Encoded sRGB in [0, 1].
    mask : (H, W) array in [0, 1]
    reference : (..., 3) array
        One colour or a picture, encoded sRGB in [0, 1].

    Returns
    -------
    ColourScore
    """
    count = int(np.count_nonzero(np.asarray(mask) > 0.5))
    if count == 0:
        return ColourScore(False, "no pixel of the mask is above 0.5")
    got, want = mean_lab(output, mask), mean_lab(np.asarray(reference).reshape(1, -1, 3))
    if got is None:
        return ColourScore(False, "the output holds values that are not finite")
    if want is None:
        return ColourScore(False, "the reference holds values that are not finite")
    distance = float(np.linalg.norm(got - want))
    chroma_got, chroma_want = float(np.hypot(got[1], got[2])), float(np.hypot(want[1], want[2]))
    hue = None
    if min(chroma_got, chroma_want) >= HUE_CHROMA:
        angles = [math.degrees(math.atan2(lab[2], lab[1])) for lab in (got, want)]
        hue = circular_difference(*angles)
    return ColourScore(
        True,
        "" if hue is not None else f"hue not measurable: chroma below {HUE_CHROMA:g}",
        distance,
        distance,
        float(delta_e_2000(got, want)),
        hue,
        chroma_got - chroma_want,
        count,
    )


@dataclass(frozen=True)
class Summary:
    """Mean and tail of one score over samples.

    Attributes
    ----------
    mean, p95, worst : float or None
        None when nothing could be measured.
    measured, left_out : int
        How many samples count, and how many were not measurable.
    """

    mean: float | None
    p95: float | None
    worst: float | None
    measured: int
    left_out: int


def summarise(values: Sequence[float | None]) -> Summary:
    """Summarise scores; None and NaN are left out and counted, never taken as zero."""
    good = [float(v) for v in values if v is not None and math.isfinite(v)]
    out = len(values) - len(good)
    if not good:
        return Summary(None, None, None, 0, out)
    return Summary(float(np.mean(good)), float(np.percentile(good, 95)), max(good), len(good), out)
