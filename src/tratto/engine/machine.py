"""How fast this machine is just now, beside the one on which the speeds of steps and providers were measured.

Two things make it slower: its processor, which a short trial measures in processor seconds, and other work that the
processor does in between, which Linux counts for each thread as the time it was ready and had to wait. A trial timed by
the clock would need a second and more to see as much of the other work as a process has met since it began.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

#: Processor seconds that the trial took on a quiet core of the reference machine, less a quarter: whole commands took
#: 1.37 times (median of eleven, on a busy machine) what was told of them.
REFERENCE = 0.0118
#: How often the trial is done; the mean counts.
TIMES = 15
#: No machine is taken to be slower than this many reference machines.
SLOWEST = 50.0
#: Seconds that what was measured is good for: a server lives longer than the load that it met first.
GOOD = 60.0
#: Processor seconds up to which all that a thread has done since it began says how busy the machine is now.
YOUNG = 30.0
_WAITED = Path("/proc/thread-self/schedstat")
_last: tuple[float, float] | None = None  # when it was measured, and what came out


def _trial() -> float:
    """Do what fillings and networks do most: convolve, multiply, gather, transform."""
    import cv2

    values = np.random.default_rng(0).random((384, 384, 3), np.float32)
    for _ in range(3):
        values = cv2.GaussianBlur(values, (0, 0), 3)
        values = np.sqrt(values * values + values[::-1]) * np.float32(0.5)
    places = np.random.default_rng(0).integers(0, values.size, 200_000)
    return float(values.ravel()[places].sum() + np.fft.rfft2(values[..., 0]).real.sum())


def _worked_and_waited() -> tuple[float, float] | None:
    """Return the seconds that this thread has run and waited for a processor since it began; None: not known here."""
    try:
        run, wait = _WAITED.read_text().split()[:2]
        return int(run) / 1e9, int(wait) / 1e9
    except (OSError, ValueError):
        return None


def slowness() -> float:
    """Return how many times as long as the reference machine this one takes, as it is loaded just now.

    Takes a quarter of a second of processor, at most once a minute.

    Examples
    --------
    >>> slowness() > 0
    True
    """
    global _last
    now = time.monotonic()
    if _last is None or now - _last[0] > GOOD:
        _last = (now, _measured())
    return _last[1]


def _measured() -> float:
    _trial()
    before, wall, cpu = _worked_and_waited(), time.perf_counter(), time.thread_time()
    for _ in range(TIMES):
        _trial()
    wall, cpu, after = time.perf_counter() - wall, time.thread_time() - cpu, _worked_and_waited()
    if before is None or after is None:
        taken = wall  # no more is known than how long it took
    else:
        run, wait = after if after[0] < YOUNG else (after[0] - before[0], after[1] - before[1])
        taken = cpu * (run + wait) / max(run, 1e-9)
    return float(np.clip(taken / TIMES / REFERENCE, 0.1, SLOWEST))
