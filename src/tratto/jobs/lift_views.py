"""An object in space out of views that a model makes of one photograph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tratto.core.errors import OptionError
from tratto.core.result import Result
from tratto.jobs.lifting import Lifted, _place, _written, check_single
from tratto.jobs.options import as_path
from tratto.jobs.session import Session
from tratto.steps.lift_views import OBJECT
from tratto.tasks.lift_views import LiftViewsOptions


def lift_views(
    photo: Path | str,
    options: LiftViewsOptions | None = None,
    *,
    object: Any = None,
    session: Session | None = None,
    **fields: Any,
) -> Result:
    """Make an object of Gaussians from views that a model makes of one photograph. All of it is invented.

    Parameters
    ----------
    photo : path
        With transparency, or with ``object``.
    options : LiftViewsOptions or None
        Or give its fields as keywords.
    object : path, array, PIL picture or Image
        Grey picture, white where the object is.
    session : Session or None

    Returns
    -------
    Result
        Its ``outputs["scene"]`` is a :class:`tratto.core.artifact.Scene`.

    Raises
    ------
    TrattoError
        One of its kinds; see ``tratto.core.errors``.
    """
    if options is not None and fields:
        raise OptionError("give either options or keywords, not both")
    return _run(session or Session(), as_path(photo, "a photograph"), options or LiftViewsOptions(**fields), object)


def lift_views_to(
    session: Session, photo: Path, out: Path, options: LiftViewsOptions, object: Path | None = None,
    overwrite: bool = False,
) -> Lifted:  # fmt: skip
    """Do so and write it: OUT/NAME.ply with its bundle, and its exports beside it.

    Parameters
    ----------
    session : Session
    photo : Path
    out : Path
        A folder, made where it is missing; or the name of the .ply.
    options : LiftViewsOptions
    object : Path or None
        Grey picture, white where the object is.
    overwrite : bool

    Raises
    ------
    OutputError
        If something that exists would be replaced.
    """
    check_single(photo)
    place = _place(photo, out, options.export, overwrite)
    return _written(session, _run(session, photo, options, object), photo, place, ())


def _run(session: Session, photo: Path, options: LiftViewsOptions, object: Any) -> Result:
    given = {"picture": photo} if object is None else {"picture": photo, OBJECT: object}
    return session.run("lift-views", given, options, source=photo)
