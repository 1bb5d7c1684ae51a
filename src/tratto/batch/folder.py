"""Restore many files: plan everything first, then do one after the other; one bad file stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tratto.batch.gather import Job, Source, check_jobs, gather, output_path
from tratto.core.errors import InputError, OptionError, TrattoError
from tratto.session import ENDINGS, SaveOptions, Session
from tratto.tasks.restore import RestoreOptions


@dataclass(frozen=True)
class FolderJob:
    """What to restore and where to put it.

    Attributes
    ----------
    paths : tuple of str
        Files, folders, globs.
    out : Path
        Folder for the results, or a file name with a picture ending when there is exactly one input.
    options : RestoreOptions
    save : SaveOptions
    mask : Path or None
        One mask for all, or a folder with a mask of the same relative stem for each input.
    page : int or "all" or None
        From 0. None: files with several pages are refused.
    skip_existing, overwrite : bool
    """

    paths: tuple[str, ...]
    out: Path
    options: RestoreOptions
    save: SaveOptions = field(default_factory=SaveOptions)
    mask: Path | None = None
    page: int | str | None = None
    skip_existing: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class FileOutcome:
    """What became of one picture.

    Attributes
    ----------
    source : Path
    output : Path or None
    status : str
        ``"done"``, ``"planned"``, ``"skipped"`` or ``"failed"``.
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


def _pages(source: Source, job: FolderJob, session: Session) -> list[int | None]:
    """Return the pages to make; None stands for the only page. Raises InputError for what cannot be read."""
    count = session.count_pages(source.path)
    if count == 1:
        if isinstance(job.page, int) and job.page > 0:
            raise InputError(f"{source.path} has one page, page {job.page + 1} was asked for")
        return [None]
    if job.page == "all":
        return list(range(count))
    if isinstance(job.page, int):
        if job.page >= count:
            raise InputError(f"{source.path} has {count} pages, page {job.page + 1} was asked for")
        return [job.page]
    raise OptionError(
        f"{source.path} holds {count} pages or frames; choose one with --page N or make them all with --page all. "
        "Nothing was written"
    )


def plan_jobs(job: FolderJob, session: Session) -> tuple[list[Job], list[FileOutcome]]:
    """Return the checked list of pictures to make, and the files that cannot be read.

    Raises
    ------
    OptionError, OutputError, InputError
        For what must stop the whole command before anything is written.
    """
    single = job.out.suffix.lower() in session.output_suffixes and not job.out.is_dir()
    sources = gather(list(job.paths), None if single else job.out)
    if single and len(sources) != 1:
        raise OptionError(f"{job.out} names one file but there are {len(sources)} inputs; name a folder")
    jobs: list[Job] = []
    failed: list[FileOutcome] = []
    for source in sources:
        try:
            for page in _pages(source, job, session):
                fmt = session.peek_format(source.path, job.save)
                path = job.out if single and page is None else output_path(source, job.out, ENDINGS[fmt][0], page)
                if path.suffix.lower() not in ENDINGS[fmt]:
                    raise OptionError(
                        f"{job.out} must end with {' or '.join(ENDINGS[fmt])} to hold {fmt}; change it or --format"
                    )
                jobs.append(Job(source.path, page or 0, path))
        except InputError as e:
            failed.append(FileOutcome(source.path, None, "failed", str(e), e.exit_code))
    check_jobs(jobs, sources, job.skip_existing or job.overwrite)
    if isinstance(job.mask, Path) and not job.mask.exists():
        raise InputError(f"the mask {job.mask} does not exist")
    return jobs, failed


def _mask_for(job: FolderJob, item: Job) -> Path | None:
    if job.mask is None or not job.mask.is_dir():
        return job.mask
    from tratto.batch.gather import SUFFIXES

    below = item.output.parent.relative_to(job.out)
    for suffix in SUFFIXES:
        candidate = job.mask / below / (item.source.stem + suffix)
        if candidate.exists():
            return candidate
    raise InputError(
        f"no mask for {item.source} in {job.mask}: expected {below / item.source.stem} with a picture ending"
    )


def run_folder(
    job: FolderJob, session: Session, dry_run: bool = False, started: Callable[[Job, int, int], None] | None = None
) -> Iterator[FileOutcome]:
    """Do a job, yielding the outcome of each picture as it is known.

    Parameters
    ----------
    job : FolderJob
    session : Session
    dry_run : bool
        Plan and estimate, write nothing.
    started : callable or None
        Called with (job, number, total) before each picture.
    """
    jobs, failed = plan_jobs(job, session)
    yield from failed
    for number, item in enumerate(jobs, 1):
        if started is not None:
            started(item, number, len(jobs))
        try:
            if job.skip_existing and item.output.exists() and (item.bundle / "seal.json").exists():
                yield FileOutcome(item.source, item.output, "skipped", "the result exists")
                continue
            yield _one(job, item, session, dry_run)
        except TrattoError as e:
            yield FileOutcome(item.source, None, "failed", str(e), e.exit_code)
        except MemoryError:
            yield FileOutcome(item.source, None, "failed", "out of memory", 1)


def _one(job: FolderJob, item: Job, session: Session, dry_run: bool) -> FileOutcome:
    mask = _mask_for(job, item)
    image = session.open(item.source, item.page)
    session.output_format(image, job.save)
    if dry_run:
        estimated, inspection = session.plan_restore(image, job.options)
        if mask is not None:
            session.open_mask(mask, image)
        session.check_cost(estimated)
        details = {
            "recipe": estimated.recipe.to_json(),
            "estimated_seconds": round(estimated.seconds, 1),
            "width": estimated.width,
            "height": estimated.height,
            "inspection": inspection.to_json(),
        }
        what = "; ".join(estimated.recipe.reasons) or "nothing to do"
        steps = ", ".join(f"{s.name} by {getattr(s, 'provider', '')}" for s in estimated.recipe.steps) or "left alone"
        return FileOutcome(
            item.source, item.output, "planned", f"{what}: {steps}, about {estimated.seconds:.1f} s", 0, details
        )
    result = session.restore(image, job.options, mask, item.page, source=item.source)
    saved = session.save(result, item.output, job.save, source=item.source)
    details = {
        "bundle": str(saved.bundle),
        "receipt_sha256": saved.receipt_sha256,
        "reasons": list(result.asked.reasons),
        "steps": [r.to_json() for r in result.records],
        "seconds": [r.observed.get("seconds") for r in result.records],
        "warnings": list(result.warnings) + list(saved.warnings),
        "inspection": result.inspection.to_json(),
        "edit": result.receipt.get("edit", {}),
    }
    return FileOutcome(item.source, item.output, "done", "; ".join(result.asked.reasons), 0, details)
