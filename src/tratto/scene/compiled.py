"""Numba, set up once: where compiled code is kept, which threads run it, and what is said where it is missing."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tratto.core.errors import MissingExtra

# a busy neighbour costs a factor of 40 where waiting threads spin; read when the threads start
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    import numba
except ModuleNotFoundError as e:
    if e.name != "numba":
        raise
    raise MissingExtra("what renders Gaussians", "splat") from e

if "NUMBA_CACHE_DIR" not in os.environ:
    _base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    numba.config.CACHE_DIR = str(Path(_base).expanduser() / "tratto" / "numba")
if "NUMBA_THREADING_LAYER" not in os.environ:
    numba.config.THREADING_LAYER = "threadsafe"

#: How all kernels are compiled. ``reassoc`` lets sums over a tile's pixels run in vector registers: their order is
#: fixed when the code is compiled, so a machine gives equal bits each time.
FAST: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
}

_ONE_AT_A_TIME = threading.RLock()
_STATE = {"layer": ""}


def _layer() -> str:
    """Return the threading layer in use; without omp or tbb the one of numba's own, which takes one caller only."""
    if not _STATE["layer"]:
        with _ONE_AT_A_TIME:
            try:
                _probe(2)
            except ValueError:
                numba.config.THREADING_LAYER = "workqueue"
                _probe(2)
            _STATE["layer"] = numba.threading_layer()
    return _STATE["layer"]


@numba.njit(parallel=True)
def _probe(n: int) -> int:
    total = 0
    for i in numba.prange(n):
        total += i
    return total


@contextlib.contextmanager
def calling() -> Iterator[None]:
    """Stand around a call of a parallel kernel: callers wait for each other where the layer would end the process."""
    if _layer() == "workqueue":
        with _ONE_AT_A_TIME:
            yield
    else:
        yield
