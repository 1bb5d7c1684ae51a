"""Canonical JSON (RFC 8785, JCS) and a strict reader for it.

A hash of a JSON document only means something if the document has exactly one spelling. RFC 8785 fixes it: no white
space, keys sorted by UTF-16 code units, numbers as ECMAScript writes them, strings with the fewest escapes, UTF-8.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import rfc8785

from tratto.core.errors import ReceiptError

#: Integers beyond this are not exact in every JSON reader (RFC 7493, section 2.2).
MAX_SAFE_INTEGER = 2**53 - 1
#: Deepest nesting accepted; receipts need about eight.
MAX_DEPTH = 64
#: Longest document that :func:`loads` accepts unless told otherwise, in bytes.
MAX_BYTES = 16 * 1024 * 1024

_SURROGATE = re.compile("[\ud800-\udfff]")


def dumps(obj: Any) -> bytes:
    """Serialise to the canonical bytes of RFC 8785.

    Parameters
    ----------
    obj : dict, list, tuple, str, bool, None, int or float
        Keys must be strings. Integers must lie within ±(2**53 - 1). Floats must be finite.

    Returns
    -------
    bytes
        UTF-8, no byte order mark, no trailing newline.

    Raises
    ------
    ReceiptError
        If something in ``obj`` has no canonical form.
    """
    _check(obj, 0)
    try:
        return rfc8785.dumps(obj)
    except ValueError as e:
        raise ReceiptError(
            f"no canonical JSON: {e}; numbers must be finite, integers within ±(2**53 - 1) and keys strings"
        ) from e


def loads(data: bytes, max_bytes: int = MAX_BYTES) -> Any:
    """Read JSON strictly.

    Refused besides broken syntax: byte order marks, duplicate keys, NaN and infinities, numbers that overflow,
    integers that a double cannot hold exactly, lone surrogates, nesting deeper than ``MAX_DEPTH`` and documents longer
    than ``max_bytes``. The document need not be in canonical form.

    Raises
    ------
    ReceiptError
        If the document is refused.
    """
    if len(data) > max_bytes:
        raise ReceiptError(f"the JSON document has {len(data)} bytes; at most {max_bytes} are read")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise ReceiptError(f"the JSON document is not UTF-8: {e.reason} at byte {e.start}") from e
    try:
        obj = json.loads(
            text,
            object_pairs_hook=_no_duplicates,
            parse_int=_read_int,
            parse_float=_read_float,
            parse_constant=_no_constant,
        )
    except RecursionError as e:
        raise ReceiptError(f"the JSON document is nested deeper than {MAX_DEPTH} levels") from e
    except ValueError as e:  # includes JSONDecodeError
        raise ReceiptError(f"not a valid JSON document: {e}") from e
    _check(obj, 0)
    return obj


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ReceiptError(f"the JSON document holds the key {key!r} twice in one object")
            seen.add(key)
    return out


def _read_int(text: str) -> int | float:
    if len(text) <= 17:
        value = int(text)
        if abs(value) <= MAX_SAFE_INTEGER:
            return value
    # a large double is spelt without exponent up to 1e21; accept it only if it is exactly such a spelling
    as_float = float(text) if len(text) <= 24 else math.inf
    if not math.isfinite(as_float) or dumps(as_float).decode() != text:
        raise ReceiptError(f"the integer {text[:40]} is beyond ±(2**53 - 1) and not exact as a double")
    return as_float


def _read_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ReceiptError(f"the number {text[:40]} is too large for a double")
    return value


def _no_constant(text: str) -> Any:
    raise ReceiptError(f"{text} is not JSON")


def _check(obj: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ReceiptError(f"the JSON document is nested deeper than {MAX_DEPTH} levels (or contains itself)")
    if isinstance(obj, str):
        if _SURROGATE.search(obj):
            raise ReceiptError(f"the string {obj!r} holds a lone surrogate, which UTF-8 cannot carry")
    elif isinstance(obj, list | tuple):
        for item in obj:
            _check(item, depth + 1)
    elif isinstance(obj, dict):
        for key, item in obj.items():
            _check(key, depth)
            _check(item, depth + 1)
