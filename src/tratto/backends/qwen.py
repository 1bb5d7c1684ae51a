"""Qwen-Image-Edit inpainting from a folder on this machine, through diffusers.

Wu et al. 2025, "Qwen-Image Technical Report", arXiv 2508.02324. The pipeline works at about a megapixel whatever it is
given. What turns words and a picture into tokens is put together here: the library's own needs torchvision, for films.
"""

from __future__ import annotations

import threading
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tratto.backends.diffusion import (
    DiffusionRuntime,
    _check_whole,
    _deterministic,
    _mapped,
    _pil,
    missing_diffusion,
    place,
    placement,
    quiet,
    read_options,
)
from tratto.core.errors import OptionError, WeightMismatch
from tratto.models.folders import ModelFolder, pipeline_parts

Float = NDArray[np.float32]
PIPELINES = ("QwenImageEditPipeline", "QwenImageEditInpaintPipeline", "QwenImageEditPlusPipeline")
PARTS = ("transformer", "vae", "text_encoder")
#: What stands for a picture in the text, once for each of its tokens.
PAD = "<|image_pad|>"


class Words:
    """Turns a text with one picture into tokens; the part of ``Qwen2VLProcessor`` that is needed here."""

    def __init__(self, tokenizer: Any, pictures: Any) -> None:
        self._tokenizer, self._pictures = tokenizer, pictures

    def __call__(self, text: list[str], images: Any, padding: bool, return_tensors: str) -> Any:
        """Return token ids, their mask, and the picture in patches."""
        from transformers import BatchFeature

        seen = self._pictures(images=[images], return_tensors=return_tensors)
        count = int(seen["image_grid_thw"][0].prod()) // self._pictures.merge_size**2
        filled = [t.replace(PAD, PAD * count) for t in text]
        tokens = self._tokenizer(filled, padding=padding, return_tensors=return_tensors)
        return BatchFeature({**tokens, **seen})


class QwenBackend:
    """An opened pipeline.

    Parameters
    ----------
    pipe : diffusers pipeline
        Already on its device.
    folder : ModelFolder
        What it was opened from; named in records and errors.
    facts : (device, precision)
        Device and precision it runs on, for the record.
    """

    def __init__(self, pipe: Any, folder: ModelFolder, facts: tuple[str, str]) -> None:
        import diffusers
        import torch

        self._pipe, self.folder = pipe, folder
        self.device, self.precision = facts
        self._lock = threading.Lock()
        self.library = f"diffusers {diffusers.__version__}, torch {torch.__version__}"

    def run(
        self, picture: Float, hole: Float, words: tuple[str, str], numbers: tuple[int, float, float], seed: int
    ) -> Float:
        """Paint a picture anew under a mask.

        Parameters
        ----------
        picture : (H, W, 3) float32 in [0, 1]
            Encoded sRGB.
        hole : (H, W) float32
            Above 0.5: painted.
        words : (str, str)
            Prompt and negative prompt.
        numbers : (int, float, float)
            Steps, true classifier-free guidance, and share of the way to noise at which it starts.
        seed : int
            Of the noise, which is drawn on the CPU.

        Returns
        -------
        (H, W, 3) float32 in [0, 1]
            All of it near the picture outside the hole, not equal to it.
        """
        import cv2
        import torch

        steps, guidance, strength = numbers
        if int(steps * strength) < 1:
            raise OptionError(f"steps times strength must be at least 1, got {steps} x {strength:g}; raise either")
        with self._lock, quiet(), torch.inference_mode(), _deterministic(torch):
            done = self._pipe(
                image=_pil(picture),
                mask_image=_pil(np.repeat((hole > 0.5).astype(np.float32)[..., None], 3, axis=2)).convert("L"),
                prompt=words[0],
                negative_prompt=words[1],
                true_cfg_scale=float(guidance),
                num_inference_steps=steps,
                strength=float(strength),
                generator=torch.Generator("cpu").manual_seed(seed),
                output_type="np",
            )
        made = np.asarray(done.images[0], np.float32)
        if made.ndim != 3 or not np.isfinite(made).all():
            raise WeightMismatch(
                f"{self.folder.name}: the model returned what is no number; in half precision, try dtype=fp32 or bf16"
            )
        size = (picture.shape[1], picture.shape[0])
        out = cv2.resize(made, size, interpolation=cv2.INTER_AREA if made.shape[0] > size[1] else cv2.INTER_CUBIC)
        return np.asarray(np.clip(out, 0, 1), np.float32)


def open_qwen(folder: ModelFolder, runtime: DiffusionRuntime) -> QwenBackend:
    """Open a pipeline from a folder as it is published.

    Raises
    ------
    MissingExtra, OptionError, WeightMismatch
    """
    error = missing_diffusion(f"qwen ({folder.name})")
    if error is not None:
        raise error
    device, precision, dtype = placement(runtime, on_gpu="bf16")
    check_qwen(folder)
    pipe = _load(folder, dtype)
    place(pipe, runtime, device)
    return QwenBackend(pipe, folder, (device, precision))


def check_qwen(folder: ModelFolder) -> None:
    """Refuse a folder of another architecture."""
    parts = pipeline_parts(folder.path)
    if parts.get("transformer") != "QwenImageTransformer2DModel":
        raise OptionError(f"{folder.path} is no Qwen-Image-Edit model: its transformer is a {parts.get('transformer')}")


def _load(folder: ModelFolder, dtype: Any) -> Any:
    with quiet():
        import diffusers
        import transformers
    given, words = cast(Any, diffusers), cast(Any, transformers)  # not all of their loaders are typed
    path, here = str(folder.path), {"local_files_only": True}
    told = read_options(folder)
    with _mapped(folder.path, "a Qwen-Image-Edit pipeline"):
        parts = {
            "transformer": given.QwenImageTransformer2DModel.from_pretrained(
                path, subfolder="transformer", torch_dtype=dtype, **told
            ),
            "vae": given.AutoencoderKLQwenImage.from_pretrained(path, subfolder="vae", torch_dtype=dtype, **told),
            "text_encoder": words.Qwen2_5_VLForConditionalGeneration.from_pretrained(
                path, subfolder="text_encoder", dtype=dtype, **told
            ),
        }
        tokenizer = words.AutoTokenizer.from_pretrained(path, subfolder="tokenizer", **here)
        pictures = words.Qwen2VLImageProcessorPil.from_pretrained(path, subfolder="processor", **here)
        scheduler = given.FlowMatchEulerDiscreteScheduler.from_pretrained(path, subfolder="scheduler", **here)
        pipe = given.QwenImageEditInpaintPipeline(
            scheduler=scheduler, tokenizer=tokenizer, processor=Words(tokenizer, pictures), **parts
        )
    for name in PARTS:
        parts[name].eval()
        _check_whole(parts[name], folder, f"{name}/")
    return pipe
