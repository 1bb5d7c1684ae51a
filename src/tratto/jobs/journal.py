"""The journal of a run over many pictures: what was begun and what is done, so that the next run goes on from there."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from tratto.core.errors import OutputError
from tratto.core.files import lock

#: In the folder of the results.
JOURNAL = ".tratto-journal.jsonl"
#: What failed in the last run over many pictures, one JSON object a line.
ERRORS = "tratto-errors.jsonl"


class Journal:
    """What is known of the results in a folder. One run holds it at a time.

    A line is one JSON object: ``run`` (a run began), ``begun`` and ``done`` (an item, with the print of all that its
    result depends on) or ``end`` (that run had nothing left to do). A line that a kill cut short is passed over.

    Parameters
    ----------
    folder : Path
        Of the results.
    prints : mapping of str to str
        Of the items of this run: names below the folder, and what their results depend on.
    overwrite : bool
        Results that are there are made again; those that such a run made before it was stopped are left.
    look : bool
        Only look at what is known: it is neither held nor written.

    Raises
    ------
    OutputError
        If another run holds it, or it cannot be read or written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with Journal(folder, {"a.png": "1", "b.png": "1"}, False) as journal:
    ...     journal.begin("a.png")
    ...     journal.done("a.png")
    >>> with Journal(folder, {"a.png": "1", "b.png": "1"}, False) as journal:
    ...     journal.knows("a.png"), journal.knows("b.png")
    ('done', '')
    """

    def __init__(self, folder: Path, prints: Mapping[str, str], overwrite: bool, look: bool = False) -> None:
        self.path, self.prints = folder / JOURNAL, prints
        self.continues = False
        self._vain, self._made = not self.path.exists(), not os.path.lexists(folder)
        self._known: dict[str, str] = {}
        self._file: IO[bytes] | None = None
        self._header: dict[str, str] | None = {"run": "overwrite" if overwrite else "keep"}
        if self.path.exists():
            if not look:
                self._open()
            self._read(overwrite)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            with contextlib.suppress(OSError):
                if self._vain and os.listdir(self.path.parent) == [JOURNAL]:  # nothing came of this run
                    self.path.unlink()
                    if self._made:
                        self.path.parent.rmdir()

    def knows(self, name: str) -> str:
        """Return ``"done"``, ``"begun"`` or, if its result is none of an earlier run like this one, ``""``."""
        return self._known.get(name, "")

    def begin(self, name: str) -> None:
        """Note that an item is begun, before anything is written for it."""
        self._write({"begun": name, "print": self.prints[name]})

    def done(self, name: str) -> None:
        """Note that an item is done."""
        self._vain = False
        self._write({"done": name, "print": self.prints[name]})

    def end(self) -> None:
        """Note that nothing is left to do; a journal that was never begun stays away."""
        if self._file is not None:
            self._write({"end": len(self.prints)})

    def _open(self) -> IO[bytes]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = open(self.path, "a+b")  # noqa: SIM115
            held = lock(file.fileno(), wait=False)
        except OSError as e:
            raise OutputError(f"{self.path}: cannot be written: {e.strerror or e}") from e
        if held is False:
            file.close()
            raise OutputError(f"another run works in {self.path.parent}; let it end, or name another folder with -o")
        self._file = file
        return file

    def _read(self, overwrite: bool) -> None:
        run, ended = "", True
        for line in _lines(self.path):
            if "run" in line:
                run, ended = str(line["run"]), False
            elif "end" in line:
                ended = True
            for kind in ("begun", "done"):
                name = line.get(kind)
                if isinstance(name, str) and self.prints.get(name) == line.get("print"):
                    self._known[name] = kind
        self.continues = overwrite and run == "overwrite" and not ended
        if overwrite:  # made anew, except what this very run made before it was stopped
            self._known = {n: "done" for n, kind in self._known.items() if kind == "done"} if self.continues else {}
            if not self.continues and self._file is not None:
                self._file.truncate(0)

    def _write(self, line: Mapping[str, Any]) -> None:
        file = self._file or self._open()
        lines = [line] if self._header is None else [self._header, line]
        self._header = None  # said once
        try:
            # a line that a kill cut short must not swallow the next; what a power cut takes is found by its result
            file.write(b"".join(b"\n" + json.dumps(entry).encode() for entry in lines))
            file.flush()
        except OSError as e:
            raise OutputError(f"{self.path}: cannot be written: {e.strerror or e}") from e


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    with open(path, "rb") as file:
        for text in file:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict):
                yield line


def stamp(path: Path) -> list[Any]:
    """Return what tells that a file is the one it was: its name, size and time; of a folder, of each file in it."""
    try:
        facts = os.stat(path)
        if path.is_dir():
            return [str(path), *(stamp(inside) for inside in sorted(path.iterdir()) if inside.is_file())]
    except OSError:
        return [str(path)]
    return [str(path), facts.st_size, facts.st_mtime_ns]
