"""Enhancers: models that go over a whole picture and put in detail that was not there.

``sdxl-lightning`` is SDXL-Lightning with a ControlNet for depth, from folders that the user names; see
``docs/full-size.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tratto.backends.diffusion import DiffusionRuntime, missing_diffusion
from tratto.core.capability import DescriberInfo, Enhancer
from tratto.core.errors import UnavailableError
from tratto.core.options import Validated, option
from tratto.models.folders import Kind, ModelFolder, find_folder, missing_folder, usual_folder
from tratto.providers.catalogue import Request

Float = NDArray[np.float32]
_RUNTIME = ("dtype", "device", "offload", "tiling", "slicing")
#: Model card of each folder, and how it is laid out.
_NEEDED: dict[str, tuple[str, Kind]] = {
    "model": ("sdxl-base", "pipeline"), "lightning": ("sdxl-lightning", "adapter"),
    "controlnet": ("controlnet-depth-sdxl", "part"),
}  # fmt: skip


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class LightningParameters(Validated, BaseModel):
    """Parameters of ``sdxl-lightning``; folders as paths, or as references that a recipe may keep."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str = option("", "Folder of SDXL 1.0.")
    lightning: str = option("", "File of SDXL-Lightning's U-Net for four steps.")
    controlnet: str = option("", "Folder of a ControlNet for depth.")
    prompt: Annotated[str, BeforeValidator(_as_text)] = option(
        "a sharp, detailed photograph", "What is to be seen.", max_length=2000
    )
    control_scale: Annotated[float, Field(allow_inf_nan=False)] = option(0.7, "Influence of depth.", ge=0, le=4)
    dtype: str = option("auto", "Type of the numbers.")
    device: str = option("auto", "Where it runs.")
    offload: str = option("none", "What waits in main memory.")
    tiling: bool = option(False, "Decode in tiles.")
    slicing: bool = option(False, "Compute attention in slices.")


def missing(request: Request) -> UnavailableError | None:
    """Return why an enhancer cannot be used here, or None."""
    error = missing_diffusion("the enhancer sdxl-lightning")
    if error is not None:
        return error
    named = [(name, card) for name, (card, _) in _NEEDED.items() if not request.params.get(name)]
    found = (missing_folder(card, f"--param {name}=FOLDER") for name, card in named)
    return next((e for e in found if e is not None), None)


def _folders(given: LightningParameters) -> tuple[ModelFolder, ModelFolder, ModelFolder]:
    one, two, three = (
        find_folder(named, kind) if (named := getattr(given, name)) else usual_folder(card, kind)
        for name, (card, kind) in _NEEDED.items()
    )
    return one, two, three


def settle(request: Request) -> dict[str, Any]:
    """Check the parameters and complete them; folders become references that a recipe may keep.

    Raises
    ------
    OptionError
        Naming what is wrong.
    UnavailableError
        If the extra or weights are missing.
    """
    given = LightningParameters(**request.params)
    DiffusionRuntime(given.dtype, given.device, given.offload)
    error = missing(request)
    if error is not None:
        raise error
    references = [folder.reference for folder in _folders(given)]
    return {**given.model_dump(), **dict(zip(_NEEDED, references, strict=True))}


def open(request: Request) -> Enhancer:
    """Open an enhancer."""
    from tratto.backends.lightning import open_lightning

    given = LightningParameters(**request.params)
    runtime = {name: getattr(given, name) for name in _RUNTIME}
    if given.device == "auto":
        runtime["device"] = request.device
    folders = _folders(given)
    return LightningEnhancer(open_lightning(*folders, DiffusionRuntime(**runtime)), folders, given)


class LightningEnhancer:
    """Goes over a picture in four steps."""

    def __init__(self, backend: Any, folders: tuple[ModelFolder, ...], given: LightningParameters) -> None:
        self._backend, self._given = backend, given
        #: Facts about this enhancer.
        self.info = DescriberInfo(
            "sdxl-lightning",
            precision=backend.precision,
            library=backend.library,
            models=tuple(f.model for f in folders),
            megapixels_per_second=0.5 if backend.device != "cpu" else 0.003,
        )

    def enhance(
        self, picture: Float, depth: Float, strength: float, seed: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> Float:  # fmt: skip
        """Enhance a picture; see :class:`tratto.core.capability.Enhancer`."""
        import cv2

        height, width = picture.shape[:2]
        side, multiple = self._backend.size, self._backend.multiple
        scale = side / max(height, width)
        size = tuple(max(multiple, round(v * scale / multiple) * multiple) for v in (width, height))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        shown = np.clip(cv2.resize(picture, size, interpolation=how), 0, 1).astype(np.float32)
        near = np.clip(cv2.resize(depth, size, interpolation=cv2.INTER_LINEAR), 0, 1).astype(np.float32)
        prompt, control = self._given.prompt, self._given.control_scale
        made = self._backend.run(shown, near, prompt, strength, control, seed, progress)
        # what enlarging and making smaller alone would change is no part of what was enhanced
        again = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
        change = cv2.resize(made - shown, (width, height), interpolation=again)
        out: Float = np.clip(picture + change, 0, 1).astype(np.float32)
        return out


def blended(picture: Float, enhanced: Float, confidence: Float | float, trust: float) -> Float:
    """Return a picture with what an enhancer made of it, as far as that can be trusted.

    Each pixel takes a share of ``confidence * exp(-d / trust)``, with ``d`` the mean difference around it: what an
    enhancer changes much, it has made up.

    Parameters
    ----------
    picture, enhanced : (H, W, 3) float32 in [0, 1]
        Encoded sRGB.
    confidence : (H, W) float32 in [0, 1], or a number
        Of the depth that it went by.
    trust : float
        Above 0; infinity takes all.

    Examples
    --------
    >>> plain = np.zeros((4, 4, 3), np.float32)
    >>> round(float(blended(plain, plain + 0.35, 1.0, 0.35).max()), 4)
    0.1288
    """
    import cv2

    apart = cv2.blur(np.abs(enhanced - picture).mean(axis=2), (9, 9), borderType=cv2.BORDER_REFLECT)
    share = np.asarray(confidence, np.float32) * np.exp(-apart / trust)
    out: Float = np.clip(picture + share[..., None] * (enhanced - picture), 0, 1).astype(np.float32)
    return out
