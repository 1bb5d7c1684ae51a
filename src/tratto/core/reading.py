"""Small text files from anybody: JSON, TOML and YAML, read without trust in their size, depth or kind.

A card, a list of shapes or a run file may be a pipe that nobody writes to, a device that never ends, or ten thousand
brackets, at which the parsers of the standard library give up with errors of their own. Here all of that is an
:class:`~tratto.core.errors.InputError`.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tratto.core.errors import InputError
from tratto.core.text import shown

#: Most bytes of a file that is read as text, unless told otherwise; deepest nesting; most values in one document.
MAX_TEXT, MAX_DEPTH, MAX_VALUES = 1 << 20, 64, 1_000_000


def small_text(path: str | os.PathLike[str], limit: int = MAX_TEXT) -> str:
    """Read a text file of UTF-8.

    Parameters
    ----------
    path : path
        Links are followed.
    limit : int
        Most bytes it may have.

    Raises
    ------
    InputError
        If it is missing, no regular file, too long or not UTF-8.

    Examples
    --------
    >>> small_text("/dev/zero")
    Traceback (most recent call last):
    ...
    tratto.core.errors.InputError: zero: is a device, pipe or socket, expected a text file
    """
    data = _start(path, limit + 1)
    if len(data) > limit:
        raise InputError(f"{_shown(path)}: has more than {limit} bytes, which no such file needs")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise InputError(f"{_shown(path)}: is not text in UTF-8 ({e.reason} at byte {e.start})") from e


def head_of_text(path: str | os.PathLike[str], size: int) -> str:
    """Return the beginning of a text file; raises as :func:`small_text` does, and replaces what is no UTF-8."""
    return _start(path, size).decode("utf-8", "replace")


def _start(path: str | os.PathLike[str], size: int) -> bytes:
    name = _shown(path)
    # without O_NONBLOCK, opening a pipe that nobody writes to would wait forever
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            raise InputError(f"{name}: is a folder, expected a text file")
        if not stat.S_ISREG(kind):
            raise InputError(f"{name}: is a device, pipe or socket, expected a text file")
        with os.fdopen(os.open(path, flags), "rb") as f:
            return f.read(size)
    except (OSError, ValueError) as e:
        raise InputError(f"{name}: cannot be read: {getattr(e, 'strerror', None) or e}") from e


def parse_json(text: str | bytes, where: str = "JSON") -> Any:
    """Parse JSON.

    Parameters
    ----------
    text : str or bytes
        Bytes are UTF-8.
    where : str
        Named in errors.

    Raises
    ------
    InputError
        If it is none, nested too deep, or holds a number that is none of a computer's.

    Examples
    --------
    >>> parse_json('{"a": [1]}')
    {'a': [1]}
    """
    return _parsed(json.loads, text, where, "JSON")


def parse_toml(text: str, where: str = "TOML") -> dict[str, Any]:
    """Parse TOML; raises as :func:`parse_json` does."""
    import tomllib

    value: dict[str, Any] = _parsed(tomllib.loads, text, where, "TOML")
    return value


def parse_yaml(text: str, where: str = "YAML") -> Any:
    """Parse YAML of plain values; raises as :func:`parse_json` does.

    Raises
    ------
    ImportError
        If PyYAML is not installed.
    """
    import yaml  # type: ignore[import-untyped,unused-ignore]

    return _parsed(yaml.safe_load, text, where, "YAML", yaml.YAMLError)


def _parsed(
    parse: Callable[[Any], Any], text: str | bytes, where: str, kind: str, own: type[Exception] = ValueError
) -> Any:
    try:
        value = parse(text)
    except RecursionError as e:
        raise InputError(f"{where}: is nested too deep to be read as {kind}") from e
    except (ValueError, OverflowError, TypeError, KeyError, AttributeError, own) as e:
        words = " ".join(str(e).split())[:200]
        raise InputError(f"{where}: is no {kind}, or not valid {kind}: {words}") from e
    _check_depth(value, where, kind)
    return value


def _check_depth(value: Any, where: str, kind: str) -> None:
    """Refuse what is nested deeper than anything of use, or, by references to itself, without an end."""
    level: list[Any] = [value]
    count = 0
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += [*one.keys(), *one.values()]
            elif isinstance(one, list | tuple | set):
                below += one
        count += len(below)
        if count > MAX_VALUES:
            raise InputError(f"{where}: holds more than {MAX_VALUES} values")
        if not below:
            return
        level = below
    raise InputError(f"{where}: is nested deeper than {MAX_DEPTH} levels, expected {kind} of a few")


def _shown(path: str | os.PathLike[str]) -> str:
    raw = os.fspath(path)
    name = Path(raw).name or raw
    return shown(name, 120)
