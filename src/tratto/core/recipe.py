"""An ordered tuple of steps that serialises to JSON and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tratto.core.errors import OptionError, ReceiptError
from tratto.core.step import Step

SCHEMA = "tratto/recipe/1"
#: Most steps of a recipe: more than any task plans, and few enough to be done.
MOST_STEPS = 300


#: How a picture inside a recipe begins: a PNG in base64.
PACKED = "iVBORw0KGgo"


@dataclass(frozen=True)
class Reading:
    """How a wording of an older recipe reads now.

    Attributes
    ----------
    step : str
        Name of the step, as the older recipe has it.
    param : str
        Parameter of it, as the older recipe has it; empty: the step itself.
    name : str
        What the parameter, or the step, is called now; empty: it fell away.
    value : callable or None
        Turns the older value into what it is now; None: it stays.
    """

    step: str
    param: str
    name: str
    value: Callable[[Any], Any] | None = None


def _as_role(texture: Any) -> Any:
    """Return the role of a sample that an older recipe held in itself; its receipt gives the sample."""
    return "texture" if isinstance(texture, str) and texture.startswith(PACKED) else texture


#: The one table of older wordings. A step that is renamed has the rows of its parameters under its older name.
READINGS: tuple[Reading, ...] = (
    Reading("repaint", "texture", "texture", _as_role),
    Reading("diffuse", "texture", "texture", _as_role),
)


def as_now(step: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a step of a recipe and its parameters in the words of this version.

    Examples
    --------
    >>> as_now("repaint", {"texture": "iVBORw0KGgoAAAA", "edge": 2})
    ('repaint', {'texture': 'texture', 'edge': 2})
    """
    rows = {r.param: r for r in READINGS if r.step == step}
    out: dict[str, Any] = {}
    for param, value in params.items():
        row = rows.get(param)
        if row is None:
            out[str(param)] = value
        elif row.name:
            out[row.name] = value if row.value is None else row.value(value)
    return rows[""].name if "" in rows else step, out


@dataclass(frozen=True)
class Recipe:
    """What to do, in order.

    Attributes
    ----------
    task : str
        The task that planned it.
    steps : tuple of Step
        May be empty: *leave it alone* is a recipe too.
    seed : int
        Of all that is random in its steps.
    reasons : tuple of str
        Why the plan is what it is, in plain words; shown in the report.
    """

    task: str
    steps: tuple[Step, ...]
    seed: int = 0
    reasons: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary with every parameter of every step."""
        return {
            "schema": SCHEMA,
            "task": self.task,
            "seed": self.seed,
            "reasons": list(self.reasons),
            "steps": [{"step": s.name, "params": step_params(s)} for s in self.steps],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], step_class: Callable[[str], type]) -> Recipe:
        """Rebuild a recipe, an older one in the words of this version (:data:`READINGS`).

        Parameters
        ----------
        data : mapping
            As from :meth:`to_json`.
        step_class : callable
            Name to class, as ``tratto.steps.step_class``.

        Raises
        ------
        ReceiptError
            If the schema is unknown, a step is unknown, or a parameter is unknown or not of the kind its field has.
        """
        if data.get("schema") != SCHEMA:
            raise ReceiptError(f"expected a recipe of schema {SCHEMA!r}, got {data.get('schema')!r}")
        if not isinstance(data.get("steps"), list) or len(data["steps"]) > MOST_STEPS:
            raise ReceiptError(f"the recipe must hold a list of at most {MOST_STEPS} steps")
        seed = data.get("seed")
        if type(seed) is not int or not 0 <= seed < 2**53:
            raise ReceiptError(f"the recipe's seed must be a whole number from 0, got {_short(seed)}")
        try:
            return cls(
                task=str(data["task"]),
                steps=tuple(_step(item, step_class) for item in data["steps"]),
                seed=seed,
                reasons=tuple(str(r) for r in data.get("reasons", ())),
            )
        except OptionError as e:
            raise ReceiptError(f"the recipe cannot be done: {e}; it may come from another version of Tratto") from e
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError) as e:
            raise ReceiptError(f"the recipe is malformed: {e}; it may come from another version of Tratto") from e


def _step(item: Any, step_class: Callable[[str], type]) -> Step:
    """Make a step of what a recipe says of it; every parameter must be of the kind that its field has.

    Raises
    ------
    ReceiptError
        Naming the step and the parameter.
    """
    if not isinstance(item, Mapping) or not isinstance(item.get("step"), str):
        raise ReceiptError(f"a step of a recipe has a name and parameters, got {_short(item)}")
    params = item.get("params")
    if not isinstance(params, Mapping):
        raise ReceiptError(f"the parameters of {_short(item['step'])} must be a table, got {_short(params)}")
    step, params = as_now(item["step"], params)
    cls = step_class(step)
    kinds = _kinds_of(cls)
    values: dict[str, Any] = {}
    for name, value in params.items():
        if name not in kinds:
            raise ReceiptError(f"{step} has no parameter {_short(name)}")
        try:
            values[str(name)] = kinds[name].validate_json(json.dumps(value), strict=True)
        except ValidationError as e:
            first = e.errors(include_url=False)[0]
            where = ".".join(map(str, (step, name, *first["loc"])))
            raise ReceiptError(f"{where}: {first['msg'].lower()}, got {_short(first['input'])}") from e
    made: Step = cls(**values)
    return made


@lru_cache(maxsize=64)
def _kinds_of(cls: type) -> dict[str, TypeAdapter[Any]]:
    """Return what checks the kind of each field of a step."""
    if not is_dataclass(cls):
        raise TypeError(f"a step must be a dataclass, got {cls.__name__}")
    hints, how = get_type_hints(cls), ConfigDict(allow_inf_nan=False)
    return {f.name: TypeAdapter(hints.get(f.name, Any), config=how) for f in fields(cls) if f.init}


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, list | dict) else f"{type(value).__name__} of {len(value)}"
    return text if len(text) <= 80 else text[:77] + "..."


def step_params(step: Step) -> dict[str, Any]:
    """Return the parameters of a step (a dataclass of JSON-able fields) as a dictionary."""
    if not is_dataclass(step):
        raise TypeError(f"a step must be a dataclass, got {type(step).__name__}")
    return {f.name: getattr(step, f.name) for f in fields(step)}
