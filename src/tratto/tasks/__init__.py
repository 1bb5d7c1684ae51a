"""Each task is one pure function from options and inspection to a recipe; every face derives from TASKS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tratto.core.artifact import InputPicture
from tratto.core.errors import OptionError
from tratto.core.image import Mask
from tratto.core.result import MaskParts

if TYPE_CHECKING:
    from tratto.imaging.io import Limits


@dataclass(frozen=True, eq=False)
class Given:
    """What a job was given besides the picture.

    Attributes
    ----------
    inputs : mapping of str to Any
        By role, as the caller gave them: ``"mask"`` and others that the task takes.
    limits : Limits or None
        Reading limits.
    """

    inputs: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a task made of its inputs before it plans: ``prepare(options, image, given, services)`` returns it.

    Attributes
    ----------
    options : the task's options
        With what the inputs decide.
    mask : Mask or None
        Where the picture may change.
    masks : MaskParts
        What it was made of.
    notes : tuple of str
        Warnings that the result carries.
    inputs : mapping of str to InputPicture
        Second inputs, opened, by role.
    output : str
        Role of the result: ``"picture"`` or ``"scene"``.
    statements : tuple of mapping
        What somebody stated, such as consent: ``kind``, ``by``, ``text``, perhaps the ``sha256`` of a document.
    """

    options: Any = None
    mask: Mask | None = None
    masks: MaskParts = field(default_factory=MaskParts)
    notes: tuple[str, ...] = ()
    inputs: Mapping[str, InputPicture] = field(default_factory=dict)
    output: str = "picture"
    statements: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Task:
    """One job Tratto can do.

    Attributes
    ----------
    name : str
        Also the command's name.
    summary : str
    module : str
        Holds the options class, ``make_options(**fields)``, ``uses(options)``, ``prepare(options, image, given,
        services)`` and ``plan(options, inspection)``; and ``NO_EVIDENCE``, why forensic mode refuses it whatever the
        picture (empty: it need not).
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


def task_named(name: str) -> Task:
    """Return a task by its name.

    Raises
    ------
    OptionError
        If there is none.
    """
    for task in TASKS:
        if task.name == name:
            return task
    raise OptionError(f"no task is called {name!r}; there are {', '.join(t.name for t in TASKS)}")
