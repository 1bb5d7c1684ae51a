"""``tratto monitor``: how results and their inputs do over time, and how far they moved from a reference window."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tratto.cli.guard import exits
from tratto.cli.show import AsJson, ProgressLine, about, emit_json, path_option, printable
from tratto.core.errors import OptionError

if TYPE_CHECKING:
    from tratto.monitor.summary import Reference
    from tratto.monitor.watched import Observation

#: Where the reference of a folder of bundles is kept.
REFERENCE = ".tratto-reference.json"


@exits
def monitor(
    folder: Annotated[
        str | None, typer.Argument(metavar="[FOLDER]", help="Results with their bundles; or --data, a server's folder.")
    ] = None,
    out: Annotated[Path | None, path_option("Page to write, NAME.html.", "--out", "-o", metavar="FILE")] = None,
    data: Annotated[Path | None, path_option("A server's folder: what its jobs left.", metavar="DIR")] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="FROM..TO|FILE", help="Window to compare with; the one that was kept otherwise."),
    ] = None,
    window: Annotated[
        str | None, typer.Option(metavar="FROM..TO", help="Window to show; all there is otherwise.")
    ] = None,
    name: Annotated[str, typer.Option(help="What to call the reference window.")] = "",
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the reference window for the next time, and the server.")
    ] = (False),
    unsupported: Annotated[
        bool, typer.Option("--unsupported", help="Measure what each result shows that its source does not support.")
    ] = False,
    replay: Annotated[int, typer.Option(help="Do the newest so many again, and note how they agree.", min=0)] = 0,
    check: Annotated[bool, typer.Option("--check", help="End with 9 if something has drifted.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page that exists.")] = False,
    as_json: AsJson = False,
) -> int:
    """Show how results and their inputs do over time, and how far they moved from a reference window."""
    from tratto.monitor.summary import Span, summary

    if (folder is None) == (data is None):
        raise OptionError("name either a FOLDER of results or a server's folder with --data")
    if data is not None and (unsupported or replay):
        raise OptionError("a server measures while it works: tratto serve --check-every N")
    if out is not None:
        _check_page(out, overwrite)
    if folder is not None:
        if not folder:
            raise OptionError("FOLDER is empty; '.' is this folder")
        root = Path(folder)
        found, failed = _of_folder(root, unsupported, replay)
        place = root / REFERENCE
    else:
        found, failed, place = _of_server(data)
    if not found:
        raise OptionError(f"nothing was observed in {folder or data}; results with bundles are what is looked for")
    chosen = _reference(reference, name, place, found)
    if keep:
        if chosen is None:
            raise OptionError("--keep keeps the window that --reference names")
        chosen.write(place)
    times = [o.at for o in found]
    shown = Span.parse(window) if window else Span(min(times), max(times) + 1)
    figures = summary(found, chosen, shown)
    levels = {p["label"]: p["drift"] for p in figures["panels"] if p["drift"]}
    if as_json:
        emit_json({**figures, "failed": failed})
    else:
        _say(figures, chosen, levels)
    if out is not None:
        from tratto.core.files import write_text
        from tratto.monitor.page import standalone

        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, standalone(figures, f"Tratto: {Path(folder).resolve().name if folder else 'the server'}"))
        if not as_json:
            typer.echo(printable(f"written: {out}"))
    if check and any(d["level"] == "alert" for d in levels.values()):
        return 9
    return 8 if failed else 0


def _say(figures: dict[str, Any], chosen: Reference | None, levels: dict[str, Any]) -> None:
    states = ", ".join(f"{n} {state}" for state, n in figures["states"].items())
    typer.echo(f"{_results(figures['window']['observed'])}: {states or 'none in this window'}")
    if undated := figures["window"]["dated_by_file"]:
        typer.echo(f"  {_results(undated)} without an account of times (observed.json): dated by the time of the file")
    if chosen is None:
        typer.echo("  compared with nothing: name a window with --reference FROM..TO")
        return
    typer.echo(printable(f"  compared with {chosen.name}, {_results(chosen.total)}"))
    for label, drift in levels.items():
        typer.echo(f"  {label}: {drift['level']}, PSI {drift['psi']:.3g}, KS {drift['ks']:.3g}")


def _results(count: int) -> str:
    return f"{count} result" if count == 1 else f"{count} results"


def _check_page(out: Path, overwrite: bool) -> None:
    from tratto.core.errors import OutputError

    if out.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"the page is HTML; {out.name!r} does not end with .html")
    if out.is_dir():
        raise OutputError(f"{out} is a folder; choose another name")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists; choose another name, or replace it with --overwrite")


def _reference(text: str | None, name: str, place: Path, found: list[Observation]) -> Reference | None:
    """Return the reference window: a file, a span of what was observed, or the one that was kept."""
    from tratto.monitor.summary import Reference, Span

    if text is None:
        return Reference.read(place) if place.exists() else None
    if text.endswith(".json"):
        return Reference.read(Path(text))
    span = Span.parse(text)
    return Reference.of((name or text)[:80], span, found)


def _of_folder(root: Path, unsupported: bool, replay: int) -> tuple[list[Observation], int]:
    """Return what the bundles below a folder tell, and how many of them cannot be read."""
    from tratto.core.errors import TrattoError
    from tratto.monitor.watched import observe, tier_number
    from tratto.provenance.audit import find_bundles

    bundles = list(find_bundles(root))
    found: list[tuple[Observation, Path]] = []
    failed = 0
    with ProgressLine() as line:
        for number, bundle in enumerate(bundles, 1):
            try:
                found.append((observe(bundle), bundle))
            except (TrattoError, OSError) as e:
                failed += 1
                line.note(f"tratto: {about(bundle, str(e))}")
            line.count(number, failed, len(bundles))
        again = {b for _, b in sorted(found, key=lambda f: -f[0].at)[:replay]}
        if unsupported or again:
            from tratto.jobs import Session
            from tratto.jobs.support import measure_unsupported

            session = Session()
            for one, bundle in found:
                try:
                    if unsupported:
                        one.facts["unsupported"] = measure_unsupported(session.job(), bundle)["rate"]
                    if bundle in again:
                        one.facts["tier"] = tier_number(session.replay(bundle).tier)
                except (TrattoError, OSError) as e:
                    line.note(f"note: {about(bundle, str(e))}")
    return [one for one, _ in found], failed


def _of_server(data: Path | None) -> tuple[list[Observation], int, Path]:
    """Return what a server's jobs left, and where its reference is kept."""
    from tratto.core.errors import InputError
    from tratto.server.settings import Settings, need_extra, usual_folder

    need_extra()
    from tratto.server.database import Database
    from tratto.server.store import Store
    from tratto.server.watch import observation

    settings = Settings(folder=(data or usual_folder()).absolute())
    if not settings.database.is_file():
        raise InputError(f"{settings.folder} is no folder of a server; name the one of tratto serve --data")
    rows = Store(Database(settings.database)).observed()
    return [observation(row) for row in rows], 0, settings.reference
