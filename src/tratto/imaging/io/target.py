"""Where a result may be written: not under a name the system refuses, and not among the accounts of other results."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from tratto.core.errors import OutputError

_SUFFIX = ".tratto"


def check_name(path: Path) -> None:
    """Refuse a path whose name the file system cannot hold.

    Parameters
    ----------
    path : Path
        Need not exist, nor its folders. The system itself is asked, in the nearest folder that is there.

    Raises
    ------
    OutputError
        If it cannot, with what is too long or not allowed.
    """
    here = path.absolute().parent
    while here != here.parent and not os.path.lexists(here):
        here = here.parent
    for asked in (path, here / path.name):
        try:
            os.lstat(asked)
        except OSError as e:
            if e.errno == errno.ENAMETOOLONG:
                longest = max(path.parts, key=lambda part: len(os.fsencode(part)))
                what = f"the name {_short(longest)}" if len(os.fsencode(longest)) > 200 else f"{_short(str(path))}"
                raise OutputError(
                    f"{what} is longer than the file system takes ({len(os.fsencode(longest))} bytes in its longest "
                    "part); choose a shorter one"
                ) from e
        except ValueError as e:
            raise OutputError(f"{path!r} cannot be the name of a file: {e}") from e


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[:40]}...{text[-30:]}"


def bundle_around(path: Path) -> Path | None:
    """Return the bundle folder that a path is or lies in, links followed; None if there is none.

    Any folder whose name ends with ``.tratto`` counts, since whatever is written there mixes with an account.
    """
    for spelt in (Path(os.path.abspath(path)), Path(os.path.realpath(path))):
        for folder in (spelt, *spelt.parents):
            if folder.suffix.lower() == _SUFFIX:
                return folder
    return None


def check_target(path: Path) -> None:
    """Refuse to write a picture into a bundle, where it could replace an original or an account.

    Raises
    ------
    OutputError
        If it lies in one.
    """
    bundle = bundle_around(path)
    if bundle is not None:
        raise OutputError(
            f"{path} lies in the bundle {bundle.name}, which holds the account of another result; choose a folder "
            "outside it"
        )


def check_no_picture(path: Path) -> None:
    """Refuse to replace a picture by something that is none, such as a table or a proof.

    Raises
    ------
    OutputError
        If a picture is there.
    """
    from tratto.imaging.io import sniff

    try:
        with open(path, "rb") as f:
            kind = sniff(f.read(64))
    except OSError:
        return  # nothing there, or nothing that can be read: writing says why
    if kind:
        raise OutputError(f"{path} is a picture ({kind}) and stays as it is; choose another name")
