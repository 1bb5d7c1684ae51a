"""Take back mild blur at the same size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from tratto.steps.denoise import RestorerStep


@dataclass(frozen=True)
class Deblur(RestorerStep):
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
