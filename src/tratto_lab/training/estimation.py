"""Samples, loss and checks of the degradation estimator; the loop is the one of :mod:`tratto_lab.training.steps`.

A picture is degraded in the order in which a photograph comes to be: blur of the lens, noise of the sensor or the
film, then the JPEG of the file. What is estimated is what was drawn, not what is left to see of it: noise under strong
compression has a large standard error rather than a small value.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tratto.core.errors import OptionError
from tratto.imaging.estimate.spectrum import calm_spectrum
from tratto_lab.corpus.pack import Pack
from tratto_lab.networks.estimator import TRAITS, scaled, unscaled
from tratto_lab.simulate.degrade import (
    blur,
    gaussian_kernel,
    gaussian_noise,
    grain_noise,
    jpeg,
    poisson_noise,
    quantize,
)
from tratto_lab.training.config import Run
from tratto_lab.training.held_out import held_out_crops

Array = NDArray[np.float32]
#: Noise up to here has no grain to be learned: it cannot be seen.
GRAIN_FROM = 3.0
#: A quality from here on leaves no trace that would be read, so that it is not told.
UNTOLD_QUALITY = 96


def random_noise(picture: Array, rng: np.random.Generator) -> tuple[Array, float, float]:
    """Add noise of a random kind; return the picture, the deviation in 1/255 and the size of the grain in pixels.

    Two fifths are white, two fifths grain of 0.4 to 2 pixels, the rest photon noise. Half of white noise and of
    grain is equal in all channels.
    """
    kind = rng.uniform()
    sigma = float(50 * rng.beta(1.0, 1.8))
    tied = rng.uniform() < 0.5
    if kind < 0.2:
        peak = float(np.exp(rng.uniform(np.log(40.0), np.log(4000.0))))
        out = poisson_noise(picture, peak, rng)
        return out, float(255 * np.sqrt(np.mean(np.square(out - picture)))), 0.0
    if kind < 0.6:
        size = float(rng.uniform(0.4, 2.0))
        return grain_noise(picture, sigma, size, rng, tied), sigma, size
    if tied:
        return grain_noise(picture, sigma, 0.0, rng, True), sigma, 0.0
    return gaussian_noise(picture, sigma, rng), sigma, 0.0


def described(picture: Array, quality: int | None) -> Array:
    """Return what the network is told of a picture; ``quality`` as it would be read from its traces."""
    spectrum = calm_spectrum([picture], quality)
    if spectrum is None:
        raise OptionError(f"{picture.shape[1]} x {picture.shape[0]} pixels are too few to estimate from")
    return spectrum


def make_estimation_sample(run: Run, pack: Pack, micro_step: int, index: int) -> tuple[Array, Array, str]:
    """Make sample ``index`` of ``micro_step``: spectrum (1, 1, F), traits (1, 1, 3) in their units, name.

    With ``run.data.pool`` it is one of so many, each of which is made once. Grain that cannot be seen is NaN.
    """
    place = (micro_step, index)
    if run.data.pool:
        place = (-1, int(np.random.default_rng([run.seed, micro_step, index]).integers(run.data.pool)))
    return _made(run.seed, run.data.gray_share, run.data.patch, pack, place)


@lru_cache(maxsize=100_000)
def _made(seed: int, gray_share: float, side: int, pack: Pack, place: tuple[int, int]) -> tuple[Array, Array, str]:
    rng = np.random.default_rng([seed, *(n + 1 for n in place)])
    picture, name = pack.crop(int(rng.integers(side // 32, side // 16 + 1)) * 16, rng)
    spectrum, traits, how = degraded(picture, gray_share, rng)
    return spectrum[None, None], np.array([[traits]], np.float32), f"{name} {how}"


def degraded(picture: Array, gray_share: float, rng: np.random.Generator) -> tuple[Array, list[float], str]:
    """Degrade a clean picture at random; return its spectrum, the traits in their units, and both in words."""
    if rng.uniform() < gray_share:
        picture = np.repeat(picture @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)
    traits, quality = dict.fromkeys(TRAITS, 0.0), None
    if rng.uniform() < 0.4:
        traits["blur"] = float(rng.uniform(0.4, 3.0))
        picture = blur(picture, gaussian_kernel(traits["blur"], traits["blur"], 0.0))
    if rng.uniform() < 0.65:
        picture, traits["noise"], traits["grain"] = random_noise(picture, rng)
    if traits["noise"] < GRAIN_FROM:
        traits["grain"] = np.nan
    if rng.uniform() < 0.4:
        quality = int(rng.integers(15, 99))
        shift = (0, 0) if rng.uniform() < 0.7 else (int(rng.integers(8)), int(rng.integers(8)))
        picture = jpeg(picture, quality, "4:2:0" if rng.uniform() < 0.7 else "4:4:4", shift)
    # what is read of the quality is off by a little
    stated = None if quality is None or quality >= UNTOLD_QUALITY else quality + int(rng.integers(-2, 3))
    return described(quantize(picture), stated), [traits[t] for t in TRAITS], f"{traits} quality {quality}"


def held_out_draws(photos: Path, each: int = 40) -> list[tuple[Tensor, tuple[float, ...]]]:
    """Degrade each held-out photograph at random so many times: (spectrum (1, F, 1, 1), traits).

    What is not there is NaN: that nothing is seen where nothing is says little of the errors.
    """
    out = []
    for number, clean in held_out_crops(photos):
        for k in range(each):
            spectrum, traits, _ = degraded(clean, 0.3, np.random.default_rng([41, number, k]))
            truth = tuple(t if t > 0 else float("nan") for t in traits)
            out.append((torch.from_numpy(spectrum)[None, :, None, None], truth))
    return out


def estimation_loss(network: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    """Laplace likelihood of the traits, mean over batch and traits; with a fifth of plain absolute error.

    The plain term keeps values learning while their standard errors are still large. Traits that are NaN count for
    nothing.
    """
    values, logs = network(source)
    true = scaled(target[:, :, 0, 0])
    known = ~torch.isnan(true)
    apart = torch.where(known, (values.float() - torch.nan_to_num(true)).abs(), 0.0)
    logs = torch.where(known, logs.float(), 0.0)
    return ((logs + apart * torch.exp(-logs)) + 0.2 * apart).sum() / known.sum().clamp_min(1)


class EstimationChecks:
    """Mean absolute errors on 256 x 256 crops of the held-out photographs at half size, by kind of degradation."""

    sheet: Tensor | None = None

    def __init__(self, photos: Path, run: Run) -> None:
        self.cases: dict[str, list[tuple[Tensor, tuple[float, float, float]]]] = {}
        for number, clean in held_out_crops(photos):
            for case, picture, truth, quality in held_out_cases(clean, np.random.default_rng([40, number])):
                tensor = torch.from_numpy(described(picture, quality))[None, :, None, None]
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
            errors = []
            for source, truth in pairs:
                values, stated = answers(network, source)
                apart = (values - torch.tensor(truth)).abs().numpy()
                errors.append(apart)
                inside.append((apart <= stated.numpy())[~np.isnan(apart)])
            for k, trait in enumerate(TRAITS):
                if not np.isnan(errors[0][k]):
                    out[f"{case} {trait}"] = round(float(np.mean([e[k] for e in errors])), 3)
        if inside:
            out["within_one_error"] = round(float(np.concatenate(inside).mean()), 3)
        return out


def answers(network: nn.Module, source: Tensor) -> tuple[Tensor, Tensor]:
    """Return traits and standard errors, (3,) each, in their units, for one spectrum (1, F, 1, 1)."""
    values, logs = network(source)
    value, error = unscaled(values, logs.exp())
    return value[0], error[0]


def held_out_cases(
    clean: Array, rng: np.random.Generator
) -> list[tuple[str, Array, tuple[float, float, float], int | None]]:
    """Degrade one clean picture in each known way: (case, 8-bit picture, (noise, grain, blur), JPEG quality)."""
    soft = blur(clean, gaussian_kernel(1.5, 1.5, 0.0))
    nothing = float("nan")
    made: list[tuple[str, Array, tuple[float, float, float], int | None]] = [
        ("clean", clean, (0.0, nothing, 0.0), None),
        ("white 5", gaussian_noise(clean, 5, rng), (5.0, 0.0, 0.0), None),
        ("white 10", gaussian_noise(clean, 10, rng), (10.0, 0.0, 0.0), None),
        ("white 25", gaussian_noise(clean, 25, rng), (25.0, 0.0, 0.0), None),
        ("grain 12", grain_noise(clean, 12, 1.0, rng, True), (12.0, 1.0, 0.0), None),
        ("grain 8 coarse", grain_noise(clean, 8, 1.5, rng, False), (8.0, 1.5, 0.0), None),
        ("jpeg 30", jpeg(clean, 30), (0.0, nothing, 0.0), 30),
        ("jpeg 80", jpeg(clean, 80), (0.0, nothing, 0.0), 80),
        ("blur 1.5", soft, (0.0, nothing, 1.5), None),
        ("noise 10 jpeg 60", jpeg(gaussian_noise(clean, 10, rng), 60), (10.0, 0.0, 0.0), 60),
        ("noise 15 jpeg 90", jpeg(gaussian_noise(clean, 15, rng), 90), (15.0, 0.0, 0.0), 90),
        ("blur 1.5 noise 8", gaussian_noise(soft, 8, rng), (8.0, 0.0, 1.5), None),
    ]
    return [(case, quantize(picture), truth, quality) for case, picture, truth, quality in made]
