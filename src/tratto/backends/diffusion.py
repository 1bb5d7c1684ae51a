"""Diffusion models in the layout they are published in, run by diffusers from folders on this machine.

Nothing here asks the network for anything: every file is named by :mod:`tratto.models.folders`, and every loader is
told to look at local files only. Weights are safetensors; pickles are refused.

The noise is drawn on the CPU from the seed, whatever the model runs on, so that equal seeds give equal noise.
Results are bit-identical on one machine with one set of library versions; other machines round otherwise.
"""

from __future__ import annotations

import contextlib
import importlib.util
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tratto.backends.devices import check_device, torch_device
from tratto.core.errors import MissingExtra, OptionError, WeightMismatch
from tratto.models.folders import ModelFolder, pipeline_parts, read_json

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]
Family = Literal["sdxl", "sd15"]

DTYPES = ("auto", "fp32", "fp16", "bf16")
OFFLOADS = ("none", "model", "sequential")
NEEDS = ("torch", "diffusers", "transformers", "peft", "accelerate", "safetensors")


@dataclass(frozen=True)
class DiffusionFolders:
    """What is loaded.

    Attributes
    ----------
    family : str
        ``sdxl`` or ``sd15``.
    model : ModelFolder
        The inpainting pipeline.
    adapters : tuple of (ModelFolder, float)
        LoRA weights, each with its strength.
    controlnet : ModelFolder or None
        A ControlNet that takes depth.
    image_prompt : ModelFolder or None
        An IP-Adapter with its image encoder.
    """

    family: Family
    model: ModelFolder
    adapters: tuple[tuple[ModelFolder, float], ...] = ()
    controlnet: ModelFolder | None = None
    image_prompt: ModelFolder | None = None


@dataclass(frozen=True)
class DiffusionRuntime:
    """How it is run.

    Attributes
    ----------
    dtype : str
        ``auto`` (fp16 on a GPU, fp32 on a CPU), ``fp32``, ``fp16`` or ``bf16``.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    offload : str
        ``none``; ``model`` keeps only the part at work on the GPU, ``sequential`` only the layer at work: slower, for
        small GPUs.
    tiling : bool
        Decode latents in tiles. Less memory at large sizes, and seams may show.
    slicing : bool
        Compute attention in slices. Less memory, slower.
    """

    dtype: str = "auto"
    device: str = "auto"
    offload: str = "none"
    tiling: bool = False
    slicing: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise OptionError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        if self.offload not in OFFLOADS:
            raise OptionError(f"offload must be one of {', '.join(OFFLOADS)}, got {self.offload!r}")
        check_device(self.device)


@dataclass(frozen=True, eq=False)
class DiffusionRequest:
    """One window to paint.

    Attributes
    ----------
    picture : (h, w, 3) float32 in [0, 1]
        Encoded sRGB; both sides multiples of the backend's ``multiple``.
    hole : (h, w) bool
        What is painted anew.
    prompt, negative : str or None
        None: the embedding of the empty text, for both branches of the guidance.
    steps : int
        Of the sampler; more take as much longer and differ less and less.
    guidance : float
        1 = none.
    strength : float
        Share of the way from the picture to noise, (0, 1]; 1 starts from noise alone.
    seed : int
        Of the noise, which is drawn on the CPU: equal seeds start from equal noise on every device.
    depth : (h, w) float32 in [0, 1] or None
        1 is near; for a ControlNet.
    control_scale : float
        How strongly the ControlNet holds to ``depth``; 0 = not at all.
    reference : (H, W, 3) float32 in [0, 1] or None
        For an IP-Adapter.
    reference_scale : float
        How strongly the IP-Adapter holds to ``reference``; 0 = not at all.
    """

    picture: Float
    hole: Bool
    prompt: str | None
    negative: str | None = None
    steps: int = 50
    guidance: float = 7.5
    strength: float = 1.0
    seed: int = 0
    depth: Float | None = None
    control_scale: float = 1.0
    reference: Float | None = None
    reference_scale: float = 1.0


def missing_diffusion(what: str = "this provider") -> MissingExtra | None:
    """Return why diffusion models cannot be run here, or None. Imports nothing heavy."""
    if any(importlib.util.find_spec(name) is None for name in NEEDS):
        return MissingExtra(what, "diffusion")
    return None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep diffusers and transformers from talking on the terminal; what matters is raised."""
    import diffusers
    import transformers

    talkers = (diffusers.utils.logging, transformers.utils.logging)
    before = [(t.get_verbosity(), t.is_progress_bar_enabled()) for t in talkers]
    for talker in talkers:
        talker.set_verbosity_error()
        talker.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for talker, (level, bars) in zip(talkers, before, strict=True):
            talker.set_verbosity(level)
            if bars:
                talker.enable_progress_bar()


@contextlib.contextmanager
def _mapped(path: Any, what: str) -> Iterator[None]:
    """Turn what a loader raises about a broken folder into one of our errors."""
    try:
        with quiet():
            yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError) as e:
        if isinstance(e, RuntimeError) and "out of memory" in str(e):
            raise
        # safetensors has an error of its own that is none of these; see below
        raise WeightMismatch(f"{path} cannot be opened as {what}: {_short(e)}") from e
    except Exception as e:
        if type(e).__name__ != "SafetensorError":
            raise
        raise WeightMismatch(f"{path} cannot be opened as {what}: a weight file is broken: {_short(e)}") from e


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


def family_of(folder: ModelFolder) -> Family:
    """Say which family a pipeline is of, from its parts.

    Raises
    ------
    OptionError
        If it is neither SDXL nor Stable Diffusion 1.5, or does not inpaint.
    """
    parts = pipeline_parts(folder.path)
    if "unet" not in parts:
        raise OptionError(f"{folder.path} is no Stable Diffusion model: it has a transformer and no unet")
    unet = read_json(folder.path / "unet" / "config.json", "the unet of a pipeline has one")
    if parts["unet"] != "UNet2DConditionModel" or "scheduler" not in parts:
        raise OptionError(f"{folder.path} is no Stable Diffusion model: its unet is a {parts['unet']}")
    if unet.get("in_channels") not in (4, 9):
        raise OptionError(f"{folder.path} is no inpainting model: its unet takes {unet.get('in_channels')} channels")
    return "sdxl" if "text_encoder_2" in parts else "sd15"


class DiffusionBackend:
    """An opened inpainting pipeline.

    Parameters
    ----------
    pipe : diffusers pipeline
        Already on its device.
    folders : DiffusionFolders
        What it was opened from; named in records and receipts.
    facts : (device, precision)
        Device and precision it runs on, for the record.

    Attributes
    ----------
    folders : DiffusionFolders
        What it was opened from.
    device, precision, library, scheduler : str
        What it runs on and with, as a receipt states it.
    size : int
        Side of the squares that it was trained on.
    multiple : int
        Sides of a window must be multiples of this.
    """

    def __init__(self, pipe: Any, folders: DiffusionFolders, facts: tuple[str, str]) -> None:
        import diffusers
        import torch

        self.pipe, self.folders = pipe, folders
        self.device, self.precision = facts
        self._lock = threading.Lock()  # a pipeline keeps the state of the picture that it paints
        self.library = f"diffusers {diffusers.__version__}, torch {torch.__version__}"
        self.scheduler = type(pipe.scheduler).__name__
        sample = pipe.unet.config.sample_size
        side = sample if isinstance(sample, int) else min(sample)
        self.size = int(side * pipe.vae_scale_factor)
        # the unet halves the latents once per block but the last
        self.multiple = int(pipe.vae_scale_factor * 2 ** (len(pipe.unet.config.block_out_channels) - 1))

    def run(self, request: DiffusionRequest, progress: Callable[[int, int], None] | None = None) -> Float:
        """Paint one window.

        Parameters
        ----------
        request : DiffusionRequest
            The window, its hole and what to paint there.
        progress : callable or None
            ``progress(done, total)`` after each step; raising stops the work.

        Returns
        -------
        (h, w, 3) float32 in [0, 1]
            The whole window as the model made it; what is outside the hole is near the input, not equal to it.

        Raises
        ------
        OptionError
            If sizes do not fit, or a condition is missing or given in vain.
        """
        import torch

        self._check(request)
        extras: dict[str, Any] = {}
        if request.reference is not None:
            self.pipe.set_ip_adapter_scale(request.reference_scale)
            extras["ip_adapter_image"] = _pil(request.reference)
        if request.depth is not None:
            extras["control_image"] = np.repeat(request.depth[None, ..., None], 3, axis=3)
            extras["controlnet_conditioning_scale"] = float(request.control_scale)
        height, width = request.hole.shape
        total = request.steps

        def after(pipe: Any, step: int, timestep: Any, kept: dict[str, Any]) -> dict[str, Any]:
            if progress is not None:
                progress(step + 1, total)
            return kept

        with self._lock, quiet(), torch.inference_mode(), _deterministic(torch):
            if request.prompt is None:
                extras |= self._empty_prompt()
            else:
                extras |= {"prompt": request.prompt, "negative_prompt": request.negative or None}
            done = self.pipe(
                image=request.picture[None],
                mask_image=request.hole[None].astype(np.float32),
                height=height,
                width=width,
                num_inference_steps=request.steps,
                guidance_scale=float(request.guidance),
                strength=float(request.strength),
                generator=torch.Generator("cpu").manual_seed(request.seed),
                output_type="np",
                callback_on_step_end=after,
                **extras,
            )
        image = np.asarray(done.images[0], np.float32)
        if image.shape != request.picture.shape or not np.isfinite(image).all():
            raise WeightMismatch(
                f"{self.folders.model.name}: the model returned {image.shape} or what is no number; "
                "in half precision, try dtype=fp32 or dtype=bf16"
            )
        return image

    def _empty_prompt(self) -> dict[str, Any]:
        """Return the empty text's embedding for both branches."""
        if self.folders.family == "sdxl":
            one, _, pooled, _ = self.pipe.encode_prompt("", do_classifier_free_guidance=False)
            return {
                "prompt_embeds": one, "negative_prompt_embeds": one,
                "pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": pooled,
            }  # fmt: skip
        one, _ = self.pipe.encode_prompt("", self.pipe._execution_device, 1, False)
        return {"prompt_embeds": one, "negative_prompt_embeds": one}

    def _check(self, request: DiffusionRequest) -> None:
        picture, hole = request.picture, request.hole
        if picture.ndim != 3 or picture.shape[2] != 3 or hole.shape != picture.shape[:2] or hole.dtype != bool:
            raise OptionError(
                f"expected an (h, w, 3) picture and a bool hole of its size, got {picture.shape} and "
                f"{hole.dtype} {hole.shape}"
            )
        if any(side % self.multiple or side == 0 for side in hole.shape):
            raise OptionError(f"both sides must be multiples of {self.multiple}, got {hole.shape}")
        if not np.isfinite(picture).all():
            raise OptionError("the picture holds values that are no numbers")
        if request.steps < 1 or int(request.steps * min(request.strength, 1.0)) < 1:
            raise OptionError(
                f"steps times strength must be at least 1, got {request.steps} x {request.strength:g}; raise either"
            )
        for name, given, there in (
            ("depth", request.depth, self.folders.controlnet),
            ("reference", request.reference, self.folders.image_prompt),
        ):
            if (given is None) != (there is None):
                raise OptionError(f"a {name} goes with the model that takes it, and that model with a {name}")
        if request.depth is not None and request.depth.shape != hole.shape:
            raise OptionError(f"the depth must have the size {hole.shape}, got {request.depth.shape}")


def _pil(picture: Float) -> Any:
    from PIL import Image

    return Image.fromarray(np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8))


@contextlib.contextmanager
def _deterministic(torch: Any) -> Iterator[None]:
    """Ask for deterministic kernels, and put the setting back: it belongs to the process, not to us."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def gpu_here() -> bool:
    """Return whether torch finds a GPU. Loads torch."""
    import torch

    return bool(torch.cuda.is_available())


def placement(runtime: DiffusionRuntime, on_gpu: str = "fp16") -> tuple[str, str, Any]:
    """Return where a pipeline runs, and the name and type of its numbers.

    Parameters
    ----------
    runtime : DiffusionRuntime
        Device, precision and what saves memory.
    on_gpu : str
        What ``dtype="auto"`` is on a GPU.

    Raises
    ------
    OptionError
        If there is no such device, or parts are to wait in memory for a GPU that is not at work.
    """
    import torch

    device = torch_device(runtime.device)
    if runtime.offload != "none" and device == "cpu":
        raise OptionError("offload moves parts between GPU and memory; there is no GPU at work, leave it away")
    name = runtime.dtype if runtime.dtype != "auto" else "fp32" if device == "cpu" else on_gpu
    return device, name, {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[name]


def read_options(folder: ModelFolder) -> dict[str, Any]:
    """Return what every loader is told: files of this machine, safetensors, and the precision that is there."""
    told: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}
    return told | ({"variant": folder.variant} if folder.variant else {})


def open_controlnet(folder: ModelFolder, dtype: Any) -> Any:
    """Return a ControlNet of a folder, whole.

    Raises
    ------
    WeightMismatch
        If the folder is broken, or holds something else.
    """
    import diffusers

    with _mapped(folder.path, "a ControlNet"):
        told = read_options(folder)
        control = diffusers.ControlNetModel.from_pretrained(str(folder.path), torch_dtype=dtype, **told)
    _check_whole(control, folder, "")
    return control


def place(pipe: Any, runtime: DiffusionRuntime, device: str) -> None:
    """Put an opened pipeline where it runs, with what saves memory.

    Parameters
    ----------
    pipe : diffusers pipeline
        As it was loaded, on the CPU.
    runtime : DiffusionRuntime
        Device, precision and what saves memory.
    device : str
        Of :func:`placement`.
    """
    if runtime.slicing:
        pipe.enable_attention_slicing()
    if runtime.tiling:
        pipe.vae.enable_tiling()
    if runtime.offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif runtime.offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        pipe.to(device)
    pipe.set_progress_bar_config(disable=True)


def open_diffusion(folders: DiffusionFolders, runtime: DiffusionRuntime | None = None) -> DiffusionBackend:
    """Open a pipeline from folders on this machine.

    Parameters
    ----------
    folders : DiffusionFolders
        The model and what is laid over it: ControlNet, IP-Adapter, LoRA.
    runtime : DiffusionRuntime or None
        Device, precision and what saves memory; None: ``auto`` for all.

    Raises
    ------
    MissingExtra
        If diffusers or what it needs is not installed.
    OptionError
        If the folder is of another family, or the machine has no such device.
    WeightMismatch
        If a folder is broken or of another architecture.
    """
    runtime = runtime or DiffusionRuntime()
    error = missing_diffusion(f"{folders.family} ({folders.model.name})")
    if error is not None:
        raise error
    found = family_of(folders.model)
    if found != folders.family:
        raise OptionError(f"{folders.model.path} is a model of the family {found}, and {folders.family} was asked for")
    device, precision, dtype = placement(runtime)
    pipe = _load(folders, dtype)
    for number, (adapter, _) in enumerate(folders.adapters):
        _load_adapter(pipe, adapter, f"adapter{number}")
    if folders.adapters:
        with _mapped(folders.adapters[0][0].path, "LoRA weights of this model"):
            names = [f"adapter{k}" for k in range(len(folders.adapters))]
            pipe.set_adapters(names, adapter_weights=[scale for _, scale in folders.adapters])
    place(pipe, runtime, device)
    return DiffusionBackend(pipe, folders, (device, precision))


def _load(folders: DiffusionFolders, dtype: Any) -> Any:
    import diffusers

    kinds = {
        ("sdxl", False): "StableDiffusionXLInpaintPipeline",
        ("sdxl", True): "StableDiffusionXLControlNetInpaintPipeline",
        ("sd15", False): "StableDiffusionInpaintPipeline",
        ("sd15", True): "StableDiffusionControlNetInpaintPipeline",
    }
    with quiet():  # loads much, which talks
        kind = getattr(diffusers, kinds[folders.family, folders.controlnet is not None])
    given: dict[str, Any] = {"torch_dtype": dtype, **read_options(folders.model)}
    if folders.family == "sdxl":
        given["add_watermarker"] = False  # else it depends on what else is installed
    else:
        given |= {"safety_checker": None, "requires_safety_checker": False}
    if folders.controlnet is not None:
        given["controlnet"] = open_controlnet(folders.controlnet, dtype)
    with _mapped(folders.model.path, f"a pipeline of the family {folders.family}"):
        pipe = kind.from_pretrained(str(folders.model.path), **given)
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        if getattr(pipe, part, None) is not None:
            _check_whole(getattr(pipe, part), folders.model, f"{part}/")
    if folders.image_prompt is not None:
        adapter = folders.image_prompt
        name = next(f for f in adapter.files if "/" not in f)
        with _mapped(adapter.path, "an IP-Adapter of this model"):
            pipe.load_ip_adapter(
                str(adapter.path), subfolder="", weight_name=name, image_encoder_folder="image_encoder",
                local_files_only=True,
            )  # fmt: skip
        _check_whole(pipe.image_encoder, adapter, "image_encoder/")
        if any(p.is_meta for p in pipe.unet.parameters()):
            raise WeightMismatch(f"{adapter.path} cannot be opened as an IP-Adapter of this model: it lacks weights")
    return pipe


def _check_whole(module: Any, folder: ModelFolder, part: str) -> None:
    """Refuse a part whose files hold fewer numbers than it has: loaders fill up with random ones and only warn.

    Names cannot be compared, since older files have other ones; the count of numbers is the same under any name.
    """
    import math

    from safetensors import safe_open

    stored = 0
    for name in folder.files:
        if name.startswith(part) and name.count("/") == part.count("/") and name.endswith(".safetensors"):
            with safe_open(folder.path / name, "np") as opened:
                stored += sum(math.prod(opened.get_slice(key).get_shape()) for key in opened.keys())  # noqa: SIM118
    needed = sum(p.numel() for p in module.parameters())
    if stored < needed or any(p.is_meta for p in module.parameters()):
        raise WeightMismatch(f"{folder.path / part}: it lacks weights: {stored} numbers are there of {needed}")


def _load_adapter(pipe: Any, adapter: ModelFolder, name: str) -> None:
    """Load LoRA weights, refusing a file that fits nothing: diffusers would only warn."""
    folder = adapter.path if adapter.path.is_dir() else adapter.path.parent
    weights = [f for f in adapter.files if f.endswith(".safetensors")]
    if len(weights) != 1:
        raise OptionError(f"{adapter.path} must hold one .safetensors file, it holds {len(weights)}; name the file")
    with _mapped(adapter.path, "LoRA weights of this model"):
        pipe.load_lora_weights(str(folder), weight_name=weights[0], adapter_name=name, local_files_only=True)
    loaded = pipe.get_list_adapters()
    if not any(name in names for names in loaded.values()):
        raise WeightMismatch(f"{adapter.path}: none of its weights belongs to this model")
