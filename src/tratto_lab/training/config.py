"""What a run file may say: a tree of frozen dataclasses, validated as it is built."""

from __future__ import annotations

import math
import re
import runpy
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tratto.core.errors import InputError, OptionError, TrattoError
from tratto_lab.simulate.degrade import Mix

Precision = Literal["no", "bf16", "fp16"]
#: What `initial` may say for the networks that find damage and tell shapes: the packaged weights of EfficientNet-Lite0.
FEATURES = "efficientnet-lite0"
NETWORKS = ("restorer", "upscaler", "span", "swin_unet", "inpainter", "segmenter", "estimator", "shell")


@dataclass(frozen=True)
class Data:
    """Where samples come from.

    Attributes
    ----------
    patch : int
        Side of the *clean* crop in pixels.
    mix : Mix
        Degradations at scale 1; ignored by an up-scaler.
    warm_mix : Mix or None
        Mix during the first `warm_share` of the steps (a curriculum: Gaussian noise first).
    warm_share : float
        See `warm_mix`.
    bicubic : float
        Up-scalers: share of anti-aliased bicubic shrinking, the rest spread over the other kernels.
    rough : float
        Up-scalers: share of inputs with light noise or JPEG after shrinking.
    gray_share : float
        Share of crops that lose their colour (before they are degraded; scale 1 only).
    tied_share : float
        Share of crops made grey whose three channels are degraded alike, as those of a grey picture are. Without them a
        network takes noise that is equal in all channels for detail.
    tied_from : int
        Step from which `tied_share` holds.
    text_share : float
        Share of crops from rendered text pages.
    shrink_weights : tuple of float
        Relative weights of photographs at 1, 1/2 and 1/3 size.
    collections : dict
        How often photographs are drawn whose names begin so, beside what would be their share.
    intact_share : float
        Finding damage: share of crops without any.
    scanned_gray_share : float
        Finding damage: share of crops that lose their colour after they were damaged, as a grey scan does.
    exposed_share : float
        Finding damage, and scale 1: share of crops that are lit, exposed and coloured otherwise beforehand.
    swapped_share : float
        Scale 1, and the networks of ``repair``: share of crops whose red, green and blue change places beforehand.
    screened_share : float
        Scale 1: share of crops that get fine regular dots (:func:`tratto_lab.simulate.degrade.halftone`) beforehand, so
        that meshes and fabric are left as they are.
    turned_share : float
        Finding damage: share of crops that are mirrored and turned at random after they were damaged. Simulated damage
        has an orientation (drips run down, writing is upright), and what finds it looks at mirrored pictures, too.
    warped_share : float
        The networks of ``repair``: share of crops that are turned by any angle, stretched and sharpened beforehand.
    kinds : dict
        Finding damage: how often a class is drawn beside those that are not named, which count 1.
    units : tuple of float
        Finding damage: smallest and largest size of damage, evenly on a logarithmic scale; see
        :func:`tratto_lab.simulate.damage.damage`. Empty: evenly from 0.8 to 2.2.
    pool : int
        Estimator: how many different samples there are; 0: every one is new.
    """

    patch: int = 96
    mix: Mix = field(default_factory=Mix)
    warm_mix: Mix | None = None
    warm_share: float = 0.0
    bicubic: float = 0.8
    rough: float = 0.1
    gray_share: float = 0.08
    tied_share: float = 0.0
    tied_from: int = 0
    text_share: float = 0.05
    shrink_weights: tuple[float, float, float] = (0.3, 0.45, 0.25)
    collections: dict[str, float] = field(default_factory=dict)
    intact_share: float = 0.125
    scanned_gray_share: float = 0.0
    exposed_share: float = 0.0
    swapped_share: float = 0.0
    screened_share: float = 0.0
    turned_share: float = 0.0
    warped_share: float = 0.0
    kinds: dict[str, float] = field(default_factory=dict)
    units: tuple[float, ...] = ()
    pool: int = 0

    def __post_init__(self) -> None:
        for name in ("warm_share", "bicubic", "rough", "gray_share", "tied_share", "text_share", "intact_share"):
            _number(f"data.{name}", getattr(self, name), 0, 1)
        for name in (
            "scanned_gray_share",
            "exposed_share",
            "swapped_share",
            "screened_share",
            "turned_share",
            "warped_share",
        ):
            _number(f"data.{name}", getattr(self, name), 0, 1)
        _whole("data.patch", self.patch, 16)
        for name in ("tied_from", "pool"):
            _whole(f"data.{name}", getattr(self, name), 0)
        if len(self.shrink_weights) != 3 or min(self.shrink_weights) < 0:
            raise OptionError(f"data.shrink_weights are three numbers of 0 or more; got {self.shrink_weights}")
        if not isinstance(self.collections, dict) or not all(isinstance(name, str) for name in self.collections):
            raise OptionError(f"data.collections gives numbers by beginnings of names; got {self.collections!r}")
        for name, factor in self.collections.items():
            _number(f"data.collections[{name!r}]", factor, 0, 1000)
        if self.units and (len(self.units) != 2 or not 0 < self.units[0] <= self.units[1]):
            raise OptionError(f"data.units are two positive numbers, the smaller first; got {self.units}")


@dataclass(frozen=True)
class Optim:
    """How weights move: AdamW (0.9, 0.99), linear warm-up, cosine to `lr_end`, gradient clipping, EMA.

    The cosine takes the last `decay_share` of the steps; before, the rate stays at `lr`, so that a run whose end is not
    known yet can be given more steps at any time and goes on as if they had been planned.
    `charbonnier` is that loss's epsilon; `fft`, `decibels`, `ssim`, `sigma_weight` and `presence_weight` (telling the
    kinds of damage in a whole crop, beside finding their pixels) are weights of further losses.
    Parameters whose names begin with `slow` move at `slow_rate` times the learning rate, such as ready-made features.
    """

    lr: float = 1e-3
    lr_end: float = 1e-6
    warmup: int = 300
    weight_decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.999
    charbonnier: float = 1e-3
    fft: float = 0.05
    decibels: float = 0.0
    ssim: float = 0.0
    ssim_share: float = 0.2
    decay_share: float = 1.0
    sigma_weight: float = 0.01
    presence_weight: float = 0.2
    slow: str = ""
    slow_rate: float = 0.1


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes
    ----------
    name : str
        Name of the folder that is written below the output folder.
    network : str
        ``"restorer"`` (scale 1), ``"upscaler"``, ``"span"`` (an up-scaler, too), ``"swin_unet"``, ``"inpainter"``,
        ``"segmenter"`` (damage), ``"estimator"`` (of noise, grain and blur) or ``"shell"`` (of an object in space).
    network_options : dict
        Fields of the network's configuration class.
    steps, batch, accumulate : int
        Optimisation steps, samples per micro-batch over all processes, micro-batches per step.
    data : Data
        Samples.
    optim : Optim
        Optimisation.
    seed : int
        Seeds weights and samples.
    precision : {"no", "bf16", "fp16"}
        Autocast. bf16 pays only on processors with AMX; without it fp32 is about twice as fast.
    initial : str
        Name of an earlier run in the same output folder, or a checkpoint or exported ``.onnx`` file, to start from;
        layers that do not fit are left as initialised. For ``"segmenter"`` and ``"shell"`` also :data:`FEATURES`.
    blend : tuple of (str, float)
        Further runs whose EMA weights are mixed into those of `initial`, each with its share; `initial` has the rest.
        Weights of a run and of its fine-tuning may be averaged (Wortsman et al. 2022, "Robust fine-tuning of
        zero-shot models") to choose a point between what each is good at.
    grow : bool
        `initial` is a smaller network: begin with its function (:func:`tratto_lab.networks.grow.grow`).
    train_only : str
        Prefix of the parameters that move, such as ``"sigma"``; the others stay as they are. Empty: all move.
    ships_as : str
        Id of the model card the weights ship under; empty: ``tratto-restore-x<scale>``.
    calibrate_on : tuple of str
        Beginnings of the names of the held-out cases the standard error is calibrated on; empty: all but the clean one.
    save_every, log_every, check_every : int
        Steps between checkpoints, log lines and checks on the held-out photographs.
    workers : int
        Loader processes; 0 makes samples in the training process.
    tensorboard : bool
        Also write losses, checks and a sample sheet for TensorBoard into the run's folder.
    """

    name: str
    network: Literal["restorer", "upscaler", "span", "swin_unet", "inpainter", "segmenter", "estimator", "shell"]
    steps: int
    network_options: dict[str, object] = field(default_factory=dict)
    batch: int = 8
    accumulate: int = 1
    data: Data = field(default_factory=Data)
    optim: Optim = field(default_factory=Optim)
    seed: int = 0
    precision: Precision = "no"
    initial: str = ""
    blend: tuple[tuple[str, float], ...] = ()
    grow: bool = False
    train_only: str = ""
    ships_as: str = ""
    calibrate_on: tuple[str, ...] = ()
    save_every: int = 1000
    log_every: int = 50
    check_every: int = 1000
    workers: int = 0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", self.name):
            raise OptionError(
                f"a run's name becomes a folder: letters, digits, '_', '-' and '.', not beginning with '.' or '-'; got "
                f"{self.name!r}"
            )
        if self.network not in NETWORKS:
            raise OptionError(f"network is one of {', '.join(NETWORKS)}; got {self.network!r}")
        if self.precision not in ("no", "bf16", "fp16"):
            raise OptionError(f"precision is no, bf16 or fp16; got {self.precision!r}")
        for label in ("steps", "batch", "accumulate", "save_every", "log_every", "check_every"):
            _whole(label, getattr(self, label), 1)
        for label in ("seed", "workers"):
            _whole(label, getattr(self, label), 0)
        if self.blend and (not self.initial or sum(share for _, share in self.blend) > 1):
            raise OptionError("blend needs initial, and shares of at most one together")
        if self.grow and (self.network != "restorer" or not self.initial or self.blend):
            raise OptionError("grow is for a restorer that begins with the weights of one other network: initial")
        if not 0 < self.optim.ema < 1:
            raise OptionError(f"the EMA factor lies between 0 and 1; got {self.optim.ema}")
        o = self.optim
        if not 0 < o.lr < math.inf:
            raise OptionError(f"the learning rate must be a positive number; got {o.lr}")
        for label in ("lr_end", "weight_decay", "clip", "fft", "decibels", "ssim", "sigma_weight", "slow_rate"):
            _number(f"optim.{label}", getattr(o, label), 0, math.inf)
        _number("optim.decay_share", o.decay_share, 0, 1)
        _whole("optim.warmup", o.warmup, 0)

    @property
    def card_id(self) -> str:
        """Id of the model card the weights ship under."""
        return self.ships_as or f"tratto-restore-x{self.scale}"

    @property
    def scale(self) -> int:
        """Scale of the network."""
        return int(str(self.network_options.get("scale", 2))) if self.network in ("upscaler", "span") else 1


def _whole(label: str, value: object, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise OptionError(f"{label} is a whole number of {low} or more; got {value!r}")


def _number(label: str, value: object, low: float, high: float) -> None:
    ok = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high and value < math.inf
    if not ok:
        span = f"from {low:g} to {high:g}" if high < math.inf else f"of {low:g} or more"
        raise OptionError(f"{label} is a number {span}; got {value!r}")


def execute(path: Path) -> dict[str, Any]:
    """Run a run file and return what it sets.

    Raises
    ------
    InputError
        If it is missing or fails.
    OptionError
        If a value in it is out of range.
    """
    if not path.is_file():
        raise InputError(f"no run file at {path}; run files live in training_runs/")
    try:
        return runpy.run_path(str(path))
    except TrattoError:
        raise
    except (Exception, SystemExit) as e:  # whatever Python code may raise
        line = next(
            (f.lineno for f in reversed(traceback.extract_tb(e.__traceback__)) if f.filename == str(path)), None
        )
        where = f"{path}, line {line}" if line else str(path)
        raise InputError(f"{where}: {type(e).__name__}: {e}") from e


def load_run(path: Path) -> Run:
    """Read a run file: Python code that sets ``RUN = Run(...)``.

    Raises
    ------
    InputError
        If the file is missing or sets no ``RUN``.
    """
    value = execute(path).get("RUN")
    if not isinstance(value, Run):
        raise InputError(f"{path} must set RUN = Run(...); it sets {type(value).__name__}")
    return value
