"""Checks JSON values against the published schema, without a library at run time.

Understands the part of JSON Schema (draft 2020-12) that the schemas beside it use, and refuses a schema that uses
more, so that no rule is passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

from tratto.core import canonical
from tratto.core.errors import ReceiptError

_NOTES = {"$schema", "$id", "$defs", "title", "description"}
_KNOWN = {
    "$ref", "type", "const", "enum", "anyOf", "pattern", "minLength", "maxLength", "minimum", "maximum", "items",
    "minItems", "maxItems", "properties", "required", "additionalProperties", "maxProperties", "propertyNames",
}  # fmt: skip


@lru_cache(maxsize=2)
def receipt_schema(form: int = 2) -> dict[str, Any]:
    """Return the published schema of receipts.

    Parameters
    ----------
    form : int
        2, the present one; or 1, which Tratto wrote until November 2026.
    """
    name = {1: "receipt.schema.json", 2: "receipt-2.schema.json"}[form]
    schema: dict[str, Any] = canonical.loads(resources.files("tratto.provenance").joinpath(name).read_bytes())
    return schema


@lru_cache(maxsize=1)
def observed_schema() -> dict[str, Any]:
    """Return the published schema of ``observed.json``."""
    data = resources.files("tratto.provenance").joinpath("observed.schema.json").read_bytes()
    schema: dict[str, Any] = canonical.loads(data)
    return schema


def check(value: Any, schema: Mapping[str, Any], name: str) -> None:
    """Check a value as read by :func:`tratto.core.canonical.loads`.

    Parameters
    ----------
    value : any
        Dictionaries, lists, text, numbers, booleans and None.
    schema : mapping
        A whole schema; ``$ref`` may point into its ``$defs``.
    name : str
        What the value is, for messages.

    Raises
    ------
    ReceiptError
        At the first rule that is broken, naming the place.
    """
    _check(value, schema, schema, name)


def _check(value: Any, rule: Mapping[str, Any], root: Mapping[str, Any], at: str) -> None:
    unknown = set(rule) - _KNOWN - _NOTES
    if unknown:
        raise ReceiptError(f"the schema uses {', '.join(sorted(unknown))}, which this reader does not know")
    if "$ref" in rule:
        _check(value, root["$defs"][str(rule["$ref"]).removeprefix("#/$defs/")], root, at)
    if "anyOf" in rule:
        _any_of(value, rule["anyOf"], root, at)
    _value(value, rule, at)
    if isinstance(value, str):
        _string(value, rule, at)
    elif _is_number(value):
        _range(value, rule, at)
    elif isinstance(value, list):
        low, high = rule.get("minItems", 0), rule.get("maxItems", len(value))
        if not low <= len(value) <= high:
            raise ReceiptError(f"{at}: expected {low} to {high} entries, got {len(value)}")
        for i, item in enumerate(value):
            _check(item, rule.get("items", {}), root, f"{at}[{i}]")
    elif isinstance(value, dict):
        _object(value, rule, root, at)


def _any_of(value: Any, choices: list[Mapping[str, Any]], root: Mapping[str, Any], at: str) -> None:
    first: ReceiptError | None = None
    for choice in choices:
        try:
            _check(value, choice, root, at)
        except ReceiptError as e:
            first = e if first is None or choice.get("type") != "null" else first
        else:
            return
    raise first if first is not None else ReceiptError(f"{at}: no choice given")


def _value(value: Any, rule: Mapping[str, Any], at: str) -> None:
    if "type" in rule:
        types = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
        if not any(_is(value, t) for t in types):
            raise ReceiptError(f"{at}: expected {' or '.join(types)}, got {_shown(value)}")
    if "const" in rule and not _same(value, rule["const"]):
        raise ReceiptError(f"{at}: expected {_shown(rule['const'])}, got {_shown(value)}")
    if "enum" in rule and not any(_same(value, v) for v in rule["enum"]):
        raise ReceiptError(f"{at}: expected one of {', '.join(map(_shown, rule['enum']))}, got {_shown(value)}")


def _string(value: str, rule: Mapping[str, Any], at: str) -> None:
    if not rule.get("minLength", 0) <= len(value) <= rule.get("maxLength", len(value)):
        low, high = rule.get("minLength", 0), rule.get("maxLength", "any number of")
        raise ReceiptError(f"{at}: expected {low} to {high} characters, got {len(value)}")
    pattern = rule.get("pattern")
    # fullmatch, since "$" alone would let a trailing line break pass
    if pattern is not None and not re.fullmatch(pattern.removeprefix("^").removesuffix("$"), value):
        raise ReceiptError(f"{at}: expected a string of the form {pattern}, got {_shown(value)}")


def _range(value: float, rule: Mapping[str, Any], at: str) -> None:
    if "minimum" in rule and value < rule["minimum"]:
        raise ReceiptError(f"{at}: expected at least {rule['minimum']}, got {value}")
    if "maximum" in rule and value > rule["maximum"]:
        raise ReceiptError(f"{at}: expected at most {rule['maximum']}, got {value}")


def _object(value: dict[str, Any], rule: Mapping[str, Any], root: Mapping[str, Any], at: str) -> None:
    properties = rule.get("properties", {})
    if len(value) > rule.get("maxProperties", len(value)):
        raise ReceiptError(f"{at}: expected at most {rule['maxProperties']} entries, got {len(value)}")
    if "propertyNames" in rule:
        for key in value:
            _check(key, rule["propertyNames"], root, f"{at}, the name {_shown(key)}")
    for key in rule.get("required", ()):
        if key not in value:
            raise ReceiptError(f"{at}: {key!r} is missing")
    rest = rule.get("additionalProperties", True)
    for key, item in value.items():
        if key in properties:
            _check(item, properties[key], root, f"{at}.{key}")
        elif rest is False:
            raise ReceiptError(f"{at}: {_shown(key)} does not belong there")
        elif isinstance(rest, Mapping):
            _check(item, rest, root, f"{at}.{key[:60]}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is(value: Any, kind: str) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "number":
            return _is_number(value)
        case "integer":
            return _is_number(value) and float(value).is_integer()
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)


def _same(a: Any, b: Any) -> bool:
    # in JSON true is not 1
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
