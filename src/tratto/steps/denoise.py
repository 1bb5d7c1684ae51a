"""Remove noise, compression artefacts and mild blur at the same size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from tratto.core.canvas import Canvas
from tratto.core.capability import RestorerInfo
from tratto.core.errors import OptionError
from tratto.core.services import Services
from tratto.core.step import StepRecord
from tratto.steps.pixels import carry_error, run_restorer

Damage = Literal["noise", "jpeg"]
#: Providers that have one network for noise and one for JPEG traces.
OWN = ("tratto", "tratto-openvino")


@dataclass(frozen=True)
class Denoise:
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
        """Fix the provider and the noise level."""
        sigma = self.noise_sigma
        if sigma is None and canvas.inspection is not None and canvas.inspection.noise_sigma.value is not None:
            sigma = round(float(canvas.inspection.noise_sigma.value), 2)
        return replace(self.by(services.choose_restorer(self.provider, 1, self.params)), noise_sigma=sigma)

    def by(self, provider: str) -> Denoise:
        """Return the step with its provider fixed, and with it which of our own networks is meant."""
        params = self.params
        if provider in OWN and "network" not in params:
            params = {**params, "network": self.damage}
        return replace(self, provider=provider, params=params)

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Restore every tile at its own size."""
        return apply_restorer(self, canvas, services, scale=1, noise_sigma=self.noise_sigma, grid=self.grid)


def restorer_notes(info: RestorerInfo, fast: bool = False) -> tuple[str, ...]:
    """Return what a user should know about a restorer: invented detail, stand-ins, licences, a speed it does not have.

    Parameters
    ----------
    info : RestorerInfo
    fast : bool
        Whether lower precision was allowed.
    """
    notes = []
    if info.generative:
        notes.append(
            f"{info.provider} invents detail: what it adds was never in the picture. Not for examination or evidence"
        )
    if info.stand_in:
        notes.append(f"{info.provider} is a stand-in: {info.stand_in}")
    notes.extend(
        f"the weights of {m.id} are licensed {m.licence}: no commercial use"
        for m in info.models
        if not m.commercial_use
    )
    if fast and info.precision != "bf16":
        notes.append(
            f"fast changed nothing: {info.provider} computes in {info.precision} only; "
            "the provider tratto-openvino has bf16"
        )
    return tuple(notes)


def apply_restorer(
    step: Any,
    canvas: Canvas,
    services: Services,
    scale: int,
    noise_sigma: float | None,
    grid: tuple[int, int] = (0, 0),
) -> tuple[Canvas, StepRecord]:
    """Run the provider a step names and write its record; shared by the steps that are one restorer run."""
    from tratto.core.recipe import step_params

    restorer = services.open_restorer(step.provider, scale, {**step.params, "fast": step.fast})
    info = restorer.info
    done = run_restorer(canvas.image, restorer, services, step.name, noise_sigma, grid)
    if scale > 1 and canvas.sigma is not None:
        carry_error(done.sigma, canvas.sigma, scale)
    record = StepRecord(
        step=step.name,
        params=step_params(step),
        provider=info.provider,
        precision=info.precision,
        library=info.library,
        models=info.models,
        seed=services.seed,
        generative=info.generative,
        confidence_basis=done.basis,
        notes=restorer_notes(info, step.fast),
        observed={"tiles": done.tiles},
    )
    return canvas.replace(image=done.image, sigma=done.sigma), record
