"""The last constant of an ONNX graph, read without loading the graph: ``inswapper`` keeps a matrix there."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError

#: Numbers of fields in ``onnx.proto``: the graph of a model, the constants of a graph, and the parts of a tensor.
_GRAPH, _CONSTANT = 7, 5
_DIMS, _TYPE, _FLOATS, _RAW = 1, 2, 4, 9
_KINDS: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 10: np.dtype("<f2")}
_BROKEN = "{} is no ONNX model that can be read: {}"


def last_initializer(path: Path) -> NDArray[np.float32]:
    """Return the last initializer of a graph as float32.

    Parameters
    ----------
    path : Path
        An ONNX file; its graph is not loaded.

    Raises
    ------
    InputError
        If the file is no ONNX model, or its graph has no constants of floating point.
    """
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            view = memoryview(data)
            try:
                return _last(view, str(path))
            finally:
                view.release()
    except (OSError, ValueError, IndexError) as e:
        raise InputError(_BROKEN.format(path, e)) from e


def _last(view: memoryview, name: str) -> NDArray[np.float32]:
    place: tuple[int, int] | None = None
    for number, start, end in _fields(view, 0, len(view)):
        if number == _GRAPH:
            for inner, a, b in _fields(view, start, end):
                place = (a, b) if inner == _CONSTANT else place
    if place is None:
        raise ValueError("its graph has no constants")
    dims: list[int] = []
    kind, raw = 0, b""
    for number, a, b in _fields(view, *place):
        if number == _DIMS:
            dims += [a] if b < 0 else _packed(view, a, b)
        elif number == _TYPE and b < 0:
            kind = a
        elif number in (_RAW, _FLOATS) and b >= 0:
            raw = bytes(view[a:b])
    if kind not in _KINDS:
        raise ValueError(f"its last constant is of the type {kind}, not of floating point")
    values = np.frombuffer(raw, _KINDS[kind]).astype(np.float32)
    if values.size != int(np.prod(dims)):
        raise ValueError(f"its last constant has {values.size} numbers and claims the shape {dims}")
    return np.asarray(values.reshape(dims), np.float32)


def _fields(view: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each field; a plain number as its value, and -1."""
    at = start
    while at < end:
        key, at = _number(view, at, end)
        match key & 7:
            case 0:
                value, at = _number(view, at, end)
                yield key >> 3, value, -1
                continue
            case 1:
                size = 8
            case 2:
                size, at = _number(view, at, end)
            case 5:
                size = 4
            case _:
                raise ValueError("a field of an unknown kind")
        if at + size > end:
            raise ValueError("it ends too early")
        yield key >> 3, at, at + size
        at += size


def _number(view: memoryview, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise ValueError("it ends too early")
        byte = view[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number without an end")


def _packed(view: memoryview, at: int, end: int) -> list[int]:
    found = []
    while at < end:
        value, at = _number(view, at, end)
        found.append(value)
    return found
