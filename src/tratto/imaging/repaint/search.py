"""The search for the paint that gives the colour asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tratto.imaging.color import linear_to_lab, linear_to_srgb, srgb_to_lab
from tratto.imaging.repaint.kinds import Fit, RepaintTarget, three
from tratto.imaging.repaint.layers import Layers, bounced, evenly, joined, put_together, spread_sample
from tratto.imaging.shading import Float
from tratto.imaging.working import rounded_for_lightness

SAMPLE = 9_000
SETTLE = 60_000
#: How many squares of nine pixels tell whether the structure stays.
SQUARES = 2_000
#: CIELAB distance at which the mean counts as met.
CLOSE = 0.005
#: Correlation of gradients from which on the structure of a wall counts as kept.
SHOWS = 0.97
#: Shares of contrast that may be given up, tried in this order.
LIFTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.66, 0.72, 0.78, 0.83, 0.87, 0.9, 0.93)
_SOBEL = np.array(
    [[-1, -1], [0, -2], [1, -1], [-2, 0], [0, 0], [2, 0], [-1, 1], [0, 2], [1, 1]], np.float32
)  # fmt: skip


def solve(parts: list[Layers], weights: list[Float], fit: Fit, target: RepaintTarget) -> Fit:
    """Find the paint; a sample finds it roughly, a larger one settles it."""
    start = np.ones(3, np.float32) if target.tile is not None else target.paint
    if target.match == "paint":
        return replace(fit, paint=three(start * np.asarray(fit.level)), lift=0.0, missed=0.0)
    small, squares = spread_sample(parts, weights, SAMPLE), _squares(parts, weights)
    search = _Search(
        _Lit.of(small, fit), None if squares is None else _Lit.of(squares, fit), fit.knee, start, target.lab
    )
    scale, lift = search.best()[:2]
    # a small sample serves the search; a larger one settles the mean
    large = replace(search, sample=_Lit.of(spread_sample(parts, weights, SETTLE), fit), coarse=target.coarse)
    factors, missed, _ = large.fit(scale, lift, 6)
    return replace(fit, paint=three(start * factors), lift=lift, missed=missed)


def _squares(parts: list[Layers], weights: list[Float]) -> Layers | None:
    """Return wall pixels in about ``SQUARES`` groups of nine, each a square of three by three, row by row.

    None for a wall too narrow for squares.
    """
    chosen = []
    for weight in weights:
        ok = (weight > 0.99).astype(np.uint8)
        if min(ok.shape) > 4:
            import cv2

            # edges of the wall have the largest steps of all, and are none of its structure
            ok = cv2.erode(ok, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
        chosen.append(np.flatnonzero(ok.ravel()) if min(ok.shape) > 4 else np.zeros(0, np.intp))
    share = min(1.0, SQUARES / max(1, sum(len(c) for c in chosen)))
    pieces = []
    for layers, weight, index in zip(parts, weights, chosen, strict=True):
        if len(index):
            width = weight.shape[1]
            square = np.array([dy * width + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
            pieces.append(layers.at((index[evenly(len(index), share)][:, None] + square).ravel()))
    return joined(pieces) if pieces else None


@dataclass(frozen=True, eq=False)
class _Lit:
    """A sample of pixels, and their light under the new paint."""

    layers: Layers
    light: Float

    @classmethod
    def of(cls, layers: Layers, fit: Fit) -> _Lit:
        return cls(layers, bounced(layers.light, fit))


@dataclass(frozen=True, eq=False)
class _Search:
    """Find the paint whose mean over a sample, as seen, is the target.

    ``squares`` tell how much of the wall's structure stays.
    """

    sample: _Lit
    squares: _Lit | None
    knee: float
    start: Float
    target: NDArray[np.float64]
    coarse: bool = False

    def seen(self, scale: NDArray[np.float64], lift: float, sample: _Lit | None = None) -> Float:
        lit = sample or self.sample
        return put_together(lit.layers, lit.light, (self.start * scale).astype(np.float32), lift, self.knee)

    def mean(self, scale: NDArray[np.float64], lift: float) -> NDArray[np.float64]:
        seen = self.seen(scale, lift)
        if self.coarse:  # steps of eight bits fall into step with a narrow range of light, and pull its mean
            whole = rounded_for_lightness(255 * linear_to_srgb(np.clip(seen, 0, 1)))
            lab = np.asarray(srgb_to_lab(whole / np.float32(255)))
        else:
            lab = np.asarray(linear_to_lab(seen))
        return np.array([lab[:, i].mean(dtype=np.float64) for i in range(3)])

    def fit(
        self, scale: NDArray[np.float64], lift: float, rounds: int = 14, slopes: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
        """Return the factors of the paint, the distance that is left, and how the mean answers to their logarithms.

        Damped Gauss-Newton in the logarithms; after differences once, the slopes are kept up to date by Broyden's
        rule (1965), and taken anew when a move does not help.
        """
        log = np.log(scale)
        error = self.mean(np.exp(log), lift) - self.target
        best, best_error = log, float(np.linalg.norm(error))
        j, fresh = slopes, False
        for _ in range(rounds):
            if best_error < CLOSE:
                break
            if j is None:
                moves = 0.02 * np.eye(3)
                j = np.stack([(self.mean(np.exp(log + d), lift) - self.target - error) / 0.02 for d in moves], axis=1)
                fresh = True
            move = np.clip(-np.linalg.solve(j.T @ j + 1e-3 * np.eye(3), j.T @ error), -0.7, 0.7)
            there = np.clip(log + move, np.log(1e-4), np.log(100.0))
            move = there - log
            new = self.mean(np.exp(there), lift) - self.target
            size = float(np.linalg.norm(new))
            if size > 0.8 * best_error and not fresh:
                j = None  # slopes from elsewhere mislead
                continue
            if float(move @ move) > 1e-12:
                j = j + np.outer(new - error - j @ move, move) / float(move @ move)
            fresh = False
            log, error = there, new
            if size < best_error:
                best, best_error = log, size
        return np.exp(best), best_error, np.zeros((3, 3)) if j is None else j

    def agreement(self, scale: NDArray[np.float64], lift: float) -> float:
        """Return the correlation of lightness gradients (Sobel) before and after, as 8-bit samples show them."""
        if self.squares is None:
            return 1.0
        seen = linear_to_srgb(np.clip(self.seen(scale, lift, self.squares), 0, 1))
        shown = rounded_for_lightness(255 * seen) / np.float32(255)
        after = np.asarray(srgb_to_lab(shown))[:, 0].reshape(-1, 9) @ _SOBEL
        before = np.asarray(linear_to_lab(self.squares.layers.picture))[:, 0].reshape(-1, 9) @ _SOBEL
        together = float(np.sqrt((before * before).mean() * (after * after).mean()))
        return float((before * after).mean()) / max(1e-9, together)

    def too_bright(self, scale: NDArray[np.float64]) -> bool:
        """Return whether more than a fiftieth of the wall would exceed full scale, beyond what did before."""
        layers = self.sample.layers
        new = self.start * scale if layers.tile is None else self.start * scale * layers.tile
        over = (new * self.sample.light).max(axis=-1) > 1
        return float(over.mean()) > 0.02 + float((layers.picture.max(axis=-1) > 0.97).mean())

    def best(self) -> tuple[NDArray[np.float64], float, float]:
        """Return factors, lift and the distance left.

        All contrast stays if it fits; else as much as lets the structure of the wall show, or what shows most of it.
        """
        scale, error, slopes = self.fit(np.ones(3), 0.0)
        if not self.too_bright(scale) and error < 0.1:
            return scale, 0.0, error
        found, score = (scale, 0.0, error), -np.inf
        for lift in LIFTS:
            scale, error, slopes = self.fit(scale, lift, slopes=slopes if slopes.any() else None)
            here = self.agreement(scale, lift) - max(0.0, error - 0.05)
            if here > score:
                found, score = (scale, lift, error), here
            if here > SHOWS:
                break
        return found
