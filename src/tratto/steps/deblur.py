"""Take back mild blur at the same size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from tratto.core.canvas import Canvas
from tratto.core.capability import Restorer, Use
from tratto.core.services import Services
from tratto.core.step import BaseStep, StepRecord
from tratto.steps.denoise import apply_restorer


@dataclass(frozen=True)
class Deblur(BaseStep):
    """Parameters of the step.

    Attributes
    ----------
    provider : str
        Name in the restorer table; ``"wiener"`` is the only one made for blur.
    strength : float
        0 leaves the picture as it is, 1 is the full effect.
    fast : bool
        Lower precision allowed; no effect on ``wiener``.
    params : dict
        ``blur``: softness of the edges in pixels; ``noise1`` to ``noise8``: the noise at 1, 2, 4
        and 8 pixels in 1/255, which holds the filter back.
    """

    provider: str = "wiener"
    strength: float = 1.0
    fast: bool = False
    params: dict[str, Any] = field(default_factory=dict)
    name: ClassVar[str] = "deblur"

    def resolve(self, canvas: Canvas, services: Services) -> Deblur:
        """Nothing is left to fix."""
        return self

    @property
    def uses(self) -> tuple[Use[Restorer], ...]:
        """The restorer."""
        return (Use("restorer", self.provider, self.params, 1, self.fast),)

    def named(self, uses: tuple[Use[Any], ...]) -> Deblur:
        """Return the step with its provider fixed."""
        return replace(self, provider=uses[0].provider)

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Sharpen every tile at its own size."""
        return apply_restorer(self, canvas, services, noise_sigma=None)
