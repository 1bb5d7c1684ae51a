"""Search for the best of many looks: first all over, then near the best ones.

After the two stages of EACPS (evaluate all, keep the best, refine those), with a second stage that is local: looks are
drawn near the best of their line, nearer each time, and a line that gains nothing starts anew somewhere else. Every
draw has a generator of its own, made of the seed and its place, so that the number of threads changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tratto.faces.swap import DIGITS, RANGES, Look, perturbed

#: How far the first look of the second stage is from its parent, as a share of each range, how much nearer each later
#: one is, and after how many without gain a line starts anew.
FIRST_STEP, SHRINK, PATIENCE = 0.22, 0.65, 3


@dataclass(frozen=True)
class Plan:
    """How much is tried.

    Attributes
    ----------
    k_global : int
        Looks drawn all over.
    m_global : int
        How many of the best are refined.
    k_local : int
        Looks drawn near each of those.
    seed : int
        Of the looks that are drawn.
    """

    k_global: int = 8
    m_global: int = 3
    k_local: int = 4
    seed: int = 0
    #: Share of the way to noise of a first refinement by a diffusion model; 0: there is none.
    refine: float = 0.0

    @property
    def count(self) -> int:
        """Number of candidates, the raw one included."""
        return 1 + self.k_global + min(self.m_global, self.k_global + 1) * self.k_local


@dataclass(frozen=True, eq=False)
class Candidate:
    """A look that was tried.

    Attributes
    ----------
    number : int
        From 0, the raw one.
    stage : str
        ``"raw"``, ``"global"`` or ``"local"``.
    parent : int or None
        The number of the one that it was drawn near.
    look : Look
        What was tried.
    result : Any
        What the evaluation gave, with a ``potential``.
    """

    number: int
    stage: str
    parent: int | None
    look: Look
    result: Any


def search(evaluate: Callable[[Look], Any], plan: Plan, pool: Executor | None = None) -> Iterator[Candidate]:
    """Try looks and yield each, in the order of their numbers.

    Parameters
    ----------
    evaluate : callable
        From a look to something with a ``potential``, more is better; must be safe in several threads if there is a
        pool.
    plan : Plan
        How many looks are drawn, and from which seed.
    pool : concurrent.futures.Executor or None
        None: one after the other.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> found = list(search(lambda look: SimpleNamespace(potential=-abs(look.light - 0.5)), Plan()))
    >>> len(found), found[0].stage, found[-1].stage
    (21, 'raw', 'local')
    """
    run: Callable[..., Iterable[Any]] = map if pool is None else pool.map
    looks = [Look.raw(), *spread(plan.k_global, np.random.default_rng([plan.seed, 0]))]
    if plan.refine > 0:  # refinements of one swap, from other noise each
        looks = [looks[0], *(replace(Look(), draws=(_draw(plan, 0, i, plan.refine),)) for i in range(1, len(looks)))]
    tried = [
        Candidate(i, "global" if i else "raw", None, look, result)
        for i, (look, result) in enumerate(zip(looks, run(evaluate, looks), strict=True))
    ]
    yield from tried
    parents = ranked(tried)[: plan.m_global]

    def line(k: int) -> list[Candidate]:
        return _line(evaluate, parents[k], plan, len(tried) + k * plan.k_local)

    for found in run(line, range(len(parents))):
        yield from found


def ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return candidates, the best first; of equals the earlier."""
    return sorted(candidates, key=lambda c: (-c.result.potential, c.number))


def spread(count: int, rng: np.random.Generator) -> list[Look]:
    """Return looks spread evenly over :data:`tratto.faces.swap.RANGES` (a Latin hypercube), the usual one first."""
    if count < 1:
        return []
    cells = {name: (rng.permutation(count) + rng.random(count)) / count for name in RANGES}
    looks = []
    for i in range(count):
        shares = {name: float(cells[name][i]) for name in RANGES}
        looks.append(Look.of({n: round(low + shares[n] * (high - low), DIGITS) for n, (low, high) in RANGES.items()}))
    return [Look(), *looks[1:]]


def _draw(plan: Plan, stage: int, number: int, share: float) -> tuple[int, float]:
    """Return seed and share of a refinement; the seed follows from those of the search and the place in it."""
    return int(np.random.default_rng([plan.seed, 2 + stage, number]).integers(2**31)), share


def _line(evaluate: Callable[[Look], Any], parent: Candidate, plan: Plan, first: int) -> list[Candidate]:
    """Return the looks drawn near one, each near the best of its line so far."""
    rng = np.random.default_rng([plan.seed, 1, parent.number])
    best, step, without = parent, FIRST_STEP, 0
    found: list[Candidate] = []
    for i in range(plan.k_local):
        if without >= PATIENCE:
            (_, look), step, without = spread(2, rng), FIRST_STEP, 0
            made = Candidate(first + i, "local", None, look, None)
            if plan.refine > 0:
                step = 1.0
                made = replace(made, look=replace(Look(), draws=(_draw(plan, 1, made.number, plan.refine),)))
        elif plan.refine > 0:  # from the parent's picture, with less noise each time
            step = SHRINK if i == 0 else step
            draw = _draw(plan, 1, first + i, round(plan.refine * step, DIGITS))
            base = best.look if best.stage != "raw" else Look()
            made = Candidate(first + i, "local", best.number, replace(base, draws=(*base.draws, draw)), None)
        else:
            base = best.look if best.stage != "raw" else replace(Look(), seam=RANGES["seam"][0])
            made = Candidate(first + i, "local", best.number, perturbed(base, step, rng), None)
        made = replace(made, result=evaluate(made.look))
        found.append(made)
        without += 1
        if made.result.potential > best.result.potential:
            best, without = made, 0
        step *= SHRINK
    return found
