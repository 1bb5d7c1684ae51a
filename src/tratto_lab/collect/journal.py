"""What was done already, in a file that only grows, one line of JSON for each event.

A line is flushed to the disk before the next step. A kill can cut only the last line, which is then as if not written:
whatever it would have told is done again, or found done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from tratto.core.errors import InputError, OutputError


class Journal:
    """A journal that is open and belongs to this process alone.

    Parameters
    ----------
    path : Path
        Made if it is not there; its folder must exist.

    Raises
    ------
    OutputError
        If it cannot be written, or another process has it open.
    InputError
        If a line other than the last is no JSON object.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file: BinaryIO = open(path, "a+b")  # noqa: SIM115 - closed by close()
        except OSError as e:
            raise OutputError(f"{path}: cannot be written: {e.strerror or e}") from e
        try:
            take_lock(self._file, path)
            self._mend()
        except BaseException:
            self._file.close()
            raise

    def _mend(self) -> None:
        """Cut off what a killed process had not finished."""
        self._file.seek(0)
        end = 0
        for line in self._file:
            if line.endswith(b"\n"):
                end += len(line)
        self._file.truncate(end)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give it free."""
        self._file.close()

    def events(self) -> Iterator[dict[str, Any]]:
        """Go through all events, oldest first."""
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            try:
                event = json.loads(line)
            except ValueError as e:
                raise InputError(
                    f"{self.path}: line {number} is damaged by something else; collect into a new folder"
                ) from e
            if not isinstance(event, dict):
                raise InputError(f"{self.path}: line {number} holds no JSON object; collect into a new folder")
            yield event

    def add(self, **event: Any) -> None:
        """Write an event, and return when it is on the disk.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        line = json.dumps(event, ensure_ascii=True, sort_keys=True).encode() + b"\n"
        try:
            self._file.seek(0, os.SEEK_END)
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as e:
            raise OutputError(f"{self.path}: cannot be written: {e.strerror or e}") from e


def take_lock(file: BinaryIO, path: Path) -> None:
    """Take a file for this process; its lock goes when the process does, however it ends."""
    try:
        import fcntl
    except ImportError:  # pragma: no cover - no such locks there
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        raise OutputError(f"{path.parent}: another process is at work here") from e
