"""The one place where errors become one line and an exit code."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

#: Settings of an application whose commands all answer to -h.
HELP = {"help_option_names": ["-h", "--help"]}


def exits(command: Callable[..., int]) -> Callable[..., None]:
    """Make a command of a function that returns the exit code: it runs guarded, with its own signature."""

    @functools.wraps(command)
    def run(*arguments: Any, **given: Any) -> None:
        guarded(functools.partial(command, *arguments, **given), as_json=bool(given.get("as_json")))

    return run


def guarded(command: Callable[..., int], *arguments: Any, as_json: bool = False) -> None:
    """Run one command and leave with its exit code; see ``tratto.core.errors``.

    Parameters
    ----------
    command : callable
        Returns the exit code.
    *arguments
        Handed to it.
    as_json : bool
        Print an error as a JSON object on standard output, too.
    """
    from tratto.core.errors import TrattoError

    try:
        code = command(*arguments)
        _flush()
    except TrattoError as e:
        code = refuse(type(e).__name__, str(e), e.exit_code, as_json)
    except KeyboardInterrupt:
        words = "interrupted; finished pictures are complete, the one in progress was not written"
        code = refuse("Interrupted", words, 130, as_json)
    except MemoryError:
        words = "out of memory; free some or choose a smaller picture or scale"
        code = refuse("OutOfMemory", words, 1, as_json)
    except RecursionError:
        words = "something that was given is nested too deep to be read"
        code = refuse("InputError", words, 3, as_json)
    except typer.BadParameter:
        raise
    except Exception as e:
        code = stdout_closed()
        if code == 0 and (words := _about_a_name(e)):
            code = refuse("InputError", words, 3, as_json)
        elif code == 0:
            if os.environ.get("TRATTO_DEBUG"):
                raise
            words = f"a fault in tratto itself: {type(e).__name__}: {e}; please report it (TRATTO_DEBUG=1 shows where)"
            code = refuse("Fault", words, 1, as_json)
    raise typer.Exit(code)


#: Errors of the system that are about what was named, wherever they came up.
_NAMES = frozenset({errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.ENOTDIR, errno.ENOENT, errno.EILSEQ})


def _about_a_name(error: Exception) -> str:
    """Say what is wrong with a path that was given; empty: the error is about something else."""
    if isinstance(error, ValueError) and "null" in str(error) and "embedded" in str(error):
        return "a file name cannot contain a NUL character"
    if isinstance(error, UnicodeEncodeError):
        return "a name cannot be written in the encoding of this system; rename the file"
    if not isinstance(error, OSError) or error.errno not in _NAMES or not isinstance(error.filename, str | bytes):
        return ""
    name = os.fsdecode(error.filename)
    shown = name if len(name) <= 120 else name[:57] + "..." + name[-60:]
    return f"{shown}: {error.strerror or error}"


def refuse(kind: str, message: str, code: int, as_json: bool) -> int:
    """Say why nothing more is done, and return the exit code.

    Parameters
    ----------
    kind : str
        Name of the error's class, for machines.
    message : str
        One line; what does not print is shown escaped.
    code : int
        Exit code of the process, which is returned.
    as_json : bool
        Print ``{"error": {"kind", "message", "exit_code"}}`` on standard output, too.
    """
    from tratto.cli.show import emit_json, printable

    complain(f"tratto: {printable(message)}")
    if as_json:
        try:
            emit_json({"error": {"kind": kind, "message": message, "exit_code": code}})
            _flush()
        except OSError:
            stdout_closed()
    return code


def speak_any_name() -> None:
    """Have names that the console's encoding lacks shown as escapes: a file's name must not end a run."""
    for stream in (sys.stdout, sys.stderr):
        change = getattr(stream, "reconfigure", None)
        if change is not None and getattr(stream, "errors", "") in ("strict", "surrogateescape"):
            with contextlib.suppress(OSError, ValueError):
                change(errors="backslashreplace")


def complain(text: str) -> None:
    """Print on standard error; where nobody listens, work goes on."""
    with contextlib.suppress(OSError, ValueError):
        typer.echo(text, err=True)


def stdout_closed() -> int:
    """If standard output takes no more, give it up and return the exit code; 0 if it is sound.

    A full disk is told once, with 4. A reader that went away wants to hear nothing: 141, as of tools that the signal
    for it ends.
    """
    try:
        if sys.stdout is not None:
            # what failed may have left nothing in the buffer, so something must be there to fail again
            sys.stdout.write("\n")
        _flush()
    except OSError as e:
        return _give_up(e.errno, e.strerror or str(e))
    return 0


#: 128 and the number of SIGPIPE.
CLOSED_PIPE = 141


def _give_up(number: int | None, reason: str) -> int:
    if number == errno.EPIPE:
        _drop(sys.stdout)
        return CLOSED_PIPE
    complain(f"tratto: standard output cannot be written: {reason}; pictures that were finished before are complete")
    _drop(sys.stdout)
    return 4


def _silence() -> None:
    """If standard error takes no more, give it up: the interpreter would end with 120 for what still waits for it."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        _drop(sys.stderr)


def _drop(stream: TextIO) -> None:
    """Lead a stream nowhere: what still waits in its buffer must not fail again when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):
        void = os.open(os.devnull, os.O_WRONLY)
        os.dup2(void, stream.fileno())
        os.close(void)


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


#: What typer says of a value that is no number, and what a reader understands.
_PHRASES = {
    "Input should be a valid integer, unable to parse string as an integer": "it must be a whole number",
    "Input should be a valid number, unable to parse string as a number": "it must be a number",
}


def _usage(error: Any) -> str:
    """Return what is wrong with a command line in one sentence."""
    message = str(error.format_message()).strip().rstrip(".")
    for theirs, ours in _PHRASES.items():
        message = message.replace(theirs, ours)
    context = getattr(error, "ctx", None)
    return message if context is None else f"{message}; see {context.command_path} --help"


class GuardedGroup(TyperGroup):
    """The root command: what is wrong with the line itself is told like every other error."""

    def main(
        self,
        args: Any = None,
        prog_name: Any = None,
        complete_var: Any = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run; see ``typer.core.TyperGroup.main``."""
        extra["windows_expand_args"] = windows_expand_args
        speak_any_name()
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        given = sys.argv[1:] if args is None else list(args)
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            _flush()
        except SystemExit as e:
            code = e.code
            if type(sys.stdout).__name__ == "PacifyFlushWrapper":  # how typer silences a pipe that was closed
                code = _give_up(errno.EPIPE, "Broken pipe")
        except typer.Abort:
            code = refuse("Interrupted", "interrupted", 130, "--json" in given)
        except OSError:
            code = stdout_closed()
            if code == 0:
                raise
        except Exception as e:
            # typer brings its own copy of click or takes the installed one: known by what it can do
            if not (hasattr(e, "show") and hasattr(e, "format_message")):
                raise
            code = int(getattr(e, "exit_code", 2))
            if type(e).__name__ == "NoArgsIsHelpError":  # nothing was asked: its message is the help, line by line
                typer.echo(e.format_message())
            else:
                code = refuse("UsageError", _usage(e), code, "--json" in given)
        _silence()
        sys.exit(code if isinstance(code, int) else 0)
