"""Say what a picture shows, for the record and for inpainters that work from words; changes no pixel."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from tratto.core.canvas import Canvas
from tratto.core.capability import Captioner, ModelRef, Use
from tratto.core.errors import OptionError
from tratto.core.recipe import step_params
from tratto.core.services import Services
from tratto.core.step import BaseStep, StepRecord

#: The word that asks for a caption to be made.
AUTO = "auto"
LONGEST = 2000


@dataclass(frozen=True)
class Describe(BaseStep):
    """Parameters of the step.

    Attributes
    ----------
    caption : str
        What the picture shows, or ``auto``: a captioner says it.
    by : str
        Name of the captioner, or ``auto``; ``given`` for words that a person wrote. Empty: to be fixed.
    library, stand_in : str
        What ran it, and for what it stands in; fixed with it.
    models : list of dict
        Its weights, as receipts state them.
    """

    caption: str = AUTO
    by: str = ""
    library: str = ""
    stand_in: str = ""
    models: list[dict[str, Any]] = field(default_factory=list)
    name: ClassVar[str] = "describe"
    speed: ClassVar[float | None] = 4.0

    def __post_init__(self) -> None:
        if not isinstance(self.caption, str) or not self.caption.strip() or len(self.caption) > LONGEST:
            raise OptionError(f"a caption is a text of 1 to {LONGEST} characters, or auto; got {self.caption!r:.80}")

    def resolve(self, canvas: Canvas, services: Services) -> Describe:
        """Fix the words, so that a replay depends on no captioner."""
        from tratto.imaging.color import view_rgb

        if self.caption != AUTO:
            return replace(self, caption=" ".join(self.caption.split()), by=self.by or "given")
        captioner: Captioner = services.open(self.uses[0])
        mask = canvas.masks.get("edit")
        damaged = None if mask is None else float(np.count_nonzero(mask.values)) / mask.values.size
        said = captioner.caption(view_rgb(canvas.image), damaged)
        info = captioner.info
        models = [m.to_json() for m in info.models]
        text = " ".join(said.split())[:LONGEST]
        return replace(
            self, caption=text, by=info.provider, library=info.library, stand_in=info.stand_in, models=models
        )

    @property
    def uses(self) -> tuple[Use[Captioner], ...]:
        """The captioner, as long as there are no words."""
        if self.caption != AUTO:
            return ()
        name, colon, folder = (self.by or AUTO).partition(":")
        return (Use("captioner", name, {"model": folder} if colon else {}),)

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Put the words on the canvas."""
        if self.caption == AUTO or not self.by:
            raise OptionError("describe must be resolved before it is applied")
        notes = [f"the caption was made by {self.by}, a stand-in: {self.stand_in}"] if self.stand_in else []
        record = StepRecord(
            step=self.name,
            params=step_params(self),
            provider=self.by,
            library=self.library,
            models=tuple(ModelRef(**m) for m in self.models),
            seed=services.seed,
            confidence_basis="not edited",
            notes=tuple(notes),
        )
        return canvas.replace(caption=self.caption), record
