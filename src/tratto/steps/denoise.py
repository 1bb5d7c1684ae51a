"""Remove noise, compression artefacts and mild blur at the same size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

from tratto.core.canvas import Canvas
from tratto.core.capability import Restorer, Use
from tratto.core.errors import OptionError
from tratto.core.recipe import step_params
from tratto.core.services import Services
from tratto.core.step import BaseStep, StepRecord
from tratto.engine.notes import provider_notes
from tratto.steps.pixels import run_restorer

Damage = Literal["noise", "jpeg"]
#: Providers that have one network for noise and one for JPEG traces.
OWN = ("tratto", "tratto-openvino")


def seen_sigma(stated: float | None, canvas: Canvas) -> float | None:
    """Return the noise level (1/255) that was stated, or that the inspection saw; None: neither."""
    if stated is None and canvas.inspection is not None and canvas.inspection.noise_sigma.value is not None:
        return round(float(canvas.inspection.noise_sigma.value), 2)
    return stated


class RestorerStep(BaseStep):
    """A step that is one run of a restorer over the picture."""

    provider: str
    fast: bool
    params: dict[str, Any]
    noise_sigma: float | None = None
    grid: tuple[int, int] = (0, 0)
    name: ClassVar[str]

    def resolve(self, canvas: Canvas, services: Services) -> Self:
        """Return the step itself: nothing is left to fix."""
        return self

    @property
    def uses(self) -> tuple[Use[Restorer], ...]:
        """The restorer."""
        return (Use("restorer", self.provider, self.params, self.scale, self.fast),)

    def named(self, uses: tuple[Use[Any], ...]) -> Self:
        """Return the step with its provider fixed."""
        return replace(self, provider=uses[0].provider)  # type: ignore[type-var]

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Run the restorer on every tile and write the record."""
        restorer = services.open(self.uses[0])
        info = restorer.info
        done = run_restorer(canvas.image, restorer, services, self.name, self.noise_sigma, self.grid)
        record = StepRecord(
            step=self.name,
            params=step_params(self),
            provider=info.provider,
            precision=info.precision,
            library=info.library,
            models=info.models,
            seed=services.seed,
            generative=info.generative,
            confidence_basis=done.basis,
            notes=provider_notes(info, self.fast),
            observed={"tiles": done.tiles},
        )
        return canvas.replace(image=done.image, sigma=done.sigma), record


@dataclass(frozen=True)
class Denoise(RestorerStep):
    """Parameters of the step.

    Attributes
    ----------
    provider : str
        Name in the restorer table, or ``"auto"``.
    strength : float
        0 leaves the picture as it is, 1 is the provider's full effect.
    noise_sigma : float or None
        Noise level in 1/255 for providers that take one. None: taken from the inspection.
    fast : bool
        Lower precision allowed.
    params : dict
        Further parameters of the provider, JSON-able.
    damage : str
        What outweighs: ``"noise"`` or ``"jpeg"``. Our own provider has a network for each.
    grid : (int, int)
        Row and column, each 0-7, where the first whole block of the picture's JPEG compression begins.
    """

    provider: str = "auto"
    strength: float = 1.0
    noise_sigma: float | None = None
    fast: bool = False
    params: dict[str, Any] = field(default_factory=dict)
    damage: Damage = "noise"
    grid: tuple[int, int] = (0, 0)
    name: ClassVar[str] = "denoise"

    def __post_init__(self) -> None:
        """Check what a recipe from a file may hold."""
        if self.damage not in ("noise", "jpeg"):
            raise OptionError(f"damage is 'noise' or 'jpeg', got {self.damage!r}")
        grid = tuple(self.grid)
        if len(grid) != 2 or any(not isinstance(g, int) or isinstance(g, bool) or not 0 <= g < 8 for g in grid):
            raise OptionError(f"grid is a row and a column, each 0-7, got {self.grid!r}")
        object.__setattr__(self, "grid", grid)

    def resolve(self, canvas: Canvas, services: Services) -> Denoise:
        """Fix the noise level."""
        return replace(self, noise_sigma=seen_sigma(self.noise_sigma, canvas))

    def named(self, uses: tuple[Use[Any], ...]) -> Denoise:
        """Return the step with its provider fixed, and with it which of our own networks is meant."""
        provider, params = uses[0].provider, self.params
        if provider in OWN and "network" not in params:
            params = {**params, "network": self.damage}
        return replace(self, provider=provider, params=params)
