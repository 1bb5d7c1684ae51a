"""What a run file for fine-tuning a diffusion model may say, in Python or in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from tratto.core.errors import InputError, MissingExtra, OptionError
from tratto.core.reading import parse_yaml, small_text
from tratto_lab.training.config import execute

TARGETS = ("to_k", "to_q", "to_v", "to_out.0")


@dataclass(frozen=True)
class LoraRun:
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

    name: str
    task: Literal["repair", "recolor"]
    family: Literal["sdxl", "sd15"]
    model: str
    ip_adapter: str = ""
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.1
    targets: tuple[str, ...] = TARGETS
    epochs: int = 10
    steps: int = 0
    batch: int = 1
    accumulate: int = 1
    side: int = 0
    lr: float = 1e-4
    weight_decay: float = 1e-2
    clip: float = 1.0
    warmup: int = 0
    precision: Literal["no", "bf16", "fp16"] = "no"
    checkpointing: bool = False
    prompt: str = "Restore this monument: {caption}"
    prompt_dropout: float = 0.1
    unconditional_training: bool = False
    color_loss: float = 0.0
    data: Mapping[str, Any] | None = None
    held_out: int = 4
    check_steps: int = 20
    seed: int = 0
    save_every: int = 500
    log_every: int = 10
    check_every: int = 500

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or "/" in self.name or self.name.startswith("."):
            raise OptionError(f"a run needs a name without slashes; got {self.name!r}")
        for label, value, allowed in (
            ("task", self.task, ("repair", "recolor")),
            ("family", self.family, ("sdxl", "sd15")),
            ("precision", self.precision, ("no", "bf16", "fp16")),
        ):
            if value not in allowed:
                raise OptionError(f"{label} is {', '.join(allowed)}; got {value!r}")
        for label, value in (("rank", self.rank), ("alpha", self.alpha), ("epochs", self.epochs), ("batch", self.batch),
                             ("accumulate", self.accumulate), ("save_every", self.save_every),
                             ("log_every", self.log_every), ("check_every", self.check_every),
                             ("check_steps", self.check_steps)):  # fmt: skip
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise OptionError(f"{label} must be a whole number from 1; got {value!r}")
        for label, value in (("steps", self.steps), ("side", self.side), ("held_out", self.held_out),
                             ("warmup", self.warmup), ("seed", self.seed)):  # fmt: skip
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise OptionError(f"{label} must be a whole number from 0; got {value!r}")
        for label, rate, high in (
            ("dropout", self.dropout, 0.9),
            ("prompt_dropout", self.prompt_dropout, 1.0),
            ("color_loss", self.color_loss, 100.0),
            ("weight_decay", self.weight_decay, 1.0),
        ):
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= high:
                raise OptionError(f"{label} lies between 0 and {high:g}; got {rate!r}")
        for label, rate in (("lr", self.lr), ("clip", self.clip)):
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < float("inf"):
                raise OptionError(f"{label} must be a positive number (1e-4 in YAML is written 1.0e-4); got {rate!r}")
        if not self.targets or not all(isinstance(t, str) and t for t in self.targets):
            raise OptionError(f"targets are names of layers, such as {', '.join(TARGETS)}; got {self.targets!r}")
        if not isinstance(self.model, str) or not self.model:
            raise OptionError("model must name a folder of weights; see docs/full-size.md")
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
    unknown = [str(k) for k in values if k not in _NAMES]
    if unknown:
        raise OptionError(f"{where}: no field is called {', '.join(unknown)}; there are {', '.join(_NAMES)}")
    missing = [n for n in ("name", "task", "family", "model") if n not in values]
    if missing:
        raise OptionError(f"{where} must set {', '.join(missing)}")
    given = dict(values)
    if isinstance(given.get("targets"), list):
        given["targets"] = tuple(given["targets"])
    if given.get("data") is not None and not isinstance(given["data"], Mapping):
        raise OptionError(f"{where}: data must be a mapping, got {type(given['data']).__name__}")
    return LoraRun(**given)


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
