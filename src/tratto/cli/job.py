"""Do the job of a command, say what became of each picture, and return the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from tratto.cli.show import ProgressLine, about, emit_json, overall
from tratto.core.errors import OptionError

T = TypeVar("T")

if TYPE_CHECKING:
    from tratto.cli.derive import Request
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
    from tratto.cli.derive import each_of

    jobs = _named(flags, lambda: each_of(task, given))
    for one in jobs[1:]:  # before any of them is done
        _named(flags, lambda one=one: _read(task, one))
    outcomes = [outcome for one in jobs for outcome in do_task(task, one, flags)]
    if given["as_json"]:
        emit_json([o.to_json() for o in outcomes])
    return overall([o.exit_code for o in outcomes])


def do_task(task: Task, given: Mapping[str, Any], flags: Mapping[str, str]) -> list[FileOutcome]:
    """Do what a command line asks for, and say what became of each picture; see :func:`run_task`.

    Returns
    -------
    list of FileOutcome
    """
    from tratto.jobs import Session
    from tratto.jobs.folder import FolderJob, run_folder
    from tratto.jobs.signing import notary_of

    asked = _named(flags, lambda: _read(task, given))
    run = asked.run
    job = FolderJob(asked.paths, asked.options, run, asked.save, asked.job_inputs, asked.papers)
    notary = notary_of(run.ledger, run.sign)
    outcomes: list[FileOutcome] = []
    count = 0

    def planned(number: int) -> None:
        nonlocal count
        count = number

    with ProgressLine() as line:
        session = Session(
            job_limits=asked.limits, forensic=run.forensic, progress=line, notary=notary, device=run.device
        )
        for outcome in run_folder(job, session, lambda text: line.note(f"note: {text}"), planned):
            outcomes.append(outcome)
            if outcome.status == "failed":
                line.note(f"tratto: {about(outcome.source, outcome.message)}")
            elif not run.as_json and count <= MANY:
                _say(outcome, line)
            if count > MANY:
                line.count(len(outcomes), count, "pictures")
        if count > MANY and not run.as_json:
            line.say(_summary(outcomes))
    return outcomes


#: From how many pictures on each has no lines of its own: a counter, one line for each problem and a summary do.
MANY = 12


def _summary(outcomes: list[FileOutcome]) -> str:
    """Return what became of many pictures, in one line."""
    counts = Counter(outcome.status for outcome in outcomes)
    parts = [f"{counts[status]} {status}" for status in ("done", "planned", "skipped", "failed") if counts[status]]
    alone = sum(not o.details.get("steps") for o in outcomes if o.status == "done")
    parts += [f"{alone} of the done were left alone"] if alone else []
    noted = sum(bool(o.details.get("warnings")) for o in outcomes)
    parts += [f"{noted} with notes (in their reports, and by --json)"] if noted else []
    return f"{len(outcomes)} pictures: {', '.join(parts)}"


def _read(task: Task, given: Mapping[str, Any]) -> Request:
    from tratto.cli.derive import read_request
    from tratto.imaging.opening import open_single

    return read_request(task, given, lambda path: open_single(path, "swatch"))


def _named(flags: Mapping[str, str], read: Callable[[], T]) -> T:
    """Return what is read; what is wrong is told with the names that the command line has."""
    from tratto.core.options import BadOptions, with_names

    try:
        return read()
    except BadOptions as e:
        raise OptionError("; ".join(with_names(p, lambda name: flags.get(name, name)) for p in e.problems)) from e


def _say(outcome: Any, line: ProgressLine) -> None:
    head = f"{outcome.source} -> {outcome.output}"
    if outcome.status == "skipped":
        head = f"{outcome.source}: skipped, {outcome.output}: {outcome.message}"
    line.say(head)
    if outcome.message and outcome.status != "skipped":
        line.say(f"  {outcome.message}")
    if outcome.details.get("forensic") and outcome.status != "skipped":
        line.say("  forensic: no step may invent detail, full precision, written without loss")
    if "mask_share" in outcome.details:
        line.say(f"  mask: {100 * outcome.details['mask_share']:.3g} % of the picture may change")
    for record in outcome.details.get("steps", []):
        model = ", ".join(m["id"] for m in record["models"])
        by = f" by {record['provider']}" if record["provider"] else ""
        line.say(f"  {record['step']}{by}" + (f" ({model})" if model else ""))
        seen = record["scores"]
        if "seen_lab_distance" in seen:
            hue = f", hue {seen['seen_hue_error']:.2f} degrees" if "seen_hue_error" in seen else ""
            line.say(
                f"  as seen: {seen['seen_lab_distance']:.2f} CIELAB from the reference, "
                f"CIEDE2000 {seen['seen_delta_e_2000']:.2f}{hue}"
            )
    if outcome.status == "done":
        line.say(f"  signed by {outcome.details['signed']}" if outcome.details["signed"] else "  unsigned")
    if outcome.details.get("entry") is not None and outcome.status == "done":
        line.say(f"  entry {outcome.details['entry']} of the ledger")
    for warning in outcome.details.get("warnings", []):
        line.note(f"  note: {warning}")
