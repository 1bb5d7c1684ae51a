"""What a job may ask of the session it runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tratto.core.canvas import Canvas
from tratto.core.capability import Captioner, Inpainter, Restorer
from tratto.core.recipe import Recipe
from tratto.core.step import StepRecord
from tratto.imaging.scratch import allocate
from tratto.session.options import Progress

if TYPE_CHECKING:
    from tratto.session.jobs import Session


class JobServices:
    """The services of one job; see :class:`tratto.core.services.Services`."""

    def __init__(self, session: Session, seed: int, fast: bool, progress: Progress) -> None:
        self._session, self._seed, self._fast, self._progress = session, seed, fast, progress

    @property
    def seed(self) -> int:
        """Seed of everything random in this job."""
        return self._seed

    @property
    def fast(self) -> bool:
        """Whether lower precision is allowed."""
        return self._fast

    def choose_restorer(self, provider: str, scale: int, params: dict[str, Any]) -> str:
        """Return the name of the restorer that ``auto`` stands for."""
        from tratto.providers.restorer import choose_restorer

        return choose_restorer(provider, scale, params)

    def open_restorer(self, provider: str, scale: int, params: dict[str, Any]) -> Restorer:
        """Return an opened restorer."""
        return self._session.restorer(provider, scale, params)

    def choose_inpainter(self, provider: str, params: dict[str, Any] | None = None) -> str:
        """Return the name of the in-painter that ``auto`` stands for."""
        from tratto.providers.inpainter import choose_inpainter

        return choose_inpainter(provider, params)

    def open_inpainter(self, provider: str, params: dict[str, Any] | None = None) -> Inpainter:
        """Return an opened in-painter."""
        return self._session.inpainter(provider, params)

    def open_captioner(self, provider: str) -> Captioner:
        """Return an opened captioner."""
        return self._session.captioner(provider)

    def scratch(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
        """Return a large array, on disk where memory would not do."""
        return allocate(shape, dtype)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Report progress; raises to stop the job."""
        self._progress(stage, done, total)

    def run(self, recipe: Recipe, canvas: Canvas) -> tuple[Canvas, tuple[StepRecord, ...]]:
        """Run a recipe inside this job; return the canvas and what was done."""
        from tratto.engine.run import run

        outcome = run(recipe, canvas, self)
        return outcome.canvas, outcome.records
