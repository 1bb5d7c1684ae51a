"""How far a job is and how long it may still take, from how long the stages of such jobs took here before."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Share of a stage that must be done before its own speed says how long the rest takes.
ENOUGH = 0.1


@dataclass
class Pace:
    """Follows one job.

    Attributes
    ----------
    known : mapping of str to float
        Seconds for each megapixel that stages took before.
    megapixels : float
        Of the picture at work; the stages' seconds grow with it.

    Examples
    --------
    >>> pace = Pace({"restore": 2.0, "write": 1.0}, 1.0)
    >>> round(pace.follow("restore", 1, 2, now=1.0), 2), round(pace.seconds_left(now=1.0), 2)
    (0.33, 2.0)
    """

    known: Mapping[str, float]
    megapixels: float
    begun: float = 0.0
    _stage: str = ""
    _since: float = 0.0
    _share: float = 0.0
    _took: dict[str, float] = field(default_factory=dict)
    _highest: float = 0.0

    def follow(self, stage: str, done: int, total: int, now: float | None = None) -> float:
        """Take in what a job reports; return the share of it that is done, which never falls."""
        now = time.monotonic() if now is None else now
        if stage != self._stage:
            self._close(now)
            self._stage, self._since = stage, self.begun if not self._took and not self._stage else now
        self._share = min(1.0, done / total) if total > 0 else 0.0
        spent, left = now - self.begun, self.seconds_left(now)
        if left is not None and spent + left > 0:
            self._highest = max(self._highest, min(0.99, spent / (spent + left)))
        elif not self.known:  # of stages nothing is known but that this one is not the last
            self._highest = max(self._highest, min(0.9, 0.9 * self._share))
        return self._highest

    def seconds_left(self, now: float | None = None) -> float | None:
        """Return how long the rest may take; None: nobody knows, since no such job was done here."""
        now = time.monotonic() if now is None else now
        if self._stage not in self.known:
            return None
        expected = self.known[self._stage] * self.megapixels
        spent = now - self._since
        here = spent * (1 - self._share) / self._share if self._share >= ENOUGH else max(0.0, expected - spent)
        later = [s for s in self.known if s not in self._took and s != self._stage]
        return here + sum(self.known[s] for s in later) * self.megapixels

    def skip(self, seconds: float) -> None:
        """Leave out time in which the job was paused."""
        self.begun += seconds
        self._since += seconds

    def learned(self, now: float | None = None) -> dict[str, float]:
        """Return how long each stage took, in seconds for each megapixel."""
        self._close(time.monotonic() if now is None else now)
        self._stage = ""
        return {stage: spent / self.megapixels for stage, spent in self._took.items()}

    def _close(self, now: float) -> None:
        if self._stage:
            self._took[self._stage] = self._took.get(self._stage, 0.0) + now - self._since
