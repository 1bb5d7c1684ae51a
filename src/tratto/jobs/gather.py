"""Turn paths, folders and globs into a checked list of jobs before anything is written."""

from __future__ import annotations

import glob
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tratto.core.errors import InputError, OptionError, OutputError
from tratto.core.hashing import HeldFile
from tratto.core.options import Papers
from tratto.imaging.io.target import bundle_around
from tratto.jobs.papers import CASE

#: File name extensions looked for in folders. A file named on the command line is read whatever its name.
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
#: Extension of the folder that lies beside each result.
BUNDLE = ".tratto"


@dataclass(frozen=True)
class Source:
    """One input file.

    Attributes
    ----------
    path : Path
        As it was found, not resolved.
    relative : Path
        Where it goes below the output folder, still with the input's name.
    """

    path: Path
    relative: Path

    @property
    def root(self) -> Path:
        """The folder that was named, or the file's own."""
        return self.path.parents[len(self.relative.parts) - 1]


@dataclass(frozen=True)
class Gathered:
    """What paths, folders and globs stand for.

    Attributes
    ----------
    sources : list of Source
        In a stable order, each once.
    passed_over : list of Path
        Files found in folders or by a glob whose names do not end like a picture's. Hidden files are not counted, nor
        is what states papers.
    """

    sources: list[Source]
    passed_over: list[Path]

    def note(self) -> str:
        """Say how many files were passed over and why; empty if none was."""
        if not self.passed_over:
            return ""
        kinds = Counter(p.suffix.lower() or "no extension" for p in self.passed_over)
        words = ", ".join(f"{kind}: {n}" for kind, n in kinds.most_common(8)) + (", ..." if len(kinds) > 8 else "")
        n = len(self.passed_over)
        return (
            f"{n} {'file was' if n == 1 else 'files were'} passed over for a name that does not end like a picture's "
            f"({words}); name such a file itself to have it tried"
        )


@dataclass(frozen=True)
class Target:
    """One picture to make.

    Attributes
    ----------
    source : Path
        The file, as it was found.
    page : int
        From 0.
    output : Path
        Where the result goes; its bundle stands beside it.
    papers : Papers
        What its receipt states beside the work.
    held : HeldFile or None
        What the source held when the work was planned; None: it is read when its turn comes.
    """

    source: Path
    page: int
    output: Path
    papers: Papers = field(default_factory=Papers)
    held: HeldFile | Path | None = field(default=None, compare=False, repr=False)

    @property
    def bundle(self) -> Path:
        """The folder of the account beside the result."""
        return self.output.with_name(self.output.stem + BUNDLE)


def _walk(folder: Path, skip: Path | None) -> tuple[list[Path], list[Path]]:
    """Return the pictures below a folder, and the other files."""
    found: list[Path] = []
    other: list[Path] = []

    def shut(error: OSError) -> None:
        # what cannot be looked into is told like a picture that cannot be read; the top is told by whoever opens it
        found.append(Path(str(error.filename)))

    for root, folders, files in os.walk(folder, onerror=shut):
        here = Path(root)
        folders[:] = sorted(
            f
            for f in folders
            if not f.endswith(BUNDLE) and not f.startswith(".") and (skip is None or real(here / f) != skip)
        )
        for f in sorted(f for f in files if not f.startswith(".") and f != CASE):
            (found if f.lower().endswith(SUFFIXES) else other).append(here / f)
    return found, other


def gather(patterns: list[str], out: Path | None, bundles: bool = True) -> Gathered:
    """Return the input files that paths, folders and globs stand for, in a stable order, each once.

    Folders are searched with their sub-folders, which are kept below the output; hidden files, bundles and the output
    folder itself are passed over. A path that exists is taken as it is even if it holds glob characters.

    Parameters
    ----------
    patterns : list of str
        As on a command line; the order of the files follows theirs.
    out : Path or None
        The output folder, which is not searched; None: there is none.
    bundles : bool
        False refuses bundles, and files in them, that are named themselves, and passes over those that a glob matches.

    Raises
    ------
    OptionError
        If a path is empty.
    InputError
        If a path does not exist, a glob matches nothing, a folder holds no picture, or a bundle is named.
    """
    skip = real(out) if out is not None else None
    sources: list[Source] = []
    passed_over: list[Path] = []
    for pattern in patterns:
        if not pattern:
            raise OptionError("a PATH is empty; name a picture, a folder or a glob ('.' is this folder)")
        if "\0" in pattern:
            raise InputError("a file name cannot hold a NUL character")
        path = Path(pattern)
        try:
            exists = path.exists()
        except OSError as e:
            raise InputError(f"{_short(pattern)}: {e.strerror or e}") from e
        if exists:
            around = None if bundles else bundle_around(path)
            if around is not None:
                raise InputError(
                    f"{_short(pattern)} {'is' if path.is_dir() else 'lies in'} the bundle {around.name}, the account "
                    "of a result and no picture to work on; name the picture, or get its original with tratto revert"
                )
            matches = [path]
        elif glob.has_magic(pattern):
            matched = [Path(m) for m in sorted(glob.glob(pattern, recursive=True))]
            matched = [m for m in matched if bundles or bundle_around(m) is None]
            wanted = {m: m.is_dir() or m.name.lower().endswith(SUFFIXES) for m in matched}
            matches = [m for m in matched if wanted[m]]
            passed_over += [m for m in matched if not wanted[m] and m.name != CASE]
            if not matches:
                raise InputError(f"no picture matches {_short(pattern)}")
        else:
            raise InputError(f"{_short(pattern)} does not exist")
        for m in matches:
            if m.is_dir():
                inside, other = _walk(m, skip)
                passed_over += other
                if not inside and len(matches) == 1:
                    raise InputError(f"the folder {m} holds no picture ({', '.join(SUFFIXES)})")
                sources += [Source(p, p.relative_to(m)) for p in inside]
            else:
                sources.append(Source(m, Path(m.name)))
    unique: dict[Path, Source] = {}
    for s in sources:
        unique.setdefault(real(s.path), s)
    return Gathered(list(unique.values()), list(dict.fromkeys(passed_over)))


def real(path: Path) -> Path:
    """Return where a path leads; one whose links go round in a circle leads to itself, and opening it will say so."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


def _short(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def collisions(jobs: list[Target]) -> dict[Target, Target]:
    """Return the jobs that would write the picture or the bundle of another one, each with that other one."""
    taken: dict[str, Target] = {}
    found: dict[Target, Target] = {}
    for job in jobs:
        # Windows and macOS file systems do not tell cases apart; a.png and A.png must not meet there
        for key in (str(job.output.absolute()).casefold(), str(job.bundle.absolute()).casefold()):
            other = taken.setdefault(key, job)
            if other is not job:
                found[job] = other
                found.setdefault(other, job)
    return found


def check_targets(jobs: list[Target], sources: list[Source], replace: bool) -> None:
    """Refuse, before anything is written, jobs that would overwrite something.

    Parameters
    ----------
    jobs : list of Target
        What would be written.
    sources : list of Source
        Files that must stay as they are.
    replace : bool
        True if existing results may be replaced or are skipped.

    Raises
    ------
    OutputError
        A job that would overwrite an input, or a result or bundle that exists.
    """
    inputs = {real(s.path) for s in sources}
    for job in jobs:
        if real(job.output) in inputs:
            raise OutputError(
                f"{job.output} is an input; an input is never overwritten. Choose another folder with -o. "
                "Nothing was written"
            )
        for path in (job.output, job.bundle):
            if os.path.lexists(path) and not replace:
                raise OutputError(
                    f"{path} exists; use --skip-existing to leave it or --overwrite to replace it. Nothing was written"
                )


def output_path(source: Source, out: Path, suffix: str, page: int | None, keep_extension: bool = False) -> Path:
    """Return where a result goes: below ``out``, with the input's stem; pages are numbered from 1.

    With ``keep_extension`` the input's extension stays in the name: ``photo.jpg`` becomes ``photo.jpg.png``.
    """
    name = source.relative.name if keep_extension else source.relative.stem
    stem = name + ("" if page is None else f"-page-{page + 1:03d}")
    if not stem or stem in (".", ".."):
        raise OptionError(f"cannot name an output after {source.path}")
    return out / source.relative.parent / f"{stem}{suffix}"
