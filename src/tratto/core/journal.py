"""What a long step found so far, kept where a kill does not reach it, so that the next run goes on from there."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Days after which what nobody came back for is removed, and the most that is read of a file.
DAYS, LARGEST = 14, 16 << 20


class Journal:
    """Facts by key, a line each in a file; a folder that cannot be written makes it forget, and nothing else.

    Parameters
    ----------
    path : Path or None
        None: nothing outlives the process.

    Examples
    --------
    >>> journal = Journal(None)
    >>> journal.add("a", {"value": 1})
    >>> journal.known
    {'a': {'value': 1}}
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._lock = path, threading.Lock()
        #: What was found, by key.
        self.known: dict[str, dict[str, Any]] = {} if path is None else _read(path)

    def add(self, key: str, facts: Mapping[str, Any]) -> None:
        """Keep one; safe in several threads."""
        with self._lock:
            self.known[key] = dict(facts)
            if self._path is None:
                return
            line = json.dumps([key, self.known[key]], separators=(",", ":"), allow_nan=False) + "\n"
            with contextlib.suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with open(self._path, "ab") as file:
                    file.write(line.encode())

    def finish(self) -> None:
        """Forget all of it: the run came to its end. Files that were left long ago go, too."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
            for old in self._path.parent.glob("*.jsonl"):
                if old.stat().st_mtime < time.time() - DAYS * 86400:
                    old.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Return what a file holds; the last line may be half written, and a line that is none ends it."""
    found: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(OSError, ValueError, RecursionError, TypeError):
        with open(path, "rb") as file:
            lines = file.read(LARGEST).split(b"\n")
        for line in lines[:-1]:
            key, facts = json.loads(line)
            found[key] = dict(facts)
    return found
