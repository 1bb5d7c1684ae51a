"""Work on many files: plan everything first, then do one after the other; one bad file stops no other."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tratto.core.canonical import MAX_BYTES
from tratto.core.errors import InputError, NothingToDo, OptionError, OutputError, ReceiptError, TrattoError
from tratto.core.hashing import HeldFile, hold, read_limited
from tratto.core.image import Image, Mask
from tratto.core.options import Papers, RunOptions, SaveOptions, TaskOptions
from tratto.core.step import Step
from tratto.imaging.io.carried import notes_of
from tratto.imaging.io.part import sweep
from tratto.imaging.io.target import check_name, check_target
from tratto.imaging.opening import check_mask_is_another, mask_share, mask_warnings, open_inputs
from tratto.jobs.gather import SUFFIXES, Source, Target, check_targets, collisions, gather, output_path
from tratto.jobs.options import EXTENSIONS, FORMATS
from tratto.jobs.papers import CaseFiles
from tratto.jobs.session import Session
from tratto.jobs.writing import forbid_lossy, format_notes
from tratto.provenance.bundle import RECEIPT, recover
from tratto.provenance.receipt import maps_of, mask_box, read_receipt
from tratto.tasks import task_of
from tratto.tasks.masks import AUTO as AUTO_MASK
from tratto.tasks.masks import holds_classes
from tratto.tasks.prepared import Given

if TYPE_CHECKING:
    from tratto.ledger.proof import LedgerProof

#: Extensions of pictures that are never written: as a name for an output folder they are a mistake.
UNWRITABLE = (".gif", ".heic", ".heif", ".avif", ".apng", ".jpe", ".jp2", ".jxl", ".svg", ".psd", ".pdf")


@dataclass(frozen=True)
class FolderJob:
    """What to work on and how.

    Attributes
    ----------
    paths : tuple of str
        Files, folders, globs.
    options : TaskOptions
        Which say which job it is.
    run : RunOptions
        Its ``out`` is a folder for the results, or a file name with a picture's extension when there is exactly one
        input.
    save : SaveOptions
        Format, quality and bundle of the results.
    inputs : mapping of str to Any
        Beside the pictures, by role. ``mask``: one for all, or a folder with one of the same relative stem for each
        picture. Of a repair: a tuple with one for each pass; each may also be a folder with a mask for each class (of
        one picture, or in a folder of the picture's stem), or ``"auto"``: a network proposes it. Any other input is the
        same for all pictures.
    papers : Papers
        Of all pictures; over what ``run.case`` or a ``case.toml`` among the pictures says.
    """

    paths: tuple[str, ...]
    options: TaskOptions
    run: RunOptions
    save: SaveOptions = field(default_factory=SaveOptions)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    papers: Papers = field(default_factory=Papers)

    @property
    def mask(self) -> Any:
        """The mask or masks among the inputs."""
        return self.inputs.get("mask")


@dataclass(frozen=True)
class FileOutcome:
    """What became of one picture.

    Attributes
    ----------
    source : Path
        The file that was worked on, or where it was asked for.
    output : Path or None
        The result; None where none was made or planned.
    status : str
        ``"done"``, ``"planned"``, ``"skipped"``, ``"nothing"`` (there was nothing to be done) or ``"failed"``.
    message : str
        Why it failed, or what was done.
    exit_code : int
        Of the error, 0 otherwise.
    details : dict
        JSON-able facts: recipe, reasons, seconds, warnings.
    """

    source: Path
    output: Path | None
    status: str
    message: str = ""
    exit_code: int = 0
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {
            "source": str(self.source),
            "output": None if self.output is None else str(self.output),
            "status": self.status,
            "message": self.message,
            "exit_code": self.exit_code,
            **self.details,
        }


@dataclass(frozen=True)
class Work:
    """One picture to make, and how.

    Attributes
    ----------
    job : FolderJob
        May be shared with others; its inputs are as they were given.
    item : Target
        Source, page and output.
    alone : bool
        Whether the job is of this picture alone.
    """

    job: FolderJob
    item: Target
    alone: bool = False

    @property
    def name(self) -> str:
        """Where the result goes below the folder of the results, with ``/``."""
        return Path(os.path.relpath(self.item.output, self.job.run.out)).as_posix()


@dataclass
class Plan:
    """What is to be made, in order, and what cannot be.

    Attributes
    ----------
    works : list of Work
        In the order in which they are begun.
    failed : list of FileOutcome
        What cannot be made, each with its reason and exit code.
    sources : list of Source
        Never overwritten.
    """

    works: list[Work]
    failed: list[FileOutcome]
    sources: list[Source]

    def check(self, known: Callable[[Work], bool] = lambda work: False) -> None:
        """Refuse what would overwrite something; see :func:`tratto.jobs.gather.check_targets`.

        Parameters
        ----------
        known : callable
            Whether an earlier run like this one may have made the result of an item.
        """
        for run in {w.job.run for w in self.works}:
            items = [w.item for w in self.works if w.job.run == run and not known(w)]
            check_targets(items, self.sources, run.skip_existing or run.overwrite)


def _pages(file: HeldFile | Path, job: FolderJob, session: Session) -> list[int | None]:
    """Return the pages to make; None stands for the only page. Raises InputError for what cannot be read."""
    count, name = session.count_pages(file), os.fspath(file)
    if count == 1:
        if isinstance(job.run.page, int) and job.run.page > 0:
            raise InputError(f"{name} has one page, page {job.run.page + 1} was asked for")
        return [None]
    if job.run.page == "all":
        return list(range(count))
    if isinstance(job.run.page, int):
        if job.run.page >= count:
            raise InputError(f"{name} has {count} pages, page {job.run.page + 1} was asked for")
        return [job.run.page]
    raise OptionError(
        f"{name} holds {count} pages or frames; choose one with --page N or make them all with --page all. "
        "Nothing was written for it"
    )


def _silent(text: str) -> None:
    return None


def plan_jobs(job: FolderJob, session: Session, note: Callable[[str], None] = _silent) -> Plan:
    """Return the pictures to make, and the files that cannot be made.

    A file that cannot be read, that has several pages without a word which to take, or whose result would have the
    name of another's is left out, and the others are done.

    Raises
    ------
    OptionError, OutputError, InputError
        For what must stop the whole command before anything is written.
    """
    single = job.run.out.suffix.lower() in session.output_suffixes and not job.run.out.is_dir()
    out = job.run.out
    if out.suffix.lower() in UNWRITABLE and not out.is_dir():
        raise OptionError(
            f"{out} ends like a picture that is not written ({out.suffix}); name a folder, or a file that ends "
            f"with one of {', '.join(session.output_suffixes)}"
        )
    check_target(job.run.out)
    gathered = gather(list(job.paths), None if single else job.run.out, bundles=False)
    sources, cases = gathered.sources, CaseFiles(job.papers, job.run.case)
    if gathered.passed_over:
        note(gathered.note())
    if single and len(sources) != 1:
        raise OptionError(f"{job.run.out} names one file but there are {len(sources)} inputs; name a folder")
    jobs: list[Target] = []
    failed: list[FileOutcome] = []
    for source in sources:
        with _told_of(source.path, failed):
            # one picture alone is read once, for planning and for the work; of many only the headers are looked at
            file = hold(source.path) if len(sources) == 1 else source.path
            held = file if isinstance(file, HeldFile) else None
            for page in _pages(file, job, session):
                fmt = session.peek_format(file, job.save)
                if session.forensic:
                    forbid_lossy(fmt)
                path = output_path(source, job.run.out, EXTENSIONS[fmt][0], page, job.run.keep_extension)
                path = job.run.out if single and page is None else path
                if path.suffix.lower() not in EXTENSIONS[fmt]:
                    fitting = " or ".join(EXTENSIONS[fmt])
                    raise OptionError(f"{job.run.out} must end with {fitting} to hold {fmt}; change it or --format")
                papers = cases.of(source.path, source.root)
                jobs.append(checked_target(Target(source.path, page or 0, path, papers, held)))
    for path in cases.files:
        note(f"operator, object and the like from {path}")
    met = collisions(jobs)
    jobs = [item for item in jobs if item not in met]
    for item, other in met.items():
        remedy = "use --keep-extension, which keeps them apart,"
        if job.run.keep_extension:
            remedy = "give them different names"
        failed.append(
            FileOutcome(
                item.source,
                None,
                "failed",
                f"it and {other.source} would both write {item.output.stem} (picture or bundle); {remedy} or restore "
                "them into different folders",
                OutputError.exit_code,
            )
        )
    for given in job.mask if isinstance(job.mask, tuple) else (job.mask,):
        if isinstance(given, Path) and not given.exists():
            raise InputError(f"the mask {given} does not exist")
    return Plan([Work(job, item, len(jobs) == 1) for item in jobs], failed, sources)


def checked_target(item: Target) -> Target:
    """Return what is to be made, if it may bear its name.

    Raises
    ------
    OutputError, OptionError
        If its name is no name of a file, or its format cannot hold the picture.
    """
    check_target(item.output)
    for name in (item.output, item.bundle):
        check_name(name)
    return item


@contextmanager
def _told_of(source: Path, failed: list[FileOutcome], system: int = InputError.exit_code) -> Iterator[None]:
    """Make what goes wrong with a picture its outcome."""
    try:
        yield
    except TrattoError as e:
        status = "nothing" if isinstance(e, NothingToDo) else "failed"
        failed.append(FileOutcome(source, None, status, str(e), e.exit_code))
    except MemoryError:
        failed.append(FileOutcome(source, None, "failed", "out of memory", 1))
    except OSError as e:
        failed.append(FileOutcome(source, None, "failed", refused(e), system))


def masks_for(job: FolderJob, item: Target, alone: bool) -> Any:
    """Return the mask of a picture: a path; of a repair also ``"auto"`` or a list with one for each pass."""
    if not isinstance(job.mask, tuple):
        return _mask_for(job, job.mask, item)
    passes = [m if isinstance(m, str) else _mask_for(job, m, item, classes=True, alone=alone) for m in job.mask]
    return passes[0] if len(passes) == 1 else passes


def _mask_for(
    job: FolderJob, mask: Path | None, item: Target, classes: bool = False, alone: bool = False
) -> Path | None:
    if mask is None or not mask.is_dir():
        return mask
    below = Path() if item.output == job.run.out else item.output.parent.relative_to(job.run.out)
    # photo.jpg.png before photo.png: with --keep-extension there may be a photo.tif, too
    for stem in (item.source.name, item.source.stem):
        for suffix in SUFFIXES:
            candidate = mask / below / (stem + suffix)
            if os.path.exists(candidate):  # a name too long for the system is not there, either
                return candidate
        if classes and os.path.isdir(mask / below / stem):
            return mask / below / stem
    if classes and alone and holds_classes(mask):
        return mask
    also = ", or a folder of that name with a mask for each class" if classes else ""
    if classes and alone:
        also += "; masks straight in it are taken if one of them is crack.png or has the name of another class"
    raise InputError(
        f"no mask for {item.source} in {mask}: expected {below / item.source.stem} with a picture's extension{also}"
    )


def run_folder(
    job: FolderJob,
    session: Session,
    note: Callable[[str], None] = _silent,
) -> Iterator[FileOutcome]:
    """Do a job, yielding the outcome of each picture as it is known.

    Parameters
    ----------
    job : FolderJob
        Its paths may hold globs; a mask or second input is opened once for all.
    session : Session
        Opened networks, limits and whoever signs.
    note : callable
        Called with what a user should know about the whole job, such as files that were passed over.
    """
    worker = Worker(session)
    job = worker.check(job)
    yield from serially(plan_jobs(job, session, note), worker)


def serially(plan: Plan, worker: Worker) -> Generator[FileOutcome, None, None]:
    """Do one after the other what is planned, yielding the outcome of each as it is known.

    Raises
    ------
    OutputError
        If something would be overwritten; before anything is written.
    """
    plan.check()
    yield from plan.failed
    for work in plan.works:
        yield worker.do(work)
    clear(plan.works)


def clear(works: Iterable[Work]) -> None:
    """Clear away what runs left that were killed; saving does so, but where all was done nothing is saved any more."""
    for folder in {work.item.output.parent for work in works if not work.job.run.dry_run}:
        sweep(folder)


class Worker:
    """Does items one after the other; networks and inputs that items share stay open.

    Parameters
    ----------
    session : Session
        Opened networks, limits and whoever signs; it stays open.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._of: Any = None
        self._opened: dict[str, Any] = {}

    def check(self, job: FolderJob) -> FolderJob:
        """Refuse what no picture could make possible; return the job with the format of its results.

        Raises
        ------
        TrattoError
            One of its kinds: a format, an option, a mask or a second input that is not right.
        """
        self.session.check_options(job.options)
        if self.session.notary is not None:
            self.session.notary.check()
        self._beside(job)  # what cannot be read is told before any work
        job = _with_format(job)
        if self.session.forensic and job.save.format not in ("auto", "keep"):
            forbid_lossy(job.save.format)  # of every picture, so it is said once
        return job

    def do(self, work: Work) -> FileOutcome:
        """Do one item; what goes wrong with it is its outcome."""
        item, run, session = work.item, work.job.run, self.session
        wrong: list[FileOutcome] = []
        with _told_of(item.source, wrong, OutputError.exit_code):
            if run.skip_existing and not run.dry_run:
                recover(item.output)  # a bundle that was finished, but not yet in its place, is one
            skipped = _skipped(item) if run.skip_existing else None
            entered = None if run.dry_run else session.notary
            if skipped is not None and entered is not None and (item.bundle / "seal.json").exists():
                skipped = _recorded(skipped, entered.complete(item.bundle))
            if skipped is not None and session.forensic:
                skipped = _whether_forensic(skipped, item.bundle)
            if skipped is not None:
                return skipped
            job = replace(work.job, inputs={**work.job.inputs, **self._beside(work.job)})
            return _one(job, item, session, work.alone)
        return wrong[0]

    def _beside(self, job: FolderJob) -> dict[str, Any]:
        """Return the inputs that all pictures share, opened once."""
        beside = {role: v for role, v in job.inputs.items() if role != "mask"}
        if beside != self._of:
            self._of, self._opened = (
                beside,
                {
                    role: tuple(open_inputs({role: v}, self.session.limits).values())
                    if isinstance(v, list | tuple)
                    else open_inputs({role: v}, self.session.limits)[role]
                    for role, v in beside.items()
                },
            )
        return self._opened


def _by(step: Step) -> str:
    """Return a step and who does it, where one provider does it all."""
    return f"{step.name} by {step.uses[0].provider}" if len(step.uses) == 1 else step.name


def refused(error: OSError) -> str:
    """Say which file the system refused and why, in one line."""
    where = f"{error.filename}: " if error.filename else ""
    return f"the system refused: {where}{error.strerror or error}"


def _mask_names(mask: Any) -> str | list[str]:
    return [str(m) for m in mask] if isinstance(mask, list) else str(mask)


def _with_format(job: FolderJob) -> FolderJob:
    """Return the job with the format that the extension of a named output file means, unless one was asked for."""
    named = {extension: fmt for fmt, extensions in EXTENSIONS.items() for extension in extensions if fmt in FORMATS}
    fmt = named.get(job.run.out.suffix.lower())
    if fmt is None or job.save.format != "auto" or job.run.out.is_dir():
        return job
    return replace(job, save=replace(job.save, format=cast(Any, fmt)))


def _skipped(item: Target) -> FileOutcome | None:
    """Return the outcome of a picture whose result is there; None if it is still to be made."""
    from tratto.imaging.io import interrupted

    there = item.output.exists()
    if not there and not item.bundle.exists():
        return None
    if there and (item.bundle / "seal.json").exists():
        return FileOutcome(item.source, item.output, "skipped", "the result exists")
    if interrupted(item.output):
        return None
    if there:
        message = "a picture of this name exists, without a complete account; --overwrite would replace it"
        return FileOutcome(item.source, item.output, "skipped", message)
    raise OutputError(f"{item.bundle} is there without {item.output.name}; --overwrite would replace it")


def _whether_forensic(outcome: FileOutcome, bundle: Path) -> FileOutcome:
    """Say of a result that was there before whether it was made in forensic mode, as is asked for now."""
    try:
        made = bool(read_receipt(read_limited(bundle / RECEIPT, MAX_BYTES))["forensic"])
    except ReceiptError:
        made = False
    words = "" if made else ", and it was not made in forensic mode; --overwrite would replace it"
    return replace(outcome, message=outcome.message + words, details={**outcome.details, "forensic": made})


def _recorded(outcome: FileOutcome, proof: LedgerProof | None) -> FileOutcome:
    """Say that a result which was there before stands in the ledger only now."""
    if proof is None:
        return outcome
    message = f"{outcome.message}; recorded now as entry {proof.index} of the ledger"
    return replace(outcome, message=message, details={**outcome.details, "entry": proof.index})


def between(output: Path) -> Path:
    """Return where a repair goes whose result is then restored.

    Examples
    --------
    >>> between(Path("out/photo.png")).name
    'photo-repaired.png'
    """
    return output.with_name(f"{output.stem}-repaired{output.suffix}")


def _may_change(mask: Mask | None, image: Image) -> dict[str, Any]:
    """Return which region may change: a box of column, row, width and height, None if it is empty, and its share."""
    if mask is None:
        return {"box": [0, 0, image.width, image.height], "share": 1.0}
    box = mask_box(mask.values)
    return {"box": None if box is None else list(box), "share": round(mask_share(mask), 6)}


def _one(job: FolderJob, item: Target, session: Session, alone: bool) -> FileOutcome:
    chosen = masks_for(job, item, alone)
    for one in chosen if isinstance(chosen, list) else (chosen,):
        check_mask_is_another(one, item.source)
    held = item.held or hold(item.source)
    image = session.open(held, item.page)
    fmt = session.output_format(image, job.save)
    task: Any = import_module(task_of(job.options).module)
    run = session.job()
    run.papers = item.papers
    inputs = {**job.inputs, **({} if chosen is None else {"mask": chosen})}
    details: dict[str, Any] = {"forensic": session.forensic, "papers": asdict(item.papers)} | (
        {} if chosen is None else {"mask": _mask_names(chosen)}
    )
    if job.run.dry_run:
        options, mask, masks = job.options, None, None
        if chosen is not None and chosen != AUTO_MASK:
            prepared = task.prepare(options, image, Given(inputs, session.limits), run.services())
            options, mask = prepared.options, prepared.mask
            masks = {} if mask is None else {"edit": mask, **prepared.masks.of_passes()}
            details["mask_share"] = round(mask_share(mask), 6)
        if chosen != AUTO_MASK:
            details["may_change"] = _may_change(mask, image)
        estimated, inspection = run.plan(options, image, masks)
        session.check_cost(estimated)
        recipe = estimated.recipe
        details |= {
            "recipe": recipe.to_json(),
            "reasons": list(recipe.reasons),
            "estimated_seconds": round(estimated.seconds, 1),
            "width": estimated.width,
            "height": estimated.height,
            "warnings": [
                *notes_of(image),
                *estimated.warnings,
                *([] if mask is None else mask_warnings(mask, recipe.task)),
                *format_notes(image, fmt, job.save),
            ],
            "inspection": inspection.to_json(),
        }
        what = "; ".join(recipe.reasons)
        if recipe.steps:
            steps = ", ".join(_by(step) for step in recipe.steps)
            what = f"{what}: {steps}, about {estimated.seconds:.1f} s"
        if job.options.following:  # what that takes only the picture in between can tell
            first = between(item.output)
            details["then"] = {"task": job.options.following, "picture": str(first)}
            what += f"; then {job.options.following} of {first.name}, which is planned once that is there"
        return FileOutcome(item.source, item.output, "planned", what, 0, details)
    given = {"picture": image, **inputs}
    result = run.run(task_of(job.options).name, given, job.options, item.page, held)
    if result.mask is not None:  # as grown, or as found
        details["mask_share"] = round(mask_share(result.mask), 6)
    details["may_change"] = _may_change(result.mask, image)
    replace_it = job.run.overwrite or job.run.skip_existing
    before: list[str] = []
    source: Path | HeldFile = held
    if job.options.following:
        # a job of its own: what is repaired is its input, whose receipt the result's account then holds
        first = between(item.output)
        run.save(result, first, job.save, held, replace_it)
        before = [*result.asked.reasons, f"{first.name} is what is repaired, {item.output.name} made from it"]
        details |= {"first": str(first), "first_warnings": list(result.warnings)}
        run, source = session.job(), first
        run.papers = item.papers
        result = run.run(job.options.following, {"picture": first})
    saved = run.save(result, item.output, job.save, source, replace_it)
    edit, _ = maps_of(result.receipt)
    details |= {
        "bundle": str(saved.bundle),
        "receipt_sha256": saved.receipt_sha256,
        "signed": saved.signed or None,
        "entry": saved.entry,
        "reasons": [*before, *result.asked.reasons],
        "steps": [r.to_json() for r in result.records],
        "seconds": [r.observed.get("seconds") for r in result.records],
        "warnings": list(result.warnings) + list(saved.warnings),
        "inspection": result.inspection.to_json(),
        "edit": edit["stats"] if edit is not None else None,
    }
    return FileOutcome(item.source, item.output, "done", "; ".join([*before, *result.asked.reasons]), 0, details)
