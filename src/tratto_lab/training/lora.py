"""Fine-tune a diffusion model with low-rank adapters, for repairs or for walls.

The base model stays as it is; what is learnt is a small file in the layout that diffusers and PEFT share. Samples,
noise and dropout depend on (seed, step) alone, and every state that influences a step is in the checkpoint, so a run
that was killed goes on with the same losses.

* Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models".
* Rombach et al. 2022: the inpainting model sees noisy latents, the mask and the latents of the masked picture.
* Ye et al. 2023, "IP-Adapter": the reference picture enters through attention of its own.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from tratto.backends.diffusion import (
    DiffusionBackend,
    DiffusionFolders,
    DiffusionRequest,
    DiffusionRuntime,
    missing_diffusion,
    open_diffusion,
    quiet,
)
from tratto.core.errors import InputError, OptionError
from tratto.models.folders import find_folder
from tratto_lab.training.lora_config import LoraRun
from tratto_lab.training.lora_data import Samples, open_samples
from tratto_lab.training.lora_files import (
    check_same_run,
    load_checkpoint,
    save_adapter,
    save_checkpoint,
    write_bytes,
)
from tratto_lab.training.steps import Course, take_steps

log = logging.getLogger(__name__)

#: The colour loss counts where at least this share of the signal is left: from much noise no colour can be told.
SIGNAL = 0.3
#: Layers of an IP-Adapter's own network, which stays as it is.
FROZEN = r"encoder_hid_proj.*"


@dataclass(eq=False)
class _State:
    """The parts of one run."""

    run: LoraRun
    backend: DiffusionBackend
    accelerator: Accelerator
    schedule: Any
    side: int

    @property
    def pipe(self) -> Any:
        return self.backend.pipe


def train(run: LoraRun, photos: Path, out: Path, stop_after: int | None = None, samples: Samples | None = None) -> Path:
    """Fine-tune as a run says, going on from its checkpoint if there is one.

    Parameters
    ----------
    run : LoraRun
        What is trained, on what, and for how long.
    photos : Path
        Folder of the training data.
    out : Path
        ``out/<run name>`` receives ``log.jsonl``, ``checkpoint.safetensors``, ``adapter/`` with the result,
        ``step-N_metrics.json`` and ``step-N_grid.png``; ``samples.json`` where the data set counts what it left out.
    stop_after : int or None
        Stop (as if killed, but with a checkpoint) after this many steps of this call.
    samples : Samples or None
        Another data set than the one in ``photos``.

    Returns
    -------
    Path
        The run's folder.

    Raises
    ------
    NotFinite
        If a loss or gradient is no number; the samples are named.
    InputError, OptionError, UnavailableError
        If weights or data are missing or not right.
    """
    error = missing_diffusion("fine-tuning a diffusion model")
    if error is not None:
        raise error
    if run.precision == "fp16" and not torch.cuda.is_available():
        log.warning("fp16 needs a GPU, and none is here: this run trains in fp32")  # processors do not calculate in it
        run = replace(run, precision="no")
    accelerator = Accelerator(mixed_precision=run.precision, gradient_accumulation_steps=run.accumulate)
    state = _open(run, accelerator)
    data = samples if samples is not None else open_samples(run.task, photos, state.side, run.data)
    count = len(data) - run.held_out
    if count < 1:
        raise InputError(f"{len(data)} sample(s) are too few to keep {run.held_out} for validation; lower held_out")
    folder = out / run.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise InputError(f"{folder} cannot be made: {e}") from e
    check_same_run(folder, run)

    unet = state.pipe.unet
    moving = [p for p in unet.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(moving, run.lr, betas=(0.9, 0.999), weight_decay=run.weight_decay)
    first = load_checkpoint(folder, unet, optimizer)
    model, optimizer = accelerator.prepare(unet, optimizer)
    per_step = run.batch * run.accumulate * accelerator.num_processes
    total = run.steps or max(1, math.ceil(run.epochs * count / per_step))

    def check(step: int) -> None:
        _validate(state, data, count, folder, step)
        model.train()

    def batches() -> Iterator[tuple[dict[str, Any], list[str]]]:
        for number in itertools.count(first * run.accumulate):
            batch = _batch(state, data, count, divmod(number, run.accumulate))
            yield batch, batch["names"]

    course = Course(
        run,
        accelerator,
        model,
        optimizer,
        run.clip,
        total,
        loss=lambda batch, at: _loss(state, model, batch, at),
        rate=lambda step: run.lr * min(1.0, (step + 1) / max(1, run.warmup)),
        save=lambda step: save_checkpoint(folder, accelerator.unwrap_model(model), optimizer, step),
        check=check,
        checked=lambda step: (folder / f"step-{step}_metrics.json").is_file(),
    )
    if first == 0 and accelerator.is_main_process:
        check(0)
    model.train()
    take_steps(course, batches(), folder, first, stop_after)
    if accelerator.is_main_process:
        save_adapter(folder / "adapter", state.pipe, accelerator.unwrap_model(model))
        counts = getattr(data, "counts", None)
        if is_dataclass(counts) and not isinstance(counts, type):
            write_bytes(folder / "samples.json", (json.dumps(asdict(counts), indent=1, default=str) + "\n").encode())
            log.info("samples of this call: %s", counts)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return folder


def _open(run: LoraRun, accelerator: Accelerator) -> _State:
    """Open the model, freeze it, and add adapters whose weights are drawn from the seed."""
    from diffusers import DDPMScheduler
    from diffusers.training_utils import cast_training_params
    from peft import LoraConfig

    device = str(accelerator.device)
    half = {"no": "fp32", "fp16": "fp16", "bf16": "bf16"}[run.precision]
    folders = DiffusionFolders(
        family=run.family,
        model=find_folder(run.model, "pipeline"),
        image_prompt=find_folder(run.ip_adapter, "image-prompt") if run.ip_adapter else None,
    )
    backend = open_diffusion(folders, DiffusionRuntime(dtype=half, device="cpu" if "cuda" not in device else device))
    pipe = backend.pipe
    parts = [pipe.unet, pipe.vae, pipe.text_encoder]
    parts += [p for p in (getattr(pipe, "text_encoder_2", None), getattr(pipe, "image_encoder", None)) if p is not None]
    for part in parts:
        part.requires_grad_(False)
        part.eval()
    with quiet():
        pipe.vae.to(torch.float32)  # SDXL's overflows in half precision
    torch.manual_seed(run.seed)
    config = LoraConfig(
        r=run.rank,
        lora_alpha=run.alpha,
        lora_dropout=run.dropout,
        init_lora_weights="gaussian",
        target_modules=list(run.targets),
        exclude_modules=FROZEN if run.ip_adapter else None,
    )
    try:
        with quiet():
            pipe.unet.add_adapter(config)
    except ValueError as e:
        raise OptionError(f"the model has no layers called {', '.join(run.targets)}: {e}") from e
    cast_training_params(pipe.unet, dtype=torch.float32)
    if run.checkpointing:
        pipe.unet.enable_gradient_checkpointing()
    schedule = DDPMScheduler.from_config(pipe.scheduler.config)
    if schedule.config.prediction_type not in ("epsilon", "v_prediction"):
        raise OptionError(f"the model predicts {schedule.config.prediction_type!r}; epsilon and v_prediction are known")
    side = run.side or backend.size
    if side % backend.multiple:
        raise OptionError(f"side must be a multiple of {backend.multiple}, got {side}")
    return _State(run, backend, accelerator, schedule, side)


def _generator(seed: int, step: int, micro: int, process: int, what: int) -> np.random.Generator:
    return np.random.default_rng([seed, step, micro, process, what])


def _batch(state: _State, data: Samples, count: int, at: tuple[int, int]) -> dict[str, Any]:
    """Return the samples of a micro-batch: each epoch goes through all in an order of its own."""
    run, accelerator = state.run, state.accelerator
    step, micro = at
    process, processes = accelerator.process_index, accelerator.num_processes
    rng = _generator(run.seed, step, micro, process, 0)
    out = []
    for k in range(run.batch):
        number = ((step * run.accumulate + micro) * processes + process) * run.batch + k
        epoch, place = divmod(number, count)
        index = int(np.random.default_rng([run.seed, epoch]).permutation(count)[place])
        out.append(checked_sample(data.sample(index, rng), state.side, run.task))
    return _stacked(out)


def checked_sample(sample: Mapping[str, Any], side: int, task: str) -> dict[str, Any]:
    """Return a sample with its parts as they are named in :class:`~tratto_lab.training.lora_data.Samples`, checked.

    Arrays with channels first and tensors are taken, too.

    Raises
    ------
    InputError
        Naming the sample, what was expected of it and what came.
    """
    name = str(sample.get("name", "a sample without a name"))
    out: dict[str, Any] = {"name": name, "caption": str(sample.get("caption") or "")}
    wanted = {"pixel_values": (-1.0, 1.0), "mask": (0.0, 1.0)}
    if task == "recolor":
        wanted |= {"reference_image": (-1.0, 1.0), "dominant_color": (0.0, 1.0)}
    elif "source" in sample:
        wanted["source"] = (-1.0, 1.0)
    for key, (low, high) in wanted.items():
        if key not in sample:
            raise InputError(f"{name}: expected {key}, got {', '.join(map(str, sample)) or 'nothing'}")
        value = np.asarray(sample[key], np.float32)
        if key == "mask":
            value = value.reshape(value.shape[-2:]) if value.ndim == 3 and value.shape[0] == 1 else value
        elif key != "dominant_color" and value.ndim == 3 and value.shape[0] == 3 and value.shape[2] != 3:
            value = value.transpose(1, 2, 0)
        if not np.isfinite(value).all() or value.min(initial=low) < low - 1e-4 or value.max(initial=high) > high + 1e-4:
            if key == "dominant_color" and np.isfinite(value).all() and value.min() >= 0 and value.max() <= 255:
                value = value / np.float32(255)
            else:
                raise InputError(f"{name}: {key} must be numbers in [{low:g}, {high:g}]")
        shape = {"mask": (side, side), "dominant_color": (3,)}.get(key, (side, side, 3))
        if key == "reference_image":
            good = value.ndim == 3 and value.shape[2] == 3
        else:
            good = value.shape == shape
        if not good:
            raise InputError(f"{name}: {key} must be of shape {shape}, got {value.shape}")
        out[key] = value
    out.setdefault("source", out["pixel_values"])
    if not (out["mask"] > 0.5).any():
        raise InputError(f"{name}: its mask marks nothing")
    return out


def _stacked(samples: list[dict[str, Any]]) -> dict[str, Any]:
    def planes(key: str) -> Tensor:
        return torch.from_numpy(np.stack([s[key].transpose(2, 0, 1) for s in samples]))

    batch: dict[str, Any] = {
        "names": [s["name"] for s in samples],
        "captions": [s["caption"] for s in samples],
        "target": planes("pixel_values"),
        "source": planes("source"),
        "mask": torch.from_numpy(np.stack([(s["mask"] > 0.5).astype(np.float32)[None] for s in samples])),
    }
    if "reference_image" in samples[0]:
        batch["reference"] = [s["reference_image"] for s in samples]
        batch["color"] = torch.from_numpy(np.stack([s["dominant_color"] for s in samples]))
    return batch


def _loss(state: _State, model: Any, batch: dict[str, Any], at: tuple[int, int]) -> Tensor:
    """Return the loss of a micro-batch; everything random in it is drawn from (seed, step)."""
    run, accelerator = state.run, state.accelerator
    seed = int(_generator(run.seed, *at, accelerator.process_index, 1).integers(2**62))
    torch.manual_seed(seed)  # dropout
    draw = torch.Generator("cpu").manual_seed(seed)
    count = len(batch["names"])
    t = torch.randint(0, state.schedule.config.num_train_timesteps, (count,), generator=draw)
    loss, color = denoising_loss(state, model, batch, t, draw)
    if run.color_loss and color is not None:
        loss = loss + run.color_loss * color
    return loss


def denoising_loss(
    state: _State, model: Any, batch: dict[str, Any], t: Tensor, draw: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Return the mean squared error of the predicted noise, and the colour-consistency loss where it can be told.

    Parameters
    ----------
    state : _State
        Pipeline, schedule and device of the run.
    model : unet
        The network with its adapters.
    batch : dict
        ``source``, ``target`` and ``mask``, with prompts or reference pictures.
    t : (B,) int64
        Time steps.
    draw : torch.Generator
        On the CPU.
    """
    run, pipe, device = state.run, state.pipe, state.accelerator.device
    with torch.no_grad():
        latents = _encode(pipe, batch["target"].to(device))
        masked = _encode(pipe, batch["source"].to(device) * (batch["mask"].to(device) < 0.5))
        noise = torch.randn(latents.shape, generator=draw).to(device)
        t = t.to(device)
        noisy = state.schedule.add_noise(latents, noise, t)
        mask = F.interpolate(batch["mask"].to(device), size=latents.shape[2:])
        conditions = _conditions(state, batch, draw)
    seen = torch.cat([noisy, mask, masked], 1) if pipe.unet.config.in_channels == 9 else noisy
    dtype = next(p.dtype for p in pipe.unet.parameters() if not p.requires_grad)
    with state.accelerator.autocast():
        predicted = model(seen.to(dtype), t, **conditions, return_dict=False)[0].float()
    kind = state.schedule.config.prediction_type
    goal = noise if kind == "epsilon" else state.schedule.get_velocity(latents, noise, t)
    loss = F.mse_loss(predicted, goal)
    if not run.color_loss or "color" not in batch:
        return loss, None
    left = state.schedule.alphas_cumprod.to(device)[t].view(-1, 1, 1, 1).float()
    if kind == "epsilon":
        clean = (noisy - (1 - left).sqrt() * predicted) / left.sqrt()
    else:
        clean = left.sqrt() * noisy - (1 - left).sqrt() * predicted
    good = left.flatten() >= SIGNAL
    if not good.any():
        return loss, None
    picture = pipe.vae.decode(clean[good] / pipe.vae.config.scaling_factor, return_dict=False)[0]
    color = color_loss((picture / 2 + 0.5).clamp(0, 1), batch["mask"].to(device)[good], batch["color"].to(device)[good])
    # every sample counts, those without a say as 0, so that batches weigh alike
    return loss, (color * left.flatten()[good]).sum() / len(good)


def _encode(pipe: Any, picture: Tensor) -> Tensor:
    """Return latents, (B, 4, h, w) float32: the mode, so that they do not depend on a draw."""
    vae = pipe.vae
    return vae.encode(picture.float()).latent_dist.mode() * vae.config.scaling_factor  # type: ignore[no-any-return]


def _conditions(state: _State, batch: dict[str, Any], draw: torch.Generator) -> dict[str, Any]:
    run, pipe, device = state.run, state.pipe, state.accelerator.device
    captions = []
    for caption in batch["captions"]:
        text = run.prompt.replace("{caption}", caption) if caption else run.prompt.replace(": {caption}", "")
        empty = run.unconditional_training or float(torch.rand((), generator=draw)) < run.prompt_dropout
        captions.append("" if empty else text.replace("{caption}", ""))
    out: dict[str, Any] = {}
    added: dict[str, Any] = {}
    with quiet():
        if run.family == "sdxl":
            text, _, pooled, _ = pipe.encode_prompt(captions, device=device, do_classifier_free_guidance=False)
            side = float(state.side)
            added["text_embeds"] = pooled
            added["time_ids"] = torch.tensor([[side, side, 0, 0, side, side]] * len(captions), dtype=text.dtype).to(
                device
            )
        else:
            text, _ = pipe.encode_prompt(captions, device, 1, False)
        if "reference" in batch:
            added["image_embeds"] = [_seen(pipe, batch["reference"], device)]
    out["encoder_hidden_states"] = text
    if added:
        out["added_cond_kwargs"] = added
    return out


def _seen(pipe: Any, pictures: list[NDArray[np.float32]], device: Any) -> Tensor:
    """Return what the image encoder of an IP-Adapter Plus hands on, (B, 1, tokens, width)."""
    from PIL import Image

    shown = [Image.fromarray(np.rint((p + 1) * 127.5).clip(0, 255).astype(np.uint8)) for p in pictures]
    pixels = pipe.feature_extractor(images=shown, return_tensors="pt").pixel_values
    pixels = pixels.to(device, dtype=next(pipe.image_encoder.parameters()).dtype)
    hidden = pipe.image_encoder(pixels, output_hidden_states=True).hidden_states[-2]
    return hidden[:, None]  # type: ignore[no-any-return]


# -- colour -----------------------------------------------------------------------------------------------------------

_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_WHITE = (0.95047, 1.0, 1.08883)


def lab_of(rgb: Tensor) -> Tensor:
    """Return CIELAB (D65) of encoded sRGB, differentiable everywhere.

    Parameters
    ----------
    rgb : (..., 3) float tensor in [0, 1]
        Values beyond [0, 1] are taken as they are.

    Returns
    -------
    (..., 3) float tensor
        L in 0-100.
    """
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(_TO_XYZ, dtype=rgb.dtype, device=rgb.device)
    xyz = linear @ matrix.T / torch.tensor(_WHITE, dtype=rgb.dtype, device=rgb.device)
    low = (6 / 29) ** 3
    f = torch.where(xyz > low, xyz.clamp_min(low) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f.unbind(-1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), -1)


def color_loss(picture: Tensor, mask: Tensor, color: Tensor) -> Tensor:
    """Return how far the masked mean of pictures is from their colours: CIELAB distance / 100.

    Parameters
    ----------
    picture : (B, 3, H, W) in [0, 1]
        Encoded sRGB; values beyond [0, 1] are taken as they are.
    mask : (B, 1, H, W) in [0, 1]
        1 = counts.
    color : (B, 3) in [0, 1]
        Encoded sRGB.

    Returns
    -------
    (B,) float tensor
        1 = a distance of 100; never exactly 0, so that it can be differentiated.
    """
    lab = lab_of(picture.permute(0, 2, 3, 1))
    weight = mask.permute(0, 2, 3, 1)
    mean = (lab * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1)
    gap = (mean - lab_of(color)).square().sum(-1)
    return (gap + 1e-8).sqrt() / 100


# -- checks -----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def _validate(state: _State, data: Samples, count: int, folder: Path, step: int) -> None:
    """Write ``step-N_metrics.json`` and ``step-N_grid.png`` for the samples that are held out."""
    run = state.run
    if run.held_out == 0:
        return
    state.pipe.unet.eval()
    scores: list[dict[str, Any]] = []
    rows: list[NDArray[np.uint8]] = []
    levels = (0.1, 0.3, 0.5, 0.7, 0.9)
    for k in range(run.held_out):
        rng = np.random.default_rng([run.seed, 77, k])
        sample = checked_sample(data.sample(count + k, rng), state.side, run.task)
        batch = _stacked([sample])
        draw = torch.Generator("cpu").manual_seed(k)
        most = state.schedule.config.num_train_timesteps
        losses = [
            float(denoising_loss(state, state.pipe.unet, batch, torch.tensor([int(v * most)]), draw)[0]) for v in levels
        ]
        output = _painted(state, sample, k)
        scores.append({"name": sample["name"], "loss": float(np.mean(losses)), **_scores(run.task, sample, output)})
        rows.append(_grid_row(sample, output))
    aggregated: dict[str, float | int | None] = {}
    for key in dict.fromkeys(key for s in scores for key in s if key != "name"):
        values = [s[key] for s in scores if s.get(key) is not None and math.isfinite(s[key])]
        aggregated[f"val/{key}_mean"] = float(np.mean(values)) if values else None
        aggregated[f"val/{key}_not_measurable"] = len(scores) - len(values)
    text = json.dumps({"step": step, "aggregated_metrics": aggregated, "scores": scores}, indent=1, allow_nan=False)
    write_bytes(folder / f"step-{step}_metrics.json", (text + "\n").encode())
    from tratto.imaging import io

    io.write_image(io.image_from_array(np.concatenate(rows)), folder / f"step-{step}_grid.png", "png")


def _painted(state: _State, sample: dict[str, Any], seed: int) -> NDArray[np.float32]:
    """Return what the model paints now for a held-out sample, (side, side, 3) in [0, 1]."""
    run = state.run
    empty = run.unconditional_training or run.task == "recolor"
    prompt = run.prompt.replace("{caption}", sample["caption"]) if sample["caption"] else run.prompt.split(":")[0]
    hole = sample["mask"] > 0.5
    source = (sample["source"] + 1) / 2
    reference = sample.get("reference_image")
    made = state.backend.run(
        DiffusionRequest(
            picture=np.ascontiguousarray(source, np.float32),
            hole=hole,
            prompt=None if empty else prompt,
            steps=run.check_steps,
            seed=seed,
            reference=None if reference is None else (reference + 1) / 2,
        )
    )
    return np.where(hole[..., None], made, source).astype(np.float32)


def _scores(task: str, sample: dict[str, Any], output: NDArray[np.float32]) -> dict[str, float | None]:
    from tratto_lab.evaluation.paint import score_color

    mask = sample["mask"] > 0.5
    if task == "repair":
        error = np.square(output - (sample["pixel_values"] + 1) / 2)[mask].mean(dtype=np.float64)
        return {"psnr_masked": float(-10 * np.log10(max(float(error), 1e-10)))}
    reference = (sample["reference_image"] + 1) / 2
    found = score_color(output, sample["mask"], reference)
    names = ("lab_distance", "delta_e_76", "delta_e_2000", "hue_error", "chroma_difference")
    return {n: getattr(found, n) for n in names if hasattr(found, n)}


def _grid_row(sample: dict[str, Any], output: NDArray[np.float32]) -> NDArray[np.uint8]:
    import cv2

    side = output.shape[0]
    cells = [(sample["source"] + 1) / 2, np.repeat(sample["mask"][..., None], 3, axis=2)]
    if "reference_image" in sample:
        cells.append(cv2.resize((sample["reference_image"] + 1) / 2, (side, side), interpolation=cv2.INTER_AREA))
    cells += [output, (sample["pixel_values"] + 1) / 2]
    return np.rint(255 * np.clip(np.concatenate(cells, axis=1), 0, 1)).astype(np.uint8)


# -- files ------------------------------------------------------------------------------------------------------------
