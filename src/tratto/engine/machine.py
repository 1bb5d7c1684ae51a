"""How fast this machine is just now, beside the one on which the speeds of steps and providers were measured."""

from __future__ import annotations

import time
from functools import lru_cache

import numpy as np

#: Seconds that the trial took on a quiet core of the reference machine, less a seventh: whole commands took 1.17 times
#: the processor time that was told of them.
REFERENCE = 0.014
#: How often the trial is done; the mean counts, since other work on the machine stops some of them.
TIMES = 15
#: No machine is taken to be slower than this many reference machines.
SLOWEST = 50.0


def _trial() -> float:
    """Do what fillings and networks do most: convolve, multiply, gather, transform."""
    import cv2

    values = np.random.default_rng(0).random((384, 384, 3), np.float32)
    for _ in range(3):
        values = cv2.GaussianBlur(values, (0, 0), 3)
        values = np.sqrt(values * values + values[::-1]) * np.float32(0.5)
    places = np.random.default_rng(0).integers(0, values.size, 200_000)
    return float(values.ravel()[places].sum() + np.fft.rfft2(values[..., 0]).real.sum())


@lru_cache(maxsize=1)
def slowness() -> float:
    """Return how many times as long as the reference machine this one takes, as it is loaded just now.

    Takes a quarter of a second, once in a process.

    Examples
    --------
    >>> slowness() > 0
    True
    """
    _trial()
    taken = []
    for _ in range(TIMES):
        start = time.perf_counter()
        _trial()
        taken.append(time.perf_counter() - start)
    return float(np.clip(np.mean(taken) / REFERENCE, 0.1, SLOWEST))
