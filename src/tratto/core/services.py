"""What a step may ask of the house around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tratto.core.capability import Captioner, Inpainter, Restorer

if TYPE_CHECKING:
    from tratto.core.canvas import Canvas
    from tratto.core.recipe import Recipe
    from tratto.core.step import StepRecord


class Services(Protocol):
    """Provided by the session to every step."""

    @property
    def seed(self) -> int:
        """The recipe's seed."""
        ...

    @property
    def fast(self) -> bool:
        """True if lower precision is allowed (``--fast``)."""
        ...

    def choose_restorer(self, provider: str, scale: int, params: dict[str, Any]) -> str:
        """Turn ``"auto"`` into the name of the best provider present for this scale; check a name that is given."""
        ...

    def open_restorer(self, provider: str, scale: int, params: dict[str, Any]) -> Restorer:
        """Open (or fetch from this session's cache) a restorer by its exact name."""
        ...

    def choose_inpainter(self, provider: str, params: dict[str, Any] | None = None) -> str:
        """Turn ``"auto"`` into the name of the best in-painter of fine damage here; check a name that is given."""
        ...

    def open_inpainter(self, provider: str, params: dict[str, Any] | None = None) -> Inpainter:
        """Open (or fetch from this session's cache) an in-painter by its exact name."""
        ...

    def open_captioner(self, provider: str) -> Captioner:
        """Open a captioner by its name, or for ``"auto"`` the best that is here."""
        ...

    def scratch(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
        """Return a zeroed array, memory-mapped from a temporary file when large."""
        ...

    def progress(self, stage: str, done: int, total: int) -> None:
        """Report progress; also the place where a cancelled job stops."""
        ...

    def run(self, recipe: Recipe, canvas: Canvas) -> tuple[Canvas, tuple[StepRecord, ...]]:
        """Run a nested recipe through the engine."""
        ...
