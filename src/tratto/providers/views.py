"""Makers of views from one picture: SyncDreamer, Zero123++ and TripoSR, from folders that the user names.

What they show from the sides and from behind was never in the picture. See ``docs/full-size.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import DescriberInfo, ViewMaker
from tratto.core.errors import MissingExtra, OptionError, UnavailableError
from tratto.models.folders import Kind, ModelFolder, find_folder, missing_folder, usual_folder
from tratto.providers.catalogue import Request, row_of

Float = NDArray[np.float32]
Progress = Callable[[int, int], None]
#: How each folder is laid out, by the id of its model card, and the steps and guidance that it was published with.
_KINDS: dict[str, Kind] = {"syncdreamer": "part", "zero123plus": "pipeline", "triposr": "part"}
_USUAL = {"syncdreamer": (50, 2.0), "zero123plus": (28, 4.0)}
#: Side of the pictures that TripoSR's field is rendered in, pixels.
FIELD_SIDE = 128


class Maker:
    """What the makers share: facts, and the folder.

    Parameters
    ----------
    name : str
        Of the row, for records and notes.
    folder : ModelFolder
        What the network was opened from.
    steps, guidance : int, float
        Of the sampler; how strongly the picture leads it (1 = none).
    device : str
        Where the network runs, as torch names it.
    """

    def __init__(self, name: str, folder: ModelFolder, steps: int, guidance: float, device: str) -> None:
        from tratto.backends.transformers import library

        self.folder, self.steps, self.guidance, self.device = folder, steps, guidance, device
        #: Facts about this maker.
        self.info = DescriberInfo(name, library=library(), models=(folder.model,), megapixels_per_second=0.0005)


class SyncDreamerViews(Maker):
    """Sixteen views, made together."""

    def make(self, picture: Float, elevation: float, seed: int, progress: Progress) -> tuple[Any, ...]:
        """Make views; see :class:`tratto.core.capability.ViewMaker`. Elevations from -10 to 40 were trained."""
        from tratto.backends.syncdreamer import SyncDreamerBackend
        from tratto.scene.generated import framed, sync_cameras

        if not -10 <= elevation <= 40:
            raise OptionError(f"SyncDreamer takes elevations of -10 to 40 degrees, got {elevation:g}")
        backend = SyncDreamerBackend.load(self.folder, self.device)
        side = backend.net.sizes.image
        square = framed(picture, side, side * 200 / 256, 1.0)
        made = backend.run(square, elevation, seed, self.steps, self.guidance, progress)
        return _on_ground(sync_cameras(len(made), side), made, 1.0)


class Zero123PlusViews(Maker):
    """Six views, made as one picture."""

    def make(self, picture: Float, elevation: float, seed: int, progress: Progress) -> tuple[Any, ...]:
        """Make views; see :class:`tratto.core.capability.ViewMaker`. Their elevations do not follow the picture's."""
        from tratto.backends.zero123plus import Zero123PlusBackend
        from tratto.scene.generated import framed, zero123plus_cameras

        backend = Zero123PlusBackend.load(self.folder, self.device)
        side = max(320, backend.side)
        square = framed(picture, side, side * 0.8, 0.5)
        made = backend.run(square, seed, self.steps, self.guidance, progress)
        return _on_ground(zero123plus_cameras(made.shape[1]), made, 0.5)


class TripoSRViews(Maker):
    """A field of density and colour, seen from sixteen sides, high and low in turn; equal for all seeds."""

    def make(self, picture: Float, elevation: float, seed: int, progress: Progress) -> tuple[Any, ...]:
        """Make views; see :class:`tratto.core.capability.ViewMaker`."""
        from tratto.backends.triposr import TripoSRBackend
        from tratto.scene.camera import orbit
        from tratto.scene.generated import framed
        from tratto.scene.views import View

        backend = TripoSRBackend.load(self.folder, self.device)
        focal = FIELD_SIDE / 2 / np.tan(np.deg2rad(20))  # field of view of 40 degrees, 1.9 away
        cameras = [
            camera
            for i in range(16)
            for camera in orbit((0, 0, 0), 1.9, [22.5 * i], 30.0 if i % 2 else -5.0, (FIELD_SIDE,) * 2, float(focal))
        ]
        square = framed(picture, backend.net.sizes.image, backend.net.sizes.image * 0.85, 0.5)
        seen = backend.run(square, cameras, progress)
        return tuple(
            View(c, _of_8_bits(color), _of_8_bits(alpha)) for c, (color, alpha) in zip(cameras, seen, strict=True)
        )


_MAKERS: dict[str, type[Any]] = {
    "syncdreamer": SyncDreamerViews, "zero123plus": Zero123PlusViews, "triposr": TripoSRViews
}  # fmt: skip


def _of_8_bits(values: Float) -> Float:
    """Return what a picture file would hold: the last bits of a network's arithmetic depend on its threads."""
    return (np.rint(values * 255) / 255).astype(np.float32)


def _on_ground(cameras: tuple[Any, ...], made: Float, ground: float) -> tuple[Any, ...]:
    """Return views of pictures on plain ground, each with its alpha."""
    from tratto.scene.generated import cut_out
    from tratto.scene.views import View

    views = []
    for camera, picture in zip(cameras, _of_8_bits(made), strict=True):
        alpha = cut_out(picture, ground)
        own = (picture - ground * (1 - alpha[..., None])) / np.maximum(alpha, 0.05)[..., None]
        views.append(View(camera, np.clip(own, 0, 1).astype(np.float32), alpha))
    return tuple(views)


def missing(request: Request) -> UnavailableError | None:
    """Return why a maker of views cannot be used here, or None."""
    for name in ("torch", "transformers", "diffusers", "safetensors"):
        if find_spec(name) is None:
            return MissingExtra(f"the maker of views {request.provider}", "diffusion")
    return None if request.params.get("model") else missing_folder(request.variant, "--param model=FOLDER")


def settle(request: Request) -> dict[str, Any]:
    """Check the parameters and complete them; the folder becomes a reference that a recipe may keep.

    Raises
    ------
    OptionError
        Naming what is wrong.
    UnavailableError
        If the extra or the weights are missing.
    """
    row = row_of(request.use)
    for name, value in request.params.items():
        if name not in row.params:
            raise OptionError(f"{request.provider} has no parameter {name!r}; its parameters: {', '.join(row.params)}")
        row.params[name].check(request.provider, name, value)
    error = missing(request)
    if error is not None:
        raise error
    made: dict[str, Any] = {"model": _folder(request).reference}
    if request.variant in _USUAL:
        steps, guidance = _USUAL[request.variant]
        made |= {
            "steps": int(request.params.get("steps", steps)),
            "guidance": float(request.params.get("guidance", guidance)),
        }
    return made


def _folder(request: Request) -> ModelFolder:
    named, kind = str(request.params.get("model", "")), _KINDS[request.variant]
    return find_folder(named, kind) if named else usual_folder(request.variant, kind)


def open(request: Request) -> ViewMaker:
    """Open a maker of views; its weights are read when it makes some."""
    from tratto.backends.devices import torch_device

    folder = _folder(request)
    steps, guidance = request.params.get("steps", 1), request.params.get("guidance", 1.0)
    made: ViewMaker = _MAKERS[request.variant](request.provider, folder, steps, guidance, torch_device(request.device))
    return made
