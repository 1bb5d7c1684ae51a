"""What every training run keeps on disk: a checkpoint and a log of JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tratto.core.errors import InputError, OutputError

#: Name of the checkpoint in a run's folder.
CHECKPOINT = "checkpoint.safetensors"


def write_checkpoint(folder: Path, tensors: Mapping[str, Tensor], step: int) -> None:
    """Write tensors and the step beside and rename: a kill during writing leaves the last good checkpoint.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    part = folder / "checkpoint.part"
    try:
        save_file(dict(tensors), part, metadata={"step": str(step)})
        os.replace(part, folder / CHECKPOINT)
    except Exception as e:  # safetensors has an error of its own below Exception
        part.unlink(missing_ok=True)
        raise OutputError(f"{folder}: the checkpoint cannot be written: {e}") from e


def read_checkpoint(folder: Path) -> tuple[int, dict[str, Tensor]]:
    """Return the step and the tensors that :func:`write_checkpoint` wrote.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    path = folder / CHECKPOINT
    try:
        with safe_open(path, "pt") as opened:
            step = int(opened.metadata()["step"])
        return step, load_file(path)
    except Exception as e:  # safetensors has an error of its own below Exception
        raise InputError(f"{path} cannot be read: {e}; delete it to start anew") from e


def moving_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are learnt, by name, in their order in the network."""
    return {n: p for n, p in network.named_parameters() if p.requires_grad}


def moments_of(optimizer: torch.optim.Optimizer, moving: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of AdamW as tensors of a checkpoint."""
    state = optimizer.state_dict()["state"]
    return {
        f"opt.{key}.{name}": torch.as_tensor(value).detach().contiguous()
        for number, name in enumerate(moving)
        for key, value in state.get(number, {}).items()
    }


def restore_moments(
    optimizer: torch.optim.Optimizer, moving: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Give AdamW the state that :func:`moments_of` returned."""
    state = optimizer.state_dict()
    state["state"] = {}
    for number, (name, parameter) in enumerate(moving.items()):
        if f"opt.step.{name}" not in tensors:
            continue
        moments = {"step": tensors[f"opt.step.{name}"]}
        for key in ("exp_avg", "exp_avg_sq"):
            # The fused optimiser walks raw memory, so moments must have the strides of their (channels-last) weight.
            moments[key] = torch.empty_like(parameter, requires_grad=False).copy_(tensors[f"opt.{key}.{name}"])
        state["state"][number] = moments
    optimizer.load_state_dict(state)


def append_row(path: Path, row: Mapping[str, object]) -> None:
    """Append a line of JSON."""
    with path.open("a") as sink:
        sink.write(json.dumps(row) + "\n")


def forget_after(path: Path, step: int) -> set[int]:
    """Drop log lines of steps after the checkpoint that is continued from: they will be written again.

    A line that was cut off goes, too. Returns the steps whose checks are there.
    """
    kept, checked = [], set()
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
            at = int(row["step"])
        except (ValueError, KeyError, TypeError):
            continue
        if at <= step:
            kept.append(line)
            if "check" in row:
                checked.add(at)
    if path.is_file():
        path.write_text("".join(line + "\n" for line in kept))
    return checked
