"""Enlarge two or four times."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from tratto.core.canvas import Canvas
from tratto.core.errors import OptionError
from tratto.core.image import Kernel
from tratto.core.services import Services
from tratto.imaging.resample import KERNELS
from tratto.steps.denoise import RestorerStep, seen_sigma


@dataclass(frozen=True)
class Upscale(RestorerStep):
    """Parameters of the step.

    Attributes
    ----------
    scale : int
        2, 3 or 4; which of them exist depends on the provider.
    provider : str
        Name in the restorer table, or ``"auto"``.
    strength : float
        0 gives the plain ``kernel`` enlargement, 1 the provider's full effect.
    kernel : str
        How pixels outside a mask, and the share ``1 - strength``, are enlarged.
    noise_sigma : float or None
        Noise level in 1/255 for providers that take one.
    fast : bool
        Lower precision allowed.
    params : dict
        Further parameters of the provider, JSON-able.
    """

    scale: int = 2
    provider: str = "auto"
    strength: float = 1.0
    kernel: Kernel = "bicubic"
    noise_sigma: float | None = None
    fast: bool = False
    params: dict[str, Any] = field(default_factory=dict)
    name: ClassVar[str] = "upscale"

    def __post_init__(self) -> None:
        if self.scale not in (2, 3, 4):
            raise OptionError(f"scale must be 2, 3 or 4, got {self.scale}")
        if self.kernel not in KERNELS:
            raise OptionError(f"unknown kernel {self.kernel!r}; choose one of {', '.join(KERNELS)}")

    def resolve(self, canvas: Canvas, services: Services) -> Upscale:
        """Fix the noise level."""
        return replace(self, noise_sigma=seen_sigma(self.noise_sigma, canvas))
