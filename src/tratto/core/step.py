"""What a step is and what it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from tratto.core.canvas import Canvas
from tratto.core.capability import ModelRef
from tratto.core.services import Services


@dataclass(frozen=True)
class StepRecord:
    """What one executed step did. Everything but ``observed`` is hashed into the receipt.

    Attributes
    ----------
    step : str
        Name in the step table.
    params : mapping
        Resolved parameters, JSON-able.
    provider, precision, library : str
        Who did it, at which precision, with which runtime; empty when the step ran no provider.
    models : tuple of ModelRef
        Weights used.
    seed : int
    generative : bool
        True if a model may have invented pixels.
    confidence_basis : str
        ``"model"``, ``"self-ensemble"`` or ``"none"``: where the step's error estimate comes from.
    scores : mapping of str to float
    notes : tuple of str
        Plain sentences for the report.
    input_digest, output_digest : str
        Set by the engine: SHA-256 of the samples before and after.
    observed : mapping
        Seconds, tiles, hosts: never hashed.
    """

    step: str
    params: Mapping[str, Any]
    provider: str = ""
    precision: str = ""
    library: str = ""
    models: tuple[ModelRef, ...] = ()
    seed: int = 0
    generative: bool = False
    confidence_basis: str = "none"
    scores: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    input_digest: str = ""
    output_digest: str = ""
    observed: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the hashed part as a JSON-able dictionary (``observed`` left out)."""
        return {
            "step": self.step,
            "params": dict(self.params),
            "provider": self.provider,
            "precision": self.precision,
            "library": self.library,
            "models": [m.to_json() for m in self.models],
            "seed": self.seed,
            "generative": self.generative,
            "confidence_basis": self.confidence_basis,
            "scores": dict(self.scores),
            "notes": list(self.notes),
            "input_digest": self.input_digest,
            "output_digest": self.output_digest,
        }


@runtime_checkable
class Step(Protocol):
    """A small frozen dataclass of parameters that knows how to do one thing to a canvas."""

    name: ClassVar[str]

    def resolve(self, canvas: Canvas, services: Services) -> Step:
        """Return the step with everything fixed that only the pixels or this machine can tell."""
        ...

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Do it. The engine composites, digests and times; a step need not."""
        ...
