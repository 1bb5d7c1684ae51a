"""Make an object in space of one photograph: its outline, the shape that a network tells, and a fit of both."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tratto.core.canvas import Canvas
from tratto.core.capability import BackgroundRemover, DescriberInfo, Rasterizer, ShellTeller, Use
from tratto.core.errors import InputError, OptionError
from tratto.core.image import Image
from tratto.core.recipe import step_params
from tratto.core.services import Services
from tratto.core.step import BaseStep, StepRecord

Array = NDArray[np.float32]
#: Horizontal angle of a photograph of which nothing is known, degrees: that of a lens of 50 mm on 35 mm film.
USUAL_ANGLE = 39.6
#: Of the EXIF block: focal length on 35 mm film, and that film's diagonal, mm.
FOCAL_35, DIAGONAL = 0xA405, 43.27
#: Role of a mask of the object.
OBJECT = "object"
Outline = Literal["auto", "alpha", "mask", "found"]


@dataclass(frozen=True)
class LiftPhoto(BaseStep):
    """Parameters of the step.

    Attributes
    ----------
    outline : str
        Who says what the object is: ``alpha`` (the picture's transparency), ``mask`` (the input ``object``), ``found``
        (a provider), or ``auto``: the first of mask and alpha that there is, else found.
    focal : float
        Of the photograph, pixels; 0: what its EXIF says, else that of a usual lens.
    elevation : float or None
        Degrees that the camera stands above the object's middle; None: as the shape's provider tells it.
    side : int
        Of the square around the object, pixels.
    views, steps : int
        Renderings from around, and steps of the optimiser; see :class:`tratto.scene.complete.Completion`.
    refine : int
        Rounds of MVCRM with ``restore`` on the renderings.
    background, provider, rasterizer : str
        Providers of outlines, of shapes and of rasterizers.
    """

    outline: Outline = "auto"
    focal: float = 0.0
    elevation: float | None = None
    side: int = 256
    views: int = 16
    steps: int = 200
    refine: int = 0
    background: str = "auto"
    provider: str = "auto"
    rasterizer: str = "auto"
    name: ClassVar[str] = "lift-photo"
    #: It shows what lies behind the photograph.
    invents: ClassVar[bool] = True

    @property
    def uses(self) -> tuple[Use[Any], ...]:
        """Whoever tells the shape, whoever renders, and who finds the outline where nobody has drawn it."""
        teller: Use[ShellTeller] = Use("shell", self.provider)
        draws: Use[Rasterizer] = Use("rasterizer", self.rasterizer)
        if self.outline in ("alpha", "mask"):
            return (teller, draws)
        finder: Use[BackgroundRemover] = Use("background", self.background)
        return (teller, draws, finder)

    def named(self, uses: tuple[Use[Any], ...]) -> LiftPhoto:
        """Return the step with its providers named."""
        names = {u.capability: u.provider for u in uses}
        found = names.get("background", self.background)
        return replace(self, provider=names["shell"], rasterizer=names["rasterizer"], background=found)

    def seconds(self, masks: Any, services: Services) -> float:
        """Return the time on two cores: opening and matting, and the optimiser's steps at the square's size."""
        return 15 + 0.05 * self.steps * (self.side / 256) ** 2 + 6.0 * self.refine

    def resolve(self, canvas: Canvas, services: Services) -> LiftPhoto:
        """Return the step with what only the photograph tells: whose outline counts, and its focal length."""
        outline = outline_of(self.outline, canvas)
        # a receipt names nobody who was not asked
        background = self.background if outline == "found" else ""
        return replace(self, outline=outline, background=background, focal=self.focal or focal_of(canvas.source))

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Lift the object, and lay a strip of it."""
        from tratto.imaging.cutout import own_colors
        from tratto.imaging.opening import as_shown
        from tratto.scene.complete import Completion, completed
        from tratto.scene.measures import psnr
        from tratto.scene.optimize import Settings
        from tratto.scene.rasterize import USUAL
        from tratto.scene.shell import COVERED, framed, gaussians, network_input, photographed
        from tratto.steps.reconstruct import strip

        before = time.perf_counter()
        teller: ShellTeller = services.open(self.uses[0])
        draws: Rasterizer = services.open(self.uses[1])
        infos: list[DescriberInfo] = [teller.info, draws.info]
        picture = as_shown(canvas.source)
        finder = self.uses[2] if self.outline == "found" else None
        alpha = outlined(canvas, picture, self.outline, finder, services, infos)
        color = own_colors(picture, alpha)
        try:
            frame = framed(alpha)
        except InputError as e:
            if self.outline != "mask":
                raise
            raise InputError(
                "the mask of the object marks hardly a pixel: white, or at least lighter than half grey, is the object"
            ) from e
        shell = teller.tell(network_input(color, alpha, frame))
        elevation = shell.elevation if self.elevation is None else self.elevation
        view = photographed(color, alpha, frame, self.focal, elevation, self.side)
        if view.alpha is None or not (view.alpha > COVERED / 2).any():
            raise InputError(
                f"the object is too thin: nothing of it is left where its {frame.length:.0f} pixels fit into a square "
                f"of {self.side}; raise --side, or give a photograph of a more compact object"
            )
        how = Completion(self.views, steps=self.steps, seed=services.seed)
        scene = completed(gaussians(view, shell), view, elevation, how, services.progress, draws)
        scores = {"elevation": float(elevation)}
        if self.refine:
            scene, more = self._refined(scene, view, elevation, services, draws)
            scores |= more
        white = (1.0, 1.0, 1.0)
        shown = draws.render(scene, view.camera, white, USUAL).color
        scores["photograph_psnr"] = psnr(shown, view.over(white))
        invented = int((scene.seen == 0).sum())
        notes = [
            f"{invented} of {len(scene)} Gaussians lie where the photograph does not look: they are invented",
            "what lies behind and at the sides is a guess from one photograph, and its true shape may be another",
        ]
        own = own_alpha(canvas.source)
        if self.outline == "found" and own is not None and float(own.min()) < 1:
            notes.append("the photograph's transparency tells no object from its ground, and was not used")
        record = StepRecord(
            self.name,
            step_params(self),
            provider=teller.info.provider,
            precision="fp32",
            library=", ".join(dict.fromkeys(i.library for i in infos if i.library)),
            models=tuple(m for i in infos for m in i.models),
            seed=services.seed,
            generative=True,
            scores={k: round(v, 4) for k, v in scores.items()},
            notes=tuple(notes),
            observed={"fitting_seconds": round(time.perf_counter() - before, 2)},
        )
        return canvas.replace(scene=scene, sheet=strip(scene, [view], Settings())), record

    def _refined(
        self, scene: Any, view: Any, elevation: float, services: Services, draws: Rasterizer
    ) -> tuple[Any, dict[str, float]]:
        """Run MVCRM with restore on what is seen from around; what the photograph shows stays its own."""
        from tratto.scene.complete import Completion, around
        from tratto.scene.optimize import Settings
        from tratto.scene.refine import Refinement, refine
        from tratto.steps.reconstruct import enhancer

        changed: list[float] = []
        cameras = [v.camera for v in around(scene, view, elevation, Completion(self.views), draws)]
        how = Refinement(rounds=self.refine, steps=150)
        settings = Settings(seed=services.seed, strategy=None)
        better = refine(scene, cameras, enhancer(services, changed), settings, how, services.progress)
        kept = scene.seen[:, None] > 0
        harmonics = np.where(kept[..., None], scene.harmonics, better.harmonics)
        moved: Any = {}
        for name in ("positions", "rotations", "scales", "opacities"):
            new = getattr(better, name)
            moved[name] = np.where(kept[:, 0] if new.ndim == 1 else kept, getattr(scene, name), new)
        return replace(scene, harmonics=harmonics, **moved), {"enhanced_change": float(np.mean(changed))}


def outline_of(outline: Outline, canvas: Canvas) -> Outline:
    """Return who says what the object is, ``auto`` settled: the mask that was given, the transparency, or a finder."""
    if outline != "auto":
        return outline
    return "mask" if OBJECT in canvas.inputs else "alpha" if _cut_out(canvas.source) else "found"


def outlined(
    canvas: Canvas,
    picture: Array,
    outline: Outline,
    finder: Use[BackgroundRemover] | None,
    services: Services,
    infos: list[DescriberInfo],
) -> Array:
    """Return how much of each pixel the object covers, (H, W) float32 in [0, 1].

    Parameters
    ----------
    canvas : Canvas
        With the photograph, and a mask of the object where one is given.
    picture : (H, W, 3) float32
        As it is shown.
    outline : str
        Settled by :func:`outline_of`.
    finder : Use or None
        Who finds it, where it is ``found``.
    services : Services
        Open the networks and hear of progress.
    infos : list of DescriberInfo
        Gets the finder's.

    Raises
    ------
    OptionError
        If the mask or the transparency is not there, or the mask is of another size.
    """
    from tratto.imaging.cutout import matted
    from tratto.imaging.io import oriented
    from tratto.imaging.masks import mask_from_picture

    source = canvas.source
    if outline == "mask":
        if OBJECT not in canvas.inputs:
            raise OptionError(f"the outline is to be that of a mask: give {{{OBJECT}}}, white where the object is")
        mask = canvas.inputs[OBJECT]
        values: Array = oriented(mask_from_picture(mask), mask.meta.orientation)
        if values.shape != picture.shape[:2]:
            raise OptionError(
                f"the mask of the object is {values.shape[1]}x{values.shape[0]}, the photograph as shown "
                f"{picture.shape[1]}x{picture.shape[0]}; they must be of one size"
            )
        return np.asarray(values, np.float32)
    if outline == "alpha" or finder is None:
        own = own_alpha(source)
        if own is None:
            raise OptionError("the outline is to be the photograph's own, and it has no transparency")
        return np.ascontiguousarray(oriented(own, source.meta.orientation))
    services.progress("outline", 0, 1)
    opened = services.open(finder)
    infos.append(opened.info)
    return matted(picture, opened.cover(picture))


def _cut_out(image: Image) -> bool:
    """Return whether a picture's transparency tells an object from its ground."""
    own = own_alpha(image)
    if own is None:
        return False
    opaque = own > 0.5
    if not opaque.any():
        raise InputError(
            "the photograph is more than half transparent all over, and no object is told from hidden colours; save it "
            "without transparency, or with the object opaque"
        )
    return not bool(opaque.all())


def own_alpha(image: Image) -> Array | None:
    """Return how opaque each pixel is as stored, 0 to 1: of an alpha plane or a palette. None: there is neither.

    Examples
    --------
    >>> from tratto.core.image import ColorMode
    >>> own_alpha(Image(np.zeros((2, 3), np.uint8), ColorMode.GRAY)) is None
    True
    """
    if image.palette is not None:
        levels = image.palette[:, 3].astype(np.float32) / np.float32(255)
        return None if bool((levels == 1).all()) else np.asarray(levels[image.pixels], np.float32)
    if image.alpha is None:
        return None
    return np.asarray(image.alpha).astype(np.float32) / np.float32(image.max_value)


def focal_of(image: Image) -> float:
    """Return a photograph's focal length in pixels: of its EXIF block, else that of a usual lens.

    Examples
    --------
    >>> from tratto.core.image import ColorMode
    >>> round(focal_of(Image(np.zeros((400, 600), np.uint8), ColorMode.GRAY)), 1)
    833.3
    """
    from tratto.imaging.io.exif import parse

    if image.meta.exif:
        entry = parse(image.meta.exif).exif.get(FOCAL_35)
        numbers = entry.numbers() if entry else ()
        if numbers and 5 <= numbers[0] <= 2000:
            return float(numbers[0] * np.hypot(image.width, image.height) / DIAGONAL)
    return float(max(image.width, image.height) / 2 / np.tan(np.radians(USUAL_ANGLE) / 2))
