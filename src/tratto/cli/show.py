"""What the command line prints: progress, lines, JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tratto.core.errors import InputError, OptionError, OutputError

if TYPE_CHECKING:
    from tratto.core.image import Image

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PageNumber = Annotated[int | None, typer.Option("--page", help="Page of a file with several, from 1.")]


def group(help: str, needs_command: bool = True) -> typer.Typer:
    """Return a group of commands; one that needs none does something of its own without."""
    return typer.Typer(help=help, no_args_is_help=needs_command, rich_markup_mode=None, add_completion=False)


def printable(text: object) -> str:
    """Return text that cannot steer a terminal: control characters and lone surrogates are shown as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def emit_json(data: Any) -> None:
    """Print one JSON document on standard output."""
    typer.echo(json.dumps(data, ensure_ascii=True, indent=2, allow_nan=False))


def say(as_json: bool, data: Any, *lines: str) -> None:
    """Print what a command did: JSON for machines, lines for people."""
    if as_json:
        emit_json(data)
        return
    for line in lines:
        typer.echo(printable(line))


def about(source: Path, message: str) -> str:
    """Return a message that names its file once, with its whole path."""
    for name in (str(source), source.name):
        if message.startswith((f"{name} ", f"{name}: ")):
            return f"{source}{message[len(name) :]}"
    return f"{source}: {message}"


def overall(codes: list[int]) -> int:
    """Return the exit code of several files: 0 all done, 8 some failed, and their common code if all failed alike."""
    if not any(codes):
        return 0
    return codes[0] if len(set(codes)) == 1 else 8


def argument_path(text: str) -> Path:
    """Turn an argument into a path; an empty one is a mistake, not this folder.

    Raises
    ------
    typer.BadParameter
        If it is empty.
    """
    if not text:
        raise typer.BadParameter("it is empty; name a file or folder ('.' is this folder)")
    return Path(text)


def path_option(help: str, *flags: str, metavar: str = "PATH") -> Any:
    """Return an option that takes a path, never an empty one."""
    return typer.Option(*flags, parser=argument_path, metavar=metavar, help=help)


def path_argument(help: str, metavar: str = "PATH") -> Any:
    """Return an argument that is a path, never an empty one."""
    return typer.Argument(parser=argument_path, metavar=metavar, help=help)


def open_page(path: Path, page: int | None = None, what: str = "") -> Image:
    """Open a picture file; of one with several pages that page which is meant, never the first in silence.

    Parameters
    ----------
    path : Path
        Of any format that Tratto reads.
    page : int or None
        From 1; None: the file must have one only.
    what : str
        What it is, where it must be a single picture: ``"a mask"``; empty: a page may be chosen by ``--page``.

    Raises
    ------
    OptionError
        If it has several pages and none was named.
    InputError
        If it has no such page.
    """
    from tratto.imaging import io

    count = io.count_pages(path)
    if page is None and count > 1:
        single = f"{what} is one picture: save the page that is meant as a PNG"
        do = single if what else f"choose one with --page 1 to --page {count}"
        raise OptionError(f"{path} holds {count} pages or frames; {do}")
    if page is not None and not 1 <= page <= count:
        raise InputError(f"{path} has {count} page{'s' * (count > 1)}, page {page} was asked for")
    return io.read_image(path, page=(page or 1) - 1)


def make_folder(folder: Path) -> None:
    """Make a folder for results, if it is not there.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OutputError(f"{folder}: cannot be used as a folder: {e.strerror or e}") from e


def check_new_png(path: Path, inputs: list[Path], overwrite: bool, what: str) -> None:
    """Make sure that a PNG can be written without losing anything; its folder is made later, where it is written.

    Parameters
    ----------
    path : Path
        Of the PNG.
    inputs : list of Path
        Never overwritten.
    overwrite : bool
        Whether another file may be replaced.
    what : str
        What the PNG is, for the messages: ``"a mask"``.

    Raises
    ------
    OptionError
        If the name does not end with ``.png``.
    OutputError
        If it exists already, is a folder or is an input.
    """
    if path.suffix.lower() != ".png":
        raise OptionError(f"{what} is written as PNG; {path.name!r} does not end with .png")
    for given in inputs:
        if path.exists() and given.exists() and path.samefile(given):
            raise OutputError(f"{path} is an input; an input is never overwritten")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; move it, or choose another name")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; choose another name, or replace it with --overwrite")


#: Seconds between two lines of progress where there is no terminal.
EVERY = 15.0


class ProgressLine:
    """A progress bar on standard error; where that is no terminal, a line now and then for what takes long."""

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled and sys.stderr.isatty()
        self._bar: Any = None
        self._task: Any = None
        self._stage = ""
        self._last_line = 0.0

    def __enter__(self) -> ProgressLine:
        if self._enabled:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(printable(text), markup=False, highlight=False)
        else:
            from tratto.cli.guard import complain

            complain(printable(text))

    def say(self, text: str) -> None:
        """Print a line of the result on standard output; the bar steps aside, so that the two never share a row."""
        if self._bar is not None:
            self._bar.stop()
        typer.echo(printable(text))
        if self._bar is not None:
            self._bar.start()

    def count(self, done: int, failed: int, total: int) -> None:
        """Show how far a run over many pictures is: one counter."""
        text = f"{done} of {total} pictures" + (f", {failed} failed" if failed else "")
        if self._bar is None:
            now = time.monotonic()
            if now - self._last_line >= EVERY and done < total:
                if self._last_line:
                    self.note(text)
                self._last_line = now
            return
        if self._task is None:
            self._task = self._bar.add_task(text, total=total)
        self._bar.update(self._task, completed=done, total=total, description=text)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is; where there is no terminal, in a line now and then."""
        if self._bar is None:
            now = time.monotonic()
            if stage != self._stage:
                self._stage, self._last_line = stage, now
            elif now - self._last_line >= EVERY and done < total:
                self._last_line = now
                self.note(f"{stage}: {100 * done // max(total, 1)} %")
            return
        if stage != self._stage or self._task is None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._stage, self._task = stage, self._bar.add_task(printable(stage), total=total)
        self._bar.update(self._task, completed=done, total=total)
