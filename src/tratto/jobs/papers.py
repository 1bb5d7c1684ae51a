"""The papers of many pictures: what a file among them says, and what the command line says over it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tratto.core.errors import OptionError
from tratto.core.options import BadOptions, Papers
from tratto.core.reading import parse_toml, small_text

#: Name of the file in a folder of pictures.
CASE = "case.toml"
#: Table in it for some of the pictures, by name or pattern.
PICTURES = "pictures"


class CaseFiles:
    """Finds the papers of each picture; every file is read once.

    Parameters
    ----------
    stated : Papers
        What counts over any file.
    file : Path or None
        The file for all pictures; None: one called ``case.toml`` beside each or above it.

    Examples
    --------
    >>> stated = Papers(operator="A. Person", date="2026-03-01")
    >>> CaseFiles(stated).of(Path("scans/a.png"), Path("scans")) == stated
    True
    """

    def __init__(self, stated: Papers, file: Path | None = None) -> None:
        self._stated, self._file = stated, file
        self._read: dict[Path, Mapping[str, Any] | None] = {}

    @property
    def files(self) -> list[Path]:
        """Those that were read."""
        return [path for path, held in self._read.items() if held is not None]

    def of(self, picture: Path, root: Path) -> Papers:
        """Return the papers of a picture.

        Parameters
        ----------
        picture, root : Path
            ``root`` is the folder that was named, or the picture's own; files above it are not looked at.

        Raises
        ------
        OptionError
            If a file is no such file; it names what is wrong.
        """
        found = self._stated
        for path in self._places(picture, root):
            held = self._held(path)
            if held is not None:
                found = found.over(_papers(path, held, _below(picture, path.parent)))
        # papers have a day; a receipt without any stays the same whenever it is made
        return found.over(Papers(date=date.today().isoformat())) if found else found

    def _places(self, picture: Path, root: Path) -> Iterable[Path]:
        if self._file is not None:
            return [self._file]
        inside = [folder for folder in picture.parents if folder == root or root in folder.parents]
        return [folder / CASE for folder in inside or [picture.parent]]

    def _held(self, path: Path) -> Mapping[str, Any] | None:
        if path not in self._read:
            there = path == self._file or path.is_file()
            self._read[path] = parse_toml(small_text(path), str(path)) if there else None
        return self._read[path]


def _below(picture: Path, folder: Path) -> str:
    """Return what a file in a folder calls a picture: its path from there, or its name."""
    return (picture.relative_to(folder) if picture.is_relative_to(folder) else Path(picture.name)).as_posix()


def _papers(path: Path, held: Mapping[str, Any], name: str) -> Papers:
    """Return what a file says of a picture: the tables that match its name count over the rest, the last the most."""
    tables = held.get(PICTURES, {})
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        raise OptionError(f'{path}: {PICTURES} must be tables such as [{PICTURES}."front.tif"]')
    found = _one(path, {k: v for k, v in held.items() if k != PICTURES})
    for pattern, table in tables.items():
        made = _one(path, table)  # a mistake in it is told whichever picture it is for
        if fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[2], pattern):
            found = made.over(found)
    return found


def _one(path: Path, table: Mapping[str, Any]) -> Papers:
    known = [f.name for f in fields(Papers)]
    if strange := [key for key in table if key not in known]:
        raise OptionError(f"{path} holds {strange[0]!r}; it may hold {', '.join(known)} and {PICTURES}")
    # TOML has dates of its own
    given = {key: value.isoformat() if hasattr(value, "isoformat") else value for key, value in table.items()}
    try:
        return Papers(**given)
    except BadOptions as e:
        raise OptionError(f"{path}: {e}") from e
