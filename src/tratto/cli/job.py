"""Do the job of a command, say what became of each picture, and return the exit code."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import typer

from tratto.cli.show import ProgressLine, about, overall
from tratto.core.errors import OptionError

T = TypeVar("T")

if TYPE_CHECKING:
    from tratto.cli.derive import Request
    from tratto.jobs.folder import FileOutcome
    from tratto.tasks import Task

#: From so many pictures on there is one counter, a line for each problem, and a summary.
MANY = 20
#: Most different notes that are told of so many, each once.
MOST_NOTES = 50


class JsonArray:
    """One JSON array on standard output, kept on the disk until it is whole."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._first = True

    def add(self, item: Any) -> None:
        """Add an element."""
        text = json.dumps(item, ensure_ascii=True, indent=2, allow_nan=False).replace("\n", "\n  ")
        self._file.write(("[\n  " if self._first else ",\n  ") + text)
        self._first = False

    def emit(self) -> None:
        """Print it."""
        self._file.write("[]\n" if self._first else "\n]\n")
        self._file.seek(0)
        while part := self._file.read(1 << 16):
            typer.echo(part, nl=False)


@contextlib.contextmanager
def json_array() -> Iterator[JsonArray]:
    """Give an array that takes little memory however long it is."""
    with tempfile.TemporaryFile("w+", encoding="ascii") as file:
        yield JsonArray(file)


def run_task(task: Task, given: Mapping[str, Any], flags: Mapping[str, str]) -> int:
    """Do what a command line asks for; return the exit code.

    Parameters
    ----------
    task : Task
        A row of ``TASKS``.
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
    codes: list[int] = []
    with json_array() as array:
        for one in jobs:
            take = (lambda outcome: array.add(outcome.to_json())) if given["as_json"] else _silent
            codes += do_task(task, one, flags, take)
        if given["as_json"]:
            array.emit()
    return overall(codes)


def _silent(outcome: FileOutcome) -> None:
    return None


def do_task(
    task: Task, given: Mapping[str, Any], flags: Mapping[str, str], take: Callable[[FileOutcome], None]
) -> list[int]:
    """Do what a command line asks for, and say what became of each picture; see :func:`run_task`.

    Parameters
    ----------
    task, given, flags
        As for :func:`run_task`.
    take : callable
        Called with each outcome as it is known.

    Returns
    -------
    list of int
        The exit codes that there were.
    """
    asked = _named(flags, lambda: _read(task, given))
    with ProgressLine() as line:
        return _do(task, asked, line, take)


def _do(task: Task, asked: Request, line: ProgressLine, take: Callable[[FileOutcome], None]) -> list[int]:
    from tratto.jobs.batch import Batch, foresee, run_batch
    from tratto.jobs.crew import Setup
    from tratto.jobs.folder import FolderJob, Worker, plan_jobs, serially
    from tratto.jobs.manifest import Defaults, plan_manifest

    run = asked.run
    setup = Setup(asked.limits, run.forensic, run.device, run.ledger, run.sign)
    session = setup.session()
    worker = Worker(session)
    if asked.options is None:
        defaults = Defaults(task.name, run, asked.save, asked.fields, asked.given, asked.papers)
        plan = plan_manifest(run.manifest, defaults, worker)
    else:
        job = worker.check(FolderJob(asked.paths, asked.options, run, asked.save, asked.job_inputs, asked.papers))
        plan = plan_jobs(job, session, lambda text: line.note(f"note: {text}"))
    for text in dict.fromkeys(text for work in plan.works for text in work.job.options.sends):
        line.note(f"note: {text}")
    total = len(plan.works) + len(plan.failed)
    many = total >= MANY or run.manifest is not None
    batch = Batch.of(plan, setup, run, many)
    if not many and batch.size == 1 and run.on == "here":
        session.progress = line
    counts: Counter[str] = Counter()
    notes: dict[str, tuple[Path, int]] = {}
    codes: dict[int, None] = {}
    begun = time.monotonic()
    if total == 1 and not many:
        outcomes = serially(plan, worker)
    else:
        outcomes = foresee(batch, worker) if run.dry_run else run_batch(batch, session)
    with contextlib.closing(outcomes):  # whatever stops this, workers end and clear up
        for outcome in outcomes:
            if outcome.status == "nothing":  # alone it is an error, among others one of them that is sound
                outcome = replace(outcome, **({"status": "failed"} if total == 1 else {"exit_code": 0}))
            counts[outcome.status] += 1
            codes[outcome.exit_code] = None
            take(outcome)
            if outcome.status == "nothing" and not many:
                line.note(about(outcome.source, outcome.message))
            elif outcome.status == "failed":
                line.note(f"tratto: {about(outcome.source, outcome.message)}")
            elif many:
                for warning in outcome.details.get("warnings", []):
                    first, times = notes.get(warning, (outcome.source, 0))
                    if times or len(notes) < MOST_NOTES:
                        notes[warning] = (first, times + 1)
            elif not run.as_json:
                _say(outcome, line)
            if many:
                line.count(sum(counts.values()), counts["failed"], total)
    for text, (first, times) in notes.items():
        line.note(f"note: {about(first, text)}" + (f" (and {times - 1} more)" if times > 1 else ""))
    if many and not run.as_json:
        line.say(_summary(counts, time.monotonic() - begun, batch))
    return list(codes)


def _summary(counts: Counter[str], seconds: float, batch: Any) -> str:
    from tratto.jobs.journal import ERRORS

    words = {
        "done": "done",
        "skipped": "there before",
        "planned": "planned",
        "nothing": "nothing to do",
        "failed": "failed",
    }
    parts = [f"{counts[status]} {word}" for status, word in words.items() if counts[status]]
    made = counts["done"] + counts["planned"]
    took = f"; {seconds:.0f} s" + (f", {made / seconds:.2g} a second" if made and seconds > 1 else "")
    where = f"; what failed stands in {batch.out / ERRORS}" if counts["failed"] and not counts["planned"] else ""
    total = sum(counts.values())
    return f"{total} picture{'s' if total != 1 else ''}: {', '.join(parts)}{took}{where}"


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
                f"  as seen: a Delta E of {seen['seen_lab_distance']:.2f} (CIE 1976) from the reference, "
                f"CIEDE2000 {seen['seen_delta_e_2000']:.2f}{hue}"
            )
            if "paint_lab_distance" in seen:
                line.say(
                    f"  the paint itself: a Delta E of {seen['paint_lab_distance']:.2f} from the reference, "
                    f"CIEDE2000 {seen['paint_delta_e_2000']:.2f}, under the light that was estimated"
                )
    if outcome.status == "done":
        line.say(f"  signed by {outcome.details['signed']}" if outcome.details["signed"] else "  unsigned")
    if outcome.details.get("entry") is not None and outcome.status == "done":
        line.say(f"  entry {outcome.details['entry']} of the ledger")
    for warning in outcome.details.get("warnings", []):
        line.note(f"  note: {warning}")
