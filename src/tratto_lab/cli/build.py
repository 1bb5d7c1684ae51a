"""``tratto data build`` and ``tratto data check``: data sets for repair, in shards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tratto.cli.guard import exits, guarded
from tratto.cli.show import ProgressLine, argument_path, emit_json, printable
from tratto.core.errors import InputError


@dataclass(frozen=True)
class BuildCommand:
    """What the command line says."""

    folder: Path
    out: Path
    size: int
    variants: int
    per_shard: int
    seed: int
    limit: int
    licence: list[str] | None
    stated_licence: str
    depth: str
    caption: str
    max_megapixels: float
    workers: int
    as_json: bool


def build(
    folder: Annotated[Path, typer.Argument(parser=argument_path, metavar="FOLDER", help="Pictures, with sub-folders.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=argument_path, metavar="DIR", help="Folder for the shards.")
    ],
    size: Annotated[int, typer.Option(help="Side of the square items, 64-2048.")] = 512,
    variants: Annotated[int, typer.Option(help="Items from each picture.")] = 1,
    per_shard: Annotated[int, typer.Option(help="Items in a shard.")] = 256,
    seed: Annotated[int, typer.Option(help="Of everything drawn at random.")] = 0,
    limit: Annotated[int, typer.Option(help="Items altogether; 0: all.")] = 0,
    licence: Annotated[
        list[str] | None,
        typer.Option(help="Take these instead: cc0, pd, cc-by, cc-by-sa (the default) or cc-by-nc ...; repeatable."),
    ] = None,
    stated_licence: Annotated[
        str, typer.Option(help="Licence of pictures without a sidecar; else they are left out.")
    ] = "",
    depth: Annotated[str, typer.Option(help="Who estimates depth: none, geometric, dpt or dpt:FOLDER.")] = "none",
    caption: Annotated[str, typer.Option(help="Who describes: none, measured or joycaption:FOLDER.")] = "none",
    max_megapixels: Annotated[float, typer.Option(help="Leave out pictures above this.")] = 100.0,
    workers: Annotated[int, typer.Option(help="Processes, each with a shard of its own.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")] = False,
) -> None:
    """Build (damaged, depth, caption, restored, masks, licence) shards; a killed build goes on."""
    fields: dict[str, Any] = {k: v for k, v in locals().items() if k in BuildCommand.__dataclass_fields__}
    guarded(_build, BuildCommand(**fields), as_json=as_json)


def _build(command: BuildCommand) -> int:
    from tratto_lab.collect.licences import families
    from tratto_lab.corpus.build import build as make
    from tratto_lab.corpus.build_item import NO_SIDECAR
    from tratto_lab.corpus.build_plan import BuildPlan

    plan = BuildPlan(
        size=command.size,
        variants=command.variants,
        per_shard=command.per_shard,
        seed=command.seed,
        limit=command.limit,
        licences=families(command.licence),
        stated=command.stated_licence.strip(),
        depth=command.depth,
        caption=command.caption,
        max_megapixels=command.max_megapixels,
    )
    with ProgressLine(not command.as_json) as line:
        done = make(
            command.folder,
            command.out,
            plan,
            workers=command.workers,
            progress=lambda now, total: line("building", now, total),
        )
    if command.as_json:
        fields = {k: v for k, v in done.__dict__.items() if k != "skipped"}
        emit_json({**fields, "skipped": dict(done.skipped), "items_per_second": round(done.items_per_second, 3)})
        return 0 if done.items else InputError.exit_code
    rate = (
        f"{done.made_items} items now, {done.items_per_second:.2f} items per second" if done.made_items else "none now"
    )
    typer.echo(
        printable(
            f"{command.out}: {done.items} items in {done.shards} shards, {done.size / 1e6:.1f} MB ({rate}); see "
            f"{command.out / 'DATA_CARD.md'}"
        )
    )
    for reason, count in done.skipped.items():
        typer.echo(printable(f"  left out: {count} x {reason}"))
    if NO_SIDECAR in done.skipped and not command.stated_licence.strip():
        typer.echo(
            "note: say the licence of pictures without a sidecar with --stated-licence, in a new folder", err=True
        )
    if not done.items:
        typer.echo("no item could be built", err=True)
        return InputError.exit_code
    return 0


@exits
def check(
    shards: Annotated[Path, typer.Argument(parser=argument_path, metavar="DIR", help="Folder of shards.")],
) -> int:
    """Compare every shard of a data set with its hash."""
    from tratto_lab.corpus.shards import verify

    count, wrong = verify(shards)
    for line in wrong:
        typer.echo(printable(line), err=True)
    typer.echo(f"{count} shards: {f'{len(wrong)} wrong' if wrong else 'all as they were written'}")
    return 9 if wrong else 0
