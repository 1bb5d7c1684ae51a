"""SDXL-Lightning in four steps with a ControlNet for depth: goes over a picture, from part of the noise.

The U-Net of SDXL-Lightning (Lin et al. 2024) takes the place of SDXL's own; its four steps are those of a trailing
schedule, without guidance, as it was trained.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.diffusion import (
    DiffusionRuntime,
    _check_whole,
    _deterministic,
    _mapped,
    missing_diffusion,
    open_controlnet,
    place,
    placement,
    quiet,
    read_options,
)
from tratto.core.errors import OptionError, WeightMismatch
from tratto.models.folders import ModelFolder

Float = NDArray[np.float32]
#: Steps that the published U-Net was made for.
STEPS = 4


class LightningBackend:
    """The pipeline, opened.

    Parameters
    ----------
    pipe : diffusers pipeline
        Already on its device.
    name : str
        Of the U-Net's file, for errors.
    device, precision : str
        What it runs on, for the record.
    """

    def __init__(self, pipe: Any, name: str, device: str, precision: str) -> None:
        import diffusers
        import torch

        self.pipe, self.name, self.device, self.precision = pipe, name, device, precision
        self._lock = threading.Lock()
        self.library = f"diffusers {diffusers.__version__}, torch {torch.__version__}"
        sample = pipe.unet.config.sample_size
        #: Side that it was trained on, and what sides must be a multiple of, pixels.
        self.size = int((sample if isinstance(sample, int) else min(sample)) * pipe.vae_scale_factor)
        self.multiple = int(pipe.vae_scale_factor * 2 ** (len(pipe.unet.config.block_out_channels) - 1))

    def run(
        self, picture: Float, depth: Float, prompt: str, strength: float, control_scale: float, seed: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> Float:  # fmt: skip
        """Go over a picture.

        Parameters
        ----------
        picture : (h, w, 3) float32 in [0, 1]
            Sides are multiples of :attr:`multiple`.
        depth : (h, w) float32 in [0, 1]
            1 is near.
        prompt : str
            What the picture shows; empty: nothing is said.
        strength : float
            Share of the way to noise; of four steps so many are done, one at least.
        control_scale : float
            How strongly it holds to ``depth``; 0 = not at all.
        seed : int
            Noise is drawn on the CPU.
        progress : callable or None
            ``progress(done, total)`` after each step; raising stops the work.
        """
        import torch

        def after(pipe: Any, step: int, timestep: Any, kept: dict[str, Any]) -> dict[str, Any]:
            if progress is not None:
                progress(step + 1, STEPS)
            return kept

        if picture.shape[:2] != depth.shape or any(v % self.multiple for v in depth.shape):
            raise OptionError(
                f"picture and depth must be of one size, multiples of {self.multiple}, got {picture.shape}"
            )
        with self._lock, quiet(), torch.inference_mode(), _deterministic(torch):
            done = self.pipe(
                prompt=prompt, image=picture[None], control_image=np.repeat(depth[None, ..., None], 3, axis=3),
                height=depth.shape[0], width=depth.shape[1], num_inference_steps=STEPS,
                strength=max(1 / STEPS, float(strength)), guidance_scale=0.0,
                controlnet_conditioning_scale=float(control_scale),
                generator=torch.Generator("cpu").manual_seed(seed), output_type="np", callback_on_step_end=after,
            )  # fmt: skip
        image = np.asarray(done.images[0], np.float32)
        if image.shape != picture.shape or not np.isfinite(image).all():
            raise WeightMismatch(f"{self.name}: the model returned {image.shape} or what is no number; try dtype=bf16")
        return image


def open_lightning(
    base: ModelFolder, fast: ModelFolder, controlnet: ModelFolder, runtime: DiffusionRuntime
) -> LightningBackend:
    """Open the pipeline.

    Parameters
    ----------
    base : ModelFolder
        SDXL 1.0.
    fast : ModelFolder
        The file of SDXL-Lightning's U-Net.
    controlnet : ModelFolder
        Of SDXL, trained for depth maps.
    runtime : DiffusionRuntime
        ``offload="model"``, ``tiling`` and ``slicing`` with fp16 are for GPUs of 15 GB.

    Raises
    ------
    MissingExtra, OptionError, WeightMismatch
    """
    error = missing_diffusion("the enhancer sdxl-lightning")
    if error is not None:
        raise error
    with quiet():
        from diffusers import EulerDiscreteScheduler, StableDiffusionXLControlNetImg2ImgPipeline
        from safetensors.torch import load_file

    device, precision, dtype = placement(runtime)
    control = open_controlnet(controlnet, dtype)
    with _mapped(base.path, "an SDXL pipeline"):
        pipe = StableDiffusionXLControlNetImg2ImgPipeline.from_pretrained(
            str(base.path), controlnet=control, add_watermarker=False, torch_dtype=dtype, **read_options(base)
        )
        pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config, timestep_spacing="trailing")
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        _check_whole(getattr(pipe, part), base, f"{part}/")
    file = Path(fast.path) if fast.path.is_file() else fast.path / fast.files[0]
    with _mapped(file, "the U-Net of SDXL-Lightning"):
        pipe.unet.load_state_dict(load_file(file))
    place(pipe, runtime, device)
    return LightningBackend(pipe, file.name, device, precision)
