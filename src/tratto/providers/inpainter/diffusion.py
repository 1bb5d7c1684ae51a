"""Inpainters that are diffusion models: SDXL for repairs, Stable Diffusion 1.5 with a picture of the paint for walls.

Their weights lie in folders that the user names; see :mod:`tratto.models.folders` and ``docs/full-size.md``. What they
paint was never in the picture and looks as if it had been: nothing they make is evidence of anything.

* Podell et al. 2023, "SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis".
* Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models".
* Hu et al. 2021, "LoRA"; Zhang et al. 2023, "ControlNet"; Ye et al. 2023, "IP-Adapter".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tratto.backends.diffusion import (
    DiffusionBackend,
    DiffusionFolders,
    DiffusionRequest,
    DiffusionRuntime,
    missing_diffusion,
    open_diffusion,
)
from tratto.core.capability import Filled, InpainterInfo, Use
from tratto.core.errors import MissingWeights, OptionError, UnavailableError
from tratto.core.options import Validated, option
from tratto.models.folders import ModelFolder, find_folder, missing_folder, read_json, usual_folder
from tratto.providers.catalogue import CATALOGUE, Request
from tratto.providers.catalogue import settle as settle_use
from tratto.providers.inpainter.classical import check_window

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

#: What a repair is asked for; ``{caption}`` becomes what is known of the picture.
REPAIR_PROMPT = "Restore this monument: {caption}"
NEGATIVE = "blurry, low quality, distorted, watermark, text"
#: The card whose pulled folder is taken where no model is named.
DEFAULT_CARD = {"sdxl": "sdxl-inpainting", "sd15": ""}
#: A ControlNet's or an adapter's influence may be raised this far.
MOST_SCALE = 4.0


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


_Whole = Annotated[int, BeforeValidator(_whole), Field(strict=True)]
_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Text = Annotated[str, BeforeValidator(_as_text)]


class SdxlParameters(Validated, BaseModel):
    """Parameters of a repair; folders as paths, or as references that a recipe may keep."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str = option("", "Folder of the model.")
    lora: str | list[str] = option(
        "", "Adapters, each with :SCALE behind it if need be, separated by commas.",
        expected="FOLDER or FOLDER:SCALE, several with commas",
    )  # fmt: skip
    controlnet: str = option("", "Folder of a ControlNet that goes by depth.")
    depth: str = option("", "For it: the folder of a depth network, geometric (a stand-in), or auto.")
    steps: _Whole = option(50, "Steps in which noise is taken away.", ge=1, le=1000)
    guidance: _Number = option(7.5, "Weight of the prompt; 1 is none.", ge=1, le=50)
    strength: _Number = option(1.0, "Share of the way to noise at which it starts.", ge=0.01, le=1)
    refine: _Number = option(0.4, "As strength, of parts painted at a smaller scale first; 0: not.", ge=0, le=1)
    control_scale: _Number = option(1.0, "Influence of the ControlNet.", ge=0, le=MOST_SCALE)
    prompt: _Text = option(REPAIR_PROMPT, "What is to be seen.", max_length=2000)
    negative: _Text = option(NEGATIVE, "What is not.", max_length=2000)
    dtype: str = option("auto", "Type of the numbers.")
    device: str = option("auto", "Where it runs.")
    offload: str = option("none", "What waits in main memory.")
    tiling: bool = option(False, "Decode in tiles.")
    slicing: bool = option(False, "Decode in slices.")
    scheduler: str = option("", "The model's own; it cannot be chosen.")


class Sd15Parameters(SdxlParameters):
    """Parameters of a wall that is painted after a picture of the paint."""

    prompt: _Text = option("", "What is to be seen.", max_length=2000)
    negative: _Text = option("", "What is not.", max_length=2000)
    ip_adapter: str = option("", "Folder of an IP-Adapter.")
    reference_scale: _Number = option(1.0, "Influence of the picture that it goes by.", ge=0, le=MOST_SCALE)
    lock: Literal["seen", "paint", "none"] = option("seen", "What of the wall's colour is held fast.")


PARAMETERS: dict[str, type[SdxlParameters]] = {"sdxl": SdxlParameters, "sd15": Sd15Parameters}
#: Those a model has to be opened with; the others may differ from picture to picture.
_RUNTIME = ("dtype", "device", "offload", "tiling", "slicing")
_OPENING = ("model", "lora", "controlnet", "ip_adapter", *_RUNTIME)


def missing(request: Request) -> UnavailableError | None:
    """Return why a model cannot be used here, or None: the one named, or the one that is taken where none is."""
    if request.params.get("model"):
        return missing_diffusion(f"the inpainter {request.variant}")
    return _default_missing(request.variant)


def _default_missing(variant: str) -> UnavailableError | None:
    error = missing_diffusion(f"the inpainter {variant}")
    if error is not None:
        return error
    card = DEFAULT_CARD[variant]
    if not card:
        return MissingWeights(f"{variant} needs a folder of weights: --param model=FOLDER; see docs/full-size.md")
    return missing_folder(card, "--param model=FOLDER")


def settle(request: Request) -> dict[str, Any]:
    """Check parameters, complete them, and turn paths into references that a recipe may keep.

    Parameters
    ----------
    request : Request
        Of the variant ``sdxl`` or ``sd15``, with the parameters of :class:`SdxlParameters` or :class:`Sd15Parameters`.

    Returns
    -------
    dict
        JSON-able; settling it again changes nothing.

    Raises
    ------
    OptionError
        Naming the parameter, what it takes and what came.
    UnavailableError
        If the extra is not installed or weights are not here.
    """
    given = PARAMETERS[request.variant](**request.params)
    DiffusionRuntime(given.dtype, given.device, given.offload)
    error = missing(request)
    if error is not None:
        raise error
    folders = _folders(request.variant, given)
    scheduler = _scheduler(folders.model)
    if given.scheduler not in ("", scheduler):
        raise OptionError(f"the scheduler is the model's own, {scheduler}; it cannot be chosen")
    settled = {
        **given.model_dump(),
        "model": folders.model.reference,
        "lora": [f"{folder.reference}:{scale:g}" for folder, scale in folders.adapters],
        "controlnet": folders.controlnet.reference if folders.controlnet else "",
        "depth": _depth_source(given.depth, folders.controlnet is not None),
        "scheduler": scheduler,
    }
    if isinstance(given, Sd15Parameters):
        settled["ip_adapter"] = folders.image_prompt.reference if folders.image_prompt else ""
    return settled


def _depth_source(value: str, wanted: bool) -> str:
    """Return who estimates depth: a reference to a folder, ``geometric``, or nothing where nobody asks."""
    if not wanted:
        if value not in ("", "auto"):
            raise OptionError("depth is for a ControlNet; name one with controlnet=FOLDER")
        return ""
    from tratto.providers.depth import depth_use

    use: Use[Any] = settle_use(Use("depth") if value in ("", "auto") else depth_use(value))
    return str(use.params.get("model", use.provider))


def is_diffusion(name: str) -> bool:
    """Return whether an inpainter is a diffusion model, which works in windows of its own and takes parameters."""
    row = CATALOGUE["inpainter"].get(name)
    return row is not None and row.settles


def settle_params(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Check the parameters of an inpainter and complete them; paths become references that a recipe may keep."""
    return dict(settle_use(Use("inpainter", name, params)).params)


def opening(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the settled parameters that a model has to be opened with."""
    return {k: params[k] for k in _OPENING if k in params}


def _folders(variant: str, given: SdxlParameters) -> DiffusionFolders:
    image = given.ip_adapter if isinstance(given, Sd15Parameters) else ""
    lora = given.lora.split(",") if isinstance(given.lora, str) else given.lora
    return DiffusionFolders(
        family="sdxl" if variant == "sdxl" else "sd15",
        model=find_folder(given.model, "pipeline") if given.model else usual_folder(DEFAULT_CARD[variant], "pipeline"),
        adapters=tuple(_adapter(text.strip()) for text in lora if text.strip()),
        controlnet=find_folder(given.controlnet, "part") if given.controlnet else None,
        image_prompt=find_folder(image, "image-prompt") if image else None,
    )


def _adapter(text: str) -> tuple[ModelFolder, float]:
    path, colon, tail = text.rpartition(":")
    try:
        scale = float(tail) if colon else 1.0
    except ValueError:  # the colon is part of the path
        colon, scale = "", 1.0
    if not (np.isfinite(scale) and -MOST_SCALE <= scale <= MOST_SCALE):
        raise OptionError(f"lora: its scale lies between {-MOST_SCALE:g} and {MOST_SCALE:g}, got {tail}")
    return find_folder(path if colon else text, "adapter"), scale


def _scheduler(model: ModelFolder) -> str:
    config = read_json(model.path / "scheduler" / "scheduler_config.json", "a pipeline says how it takes noise away")
    return str(config.get("_class_name", ""))[:100]


@dataclass(frozen=True, eq=False)
class InpaintRequest:
    """What one window is asked for.

    Attributes
    ----------
    prompt : str or None
        None: the empty prompt's embedding in both branches.
    negative : str
        What it shall not show; empty: nothing is said.
    steps : int
        Of the sampler.
    guidance, strength : float
        Of the prompt over the empty one (1 = none); share of the way to noise at which it starts, (0, 1].
    depth : (h, w) float32 in [0, 1] or None
        1 is near.
    control_scale : float
        How strongly the ControlNet holds to ``depth``; 0 = not at all.
    reference : (H, W, 3) float32 or None
        For an IP-Adapter: what the filling shall resemble.
    reference_scale : float
        How strongly the IP-Adapter holds to ``reference``; 0 = not at all.
    """

    prompt: str | None = None
    negative: str = ""
    steps: int = 50
    guidance: float = 7.5
    strength: float = 1.0
    depth: Float | None = None
    control_scale: float = 1.0
    reference: Float | None = None
    reference_scale: float = 1.0


def open(request: Request) -> DiffusionInpainter:
    """Open a model; of its parameters those of :func:`opening` count."""
    given = PARAMETERS[request.variant](**opening(request.params))
    runtime = {name: getattr(given, name) for name in _RUNTIME}
    if given.device == "auto":
        runtime["device"] = request.device
    folders = _folders(request.variant, given)
    return DiffusionInpainter(open_diffusion(folders, DiffusionRuntime(**runtime)), request.variant)


class DiffusionInpainter:
    """Paints holes with a diffusion model.

    Parameters
    ----------
    backend : DiffusionBackend
        Opened, with the size that it was trained on.
    variant : str
        Its name in the table.
    """

    def __init__(self, backend: DiffusionBackend, variant: str) -> None:
        self._backend = backend
        folders = backend.folders
        more = [folder for folder, _ in folders.adapters]
        more += [f for f in (folders.controlnet, folders.image_prompt) if f is not None]
        #: Side of the squares that the model was trained on.
        self.side = backend.size
        #: Whether a ControlNet is there, which needs a depth map.
        self.takes_depth = folders.controlnet is not None
        #: Whether an IP-Adapter is there, which needs a picture to go by.
        self.takes_reference = folders.image_prompt is not None
        #: Facts about this inpainter.
        self.info = InpainterInfo(
            provider=variant,
            context=0,
            channels=3,
            precision=backend.precision,
            models=tuple(f.model for f in (folders.model, *more)),
            library=backend.library,
            megapixels_per_second=0.15 if backend.device != "cpu" else 0.0005,
        )

    def fill(self, picture: Float, hole: Bool, seed: int = 0) -> Filled:
        """Fill the holes of a window without being told what it shows."""
        check_window(picture, hole, self.info.provider)
        return Filled(self.paint(picture, hole, InpaintRequest(), seed))

    def paint(
        self, picture: Float, hole: Bool, wanted: InpaintRequest, seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Float:  # fmt: skip
        """Paint the holes of a window.

        Parameters
        ----------
        picture : (h, w, 3) float32 in [0, 1]
            Encoded sRGB, of any size: it is brought to the model's size, and what was painted back.
        hole : (h, w) bool
            What is painted; the rest is context.
        wanted : InpaintRequest
            Prompts, steps, guidance and what else the model goes by.
        seed : int
            Of the noise.
        progress : callable or None
            ``progress(done, total)`` after each step.

        Returns
        -------
        (h, w, 3) float32 in [0, 1]
            Equal to ``picture`` outside the holes.
        """
        from tratto.imaging.fill import plate_fill

        check_window(picture, hole, self.info.provider)
        if not hole.any():
            return picture.copy()
        height, width = self.window(hole.shape[0], hole.shape[1])
        shown = picture
        if wanted.strength == 1.0:  # else what is there is meant to count
            shown = plate_fill(np.where(hole[..., None], np.float32(0), picture), hole)
        depth = None if wanted.depth is None else np.clip(_resized(wanted.depth, height, width), 0, 1)
        painted = self._backend.run(
            DiffusionRequest(
                picture=np.clip(_resized(shown, height, width), 0, 1),
                hole=_resized(hole.astype(np.float32), height, width) > 0,
                seed=seed,
                **{**vars(wanted), "depth": depth},
            ),
            progress,
        )
        back = np.clip(_resized(painted, hole.shape[0], hole.shape[1]), 0, 1)
        return np.where(hole[..., None], back, picture).astype(np.float32)

    def window(self, height: int, width: int) -> tuple[int, int]:
        """Return the size at which a window is painted: its longer side the model's, both multiples of its step."""
        scale = self.side / max(height, width)
        m = self._backend.multiple
        return tuple(max(m, round(side * scale / m) * m) for side in (height, width))  # type: ignore[return-value]


def _resized(values: Float, height: int, width: int) -> Float:
    """Return an array brought to another size: averages when it shrinks, cubic when it grows."""
    import cv2

    if values.shape[:2] == (height, width):
        return values
    shrink = height * width < values.shape[0] * values.shape[1]
    how = cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
    out: Float = cv2.resize(np.ascontiguousarray(values), (width, height), interpolation=how)
    return out
