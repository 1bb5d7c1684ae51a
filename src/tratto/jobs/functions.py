"""The tasks as plain functions: ``tratto.restore``, ``tratto.repair`` ... Each is made when it is first asked for.

``functions.pyi`` beside this file says the same to type checkers; ``python -m tratto.cli.reference types`` writes it.
"""

from __future__ import annotations

from typing import Any

from tratto.tasks import TASKS


def __getattr__(name: str) -> Any:
    for task in TASKS:
        if task.name == name:
            from tratto.jobs.sdk import job_function

            return globals().setdefault(name, job_function(task))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
