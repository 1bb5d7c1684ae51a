"""What a card says of the estimator of degradations; :mod:`tratto_lab.training.publish` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tratto.core.errors import OptionError
from tratto.tasks.restore import CLEAN_SIGMA
from tratto_lab.networks.estimator import TRAITS, Estimator, unscaled
from tratto_lab.training.config import Run
from tratto_lab.training.estimation import EstimationChecks, answers, held_out_draws
from tratto_lab.training.export import CALIBRATION_SHARE
from tratto_lab.training.onnx_file import worst_difference, write_onnx
from tratto_lab.training.publish import Description, Sources, key_of, main, trained, training_data


class Deployed(nn.Module):
    """What is exported: traits and standard errors in their own units, the errors calibrated, one picture at a time."""

    def __init__(self, network: nn.Module, factors: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("factors", torch.tensor(factors))

    def forward(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        """(1, F, 1, 1) -> (1, 3, 1, 1), (1, 3, 1, 1)."""
        values, logs = self.network(spectrum)
        value, error = unscaled(values, torch.exp(logs))
        return value[:, :, None, None], (error * self.factors)[:, :, None, None]


@torch.no_grad()
def error_factors(network: nn.Module, draws: Sequence[tuple[Tensor, tuple[float, ...]]]) -> tuple[float, ...]:
    """Return, per trait, the factor by which :data:`CALIBRATION_SHARE` of the errors of such draws lie within one.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    draws : sequence of (spectrum, traits)
        Of :func:`tratto_lab.training.estimation.held_out_draws`.

    Raises
    ------
    OptionError
        If there is no held-out photograph.
    """
    ratios = []
    for source, truth in draws:
        value, error = answers(network, source)
        ratios.append(((value - torch.tensor(truth)).abs() / error).numpy())
    if not ratios:
        raise OptionError("calibration needs the held-out photographs in the photo folder")
    return tuple(float(q) for q in np.nanquantile(np.stack(ratios), CALIBRATION_SHARE, axis=0))


def export_estimator(network: Estimator, factors: tuple[float, ...], out: Path, examples: Sequence[Tensor]) -> float:
    """Write the ONNX file; return the largest difference to torch in fp32 over examples, in the traits' units."""
    deployed = Deployed(network, factors).eval()
    write_onnx(deployed, torch.zeros(1, network.config.features, 1, 1), ("spectrum", ["traits", "errors"]), {}, out)
    return worst_difference(out, deployed, list(examples))


@torch.no_grad()
def _overlooked(
    network: nn.Module, factor: float, draws: Sequence[tuple[Tensor, tuple[float, ...]]]
) -> dict[str, object]:
    """Count the draws with noise of more than 4, and those of them that would pass as clean."""
    noisy = [source for source, truth in draws if truth[0] > 4]
    read = [answers(network, source) for source in noisy]
    return {
        "draws_with_noise": len(noisy),
        "draws_overlooked": sum(float(value[0] + factor * error[0]) < CLEAN_SIGMA for value, error in read),
    }


def describe(run: Run, sources: Sources, weights: Path) -> Description:
    """Write the weights of an estimator, and return what the card says of them."""
    network = trained(run, sources.runs / run.name)
    checks = EstimationChecks(sources.photos, run)
    draws = held_out_draws(sources.photos)
    factors = error_factors(network, draws)
    apart = export_estimator(network, factors, weights, [source for source, _ in draws])
    fields: dict[str, object] = {
        "capability": "estimator",
        "channels": network.config.features,
        "has_sigma": True,
        "input": "spectrum",
        "output": "traits",
        "sigma_output": "errors",
        "used_by": "tratto inspect, tratto restore",
        "paper": "DCT spectrum of the calmest blocks (after Pyatykh et al. 2013), two hidden layers, heteroscedastic "
        "standard errors (Kendall and Gal 2017)",
        "training_data": [
            *training_data(sources.runs),
            "blur, noise, grain and JPEG simulated on them (tratto_lab.simulate.degrade)",
        ],
        "limits": [
            "Trained on few photographs; fine texture can read as noise or grain, a smooth scene as blur.",
            "Blur is Gaussian, grain is Gaussian and does not depend on exposure; motion and defocus were not shown.",
        ],
    }
    quality: dict[str, object] = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "onnx_max_difference": float(f"{apart:.2g}"),
    }
    quality |= _overlooked(network, factors[0], draws)
    quality |= {f"error_factor_{t}": round(f, 4) for t, f in zip(TRAITS, factors, strict=True)}
    quality |= {f"held_out_{key_of(k)}": v for k, v in checks.scores(network).items() if k[:2] != "wi"}
    return Description(fields, quality)


if __name__ == "__main__":
    main()
