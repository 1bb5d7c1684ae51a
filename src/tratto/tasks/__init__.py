"""Each task is one pure function from options and inspection to a recipe; every face derives from TASKS."""

from __future__ import annotations

from dataclasses import dataclass

from tratto.core.errors import OptionError


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
    Task(
        "repair",
        "Fill cracks, scratches, stains and missing parts inside a mask.",
        "tratto.tasks.repair",
        "RepairOptions",
    ),
    Task(
        "recolor",
        "Repaint a wall in exactly one colour or with a wallpaper, under its own light.",
        "tratto.tasks.recolor",
        "RecolorOptions",
    ),
)


def task_of(options: object) -> Task:
    """Return the task that an options object belongs to.

    Raises
    ------
    OptionError
        If it is no task's options.
    """
    for task in TASKS:
        if type(options).__module__ == task.module:
            return task
    raise OptionError(f"expected the options of a task ({', '.join(t.options for t in TASKS)}), got {options!r}")
