"""Render what is derived and kept as files, from the models of the options.

python -m tratto.cli.reference > docs/reference.md
python -m tratto.cli.reference types > src/tratto/jobs/functions.pyi
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tratto.core.options import (
    CLI,
    COMMON,
    HTTP,
    SDK,
    Entry,
    JobLimits,
    Papers,
    SaveOptions,
    entries,
    help_text,
)
from tratto.tasks import OBJECTS, SCENES, TASKS, Input
from tratto.tasks.doors import type_stub

HEAD = """# Reference of options

Rendered from the models of the options by `python -m tratto.cli.reference`; what the jobs do with them is told in
[restore](restore.md), [repair](repair.md), [recolor](recolor.md) and [lift](lift.md). An option is offered at the doors
that are named: `cli` is the command line, `sdk` Python, `http` a form or a request. Local paths and keys are never
offered over HTTP: there, pictures are uploads and providers are names that `tratto models` shows.
"""
COLUMNS = ("command line", "Python, HTTP", "may be", "unit", "default", "doors", "what it does")


def page() -> str:
    """Return the reference page."""
    parts = [HEAD]
    for task in TASKS:
        inputs = [_input(i) for i in task.inputs[1:]]
        rows = [_row(e, "") for e in entries(task.model) if e.option.doors]
        many = f", or of many `tratto {task.name} --task FILE.json [--task-id ID...] -o OUT`" if task.listed else ""
        first = f"`tratto {task.name} PATH... -o OUT`{many}; in Python `{task.example}`"
        parts.append(f"## {task.name}\n{task.summary}\n\n{first}\n\n{_table([*inputs, *rows])}")
    for task in SCENES:
        first = f"`tratto {task.name} FOLDER -o OUT`; in Python `{task.example}`"
        rows = [_row(e, "") for e in entries(task.model) if e.option.doors]
        parts.append(f"## {task.name}\n{task.summary}\n\n{first}\n\n{_table(rows)}")
    for task in OBJECTS:
        first = f"`tratto lift PHOTO -o OUT`; in Python `{task.example}`"
        rows = [*(_input(i) for i in task.inputs[1:]), *(_row(e, "") for e in entries(task.model) if e.option.doors)]
        parts.append(f"## {task.name}\n{task.summary}\n\n{first}\n\n{_table(rows)}")
    rows = [_row(e, _home(model)) for model in COMMON for e in entries(model)]
    return "\n".join([*parts, f"## Of all jobs\n{_table(rows)}"])


def _home(model: Any) -> str:
    """Return where a field of a common model is given in Python; empty where functions take it themselves."""
    return f"{model.__name__}." if model in (SaveOptions, JobLimits, Papers) else ""


def _input(item: Input) -> tuple[str, ...]:
    from tratto.cli.derive import input_help

    expected = " or ".join(["a file", *item.words]) + ("; repeatable" if item.repeatable else "")
    default = "required" if item.missing else ""
    return f"`{item.flag}`", f"`{item.role}`", expected, "", default, f"{CLI}, {SDK}, {HTTP}", input_help(item)


def _row(entry: Entry, home: str) -> tuple[str, ...]:
    option, doors = entry.option, entry.option.doors
    default = "required" if entry.info.is_required() else entry.info.get_default(call_default_factory=True)
    default = default if option.cli_default is None else option.cli_default
    flag = ", ".join(f"`{f}`" for f in (option.short, entry.flag) if f) if CLI in doors else ""
    return (
        flag,
        f"`{home}{entry.name}`" if SDK in doors or HTTP in doors else "",
        entry.expected + ("; repeatable" if option.collect or option.each else ""),
        option.unit,
        "" if default in (None, "", (), {}) else f"`{default}`",
        ", ".join(doors),
        help_text(entry, CLI if CLI in doors else SDK, lambda name: f"`{name}`"),
    )


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(type_stub() if sys.argv[1:] == ["types"] else page())
