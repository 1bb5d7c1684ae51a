"""What a run file for fine-tuning a diffusion model may say, in Python or in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from tratto.core.errors import InputError, MissingExtra, OptionError
from tratto.core.reading import parse_yaml, small_text
from tratto_lab.training.checked import CLOSED, Checked, Count, Index, Rate
from tratto_lab.training.config import Precision, execute

TARGETS = ("to_k", "to_q", "to_v", "to_out.0")
_Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, config=CLOSED)
class LoraRun(Checked):
    """One fine-tuning of a diffusion model by low-rank adapters (Hu et al. 2021, "LoRA").

    Attributes
    ----------
    name : str
        Name of the folder that is written below the output folder.
    task : {"repair", "recolor"}
        What the samples are: damaged pictures with captions, or walls with references.
    family : {"sdxl", "sd15"}
        Of the pipeline in ``model``.
    model : str
        Folder of the inpainting pipeline, its name in ``TRATTO_MODELS``, or the id of a pulled model card.
    ip_adapter : str
        Folder of an IP-Adapter for SD 1.5; its weights stay as they are. Needed for ``recolor``.
    rank, alpha, dropout, targets
        Of the adapters: the update is ``alpha / rank`` times a product of two matrices of this rank.
    epochs : int
        Times that every sample is seen.
    steps : int
        Stop after this many steps; 0 = as many as the epochs need.
    batch, accumulate : int
        Samples per micro-batch and micro-batches per step.
    side : int
        Side of the training crops; 0 = the model's own.
    lr, weight_decay, clip, warmup
        AdamW (0.9, 0.999) with a constant rate after a linear warm-up of so many steps.
    precision : {"no", "bf16", "fp16"}
        What is computed in: ``no`` is float32; fp16 needs a GPU.
    checkpointing : bool
        Compute activations twice to save memory.
    prompt : str
        For ``repair``, with ``{caption}``.
    prompt_dropout : float
        Share of samples that get the empty prompt instead, so that guidance has something to lead away from.
    unconditional_training : bool
        Every sample gets the empty prompt's embedding (zero-prompt); the reference picture alone says what to paint.
    color_loss : float
        Weight of the LAB colour-consistency loss of ``recolor``; 0 = off.
    data : mapping
        Options of the data set: for ``repair`` of pictures ``severity`` [low, high] (shards take none); for ``recolor``
        those of its data set.
    held_out : int
        How many samples are kept for validation.
    check_steps : int
        Denoising steps of the pictures in the validation grid.
    seed, save_every, log_every, check_every : int
        Steps between checkpoints, log lines and validations.
    """

    name: Annotated[str, Field(pattern=r"^[^/.][^/]*$")]
    task: Literal["repair", "recolor"]
    family: Literal["sdxl", "sd15"]
    model: _Text
    ip_adapter: str = ""
    rank: Count = 8
    alpha: Count = 16
    dropout: Annotated[float, Field(strict=True, ge=0, le=0.9)] = 0.1
    targets: Annotated[tuple[_Text, ...], Field(min_length=1)] = TARGETS
    epochs: Count = 10
    steps: Index = 0
    batch: Count = 1
    accumulate: Count = 1
    side: Index = 0
    lr: Rate = 1e-4
    weight_decay: Annotated[float, Field(strict=True, ge=0, le=1)] = 1e-2
    clip: Rate = 1.0
    warmup: Index = 0
    precision: Precision = "no"
    checkpointing: bool = False
    prompt: str = "Restore this monument: {caption}"
    prompt_dropout: Annotated[float, Field(strict=True, ge=0, le=1)] = 0.1
    unconditional_training: bool = False
    color_loss: Annotated[float, Field(strict=True, ge=0, le=100)] = 0.0
    data: Mapping[str, Any] | None = None
    held_out: Index = 4
    check_steps: Count = 20
    seed: Index = 0
    save_every: Count = 500
    log_every: Count = 10
    check_every: Count = 500

    def __post_init__(self) -> None:
        if self.task == "recolor" and (self.family != "sd15" or not self.ip_adapter):
            raise OptionError("recolor is trained with family sd15 and an ip_adapter, which shows it the paint")
        if self.task == "repair" and (self.ip_adapter or self.color_loss):
            raise OptionError("ip_adapter and color_loss belong to recolor")


_NAMES = tuple(f.name for f in fields(LoraRun))


def lora_run(values: Mapping[str, Any], where: str) -> LoraRun:
    """Return a run from a mapping of its fields; ``where`` names where they come from.

    Raises
    ------
    OptionError
        If a field is unknown, missing or out of range.
    """
    try:
        return LoraRun(**{str(name): value for name, value in values.items()})
    except OptionError as e:
        raise OptionError(f"{where}: {e}") from e


def load_any(path: Path) -> Any:
    """Return what a run file sets: ``RUN`` of a Python file, or the fields of a :class:`LoraRun` in YAML.

    Raises
    ------
    InputError
        If it is missing or malformed.
    """
    if not path.is_file():
        raise InputError(f"no run file at {path}; run files live in training_runs/")
    if path.suffix.lower() not in (".yaml", ".yml"):
        return execute(path).get("RUN")
    try:
        values = parse_yaml(small_text(path), str(path))
    except ImportError as e:
        raise MissingExtra("a run file in YAML", "diffusion") from e
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold the fields of a run, one a line, such as name: my-run")
    return lora_run(values, str(path))


def with_changes(run: LoraRun, pairs: list[str]) -> LoraRun:
    """Return a run with fields exchanged, each written NAME=VALUE; values as in YAML.

    Raises
    ------
    OptionError
        If a pair is none, or its field or value is not right.
    """
    if not pairs:
        return run
    changes: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or name not in _NAMES:
            raise OptionError(f"--set takes NAME=VALUE with one of {', '.join(_NAMES)}; got {pair!r}")
        changes[name] = _value(text, getattr(run, name))
    return replace(run, **changes)


def _value(text: str, like: Any) -> Any:
    if isinstance(like, bool):
        if text.lower() not in ("true", "false", "yes", "no"):
            raise OptionError(f"expected true or false, got {text!r}")
        return text.lower() in ("true", "yes")
    if isinstance(like, str):
        return text
    if isinstance(like, tuple):
        return tuple(t for t in text.split(",") if t)
    try:
        return int(text) if isinstance(like, int) else float(text)
    except ValueError:
        raise OptionError(f"expected a number, got {text!r}") from None
