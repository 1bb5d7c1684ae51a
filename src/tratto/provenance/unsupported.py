"""The unsupported-attribute rate: what stands in a result that neither its input nor a prompt supports.

Definition. Result and source are compared on the grid of the source (an enlarged result is averaged down). At each of
several sizes of structure s, both are smoothed by a Gaussian of sigma s pixels. A restorer may

- take away noise: smoothed white noise of standard deviation n leaves n / (2 s sqrt(pi));
- sharpen or shift edges a little: by a share of s times the slope of the source there;
- correct compression and rounding: by a fixed tolerance.

A pixel is *unsupported* if the difference, in lightness or in one of two colours, is more than ``LIMIT`` times the root
of the sum of squares of these three at any size. The rate is the share of such pixels. The *score* of a picture is the
mean of that ratio over its most striking thousandth: it orders pictures by how much was invented in one place.

What it cannot see: detail finer than the source resolves (it contradicts nothing there), and invented things that are
as faint as the noise that was taken away. What it takes for invented though it is not: strong changes that were asked
for, such as another colour; exclude them by ``supported``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError

#: Sizes of structure that are compared, in pixels of the source.
SIZES = (1.5, 3.0, 6.0)
#: How many times what a restorer may do counts as unsupported. Set on photographs that are not those of the benchmark.
LIMIT = 4.0
#: Share of s times the slope by which edges may change, and fixed tolerance, full scale = 1.
EDGE, TOLERANCE = 0.25, 2.0 / 255

#: How far the distance of a window must exceed the median to count. Not set on any weights: none come along.
MEANING = 0.1
#: Side of the windows, in pixels of the source.
WINDOW = 64

_STRIKING = 1e-3
# ITU-R BT.601: lightness and two colour differences; the rows have unit response to noise where colours are concerned
_OPPONENT = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32)


@dataclass(frozen=True, eq=False)
class Unsupported:
    """What was found.

    Attributes
    ----------
    rate : float
        Share of unsupported pixels, 0 to 1.
    score : float
        Mean ratio over the most striking thousandth of the pixels (at least 16).
    ratio : (H, W) float32 array
        Largest ratio at any size, on the grid of the source; above ``LIMIT`` is unsupported.
    """

    rate: float
    score: float
    ratio: NDArray[np.float32]


def unsupported(
    source: NDArray[np.float32],
    result: NDArray[np.float32],
    noise_sigma: float,
    supported: NDArray[np.bool_] | None = None,
) -> Unsupported:
    """Measure what a result shows that its source does not support; see the head of this module.

    Parameters
    ----------
    source : (H, W, 3) float32
        sRGB in [0, 1].
    result : (s H, s W, 3) float32
        sRGB in [0, 1], s a whole number.
    noise_sigma : float
        Noise of the source, standard deviation on the scale 0 to 255, as its inspection states.
    supported : (H, W) bool array or None
        Where a prompt or a person asked for a change, which is therefore supported.

    Raises
    ------
    OptionError
        If the sizes do not fit.
    """
    import cv2

    height, width = source.shape[:2]
    scale = _scale(source, result)
    if scale > 1:
        result = result.reshape(height, scale, width, scale, 3).mean(axis=(1, 3), dtype=np.float32)
    ours, theirs = source @ _OPPONENT.T, (result - source) @ _OPPONENT.T
    noise = max(0.0, noise_sigma) / 255 * np.sqrt((_OPPONENT**2).sum(axis=1))
    ratio = np.zeros((height, width), np.float32)
    for size in SIZES:
        smooth = cv2.GaussianBlur(np.ascontiguousarray(ours), (0, 0), size, borderType=cv2.BORDER_REFLECT)
        apart = np.abs(cv2.GaussianBlur(np.ascontiguousarray(theirs), (0, 0), size, borderType=cv2.BORDER_REFLECT))
        slope = np.hypot(np.gradient(smooth, axis=0), np.gradient(smooth, axis=1))
        left = noise / (2 * size * np.sqrt(np.pi))
        may = np.sqrt(left**2 + (EDGE * size * slope) ** 2 + TOLERANCE**2)
        ratio = np.maximum(ratio, (apart / may).max(axis=2).astype(np.float32))
    if supported is not None:
        ratio = np.where(supported, np.float32(0), ratio)
    count = max(16, int(ratio.size * _STRIKING))
    flat = np.partition(ratio.ravel(), -min(count, ratio.size))[-count:]
    return Unsupported(float((ratio > LIMIT).mean()), float(flat.mean()), ratio)


class Embedder(Protocol):
    """Knows what pictures mean."""

    def embed(self, pictures: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return (N, D) rows of length 1 for pictures of (H, W, 3) float32 in [0, 1]."""


@dataclass(frozen=True, eq=False)
class UnsupportedMeaning:
    """What was found in meaning.

    Attributes
    ----------
    rate : float
        Share of unsupported windows, 0 to 1.
    score : float
        Largest distance less the median.
    distance : (rows, columns) float32 array
        Of each window; 0 is the same meaning, 2 the opposite.
    """

    rate: float
    score: float
    distance: NDArray[np.float32]


def unsupported_in_meaning(
    source: NDArray[np.float32],
    result: NDArray[np.float32],
    embedder: Embedder,
    prompt: NDArray[np.float32] | None = None,
    window: int = WINDOW,
) -> UnsupportedMeaning:
    """Measure what a result means that neither its source nor a prompt supports; see the head of this module.

    Parameters
    ----------
    source : (H, W, 3) float32
        sRGB in [0, 1].
    result : (s H, s W, 3) float32
        sRGB in [0, 1], s a whole number.
    embedder : Embedder
        Tells what windows mean, such as a CLIP network.
    prompt : (D,) array or None
        What was asked for, embedded by the same network.
    window : int
        Side of the windows, pixels of the source; pictures that are smaller are one window. They overlap by half.

    Raises
    ------
    OptionError
        If the sizes do not fit.
    """
    height, width = source.shape[:2]
    scale = _scale(source, result)
    if window < 1:
        raise OptionError(f"a window needs a side of at least one pixel, got {window}")
    rows, columns = _starts(height, window), _starts(width, window)
    places = [(y, x) for y in rows for x in columns]

    def cut(picture: NDArray[np.float32], s: int) -> list[NDArray[np.float32]]:
        return [picture[s * y : s * (y + window), s * x : s * (x + window)] for y, x in places]

    change = embedder.embed(cut(result, scale)).astype(np.float64) - embedder.embed(cut(source, 1))
    if prompt is not None:
        unit = np.asarray(prompt, np.float64) / max(float(np.linalg.norm(prompt)), 1e-12)
        change -= np.maximum(change @ unit, 0)[:, None] * unit
    distance = (0.5 * (change**2).sum(axis=1)).astype(np.float32).reshape(len(rows), len(columns))
    usual = float(np.median(distance))
    return UnsupportedMeaning(float((distance > usual + MEANING).mean()), float(distance.max()) - usual, distance)


def _starts(length: int, window: int) -> list[int]:
    """Return where windows begin: half a window apart, the last one at the end."""
    if length <= window:
        return [0]
    step = max(1, window // 2)
    return [*range(0, length - window, step), length - window]


def _scale(source: NDArray[np.float32], result: NDArray[np.float32]) -> int:
    """Return how many times as large the result is; raise :class:`OptionError` if it is no whole number of times."""
    height, width = source.shape[:2]
    scale = int(result.shape[0] // height) if height else 0
    if source.ndim != 3 or source.shape[2] != 3 or result.shape != (scale * height, scale * width, 3) or scale < 1:
        raise OptionError(
            f"expected RGB pictures, the result a whole number of times as large as the source; got {source.shape} "
            f"and {result.shape}"
        )
    return scale
