"""Files and folders of a ledger: locked, flushed, replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tratto.core.files import lock
from tratto.ledger.tiles import ENTRIES, WIDTH, tile_path

LOCK = "lock"


def take_lock(folder: Path) -> int:
    """Lock the ledger, waiting for another writer; return the descriptor that holds the lock."""
    fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        lock(fd)  # where there are no locks, one writer at a time is up to the user
    except OSError:
        os.close(fd)
        raise
    return fd


def flush_data(fd: int) -> None:
    """Flush what was written to a file, without its times where the system can."""
    getattr(os, "fdatasync", os.fsync)(fd)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file that is whole or not there; it is not flushed."""
    part = path.with_name(f".{path.name}.new")
    with open(part, "wb") as f:
        f.write(data)
    os.replace(part, path)


def make_parents(path: Path, top: Path, made: set[Path]) -> None:
    """Make the folders of a file below ``top``; those that are new, or hold a new one, are added to ``made``."""
    if path.parent.is_dir():
        return
    missing = []
    folder = path.parent
    while folder != top and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        made |= {one, one.parent}


def content_of(path: Path) -> bytes | None:
    """Return what a file holds; None if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def partial_files(folder: Path) -> Iterator[str]:
    """Yield the tiles at the right edge that are there."""
    for path in (folder / "tile").rglob("*.p/*"):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(folder).as_posix()


def whole_files(folder: Path) -> set[str]:
    """Return the whole tiles that are there."""
    files = (p.relative_to(folder) for p in (folder / "tile").rglob("*") if p.is_file() and not p.name.startswith("."))
    return {p.as_posix() for p in files if not p.parent.name.endswith(".p")}


def whole_names(size: int) -> set[str]:
    """Return the whole tiles of a ledger of ``size`` entries."""
    names = {tile_path(ENTRIES, n) for n in range(size // WIDTH)}
    level, count = 0, size
    while count >= WIDTH:
        names |= {tile_path(level, n) for n in range(count // WIDTH)}
        level, count = level + 1, count // WIDTH
    return names
