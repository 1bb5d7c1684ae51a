"""Each task is one pure function from options and inspection to a recipe; every door derives from TASKS.

A module of a task holds its options, a :class:`tratto.core.options.TaskOptions`; ``prepare(options, image, given,
services)``, which opens its inputs and returns a :class:`tratto.tasks.prepared.Prepared`; and ``plan(options,
inspection)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tratto.core.errors import OptionError

if TYPE_CHECKING:
    from tratto.core.options import TaskOptions


#: What an input may be, and how it is given from Python.
KINDS = {
    "picture": "path, bytes, file object, NumPy array, PIL picture or Image",
    "mask": "path, bytes, file object, array, PIL picture or Mask",
    "capture": "path of a folder of photographs with their cameras",
}


@dataclass(frozen=True)
class Input:
    """A picture, or something else of files, that a task works on.

    Attributes
    ----------
    role : str
        Its name at every door: ``--role`` of the command (with - for _), a keyword in Python, an upload over HTTP.
    help : str
        ``{folder}`` stands for what only the command line can do: a folder with one for each picture;
        ``{classes}`` for one, or what holds one, for each class of damage.
    python : str
        What it may be in Python; empty: what its kind may be.
    kind : str
        A name in ``KINDS``.
    missing : str
        What is said when it is not given; empty: it may be left out.
    repeatable : bool
    words : tuple of str
        Texts that may be given instead of a file.
    becomes : str
        The option that is made of it; empty: the job gets it as it is.
    """

    role: str
    help: str = ""
    python: str = ""
    kind: str = "picture"
    missing: str = ""
    repeatable: bool = False
    words: tuple[str, ...] = ()
    becomes: str = ""

    @property
    def flag(self) -> str:
        """What the command line calls it."""
        return "--" + self.role.replace("_", "-")


@dataclass(frozen=True)
class Task:
    """One job Tratto can do.

    Attributes
    ----------
    name : str
        Also the command's name.
    summary : str
    options : str
        Name of the options class.
    module : str
        Holds it, and ``plan(options, inspection)``.
    example : str
        A call in Python.
    inputs : tuple of Input
        The picture first.
    output : str
        What it makes: ``picture`` or ``scene``.
    listed : bool
        Whether the command line takes a file that lists many of it.
    local : bool
        Whether it needs folders of this machine, so that no server offers it.
    """

    name: str
    summary: str
    options: str
    module: str
    example: str = ""
    inputs: tuple[Input, ...] = (Input("picture"),)
    output: str = "picture"
    listed: bool = False
    local: bool = False

    @property
    def model(self) -> type[TaskOptions]:
        """The options class."""
        model: type[TaskOptions] = getattr(import_module(self.module), self.options)
        return model

    def check(self, options: TaskOptions, inputs: Mapping[str, Any]) -> None:
        """Refuse options that are another task's, inputs that are missing, and what contradicts them.

        Parameters
        ----------
        options : TaskOptions
        inputs : mapping
            What was given beside the picture, by role; None: not given.

        Raises
        ------
        OptionError
        """
        from tratto.core.options import BadOptions

        if not isinstance(options, self.model):
            raise OptionError(f"{self.name} takes {self.options}, got {type(options).__name__}")
        for item in self.inputs[1:]:
            if item.missing and inputs.get(item.role) is None:
                raise BadOptions(item.missing)
        options.check(inputs)


TASKS: tuple[Task, ...] = (
    Task(
        "restore",
        "Remove noise, JPEG artefacts and mild blur; enlarge 2 or 4 times.",
        "RestoreOptions",
        "tratto.tasks.restore",
        'tratto.restore("photo.jpg", scale=2)',
        (
            Input("picture", "What is to be restored."),
            Input("mask", "Grey picture, white where the input may change{folder}.", kind="mask"),
        ),
    ),
    Task(
        "repair",
        "Fill cracks, scratches, stains and missing parts; pixels outside the mask stay bit-identical.",
        "RepairOptions",
        "tratto.tasks.repair",
        'tratto.repair("scan.png", mask="cracks.png", grow=1)',
        (
            Input("picture", "What is damaged."),
            Input(
                "mask",
                "Grey picture, white where the input is damaged; {classes} for each class of "
                "damage{folder}; or auto: a network proposes it. Several: a pass with each.",
                f"{KINDS['mask']}; a mapping of these by class; a sequence for several passes; or 'auto'",
                "mask",
                missing="repair needs to know what is damaged: give {mask}, a grey picture, white where it is; "
                "tratto mask draw makes one, tratto mask find proposes one",
                repeatable=True,
                words=("auto",),
            ),
        ),
    ),
    Task(
        "recolor",
        "Repaint a wall in exactly one color or with a wallpaper, under its own light.",
        "RecolorOptions",
        "tratto.tasks.recolor",
        'tratto.recolor("room.jpg", mask="wall.png", color="#c8d4e0")',
        (
            Input("picture", "A room, RGB."),
            Input("swatch", "Picture of the paint: its median counts.", becomes="color"),
            Input("texture", "Wallpaper sample, laid in tiles."),
            Input("mask", "Grey picture, white where the wall is{folder}.", kind="mask"),
        ),
    ),
    Task(
        "reface",
        "Put a character's face in a scene, with consent; the best of many candidates, marked as synthetic.",
        "RefaceOptions",
        "tratto.tasks.reface",
        'tratto.reface("scene.jpg", character="portrait.jpg", consent="A. Person")',
        (
            Input("picture", "The scene, with a face."),
            Input(
                "character",
                "Picture of the character, from the front. Several: likeness is measured against all of them.",
                "path, bytes, NumPy array, PIL picture or Image; or a sequence of these",
                missing="reface needs a picture of the character: give {character}",
                repeatable=True,
            ),
            Input("mask", "Grey picture, white where else the scene may change{folder}.", kind="mask"),
            Input("face_like", "Picture of the person in the scene whose face is to be replaced; it is not kept."),
        ),
        listed=True,
    ),
    Task(
        "enhance",
        "Go over a picture with a full-size model, by its depth: detail is added that never was seen.",
        "EnhanceOptions",
        "tratto.tasks.enhance",
        'tratto.enhance("view.png", depth="depth.png", params={"model": "sdxl"})',
        (
            Input("picture", "What is to be enhanced."),
            Input("depth", "Depth map of its size, near is white; else it is estimated."),
        ),
        local=True,
    ),
)


#: Tasks that work on folders of several photographs, so that no door is derived for them.
SCENES: tuple[Task, ...] = (
    Task(
        "lift",
        "Make a scene of Gaussians from several photographs with known cameras.",
        "LiftOptions",
        "tratto.tasks.lift",
        'tratto.lift("capture")',
        (
            Input("picture", "The first photograph."),
            Input("view", "The other photographs.", repeatable=True),
        ),
        output="scene",
    ),
)

#: Tasks that make an object in space of one photograph: a command and a function of their own, too.
OBJECTS: tuple[Task, ...] = (
    Task(
        "lift-photo",
        "Make an object of Gaussians from one photograph: what it does not show is invented, and marked so.",
        "LiftPhotoOptions",
        "tratto.tasks.lift_photo",
        'tratto.lift("photo.jpg")',
        (
            Input("picture", "A photograph of one thing."),
            Input("object", "Grey picture, white where the object is.", kind="mask"),
        ),
        output="scene",
    ),
    Task(
        "lift-views",
        "Make an object of Gaussians from views that a model makes of one photograph: all of it is invented.",
        "LiftViewsOptions",
        "tratto.tasks.lift_views",
        'tratto.jobs.lift_views.lift_views("photo.png", provider="triposr", params={"model": "triposr"})',
        (
            Input("picture", "A photograph of one thing."),
            Input("object", "Grey picture, white where the object is.", kind="mask"),
        ),
        output="scene",
        local=True,
    ),
)


def task_of(options: object) -> Task:
    """Return the task that an options object belongs to.

    Raises
    ------
    OptionError
        If it is no task's options.
    """
    for task in (*TASKS, *SCENES, *OBJECTS):
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
    for task in (*TASKS, *SCENES, *OBJECTS):
        if task.name == name:
            return task
    raise OptionError(f"no task is called {name!r}; there are {', '.join(t.name for t in (*TASKS, *SCENES, *OBJECTS))}")
