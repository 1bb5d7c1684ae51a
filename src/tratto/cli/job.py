"""Do the job of a command, say what became of each picture, and return the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from tratto.cli.show import ProgressLine, about, emit_json, overall, printable
from tratto.core.errors import OptionError

if TYPE_CHECKING:
    from tratto.jobs.folder import FileOutcome
    from tratto.tasks import Task


def run_task(task: Task, given: Mapping[str, Any], flags: Mapping[str, str]) -> int:
    """Do what a command line asks for; return the exit code.

    Parameters
    ----------
    task : Task
    given : mapping
        The parameters of the command by name.
    flags : mapping
        What the command line calls each option.

    Raises
    ------
    OptionError
        With the names that the command line has for them.
    """
    outcomes = do_task(task, given, flags)
    if given["as_json"]:
        emit_json([o.to_json() for o in outcomes])
    return overall([o.exit_code for o in outcomes])


def do_task(task: Task, given: Mapping[str, Any], flags: Mapping[str, str]) -> list[FileOutcome]:
    """Do what a command line asks for, and say what became of each picture; see :func:`run_task`.

    Returns
    -------
    list of FileOutcome
    """
    from tratto.cli.derive import read_request
    from tratto.core.options import BadOptions, with_names
    from tratto.jobs import Session
    from tratto.jobs.folder import FolderJob, run_folder
    from tratto.jobs.signing import notary_of

    try:
        asked = read_request(task, given, lambda path: Session().open(path, 0))
    except BadOptions as e:
        raise OptionError("; ".join(with_names(p, lambda name: flags.get(name, name)) for p in e.problems)) from e
    run = asked.run
    job = FolderJob(asked.paths, asked.options, run, asked.save, asked.job_inputs)
    notary = notary_of(run.ledger, run.sign)
    outcomes: list[FileOutcome] = []
    with ProgressLine() as line:
        for text in asked.options.sends:
            line.note(f"note: {text}")
        session = Session(
            job_limits=asked.limits, forensic=run.forensic, progress=line, notary=notary, device=run.device
        )
        for outcome in run_folder(job, session, lambda text: line.note(f"note: {text}")):
            outcomes.append(outcome)
            if outcome.status == "failed":
                line.note(f"tratto: {about(outcome.source, outcome.message)}")
            elif not run.as_json:
                _say(outcome, line)
    return outcomes


def _say(outcome: Any, line: ProgressLine) -> None:
    head = f"{outcome.source} -> {outcome.output}"
    if outcome.status == "skipped":
        head = f"{outcome.source}: skipped, {outcome.output}: {outcome.message}"
    typer.echo(printable(head))
    if outcome.message and outcome.status != "skipped":
        typer.echo(printable(f"  {outcome.message}"))
    if outcome.details.get("forensic") and outcome.status != "skipped":
        typer.echo("  forensic: no step may invent detail, full precision, written without loss")
    if "mask_share" in outcome.details:
        typer.echo(f"  mask: {100 * outcome.details['mask_share']:.3g} % of the picture may change")
    for record in outcome.details.get("steps", []):
        model = ", ".join(m["id"] for m in record["models"])
        by = f" by {record['provider']}" if record["provider"] else ""
        typer.echo(printable(f"  {record['step']}{by}" + (f" ({model})" if model else "")))
        seen = record["scores"]
        if "seen_lab_distance" in seen:
            hue = f", hue {seen['seen_hue_error']:.2f} degrees" if "seen_hue_error" in seen else ""
            typer.echo(
                f"  as seen: {seen['seen_lab_distance']:.2f} CIELAB from the reference, "
                f"CIEDE2000 {seen['seen_delta_e_2000']:.2f}{hue}"
            )
    if outcome.status == "done":
        typer.echo(printable(f"  signed by {outcome.details['signed']}" if outcome.details["signed"] else "  unsigned"))
    if outcome.details.get("entry") is not None and outcome.status == "done":
        typer.echo(f"  entry {outcome.details['entry']} of the ledger")
    for warning in outcome.details.get("warnings", []):
        line.note(f"  note: {warning}")
