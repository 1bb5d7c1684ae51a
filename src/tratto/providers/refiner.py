"""Refiners of faces that were put in: diffusion models that touch light and seams, and not whose face it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tratto.backends.diffusion import DiffusionRuntime, missing_diffusion
from tratto.backends.qwen import QwenBackend, check_qwen, open_qwen
from tratto.core.capability import DescriberInfo, FaceRefiner
from tratto.core.errors import UnavailableError
from tratto.core.options import Validated, option
from tratto.models.folders import ModelFolder, find_folder, missing_folder, usual_folder
from tratto.providers.catalogue import Request

Float = NDArray[np.float32]
#: Model card of what is taken where no folder is named.
CARD = "qwen-image-edit"
PROMPT = (
    "Blend the face into the photograph: the same person and expression, natural skin with pores, the light, colour "
    "and grain of the scene, no visible seam."
)
NEGATIVE = (
    "computer graphics, 3d render, painting, cartoon, plastic skin, waxy skin, airbrushed, smooth skin, doll, mask, "
    "pasted face, visible seam, halo, double eyebrows, deformed features, asymmetrical eyes, extra teeth, blur, low "
    "quality, oversharpened, wrong skin tone, watermark, text"
)


class QwenParameters(Validated, BaseModel):
    """Parameters; the folder as a path, or as a reference that a recipe may keep."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str = option("", "Folder of the model.")
    steps: int = option(12, "Steps in which noise is taken away.", ge=1, le=200)
    guidance: float = option(2.0, "True classifier-free guidance; 1 is none.", ge=1, le=20)
    strength: float = option(0.45, "Share of the way to noise at which the first refinement starts.", ge=0.1, le=1)
    prompt: str = option(PROMPT, "What is to be seen.", max_length=2000)
    negative: str = option(NEGATIVE, "What is not.", max_length=2000)
    dtype: str = option("auto", "Type of the numbers.")
    device: str = option("auto", "Where it runs.")
    offload: str = option("none", "What waits in main memory.")
    tiling: bool = option(False, "Decode in tiles.")


def missing(request: Request) -> UnavailableError | None:
    """Return why the refiner cannot be used here, or None."""
    error = missing_diffusion("the refiner qwen")
    if error is not None or request.params.get("model"):
        return error
    return missing_folder(CARD, "--refiner-param model=FOLDER")


def settle(request: Request) -> dict[str, Any]:
    """Check parameters and complete them; the path becomes a reference that a recipe may keep."""
    given = QwenParameters(**request.params)
    DiffusionRuntime(given.dtype, given.device, given.offload)
    error = missing(request)
    if error is not None:
        raise error
    folder = _folder(given)
    check_qwen(folder)
    return {**given.model_dump(), "model": folder.reference}


def open(request: Request) -> FaceRefiner:
    """Open the model."""
    given = QwenParameters(**request.params)
    device = request.device if given.device == "auto" else given.device
    runtime = DiffusionRuntime(given.dtype, device, given.offload, given.tiling)
    return Qwen(open_qwen(_folder(given), runtime), given)


def _folder(given: QwenParameters) -> ModelFolder:
    return find_folder(given.model, "pipeline") if given.model else usual_folder(CARD, "pipeline")


class Qwen:
    """Qwen-Image-Edit; see :class:`tratto.core.capability.FaceRefiner`."""

    def __init__(self, backend: QwenBackend, given: QwenParameters) -> None:
        self._backend, self._given = backend, given
        self.strength = given.strength
        #: Facts about it.
        self.info = DescriberInfo(
            "qwen",
            precision=backend.precision,
            library=backend.library,
            models=(backend.folder.model,),
            generative=True,
            megapixels_per_second=0.05 if backend.device != "cpu" else 0.0002,
        )

    def refine(self, picture: Float, mask: Float, strength: float, seed: int) -> Float:
        """Refine a picture under a mask."""
        given = self._given
        strength = max(strength, 1 / given.steps + 1e-6)
        words, numbers = (given.prompt, given.negative), (given.steps, given.guidance, strength)
        made = self._backend.run(picture, mask, words, numbers, seed)
        return np.asarray(picture + (mask > 0)[..., None] * (made - picture), np.float32)
