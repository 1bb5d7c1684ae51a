"""What a step is and what it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from tratto.core.canvas import Canvas
from tratto.core.capability import ModelRef, Use
from tratto.core.image import Kernel, Mask
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
        From which the step drew; 0 where nothing is random.
    generative : bool
        True if a model may have invented pixels.
    confidence_basis : str
        ``"model"``, ``"self-ensemble"`` or ``"none"``: where the step's error estimate comes from.
    scores : mapping of str to float
        Figures by which something was chosen, such as those of a candidate search.
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
    """A small frozen dataclass of parameters that knows how to do one thing to a canvas.

    What the engine and the estimate of time ask for is declared here; :class:`BaseStep` gives each its usual value.

    Attributes
    ----------
    name : str
        In the step table.
    invents : bool
        True if it puts in what the source does not hold, whoever does it; refused by forensic mode.
    megapixels_per_second : float or None
        Speed on two cores, for estimates of time; None: that of the provider of its first use.
    uses : tuple of Use
        What it needs of the catalogue. After :meth:`resolve` no provider in it is ``"auto"``.
    mask : str
        Name of the mask of its own that it works under; empty: the whole edit mask.
    strength : float
        Share of the step that is in the picture, 0-1.
    scale : int
        How many times it enlarges.
    kernel : str
        How what may not change is enlarged; empty: as the step before.
    """

    name: ClassVar[str]
    invents: ClassVar[bool]

    @property
    def megapixels_per_second(self) -> float | None:
        """Speed on two cores."""

    def seconds(self, masks: Mapping[str, Mask], services: Services) -> float | None:
        """Time on the reference machine, where it depends on the mask; None: by speed and size."""

    @property
    def uses(self) -> tuple[Use[Any], ...]:
        """What it needs of the catalogue."""

    @property
    def mask(self) -> str:
        """Name of its own mask."""

    @property
    def strength(self) -> float:
        """Share of it that is in the picture."""

    @property
    def scale(self) -> int:
        """How many times it enlarges."""

    @property
    def kernel(self) -> Kernel | Literal[""]:
        """How what may not change is enlarged."""

    def resolve(self, canvas: Canvas, services: Services) -> Step:
        """Return the step with everything fixed that only the pixels or this machine can tell."""

    def named(self, uses: tuple[Use[Any], ...]) -> Step:
        """Return the step with its uses settled, as far as that needs no pixels; for estimates."""

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Do it. The engine composites, digests and times; a step need not."""


class BaseStep:
    """The usual values of the contract; a step overrides what differs, as a field or a class variable."""

    invents: ClassVar[bool] = False
    #: Megapixels per second on two cores, of steps that state their own.
    speed: ClassVar[float | None] = None
    mask: str = ""
    strength: float = 1.0
    scale: int = 1
    kernel: Kernel | Literal[""] = ""

    @property
    def megapixels_per_second(self) -> float | None:
        """Speed on two cores, for estimates of time; None: that of the provider."""
        return self.speed

    def seconds(self, masks: Mapping[str, Mask], services: Services) -> float | None:
        """Not known beside its speed."""
        return None

    @property
    def uses(self) -> tuple[Use[Any], ...]:
        """Nothing."""
        return ()

    def named(self, uses: tuple[Use[Any], ...]) -> Self:
        """Return the step itself: it keeps no name of a provider."""
        return self
