"""Training samples as a pure function of (seed, step, index): resuming, sharding and workers cannot change them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from tratto_lab.corpus.pack import Pack
from tratto_lab.corpus.shells import ShellPack
from tratto_lab.simulate.degrade import KERNELS, degrade, downsample, halftone, quantize, random_gaussian, random_jpeg
from tratto_lab.training.config import Run
from tratto_lab.training.estimation import make_estimation_sample
from tratto_lab.training.repair import NETWORKS, exposed, make_repair_sample
from tratto_lab.training.shell import make_shell_sample

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """One pair: `source` (h, w, 3), `target` (H, W, 3), float32, and the name of the place it came from."""

    source: Array
    target: Array
    name: str


def make_sample(run: Run, pack: Pack | ShellPack, micro_step: int, index: int) -> Sample:
    """Make sample `index` of the whole batch of `micro_step`."""
    if isinstance(pack, ShellPack):
        return Sample(*make_shell_sample(run, pack, micro_step, index))
    if run.network in NETWORKS:
        return Sample(*make_repair_sample(run, pack, micro_step, index))
    if run.network == "estimator":
        return Sample(*make_estimation_sample(run, pack, micro_step, index))
    rng = np.random.default_rng([run.seed, micro_step, index])
    target, name = pack.crop(run.data.patch, rng)
    if run.scale > 1:
        return Sample(_shrink(run, target, rng), target, name)
    # each drawn from a source of its own, so that switching it on changes no other sample
    other = np.random.default_rng([run.seed, micro_step, index, 2])
    if run.data.exposed_share and other.uniform() < run.data.exposed_share:
        target = exposed(target, other)
    other = np.random.default_rng([run.seed, micro_step, index, 3])
    if run.data.swapped_share and other.uniform() < run.data.swapped_share:
        target = np.ascontiguousarray(target[..., other.permutation(3)])
    other = np.random.default_rng([run.seed, micro_step, index, 4])
    if run.data.screened_share and other.uniform() < run.data.screened_share:
        gray = bool(other.uniform() < 0.7)
        dots = halftone(
            target, float(other.uniform(2.5, 8)), float(other.uniform(0, 90)), gray, float(other.uniform(0.2, 1.2))
        )
        # a mesh before the picture: as strong as it may be, down to what is hardly seen
        target = (target * (1 - (share := np.float32(other.uniform(0.05, 1.0)) ** 2)) + share * dots).astype(np.float32)
    tied = (
        run.data.tied_share > 0
        and micro_step >= run.data.tied_from * run.accumulate
        and np.random.default_rng([run.seed, micro_step, index, 1]).uniform() < run.data.tied_share
    )
    if rng.uniform() < run.data.gray_share or tied:
        target = np.repeat(target @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)
    mix = run.data.mix
    if run.data.warm_mix is not None and micro_step < run.data.warm_share * run.steps * run.accumulate:
        mix = run.data.warm_mix
    result = degrade(target, mix, rng)
    kinds = "+".join(a.name for a in result.applied) or "clean"
    source = np.repeat(result.picture[..., :1], 3, axis=2) if tied else result.picture
    return Sample(source, target, f"{name} {kinds}{' tied' if tied else ''}")


def _shrink(run: Run, target: Array, rng: np.random.Generator) -> Array:
    draw = rng.uniform()
    kernel = "bicubic" if draw < run.data.bicubic else KERNELS[int(rng.integers(1, len(KERNELS)))]
    source = quantize(downsample(target, run.scale, kernel))
    if rng.uniform() < run.data.rough:
        if rng.uniform() < 0.5:
            source = random_gaussian(source, rng, 0.0, 10.0).picture
        else:
            source = random_jpeg(source, rng, 60, 98).picture
    return source


class MicroBatches(Dataset[tuple[Tensor, Tensor, list[str]]]):
    """Item ``i`` is micro-batch ``i`` of one process: (source, target, names); tensors are (B, 3, H, W)."""

    def __init__(self, run: Run, pack: Pack | ShellPack, rank: int = 0, world: int = 1) -> None:
        self.run, self.pack = run, pack
        self.indices = range(rank, run.batch, world)

    def __len__(self) -> int:
        return self.run.steps * self.run.accumulate

    def __getitem__(self, micro_step: int) -> tuple[Tensor, Tensor, list[str]]:
        samples = [make_sample(self.run, self.pack, micro_step, i) for i in self.indices]
        source = np.stack([s.source for s in samples]).astype(np.float32, copy=False)
        target = np.stack([s.target for s in samples])
        # (B, H, W, 3) seen as (B, 3, H, W) is already channels-last in memory.
        return (
            torch.from_numpy(source).permute(0, 3, 1, 2),
            torch.from_numpy(target).permute(0, 3, 1, 2),
            [s.name for s in samples],
        )
