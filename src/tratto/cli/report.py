"""``tratto report``: the report of a bundle on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tratto.cli.guard import exits
from tratto.cli.show import AsJson, path_argument, path_option, say
from tratto.core.errors import InputError, OptionError, OutputError
from tratto.core.files import write_bytes


@exits
def report(
    path: Annotated[Path, path_argument("A result or its bundle.")],
    out: Annotated[Path | None, path_option("The PDF; NAME-report.pdf beside the bundle.", "--out", "-o")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a PDF that exists.")] = False,
    as_json: AsJson = False,
) -> int:
    """Print the report of a result as a PDF on A4, with what checking says now."""
    import os

    from tratto.imaging.io.target import check_target
    from tratto.jobs import known_models
    from tratto.provenance.bundle import find_bundle
    from tratto.provenance.printing import printed

    target = out
    if target is None:
        if not path.exists():
            raise InputError(f"{path}: there is no such file or folder")
        folder = find_bundle(path)
        target = folder.with_name(f"{folder.stem}-report.pdf")
    elif target.is_dir():
        raise OptionError(f"{target} is a folder; name the file, such as {target / 'report.pdf'}")
    if target.suffix.lower() != ".pdf":
        raise OptionError(f"{target.name} must end with .pdf: that is what is written")
    check_target(target)
    if os.path.lexists(target) and not overwrite:
        raise OutputError(f"{target} exists; choose another name with -o, or replace it with --overwrite")
    data = printed(path, known_models())
    write_bytes(target, data)
    say(as_json, {"path": str(target), "bytes": len(data)}, f"{target}: the report of {path.name}")
    return 0
