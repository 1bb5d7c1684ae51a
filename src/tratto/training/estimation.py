"""Samples, loss and checks of the degradation estimator; the loop is the one of :mod:`tratto.training.loop`.

A crop is degraded in the order in which a photograph comes to be: blur of the lens, noise of the sensor or the film,
then the JPEG of the file. What is estimated is what was drawn, not what is left to see of it: noise under strong
compression has a large standard error rather than a small value.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tratto.corpus.pack import Pack
from tratto.networks.estimator import TRAITS, UNITS
from tratto.simulate.degrade import blur, gaussian_kernel, gaussian_noise, grain_noise, jpeg, poisson_noise, quantize
from tratto.training.config import Run
from tratto.training.held_out import held_out_crops

Array = NDArray[np.float32]


def random_noise(picture: Array, rng: np.random.Generator) -> tuple[Array, float]:
    """Add noise of a random kind; return the picture and the noise's standard deviation in 1/255.

    Half of it is white, a quarter grain of 0.5 to 1.5 pixels, the rest photon noise. Half of white noise and of
    grain is equal in all channels.
    """
    kind = rng.uniform()
    sigma = float(40 * rng.beta(1.0, 1.6))
    if kind > 0.75:
        peak = float(np.exp(rng.uniform(np.log(40.0), np.log(4000.0))))
        out = poisson_noise(picture, peak, rng)
        return out, float(255 * np.sqrt(np.mean(np.square(out - picture))))
    tied = rng.uniform() < 0.5
    if kind > 0.5:
        return grain_noise(picture, sigma, float(rng.uniform(0.5, 1.5)), rng, tied), sigma
    if tied:
        return grain_noise(picture, sigma, 0.0, rng, True), sigma
    return gaussian_noise(picture, sigma, rng), sigma


def make_estimation_sample(run: Run, pack: Pack, micro_step: int, index: int) -> tuple[Array, Array, str]:
    """Make sample ``index`` of ``micro_step``: crop (h, w, 3), traits (1, 1, 3) in their units, name."""
    rng = np.random.default_rng([run.seed, micro_step, index])
    side = run.data.patch
    picture, name = pack.crop(side, rng)
    if rng.uniform() < run.data.gray_share:
        picture = np.repeat(picture @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)
    traits = {"noise": 0.0, "jpeg": 0.0, "blur": 0.0}
    if rng.uniform() < 0.4:
        traits["blur"] = float(rng.uniform(0.4, 3.0))
        picture = blur(picture, gaussian_kernel(traits["blur"], traits["blur"], 0.0))
    if rng.uniform() < 0.65:
        picture, traits["noise"] = random_noise(picture, rng)
    if rng.uniform() < 0.5:
        quality = int(rng.integers(8, 96))
        shift = (0, 0) if rng.uniform() < 0.5 else (int(rng.integers(8)), int(rng.integers(8)))
        picture = jpeg(picture, quality, "4:2:0" if rng.uniform() < 0.7 else "4:4:4", shift)
        traits["jpeg"] = float(100 - quality)
    target = np.array([[[traits[t] / u for t, u in zip(TRAITS, UNITS, strict=True)]]], np.float32)
    return quantize(picture), target, f"{name} {traits}"


def estimation_loss(network: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    """Laplace likelihood of the traits, mean over batch and traits; with a tenth of plain absolute error.

    The plain term keeps values learning while their standard errors are still large.
    """
    values, logs = network(source)
    apart = (values.float() - target[:, :, 0, 0]).abs()
    logs = logs.float()
    return (logs + apart * torch.exp(-logs)).mean() + 0.1 * apart.mean()


class EstimationChecks:
    """Mean absolute errors on 256 x 256 crops of the held-out photographs at half size, by kind of degradation."""

    sheet: Tensor | None = None

    def __init__(self, photos: Path, run: Run) -> None:
        self.cases: dict[str, list[tuple[Tensor, tuple[float, float, float]]]] = {}
        for number, clean in held_out_crops(photos):
            for case, picture, truth in held_out_cases(clean, np.random.default_rng([40, number])):
                tensor = torch.from_numpy(picture).permute(2, 0, 1)[None]
                self.cases.setdefault(case, []).append((tensor, truth))

    @torch.no_grad()
    def measure(self, ema: object, network: nn.Module) -> dict[str, float]:
        """Measure the EMA weights."""
        kept = {k: v.clone() for k, v in network.state_dict().items()}
        network.load_state_dict(ema.shadow)  # type: ignore[attr-defined]
        network.eval()
        out = self.scores(network)
        network.load_state_dict(kept)
        network.train()
        return out

    @torch.no_grad()
    def scores(self, network: nn.Module) -> dict[str, float]:
        """Mean absolute error of each trait per case, in its unit; share of errors within one standard error."""
        out: dict[str, float] = {}
        inside = []
        for case, pairs in self.cases.items():
            apart = []
            for source, truth in pairs:
                values, logs = network(source)
                units = torch.tensor(UNITS)
                error = (values[0] * units - torch.tensor(truth)).abs()
                apart.append(error.numpy())
                inside.append((error <= logs[0].exp() * units).numpy())
            for k, trait in enumerate(TRAITS):
                out[f"{case} {trait}"] = round(float(np.mean([a[k] for a in apart])), 3)
        if inside:
            out["within_one_error"] = round(float(np.mean(inside)), 3)
        return out


def held_out_cases(clean: Array, rng: np.random.Generator) -> list[tuple[str, Array, tuple[float, float, float]]]:
    """Degrade one clean picture in each known way: (case, 8-bit picture, (noise, jpeg, blur))."""
    soft = blur(clean, gaussian_kernel(1.5, 1.5, 0.0))
    made = [
        ("clean", clean, (0.0, 0.0, 0.0)),
        ("white 10", gaussian_noise(clean, 10, rng), (10.0, 0.0, 0.0)),
        ("white 25", gaussian_noise(clean, 25, rng), (25.0, 0.0, 0.0)),
        ("grain 12", grain_noise(clean, 12, 1.0, rng, True), (12.0, 0.0, 0.0)),
        ("jpeg 30", jpeg(clean, 30), (0.0, 70.0, 0.0)),
        ("jpeg 80", jpeg(clean, 80), (0.0, 20.0, 0.0)),
        ("blur 1.5", soft, (0.0, 0.0, 1.5)),
        ("noise 10 jpeg 60", jpeg(gaussian_noise(clean, 10, rng), 60), (10.0, 40.0, 0.0)),
        ("blur 1.5 noise 8", gaussian_noise(soft, 8, rng), (8.0, 0.0, 1.5)),
    ]
    return [(case, quantize(picture), truth) for case, picture, truth in made]
