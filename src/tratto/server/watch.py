"""What a server tells of itself: metrics for Prometheus, figures for the page. They name no picture and nobody."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from tratto._version import __version__
from tratto.core.errors import InputError
from tratto.monitor.summary import RECENT, Reference, Span, drifts, histograms, summary
from tratto.monitor.watched import BY_NAME, TIERS, Observation
from tratto.server.settings import Settings
from tratto.server.store import FINAL, Store

#: Seconds of the buckets of how long jobs take and wait.
SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
#: Seconds for which a comparison with the reference is kept.
FRESH = 60.0
#: Levels of drift as numbers.
LEVELS = ("too few", "steady", "watch", "alert")


def observation(row: sqlite3.Row) -> Observation:
    """Return an observation as the store keeps it."""
    return Observation(row["at"], row["task"], row["state"], row["waited"], row["seconds"], json.loads(row["facts"]))


class _Tally:
    """Counts of numbers in buckets, and their sum."""

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges, self.sum = edges, 0.0
        self.counts = [0] * (len(edges) + 1)

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.edges, value)] += 1  # a bucket holds its own edge
        self.sum += value

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Counts up to each edge."""
        total, found = 0, []
        for edge, count in zip([*map(str, map(float, self.edges)), "+Inf"], self.counts, strict=True):
            total += count
            found.append((edge, float(total)))
        return found


class Watch:
    """Looks into the store when it is asked.

    Parameters
    ----------
    settings : Settings
        Folders and limits, which are shown beside what is counted.
    store : Store
        Where jobs are counted.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        self._lock = threading.Lock()
        self._seen = 0
        self._jobs: dict[tuple[str, str], int] = {}
        self._seconds: dict[str, _Tally] = {}
        self._waited = _Tally(SECONDS)
        self._facts: dict[str, _Tally] = {}
        self._tiers = dict.fromkeys(TIERS, 0)
        self._drift: tuple[float, Reference | None, dict[str, Any]] = (-FRESH, None, {})
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    # -- the page -----------------------------------------------------------------------------------------------

    def reference(self) -> Reference | None:
        """Return what results are compared with; None: nothing was named, or it cannot be read."""
        try:
            return Reference.read(self.settings.reference)
        except InputError:
            return None

    def summary(self, days: float) -> dict[str, Any]:
        """Return what the page shows of so many days."""
        now = time.time()
        rows = self.store.observed(since=now - days * 86400)
        window = Span(now - days * 86400, now + 1)
        return summary([observation(r) for r in rows], self.reference(), window, self.store.queue())

    # -- Prometheus ---------------------------------------------------------------------------------------------

    def metrics(self, accepted: str) -> tuple[bytes, str]:
        """Return all metrics, and their media type."""
        with self._lock:
            encode, kind = choose_encoder(accepted)
            return encode(self._registry), kind

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as ``prometheus_client`` asks for them."""
        self._read()
        made = GaugeMetricFamily("tratto_build_info", "Version of the server.", labels=["version"])
        made.add_metric([__version__], 1)
        yield made
        queue = self.store.queue()
        states = GaugeMetricFamily("tratto_queue_jobs", "Jobs that are not over, by state.", labels=["state"])
        for state, count in queue.items():
            if state != "oldest_seconds":
                states.add_metric([state], count)
        yield states
        yield GaugeMetricFamily(
            "tratto_queue_oldest_seconds", "Age of the job that has waited longest.", queue["oldest_seconds"]
        )
        jobs = CounterMetricFamily("tratto_jobs", "Jobs that ended, by task and state.", labels=["task", "state"])
        for task in sorted({task for task, _ in self._jobs} | {"restore"}):
            for state in FINAL[:2]:
                jobs.add_metric([task, state], self._jobs.get((task, state), 0))
        yield jobs
        seconds = HistogramMetricFamily("tratto_job_seconds", "How long jobs that were done took.", labels=["task"])
        for task, tally in sorted(self._seconds.items()):
            seconds.add_metric([task], tally.buckets, tally.sum)
        yield seconds
        waited = HistogramMetricFamily("tratto_job_wait_seconds", "How long jobs that ended waited.")
        waited.add_metric([], self._waited.buckets, self._waited.sum)
        yield waited
        facts = HistogramMetricFamily(
            "tratto_observed", "What was measured of inputs and results, by quantity.", labels=["quantity"]
        )
        for name, tally in sorted(self._facts.items()):
            facts.add_metric([name], tally.buckets, tally.sum)
        yield facts
        tiers = CounterMetricFamily(
            "tratto_replays", "Results that were done again, by how they agree.", labels=["tier"]
        )
        for tier, count in self._tiers.items():
            tiers.add_metric([tier], count)
        yield tiers
        yield from self._moved()
        with_room = GaugeMetricFamily("tratto_disk_free_bytes", "Room on the disk of the data.")
        with_room.add_metric([], shutil.disk_usage(self.settings.folder).free)
        yield with_room

    def _moved(self) -> Iterator[Metric]:
        at, reference, found = self._drift
        if time.monotonic() - at >= FRESH:
            reference = self.reference()
            rows = self.store.observed(since=time.time() - RECENT) if reference is not None else []
            found = drifts(reference, histograms(o for r in rows if (o := observation(r)).state == "done"))
            self._drift = (time.monotonic(), reference, found)
        words = {
            "psi": ("tratto_drift_psi", "Population stability index against the reference window."),
            "ks": ("tratto_drift_ks", "Kolmogorov-Smirnov distance from the reference window."),
            "window": ("tratto_drift_results", "Results of the last 30 days that were compared."),
            "level": ("tratto_drift_level", "0 too few to say, 1 steady, 2 worth a look, 3 alert; beyond chance."),
        }
        for kind, (name, about) in words.items():
            made = GaugeMetricFamily(name, about, labels=["quantity", "reference"])
            for quantity, drift in found.items():
                value = getattr(drift, kind)
                named = "" if reference is None else reference.name
                made.add_metric([quantity, named], LEVELS.index(value) if kind == "level" else value)
            yield made

    def _read(self) -> None:
        """Take in what ended since the last time."""
        for row in self.store.observed(after=self._seen):
            self._seen = row["seq"]
            one = observation(row)
            key = (one.task, one.state)
            self._jobs[key] = self._jobs.get(key, 0) + 1
            if one.waited is not None:
                self._waited.add(one.waited)
            if one.state != "done":
                continue
            if one.seconds is not None:
                self._seconds.setdefault(one.task, _Tally(SECONDS)).add(one.seconds)
            for name, value in one.facts.items():
                if name == "tier" and value is not None:
                    self._tiers[TIERS[min(len(TIERS) - 1, int(value))]] += 1
                elif name in BY_NAME and value is not None:
                    self._facts.setdefault(name, _Tally(BY_NAME[name].edges)).add(value)
