"""``tratto data dedupe``: equal and nearly equal pictures of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tratto.cli.guard import exits
from tratto.cli.show import argument_path, emit_json, printable
from tratto.core.errors import OptionError, OutputError


@exits
def dedupe(
    folder: Annotated[Path, typer.Argument(parser=argument_path, metavar="FOLDER", help="Folder, with sub-folders.")],
    radius: Annotated[int, typer.Option(help="Bits of 64 in which perceptual hashes may differ, 0-15.")] = 6,
    turned: Annotated[bool, typer.Option("--turned", help="Find turned and mirrored copies, too.")] = False,
    parts: Annotated[
        bool,
        typer.Option(
            "--parts", help="Find crops, recoloured, re-lit and turned copies, too; listed apart, never moved."
        ),
    ] = False,
    move_to: Annotated[
        Path | None,
        typer.Option(parser=argument_path, metavar="DIR", help="Move all but the best of each group there."),
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete all but the best of each group.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Find equal and nearly equal pictures and say why; nothing is moved or deleted unless asked."""
    from tratto_lab.corpus.dedupe import dedupe as find
    from tratto_lab.corpus.dedupe import find_pictures

    if move_to is not None and delete:
        raise OptionError("--move-to and --delete contradict each other")
    if not 0 <= radius <= 15:
        raise OptionError(f"--radius takes 0 to 15, got {radius}")
    paths = find_pictures(folder)
    if move_to is not None:  # what was moved away before is no part of the folder
        paths = [p for p in paths if not p.resolve().is_relative_to(move_to.resolve())]
    done = find(paths, radius, turned, parts=parts)
    extra = [path for group in done.groups for path, _ in group.rest]
    if move_to is not None:
        _move(_with_sidecars(extra), folder, move_to)
    elif delete:
        for path in _with_sidecars(extra):
            try:
                path.unlink()
            except OSError as e:
                raise OutputError(f"{path} cannot be deleted: {e.strerror or e}") from e
    if as_json:
        emit_json(
            {
                "pictures": done.pictures,
                "compared": done.compared,
                "groups": [
                    {"keep": str(g.keep), "rest": [{"path": str(p), "reason": r} for p, r in g.rest]}
                    for g in done.groups
                ],
                **(
                    {
                        "compared_parts": done.compared_parts,
                        "related": [
                            {"largest": str(g.keep), "others": [{"path": str(p), "reason": r} for p, r in g.rest]}
                            for g in done.related
                        ],
                    }
                    if parts
                    else {}
                ),
                "unreadable": [{"path": str(p), "message": m} for p, m in done.unreadable],
            }
        )
        return 8 if done.unreadable else 0
    for group in done.groups:
        typer.echo(printable(f"{group.keep}: kept"))
        for path, reason in group.rest:
            typer.echo(printable(f"  {path}: {reason}"))
    for group in done.related:
        typer.echo(printable(f"{group.keep}: largest of {len(group.rest) + 1} that are linked by what they show"))
        for path, reason in group.rest:
            typer.echo(printable(f"  {path}: {reason}"))
    for path, message in done.unreadable:
        typer.echo(printable(f"{path}: passed over: {message}"), err=True)
    what = "moved" if move_to is not None else "deleted" if delete else "nothing moved or deleted"
    pairs = done.pictures * (done.pictures - 1) // 2
    also = f", {len(done.related)} of pictures that share a part" if parts else ""
    typer.echo(
        f"{done.pictures} pictures, {len(done.groups)} groups{also}, {len(extra)} to spare: {what}; "
        f"{done.compared} of {pairs} pairs compared" + (f", {done.compared_parts} by their corners" if parts else "")
    )
    return 8 if done.unreadable else 0


def _with_sidecars(paths: list[Path]) -> list[Path]:
    """Return pictures, each followed by the file that ``tratto data collect`` laid beside it: licences go along."""
    from tratto.core.errors import InputError
    from tratto_lab.collect.run import read_sidecar

    out = []
    for path in paths:
        out.append(path)
        sidecar = path.with_name(f"{path.name}.json")
        if sidecar.is_file():
            try:
                read_sidecar(sidecar)
            except InputError:
                continue  # somebody's own
            out.append(sidecar)
    return out


def _move(paths: list[Path], folder: Path, target: Path) -> None:
    """Move files, keeping their sub-folders; nothing is replaced."""
    places = [(p, target / p.relative_to(folder)) for p in paths]
    for _, place in places:
        if place.exists():
            raise OutputError(f"{place} exists; nothing was moved")
    for path, place in places:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
        except OSError as e:
            raise OutputError(f"{path} cannot be moved to {place}: {e.strerror or e}") from e
