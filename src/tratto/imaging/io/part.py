"""A place for what is being written, which the next run can tell from rubbish if this one is killed.

Everything that a result is made of is written into a hidden folder beside it, ``.tratto-<random>.part``. A file ``of``
in it names the result and stays locked while its process lives. A process that is killed cannot tidy up, but its lock
goes with it: whoever finds a folder whose lock is free may remove it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tratto.core.errors import OutputError
from tratto.core.files import lock

_PREFIX, _SUFFIX, _NAME = ".tratto-", ".part", "of"
#: What a bundle in the making, or moved aside, is called; see ``tratto.provenance.bundle``.
_BUNDLE = re.compile(r"\.(?P<stem>.{0,100})\.[0-9a-f]{12}\.(?P<kind>part|old)", re.DOTALL)
#: Where files cannot be locked, a folder of this age (seconds) counts as left behind.
_OLD = 24 * 3600.0


@contextmanager
def part_folder(output: Path) -> Iterator[Path]:
    """Make a hidden folder beside ``output`` to work in; it is gone afterwards, whatever happens.

    When the block ends well, what killed runs left in the same place is removed, too; when it does not, folders go that
    were made for it and are empty.

    Parameters
    ----------
    output : Path
        The file that is being made. Its folder is made if it is not there.

    Yields
    ------
    Path
        Empty, on the same file system as ``output``, locked for as long as the block runs.

    Raises
    ------
    OutputError
        If nothing can be written there.

    Examples
    --------
    >>> import tempfile
    >>> output = Path(tempfile.mkdtemp()) / "wall.png"
    >>> with part_folder(output) as folder:
    ...     file = folder / output.name
    ...     _ = file.write_bytes(b"made")
    ...     _ = file.rename(output)
    >>> [p.name for p in output.parent.iterdir()]
    ['wall.png']
    """
    missing = [p for p in (output.parent, *output.parent.parents) if not os.path.lexists(p)]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder, lock = _make(output)
    except (FileExistsError, NotADirectoryError) as e:
        raise OutputError(f"cannot write into {output.parent}: it is not a folder") from e
    except OSError as e:
        raise OutputError(f"cannot write into {output.parent}: {e.strerror or e}") from e
    try:
        with lock:
            yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # whatever holds something stays, and so does what is above it
            for made in missing:
                made.rmdir()
        raise
    shutil.rmtree(folder, ignore_errors=True)
    sweep(output.parent)


def interrupted(output: Path) -> bool:
    """Return whether a run that was to write this file was killed in the middle of it.

    Examples
    --------
    >>> interrupted(Path('nowhere/photo.png'))
    False
    """
    with _dead(output.parent) as (dead, _):
        return output.name in dead.values()


def sweep(folder: Path) -> None:
    """Remove what killed runs left in a folder; what belongs to a living process stays.

    A bundle that was moved aside goes only when another stands in its place.
    """
    with _dead(folder) as (dead, living):
        stems = {Path(name).stem for name in dead.values()} - {Path(name).stem for name in living}
        short = {stem[:100]: stem for stem in stems}
        needed: set[str] = set()
        for entry in _entries(folder) if stems else []:
            match = _BUNDLE.fullmatch(entry.name)
            stem = short.get(match["stem"]) if match is not None else None
            if match is None or stem is None or entry.is_symlink() or not entry.is_dir():
                continue
            if match["kind"] == "part" or (folder / f"{stem}.tratto").is_dir():
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                needed.add(stem)
        for path, name in dead.items():
            if Path(name).stem not in needed:  # else the next run must still learn whose it is
                shutil.rmtree(path, ignore_errors=True)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return [e for e in found if e.name.startswith(".")]
    except OSError:
        return []


@contextmanager
def _dead(folder: Path) -> Iterator[tuple[dict[Path, str], set[str]]]:
    """Find the folders that were left behind, with the names of their results, and the names that are being made.

    The locks of the dead are held meanwhile, so that nobody takes a folder into use that is about to be removed.
    """
    dead: dict[Path, str] = {}
    living: set[str] = set()
    with contextlib.ExitStack() as held:
        for entry in _entries(folder):
            if not (entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)) or entry.is_symlink():
                continue
            path = Path(entry.path)
            try:
                f = open(path / _NAME, "r+", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
            except OSError:
                # killed before it could say whose it is, or only just made: that one then makes another
                with contextlib.suppress(OSError):
                    path.rmdir()
                continue
            free, name = _take(f.fileno(), path / _NAME), f.read(1000)
            if free and os.name != "nt":
                held.enter_context(f)
            else:
                f.close()
            if free:
                dead[path] = name
            else:
                living.add(name)
        yield dead, living


def _make(output: Path) -> tuple[Path, TextIO]:
    """Make a folder and lock it; return it with the open file that holds the lock."""
    while True:
        folder = output.parent / f"{_PREFIX}{secrets.token_hex(6)}{_SUFFIX}"
        folder.mkdir(parents=True)  # a run that failed beside this one may have taken its empty folder away
        try:
            f = open(folder / _NAME, "x", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
        except FileNotFoundError:
            continue  # somebody tidied up in the instant in which it was empty
        if os.name == "nt" or (_take(f.fileno(), folder / _NAME) and (folder / _NAME).exists()):
            f.write(output.name)
            f.flush()
            return folder, f
        f.close()
        shutil.rmtree(folder, ignore_errors=True)


def _take(descriptor: int, path: Path) -> bool:
    """Lock an open file if nobody else has it; return whether it was free."""
    try:
        taken = lock(descriptor, wait=False)
    except OSError:
        return False
    return time.time() - path.stat().st_mtime > _OLD if taken is None else taken
