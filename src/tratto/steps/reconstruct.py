"""Fit Gaussians to photographs whose cameras are known."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import Scene
from tratto.core.canvas import Canvas
from tratto.core.capability import DescriberInfo, Enhancer, Rasterizer, Use
from tratto.core.errors import OptionError
from tratto.core.image import Image
from tratto.core.recipe import Recipe, step_params
from tratto.core.services import Services
from tratto.core.step import BaseStep, StepRecord

if TYPE_CHECKING:
    from tratto.scene.optimize import Settings
    from tratto.scene.views import View

#: Days after which the state of a run that was stopped is thrown away.
KEPT_DAYS = 14
#: Change of a rendering by a model at which it is trusted by 1 / e.
TRUST = 0.35
#: Pictures of the strip that shows the scene, and their side in pixels.
STRIP, STRIP_SIDE = 8, 160


@dataclass(frozen=True)
class Reconstruct(BaseStep):
    """Parameters of the step. The first camera is that of the picture that is worked on.

    Attributes
    ----------
    cameras : list of dict
        Each with ``role`` (of the input; ``"picture"`` is the first), ``camera`` and ``distortion``; see
        :class:`tratto.scene.captures.Shot`.
    held_out : list of str
        Roles of photographs that are not shown to the optimiser, and measured against.
    points : list of list
        Where it begins, x y z and red green blue (0-255), if ``start`` is ``"points"``.
    start : str
        ``auto`` (hull where all photographs have transparency, else points, else space), ``hull``, ``points``,
        ``space``.
    strategy : str
        ``mcmc``, ``default`` or ``none``; see :mod:`tratto.scene.optimize`.
    steps, gaussians, degree : int
        Of the optimiser, of those it begins with, and of the harmonics.
    most : int
        Gaussians that there may be.
    side : int
        Longest side of the photographs as they are used, pixels.
    refine : int
        Rounds of MVCRM with ``restore`` on the photographs' own views.
    gates : dict
        Parameters of :class:`tratto.scene.refine.Refinement`.
    provider : str
        Of rasterizers.
    enhancer : dict or None
        ``provider`` and ``params`` of who enhances renderings; None: ``restore``.
    """

    cameras: list[dict[str, Any]] = field(default_factory=list)
    held_out: list[str] = field(default_factory=list)
    points: list[list[float]] = field(default_factory=list)
    start: Literal["auto", "hull", "points", "space"] = "auto"
    strategy: Literal["mcmc", "default", "none"] = "mcmc"
    steps: int = 2000
    gaussians: int = 10000
    most: int = 12000
    degree: int = 0
    side: int = 512
    refine: int = 0
    gates: dict[str, Any] | None = None
    provider: str = "auto"
    enhancer: dict[str, Any] | None = None
    name: ClassVar[str] = "reconstruct"
    #: It shows what lies between and behind the photographs.
    invents: ClassVar[bool] = True

    @property
    def megapixels_per_second(self) -> float:
        """Speed on two cores, of the first photograph: 6 ms for each step, and 180 ms for each megapixel as used."""
        try:
            width, height = (int(v) for v in self.cameras[0]["camera"]["size"])
        except (IndexError, KeyError, TypeError, ValueError):  # refused when it is done
            return 1.0
        used = min(1.0, self.side / max(width, height, 1)) ** 2 * width * height / 1e6
        seconds = 20 + self.steps * (0.006 + 0.18 * used) * max(1.0, self.most / 12_000)
        return width * height / 1e6 / seconds

    @property
    def uses(self) -> tuple[Use[Any], ...]:
        """Whoever renders, and a model that enhances what is rendered, if one is to."""
        use: Use[Rasterizer] = Use("rasterizer", provider=self.provider)
        if self.enhancer is None:
            return (use,)
        other: Use[Enhancer] = Use("enhancer", self.enhancer["provider"], self.enhancer["params"])
        return (use, other)

    def named(self, uses: tuple[Use[Any], ...]) -> Reconstruct:
        """Return the step with its rasterizer named, and the enhancer's parameters settled."""
        named = replace(self, provider=uses[0].provider)
        if len(uses) == 1:
            return named
        return replace(named, enhancer={"provider": uses[1].provider, "params": dict(uses[1].params)})

    def resolve(self, canvas: Canvas, services: Services) -> Reconstruct:
        """Return the step with what the photographs decide: where it begins."""
        if len(self.cameras) < 2:
            raise OptionError(f"a reconstruction needs at least two photographs with cameras, got {len(self.cameras)}")
        if self.start != "auto":
            return self
        pictures = [_picture(canvas, c["role"]) for c in self.cameras]
        if all(_has_alpha(p) for p in pictures):
            return replace(self, start="hull")
        return replace(self, start="points" if len(self.points) >= 100 else "space")

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Fit the scene, measure it on the photographs held out, and lay a strip of it."""
        from tratto.scene.optimize import QUICK, Default, Mcmc, Settings, compare_views, reconstruct

        draws: Rasterizer = services.open(self.uses[0])
        views = {c["role"]: view_of(_picture(canvas, c["role"]), c, self.side) for c in self.cameras}
        shown = [v for role, v in views.items() if role not in self.held_out]
        kept = [v for role, v in views.items() if role in self.held_out]
        strategy: Any = {"mcmc": Mcmc(most=self.most), "default": Default(most=self.most), "none": None}[self.strategy]
        settings = Settings(self.steps, services.seed, degree=self.degree, strategy=strategy, rates=QUICK)
        before = time.perf_counter()
        start = self._start(shown, services.seed)
        place = state_place(start, settings, shown)
        scene = reconstruct(shown, start, settings, services.progress, place, draws)
        scores, notes = {}, []
        if kept:
            quality, likeness = compare_views(scene, kept, settings.background, settings.constants, draws)
            scores = {"held_out_views": float(len(kept)), "held_out_psnr": quality, "held_out_ssim": likeness}
        if self.refine:
            scene, more = self._refined(scene, shown, settings, canvas, services, draws)
            if kept:
                after = compare_views(scene, kept, settings.background, settings.constants, draws)
                more |= {"before_refining_psnr": scores["held_out_psnr"]}
                scores |= {"held_out_psnr": after[0], "held_out_ssim": after[1]}
            scores |= more
        invented = int((scene.seen == 0).sum())
        if invented:
            notes.append(f"{invented} of {len(scene)} Gaussians are shown by no photograph: they are invented")
        info: DescriberInfo = draws.info
        record = StepRecord(
            self.name,
            step_params(self),
            provider=info.provider,
            precision=info.precision,
            library=info.library,
            seed=services.seed,
            generative=invented > 0 or self.enhancer is not None,
            models=() if self.enhancer is None else services.open(self.uses[1]).info.models,
            scores={k: round(v, 4) for k, v in scores.items()},
            notes=tuple(notes),
            observed={"fitting_seconds": round(time.perf_counter() - before, 2)},
        )
        return canvas.replace(scene=scene, sheet=strip(scene, kept, settings)), record

    def _start(self, views: Sequence[View], seed: int) -> Scene:
        from tratto.scene.views import from_points, in_space, visual_hull

        if self.start == "hull":
            return visual_hull(views, self.gaussians, seed)
        if self.start == "points":
            table = np.array(self.points, np.float64).reshape(-1, 6)
            return from_points(table[:, :3], table[:, 3:].astype(np.uint8), self.gaussians, seed)
        return in_space(views, self.gaussians, seed)

    def _refined(
        self,
        scene: Scene,
        views: Sequence[View],
        settings: Settings,
        canvas: Canvas,
        services: Services,
        draws: Rasterizer,
    ) -> tuple[Scene, dict[str, float]]:
        """Run MVCRM with restore as the enhancer."""
        from tratto.scene.optimize import Rates, mark_seen
        from tratto.scene.refine import Refinement, refine

        changed: list[float] = []
        enhance: Any = enhancer(services, changed)
        how = Refinement(**{"rounds": self.refine, **(self.gates or {})})
        cameras = [v.camera for v in views]
        settings = replace(settings, rates=Rates())
        if self.enhancer is not None:
            enhance = _modelled(services.open(self.uses[1]), scene, views, services.seed, draws, changed)
        scene = mark_seen(refine(scene, cameras, enhance, settings, how, services.progress), views, draws=draws)
        return scene, {"enhanced_change": float(np.mean(changed))}


def enhancer(services: Services, changed: list[float]) -> Callable[[NDArray[np.float32], int], NDArray[np.float32]]:
    """Return ``restore`` as an enhancer of renderings; what it changes on average is added to ``changed``."""

    def enhance(picture: NDArray[np.float32], number: int) -> NDArray[np.float32]:
        from tratto.imaging.estimate import inspect_image
        from tratto.imaging.io import image_from_array
        from tratto.steps.denoise import Denoise

        image = image_from_array(np.round(picture * 255).astype(np.uint8))
        recipe = Recipe("restore", (Denoise(),), services.seed)
        fresh = Canvas(image, image, inspection=inspect_image(image))
        after, _ = services.run(recipe, fresh)
        out: NDArray[np.float32] = np.asarray(after.image.pixels).astype(np.float32) / np.float32(255)
        changed.append(float(np.abs(out - picture).mean()))
        return out

    return enhance


def _modelled(
    model: Enhancer, scene: Scene, views: Sequence[View], seed: int, draws: Rasterizer, changed: list[float]
) -> Any:
    """Return a model as an enhancer of renderings, by the depth that is rendered; where nothing is, nothing changes."""
    from tratto.core.image import Depth
    from tratto.providers.enhancer import blended
    from tratto.scene.rasterize import USUAL
    from tratto.steps.diffuse import near_is_one

    def enhance(picture: NDArray[np.float32], number: int) -> NDArray[np.float32]:
        seen = draws.render(scene, views[number].camera, (0.0, 0.0, 0.0), USUAL)
        there = seen.alpha > 0.05
        depth = np.where(there, seen.depth / np.maximum(seen.alpha, 0.05), np.nan).astype(np.float32)
        far = float(np.nanmax(depth)) if there.any() else 1.0
        near = near_is_one(Depth(np.where(there, depth, far).astype(np.float32), "metre", "smaller"))
        made = model.enhance(picture, near, 0.5, seed)
        out = blended(picture, made, np.clip(seen.alpha, 0, 1), TRUST)
        changed.append(float(np.abs(out - picture).mean()))
        return out

    return enhance


def _picture(canvas: Canvas, role: str) -> Image:
    if role == "picture":
        return canvas.source
    if role not in canvas.inputs:
        raise OptionError(f"the reconstruction works with a photograph called {role!r}, which was not given")
    return canvas.inputs[role]


def _has_alpha(image: Image) -> bool:
    return image.alpha is not None and float(np.min(image.alpha)) < image.max_value


def view_of(image: Image, shot: dict[str, Any], side: int) -> View:
    """Return a photograph as a reconstruction uses it: encoded sRGB, without distortion, no larger than it need be.

    Raises
    ------
    OptionError
        If it is not of its camera's proportions.
    """
    from tratto.imaging.color import view_rgb
    from tratto.scene.camera import Camera
    from tratto.scene.views import View

    camera = Camera.from_json(shot["camera"])
    if abs(image.width * camera.height - image.height * camera.width) > max(camera.width, camera.height):
        raise OptionError(
            f"the photograph {shot['role']} is {image.width}x{image.height}, and its camera "
            f"{camera.width}x{camera.height}; they must be of one shape, as stored"
        )
    color: Any = view_rgb(image)
    color = np.repeat(color[..., None], 3, axis=2) if color.ndim == 2 else color
    alpha: Any = None
    if image.alpha is not None:
        alpha = np.asarray(image.alpha).astype(np.float32) / np.float32(image.max_value)
        color = color * alpha[..., None]  # what is transparent has no colour to smear into its neighbours
    camera = camera.resized(image.width, image.height)
    bent = tuple(float(v) for v in shot["distortion"])
    if any(bent):
        matrix = np.array([[camera.fx, 0, camera.cx - 0.5], [0, camera.fy, camera.cy - 0.5], [0, 0, 1]])
        color = cv2.undistort(color, matrix, np.array(bent))
        alpha = None if alpha is None else cv2.undistort(alpha, matrix, np.array(bent))
    longest = max(camera.width, camera.height)
    if longest > side:
        size = (max(1, round(camera.width * side / longest)), max(1, round(camera.height * side / longest)))
        color = cv2.resize(color, size, interpolation=cv2.INTER_AREA)
        alpha = None if alpha is None else cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
        camera = camera.resized(*size)
    if alpha is not None:
        color = color / np.maximum(alpha, 1e-4)[..., None]
    return View(camera, np.clip(color, 0, 1).astype(np.float32), alpha)


def strip(scene: Scene, held_out: Sequence[View], settings: Settings) -> Image:
    """Return the scene from all sides in a row, and below it the photographs held out, each beside its view."""
    from tratto.imaging.io import image_from_array
    from tratto.scene.formats.turntable import turned
    from tratto.scene.rasterize import render

    rows = [np.concatenate(turned(scene, STRIP, STRIP_SIDE), axis=1)]
    pairs = []
    for view in held_out[: STRIP // 2]:
        for picture in (view.over((1.0, 1.0, 1.0)), render(scene, view.camera, (1.0, 1.0, 1.0)).color):
            pairs.append(_fitted(np.clip(picture, 0, 1)))
    if pairs:
        pairs += [np.full((STRIP_SIDE, STRIP_SIDE, 3), 255, np.uint8)] * (STRIP - len(pairs))
        rows.append(np.concatenate(pairs, axis=1))
    return image_from_array(np.concatenate(rows, axis=0))


def _fitted(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    scale = STRIP_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    out = np.full((STRIP_SIDE, STRIP_SIDE, 3), 255, np.uint8)
    y, x = (STRIP_SIDE - size[1]) // 2, (STRIP_SIDE - size[0]) // 2
    out[y : y + size[1], x : x + size[0]] = np.round(small * 255).astype(np.uint8)
    return out


def state_place(start: Scene, settings: Settings, views: Sequence[View]) -> Path | None:
    """Return where the state of a run is kept, so that one that was killed goes on; None: nowhere can be written."""
    import hashlib

    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base).expanduser() / "tratto" / "lift"
    state = hashlib.sha256(f"{start.digest()} {settings.to_json()}".encode())
    for view in views:
        state.update(view.color.tobytes())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.npz"):
            if time.time() - old.stat().st_mtime > KEPT_DAYS * 86400:
                old.unlink()
    except OSError:
        return None
    return folder / f"{state.hexdigest()[:24]}.npz"
