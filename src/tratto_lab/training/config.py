"""What a run file may say: a tree of frozen dataclasses that pydantic checks as it is built."""

from __future__ import annotations

import re
import runpy
import traceback
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, InstanceOf
from pydantic.dataclasses import dataclass

from tratto.core.errors import InputError, OptionError, TrattoError
from tratto_lab.simulate.degrade import Mix
from tratto_lab.training.checked import CLOSED, Amount, Checked, Count, Index, Rate, Share

Network = Literal["restorer", "upscaler", "span", "swin_unet", "inpainter", "segmenter", "estimator", "shell"]
Precision = Literal["no", "bf16", "fp16"]
#: The networks that make a picture, and say their standard error beside it.
RESTORING = ("restorer", "upscaler", "span", "swin_unet")
#: What `initial` may say for the networks that find damage and tell shapes: the packaged weights of EfficientNet-Lite0.
FEATURES = "efficientnet-lite0"


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise ValueError("it becomes a folder: letters, digits, '_', '-' and '.', not beginning with '.' or '-'")
    return name


def _span(units: tuple[float, ...]) -> tuple[float, ...]:
    if units and (len(units) != 2 or units[0] > units[1]):
        raise ValueError("must be two numbers, the smaller first")
    return units


@dataclass(frozen=True, config=CLOSED)
class Data(Checked):
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

    part: ClassVar[str] = "data."

    patch: Annotated[int, Field(strict=True, ge=16)] = 96
    mix: InstanceOf[Mix] = field(default_factory=Mix)
    warm_mix: InstanceOf[Mix] | None = None
    warm_share: Share = 0.0
    bicubic: Share = 0.8
    rough: Share = 0.1
    gray_share: Share = 0.08
    tied_share: Share = 0.0
    tied_from: Index = 0
    text_share: Share = 0.05
    shrink_weights: tuple[Amount, Amount, Amount] = (0.3, 0.45, 0.25)
    collections: dict[str, Annotated[Amount, Field(le=1000)]] = field(default_factory=dict)
    intact_share: Share = 0.125
    scanned_gray_share: Share = 0.0
    exposed_share: Share = 0.0
    swapped_share: Share = 0.0
    screened_share: Share = 0.0
    turned_share: Share = 0.0
    warped_share: Share = 0.0
    kinds: dict[str, Amount] = field(default_factory=dict)
    units: Annotated[tuple[Rate, ...], AfterValidator(_span)] = ()
    pool: Index = 0


@dataclass(frozen=True, config=CLOSED)
class Optim(Checked):
    """How weights move: AdamW (0.9, 0.99), linear warm-up, cosine to `lr_end`, gradient clipping, EMA.

    The cosine takes the last `decay_share` of the steps; before, the rate stays at `lr`, so that a run whose end is not
    known yet can be given more steps at any time and goes on as if they had been planned.
    `charbonnier` is that loss's epsilon; `fft`, `decibels`, `ssim`, `sigma_weight` and `presence_weight` (telling the
    kinds of damage in a whole crop, beside finding their pixels) are weights of further losses. So are `perceptual` and
    `adversarial` of what makes pictures, see :mod:`tratto_lab.training.judges`; what was trained with them invents.
    Parameters whose names begin with `slow` move at `slow_rate` times the learning rate, such as ready-made features.
    """

    part: ClassVar[str] = "optim."

    lr: Rate = 1e-3
    lr_end: Amount = 1e-6
    warmup: Index = 300
    weight_decay: Amount = 1e-4
    clip: Amount = 1.0
    ema: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.999
    charbonnier: Amount = 1e-3
    fft: Amount = 0.05
    decibels: Amount = 0.0
    ssim: Amount = 0.0
    ssim_share: Share = 0.2
    decay_share: Share = 1.0
    sigma_weight: Amount = 0.01
    presence_weight: Amount = 0.2
    perceptual: Amount = 0.0
    adversarial: Amount = 0.0
    critic_lr: Rate = 2e-4
    slow: str = ""
    slow_rate: Amount = 0.1


@dataclass(frozen=True, config=CLOSED)
class Run(Checked):
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
        Further runs, or exported files, whose weights are mixed into those of `initial`, each with its share;
        `initial` has the rest.
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

    name: Annotated[str, AfterValidator(_folder_name)]
    network: Network
    steps: Count
    network_options: dict[str, object] = field(default_factory=dict)
    batch: Count = 8
    accumulate: Count = 1
    data: InstanceOf[Data] = field(default_factory=Data)
    optim: InstanceOf[Optim] = field(default_factory=Optim)
    seed: Index = 0
    precision: Precision = "no"
    initial: str = ""
    blend: tuple[tuple[str, Share], ...] = ()
    grow: bool = False
    train_only: str = ""
    ships_as: str = ""
    calibrate_on: tuple[str, ...] = ()
    save_every: Count = 1000
    log_every: Count = 50
    check_every: Count = 1000
    workers: Index = 0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.blend and (not self.initial or sum(share for _, share in self.blend) > 1):
            raise OptionError("blend needs initial, and shares of at most one together")
        if self.grow and (self.network != "restorer" or not self.initial or self.blend):
            raise OptionError("grow is for a restorer that begins with the weights of one other network: initial")
        if (self.optim.perceptual or self.optim.adversarial) and (
            self.network not in RESTORING or self.train_only == "sigma" or self.data.patch < 32
        ):
            raise OptionError(
                f"perceptual and adversarial losses judge the pictures of {', '.join(RESTORING)}, in crops of at least "
                f"32 pixels; this run trains {self.train_only or self.network} on {self.data.patch}"
            )

    @property
    def card_id(self) -> str:
        """Id of the model card the weights ship under."""
        return self.ships_as or f"tratto-restore-x{self.scale}"

    @property
    def scale(self) -> int:
        """Scale of the network."""
        return int(str(self.network_options.get("scale", 2))) if self.network in ("upscaler", "span") else 1


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
