"""Fit Gaussians to views that a model makes of one photograph of an object, and to the photograph itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from tratto.core.canvas import Canvas
from tratto.core.capability import BackgroundRemover, DescriberInfo, Rasterizer, ShellTeller, Use, ViewMaker
from tratto.core.errors import OptionError
from tratto.core.recipe import step_params
from tratto.core.services import Services
from tratto.core.step import BaseStep, StepRecord
from tratto.steps.lift_photo import Outline, focal_of, outline_of, outlined

#: Elevations that SyncDreamer was trained for, degrees: what nobody stated is kept within them.
TRAINED = (-10.0, 40.0)


@dataclass(frozen=True)
class LiftViews(BaseStep):
    """Parameters of the step.

    Attributes
    ----------
    provider : str
        Who makes the views.
    params : mapping
        Its parameters.
    elevation : float or None
        Degrees that the photograph's camera stands above the object; None: as a provider of shapes tells it.
    steps, gaussians, most : int
        Of the optimiser; of those it begins with; that there may be.
    rasterizer : str
        Who renders: ``"auto"``, ``"cpu"`` or ``"gsplat"``.
    outline, background : str
        Who says what the object is, and who finds it where nobody does; as of
        :class:`tratto.steps.lift_photo.LiftPhoto`.
    focal : float
        Of the photograph, pixels; 0: what its EXIF says, else that of a usual lens.
    side : int
        Of the square around the object in the photograph, pixels, as it is fitted.
    shape : str
        Who tells the elevation.
    """

    provider: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    elevation: float | None = None
    steps: int = 1000
    gaussians: int = 8000
    most: int = 10_000
    rasterizer: str = "auto"
    outline: Outline = "auto"
    background: str = "auto"
    focal: float = 0.0
    side: int = 256
    shape: str = "auto"
    name: ClassVar[str] = "lift-views"
    #: It shows the object from sides that the photograph does not.
    invents: ClassVar[bool] = True

    @property
    def uses(self) -> tuple[Use[Any], ...]:
        """Who makes the views, who renders, and where it is to be found out, who tells elevation and outline."""
        maker: Use[ViewMaker] = Use("views", self.provider, self.params)
        draws: Use[Rasterizer] = Use("rasterizer", self.rasterizer)
        teller: Use[ShellTeller] = Use("shell", self.shape)
        finder: Use[BackgroundRemover] = Use("background", self.background)
        told = (teller,) if self.elevation is None else ()
        return (maker, draws, *told, *((finder,) if self.outline in ("auto", "found") else ()))

    def named(self, uses: tuple[Use[Any], ...]) -> LiftViews:
        """Return the step with its providers and their parameters named."""
        names = {u.capability: u.provider for u in uses}
        return replace(
            self, provider=uses[0].provider, params=dict(uses[0].params), rasterizer=names["rasterizer"],
            shape=names.get("shell", self.shape), background=names.get("background", self.background),
        )  # fmt: skip

    def resolve(self, canvas: Canvas, services: Services) -> LiftViews:
        """Return the step with what only the photograph tells: whose outline counts, and its focal length."""
        outline = outline_of(self.outline, canvas)
        # a receipt names nobody who was not asked
        background = self.background if outline == "found" else ""
        shape = self.shape if self.elevation is None else ""
        focal = self.focal or focal_of(canvas.source)
        return replace(self, outline=outline, background=background, shape=shape, focal=focal)

    def seconds(self, masks: Any, services: Services) -> float:
        """Return the time of the optimiser on two cores; that of the model is known to nobody before."""
        return 20 + 0.02 * self.steps

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Have the views made, fit the scene to them and the photograph, and lay a strip of it."""
        from tratto.imaging.cutout import own_colors
        from tratto.imaging.opening import as_shown
        from tratto.scene.generated import registered, shown_by
        from tratto.scene.measures import psnr
        from tratto.scene.optimize import QUICK, Mcmc, Settings, reconstruct
        from tratto.scene.shell import framed, network_input, photographed
        from tratto.scene.views import visual_hull
        from tratto.steps.reconstruct import strip

        before = time.perf_counter()
        opened = {use.capability: services.open(use) for use in self.uses if use.capability != "background"}
        maker, draws = opened["views"], opened["rasterizer"]
        infos: list[DescriberInfo] = [info.info for info in opened.values()]
        picture = as_shown(canvas.source)
        finder = self.uses[-1] if self.outline == "found" else None
        alpha = outlined(canvas, picture, self.outline, finder, services, infos)
        color = own_colors(picture, alpha)
        frame = framed(alpha)
        elevation = self.elevation
        if elevation is None:
            told = opened["shell"].tell(network_input(color, alpha, frame)).elevation
            elevation = float(np.clip(told, *TRAINED))

        def progress(done: int, total: int) -> None:
            services.progress("views", done, total)

        views = maker.make(np.concatenate([color, alpha[..., None]], axis=2), elevation, services.seed, progress)
        empty = [i for i, v in enumerate(views) if v.alpha is not None and float(v.alpha.max()) < 0.5]
        if empty:
            raise OptionError(
                f"{len(empty)} of {len(views)} views that {self.provider} made show nothing on their ground"
            )
        settings = Settings(
            self.steps // 2, services.seed, strategy=Mcmc(most=max(self.most, self.gaussians)), rates=QUICK
        )
        scene = visual_hull(views, self.gaussians, services.seed)
        scene = reconstruct(views, scene, settings, services.progress, draws=draws)
        own = registered(photographed(color, alpha, frame, self.focal, elevation, self.side), scene, draws)
        # the optimiser takes each view once a turn, and the photograph counts as much as all views together
        shown, settings = (
            [v for view in views for v in (view, own)],
            replace(settings, steps=self.steps - settings.steps),
        )
        scene = shown_by(reconstruct(shown, scene, settings, services.progress, draws=draws), own, draws)
        seen = int((scene.seen > 0).sum())
        again = draws.render(scene, own.camera, settings.background, settings.constants).color
        fit = psnr(again, own.over(settings.background))
        record = StepRecord(
            self.name,
            step_params(self),
            provider=maker.info.provider,
            precision=draws.info.precision,
            library=", ".join(dict.fromkeys(i.library for i in infos if i.library)),
            models=tuple(m for i in infos for m in i.models),
            seed=services.seed,
            generative=True,
            scores={
                "views": float(len(views)),
                "elevation": round(elevation, 4),
                "photograph_psnr": round(float(fit), 4),
            },
            notes=(
                f"{len(scene) - seen} of {len(scene)} Gaussians lie where the photograph does not look: they are "
                f"invented, fitted to {len(views)} views that {self.provider} made",
                "what lies behind and at the sides is a guess from one photograph, and its true shape may be another",
            ),
            observed={"fitting_seconds": round(time.perf_counter() - before, 2)},
        )
        return canvas.replace(scene=scene, sheet=strip(scene, [own, *views[:3]], settings)), record
