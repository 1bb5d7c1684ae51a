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
    only: tuple[str, ...] = ()
    unsupported: bool = False
    clip: Path | None = None


def run_audit(command: AuditCommand) -> int:
    """Audit; return the exit code: 9 if anything is altered, else 10 if anything is unknown, else 0."""
    from tratto.imaging.io import atomic_file
    from tratto.imaging.io.target import check_no_picture
    from tratto.jobs import audit
    from tratto.provenance import audit as audits
    from tratto.provenance.canonical import dumps

    audits.narrowed([], command.only)  # a wrong name is told before any work
    for path in (command.out, command.page):
        if path is not None:
            check_no_picture(path)
    before = [] if command.since is None else audits.read_audit(command.since)
    with ProgressLine() as line:
        rows = audit(
            command.folder,
            command.trust,
            deep=not command.quick,
            replay=command.again,
            unsupported=command.unsupported,
            clip=command.clip or "",
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
    for item in sorted((i for i in document["items"] if "unsupported" in i), key=lambda i: -i["unsupported"]["score"]):
        found = item["unsupported"]
        meaning = f", in meaning {100 * found['meaning_rate']:.3g} %" if "meaning_rate" in found else ""
        typer.echo(
            printable(
                f"unsupported  {item['path']:{min(width, 60)}}  {100 * found['rate']:.3g} % of the pixels, score "
                f"{found['score']:.2f}{meaning}"
            )
        )
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
