"""Turn paths, folders and globs into a checked list of jobs before anything is written."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path

from tratto.core.errors import InputError, OptionError, OutputError

#: File name endings looked for in folders. A file named on the command line is read whatever its name.
SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".tif",
    ".tiff",
    ".webp",
    ".bmp",
    ".dib",
    ".heic",
    ".heif",
    ".avif",
    ".apng",
)
#: Ending of the folder that lies beside each result.
BUNDLE = ".tratto"


@dataclass(frozen=True)
class Source:
    """One input file.

    Attributes
    ----------
    path : Path
    relative : Path
        Where it goes below the output folder, still with the input's name.
    """

    path: Path
    relative: Path


@dataclass(frozen=True)
class Job:
    """One picture to make.

    Attributes
    ----------
    source : Path
    page : int
        From 0.
    output : Path
    """

    source: Path
    page: int
    output: Path

    @property
    def bundle(self) -> Path:
        """The folder of the account beside the result."""
        return self.output.with_name(self.output.stem + BUNDLE)


def _walk(folder: Path, skip: Path | None) -> list[Path]:
    found = []
    for root, folders, files in os.walk(folder):
        here = Path(root)
        folders[:] = sorted(
            f
            for f in folders
            if not f.endswith(BUNDLE) and not f.startswith(".") and (skip is None or (here / f).resolve() != skip)
        )
        found += [here / f for f in sorted(files) if f.lower().endswith(SUFFIXES) and not f.startswith(".")]
    return found


def gather(patterns: list[str], out: Path | None) -> list[Source]:
    """Return the input files that paths, folders and globs stand for, in a stable order, each once.

    Folders are searched with their sub-folders, which are kept below the output; hidden files, bundles and the output
    folder itself are passed over. A path that exists is taken as it is even if it holds glob characters.

    Raises
    ------
    InputError
        If a path does not exist, a glob matches nothing, or a folder holds no picture.
    """
    skip = out.resolve() if out is not None else None
    sources: list[Source] = []
    for pattern in patterns:
        if "\0" in pattern:
            raise InputError("a file name cannot hold a NUL character")
        path = Path(pattern)
        try:
            exists = path.exists()
        except OSError as e:
            raise InputError(f"{_short(pattern)}: {e.strerror or e}") from e
        if exists:
            matches = [path]
        elif glob.has_magic(pattern):
            matches = [Path(m) for m in sorted(glob.glob(pattern, recursive=True))]
            matches = [m for m in matches if m.is_dir() or m.name.lower().endswith(SUFFIXES)]
            if not matches:
                raise InputError(f"no picture matches {_short(pattern)}")
        else:
            raise InputError(f"{_short(pattern)} does not exist")
        for m in matches:
            if m.is_dir():
                inside = _walk(m, skip)
                if not inside and len(matches) == 1:
                    raise InputError(f"the folder {m} holds no picture ({', '.join(SUFFIXES)})")
                sources += [Source(p, p.relative_to(m)) for p in inside]
            else:
                sources.append(Source(m, Path(m.name)))
    unique: dict[Path, Source] = {}
    for s in sources:
        unique.setdefault(s.path.resolve(), s)
    return list(unique.values())


def _short(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def check_jobs(jobs: list[Job], sources: list[Source], replace: bool) -> None:
    """Refuse, before anything is written, jobs that would collide or lose something.

    Parameters
    ----------
    jobs : list of Job
    sources : list of Source
    replace : bool
        True if existing results may be replaced or are skipped.

    Raises
    ------
    OutputError
        Two jobs of one name, a job that would overwrite an input, or a result that exists.
    """
    taken: dict[str, Job] = {}
    inputs = {s.path.resolve() for s in sources}
    for job in jobs:
        # Windows and macOS file systems do not tell cases apart; a.png and A.png must not meet there
        for key in (str(job.output.absolute()).casefold(), str(job.bundle.absolute()).casefold()):
            other = taken.get(key)
            if other is not None and other is not job:
                raise OutputError(
                    f"{other.source} and {job.source} would both write {job.output.stem} (picture or bundle); give "
                    "them different names or restore them into different folders. Nothing was written"
                )
            taken[key] = job
        if job.output.resolve() in inputs:
            raise OutputError(
                f"{job.output} is an input; an input is never overwritten. Choose another folder with -o. "
                "Nothing was written"
            )
        if job.output.exists() and not replace:
            raise OutputError(
                f"{job.output} exists; use --skip-existing to leave it or --overwrite to replace it. "
                "Nothing was written"
            )


def output_path(source: Source, out: Path, suffix: str, page: int | None) -> Path:
    """Return where a result goes: below ``out``, with the input's stem; pages are numbered from 1."""
    stem = source.relative.stem + ("" if page is None else f"-page-{page + 1:03d}")
    if not stem or stem in (".", ".."):
        raise OptionError(f"cannot name an output after {source.path}")
    return out / source.relative.parent / f"{stem}{suffix}"
