"""Reading pickles that hold plain data and NumPy arrays, and nothing else.

A pickle is a program: it may name any function and call it. Here it may name the three that rebuild an array; whatever
else it asks for is refused before it runs.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from tratto.core.errors import WeightMismatch


def _reconstruct(subtype: type, shape: tuple[int, ...], kind: bytes) -> np.ndarray:
    """Make the empty array that a pickle then fills."""
    if subtype is not np.ndarray:
        raise WeightMismatch("the pickle asks for another kind of array than NumPy's own; it is not read")
    return np.ndarray.__new__(np.ndarray, shape, "B")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise WeightMismatch(f"the pickle asks for {module}.{name}; only NumPy arrays are read")
        return _ALLOWED[module, name]

    def persistent_load(self, key: Any) -> Any:
        raise WeightMismatch(f"the pickle refers to something outside it ({key!r}); only NumPy arrays are read")


def read_arrays(data: bytes) -> Any:
    """Return what a pickle of dicts, lists, numbers, texts and NumPy arrays holds.

    Parameters
    ----------
    data : bytes
        From anybody: nothing that it names is imported or called.

    Raises
    ------
    WeightMismatch
        If it names anything else, holds arrays of Python objects, or is no pickle.

    Examples
    --------
    >>> import pickle
    >>> read_arrays(pickle.dumps({"a": [1.5, 2.5]}))
    {'a': [1.5, 2.5]}
    """
    try:
        value = _Reader(io.BytesIO(data)).load()
    except WeightMismatch:
        raise
    except Exception as e:  # a damaged pickle may raise anything
        raise WeightMismatch(f"not a pickle of plain data and arrays: {type(e).__name__}: {e}") from e
    _refuse_objects(value)
    return value


def _refuse_objects(value: Any) -> None:
    if isinstance(value, dict):
        for item in value.values():
            _refuse_objects(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_objects(item)
    elif isinstance(value, np.ndarray) and value.dtype.hasobject:
        raise WeightMismatch("the pickle holds an array of Python objects; only numbers are read")
