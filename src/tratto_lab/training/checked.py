"""Parts of a run file, checked as they are built: types and ranges stand with the fields, and pydantic holds them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import ConfigDict, Field, ValidationError, model_validator

from tratto.core.errors import OptionError

T = TypeVar("T")

#: Of the dataclasses: a field that there is not is an error.
CLOSED = ConfigDict(extra="forbid")

Count = Annotated[int, Field(strict=True, ge=1)]
Index = Annotated[int, Field(strict=True, ge=0)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Amount = Annotated[float, Field(strict=True, ge=0, lt=math.inf)]
Rate = Annotated[float, Field(strict=True, gt=0, lt=math.inf)]


class Checked:
    """What is wrong with a field becomes :class:`OptionError`; it names all that are, as a run file writes them."""

    #: What stands before the names of its fields.
    part: ClassVar[str] = ""

    @model_validator(mode="wrap")
    @classmethod
    def _in_words(cls, given: Any, build: Callable[[Any], T]) -> T:
        try:
            return build(given)
        except ValidationError as e:
            wrong = [_said(cls, i) for i in e.errors(include_url=False)]
            raise OptionError("; ".join(wrong)) from e


def _said(cls: type[Checked], error: Any) -> str:
    names = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    first, *rest = error["loc"]
    name = cls.part + ".".join(map(str, [names[first] if isinstance(first, int) else first, *rest]))  # given by place
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{name}: there is no such field; there are {', '.join(names)}"
    if error["type"] in ("missing", "missing_argument"):
        return f"{name} must be set"
    value = error["input"]
    hint = ""
    if error["type"] == "float_type" and isinstance(value, str):
        hint = "; in YAML 1e-4 is written 1.0e-4"
    words = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{name}: {words}, got {value!r:.200}{hint}"
