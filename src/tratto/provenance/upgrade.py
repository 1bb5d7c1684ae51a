"""Receipts of the first form (``tratto/receipt/1``, until November 2026), read as if they were of the present one.

Nothing else asks which form a receipt has. Hashes and seals are always of the bytes as they were written.

The first form knew one input and one output, and no second picture: a wallpaper was kept as base64 in the recipe. Here
it becomes an input of the role ``texture``; :func:`carried` gives its bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from tratto.core import canonical
from tratto.core.errors import InputError, ReceiptError
from tratto.core.recipe import PACKED, as_now
from tratto.provenance.schema import check, receipt_schema

FIRST = "tratto/receipt/1"
#: Every form that is read.
FORMS = (FIRST, "tratto/receipt/2")
#: Longest side of a wallpaper that a recipe held.
_LARGEST_TILE = 512
_LARGEST_TEXT = 4 << 20


def upgraded(receipt: Any) -> Any:
    """Return a receipt in the present form; one that is in it already, or is none, comes back as it is.

    Parameters
    ----------
    receipt : any
        As read by :func:`tratto.core.canonical.loads`.

    Raises
    ------
    ReceiptError
        If it states the first form and is not valid by the schema of that.
    """
    if not isinstance(receipt, Mapping) or receipt.get("schema") != FIRST:
        return receipt
    check(receipt, receipt_schema(1), "receipt")
    from tratto.provenance.receipt import SCHEMA, geometry_of

    old = dict(receipt)
    given, made, maps = old.pop("input"), old.pop("output"), old.pop("maps")
    texture = _texture(receipt)
    recipe = {which: {**r, "steps": [_step(s) for s in r["steps"]]} for which, r in receipt["recipe"].items()}
    return {
        **old,
        "schema": SCHEMA,
        "recipe": recipe,
        "steps": [{**s, **_step(s)} for s in receipt["steps"]],
        "inputs": {"picture": given, **({} if texture is None else {"texture": _facts(texture)})},
        "outputs": {"picture": {**made, "geometry": geometry_of(made["scale"]), "maps": {**maps, "missing": {}}}},
        "statements": [],
    }


def carried(data: bytes) -> dict[str, bytes]:
    """Return the second inputs that a receipt holds in itself, by role: only the first form does.

    Parameters
    ----------
    data : bytes
        Of ``receipt.json``; valid.
    """
    receipt = canonical.loads(data)
    texture = _texture(receipt) if isinstance(receipt, dict) and receipt.get("schema") == FIRST else None
    return {} if texture is None else {"texture": texture}


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    name, params = as_now(step["step"], step["params"])
    return {"step": name, "params": params}


def _texture(receipt: Mapping[str, Any]) -> bytes | None:
    """Return the wallpaper that the steps of a receipt of the first form hold.

    Raises
    ------
    ReceiptError
        If it cannot be read, or there are several.
    """
    every = [s for r in receipt["recipe"].values() for s in r["steps"]]
    found = {text for s in every if isinstance(text := s["params"].get("texture"), str) and text.startswith(PACKED)}
    if not found:
        return None
    if len(found) > 1 or len(next(iter(found))) > _LARGEST_TEXT:
        raise ReceiptError("receipt.recipe: expected one wallpaper of moderate size in all steps")
    try:
        return base64.b64decode(found.pop(), validate=True)
    except ValueError as e:
        raise ReceiptError(f"receipt.recipe: the wallpaper in it is no base64: {e}") from e


def _facts(texture: bytes) -> dict[str, Any]:
    from tratto.core.hashing import FileFacts
    from tratto.imaging.io import Limits, digest, read_image
    from tratto.provenance.receipt import InputFacts

    try:
        image = read_image(texture, Limits(max_pixels=_LARGEST_TILE**2, max_side=_LARGEST_TILE))
    except InputError as e:
        raise ReceiptError(f"receipt.recipe: the wallpaper in it cannot be read: {e}") from e
    facts: dict[str, Any] = canonical.loads(
        canonical.dumps(InputFacts(image, digest(image), 0, FileFacts.of(texture)).to_json())
    )
    return facts
