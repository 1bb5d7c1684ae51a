"""In-painters that are diffusion models: SDXL for repairs, Stable Diffusion 1.5 with a picture of the paint for walls.

Their weights lie in folders that the user names; see :mod:`tratto.models.folders` and ``docs/full-size.md``. What they
paint was never in the picture and looks as if it had been: nothing they make is evidence of anything.

* Podell et al. 2023, "SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis".
* Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models".
* Hu et al. 2021, "LoRA"; Zhang et al. 2023, "ControlNet"; Ye et al. 2023, "IP-Adapter".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.diffusion import (
    DTYPES,
    OFFLOADS,
    DiffusionBackend,
    DiffusionFolders,
    DiffusionRequest,
    DiffusionRuntime,
    Family,
    missing_diffusion,
    open_diffusion,
)
from tratto.core.capability import Filled, InpainterInfo, Use
from tratto.core.errors import MissingWeights, OptionError, UnavailableError
from tratto.models.folders import ModelFolder, find_folder, read_json
from tratto.models.store import get_card, locate
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
#: The card whose pulled depth network is taken where none is named.
DEPTH_CARD = "depth-anything-v2-small"
#: A ControlNet's or an adapter's influence may be raised this far.
MOST_SCALE = 4.0


@dataclass(frozen=True)
class _Number:
    low: float
    high: float
    default: float
    whole: bool = False


_NUMBERS = {
    "steps": _Number(1, 1000, 50, whole=True),
    "guidance": _Number(1, 50, 7.5),
    "strength": _Number(0.01, 1, 1.0),
    "refine": _Number(0, 1, 0.4),
    "control_scale": _Number(0, MOST_SCALE, 1.0),
    "reference_scale": _Number(0, MOST_SCALE, 1.0),
}
_CHOICES = {"dtype": (*DTYPES,), "offload": (*OFFLOADS,), "lock": ("seen", "paint", "none")}
_FLAGS = ("tiling", "slicing")
_TEXTS = ("prompt", "negative", "device")
_FOLDERS = ("model", "lora", "controlnet", "depth", "ip_adapter")
#: Those a model has to be opened with; the others may differ from picture to picture.
_OPENING = ("model", "lora", "controlnet", "ip_adapter", "dtype", "device", "offload", "tiling", "slicing")
_ONLY_SD15 = ("ip_adapter", "reference_scale", "lock")


def names_of(variant: str) -> tuple[str, ...]:
    """Return the parameters that a family takes."""
    every = (*_FOLDERS, *_NUMBERS, *_TEXTS, *_CHOICES, *_FLAGS)
    return every if variant == "sd15" else tuple(n for n in every if n not in _ONLY_SD15)


def missing(request: Request) -> UnavailableError | None:
    """Return why a model cannot be used here, or None: the one named, or the one that is taken where none is."""
    if request.params.get("model"):
        return missing_diffusion(f"the in-painter {request.variant}")
    return _default_missing(request.variant)


def _default_missing(variant: str) -> UnavailableError | None:
    error = missing_diffusion(f"the in-painter {variant}")
    if error is not None:
        return error
    card = DEFAULT_CARD[variant]
    if not card:
        return MissingWeights(f"{variant} needs a folder of weights: --param model=FOLDER; see docs/full-size.md")
    try:
        locate(get_card(card))
    except MissingWeights as e:
        return MissingWeights(f"{e}; or name a folder: --param model=FOLDER")
    return None


def settle(request: Request) -> dict[str, Any]:
    """Check parameters, complete them, and turn paths into references that a recipe may keep.

    Parameters
    ----------
    request : Request
        Of the variant ``sdxl`` or ``sd15``. Its parameters: ``model``, ``controlnet``, ``ip_adapter``: folders.
        ``depth``, for a ControlNet: the folder of a depth network, ``geometric`` (a stand-in), or ``auto``. ``lora``:
        folders or files, each with ``:SCALE`` behind it if need be, separated by commas. ``steps`` 1-1000,
        ``guidance`` 1-50, ``strength`` (0, 1], ``refine`` 0-1 (of parts painted at a smaller scale first; 0 = not),
        ``control_scale``, ``reference_scale`` 0-4, ``prompt``, ``negative``, ``dtype``, ``device``, ``offload``,
        ``tiling``, ``slicing``, ``lock``.

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
    variant, params = request.variant, request.params
    known = names_of(variant)
    for name in params:
        if name not in (*known, "scheduler"):
            raise OptionError(f"{variant} has no parameter {name!r}; its parameters: {', '.join(known)}")
    out: dict[str, Any] = {}
    for name, number in _NUMBERS.items():
        if name in known:
            out[name] = _number(variant, name, params.get(name, number.default), number)
    for name in _FLAGS:
        out[name] = _flag(variant, name, params.get(name, False))
    for name, allowed in _CHOICES.items():
        if name in known:
            out[name] = str(params.get(name, allowed[0]))
            if out[name] not in allowed:
                raise OptionError(f"{variant}: {name} must be one of {', '.join(allowed)}; got {out[name]!r}")
    out["prompt"] = _text(variant, "prompt", params.get("prompt", REPAIR_PROMPT if variant == "sdxl" else ""))
    out["negative"] = _text(variant, "negative", params.get("negative", NEGATIVE if variant == "sdxl" else ""))
    out["device"] = str(params.get("device", "auto"))
    DiffusionRuntime(out["dtype"], out["device"], out["offload"])
    given = dict(params)
    if not given.get("model"):
        error = _default_missing(variant)
        if error is not None:
            raise error
        given["model"] = DEFAULT_CARD[variant]
    elif (error := missing_diffusion(f"the in-painter {variant}")) is not None:
        raise error
    folders = _folders(variant, given)
    out["model"] = folders.model.reference
    out["lora"] = [f"{folder.reference}:{scale:g}" for folder, scale in folders.adapters]
    out["controlnet"] = folders.controlnet.reference if folders.controlnet else ""
    out["depth"] = _depth_source(variant, params.get("depth", ""), folders.controlnet is not None)
    if variant == "sd15":
        out["ip_adapter"] = folders.image_prompt.reference if folders.image_prompt else ""
    out["scheduler"] = _scheduler(folders.model)
    if params.get("scheduler", out["scheduler"]) != out["scheduler"]:
        raise OptionError(f"the scheduler is the model's own, {out['scheduler']}; it cannot be chosen")
    return out


def _depth_source(variant: str, value: Any, wanted: bool) -> str:
    """Return who estimates depth: a reference to a folder, ``geometric``, or nothing where nobody asks."""
    if not isinstance(value, str):
        raise OptionError(f"{variant}: depth takes a folder, geometric or auto, got {value!r}")
    if not wanted:
        if value not in ("", "auto"):
            raise OptionError(f"{variant}: depth is for a ControlNet; name one with controlnet=FOLDER")
        return ""
    if value == "geometric":
        return value
    if value in ("", "auto"):
        try:
            return find_folder(str(locate(get_card(DEPTH_CARD))["config.json"].parent), "part").reference
        except MissingWeights:
            return "geometric"
    return find_folder(value, "part").reference


def is_diffusion(name: str) -> bool:
    """Return whether an in-painter is a diffusion model, which works in windows of its own and takes parameters."""
    row = CATALOGUE["in-painter"].get(name)
    return row is not None and row.settles


def settle_params(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Check the parameters of an in-painter and complete them; paths become references that a recipe may keep."""
    return dict(settle_use(Use("in-painter", name, params)).params)


def opening(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the settled parameters that a model has to be opened with."""
    return {k: params[k] for k in _OPENING if k in params}


def _number(variant: str, name: str, value: Any, rule: _Number) -> float | int:
    good = isinstance(value, int | float) and not isinstance(value, bool) and rule.low <= value <= rule.high
    if not good or (rule.whole and value != int(value)):
        what = "a whole number" if rule.whole else "a number"
        raise OptionError(f"{variant}: {name} must be {what} from {rule.low:g} to {rule.high:g}, got {value!r}")
    return int(value) if rule.whole else float(value)


def _flag(variant: str, name: str, value: Any) -> bool:
    words = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}
    key = str(value).lower()
    if key not in words:
        raise OptionError(f"{variant}: {name} must be yes or no, got {value!r}")
    return words[key]


def _text(variant: str, name: str, value: Any) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool) or len(str(value)) > 2000:
        raise OptionError(f"{variant}: {name} must be a text of at most 2000 characters, got {str(value)[:60]!r}")
    return str(value)


def _folders(variant: str, params: Mapping[str, Any]) -> DiffusionFolders:
    for name in ("model", "controlnet", "ip_adapter"):
        if not isinstance(params.get(name, ""), str):
            raise OptionError(f"{variant}: {name} takes a folder, got {params[name]!r}")
    control, image = params.get("controlnet", ""), params.get("ip_adapter", "")
    return DiffusionFolders(
        family=_family(variant),
        model=find_folder(params["model"], "pipeline"),
        adapters=tuple(_adapter(variant, text) for text in _listed(variant, params.get("lora", ""))),
        controlnet=find_folder(control, "part") if control else None,
        image_prompt=find_folder(image, "image-prompt") if image else None,
    )


def _family(variant: str) -> Family:
    return "sdxl" if variant == "sdxl" else "sd15"


def _listed(variant: str, value: Any) -> list[str]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(v, str) for v in items):
        raise OptionError(f"{variant}: lora takes FOLDER or FOLDER:SCALE, several with commas, got {value!r}")
    return [v.strip() for v in items if v.strip()]


def _adapter(variant: str, text: str) -> tuple[ModelFolder, float]:
    path, colon, tail = text.rpartition(":")
    scale = 1.0
    if colon:
        try:
            scale = float(tail)
        except ValueError:
            path = text  # the colon is part of the path
    else:
        path = text
    if not (np.isfinite(scale) and -MOST_SCALE <= scale <= MOST_SCALE):
        raise OptionError(f"{variant}: the scale of a LoRA lies between {-MOST_SCALE:g} and {MOST_SCALE:g}, got {tail}")
    return find_folder(path, "adapter"), scale


def _scheduler(model: ModelFolder) -> str:
    config = read_json(model.path / "scheduler" / "scheduler_config.json", "a pipeline says how it takes noise away")
    return str(config.get("_class_name", ""))[:100]


@dataclass(frozen=True, eq=False)
class Wanted:
    """What one window is asked for.

    Attributes
    ----------
    prompt : str or None
        None: the empty prompt's embedding in both branches.
    negative : str
    steps : int
    guidance, strength : float
    depth : (h, w) float32 in [0, 1] or None
        1 is near.
    control_scale : float
    reference : (H, W, 3) float32 or None
    reference_scale : float
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
    p, variant = opening(request.params), request.variant
    if p.get("device", "auto") == "auto":
        p["device"] = request.device
    if not p.get("model"):
        p["model"] = DEFAULT_CARD[variant]
    runtime = DiffusionRuntime(
        dtype=p.get("dtype", "auto"),
        device=p.get("device", "auto"),
        offload=p.get("offload", "none"),
        tiling=bool(p.get("tiling", False)),
        slicing=bool(p.get("slicing", False)),
    )
    return DiffusionInpainter(open_diffusion(_folders(variant, p), runtime), variant)


class DiffusionInpainter:
    """Paints holes with a diffusion model.

    Parameters
    ----------
    backend : DiffusionBackend
    variant : str
        Its name in the table.
    """

    def __init__(self, backend: DiffusionBackend, variant: str) -> None:
        self._backend = backend
        folders = backend.folders
        more = [folder for folder, _ in folders.adapters]
        more += [f for f in (folders.controlnet, folders.image_prompt) if f is not None]
        self._info = InpainterInfo(
            provider=variant,
            context=0,
            channels=3,
            precision=backend.precision,
            models=tuple(f.model for f in (folders.model, *more)),
            library=backend.library,
            megapixels_per_second=0.15 if backend.device != "cpu" else 0.0005,
        )

    @property
    def info(self) -> InpainterInfo:
        """Facts about this in-painter."""
        return self._info

    @property
    def side(self) -> int:
        """Side of the squares that the model was trained on."""
        return self._backend.size

    @property
    def takes_depth(self) -> bool:
        """Whether a ControlNet is there, which needs a depth map."""
        return self._backend.folders.controlnet is not None

    @property
    def takes_reference(self) -> bool:
        """Whether an IP-Adapter is there, which needs a picture to go by."""
        return self._backend.folders.image_prompt is not None

    def fill(self, picture: Float, hole: Bool, seed: int = 0) -> Filled:
        """Fill the holes of a window without being told what it shows."""
        check_window(picture, hole, self._info.provider)
        return Filled(self.paint(picture, hole, Wanted(), seed))

    def paint(
        self, picture: Float, hole: Bool, wanted: Wanted, seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Float:  # fmt: skip
        """Paint the holes of a window.

        Parameters
        ----------
        picture : (h, w, 3) float32 in [0, 1]
            Encoded sRGB, of any size: it is brought to the model's size, and what was painted back.
        hole : (h, w) bool
        wanted : Wanted
        seed : int
        progress : callable or None
            ``progress(done, total)`` after each step.

        Returns
        -------
        (h, w, 3) float32 in [0, 1]
            Equal to ``picture`` outside the holes.
        """
        from tratto.imaging.fill import plate_fill

        check_window(picture, hole, self._info.provider)
        if not hole.any():
            return picture.copy()
        height, width = self.window(hole.shape[0], hole.shape[1])
        shown = picture
        if wanted.strength == 1.0:  # else what is there is meant to count
            shown = plate_fill(np.where(hole[..., None], np.float32(0), picture), hole)
        painted = self._backend.run(
            DiffusionRequest(
                picture=np.clip(_resized(shown, height, width), 0, 1),
                hole=_resized(hole.astype(np.float32), height, width) > 0,
                prompt=wanted.prompt,
                negative=wanted.negative,
                steps=wanted.steps,
                guidance=wanted.guidance,
                strength=wanted.strength,
                seed=seed,
                depth=None if wanted.depth is None else np.clip(_resized(wanted.depth, height, width), 0, 1),
                control_scale=wanted.control_scale,
                reference=wanted.reference,
                reference_scale=wanted.reference_scale,
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
