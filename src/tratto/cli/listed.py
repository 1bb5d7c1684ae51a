"""Many jobs of one task, listed in a JSON file; one that fails stops none of the others."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tratto.cli.job import do_task, run_task
from tratto.cli.show import emit_json, overall, printable
from tratto.core.errors import InputError, OptionError, TrattoError

if TYPE_CHECKING:
    from tratto.tasks import Task

#: A name that is a folder and can lead nowhere else.
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
#: Most bytes of a list, and most jobs in it.
LARGEST, MOST = 8 << 20, 10_000


def run_list(task: Task, given: Mapping[str, Any], flags: Mapping[str, str]) -> int:
    """Do a task for pictures on the command line, or for each of a list; return the exit code.

    Parameters
    ----------
    task : Task
        A row of ``TASKS`` that takes a list.
    given : mapping
        The parameters of the command by name.
    flags : mapping
        What the command line calls each option.

    Raises
    ------
    OptionError, InputError
        If it is not clear what is asked for, or the list cannot be read.
    """
    words, file, ids = list(given["paths"] or ()), given["task_file"], list(given["task_id"] or ())
    plain = {k: v for k, v in given.items() if k not in ("task_file", "task_id")} | {"paths": words}
    if file is None:
        if ids:
            raise OptionError("--task-id chooses from a list: name it with --task FILE.json")
        return run_task(task, plain, flags)
    if words and not ids:
        raise OptionError("give either pictures or --task FILE.json, which names its own")
    roles = [i.role for i in task.inputs[1:]]
    if both := [flags[r] for r in roles if given[r]]:
        raise OptionError(f"{both[0]} is named in the list for each of its jobs; leave it away beside --task")
    codes: list[int] = []
    answers: list[dict[str, Any]] = []
    for entry in _chosen(_read(file), [*ids, *words], file):
        number = entry["id"]
        try:
            line = {**plain, **_given(entry, task, file.parent, Path(given["out"]))}
            codes += do_task(task, line, flags, lambda o, n=number: answers.append({"id": n, **o.to_json()}))  # type: ignore[misc]
        except (TrattoError, OSError) as e:  # this one is told, and the others are done
            code = e.exit_code if isinstance(e, TrattoError) else InputError.exit_code
            typer.echo(printable(f"tratto: task {number}: {e}"), err=True)
            answers.append({"id": number, "status": "failed", "message": str(e), "exit_code": code})
            codes.append(code)
    if given["as_json"]:
        emit_json(answers)
    return overall(codes)


def _read(file: Path) -> list[dict[str, Any]]:
    """Return the objects of a list; one object alone is a list of one."""
    try:
        with open(file, "rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as e:
        raise InputError(f"the list {file} cannot be read: {e.strerror or e}") from e
    if len(data) > LARGEST:
        raise InputError(f"the list {file} is larger than {LARGEST >> 20} MiB")
    try:
        read = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise InputError(f"the list {file} is no JSON: {e}") from e
    entries = read["tasks"] if isinstance(read, dict) and "tasks" in read else read
    entries = entries if isinstance(entries, list) else [entries]
    if not entries or len(entries) > MOST:
        raise InputError(f"the list {file} must hold 1 to {MOST} tasks, it holds {len(entries)}")
    out: list[dict[str, Any]] = []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or type(entry.get("id")) not in (str, int):
            raise InputError(f"task {number} of {file} must be an object with an id, got {str(entry)[:60]}")
        name = str(entry["id"])
        if not ID.fullmatch(name):
            raise InputError(
                f"the id of task {number} of {file} names a folder: letters, digits, . _ -; got {name[:60]!r}"
            )
        if any(name == other["id"] for other in out):
            raise InputError(f"{file} holds two tasks of the id {name}")
        out.append({**entry, "id": name})
    return out


def _chosen(entries: list[dict[str, Any]], ids: Sequence[str], file: Path) -> list[dict[str, Any]]:
    known = {entry["id"]: entry for entry in entries}
    if strange := [i for i in ids if i not in known]:
        raise OptionError(f"{file} holds no task of the id {', '.join(strange)}; it holds {', '.join(known)[:400]}")
    return [known[i] for i in dict.fromkeys(ids)] if ids else entries


def _given(entry: Mapping[str, Any], task: Task, folder: Path, out: Path) -> dict[str, Any]:
    """Return the parameters of the command that one task of a list states; paths are relative to the list."""
    roles = {i.role: i for i in task.inputs[1:]}
    strange = [k for k in entry if k not in ("id", "init", "seed", "face", *roles)]
    if strange:
        raise OptionError(f"a task has id, init, {', '.join(roles)}, seed and face; got {', '.join(strange)[:200]}")

    def path(value: Any, name: str) -> Path:
        if not isinstance(value, str) or not value or "\0" in value:
            raise OptionError(f"{name} must be the path of a picture, got {str(value)[:60]!r}")
        return folder / value

    if "init" not in entry:
        raise OptionError("init, the path of the scene, is missing")
    made: dict[str, Any] = {"paths": [str(path(entry["init"], "init"))], "out": out / entry["id"]}
    for role, item in roles.items():
        if entry.get(role) is None:
            continue
        values = entry[role] if isinstance(entry[role], list) else [entry[role]]
        paths = [path(v, role) for v in values]
        if not item.repeatable and len(paths) != 1:
            raise OptionError(f"{role} must be one path, got {len(paths)}")
        made[role] = paths if item.repeatable else paths[0]
    for name in ("seed", "face"):
        if name in entry:
            made[name] = entry[name]
    return made
