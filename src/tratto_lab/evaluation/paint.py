"""How far a repainted wall is from the colour it should have.

Conventions as in :mod:`tratto.imaging.color`: sRGB encoded in [0, 1], CIELAB for D65.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tratto.core.errors import OptionError
from tratto.imaging.color import delta_e_2000, srgb_to_lab
from tratto.imaging.paint import HUE_CHROMA, circular_difference

__all__ = ["ColourScore", "Summary", "mean_lab", "score_color", "summarise"]


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

    Examples
    --------
    >>> score_color(np.full((4, 4, 3), 0.5), np.zeros((4, 4)), (0.5, 0.5, 0.5)).measurable
    False
    """

    measurable: bool
    reason: str = ""
    lab_distance: float | None = None
    delta_e_76: float | None = None
    delta_e_2000: float | None = None
    hue_error: float | None = None
    chroma_difference: float | None = None
    pixels: int = 0


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

    Examples
    --------
    >>> np.allclose(mean_lab(np.ones((2, 2, 3))), [100, 0, 0], atol=0.01)
    True
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
        Above 0.5 counts.
    reference : (..., 3) array
        One colour or a picture, encoded sRGB in [0, 1].

    Returns
    -------
    ColourScore
        Distances in CIELAB, hue and chroma; or why nothing can be measured.

    Examples
    --------
    >>> wall, mask = np.full((4, 4, 3), 0.5), np.ones((4, 4))
    >>> round(score_color(wall, mask, (0.5, 0.5, 0.5)).lab_distance, 6)
    0.0
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

    Examples
    --------
    >>> summarise([1.0, 3.0, None])
    Summary(mean=2.0, p95=2.9, worst=3.0, measured=2, left_out=1)
    """

    mean: float | None
    p95: float | None
    worst: float | None
    measured: int
    left_out: int


def summarise(values: Sequence[float | None]) -> Summary:
    """Summarise scores; None and NaN are left out and counted, never taken as zero.

    Examples
    --------
    >>> summarise([None, float("nan")]).measured
    0
    """
    good = [float(v) for v in values if v is not None and math.isfinite(v)]
    out = len(values) - len(good)
    if not good:
        return Summary(None, None, None, 0, out)
    return Summary(float(np.mean(good)), float(np.percentile(good, 95)), max(good), len(good), out)
