"""A folder of photographs with their cameras made into a scene, or one photograph into an object, with its exports."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tratto.core.errors import InputError, OptionError, OutputError
from tratto.core.result import Result
from tratto.jobs.options import Saved, SaveOptions, as_path
from tratto.jobs.session import Session
from tratto.tasks.lift import MOST, LiftOptions
from tratto.tasks.lift_photo import LiftPhotoOptions


@dataclass(frozen=True, eq=False)
class Lifted:
    """What became of a capture.

    Attributes
    ----------
    result : Result
        Scene, contact sheet, receipt and notes.
    saved : Saved
        Where the files of the scene and its bundle lie.
    exports : tuple of Path
        Other forms of the scene, beside it.
    notes : tuple of str
        What a user should know of the capture, such as photographs without a camera.
    """

    result: Result
    saved: Saved
    exports: tuple[Path, ...] = ()
    notes: tuple[str, ...] = field(default=())


def lift(
    capture: Path | str,
    options: LiftOptions | LiftPhotoOptions | None = None,
    *,
    object: Any = None,
    session: Session | None = None,
    **fields: Any,
) -> Result:
    """Make a scene of Gaussians from a folder of photographs with known cameras, or an object from one photograph.

    Parameters
    ----------
    capture : path
        A folder with ``transforms.json``, or with COLMAP's cameras and images; or a photograph of one thing. See
        docs/lift.md.
    options : LiftOptions, LiftPhotoOptions or None
        Of a folder, and of a photograph. Or give its fields as keywords.
    object : path, array, PIL picture or Image
        Of a photograph: a grey picture, white where the object is.
    session : Session or None
        Opened networks, limits and whoever signs; None: a new one.

    Returns
    -------
    Result
        Its ``outputs["scene"]`` is a :class:`tratto.core.artifact.Scene`; write it with :func:`tratto.save` as a .ply.

    Raises
    ------
    TrattoError
        One of its kinds; see ``tratto.core.errors``.
    """
    if options is not None and fields:
        raise OptionError("give either options or keywords, not both")
    path, session = as_path(capture, "a folder of photographs, or one photograph"), session or Session()
    if is_photograph(path):
        given = {"picture": path} if object is None else {"picture": path, "object": object}
        return session.run("lift-photo", given, options or LiftPhotoOptions(**fields), source=path)
    if object is not None:
        raise OptionError("object says where the thing is in one photograph; a folder takes none")
    wanted = options or LiftOptions(**fields)
    if not isinstance(wanted, LiftOptions):
        raise OptionError(f"a folder of photographs takes LiftOptions, got {type(wanted).__name__}")
    chosen, inputs, notes = gathered(path, wanted)
    result = session.run("lift", inputs, chosen, source=inputs["picture"])
    return result if not notes else _with_notes(result, notes)


def is_photograph(path: Path) -> bool:
    """Return whether a path is one photograph and no folder of them."""
    return path.is_file()


def _with_notes(result: Result, notes: tuple[str, ...]) -> Result:
    from dataclasses import replace

    return replace(result, warnings=(*result.warnings, *notes))


def gathered(folder: Path, options: LiftOptions) -> tuple[LiftOptions, dict[str, Any], tuple[str, ...]]:
    """Return the options with the cameras of a folder, the photographs, and what a user should know.

    Raises
    ------
    InputError
        If the folder holds no cameras, or they are broken.
    """
    import numpy as np

    from tratto.scene.captures import read_capture

    found = read_capture(folder)
    shots, notes = found.shots, tuple[str, ...]()
    if len(shots) < 3:
        raise InputError(f"{folder} holds {len(shots)} photographs with cameras; a scene needs at least three")
    if len(shots) > MOST:
        chosen = np.linspace(0, len(shots) - 1, MOST).round().astype(int)
        notes = (f"{len(shots)} photographs have cameras; {MOST} of them are used, at equal distances",)
        shots = tuple(shots[i] for i in chosen)
    points = found.points
    drawn = np.sort(np.random.default_rng(options.seed).permutation(len(points))[:2000])
    # six digits of the scene's size: what a receipt holds is written in decimals
    rows = [(*(float(f"{v:.6g}") for v in points[i]), *(float(c) for c in found.colors[i])) for i in drawn]
    cameras = tuple({"camera": s.camera.to_json(), "distortion": list(s.distortion)} for s in shots)
    inputs = {"picture": shots[0].path, "view": tuple(s.path for s in shots[1:])}
    return options.model_copy(update={"cameras": cameras, "points": tuple(rows)}), inputs, notes


def lift_folder(session: Session, folder: Path, out: Path, options: LiftOptions, overwrite: bool = False) -> Lifted:
    """Make a scene and write it: OUT/NAME.ply with its bundle, and its exports beside it.

    Parameters
    ----------
    session : Session
        Opened networks, limits and whoever signs.
    folder : Path
        Photographs and their cameras; its name becomes the result's.
    out : Path
        A folder, made where it is missing; or the name of the .ply.
    options : LiftOptions
        Iterations, sizes and the exports.
    overwrite : bool
        Replace results that exist.

    Raises
    ------
    OptionError
        If an export is unknown.
    OutputError
        If something that exists would be replaced.
    """
    place = _place(folder, out, options.export, overwrite)
    chosen, inputs, notes = gathered(folder, options)
    result = session.run("lift", inputs, chosen, source=inputs["picture"])
    return _written(session, result, inputs["picture"], place, notes)


def lift_photo(
    session: Session, photo: Path, out: Path, options: LiftPhotoOptions, object: Path | None = None,
    overwrite: bool = False,
) -> Lifted:  # fmt: skip
    """Make an object of one photograph and write it: OUT/NAME.ply with its bundle, and its exports beside it.

    Parameters
    ----------
    session : Session
        Opened networks, limits and whoever signs.
    photo : Path
        Of one page; its name becomes the result's.
    out : Path
        A folder, made where it is missing; or the name of the .ply.
    options : LiftPhotoOptions
        How the object is found, sizes and the exports.
    object : Path or None
        Grey picture, white where the object is.
    overwrite : bool
        Replace results that exist.

    Raises
    ------
    OptionError
        If an export is unknown.
    OutputError
        If something that exists would be replaced.
    """
    check_single(photo)
    place = _place(photo, out, options.export, overwrite)
    given = {"picture": photo} if object is None else {"picture": photo, "object": object}
    result = session.run("lift-photo", given, options, source=photo)
    return _written(session, result, photo, place, ())


def check_single(photo: Path) -> None:
    """Refuse a file with several pages: none is taken in silence.

    Raises
    ------
    InputError
        If it has more than one, or cannot be read.
    """
    from tratto.imaging import io

    if (count := io.count_pages(photo)) > 1:
        raise InputError(f"{photo} holds {count} pages or frames; save the one that is meant as a picture of its own")


@dataclass(frozen=True)
class _Place:
    """Where a scene goes: its .ply, and each export by its name."""

    target: Path
    exports: dict[str, Path]
    overwrite: bool


def _place(source: Path, out: Path, wanted: tuple[str, ...], overwrite: bool) -> _Place:
    """Check, before minutes of work, that everything can be written."""
    from tratto.imaging.io.target import check_name, check_target
    from tratto.scene.formats import EXPORTS, file_name

    name = (source.resolve().stem if source.is_file() else source.resolve().name) or "scene"
    target = out if out.suffix.lower() == ".ply" and not out.is_dir() else out / f"{name}.ply"
    for export in wanted:
        if export not in EXPORTS or export == "ply":
            raise OptionError(f"--export takes {', '.join(e for e in EXPORTS if e != 'ply')}, got {export!r}")
    exports = {e: target.with_name(file_name(target.stem, e)) for e in wanted}
    for path in (target, *exports.values()):
        check_target(path)
        check_name(path)
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists; use --overwrite to replace it. Nothing was written")
    if "mp4" in exports:
        import shutil

        from tratto.core.errors import UnavailableError

        if shutil.which("ffmpeg") is None:
            raise UnavailableError(
                "an .mp4 is made by ffmpeg, and there is none on the PATH; install it, or export webp instead"
            )
    return _Place(target, exports, overwrite)


def _others(place: _Place, source: Path) -> list[Path]:
    """Return the exports of an earlier scene of this name that this run does not replace."""
    from tratto.scene.formats import EXPORTS, file_name

    others = [place.target.with_name(file_name(place.target.stem, e)) for e in EXPORTS if e not in place.exports]
    mine = (place.target.resolve(), source.resolve())
    return [p for p in others if p.exists() and p.resolve() not in mine]


def _written(session: Session, result: Result, source: Path, place: _Place, notes: tuple[str, ...]) -> Lifted:
    from tratto.scene.formats import write_scene

    stale = "" if not place.target.exists() else ", ".join(p.name for p in _others(place, source))
    saved = session.save(result, place.target, SaveOptions(), source, place.overwrite)
    scene: Any = result.main
    if stale:
        notes = (*notes, f"not made now and left as they were, though they may show the former scene: {stale}")
    for number, (export, path) in enumerate(place.exports.items()):
        session.progress("export", number, len(place.exports))
        write_scene(scene, path, export)
    return Lifted(result, saved, tuple(place.exports.values()), notes)
