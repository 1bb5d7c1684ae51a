"""Training our own networks: their parts, losses and checks; the steps are taken in :mod:`tratto_lab.training.steps`.

Samples depend on (seed, step, index) alone and every state that influences a step is in the checkpoint, so a run that
was killed continues with the same losses. Checkpoints are safetensors plus JSON, written beside and renamed, so that a
kill during writing leaves the last good one.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tratto.core.errors import InputError, OptionError, OutputError
from tratto_lab.corpus.pack import Pack
from tratto_lab.corpus.shells import ShellPack
from tratto_lab.networks.grow import grow
from tratto_lab.training.config import FEATURES, Run, load_run
from tratto_lab.training.estimation import EstimationChecks, estimation_loss
from tratto_lab.training.held_out import held_out_crops
from tratto_lab.training.losses import charbonnier, fft_l1, mean_decibels, sigma_nll, ssim_loss
from tratto_lab.training.onnx_file import weights_in
from tratto_lab.training.repair import NETWORKS, RepairChecks, repair_loss
from tratto_lab.training.run_files import (
    CHECKPOINT,
    moments_of,
    moving_parameters,
    read_checkpoint,
    restore_moments,
    write_checkpoint,
)
from tratto_lab.training.samples import MicroBatches
from tratto_lab.training.shell import ShellChecks, shell_loss
from tratto_lab.training.steps import Course, take_steps

if TYPE_CHECKING:
    from tratto_lab.training.judges import Judges

log = logging.getLogger(__name__)


def build_network(run: Run) -> nn.Module:
    """Build the network a run asks for, with weights drawn from the run's seed.

    Raises
    ------
    OptionError
        If it cannot have these options.
    """
    torch.manual_seed(run.seed)
    try:
        return _network(run)
    except (TypeError, ValueError, RuntimeError) as e:
        raise OptionError(f"network_options of {run.name} do not fit a {run.network}: {e}") from e


def _network(run: Run) -> nn.Module:
    if run.network == "restorer":
        from tratto_lab.networks.restorer import RestorerUNet, UNetConfig

        return RestorerUNet(UNetConfig(**run.network_options))  # type: ignore[arg-type]
    if run.network == "upscaler":
        from tratto_lab.networks.restorer import Upscaler, UpscalerConfig

        return Upscaler(UpscalerConfig(**run.network_options))  # type: ignore[arg-type]
    if run.network == "span":
        from tratto_lab.networks.span import Span, SpanConfig

        return Span(SpanConfig(**run.network_options))  # type: ignore[arg-type]
    if run.network in ("inpainter", "segmenter"):
        from tratto_lab.networks.damage import DamageConfig, DamageNet
        from tratto_lab.networks.inpaint import DilatedConfig, InpaintNet

        if run.network == "segmenter":
            return DamageNet(DamageConfig(**run.network_options))  # type: ignore[arg-type]
        return InpaintNet(DilatedConfig(**run.network_options))  # type: ignore[arg-type]
    if run.network == "shell":
        from tratto_lab.networks.shell import ShellConfig, ShellNet

        return ShellNet(ShellConfig(**run.network_options))  # type: ignore[arg-type]
    if run.network == "estimator":
        from tratto_lab.networks.estimator import Estimator, EstimatorConfig

        return Estimator(EstimatorConfig(**run.network_options))  # type: ignore[arg-type]
    from tratto_lab.networks.swin_unet import SwinUNet, SwinUNetConfig

    return SwinUNet(SwinUNetConfig(**run.network_options))  # type: ignore[arg-type]


def learning_rate(run: Run, step: int) -> float:
    """Learning rate of `step`: linear warm-up, ``lr``, and a cosine to ``lr_end`` over the last ``decay_share``."""
    o = run.optim
    if step < o.warmup:
        return o.lr * (step + 1) / o.warmup
    begin = max(o.warmup, run.steps - o.decay_share * run.steps)
    t = max(0.0, step - begin) / max(1.0, run.steps - begin)
    return o.lr_end + 0.5 * (o.lr - o.lr_end) * (1 + math.cos(math.pi * min(1.0, t)))


def groups_of(network: nn.Module, run: Run) -> list[dict[str, Any]]:
    """Group the parameters that move by their share of the learning rate, in their order in the network."""
    slow, share = run.optim.slow, run.optim.slow_rate
    moving = [(share if slow and n.startswith(slow) else 1.0, p) for n, p in network.named_parameters()]
    moving = [(s, p) for s, p in moving if p.requires_grad]
    if slow and all(s == 1 for s, _ in moving) and share != 1:
        raise OptionError(f"no moving parameter's name begins with {slow!r}; nothing would move slowly")
    return [{"params": [p for _, p in found], "share": s} for s, found in groupby(moving, lambda pair: pair[0])]


class Ema:
    """Exponential moving average of the weights, with the usual short memory at the start."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.shadow = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the weights after `step`."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        state = network.state_dict()
        torch._foreach_lerp_(list(self.shadow.values()), [state[k] for k in self.shadow], weight)


def save_checkpoint(
    folder: Path,
    network: nn.Module,
    ema: Ema,
    optimizer: torch.optim.Optimizer,
    step: int,
    judges: Judges | None = None,
) -> None:
    """Write ``checkpoint.safetensors`` (weights, EMA, both moments, the critic) and the step, atomically."""
    tensors: dict[str, Tensor] = {f"net.{k}": v.detach().contiguous() for k, v in network.state_dict().items()}
    tensors |= {f"ema.{k}": v.contiguous() for k, v in ema.shadow.items()}
    judged = {} if judges is None else judges.tensors()
    write_checkpoint(folder, tensors | moments_of(optimizer, moving_parameters(network)) | judged, step)


def load_checkpoint(
    folder: Path, network: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer, judges: Judges | None = None
) -> int:
    """Read what :func:`save_checkpoint` wrote; return the step to continue with."""
    step, tensors = read_checkpoint(folder)
    try:
        network.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("net.")})
        for k in ema.shadow:
            ema.shadow[k].copy_(tensors[f"ema.{k}"])
    except (RuntimeError, KeyError) as e:
        raise InputError(
            f"{folder / CHECKPOINT} is the checkpoint of a network of another shape; "
            "choose another name or --out, or delete it"
        ) from e
    restore_moments(optimizer, moving_parameters(network), tensors)
    if judges is not None:
        judges.restore(tensors)
    return step


def checkpoint_of(path: Path) -> Path:
    """Return the checkpoint in a run's folder, or the file itself.

    Raises
    ------
    InputError
        If there is none.
    """
    path = path / CHECKPOINT if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"no checkpoint at {path} to start from")
    return path


def _earlier(out: Path, name: str) -> Path:
    """Where the weights lie that a run starts from: a file of that name, or else the folder of an earlier run."""
    return Path(name) if Path(name).is_file() else out / name


def ema_weights(path: Path) -> dict[str, Tensor]:
    """Return the EMA weights of a checkpoint or of an exported ``.onnx`` file, by name."""
    path = checkpoint_of(path)
    if path.suffix == ".onnx":
        return dict(weights_in(path)[0])
    return {k[4:]: v.float() for k, v in load_file(path).items() if k.startswith("ema.")}


def load_ema(path: Path, network: nn.Module) -> list[str]:
    """Start from the EMA weights of a checkpoint, or from an exported ``.onnx`` file; return what did not fit.

    Of an exported file, layers with batch normalisation do not fit: see :mod:`tratto_lab.training.from_weights`.
    """
    tensors = ema_weights(path)
    state = network.state_dict()
    fits = {k: v for k, v in tensors.items() if k in state and state[k].shape == v.shape}
    network.load_state_dict(fits, strict=False)
    return sorted(set(state) - set(fits))


@torch.no_grad()
def blend_ema(others: list[tuple[Path, float]], network: nn.Module) -> None:
    """Mix the EMA weights of other runs into a network: ``(1 - sum of shares) * own + share * other + ...``.

    Each is a run's folder or an exported file.
    Of layers that another run does not have, those that begin at zero, as the last of a residual block does, count as
    zero in it: its network is the same without them. The rest stay as they are.
    """
    rest = 1 - sum(share for _, share in others)
    own = {k: v.clone() for k, v in network.state_dict().items()}
    state = {k: v * rest for k, v in own.items()}
    ends = {
        f"{name}.second.{kind}"
        for name, block in network.named_modules()
        for kind in ("weight", "bias")
        if isinstance(getattr(block, "second", None), nn.Conv2d)
    }
    for path, share in others:
        tensors = ema_weights(path)
        for key in state:
            if key in tensors:
                state[key] = state[key] + share * tensors[key]
            elif key not in ends:
                state[key] = state[key] + share * own[key]
    if others:
        network.load_state_dict(state)


def _start_from_features(network: nn.Module) -> None:
    from tratto_lab.evaluation.features import packaged_weights
    from tratto_lab.networks.damage import DamageNet, folded
    from tratto_lab.networks.shell import ShellNet

    if not isinstance(network, DamageNet | ShellNet):
        raise OptionError(f"initial={FEATURES!r} is for the networks that find damage and tell shapes")
    network.encoder.load_state_dict(folded(packaged_weights(), network.encoder))


def loss_of(
    run: Run, network: nn.Module, source: Tensor, target: Tensor, step: int, judges: Judges | None = None
) -> Tensor:
    """Loss of one micro-batch; `judges` add theirs to that of a network that makes pictures."""
    if run.network in NETWORKS:
        return repair_loss(run, network, source, target)
    if run.network == "estimator":
        return estimation_loss(network, source, target)
    if run.network == "shell":
        return shell_loss(network, source, target)
    o = run.optim
    picture, log_sigma = network(source)
    picture, log_sigma = picture.float(), log_sigma.float()
    if run.train_only == "sigma":
        return sigma_nll(picture, target, log_sigma)
    loss = charbonnier(picture, target, o.charbonnier)
    if o.fft:
        loss = loss + o.fft * fft_l1(picture, target)
    if o.decibels:
        loss = loss + o.decibels * mean_decibels(picture, target)
    if o.ssim and step >= (1 - o.ssim_share) * run.steps:
        loss = loss + o.ssim * ssim_loss(picture, target)
    if judges is not None:
        loss = loss + judges.loss(picture, target)
    return loss + o.sigma_weight * sigma_nll(picture, target, log_sigma)


def run(path: Path | Run, photos: Path, out: Path, pack: Path | None = None, stop_after: int | None = None) -> Path:
    """Train as a run file says, continuing from the last checkpoint if there is one.

    Parameters
    ----------
    path : Path or Run
        The run file, or what it would set.
    photos : Path
        Folder of training photographs; the held-out ones in it are used for checks. For ``"shell"`` a pack of views.
    out : Path
        Output folder; ``out/<run name>`` receives log, checkpoints and configuration.
    pack : Path, optional
        Where the decoded training pack is cached; default ``out/pack``. Built if missing.
    stop_after : int, optional
        Stop (as if killed, but with a checkpoint) after this many steps of this call.

    Returns
    -------
    Path
        The run's folder.

    Raises
    ------
    NotFinite
        If the loss or the gradient is not finite.
    """
    from tratto_lab.corpus.pack import pack_for

    config = path if isinstance(path, Run) else load_run(path)
    accelerator = Accelerator(mixed_precision=config.precision, gradient_accumulation_steps=config.accumulate)
    network = build_network(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    multiple = int(getattr(network, "multiple", 0) or getattr(getattr(network, "config", None), "multiple", 1))
    if config.data.patch % (multiple * config.scale):
        raise OptionError(
            f"data.patch must be a multiple of {multiple * config.scale} for this network, got {config.data.patch}"
        )
    folder = out / config.name
    if config.initial and config.initial != FEATURES:
        for earlier in (config.initial, *(name for name, _ in config.blend)):
            checkpoint_of(_earlier(out, earlier))  # before a pack is built for nothing
    data: Pack | ShellPack
    if config.network == "shell":
        data = ShellPack(photos)
    else:
        pack_folder = pack_for(photos, pack or out / "pack", build=accelerator.is_main_process)
        accelerator.wait_for_everyone()
        data = Pack(pack_folder, config.data.text_share, config.data.shrink_weights, config.data.collections)

    if config.initial == FEATURES:
        _start_from_features(network)
    elif config.initial:
        start = _earlier(out, config.initial)
        missing = grow(ema_weights(start), network) if config.grow else load_ema(start, network)
        blend_ema([(_earlier(out, name), share) for name, share in config.blend], network)
        log.info("started from %s; freshly initialised: %s", config.initial, ", ".join(missing) or "nothing")
    if config.train_only:
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name.startswith(config.train_only))
    ema = Ema(network, config.optim.ema)
    moving = [p for p in network.parameters() if p.requires_grad]
    if not moving:
        raise OptionError(f"no parameter's name begins with {config.train_only!r}; nothing would be trained")
    o = config.optim
    optimizer = torch.optim.AdamW(
        groups_of(network, config), o.lr, betas=(0.9, 0.99), weight_decay=o.weight_decay, fused=True
    )
    judges = _judges(config, accelerator)
    first = 0
    if (folder / CHECKPOINT).is_file():
        first = load_checkpoint(folder, network, ema, optimizer, judges)
    try:
        folder.mkdir(parents=True, exist_ok=True)  # now: what cannot begin leaves nothing behind
    except OSError as e:
        raise OutputError(f"{folder}: cannot be used as a folder: {e.strerror or e}") from e
    if accelerator.is_main_process:
        (folder / "run.json").write_text(json.dumps(asdict(config), indent=1, default=str))
    for k in ema.shadow:
        ema.shadow[k] = ema.shadow[k].to(accelerator.device)
    model, optimizer = accelerator.prepare(network, optimizer)  # moves, never copies, the parameters
    batches = MicroBatches(config, data, accelerator.process_index, accelerator.num_processes)
    order = range(first * config.accumulate, config.steps * config.accumulate)
    loader = DataLoader(batches, batch_size=None, sampler=order, num_workers=config.workers)
    checks = checks_for(photos, config) if accelerator.is_main_process else None
    if checks is not None and not checks.cases:
        log.warning("none of the held-out photographs is in %s: nothing will be checked", photos)
    if first >= config.steps:
        log.info("finished before: %s has all %d steps", folder, first)

    board = _board(folder) if config.tensorboard and accelerator.is_main_process else None

    def loss(batch: tuple[Tensor, Tensor], at: tuple[int, int]) -> Tensor:
        source, target = (part.to(accelerator.device) for part in batch)
        with accelerator.autocast():
            return loss_of(config, model, source, target, at[0], judges)

    def check(step: int) -> dict[str, float] | None:
        if checks is None or not checks.cases:
            return None
        found = checks.measure(ema, accelerator.unwrap_model(model))
        if board is not None:
            for case, value in found.items():
                board.add_scalar(f"held out/{case}", value, step)
            if checks.sheet is not None:
                board.add_image("source, output, target", checks.sheet, step)
        return found

    course = Course(
        config,
        accelerator,
        model,
        optimizer,
        config.optim.clip,
        config.steps,
        loss=loss,
        rate=lambda step: learning_rate(config, step),
        save=lambda step: save_checkpoint(folder, accelerator.unwrap_model(model), ema, optimizer, step, judges),
        check=check,
        moved=lambda step: ema.update(accelerator.unwrap_model(model), step),
        board=board,
    )
    take_steps(course, (((source, target), named) for source, target, named in loader), folder, first, stop_after)
    if board is not None:
        board.close()
    accelerator.wait_for_everyone()  # a process group is left only when nobody needs it any more
    accelerator.end_training()
    return folder


def _judges(run: Run, accelerator: Accelerator) -> Judges | None:
    """Return the judges of a run, or None where it has none."""
    if not run.optim.perceptual and not run.optim.adversarial:
        return None
    from tratto_lab.training.judges import Judges

    if run.optim.adversarial and accelerator.num_processes > 1:
        raise OptionError("an adversarial loss is for one process: the critics of several would part")
    return Judges(run, accelerator.device)


def checks_for(photos: Path, config: Run) -> HeldOut | RepairChecks | EstimationChecks | ShellChecks:
    """Return the checks on held-out photographs that fit a run's network."""
    if config.network == "shell":
        return ShellChecks(photos, config)
    if config.network == "estimator":
        return EstimationChecks(photos, config)
    return RepairChecks(photos, config) if config.network in NETWORKS else HeldOut(photos, config)


def _board(folder: Path) -> Any:
    from tratto.core.errors import MissingExtra

    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtra("TensorBoard logging", "train") from error
    return SummaryWriter(str(folder / "board"))


#: Ends the name of a check on likeness; smaller is closer.
LPIPS = " LPIPS"


class HeldOut:
    """Checks on 256 x 256 crops of the held-out photographs at half size: PSNR per fixed degradation.

    Of enlargers, and of runs that are judged by likeness, also LPIPS (AlexNet, which none is trained by), where its
    weights are.
    """

    def __init__(self, photos: Path, run: Run) -> None:
        from tratto_lab.evaluation.measures import Lpips, present
        from tratto_lab.simulate.degrade import downsample, gaussian_noise, jpeg, quantize

        judged = run.scale > 1 or run.optim.perceptual or run.optim.adversarial
        self._distance = Lpips() if judged and present("alexnet.ckpt") else None
        self.cases: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self.sheet: Tensor | None = None
        """(3, rows, columns): source, output and target of the first photograph of each case, after a measurement."""
        for number, clean in held_out_crops(photos):
            rng = np.random.default_rng([20, number])
            if run.scale > 1:
                pairs = {"bicubic": quantize(downsample(clean, run.scale))}
            else:
                pairs = {f"sigma{s}": gaussian_noise(clean, s, rng) for s in (15, 25, 50)}
                pairs |= {f"jpeg{q}": jpeg(clean, q) for q in (10, 40)}
                apart = np.random.default_rng([21, number])  # the cases above keep the noise they always had
                for s, q in ((8, 90), (15, 80), (25, 60)):
                    pairs[f"noisy{s} jpeg{q}"] = jpeg(quantize(gaussian_noise(clean, s, apart)), q)
                pairs["clean"] = clean
                pairs |= _real_cases(clean, number) if run.data.mix.photograph > 0 else {}
            for case, source in pairs.items():
                self.cases.setdefault(case, []).append((_tensor(source), _tensor(clean)))

    @torch.no_grad()
    def measure(self, ema: Ema, network: nn.Module) -> dict[str, float]:
        """Mean PSNR in dB of the EMA weights per case, and the share of errors within one sigma."""
        kept = {k: v.clone() for k, v in network.state_dict().items()}
        network.load_state_dict(ema.shadow)
        network.eval()
        device = next(network.parameters()).device
        out: dict[str, float] = {}
        inside: list[float] = []
        rows: list[Tensor] = []
        for case, pairs in self.cases.items():
            values, apart = [], []
            for number, (source, target) in enumerate(pairs):
                picture, log_sigma = network(source.to(device))
                if number == 0:
                    big = torch.nn.functional.interpolate(source, size=target.shape[2:], mode="nearest")
                    rows.append(torch.cat((big, picture.float().cpu(), target), 3)[0].clamp(0, 1))
                error = picture.clamp(0, 1).float().cpu() - target
                values.append(-10 * math.log10(max(error.square().mean().item(), 1e-10)))
                rms = error.square().mean(1, keepdim=True).sqrt()
                inside.append((rms <= log_sigma.float().cpu().exp()).float().mean().item())
                if self._distance is not None:
                    apart.append(self._distance.between(picture.clamp(0, 1).float().cpu(), target).item())
            out[case] = round(float(np.mean(values)), 3)
            if apart:
                out[case + LPIPS] = round(float(np.mean(apart)), 4)
        if inside:
            out["within_one_sigma"] = round(float(np.mean(inside)), 3)
        self.sheet = torch.cat(rows, 1) if rows else None
        network.load_state_dict(kept)
        network.train()
        return out


def _real_cases(clean: np.ndarray, number: int) -> dict[str, np.ndarray]:
    """Return noise as cameras, film and files have it on a held-out crop, two draws of each kind."""
    from tratto_lab.simulate.degrade import drawing_real as real

    kinds = {
        "photograph": real.random_photograph,
        "octaves": real.random_octave_noise,
        "film": real.random_film_grain,
        "twice": real.random_real_twice,
    }
    return {
        f"{name} {draw}": make(clean, np.random.default_rng([22, number, draw, place])).picture
        for place, (name, make) in enumerate(kinds.items())
        for draw in (1, 2)
    }


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
