"""Have a model go over the whole picture, by its depth, and take over what can be trusted. What it adds is invented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tratto.core.canvas import Canvas
from tratto.core.capability import DepthEstimator, DescriberInfo, Enhancer, Use
from tratto.core.errors import OptionError
from tratto.core.image import Depth
from tratto.core.recipe import step_params
from tratto.core.services import Services
from tratto.core.step import BaseStep, StepRecord

#: Role of a depth map that is given.
DEPTH = "depth"


@dataclass(frozen=True)
class Enhance(BaseStep):
    """Parameters of the step.

    Attributes
    ----------
    provider : str
        Who enhances.
    params : mapping
        Its parameters.
    amount : float
        Share of the way to noise.
    trust : float
        Change at which a pixel takes over a share of 1 / e.
    depth : str
        Who sees depth: ``given`` (the input ``depth``), ``geometric``, or a reference to a folder.
    """

    provider: str = "sdxl-lightning"
    params: Mapping[str, Any] = field(default_factory=dict)
    amount: float = 0.5
    trust: float = 0.35
    depth: str = "geometric"
    name: ClassVar[str] = "enhance"
    #: Forensic mode refuses it.
    invents: ClassVar[bool] = True

    @property
    def uses(self) -> tuple[Use[Any], ...]:
        """The model, and whoever sees depth."""
        from tratto.providers.depth import depth_use

        model: Use[Enhancer] = Use("enhancer", self.provider, self.params)
        if self.depth == "given":
            return (model,)
        return (model, depth_use(self.depth))

    def named(self, uses: tuple[Use[Any], ...]) -> Enhance:
        """Return the step with the parameters of its providers settled."""
        seer = "given" if len(uses) == 1 else str(uses[1].params.get("model", uses[1].provider))
        return replace(self, provider=uses[0].provider, params=dict(uses[0].params), depth=seer)

    def resolve(self, canvas: Canvas, services: Services) -> Enhance:
        """Return the step as it is."""
        return self

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Enhance the picture, and blend."""
        from tratto.providers.depth import confident
        from tratto.providers.enhancer import blended
        from tratto.steps.diffuse import native_samples, near_is_one, shown

        image = canvas.image
        picture = shown(image, (0, 0, image.width, image.height))
        model: Enhancer = services.open(self.uses[0])
        infos: list[DescriberInfo] = [model.info]
        confidence: NDArray[np.float32] | float = 1.0
        if self.depth == "given":
            near = self._given(canvas)
        else:
            seer: DepthEstimator = services.open(self.uses[1])
            depth, confidence = confident(seer, picture)
            near = near_is_one(depth)
            infos.append(seer.info)

        def report(done: int, total: int) -> None:
            services.progress(self.name, done, total)

        made = model.enhance(picture, near, self.amount, services.seed, report)
        values = blended(picture, made, confidence, self.trust)
        native = native_samples(values, image)
        out = services.scratch(image.pixels.shape, image.pixels.dtype)
        out[:] = native
        sigma = services.scratch(image.pixels.shape[:2], np.uint16)
        sigma[:] = round(0.25 * 65535)  # the error of what a model invents is not known: the largest that can be told
        notes = ["detail was added by a diffusion model: it is invented, and no evidence"]
        notes += [f"the depth is of {i.provider}, a stand-in: {i.stand_in}" for i in infos if i.stand_in]
        record = StepRecord(
            step=self.name,
            params=step_params(self),
            provider=model.info.provider,
            precision=model.info.precision,
            library=model.info.library,
            models=tuple(m for info in infos for m in info.models),
            seed=services.seed,
            generative=True,
            confidence_basis="none",
            scores={
                "confidence": round(float(np.mean(confidence)), 4),
                "mean_change": round(float(np.abs(values - picture).mean()), 4),
            },
            notes=tuple(notes),
        )
        return canvas.replace(image=image.replace(pixels=out), sigma=sigma), record

    def _given(self, canvas: Canvas) -> NDArray[np.float32]:
        """Return the depth map that was given, near is 1."""
        from tratto.imaging.opening import as_shown
        from tratto.steps.diffuse import near_is_one

        if DEPTH not in canvas.inputs:
            raise OptionError("the enhancer is to go by a depth map that was given: give {depth}, near is white")
        values = as_shown(canvas.inputs[DEPTH]).mean(axis=2)
        if values.shape != (canvas.image.height, canvas.image.width):
            raise OptionError(
                f"the depth map is {values.shape[1]}x{values.shape[0]}, the picture "
                f"{canvas.image.width}x{canvas.image.height} as stored; they must be of one size"
            )
        return near_is_one(Depth(values, "relative", "larger"))
