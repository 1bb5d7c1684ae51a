"""Putting a finished folder in its place, and clearing away what a stopped program left behind.

A bundle is built in a hidden folder beside its target. Its name ends with ``.part``; the bundle that was there before
is moved aside under a name that ends with ``.old``. A program that is killed leaves such folders. They carry a key of
the target's name, so that the next save of the same name finds them, and they are locked while a program works on
them, so that it takes none from another that is still running. No reader takes a folder of such a name for a bundle.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tratto.core.errors import OutputError
from tratto.core.files import lock, sync

_LEFTOVER = re.compile(r"\..*\.[0-9a-f]{12}-[0-9a-f]{12}\.(part|old)", re.DOTALL)
#: Where folders cannot be locked, one that was touched within so many seconds may still be in use.
_GRACE = 86400.0


def is_leftover(path: Path) -> bool:
    """Return True for the name of a folder being built or moved aside: never a bundle, whatever it holds."""
    return _LEFTOVER.fullmatch(path.name) is not None


def leftovers(target: Path) -> list[Path]:
    """Return the hidden folders that saves of this bundle use or left, ``.part`` first."""
    stem, key = _stem_and_key(target)
    found = [
        target.with_name(p)
        for p in glob.glob(f"{glob.escape(f'.{stem}.{key}')}-*", root_dir=target.parent, include_hidden=True)
        if is_leftover(Path(p))
    ]
    return sorted((p for p in found if p.is_dir() and not p.is_symlink()), key=lambda p: (p.suffix != ".part", p.name))


def recover(target: Path, fits: Callable[[Path], bool], may_hold: Callable[[Path], bool]) -> None:
    """Finish or clear what stopped saves of a bundle left.

    If the bundle is missing, the first leftover that fits takes its place: the new one if its picture was put in place
    already, else the old one if its picture is still there. If none fits, an old one is put back all the same, since
    it may hold the only copy of an original. What is left then is deleted. Folders that another program works on, and
    folders that hold anything but what a bundle may hold and files that were being written, stay as they are.

    Parameters
    ----------
    target : Path
        The bundle.
    fits : callable
        Whether a folder is a whole bundle of the picture beside ``target``.
    may_hold : callable
        Whether a folder holds only what may stand in a bundle, and files that were being written.
    """
    with contextlib.ExitStack() as stack:
        mine = []
        for p in leftovers(target):
            if stack.enter_context(held(p)) and p.is_dir():
                if may_hold(p):
                    mine.append(p)
        if not os.path.lexists(target):
            chosen = next((p for p in mine if fits(p)), None)
            chosen = chosen or next((p for p in mine if p.suffix == ".old"), None)
            if chosen is not None:
                with contextlib.suppress(OSError):
                    os.rename(chosen, target)
                    mine.remove(chosen)
        for p in mine:
            shutil.rmtree(p, ignore_errors=True)


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """Give a locked, hidden folder to build in; it is deleted at the end unless :func:`commit` has moved it.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    stem, key = _stem_and_key(target)
    folder = target.with_name(f".{stem}.{key}-{secrets.token_hex(6)}.part")
    try:
        folder.mkdir()
        with held(folder):
            yield folder
    except OSError as e:
        raise OutputError(f"the bundle {target} cannot be written: {e.strerror or e}") from e
    finally:
        # renamed away by then if all went well
        shutil.rmtree(folder, ignore_errors=True)


def commit(folder: Path, target: Path, written: Path, output: Path, replace: bool = True) -> None:
    """Put a built folder and its picture in place, one right after the other.

    Parameters
    ----------
    folder : Path
        As from :func:`building`.
    target : Path
        The bundle.
    written, output : Path
        The picture as it lies on the disk, and its final name.
    replace : bool
        False: what bears these names by now stays, even if another program made it at this very moment.

    Raises
    ------
    OutputError
        If ``replace`` is false and a picture or a bundle of this name is there. Nothing has changed then.
    """
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)
    if not replace:
        _publish(folder, target, written, output)
        return
    aside = folder.with_suffix(".old")
    with held(target):  # until the old one is gone, so that nobody takes it for left behind
        try:
            if target.exists():
                os.rename(target, aside)
            if written != output:
                os.replace(written, output)
            os.rename(folder, target)
        except BaseException:
            if aside.exists() and not target.exists():
                with contextlib.suppress(OSError):
                    os.rename(aside, target)
            raise
        sync(target.parent)
        shutil.rmtree(aside, ignore_errors=True)


def _publish(folder: Path, target: Path, written: Path, output: Path) -> None:
    """Take both names for the first time, or neither. The system decides which of several programs gets a name."""
    mine = False
    try:
        if written != output:
            mine = _take(written, output)
        elif not os.path.lexists(output):
            raise FileNotFoundError(output)
        if os.path.lexists(target):  # some systems let a folder take the place of an empty one
            raise _lost(target)
        try:
            os.rename(folder, target)
        except OSError as e:
            raise (_lost(target) if os.path.lexists(target) else e) from e
    except BaseException:
        if mine:
            with contextlib.suppress(OSError):
                os.unlink(output)
        raise
    sync(target.parent)
    if mine:
        with contextlib.suppress(OSError):
            os.unlink(written)


def _take(written: Path, output: Path) -> bool:
    """Give a file its name unless something bears it; return True, that the name is ours."""
    try:
        os.link(written, output)
    except FileExistsError as e:
        raise _lost(output) from e
    except OSError:  # a file system without hard links: the name is taken first, with an empty file
        try:
            os.close(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError as e:
            raise _lost(output) from e
        os.replace(written, output)
    return True


def _lost(path: Path) -> OutputError:
    return OutputError(
        f"{path} exists: another program made it in the meantime; it was left as it is. Use --skip-existing to leave "
        "it, --overwrite to replace it (in Python: overwrite=True)"
    )


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Lock a folder if nobody else has; yield whether it is ours. The lock goes with the process, however it ends."""
    fd = -1
    try:
        try:
            fd = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0))
            taken = lock(fd, wait=False)
        except OSError:  # this file system cannot lock folders, or there is none
            taken = None
        mine = _untouched(folder) if taken is None else taken
        yield mine
    finally:
        if fd >= 0:
            os.close(fd)


def _untouched(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime > _GRACE
    except OSError:
        return False


def _stem_and_key(target: Path) -> tuple[str, str]:
    # names may be as long as the file system allows; the key tells apart what the shortened stem does not
    return target.stem[:40], hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]
