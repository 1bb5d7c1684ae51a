"""``tratto eval reface``: faces put into scenes, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tratto.cli.guard import exits
from tratto.cli.show import argument_path, make_folder


@exits
def eval_reface(
    folder: Annotated[Path, typer.Argument(parser=argument_path, metavar="FOLDER", help="Folder of portraits.")],
    consent: Annotated[
        str,
        typer.Option(
            "--i-have-consent", metavar="NAME", help="Who states that everybody shown is an adult and agrees."
        ),
    ] = "",
    second: Annotated[
        Path | None,
        typer.Option(
            parser=argument_path, metavar="FILE.onnx", help="A second embedding, to judge whose the faces are."
        ),
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Scenes with a character each.")] = 12,
    seeds: Annotated[int, typer.Option(min=1, help="Searches of each pair.")] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", parser=argument_path, metavar="DIR", help="For report.md.")
    ] = None,
) -> int:
    """Put the faces of a folder on each other: whose they are then, the seam, what changed outside, and how long."""
    from tratto.core.errors import InputError, OptionError
    from tratto.core.files import write_text
    from tratto_lab.evaluation.reface import evaluate_reface

    if not consent.strip():
        raise OptionError("eval reface puts faces on each other, which needs consent: --i-have-consent NAME")
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    if second is not None and not second.is_file():
        raise InputError(f"{second} is not a file")
    if out is not None:
        make_folder(out)
    text = evaluate_reface(folder, consent, second, pairs, seeds)
    typer.echo(text)
    if out is not None:
        write_text(out / "report.md", text + "\n")
    return 0
