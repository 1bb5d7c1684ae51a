"""Each task is one pure function from options and inspection to a recipe; every face derives from TASKS."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One job Tratto can do.

    Attributes
    ----------
    name : str
        Also the command's name.
    summary : str
    module : str
        Holds ``plan(options, inspection)`` and the options class.
    options : str
        Name of the options class.
    """

    name: str
    summary: str
    module: str
    options: str


TASKS: tuple[Task, ...] = (
    Task(
        "restore",
        "Remove noise, JPEG artefacts and mild blur; enlarge 2 or 4 times.",
        "tratto.tasks.restore",
        "RestoreOptions",
    ),
)
