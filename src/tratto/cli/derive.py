"""The command of a task, derived from its row in ``TASKS`` and from the models of its options."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from tratto.cli.guard import guarded
from tratto.cli.show import argument_path
from tratto.tasks import Input, Task

if TYPE_CHECKING:
    from tratto.core.options import Entry, JobLimits, Papers, RunOptions, SaveOptions, TaskOptions

#: The pictures that a command works on; a file may list many instead.
PATHS = Annotated[
    list[str] | None, typer.Argument(help="Pictures, folders (with sub-folders) or globs.", metavar="[PATH]...")
]
LIST = Annotated[
    Path | None,
    typer.Option(
        "--task",
        parser=argument_path,
        metavar="FILE.json",
        help="Instead of PATH: a list of objects with id, init (the picture), and what else it works with.",
    ),
]
IDS = Annotated[
    list[str] | None, typer.Option("--task-id", metavar="ID", help="Only these of the list; more may follow.")
]
#: Heads of the groups of options in the help of a job, by the model they come from; those of the job have none.
HEADS = {
    "SaveOptions": "How the result is written",
    "Papers": "On its papers",
    "RunOptions": "How it runs",
    "JobLimits": "Limits (and --max-input-megapixels; see tratto --help)",
}
#: What the command line can do with masks of many pictures.
FOLDER = "; or a folder with one for each input"


def command_of(task: Task) -> Callable[..., None]:
    """Return what does a task, with the signature from which ``typer`` makes a command."""
    from tratto.core.options import CLI, COMMON, entries

    listed = [e for model in (task.model, *COMMON) for e in entries(model, CLI)]
    heads = {e.name: HEADS[model.__name__] for model in COMMON for e in entries(model, CLI)}
    flags = {e.name: e.flag for e in listed} | {i.role: i.flag for i in task.inputs}
    parameters = [
        *_what(task),
        *(_option(e, flags) for e in listed if e.info.is_required()),
        *(_input(i) for i in task.inputs[1:]),
        *(_option(e, flags, heads.get(e.name)) for e in listed if not e.info.is_required()),
    ]

    def command(**given: Any) -> None:
        from tratto.cli.job import run_task
        from tratto.cli.listed import run_list

        guarded(run_list if task.listed else run_task, task, given, flags, as_json=given["as_json"])

    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _what(task: Task) -> list[Parameter]:
    """Return the parameters that say which pictures."""
    keyword = Parameter.KEYWORD_ONLY
    if not task.listed:
        return [Parameter("paths", keyword, default=None, annotation=PATHS)]
    optional = {"paths": PATHS, "task_file": LIST, "task_id": IDS}
    return [Parameter(name, keyword, default=None, annotation=kind) for name, kind in optional.items()]


def input_help(item: Input) -> str:
    """Return the help of an input for the command line."""
    from tratto.core.options import with_names

    text = with_names(item.help, {"folder": FOLDER, "classes": "a folder with one"}.__getitem__)
    return text + (" Repeatable." if item.repeatable else " Repeatable, a result with each." if item.becomes else "")


def _input(item: Input) -> Parameter:
    """Return the flag of an input beyond the first."""

    def read(text: str) -> Path | str:
        return text if text in item.words else argument_path(text)

    option = typer.Option(item.flag, parser=read, metavar="PATH", help=input_help(item))
    kind: Any = list[Path] if item.repeatable or item.becomes else Path
    return _parameter(item.role, kind | None, option, None)


def _option(entry: Entry, flags: Mapping[str, str], head: str | None = None) -> Parameter:
    from tratto.core.options import CLI, help_text

    option, kind, default = entry.option, _typed(entry), _default(entry)
    text = help_text(entry, CLI, lambda name: flags.get(name, name))
    if option.collect is not None or option.each:
        kind, text = list[kind], f"{text[:-1]}; repeatable" + (", a result with each." if option.each else ".")
    choices = "|".join(map(str, get_args(entry.kind))) if get_origin(entry.kind) is Literal else None
    made = typer.Option(
        *filter(None, (entry.flag, option.short)),
        help=text,
        metavar=option.metavar or choices,
        parser=argument_path if kind is Path else None,
        rich_help_panel=head,
        autocompletion=_completion(entry),
    )
    return _parameter(entry.name, kind | None if default is None else kind, made, default)


def _completion(entry: Entry) -> Callable[[str], list[str]] | None:
    """Return what names the values of an option to a shell; None: they cannot be listed."""
    if get_origin(entry.kind) is Literal:
        values = [str(v) for v in get_args(entry.kind)]
        return lambda incomplete: [v for v in values if v.startswith(incomplete)]
    if entry.name != "provider":
        return None

    def providers(incomplete: str) -> list[str]:
        from tratto.providers.catalogue import CATALOGUE

        return [n for n in ("auto", *CATALOGUE["restorer"]) if n.startswith(incomplete)]

    return providers


def _parameter(name: str, kind: Any, option: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


def _typed(entry: Entry) -> Any:
    """Return the type that the command line takes for an option; what is no number, switch or path is text."""
    if entry.option.cli_type is not None or entry.option.none:
        return entry.option.cli_type or str
    kind = type(get_args(entry.kind)[0]) if get_origin(entry.kind) is Literal else entry.kind
    return kind if kind in (bool, int, float, Path) else str


def _default(entry: Entry) -> Any:
    """Return the default of an option as the command line shows it; empty where it must be given."""
    option, default = entry.option, entry.info.default
    if entry.info.is_required():
        return Parameter.empty
    if option.collect is not None:
        return None
    if option.off:
        return False
    return option.cli_default or (option.none or None if default is None else default)


def each_of(task: Task, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a command line asks for as one job after the other: one with each color, if several were given.

    Raises
    ------
    BadOptions
        If there are several, and one name for the result.
    """
    from tratto.core.options import CLI, BadOptions, entries

    names = [e.name for e in entries(task.model, CLI) if e.option.each] + [i.role for i in task.inputs if i.becomes]
    alone = {**given, **dict.fromkeys(names)}
    values = [(name, value) for name in names for value in given[name] or ()]
    if len(values) < 2:
        return [{**alone, **dict(values)}]
    if given["out"].suffix and not given["out"].is_dir():
        raise BadOptions(f"{{out}} names one file, and {len(values)} results are asked for; name a folder")
    labels = [_label(value) for _, value in values]
    twice = [label for label in labels if labels.count(label) > 1]
    return [
        {**alone, name: value, "out": given["out"] / (f"{label}-{number}" if label in twice else label)}
        for number, ((name, value), label) in enumerate(zip(values, labels, strict=True), 1)
    ]


def _label(value: Any) -> str:
    """Return what the folder with the results of a value is called."""
    text = value.stem if isinstance(value, Path) else str(value)
    return "-".join(re.findall(r"[A-Za-z0-9.]+", text)) or "other"


@dataclass(frozen=True)
class Request:
    """What a command line asks for.

    Attributes
    ----------
    paths : tuple of str
        Of the pictures.
    inputs : dict
        What was given beside them, by role; None: not given.
    fields : dict
        Options of the task as they were given.
    options : TaskOptions or None
        Made of these; None with a manifest, each of whose rows has its own.
    run : RunOptions
        What bears on the run alone: pages, ``--dry-run``, ``--jobs`` and the like.
    save : SaveOptions
        Where results go, in which format, and what lies beside them.
    limits : JobLimits
        Largest result and longest estimated time.
    papers : Papers
        Operator, object and note that the receipt seals.
    made_into : tuple of str
        Roles of inputs that became an option.
    """

    paths: tuple[str, ...]
    inputs: dict[str, Any]
    fields: dict[str, Any]
    options: TaskOptions | None
    run: RunOptions
    save: SaveOptions
    limits: JobLimits
    papers: Papers
    made_into: tuple[str, ...] = ()

    @property
    def given(self) -> dict[str, Any]:
        """Those of the inputs that were given."""
        return {role: value for role, value in self.inputs.items() if value is not None}

    @property
    def job_inputs(self) -> dict[str, Any]:
        """Those of the inputs that were given and that no option was made of."""
        return {role: value for role, value in self.given.items() if role not in self.made_into}


def read_request(task: Task, given: Mapping[str, Any], read: Callable[[Any], Any]) -> Request:
    """Return what a command line asks for, checked.

    Parameters
    ----------
    task : Task
        Whose options and inputs are read.
    given : mapping
        The parameters of :func:`command_of` by name.
    read : callable
        Opens an input as :class:`tratto.Image`.

    Raises
    ------
    BadOptions
        Naming every option that is wrong.
    """
    from tratto.core.options import BadOptions, JobLimits, Papers, RunOptions, SaveOptions

    inputs = {i.role: (tuple(given[i.role] or ()) or None) if i.repeatable else given[i.role] for i in task.inputs[1:]}
    problems: list[str] = []

    def made(model: Any, make: Callable[..., Any]) -> Any:
        try:
            return make(_fields(model, given))
        except BadOptions as e:
            problems.extend(e.problems)

    common = [
        made(model, lambda fields, model=model: model(**fields))
        for model in (RunOptions, SaveOptions, JobLimits, Papers)
    ]
    fields = made(task.model, dict)
    listed = given["manifest"] is not None
    if fields is not None and not listed:
        options = made(task.model, lambda fields: task.model.of(fields, inputs, read))
    if problems:
        raise BadOptions(*problems)
    paths = tuple(given["paths"] or ())
    if listed == bool(paths):
        raise BadOptions(
            "give either pictures or {manifest}, which names its own" if listed
            else f"{task.name} needs a picture to work on, or a list of many: {{manifest}}"
        )  # fmt: skip
    if not listed:
        task.check(options, inputs)
    made_into = tuple(i.role for i in task.inputs if i.becomes)
    return Request(paths, inputs, fields, None if listed else options, *common, made_into)


def _fields(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a model that a command line gave."""
    from tratto.core.options import CLI, BadOptions, entries, wrong_value

    found: dict[str, Any] = {}
    implied: dict[str, Any] = {}
    problems = []
    for entry in entries(model, CLI):
        option, value = entry.option, given[entry.name]
        if value is None or (option.none and value == option.none):
            continue
        values = []
        for text in value if option.collect else [value]:
            try:
                values.append(option.parse(text) if option.parse else text)
            except ValueError:
                problems.append(wrong_value(entry.name, entry.expected, text))
        found[entry.name] = option.collect(values) if option.collect else (values or [None])[0]
        if option.off:
            found[entry.name] = not value
        if value is True:
            implied |= option.implies
    if problems:
        raise BadOptions(*problems)
    return found | implied
