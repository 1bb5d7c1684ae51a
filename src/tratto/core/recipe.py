"""An ordered tuple of steps that serialises to JSON and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from tratto.core.errors import ReceiptError
from tratto.core.step import Step

SCHEMA = "tratto/recipe/1"


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
        """Rebuild a recipe.

        Parameters
        ----------
        data : mapping
            As from :meth:`to_json`.
        step_class : callable
            Name to class, as ``tratto.steps.step_class``.

        Raises
        ------
        ReceiptError
            If the schema is unknown, a step is unknown or its parameters do not fit it.
        """
        if data.get("schema") != SCHEMA:
            raise ReceiptError(f"expected a recipe of schema {SCHEMA!r}, got {data.get('schema')!r}")
        try:
            steps = []
            for item in data["steps"]:
                cls_ = step_class(str(item["step"]))
                steps.append(cls_(**{str(k): v for k, v in item["params"].items()}))
            return cls(
                task=str(data["task"]),
                steps=tuple(steps),
                seed=int(data["seed"]),
                reasons=tuple(str(r) for r in data.get("reasons", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise ReceiptError(f"the recipe is malformed: {e}; it may come from another version of Tratto") from e


def step_params(step: Step) -> dict[str, Any]:
    """Return the parameters of a step (a dataclass of JSON-able fields) as a dictionary."""
    if not is_dataclass(step):
        raise TypeError(f"a step must be a dataclass, got {type(step).__name__}")
    return {f.name: getattr(step, f.name) for f in fields(step)}
