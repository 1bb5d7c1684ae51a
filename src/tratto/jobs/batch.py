"""Many pictures: on one process, on several, or on Ray, with one journal that any later run goes on from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tratto._version import __version__
from tratto.core.errors import TrattoError
from tratto.core.options import RunOptions
from tratto.jobs.crew import Crew, ProcessHand, Setup
from tratto.jobs.folder import FileOutcome, Plan, Work, Worker, clear, masks_for
from tratto.jobs.journal import ERRORS, Journal, stamp
from tratto.jobs.session import Session
from tratto.provenance.bundle import recover

#: With ``--jobs auto``, pictures for each process: what a process takes to start must be worth it.
PICTURES = 4


@dataclass(frozen=True)
class Batch:
    """What is to be done, and where.

    Attributes
    ----------
    plan : Plan
        The pictures, what cannot be made, and what must not be overwritten.
    setup : Setup
        Of workers in other processes.
    out : Path
        Folder of the results, the journal and the errors.
    jobs : int or "auto"
        Workers; auto: one for each core, where there are pictures enough.
    on : str
        ``"here"`` or ``"ray"``.
    overwrite : bool
        Replace results that exist; the journal of an earlier run is not believed then.
    errors : bool
        Whether what failed is written to a file, too.
    """

    plan: Plan
    setup: Setup
    out: Path
    jobs: int | Literal["auto"] = "auto"
    on: str = "here"
    overwrite: bool = False
    errors: bool = False

    @classmethod
    def of(cls, plan: Plan, setup: Setup, run: RunOptions, errors: bool) -> Batch:
        """Return what the options of a run ask for."""
        return cls(plan, setup, run.out, run.jobs, run.on, run.overwrite, errors)

    @property
    def size(self) -> int:
        """How many workers there are."""
        return crew_size(self.jobs, len(self.plan.works))


def cores() -> int:
    """Return how many cores this process may use."""
    with contextlib.suppress(AttributeError):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def crew_size(jobs: int | Literal["auto"], pictures: int) -> int:
    """Return how many workers so many pictures are worth.

    Examples
    --------
    >>> crew_size(3, 100), crew_size(3, 2), crew_size("auto", 3)
    (3, 2, 1)
    """
    wanted = min(cores(), pictures // PICTURES) if jobs == "auto" else jobs
    return max(1, min(wanted, pictures))


def print_of(work: Work) -> str:
    """Return a hash of all that a result depends on: version, options, and names, sizes and times of files.

    Not the day of the papers: a run that goes on the day after does not begin anew.
    """
    job, item = work.job, work.item
    with contextlib.suppress(Exception):  # a mask that is not there is told when its picture's turn comes
        masks = masks_for(job, item, work.alone)
        beside = [v for role, v in job.inputs.items() if role != "mask"]
        files = [item.source, *_flat(masks), *_flat(beside)]
        run = job.run
        asked = [
            __version__, type(job.options).__name__, repr(job.options), repr(job.save), item.page, run.forensic,
            run.sign, str(run.ledger), repr(replace(item.papers, date="")),
            [stamp(f) if isinstance(f, Path) else repr(f) for f in files],
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:24]
    return "unknown"


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [v for one in value for v in _flat(one)]
    return [] if value is None else [value]


def run_batch(batch: Batch, session: Session) -> Generator[FileOutcome, None, None]:
    """Do what is to be done, yielding the outcome of each picture as it is known.

    What an earlier run with the same options did from the same files is left as it is, whatever ended that run; what
    it had begun is looked at, and made again unless it is whole.

    Parameters
    ----------
    batch : Batch
        From :func:`tratto.jobs.manifest.plan_manifest` or a folder's plan.
    session : Session
        Of this process.

    Raises
    ------
    OutputError
        Before anything is written.
    """
    works = batch.plan.works
    with Journal(batch.out, {w.name: print_of(w) for w in works}, batch.overwrite) as journal:
        batch.plan.check(lambda work: bool(journal.knows(work.name)))
        with contextlib.ExitStack() as last, _Errors(batch) as errors:
            held: dict[str, Work] = {}
            last.callback(_tidy, works, held)
            for outcome in batch.plan.failed:
                yield errors.noted(outcome)
            todo: list[Work] = []
            for work in works:
                left = _left(batch, journal, work)
                if isinstance(left, FileOutcome):
                    yield left
                else:
                    todo.append(left)
            failed = len(batch.plan.failed)

            def begin(work: Work) -> None:
                journal.begin(work.name)
                held[work.name] = work

            for work, outcome in _outcomes(batch, todo, session, begin):
                held.pop(work.name, None)
                if outcome.status == "done" or (outcome.status == "skipped" and _is_whole(work)):
                    journal.done(work.name)
                failed += outcome.status == "failed"
                yield errors.noted(outcome)
            if not failed:
                journal.end()


def foresee(batch: Batch, worker: Worker) -> Generator[FileOutcome, None, None]:
    """Yield what :func:`run_batch` would do with each picture; nothing is written.

    Parameters
    ----------
    batch : Batch
        With jobs that are dry runs.
    worker : Worker
        Plans each picture; it writes nothing in a dry run.

    Raises
    ------
    OutputError
        If something would be overwritten.
    """
    works = batch.plan.works
    journal = Journal(batch.out, {w.name: print_of(w) for w in works}, batch.overwrite, look=True)
    batch.plan.check(lambda work: bool(journal.knows(work.name)))
    yield from batch.plan.failed
    for work in works:
        left = _left(batch, journal, work)
        yield left if isinstance(left, FileOutcome) else worker.do(left)


def _left(batch: Batch, journal: Journal, work: Work) -> FileOutcome | Work:
    """Return what is left to do of an item; its outcome where an earlier run like this one did all of it."""
    state = journal.knows(work.name)
    if state == "done" and _is_whole(work):
        return FileOutcome(work.item.source, work.item.output, "skipped", "done before")
    return _goes_on(work) if state and not batch.overwrite else work


def _is_whole(work: Work) -> bool:
    """Return whether a result is there with its account."""
    return work.item.output.exists() and (work.item.bundle / "seal.json").exists()


def _goes_on(work: Work) -> Work:
    """Return what is left to do of what an earlier run began: what is whole stays, anything else of it is replaced."""
    if not work.job.run.dry_run:
        # before any other picture is saved, which would clear away what a kill left of this one
        with contextlib.suppress(TrattoError):
            recover(work.item.output)
    whole = _is_whole(work)
    run = replace(work.job.run, skip_existing=whole, overwrite=not whole)
    return replace(work, job=replace(work.job, run=run))


def _tidy(works: list[Work], held: Mapping[str, Work]) -> None:
    """Clear away what is left of what workers held when the run was stopped, and of earlier runs."""
    for work in held.values():
        with contextlib.suppress(TrattoError):
            recover(work.item.output)
    clear(works)


def _outcomes(
    batch: Batch, todo: list[Work], session: Session, begin: Callable[[Work], None]
) -> Iterator[tuple[Work, FileOutcome]]:
    size = min(batch.size, max(1, len(todo)))
    if batch.on == "ray" and todo:
        from tratto.jobs.on_ray import rays

        with rays(batch.setup, size) as make:
            yield from Crew(make, size).run(todo, begin)
    elif size > 1:
        setup = replace(batch.setup, threads=max(1, cores() // size))
        yield from Crew(lambda: ProcessHand(setup), size).run(todo, begin)
    else:
        worker = Worker(session)
        for work in todo:
            begin(work)
            yield work, worker.do(work)


class _Errors:
    """The file of what failed in this run; there is none where nothing did."""

    def __init__(self, batch: Batch) -> None:
        self._path = batch.out / ERRORS if batch.errors else None
        self._file: Any = None

    def __enter__(self) -> _Errors:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def noted(self, outcome: FileOutcome) -> FileOutcome:
        if outcome.status == "failed" and self._path is not None:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = open(self._path, "w", encoding="utf-8")  # noqa: SIM115
            facts = {k: v for k, v in outcome.to_json().items() if k in ("source", "message", "exit_code")}
            self._file.write(json.dumps(facts) + "\n")
            self._file.flush()
        return outcome
