"""Which way to run our own networks is the fastest on this machine: measured once, kept in the user's cache.

Whether bf16 pays depends on the processor: with AMX it halves the time, with AVX-512 alone it can double it. A table
of processors would be wrong for the next one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from tratto.core.capability import Restorer
from tratto.core.errors import TrattoError
from tratto.core.files import write_text

log = logging.getLogger(__name__)
#: Side of the tile that is run, and how often: the first run of a network prepares it.
SIDE, RUNS = 256, 3


def fastest(open_one: Callable[[str], Restorer], names: Sequence[str], model: str) -> str:
    """Return the provider that restores a tile soonest.

    Parameters
    ----------
    open_one : callable
        Opens a provider by its name.
    names : sequence of str
        Providers that run the same network, in the order in which they are preferred where times are equal.
    model : str
        What is run: another answer is kept for each.

    Returns
    -------
    str
        One of ``names``. Those that fail are left out, and why is kept beside the times; the first if all do.
    """
    path = cache_file()
    key = _key(names, model)
    kept = _read(path)
    if kept.get(key, {}).get("name") in names:
        return str(kept[key]["name"])
    seconds, failed = {}, {}
    for name in names:
        try:
            seconds[name] = _seconds(open_one(name))
        except TrattoError as e:
            failed[name] = str(e)
            log.warning("%s cannot run here and is left out: %s", name, e)
    if not seconds:
        return names[0]
    best = min(seconds, key=lambda name: (seconds[name], names.index(name)))
    kept[key] = {"name": best, "seconds": {name: round(value, 4) for name, value in seconds.items()}}
    if failed:
        kept[key] = {**kept[key], "failed": failed}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(kept, indent=1, sort_keys=True))
    except (OSError, TrattoError):
        pass  # a cache that cannot be written is measured again the next time
    return best


def cache_file() -> Path:
    """Return where the answers are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "tratto" / "fastest.json"


def _seconds(restorer: Restorer) -> float:
    tile = np.random.default_rng(0).random((SIDE, SIDE, 3), np.float32)
    taken = []
    for _ in range(RUNS):
        start = time.perf_counter()
        restorer.restore(tile)
        taken.append(time.perf_counter() - start)
    return min(taken)


def _key(names: Sequence[str], model: str) -> str:
    """Return a short name of processor, libraries, ways and model."""
    parts = [_processor(), str(os.cpu_count()), os.environ.get("OMP_NUM_THREADS", ""), model, *names]
    for library in ("onnxruntime", "openvino"):
        try:
            parts.append(f"{library} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            parts.append(f"no {library}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _processor() -> str:
    """Return the processor's name and abilities, as far as the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(("model name", "flags"))))


def _read(path: Path) -> dict[str, Mapping[str, object]]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    good = isinstance(kept, dict) and all(isinstance(v, dict) for v in kept.values())
    return kept if good else {}
