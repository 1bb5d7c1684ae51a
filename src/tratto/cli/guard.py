"""The one place where errors become one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import typer


def guarded(command: Callable[..., int], *arguments: Any) -> None:
    """Run one command and leave with its exit code; see ``tratto.core.errors``."""
    from tratto.core.errors import TrattoError

    try:
        code = command(*arguments)
    except TrattoError as e:
        typer.echo(f"tratto: {e}", err=True)
        code = e.exit_code
    except KeyboardInterrupt:
        typer.echo("tratto: interrupted; finished pictures are complete, the one in progress was not written", err=True)
        code = 130
    except MemoryError:
        typer.echo("tratto: out of memory; free some or choose a smaller picture or scale", err=True)
        code = 1
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except Exception as e:
        if os.environ.get("TRATTO_DEBUG"):
            raise
        typer.echo(
            f"tratto: a fault in tratto itself: {type(e).__name__}: {e}; please report it (TRATTO_DEBUG=1 shows where)",
            err=True,
        )
        code = 1
    raise typer.Exit(code)
