"""Fit Gaussians to views that a model makes of one picture of an object. All of it is invented."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tratto.core.canvas import Canvas
from tratto.core.capability import Rasterizer, Use, ViewMaker
from tratto.core.errors import OptionError
from tratto.core.recipe import step_params
from tratto.core.services import Services
from tratto.core.step import BaseStep, StepRecord

#: Role of a mask of the object.
OBJECT = "object"


@dataclass(frozen=True)
class LiftViews(BaseStep):
    """Parameters of the step.

    Attributes
    ----------
    provider : str
        Who makes the views.
    params : mapping
        Its parameters.
    elevation : float
        Degrees that the picture's camera stands above the horizon.
    steps, gaussians, most : int
        Of the optimiser; of those it begins with; that there may be.
    rasterizer : str
    """

    provider: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    elevation: float = 0.0
    steps: int = 1000
    gaussians: int = 8000
    most: int = 10_000
    rasterizer: str = "auto"
    name: ClassVar[str] = "lift-views"
    #: It shows the object from sides that the picture does not.
    invents: ClassVar[bool] = True

    @property
    def uses(self) -> tuple[Use[Any], ...]:
        """Who makes the views, and who renders."""
        maker: Use[ViewMaker] = Use("views", self.provider, self.params)
        draws: Use[Rasterizer] = Use("rasterizer", self.rasterizer)
        return maker, draws

    def named(self, uses: tuple[Use[Any], ...]) -> LiftViews:
        """Return the step with its providers and their parameters named."""
        maker, draws = uses
        return replace(self, provider=maker.provider, params=dict(maker.params), rasterizer=draws.provider)

    def resolve(self, canvas: Canvas, services: Services) -> LiftViews:
        """Return the step as it is: its picture decides nothing before the model has seen it."""
        return self

    def seconds(self, masks: Any, services: Services) -> float:
        """Return the time of the optimiser on two cores; that of the model is known to nobody before."""
        return 20 + 0.02 * self.steps

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Have the views made, fit the scene, and lay a strip of it."""
        from tratto.imaging.opening import as_shown
        from tratto.scene.optimize import QUICK, Mcmc, Settings, reconstruct
        from tratto.scene.views import visual_hull
        from tratto.steps.reconstruct import strip

        before = time.perf_counter()
        maker: ViewMaker = services.open(self.uses[0])
        draws: Rasterizer = services.open(self.uses[1])
        whole = np.concatenate([as_shown(canvas.source), self._alpha(canvas)[..., None]], axis=2)

        def told(done: int, total: int) -> None:
            services.progress("views", done, total)

        views = maker.make(whole, self.elevation, services.seed, told)
        empty = [i for i, v in enumerate(views) if v.alpha is not None and float(v.alpha.max()) < 0.5]
        if empty:
            raise OptionError(
                f"{len(empty)} of {len(views)} views that {self.provider} made show nothing on their ground"
            )
        settings = Settings(self.steps, services.seed, strategy=Mcmc(most=max(self.most, self.gaussians)), rates=QUICK)
        start = visual_hull(views, self.gaussians, services.seed)
        made = reconstruct(views, start, settings, services.progress, draws=draws)
        scene = replace(made, seen=np.zeros_like(made.seen))
        record = StepRecord(
            self.name,
            step_params(self),
            provider=maker.info.provider,
            precision=draws.info.precision,
            library=f"{maker.info.library}, {draws.info.library}",
            models=maker.info.models,
            seed=services.seed,
            generative=True,
            scores={"views": float(len(views))},
            notes=("all Gaussians are invented: they are fitted to views that a model made of the picture",),
            observed={"fitting_seconds": round(time.perf_counter() - before, 2)},
        )
        return canvas.replace(scene=scene, sheet=strip(scene, views[:4], settings)), record

    def _alpha(self, canvas: Canvas) -> NDArray[np.float32]:
        """Return how much of each pixel the object covers: a mask, or the picture's transparency."""
        from tratto.imaging.io import oriented
        from tratto.imaging.masks import mask_from_picture
        from tratto.steps.lift_photo import own_alpha

        source, mask = canvas.source, canvas.inputs.get(OBJECT)
        if mask is not None:
            values: Any = oriented(mask_from_picture(mask), mask.meta.orientation)
        elif (own := own_alpha(source)) is not None:
            values = oriented(own, source.meta.orientation)
        else:
            raise OptionError(
                "views are made of an object that is cut out: give a picture with transparency, or {object}, a grey "
                "picture that is white where the object is"
            )
        shown = oriented(source.pixels, source.meta.orientation).shape[:2]
        if values.shape != shown:
            raise OptionError(f"the mask of the object is {values.shape[::-1]}, the picture {shown[::-1]} pixels")
        return np.ascontiguousarray(values, np.float32)
