"""What the commands of this package that are run as modules have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tratto.core.errors import TrattoError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

T = TypeVar("T")


def run_command(parser: argparse.ArgumentParser, work: Callable[[], T]) -> T:
    """Do the work; what the user can mend is said in one line, and sets the exit code."""
    try:
        return work()
    except TrattoError as e:
        parser.exit(e.exit_code, f"tratto: {e}\n")
