"""A checkpoint from the weights that ship, so that training can go on where the checkpoints are gone.

In an exported file the batch normalisation is part of the convolutions. Here it is taken out again: each layer is
given the mean and the deviation that its convolution has on training samples, and the scale and shift that undo them.
At work the network is what it was before it was calibrated, but for the rounding of its weights to fp16; in training
its batch statistics are what they should be.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from tratto.core.errors import InputError, OptionError
from tratto_lab.networks.norm import Norm
from tratto_lab.training.command import run_command
from tratto_lab.training.config import Run, load_run
from tratto_lab.training.onnx_file import weights_in

#: Of samples that the statistics are measured on.
SAMPLES = 96


@torch.no_grad()
def unfold(network: nn.Module, path: Path, batches: Iterable[Tensor]) -> None:
    """Give a network the weights of its exported file.

    Parameters
    ----------
    network : torch.nn.Module
        Each :class:`Norm` in it follows a convolution. Left in evaluation mode.
    path : Path
        The ``.onnx`` file.
    batches : iterable of Tensor
        Inputs as in training.

    Raises
    ------
    InputError
        If the file is of another network.
    OptionError
        If there is no input.
    """
    named, folded = weights_in(path)
    network.eval()
    batches = list(batches)
    if not batches:
        raise OptionError("at least one input is needed to measure batch statistics on")
    pairs = _normalised(network, batches[0][:1])
    inside = {f"{name}.{kind}" for pair in pairs for name, _ in pair for kind in ("weight", "bias")}
    state = network.state_dict()
    wanted = {k for k in state if k not in inside and not k.endswith(("running_mean", "running_var"))}
    if wanted - set(named) or any(named[k].shape != state[k].shape for k in wanted) or len(folded) != 2 * len(pairs):
        raise InputError(f"{path} holds the weights of a network of another shape")
    network.load_state_dict({k: named[k] for k in wanted}, strict=False)
    shifts: list[Tensor] = []
    for ((_, conv), (_, norm)), weight, shift in zip(pairs, folded[::2], folded[1::2], strict=True):
        if weight.shape != conv.weight.shape:
            raise InputError(f"{path} holds the weights of a network of another shape")
        conv.weight.copy_(weight)
        if conv.bias is not None:
            conv.bias.zero_()
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
        norm.weight.fill_(1)
        norm.bias.copy_(shift)
        shifts.append(shift)
    sums = [torch.zeros(3, shift.numel(), dtype=torch.float64) for shift in shifts]

    def counting(total: Tensor) -> object:
        def count(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            x = given[0].double()
            n = x.numel() / x.shape[1]
            total.add_(torch.stack([x.sum((0, 2, 3)), x.square().sum((0, 2, 3)), torch.full((x.shape[1],), n)]))

        return count

    hooks = [
        norm.register_forward_pre_hook(counting(total))  # type: ignore[arg-type]
        for (_, (_, norm)), total in zip(pairs, sums, strict=True)
    ]
    for batch in batches:
        network(batch)
    for hook in hooks:
        hook.remove()
    for (_, (_, norm)), total, shift in zip(pairs, sums, shifts, strict=True):
        mean = total[0] / total[2]
        spread = (total[1] / total[2] - mean.square()).clamp_min(1e-8)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(spread)
        norm.weight.copy_((spread + norm.eps).sqrt())
        norm.bias.copy_(shift + mean)


def _normalised(network: nn.Module, example: Tensor) -> list[tuple[tuple[str, nn.Conv2d], tuple[str, Norm]]]:
    """Return each convolution that a :class:`Norm` follows, and it, in the order they work in."""
    order: list[tuple[str, nn.Module]] = []
    seen: set[str] = set()

    def seeing(name: str) -> object:
        def see(module: nn.Module, *_: object) -> None:
            if name not in seen:
                seen.add(name)
                order.append((name, module))

        return see

    hooks = [
        module.register_forward_hook(seeing(name))  # type: ignore[arg-type]
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | Norm)
    ]
    network(example)
    for hook in hooks:
        hook.remove()
    out = []
    for before, now in pairwise(order):
        if isinstance(now[1], Norm):
            if not isinstance(before[1], nn.Conv2d):
                raise OptionError(f"{now[0]} does not follow a convolution")
            out.append(((before[0], before[1]), (now[0], now[1])))
    return out


def checkpoint_from(run: Run, weights: Path, photos: Path, runs: Path) -> Path:
    """Write the checkpoint that a run would have left, from its exported weights.

    Parameters
    ----------
    run : Run
        The run that made the weights; one of the two networks of ``repair``.
    weights : Path
        The ``.onnx`` file.
    photos : Path
        Its training photographs. Their pack is built in `runs` if it is not there.
    runs : Path
        Folder of runs; one with the run's name is made in it.

    Returns
    -------
    Path
        The run's folder.

    Raises
    ------
    InputError, OptionError
        If the file does not fit the run, or there is a checkpoint already.
    """
    from tratto_lab.corpus.pack import Pack, pack_for
    from tratto_lab.training.loop import build_network
    from tratto_lab.training.repair import NETWORKS, make_repair_sample
    from tratto_lab.training.run_files import CHECKPOINT, write_checkpoint

    if run.network not in NETWORKS:
        raise OptionError(f"{run.name} makes a {run.network}; checkpoints are made anew for {' and '.join(NETWORKS)}")
    folder = runs / run.name
    if (folder / CHECKPOINT).exists():
        raise OptionError(f"{folder} has a checkpoint already; delete it, or name another --out")
    weights_in(weights)  # before a pack is built for nothing
    pack = Pack(pack_for(photos, runs / "pack"), run.data.text_share, run.data.shrink_weights, run.data.collections)
    network = build_network(run)
    batches = [
        torch.from_numpy(make_repair_sample(run, pack, 0, number)[0]).permute(2, 0, 1)[None]
        for number in range(SAMPLES)
    ]
    unfold(network, weights, batches)
    folder.mkdir(parents=True, exist_ok=True)
    state = network.state_dict()
    tensors = {f"{part}.{k}": v.clone().contiguous() for part in ("net", "ema") for k, v in state.items()}
    write_checkpoint(folder, tensors, run.steps)
    return folder


def main() -> None:
    """``python -m tratto_lab.training.from_weights RUN_FILE --weights FILE --photos FOLDER --out RUNS``."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m tratto_lab.training.from_weights", description="A checkpoint from the weights that ship."
    )
    parser.add_argument("run", type=Path, help="run file that made the weights")
    parser.add_argument("--weights", type=Path, required=True, help="the .onnx file")
    parser.add_argument("--photos", type=Path, required=True, help="folder with its training photographs")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of runs")
    given = parser.parse_args()
    folder = run_command(parser, lambda: checkpoint_from(load_run(given.run), given.weights, given.photos, given.out))
    sys.stdout.write(f"{folder}: a run file with initial={folder.name!r} goes on from here\n")


if __name__ == "__main__":
    main()
