"""Remove noise, compression artefacts and mild blur at the same size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from tratto.core.canvas import Canvas
from tratto.core.capability import RestoredTile, Restorer, RestorerInfo, Use
from tratto.core.errors import OptionError
from tratto.core.image import ColorMode
from tratto.core.recipe import step_params
from tratto.core.services import Services
from tratto.core.step import BaseStep, StepRecord
from tratto.engine.notes import provider_notes
from tratto.steps.pixels import run_restorer

Degradation = Literal["noise", "real", "jpeg"]
#: Providers that have a network for each.
OWN = ("tratto", "tratto-openvino")
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


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

    def opened(self, canvas: Canvas, services: Services) -> Restorer:
        """Return the restorer for this picture."""
        restorer: Restorer = services.open(self.uses[0])
        return restorer

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Run the restorer on every tile and write the record."""
        restorer = self.opened(canvas, services)
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
        The degradation that outweighs, under the name that recipes have had for it since version 0.1: ``"noise"`` that
        is white, ``"real"`` noise as cameras, film and files have it, or ``"jpeg"``. Our own provider has a network for
        each.
    grid : (int, int)
        Row and column, each 0-7, where the first whole block of the picture's JPEG compression begins.
    limit : float or None
        Largest change, in 1/255 as rms over 17 pixels, that is let through: where the provider takes away more than the
        noise that was measured, it is texture. None: as the provider says.
    tint : tuple of float
        Of a picture of one tint: constant, factor and factor of the square by which each of R, G, B follows from luma.
        It is cleaned as a grey picture, since its noise is one and not three. Empty: it has colours.
    """

    provider: str = "auto"
    strength: float = 1.0
    noise_sigma: float | None = None
    fast: bool = False
    params: dict[str, Any] = field(default_factory=dict)
    damage: Degradation = "noise"
    grid: tuple[int, int] = (0, 0)
    limit: float | None = None
    tint: tuple[float, ...] = ()
    name: ClassVar[str] = "denoise"

    def __post_init__(self) -> None:
        """Check what a recipe from a file may hold."""
        if self.damage not in get_args(Degradation):
            raise OptionError(f"damage is {' or '.join(map(repr, get_args(Degradation)))}, got {self.damage!r}")
        grid = tuple(self.grid)
        if len(grid) != 2 or any(not isinstance(g, int) or isinstance(g, bool) or not 0 <= g < 8 for g in grid):
            raise OptionError(f"grid is a row and a column, each 0-7, got {self.grid!r}")
        object.__setattr__(self, "grid", grid)
        if self.limit is not None and not 0 < self.limit < float("inf"):
            raise OptionError(f"limit is a number above 0, in 1/255, got {self.limit!r}")
        tint = tuple(float(v) for v in self.tint)
        if len(tint) not in (0, 9):
            raise OptionError(f"tint is nine numbers, three for each channel, or none; got {len(tint)}")
        object.__setattr__(self, "tint", tint)

    def resolve(self, canvas: Canvas, services: Services) -> Denoise:
        """Fix the noise level."""
        return replace(self, noise_sigma=seen_sigma(self.noise_sigma, canvas))

    def named(self, uses: tuple[Use[Any], ...]) -> Denoise:
        """Return the step with its provider fixed, and with it which of our own networks is meant."""
        provider, params = uses[0].provider, self.params
        if provider in OWN and "network" not in params:
            params = {**params, "network": self.damage}
        return replace(self, provider=provider, params=params)

    def opened(self, canvas: Canvas, services: Services) -> Restorer:
        """Return the restorer, with what holds it back."""
        restorer = super().opened(canvas, services)
        if self.tint and canvas.image.mode is ColorMode.RGB:
            restorer = Tinted(restorer, self.tint)
        return restorer if self.limit is None else Limited(restorer, self.limit)


class Tinted:
    """A restorer that sees a picture of one tint as a grey one, and gives it back in its tint.

    Parameters
    ----------
    restorer : Restorer
        At x1.
    tint : tuple of nine float
        See :class:`Denoise`.
    """

    def __init__(self, restorer: Restorer, tint: tuple[float, ...]) -> None:
        self._restorer = restorer
        self._tint = np.asarray(tint, np.float32).reshape(3, 3)

    @property
    def info(self) -> RestorerInfo:
        """Facts about the restorer."""
        return self._restorer.info

    def restore(self, tile: NDArray[np.float32], noise_sigma: float | None = None) -> RestoredTile:
        """Restore one tile; see :class:`~tratto.core.capability.Restorer`."""
        luma = tile @ _LUMA
        done = self._restorer.restore(np.repeat(luma[..., None], 3, axis=2), noise_sigma)
        grey = done.image.mean(axis=2, dtype=np.float32)
        _, slope, bend = self._tint.T
        change = (grey - luma)[..., None] * (slope + bend * (grey + luma)[..., None])
        return RestoredTile(tile + change, done.sigma)


class Limited:
    """A restorer whose change is held to a limit, place by place.

    Noise has nearly the same strength everywhere; where a network takes away more than there is of it, the rest was
    texture. There the change is made smaller, by the ratio of the two variances, as Wiener's rule has it.

    Parameters
    ----------
    restorer : Restorer
        At x1.
    limit : float
        Largest rms of the change over 17 x 17 pixels, in 1/255.
    """

    RADIUS = 8

    def __init__(self, restorer: Restorer, limit: float) -> None:
        self._restorer, self._variance = restorer, np.float32((limit / 255) ** 2)
        info = restorer.info
        # three quarters of the overlap must cover the window, too
        more = -(-(self.RADIUS * 4 // 3 + 1) // info.multiple) * info.multiple
        border = info.overlap if info.border is None else info.border
        self._info = replace(info, overlap=info.overlap + more, border=border)

    @property
    def info(self) -> RestorerInfo:
        """Facts about the restorer, with the overlap that the window needs."""
        return self._info

    def restore(self, tile: NDArray[np.float32], noise_sigma: float | None = None) -> RestoredTile:
        """Restore one tile; see :class:`~tratto.core.capability.Restorer`."""
        import cv2

        done = self._restorer.restore(tile, noise_sigma)
        change = done.image - tile
        side = 2 * self.RADIUS + 1
        power = cv2.blur(np.square(change).mean(axis=2), (side, side), borderType=cv2.BORDER_REFLECT)
        share = np.minimum(1, self._variance / np.maximum(power, np.float32(1e-12))).astype(np.float32)
        return RestoredTile(tile + share[..., None] * change, done.sigma)
