"""``tratto data packages``: training photographs from Debian packages, each with its licence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tratto.cli.guard import guarded
from tratto.cli.show import argument_path, emit_json, printable


def packages(
    names: Annotated[list[str], typer.Argument(metavar="PACKAGE...", help="Names of packages, or .deb files.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=argument_path, metavar="DIR", help="Folder for the pictures.")
    ],
    licence: Annotated[
        list[str] | None, typer.Option(help="Take these instead of cc0, pd and cc-by: also cc-by-sa ...; repeatable.")
    ] = None,
    min_side: Annotated[int, typer.Option(help="Leave out pictures with a shorter side below this.")] = 480,
    max_side: Annotated[int, typer.Option(help="Shrink pictures with a longer side above this.")] = 2304,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave out pictures of this name, * for any characters; repeatable.")
    ] = None,
    webp: Annotated[int, typer.Option(help="Write WebP of this quality, to travel; 0 writes PNG, without loss.")] = 0,
    mirror: Annotated[str, typer.Option(help="Mirror of Debian to fetch from.")] = "",
    suite: Annotated[str, typer.Option(help="Its suite; the default is the one this was tried with.")] = "",
    base_url: Annotated[str, typer.Option(help="A server on this machine to ask instead, for trials.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Take the free photographs and textures out of Debian packages, each with the licence its package states."""
    guarded(
        _packages,
        names,
        out,
        (licence, tuple(without or ())),
        (min_side, max_side, webp),
        (mirror, suite, base_url),
        as_json,
        as_json=as_json,
    )


def _packages(
    names: list[str],
    out: Path,
    which: tuple[list[str] | None, tuple[str, ...]],
    size: tuple[int, int, int],
    where: tuple[str, str, str],
    as_json: bool,
) -> int:
    from dataclasses import asdict
    from textwrap import shorten

    from tratto_lab.collect.client import Client, RetryPolicy
    from tratto_lab.collect.licences import families
    from tratto_lab.corpus.packages import MIRROR, SUITE, TAKEN, PackagePlan, take_packages

    licence, without = which
    mirror, suite, base_url = where
    taken = families(licence) if licence else TAKEN
    plan = PackagePlan(taken, *size[:2], without, size[2], mirror or base_url or MIRROR, suite or SUITE)
    client = Client(RetryPolicy(interval=0.5), base=base_url, say=lambda text: typer.echo(printable(text), err=True))
    done = take_packages(names, out, plan, client, lambda text: typer.echo(printable(text), err=True))
    if as_json:
        emit_json({"taken": [asdict(s) for s in done.sources], "refused": done.refused})
        return 0
    for source in done.sources:
        typer.echo(printable(f"{source.name}: {source.licence}, {shorten(source.holder, 80)}"))
    typer.echo(f"{len(done.sources)} pictures in {printable(str(out))}")
    for reason, count in sorted(done.refused.items(), key=lambda item: -item[1]):
        typer.echo(printable(f"  {count} not taken: {reason}"))
    return 0
