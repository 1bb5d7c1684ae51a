"""``tratto data collect``: free pictures from open collections, with licence and attribution."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tratto.cli.guard import guarded
from tratto.cli.show import argument_path, emit_json, printable


@dataclass(frozen=True)
class CollectCommand:
    """What the command line says."""

    source: str
    query: str
    out: Path
    limit: int
    licence: list[str] | None
    contact: str
    interval: float
    min_side: int
    max_megapixels: float
    max_bytes: int
    base_url: str
    as_json: bool


def collect(
    source: Annotated[str, typer.Argument(help="wikimedia, smithsonian, europeana or mit-museum.")],
    query: Annotated[str, typer.Option(help="What to look for, in the query language of the source.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=argument_path, metavar="DIR", help="Folder for the pictures.")
    ],
    limit: Annotated[int, typer.Option(help="Pictures this query may give altogether, earlier runs counted.")] = 100,
    licence: Annotated[
        list[str] | None,
        typer.Option(help="Accept these instead: cc0, pd, cc-by, cc-by-sa (the default) or cc-by-nc ...; repeatable."),
    ] = None,
    contact: Annotated[
        str,
        typer.Option(
            envvar="TRATTO_CONTACT", show_envvar=True, help="Your e-mail address or page, sent with each request."
        ),
    ] = "",
    interval: Annotated[float, typer.Option(help="Seconds between requests to one host.")] = 1.0,
    min_side: Annotated[int, typer.Option(help="Refuse pictures with a shorter side below this.")] = 256,
    max_megapixels: Annotated[float, typer.Option(help="Refuse pictures above this.")] = 100.0,
    max_bytes: Annotated[int, typer.Option(help="Refuse files above this.")] = 200 * 1024**2,
    base_url: Annotated[str, typer.Option(help="A server on this machine to ask instead, for trials.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")] = False,
) -> None:
    """Collect free pictures with licence and attribution. Keys come from the environment; a killed run goes on."""
    fields: dict[str, Any] = {k: v for k, v in locals().items() if k in CollectCommand.__dataclass_fields__}
    guarded(_collect, CollectCommand(**fields), as_json=as_json)


def _collect(command: CollectCommand) -> int:
    import math
    import os

    from tratto.core.errors import OptionError
    from tratto_lab.collect.client import Client, RetryPolicy
    from tratto_lab.collect.licences import families
    from tratto_lab.collect.run import CollectPlan
    from tratto_lab.collect.run import collect as bring
    from tratto_lab.collect.sources import SOURCES, open_source

    facts = SOURCES.get(command.source)
    if facts is None:
        raise OptionError(f"a source is one of {', '.join(SOURCES)}; got {command.source!r}")
    if not (math.isfinite(command.interval) and command.interval >= 0):
        raise OptionError(f"--interval takes seconds from 0, got {command.interval}")
    if command.max_bytes < 1:
        raise OptionError(f"--max-bytes must be above 0, got {command.max_bytes}")
    if facts.wants_contact and not command.contact:
        raise OptionError(
            f"{command.source} asks everyone who fetches by program to say who they are: give --contact, or set "
            "TRATTO_CONTACT, to your e-mail address or page"
        )
    if facts.most and command.limit > facts.most:
        raise OptionError(f"one query to {command.source} reaches {facts.most} pictures at most; use several queries")
    wanted = families(command.licence)
    key = os.environ.get(facts.key_variable, "").strip() if facts.key_variable else ""
    source = open_source(command.source, key, command.base_url.rstrip("/"), wanted)
    policy = RetryPolicy(contact=command.contact, interval=command.interval, max_picture=command.max_bytes)

    def say(text: str) -> None:
        typer.echo(printable(text), err=True)

    client = Client(policy, command.base_url, (key,), say=say)
    plan = CollectPlan(command.query, command.out, command.limit, wanted, command.min_side, command.max_megapixels)
    done = bring(source, plan, client, say)
    if command.as_json:
        emit_json({"source": command.source, "query": command.query, "out": str(command.out), **done.to_json()})
    else:
        total = done.before + done.kept
        typer.echo(
            printable(
                f"{command.out}: {done.kept} pictures kept now ({done.size / 1e6:.1f} MB in {done.seconds:.0f} s), "
                f"{total} of this query altogether; {done.same} left out as equal, {done.known} met again"
            )
        )
        for name, counts in (("refused", done.refused), ("failed", done.failed)):
            for reason, count in sorted(counts.items()):
                typer.echo(printable(f"  {name}: {count} x {reason}"))
        if done.finished and total < command.limit:
            typer.echo("the source has no more for this query")
    return 8 if done.failed else 0
