"""``tratto audit``: verify everything below a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tratto.cli.show import ProgressLine, emit_json, printable

if TYPE_CHECKING:
    from tratto.provenance.trust import Trust


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


def run_audit(command: AuditCommand) -> int:
    """Audit; return the exit code: 9 if anything is altered, else 10 if anything is unknown, else 0."""
    from tratto.imaging.io import atomic_file
    from tratto.provenance import audit as audits
    from tratto.provenance.canonical import dumps
    from tratto.session import audit

    before = [] if command.since is None else audits.read_audit(command.since)
    with ProgressLine() as line:
        rows = audit(
            command.folder,
            command.trust,
            deep=not command.quick,
            replay=command.again,
            state=command.state,
            progress=lambda done, total: line("audit", done, total),
        )
    document = audits.summary(rows, before)
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
        _table(document)
    return audits.exit_code(rows)


def _table(document: dict) -> None:  # type: ignore[type-arg]
    width = max((len(i["path"]) for i in document["items"] if i["verdict"] != "authentic"), default=0)
    for item in document["items"]:
        if item["verdict"] != "authentic":
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
