"""A manifest: many pictures in a CSV or JSON-lines file, each with its own task, options, mask and name.

Columns are ``source``, ``task``, ``options`` (a JSON object, named as in Python), ``out`` (below the folder of the
results) and any other input by its role: ``mask``, ``texture`` ... Paths are relative to the manifest. A row that
makes no sense is told like a picture that cannot be read, and the others are done.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tratto.core.errors import InputError, OptionError, OutputError, TrattoError
from tratto.core.options import Papers, RunOptions, SaveOptions, TaskOptions
from tratto.imaging.io.target import check_target
from tratto.jobs.folder import FileOutcome, FolderJob, Plan, Work, Worker, checked_target, refused
from tratto.jobs.gather import Source, Target, output_path
from tratto.jobs.options import EXTENSIONS
from tratto.jobs.papers import CaseFiles
from tratto.jobs.writing import forbid_lossy
from tratto.tasks import TASKS

if TYPE_CHECKING:
    from tratto.tasks import Task

#: Most characters of a line of JSON or of a field of CSV.
LONGEST = 1 << 20
#: Columns beside the roles of inputs.
COLUMNS = ("source", "task", "options", "out")


@dataclass(frozen=True)
class Defaults:
    """What holds for rows that do not say otherwise.

    Attributes
    ----------
    task : str
        Name of the task of a row that names none.
    fields : mapping
        Options of that task.
    inputs : mapping
        By role, for rows of that task.
    run : RunOptions
        Output folder, pages, limits and the like of all rows.
    save : SaveOptions
        Format and bundle of all rows.
    papers : Papers
        Over what ``run.case`` or a ``case.toml`` beside the manifest or below it says.
    """

    task: str
    run: RunOptions
    save: SaveOptions
    fields: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    papers: Papers = field(default_factory=Papers)


def rows_of(file: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield the rows of a manifest with their numbers from 1; text instead of a row says what is wrong with it.

    Raises
    ------
    OptionError
        If the extension is none of a manifest's.
    InputError
        If the file cannot be read, or its head names a column that is none.
    """
    extension = file.suffix.lower()
    if extension not in (".csv", ".jsonl", ".ndjson"):
        raise OptionError(f"a manifest ends with .csv or .jsonl, got {str(file)!r}")
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            yield from _csv(file, stream) if extension == ".csv" else _lines(stream)
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise InputError(f"the manifest {file} cannot be read: {getattr(e, 'strerror', None) or e}") from e


def _csv(file: Path, stream: Any) -> Iterator[tuple[int, dict[str, Any] | str]]:
    csv.field_size_limit(LONGEST)
    reader = csv.DictReader(stream, restkey="too many")
    known = {*COLUMNS, *_roles()}
    head = list(reader.fieldnames or ())
    if len(head) == 1 and (";" in head[0] or "\t" in head[0]):
        raise InputError(f"{file}: separate columns by commas, got {head[0][:80]!r}")
    if twice := sorted({c for c in head if head.count(c) > 1}):
        raise InputError(f"{file}: the first line names {', '.join(twice)[:200]} twice; name each column once")
    if strange := [str(c) for c in head if c not in known]:
        raise InputError(f"{file}: {', '.join(strange)[:200]} is no column of a manifest; there are {_listed(known)}")
    if "source" not in head:
        raise InputError(f"{file}: the first line must name the columns, source among them")
    for number, row in enumerate(reader, 1):
        yield number, "it has more fields than the head" if "too many" in row else {k: v for k, v in row.items() if v}


def _lines(stream: Any) -> Iterator[tuple[int, dict[str, Any] | str]]:
    number = 0
    while text := stream.readline(LONGEST):
        if not text.strip():
            continue
        number += 1
        if len(text) == LONGEST:
            raise InputError(f"line {number} is longer than {LONGEST} characters")
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as e:
            yield number, f"it is no JSON: {e}"
            continue
        yield number, row if isinstance(row, dict) else f"it must be a JSON object, got {text[:60]!r}"


def _roles() -> dict[str, None]:
    return dict.fromkeys(i.role for t in TASKS for i in t.inputs[1:])


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))


def plan_manifest(file: Path, defaults: Defaults, worker: Worker) -> Plan:
    """Return what a manifest asks for.

    Parameters
    ----------
    file : Path
        CSV or JSON lines; paths in it count from its folder.
    defaults : Defaults
        What holds for rows that do not say otherwise.
    worker : Worker
        Checks the options.

    Raises
    ------
    OptionError, InputError
        If it is no manifest. What is wrong with one row is among what failed.
    """
    check_target(defaults.run.out)
    if defaults.run.out.suffix.lower() in worker.session.output_suffixes and not defaults.run.out.is_dir():
        raise OptionError(f"a manifest makes many pictures; {defaults.run.out} must be a folder")
    if worker.session.notary is not None:
        worker.session.notary.check()
    reading = _Reading(file, defaults, worker)
    plan = Plan([], [], [])
    rows: dict[str, list[int]] = {}
    for number, row in rows_of(file):
        where = Path(f"{file.name}:{number}")
        try:
            if isinstance(row, str):
                raise InputError(row)
            where = Path(str(row.get("source") or where))
            work = reading.work(row)
            plan.works.append(work)
            rows.setdefault(_name(work), []).append(number)
            plan.sources.append(Source(work.item.source, Path(work.item.source.name)))
        except TrattoError as e:
            plan.failed.append(FileOutcome(where, None, "failed", f"row {number}: {e}", e.exit_code))
        except OSError as e:
            plan.failed.append(FileOutcome(where, None, "failed", f"row {number}: {refused(e)}", InputError.exit_code))
    if not plan.works and not plan.failed:
        raise InputError(f"the manifest {file} holds no row")
    for work in [w for w in plan.works if len(rows[_name(w)]) > 1]:
        *most, last = rows[_name(work)]
        both = f"rows {', '.join(map(str, most))} and {last}"
        message = f"{both} would write {work.item.output.stem}; give each an out of its own"
        plan.failed.append(FileOutcome(work.item.source, None, "failed", message, OutputError.exit_code))
    plan.works = [w for w in plan.works if len(rows[_name(w)]) == 1]
    return plan


def _name(work: Work) -> str:
    """Return what no two results may share; file systems that do not tell cases apart count, too."""
    return str(work.item.bundle.absolute()).casefold()


class _Reading:
    """Turns rows into work; jobs that are alike are one."""

    def __init__(self, file: Path, defaults: Defaults, worker: Worker) -> None:
        self.folder, self.defaults, self.worker = file.parent, defaults, worker
        self.cases = CaseFiles(defaults.papers, defaults.run.case)
        self._jobs: dict[str, FolderJob] = {}
        self._options: dict[str, TaskOptions] = {}

    def work(self, row: Mapping[str, Any]) -> Work:
        """Return what a row asks for."""
        if strange := [str(k) for k in row if k not in COLUMNS and k not in _roles()]:
            raise OptionError(f"a row has {_listed((*COLUMNS, *_roles()))}; got {', '.join(strange)[:200]}")
        source = self.path(row.get("source"), "source")
        job = self.job(row)
        session = self.worker.session
        page = job.run.page
        if page == "all":
            raise OptionError("a row is one picture; name a page instead of all")
        count = session.count_pages(source)
        if count > 1 and page is None:
            raise OptionError(f"{source} holds {count} pages or frames; choose one with --page N")
        if page is not None and page >= count:
            raise InputError(f"{source} has {count} pages, page {page + 1} was asked for")
        fmt = session.peek_format(source, job.save)
        if session.forensic:
            forbid_lossy(fmt)
        target = self.output(row.get("out"), source, fmt)
        return Work(job, checked_target(Target(source, page or 0, target, self.cases.of(source, self.folder))))

    def path(self, value: Any, name: str) -> Path:
        """Return a path of a row; relative ones begin at the manifest."""
        if value is None or value == "":
            raise OptionError(f"{name} is missing; name the path of a picture")
        if not isinstance(value, str) or "\0" in value:
            raise OptionError(f"{name} must be the path of a picture, got {str(value)[:60]!r}")
        return self.folder / value

    def output(self, given: Any, source: Path, fmt: str) -> Path:
        """Return where a result goes: never out of the folder of the results."""
        out, extensions = self.defaults.run.out, EXTENSIONS[fmt]
        if given is None:
            near = source.relative_to(self.folder) if source.is_relative_to(self.folder) else Path(source.name)
            near = near if ".." not in near.parts else Path(near.name)
            return output_path(Source(source, near), out, extensions[0], None, self.defaults.run.keep_extension)
        parts = PurePosixPath(given).parts if isinstance(given, str) else ()
        if not parts or ".." in parts or PurePosixPath(given).is_absolute() or "\0" in given or Path(given).drive:
            raise OptionError(f"out must be a name below the folder of the results, got {str(given)[:80]!r}")
        path = out.joinpath(*parts)
        if path.suffix.lower() in extensions:
            return path
        if any(path.suffix.lower() in known for known in EXTENSIONS.values()):
            raise OptionError(f"{given} must end with {' or '.join(extensions)} to hold {fmt}; change it or --format")
        return path.with_name(path.name + extensions[0])

    def job(self, row: Mapping[str, Any]) -> FolderJob:
        """Return the job of a row, checked."""
        task = self.task(row)
        ours = task.name == self.defaults.task
        inputs = {role: self.inputs(task, role, row[role]) for role in _roles() if row.get(role) is not None}
        inputs = {**(self.defaults.inputs if ours else {}), **inputs}
        fields = {**(self.defaults.fields if ours else {}), **_options(row.get("options"))}
        every = {i.role: inputs.get(i.role) for i in task.inputs[1:]}
        made_of = {i.role: every[i.role] for i in task.inputs if i.becomes}
        options = self.options(task, fields, every, repr((task.name, sorted(fields.items()), made_of)))
        task.check(options, every)
        key = repr((task.name, id(options), inputs))
        if key not in self._jobs:
            if len(self._jobs) > 1000:  # rows with a mask each have nothing in common
                self._jobs.clear()
            kept = {r: v for r, v in inputs.items() if r not in made_of}
            self._jobs[key] = FolderJob((), options, self.defaults.run, self.defaults.save, kept)
        return self._jobs[key]

    def options(self, task: Task, fields: Mapping[str, Any], inputs: Mapping[str, Any], key: str) -> TaskOptions:
        """Return options, checked; rows that have the same share them."""
        if key not in self._options:
            made: TaskOptions = task.model.of(fields, inputs, lambda path: self.worker.session.open(path, 0))
            self.worker.session.check_options(made)
            self._options[key] = made
        return self._options[key]

    def task(self, row: Mapping[str, Any]) -> Task:
        """Return the task of a row."""
        name = row.get("task")
        if name is None:
            name = self.defaults.task
        known = {t.name: t for t in TASKS}
        if not isinstance(name, str) or name not in known:
            raise OptionError(f"no task of a manifest is called {str(name)[:60]!r}; there are {', '.join(known)}")
        return known[name]

    def inputs(self, task: Task, role: str, given: Any) -> Any:
        """Return an input of a row as a job takes it: a path, a word, or several where there may be several."""
        item = next((i for i in task.inputs[1:] if i.role == role), None)
        if item is None:
            raise OptionError(f"{task.name} takes {', '.join(i.role for i in task.inputs)}, no {role}")
        found = [v if v in item.words else self.path(v, role) for v in (given if isinstance(given, list) else [given])]
        if missing := [v for v in found if isinstance(v, Path) and not v.exists()]:
            raise InputError(f"the {role} {missing[0]} does not exist")
        if not item.repeatable and len(found) != 1:
            raise OptionError(f"{role} must be one path, got {len(found)}")
        return tuple(found) if item.repeatable else found[0]


def _options(given: Any) -> dict[str, Any]:
    """Return the options of a row: a JSON object, in CSV the text of one."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError) as e:
            raise OptionError(f'options must be a JSON object such as {{"scale": 2}}: {e}') from e
    if given is not None and not isinstance(given, dict):
        raise OptionError(f"options must be a JSON object, got {str(given)[:60]!r}")
    return given or {}
