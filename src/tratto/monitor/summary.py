"""What a page, a program or Prometheus is told of many observations: series, panels and drift."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from tratto.core.errors import InputError, OptionError
from tratto.core.files import write_text
from tratto.monitor.drift import Drift, compare, counts_of
from tratto.monitor.watched import BY_NAME, TIERS, WATCHED, Observation

SCHEMA = "tratto/reference/1"
DAY, HOUR = 86400.0, 3600.0
#: Seconds of the window that is compared where none is named.
RECENT = 30 * DAY
#: Most bars of a series: a longer time has wider ones.
BARS = 120


@dataclass(frozen=True)
class Span:
    """From one time up to another, seconds since 1970.

    Examples
    --------
    >>> Span.parse("2026-09-01..2026-10-01").days
    30.0
    """

    start: float
    end: float

    @property
    def days(self) -> float:
        """How long it is."""
        return (self.end - self.start) / DAY

    def __contains__(self, at: float) -> bool:
        return self.start <= at < self.end

    @classmethod
    def parse(cls, text: str) -> Span:
        """Return what ``FROM..TO`` says: dates or times of ISO 8601, in UTC unless they say otherwise. TO is no
        part of it.

        Raises
        ------
        OptionError
            If it says no window.
        """
        first, dots, last = text.partition("..")
        try:
            start, end = (_time(part) for part in (first, last))
        except ValueError:
            start = end = math.nan
        if dots and start >= end:
            raise OptionError(f"FROM must lie before TO, which is not part of the window, got {text[:60]!r}")
        if not dots or not start < end:
            raise OptionError(f"a window is written FROM..TO, such as 2026-09-01..2026-10-01, got {text[:60]!r}")
        return cls(start, end)


def _time(text: str) -> float:
    made = datetime.fromisoformat(text.strip())
    return (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp()


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Reference:
    """A named window that others are compared with, as counts on the fixed bins.

    Attributes
    ----------
    name : str
        As it is asked for; one name stands for one window.
    span : Span
        Which results it was counted from.
    total : int
        Observations in it.
    counts : mapping of str to sequence of int
        By quantity.
    """

    name: str
    span: Span
    total: int = 0
    counts: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, span: Span, observations: Iterable[Observation]) -> Reference:
        """Return the reference of what was observed in a window.

        Raises
        ------
        OptionError
            If nothing was.
        """
        inside = [o for o in observations if o.at in span and o.state == "done"]
        if not inside:
            raise OptionError(f"nothing was observed from {_iso(span.start)} to {_iso(span.end)}; name another window")
        return cls(name, span, len(inside), histograms(inside))

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        document = {
            "schema": SCHEMA, "name": self.name, "from": _iso(self.span.start), "to": _iso(self.span.end),
            "total": self.total, "counts": {k: list(v) for k, v in self.counts.items()},
        }  # fmt: skip
        write_text(path, json.dumps(document, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Read one that was kept.

        Raises
        ------
        InputError
            If it cannot be read, or is none.
        """
        try:
            document = json.loads(path.read_bytes())
            if document["schema"] != SCHEMA:
                raise ValueError(f"its schema is not {SCHEMA}")
            counts = {str(k): [int(n) for n in v] for k, v in document["counts"].items()}
            if any(n < 0 for v in counts.values() for n in v):
                raise ValueError("a count is below 0")
            span = Span(_time(document["from"]), _time(document["to"]))
            return cls(str(document["name"])[:80], span, int(document["total"]), counts)
        except OSError as e:
            raise InputError(f"the reference {path} cannot be read: {e.strerror or e}") from e
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise InputError(f"{path} is no reference that was kept: {e}; make one with tratto monitor --keep") from e


def histograms(observations: Iterable[Observation]) -> dict[str, list[int]]:
    """Return the counts of each quantity on its bins; those that nothing was observed of are left out."""
    values: dict[str, list[float | None]] = defaultdict(list)
    for one in observations:
        for name, value in one.facts.items():
            if name in BY_NAME:
                values[name].append(value)
    return {q.name: counts_of(values[q.name], q.edges) for q in WATCHED if values[q.name]}


def drifts(reference: Reference | None, counts: Mapping[str, Sequence[int]]) -> dict[str, Drift]:
    """Compare a window with a reference, quantity by quantity; those that only one of them has are left out."""
    if reference is None:
        return {}
    known = reference.counts
    return {n: compare(known[n], c) for n, c in counts.items() if n in known and len(known[n]) == len(c)}


def summary(
    observations: Sequence[Observation],
    reference: Reference | None,
    window: Span,
    queue: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return all that the page shows.

    Parameters
    ----------
    observations : sequence of Observation
        In any order.
    reference : Reference or None
        Drift is told against it; None: none is told.
    window : Span
        What is compared, and shown.
    queue : mapping or None
        What waits now, where there is a queue.

    Returns
    -------
    dict
        JSON-able.
    """
    inside = sorted((o for o in observations if o.at in window), key=lambda o: o.at)
    done = [o for o in inside if o.state == "done"]
    counts = histograms(done)
    moved = drifts(reference, counts)
    panels = []
    for quantity in WATCHED:
        if quantity.name not in counts:
            continue
        kept = None if reference is None else reference.counts.get(quantity.name)
        drift = moved.get(quantity.name)
        panels.append(
            {
                "name": quantity.name, "label": quantity.label, "unit": quantity.unit, "group": quantity.group,
                "bins": bin_names(quantity.name), "counts": counts[quantity.name],
                "reference": kept if drift is not None else None, "drift": None if drift is None else drift.to_json(),
            }
        )  # fmt: skip
    return {
        "window": {"from": window.start, "to": window.end, "observed": len(inside),
                   "dated_by_file": sum(o.by_file for o in inside)},
        "reference": None if reference is None else {
            "name": reference.name, "from": reference.span.start, "to": reference.span.end, "observed": reference.total
        },
        "queue": None if queue is None else dict(queue),
        "tasks": dict(Counter(o.task for o in inside)),
        "states": dict(Counter(o.state for o in inside)),
        "series": _series(inside, window),
        "panels": panels,
        "scores": _scores(done, window),
    }  # fmt: skip


def bin_names(name: str) -> list[str]:
    """Return what the bins of a quantity are called.

    Examples
    --------
    >>> bin_names("upscale")
    ['below 1.25', '1.25-1.75', '1.75-2.5', '2.5-3.5', 'from 3.5', 'none']
    """
    if name == "tier":
        return [*TIERS, "none"]
    quantity = BY_NAME[name]
    edges = [f"{e:g}" for e in quantity.edges]
    between = [f"{a}-{b}" for a, b in pairwise(edges)]
    return [f"below {edges[0]}", *between, f"from {edges[-1]}", quantity.missing or "none"]


def _bars(window: Span) -> tuple[float, int]:
    """Return how wide the bars of a series are, and how many there are."""
    width = next(
        (w for w in (300.0, HOUR, 6 * HOUR, DAY, 7 * DAY) if (window.end - window.start) / w <= BARS), 30 * DAY
    )
    return width, min(10 * BARS, max(1, math.ceil((window.end - window.start) / width)))


def _series(inside: Sequence[Observation], window: Span) -> dict[str, Any]:
    width, count = _bars(window)
    groups: list[list[Observation]] = [[] for _ in range(count)]
    for one in inside:
        groups[min(count - 1, int((one.at - window.start) / width))].append(one)
    done = [[o for o in group if o.state == "done"] for group in groups]

    def middle(of: Sequence[Sequence[float]], share: float) -> list[float | None]:
        return [None if not v else round(sorted(v)[min(len(v) - 1, int(share * len(v)))], 3) for v in of]

    seconds = [[o.seconds for o in group if o.seconds is not None] for group in done]
    waited = [[o.waited for o in group if o.waited is not None] for group in groups]
    error = [[e for o in group if (e := o.facts.get("error")) is not None] for group in done]
    return {
        "at": [window.start + k * width for k in range(count)],
        "width": width,
        "done": [len(group) for group in done],
        "failed": [sum(o.state == "failed" for o in group) for group in groups],
        "seconds_median": middle(seconds, 0.5),
        "seconds_95": middle(seconds, 0.95),
        "waited_median": middle(waited, 0.5),
        "waiting": _waiting(inside, window, width, count),
        "error": [None if not v else round(statistics.fmean(v), 3) for v in error],
    }


def _waiting(inside: Sequence[Observation], window: Span, width: float, count: int) -> list[int] | None:
    """Return how many of the jobs that are done waited at the end of each bar; None where no queue is known."""
    known = [(o.at - (o.seconds or 0) - o.waited, o.at - (o.seconds or 0)) for o in inside if o.waited is not None]
    if not known:
        return None
    ends = [window.start + (k + 1) * width for k in range(count)]
    return [sum(begun <= end < taken for begun, taken in known) for end in ends]


def _scores(done: Sequence[Observation], window: Span) -> list[dict[str, Any]]:
    """Return a series for each score that steps gave, such as how near a color is to its reference."""
    width, count = _bars(window)
    found: dict[str, list[list[float]]] = {}
    for one in done:
        for name, value in one.facts.items():
            if name.startswith("score:") and value is not None:
                place = min(count - 1, int((one.at - window.start) / width))
                found.setdefault(name[6:], [[] for _ in range(count)])[place].append(value)
    return [
        {"name": name, "mean": [None if not v else round(statistics.fmean(v), 4) for v in groups]}
        for name, groups in sorted(found.items())
    ]
