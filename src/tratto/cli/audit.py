"""``tratto audit``: verify everything below a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tratto.cli.account import Anchors, Keys, Ledger, StampAnchors, trust_of
from tratto.cli.guard import guarded
from tratto.cli.show import ProgressLine, argument_path, emit_json, printable

if TYPE_CHECKING:
    from tratto.provenance.trust import Trust


def audit(
    folder: Annotated[
        Path, typer.Argument(parser=argument_path, metavar="FOLDER", help="Everything below it is verified.")
    ],
    ledger: Ledger = None,
    key: Keys = None,
    anchors: Anchors = None,
    stamp_anchors: StampAnchors = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", parser=argument_path, metavar="PATH", help="Write the audit as JSON.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--html", parser=argument_path, metavar="PATH", help="Write the audit as a page.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            parser=argument_path, metavar="PATH", help="Remember verdicts here, and go on from it after a stop."
        ),
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(parser=argument_path, metavar="PATH", help="An earlier audit (JSON): say what changed since."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Compare hashes and signatures only.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only authentic, altered, unknown, stamped (not for examination), forensic or examinable; repeatable."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--replay", help="Do every job again and say which tier it reaches.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> None:
    """Verify everything below a folder: table, JSON and HTML. Works offline."""

    def run() -> int:
        trust = trust_of(ledger, key, anchors, stamp_anchors)
        return run_audit(AuditCommand(folder, trust, out, page, state, since, quick, again, as_json, tuple(only or ())))

    guarded(run, as_json=as_json)


@dataclass(frozen=True)
class AuditCommand:
    """The command's options as given; see ``tratto audit --help``."""

    folder: Path
    trust: Trust
    out: Path | None
    page: Path | None
    state: Path | None
    since: Path | None
    quick: bool
    again: bool
    as_json: bool
    only: tuple[str, ...] = ()


def run_audit(command: AuditCommand) -> int:
    """Audit; return the exit code: 9 if anything is altered, else 10 if anything is unknown, else 0."""
    from tratto.imaging.io import atomic_file
    from tratto.provenance import audit as audits
    from tratto.provenance.canonical import dumps
    from tratto.provenance.target import check_no_picture
    from tratto.session import audit as audit_below

    audits.narrowed([], command.only)  # a wrong name is told before any work
    for path in (command.out, command.page):
        if path is not None:
            check_no_picture(path)
    before = [] if command.since is None else audits.read_audit(command.since)
    with ProgressLine() as line:
        rows = audit_below(
            command.folder,
            command.trust,
            deep=not command.quick,
            replay=command.again,
            state=command.state,
            progress=lambda done, total: line("audit", done, total),
        )
    rows = audits.narrowed(rows, command.only)
    document = audits.summary(rows, audits.narrowed(before, command.only))
    for path, data in (
        (command.out, dumps(document) if command.out else b""),
        (command.page, audits.page(command.folder.name, document).encode() if command.page else b""),
    ):
        if path is not None:
            with atomic_file(path) as f:
                f.write(data)
    if command.as_json:
        emit_json(document)
    else:
        _table(document, bool(command.only))
    return audits.exit_code(rows)


def _table(document: dict, every: bool) -> None:  # type: ignore[type-arg]
    shown = [i for i in document["items"] if every or i["verdict"] != "authentic"]
    width = max((len(i["path"]) for i in shown), default=0)
    for item in shown:
        if item["stamp"] or item["forensic"]:
            words = item["stamp"] or "done in forensic mode"
            typer.echo(printable(f"{item['verdict']:9}  {item['path']:{min(width, 60)}}  {words}"))
        else:
            tier = f"  [{item['tier']}]" if item["tier"] else ""
            first = item["reasons"][0] if item["reasons"] else ""
            typer.echo(printable(f"{item['verdict']:9}  {item['path']:{min(width, 60)}}  {first}{tier}"))
    for change in document["changes"]:
        typer.echo(printable(f"changed    {change['path']}: {change['before']} -> {change['now']}"))
    if document["replay"]["count"]:
        rates = ", ".join(f"tier {t}: {100 * r:.1f} %" for t, r in document["replay"]["rate"].items())
        typer.echo(f"{document['replay']['count']} replayed: {rates}")
    counts = document["counts"]
    typer.echo(", ".join(f"{counts[w]} {w}" for w in ("authentic", "altered", "unknown")))
    claims = document["claims"]
    if claims["stamped"] or claims["forensic"]:
        typer.echo(f"{claims['stamped']} not for examination, {claims['forensic']} done in forensic mode")
