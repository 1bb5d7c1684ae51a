"""What a step may ask of the house around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tratto.core.capability import Use

if TYPE_CHECKING:
    from tratto.core.canvas import Canvas
    from tratto.core.journal import Journal
    from tratto.core.recipe import Recipe
    from tratto.core.step import StepRecord

T = TypeVar("T")


class Services(Protocol):
    """Provided by a job to every step."""

    @property
    def seed(self) -> int:
        """The recipe's seed."""

    def settle(self, use: Use[T]) -> Use[T]:
        """Return a use with ``"auto"`` turned into a name and its parameters checked and completed.

        Raises
        ------
        OptionError
            If there is no such provider, or it does not offer this scale or these parameters.
        UnavailableError
            If it is not ready here; the message names the command that would change that.
        """

    def open(self, use: Use[T]) -> T:
        """Return an opened provider: the one door for all capabilities.

        Raises
        ------
        OptionError, UnavailableError
            As :meth:`settle`.
        """

    def scratch(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
        """Return a zeroed array, memory-mapped from a temporary file when large."""

    def journal(self, key: str) -> Journal:
        """Return what an earlier run with the same key found before it was killed, to go on from it and add to it.

        Parameters
        ----------
        key : str
            A digest of all that decides what is found.
        """

    def progress(self, stage: str, done: int, total: int) -> None:
        """Report progress; also the place where a cancelled job stops."""

    def run(self, recipe: Recipe, canvas: Canvas) -> tuple[Canvas, tuple[StepRecord, ...]]:
        """Run a nested recipe through the engine."""
