"""What a fine-tuning run alone keeps on disk: the adapter, what is learnt in checkpoints, and its settings."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tratto.backends.diffusion import quiet
from tratto.core.errors import InputError, OptionError
from tratto_lab.training.lora_config import LoraRun
from tratto_lab.training.run_files import (
    CHECKPOINT,
    moments_of,
    moving_parameters,
    read_checkpoint,
    restore_moments,
    write_checkpoint,
)


def save_adapter(folder: Path, pipe: Any, unet: Any) -> Path:
    """Write what was learnt in the layout that diffusers and PEFT share.

    Parameters
    ----------
    folder : Path
        Receives ``pytorch_lora_weights.safetensors``.
    pipe : pipeline
        Of the kind that will load it.
    unet : UNet2DConditionModel
        With the adapter.

    Returns
    -------
    Path
        The file.
    """
    from peft.utils import get_peft_model_state_dict

    layers = {k: v.detach().float().cpu() for k, v in get_peft_model_state_dict(unet).items()}
    facts = {k: v for k, v in unet.peft_config["default"].to_dict().items() if _plain(v)}
    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        type(pipe).save_lora_weights(
            folder, unet_lora_layers=layers, safe_serialization=True, unet_lora_adapter_metadata=facts
        )
    return folder / "pytorch_lora_weights.safetensors"


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | list | dict | set | tuple)


def save_checkpoint(folder: Path, unet: Any, optimizer: Any, step: int) -> None:
    """Write weights, both moments and the step."""
    moving = moving_parameters(unet)
    tensors = {f"net.{n}": p.detach().cpu().contiguous() for n, p in moving.items()}
    write_checkpoint(folder, tensors | moments_of(optimizer, moving), step)


def load_checkpoint(folder: Path, unet: Any, optimizer: Any) -> int:
    """Read what :func:`save_checkpoint` wrote; return the step to go on with, 0 if there is none."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return 0
    moving = moving_parameters(unet)
    step, tensors = read_checkpoint(folder)
    if {k[4:] for k in tensors if k.startswith("net.")} != set(moving):
        raise InputError(f"{path} is the checkpoint of another model or other targets; choose another --out or name")
    with torch.no_grad():
        for name, parameter in moving.items():
            parameter.copy_(tensors[f"net.{name}"])
    restore_moments(optimizer, moving, tensors)
    return step


#: Fields that a run may change between two calls and still be the same run.
_FREE = ("steps", "epochs", "save_every", "log_every", "check_every", "check_steps")


def check_same_run(folder: Path, run: LoraRun) -> None:
    """Refuse to go on with other settings than those of the checkpoint; write them down for the next time."""
    path = folder / "run.json"
    now = json.loads(json.dumps(asdict(run), default=str))
    if (folder / CHECKPOINT).is_file() and path.is_file():
        try:
            was = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as e:
            raise InputError(f"{path} cannot be read: {e}; delete the run's folder to start anew") from e
        other = [k for k in now if k not in _FREE and was.get(k) != now[k]]
        if other:
            raise OptionError(
                f"{folder} holds a run with another {', '.join(other)}; choose another name, or delete it to start anew"
            )
    write_bytes(path, (json.dumps(now, indent=1) + "\n").encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write beside and rename."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)
