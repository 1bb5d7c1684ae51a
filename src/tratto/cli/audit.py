"""``tratto audit``: verify everything below a folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tratto.cli.account import Anchors, Keys, Ledger, StampAnchors, trust_of
from tratto.cli.guard import complain, exits
from tratto.cli.show import ProgressLine, emit_json, path_argument, path_option, printable
from tratto.core.files import write_bytes


@exits
def audit(
    folder: Annotated[Path, path_argument("Everything below it is verified.", metavar="FOLDER")],
    ledger: Ledger = None,
    key: Keys = None,
    anchors: Anchors = None,
    stamp_anchors: StampAnchors = None,
    out: Annotated[Path | None, path_option("Write the audit as JSON.", "--out", "-o")] = None,
    page: Annotated[Path | None, path_option("Write the audit as a page.", "--html")] = None,
    state: Annotated[Path | None, path_option("Remember verdicts here, and go on from it after a stop.")] = None,
    since: Annotated[Path | None, path_option("An earlier audit (JSON): say what changed since.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Compare hashes and signatures only.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only authentic, altered, unknown, stamped (not for examination), forensic or examinable; repeatable."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--replay", help="Do every job again and say which tier it reaches.")] = False,
    unsupported: Annotated[
        bool, typer.Option("--unsupported", help="Measure what each result shows that its original does not support.")
    ] = False,
    clip: Annotated[Path | None, path_option("A CLIP network to compare meanings with, too.", metavar="FOLDER")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> int:
    """Verify everything below a folder: table, JSON and HTML. Works offline."""
    from tratto.core.canonical import dumps
    from tratto.imaging.io.target import check_no_picture
    from tratto.jobs import audit as audit_below
    from tratto.provenance import audit as audits

    trust = trust_of(ledger, key, anchors, stamp_anchors)
    shown = tuple(only or ())
    audits.narrowed([], shown)  # a wrong name is told before any work
    for path in (out, page):
        if path is not None:
            check_no_picture(path)
    before = [] if since is None else audits.read_audit(since)
    with ProgressLine() as line:
        rows = audit_below(
            folder,
            trust,
            deep=not quick,
            replay=again,
            unsupported=unsupported,
            clip=clip or "",
            state=state,
            progress=lambda done, total: line("audit", done, total),
        )
    if not rows:
        complain(printable(f"note: there is neither a picture nor a bundle below {folder}"))
    rows = audits.narrowed(rows, shown)
    document = audits.summary(rows, audits.narrowed(before, shown))
    for path, data in (
        (out, dumps(document) if out else b""),
        (page, audits.page(folder.resolve().name, document, datetime.now(UTC)).encode() if page else b""),
    ):
        if path is not None:
            write_bytes(path, data)
    if as_json:
        emit_json(document)
    else:
        _table(document, bool(shown))
    return audits.exit_code(rows)  # 9 if anything is altered, else 10 if anything is unknown, else 0


def _table(document: dict, every: bool) -> None:  # type: ignore[type-arg]
    from tratto.provenance.audit import change_words

    shown = [i for i in document["items"] if every or i["verdict"] != "authentic"]
    width = max((len(i["path"]) for i in shown), default=0)
    for item in shown:
        if item["stamp"] or item["forensic"] or item["invented_before"]:
            before = "its source is not for examination: detail may have been invented" * item["invented_before"]
            words = item["stamp"] or ", ".join(filter(None, (before, "done in forensic mode" * item["forensic"])))
            typer.echo(printable(f"{item['verdict']:9}  {item['path']:{min(width, 60)}}  {words}"))
        else:
            tier = f"  [{item['tier']}]" if item["tier"] else ""
            first = item["reasons"][0] if item["reasons"] else ""
            typer.echo(printable(f"{item['verdict']:9}  {item['path']:{min(width, 60)}}  {first}{tier}"))
    measured = [i for i in document["items"] if "unsupported" in i]
    for item in sorted(measured, key=lambda i: -i["unsupported"]["score"]):
        found = item["unsupported"]
        meaning = f", in meaning {100 * found['meaning_rate']:.3g} %" if "meaning_rate" in found else ""
        typer.echo(
            printable(
                f"unsupported  {item['path']:{min(width, 60)}}  {100 * found['rate']:.3g} % of the pixels, score "
                f"{found['score']:.2f}{meaning}"
            )
        )
    for change in document["changes"]:
        typer.echo(printable(f"changed    {change_words(change)}"))
    if document["replay"]["count"]:
        rates = ", ".join(f"tier {t}: {100 * r:.1f} %" for t, r in document["replay"]["rate"].items())
        typer.echo(f"{document['replay']['count']} replayed: {rates}")
    counts = document["counts"]
    typer.echo(", ".join(f"{counts[w]} {w}" for w in ("authentic", "altered", "unknown")))
    claims = document["claims"]
    if claims["stamped"] or claims["forensic"]:
        typer.echo(f"{claims['stamped']} not for examination, {claims['forensic']} done in forensic mode")
