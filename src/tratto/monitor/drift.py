"""How far a spread of numbers has moved from that of a reference window, on fixed bins.

The population stability index of two histograms p and q is ``sum (q - p) ln(q / p)``; by custom 0.1 is worth a look and
0.25 a shift. It is never 0 for two draws from one population: with n and m numbers in B bins it is about
``(1/n + 1/m)`` times a chi-square of B - 1 degrees of freedom. A shift therefore counts only where the index exceeds
what chance gives once in ``1 / CHANCE`` comparisons. The Kolmogorov-Smirnov distance is the largest difference of the
cumulative histograms; its chance is bounded as for numbers that are not binned, which is on the safe side.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["too few", "steady", "watch", "alert"]
#: Indices and distances from which a shift is worth a look, and from which it is an alert.
WATCH, ALERT = 0.1, 0.25
#: How often chance alone may exceed what counts.
CHANCE = 1e-4
#: Fewest numbers on either side that say anything.
FEWEST = 30
# the quantile of the normal distribution that belongs to CHANCE
_NORMAL = 3.719


@dataclass(frozen=True)
class Drift:
    """How far apart two windows are.

    Attributes
    ----------
    psi, ks : float
        Population stability index; Kolmogorov-Smirnov distance, 0 to 1.
    psi_chance, ks_chance : float
        What chance alone exceeds once in ``1 / CHANCE`` comparisons of so many numbers.
    reference, window : int
        Numbers on each side.
    level : str
        ``"too few"``, ``"steady"``, ``"watch"`` or ``"alert"``.
    """

    psi: float
    ks: float
    psi_chance: float
    ks_chance: float
    reference: int
    window: int
    level: Level

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(self).items()}


def counts_of(values: Sequence[float | None], edges: Sequence[float]) -> list[int]:
    """Return how many values lie in each bin: below the first edge, from edge to edge, from the last on; last: None.

    Examples
    --------
    >>> counts_of([0.5, 1, 7, None], (1, 5))
    [1, 1, 1, 1]
    """
    counts = [0] * (len(edges) + 2)
    for value in values:
        place = len(edges) + 1 if value is None else bisect_right(edges, value)
        counts[place] += 1
    return counts


def psi(reference: Sequence[int], window: Sequence[int]) -> float:
    """Return the population stability index of two histograms; half a count is added to each bin: none is empty.

    Examples
    --------
    >>> psi([50, 50], [50, 50])
    0.0
    >>> round(psi([800, 200], [200, 800]), 2)
    1.66
    """
    used = [(a, b) for a, b in zip(reference, window, strict=True) if a or b]
    n, m = (sum(side) + len(used) / 2 for side in zip(*used, strict=True)) if used else (1.0, 1.0)
    return sum(((b + 0.5) / m - (a + 0.5) / n) * math.log((b + 0.5) * n / ((a + 0.5) * m)) for a, b in used)


def psi_chance(reference: Sequence[int], window: Sequence[int]) -> float:
    """Return the index that two draws from one population exceed once in ``1 / CHANCE`` times.

    The quantile of the chi-square is that of Wilson and Hilferty (1931).
    """
    free = sum(1 for a, b in zip(reference, window, strict=True) if a or b) - 1
    n, m = sum(reference), sum(window)
    if free < 1 or not n or not m:
        return 0.0
    third = 2 / (9 * free)
    return (1 / n + 1 / m) * free * (1 - third + _NORMAL * math.sqrt(third)) ** 3


def ks(reference: Sequence[int], window: Sequence[int]) -> float:
    """Return the Kolmogorov-Smirnov distance of two histograms on the same bins.

    Examples
    --------
    >>> ks([10, 0, 0], [0, 0, 10])
    1.0
    """
    n, m = sum(reference), sum(window)
    if not n or not m:
        return 0.0
    a = b = 0
    far = 0.0
    for one, other in zip(reference, window, strict=True):
        a, b = a + one, b + other
        far = max(far, abs(a / n - b / m))
    return far


def ks_chance(n: int, m: int) -> float:
    """Return the distance that two draws from one population exceed once in ``1 / CHANCE`` times (Smirnov's bound)."""
    return math.sqrt(-math.log(CHANCE / 2) / 2 * (n + m) / (n * m)) if n and m else 1.0


def compare(reference: Sequence[int], window: Sequence[int]) -> Drift:
    """Say how far a window has moved from a reference.

    Parameters
    ----------
    reference, window : sequence of int
        Counts on the same bins; see :func:`counts_of`.

    Examples
    --------
    >>> compare([400, 100], [100, 400]).level, compare([40, 10], [38, 12]).level, compare([4, 1], [1, 4]).level
    ('alert', 'steady', 'too few')
    """
    n, m = sum(reference), sum(window)
    moved = ((psi(reference, window), psi_chance(reference, window)), (ks(reference, window), ks_chance(n, m)))
    level: Level = "steady"
    if min(n, m) < FEWEST:
        level = "too few"
    elif any(value >= ALERT and value > chance for value, chance in moved):
        level = "alert"
    elif any(value >= WATCH and value > chance for value, chance in moved):
        level = "watch"
    (index, index_chance), (distance, distance_chance) = moved
    return Drift(index, distance, index_chance, distance_chance, n, m, level)
