"""``tratto report``: the reports of bundles on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tratto.cli.guard import complain, exits
from tratto.cli.show import AsJson, about, emit_json, make_folder, overall, path_argument, path_option, printable, say
from tratto.core.errors import InputError, OptionError, OutputError, TrattoError
from tratto.core.files import write_bytes


@exits
def report(
    paths: Annotated[list[Path], path_argument("Results or their bundles.")],
    out: Annotated[
        Path | None, path_option("The PDF, or a folder for several; else NAME-report.pdf beside each.", "--out", "-o")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a PDF that exists.")] = False,
    as_json: AsJson = False,
) -> int:
    """Print the reports of results as PDFs on A4, with what checking says now."""
    several = len(paths) > 1
    if several and out is not None and out.exists() and not out.is_dir():
        raise OptionError(f"{out} is a file, and {len(paths)} reports are asked for; name a folder")
    if not several:
        made = _printed(paths[0], out, overwrite)
        say(as_json, made, f"{made['path']}: the report of {paths[0].name}")
        return 0
    answers: list[dict[str, Any]] = []
    for path in paths:
        try:
            made = _printed(path, None if out is None else out / _name(path), overwrite)
        except TrattoError as e:  # one that cannot be printed stops no other
            complain(f"tratto: {printable(about(path, str(e)))}")
            made = {"path": None, "error": str(e), "exit_code": e.exit_code}
        answers.append({"source": str(path), **made})
        if not as_json and made["path"]:
            typer.echo(printable(f"{made['path']}: the report of {path.name}"))
    if as_json:
        emit_json(answers)
    return overall([answer.get("exit_code", 0) for answer in answers])


def _name(path: Path) -> str:
    """Return what the report of a result is called."""
    return f"{path.stem}-report.pdf"


def _printed(path: Path, target: Path | None, overwrite: bool) -> dict[str, Any]:
    """Write one report; return what is told of it."""
    import os

    from tratto.imaging.io.target import check_target
    from tratto.jobs import known_models
    from tratto.provenance.bundle import find_bundle
    from tratto.provenance.printing import printed

    if target is None:
        if not path.exists():
            raise InputError(f"{path}: there is no such file or folder")
        folder = find_bundle(path)
        target = folder.with_name(_name(folder))
    elif target.is_dir():
        raise OptionError(f"{target} is a folder; name the file, such as {target / 'report.pdf'}")
    if target.suffix.lower() != ".pdf":
        raise OptionError(f"{target.name} must end with .pdf: that is what is written")
    check_target(target)
    if os.path.lexists(target) and not overwrite:
        raise OutputError(f"{target} exists; choose another name with -o, or replace it with --overwrite")
    data = printed(path, known_models())
    make_folder(target.parent)
    write_bytes(target, data)
    return {"path": str(target), "bytes": len(data)}
