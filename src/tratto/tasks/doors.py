"""What each door shows of a task: the signature and docstring of its function, and its types."""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Callable
from functools import cache
from inspect import Parameter, Signature
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from tratto.core.errors import TrattoError
from tratto.core.options import (
    COMMON,
    SDK,
    Entry,
    JobLimits,
    Papers,
    SaveOptions,
    entries,
    help_text,
    with_names,
)
from tratto.tasks import KINDS, TASKS, Task

P = ParamSpec("P")
R = TypeVar("R")
#: What a function takes beside inputs and options: name, type and what it says.
SHARED = (
    ("page", "int | None", "Of files with several, from 0 (the command line counts from 1); None: of a file with one."),
    ("session", "Session | None", "To share opened networks and set limits; None makes a new one."),
)
TYPES = '''"""The tasks as plain functions, for type checkers; written by ``python -m tratto.cli.reference types``."""

from typing import Any, Literal

from tratto.core.result import Result
from tratto.jobs import Session
'''


def signature(task: Task) -> Signature:
    """Return what the function of a task takes: the picture, options as a whole, or inputs and options as keywords.

    Examples
    --------
    >>> signature(TASKS[0]).parameters["scale"].default
    1
    """
    keyword = Parameter.KEYWORD_ONLY
    parameters = [
        Parameter("picture", Parameter.POSITIONAL_OR_KEYWORD, annotation="Any"),
        Parameter("options", Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=f"{task.options} | None"),
        *(Parameter(i.role, keyword, default=None, annotation="Any") for i in task.inputs[1:]),
        *(Parameter(name, keyword, default=None, annotation=kind) for name, kind, _ in SHARED),
    ]
    for entry in entries(task.model, SDK):
        default = entry.info.get_default(call_default_factory=True)
        parameters.append(Parameter(entry.name, keyword, default=default, annotation=type_text(entry)))
    return Signature(parameters, return_annotation="Result")


def docstring(task: Task) -> str:
    """Return the documentation of the function of a task."""
    listed = [(i.role, i.python or KINDS[i.kind], with_names(i.help, _no_folder)) for i in task.inputs]
    listed.insert(1, ("options", f"{task.options} or None", "Or give its fields as keywords: those below."))
    listed += [(name, kind.replace(" | ", " or "), text) for name, kind, text in SHARED]
    listed += [(e.name, e.expected, help_text(e, SDK)) for e in entries(task.model, SDK)]
    return "\n".join(
        [
            f"{task.summary}\n\nParameters\n----------",
            *(f"{name} : {kind}" + (f"\n    {text}" if text else "") for name, kind, text in listed),
            "\nReturns\n-------\nResult\n    Write it with :func:`tratto.save`.",
            "\nRaises\n------\nTrattoError\n    One of its kinds; see ``tratto.core.errors``.",
            f"\nExamples\n--------\n>>> result = {task.example}  # doctest: +SKIP\n",
        ]
    )


def _no_folder(name: str) -> str:
    """Python takes one mask for one picture."""
    return {"folder": "", "classes": "a folder with one"}.get(name, name)


def type_stub() -> str:
    """Return the functions of all tasks as type checkers read them."""
    imports = "".join(f"from {t.module} import {t.options}\n" for t in sorted(TASKS, key=lambda t: t.module))
    functions = ""
    for task in TASKS:
        lines: list[str] = []
        for p in signature(task).parameters.values():
            if p.kind is Parameter.KEYWORD_ONLY and "*" not in lines:
                lines.append("*")
            lines.append(f"{p.name}: {p.annotation}" + ("" if p.default is Parameter.empty else " = ..."))
        functions += f"def {task.name}(\n" + "".join(f"    {line},\n" for line in lines) + ") -> Result: ...\n"
    return f"{TYPES}{imports}\n{functions}"


_FLAG = re.compile(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*")
#: What a replay calls its original and what else it is given.
_INPUT = re.compile(r"(?<![\w-])--input (?:([a-z][a-z0-9-]*)=)?FILE\b")
_IN_PYTHON = re.compile(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*([^()]*?) \(in Python: ([^()]*)\)")


def python_words(text: str) -> str:
    """Return a message with its options called as they are in Python.

    Most messages are made where nobody knows at which door they will be read, and name the command line's flags.

    Examples
    --------
    >>> python_words("this would take 90 minutes; choose a faster --provider or raise --max-minutes")
    'this would take 90 minutes; choose a faster provider or raise JobLimits.minutes'
    >>> python_words("a.png exists; replace it with --overwrite")
    'a.png exists; replace it with overwrite=True'
    >>> python_words("name the file with --input texture=FILE")
    "name the file with inputs={'texture': FILE}"
    """
    names = _python_names()
    text = _INPUT.sub(lambda found: f"inputs={{{found[1]!r}: FILE}}" if found[1] else "source=FILE", text)
    text = _IN_PYTHON.sub(lambda found: found[2].rstrip("=") + found[1], text)
    return _FLAG.sub(lambda found: names.get(found[0], found[0].removeprefix("--").replace("-", "_")), text)


def in_python(function: Callable[P, R]) -> Callable[P, R]:
    """Make errors of a function name options as Python calls them, not as the command line does."""

    @functools.wraps(function)
    def called(*arguments: P.args, **given: P.kwargs) -> R:
        try:
            return function(*arguments, **given)
        except TrattoError as e:
            e.args = (python_words(str(e)), *e.args[1:])
            raise

    return called


@cache
def _python_names() -> dict[str, str]:
    names = {f"--{i.role}": i.role for task in TASKS for i in task.inputs}
    names["--max-input-megapixels"] = "Limits.max_pixels (in millions)"
    for model in (*(task.model for task in TASKS), *COMMON):
        home = f"{model.__name__}." if model in (SaveOptions, JobLimits, Papers) else ""
        for entry in entries(model):
            set_to = f"={not entry.info.default}" if isinstance(entry.info.default, bool) else ""
            names[entry.flag] = f"{home}{entry.name}{set_to}"
    return names


def type_text(entry: Entry) -> str:
    """Return the type of an option as code.

    Examples
    --------
    >>> type_text(entries(TASKS[0].model)[2])
    'float | None'
    """
    return ("str | " if entry.reads_text else "") + _type_text(entry.info.annotation)


def _type_text(kind: Any) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type_text(parts[0])
    if origin is Literal:
        return f"Literal[{', '.join(repr(p).replace(chr(39), chr(34)) for p in parts)}]"
    if origin in (Union, types.UnionType):
        return " | ".join(map(_type_text, parts))
    if origin is not None:
        return f"{origin.__name__}[{', '.join('...' if p is Ellipsis else _type_text(p) for p in parts)}]"
    return {types.NoneType: "None", Any: "Any"}.get(kind) or str(kind.__name__)
