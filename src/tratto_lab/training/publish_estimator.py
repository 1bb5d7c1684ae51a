"""Turn a finished run of the degradation estimator into what ships: the ONNX file and its model card."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tratto.core.errors import OptionError
from tratto.models.card import ModelCard, parse_card
from tratto.tasks.restore import CLEAN_SIGMA
from tratto_lab.networks.estimator import TRAITS, Estimator, unscaled
from tratto_lab.training.command import run_command
from tratto_lab.training.config import load_run
from tratto_lab.training.estimation import EstimationChecks, answers, held_out_draws
from tratto_lab.training.export import CALIBRATION_SHARE
from tratto_lab.training.held_out import need_held_out
from tratto_lab.training.loop import build_network, load_ema
from tratto_lab.training.onnx_file import worst_difference, write_onnx
from tratto_lab.training.publish import LICENCE, card_text, lineage, training_data


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


def publish_estimator(path: Path, runs: Path, photos: Path, note: str = "") -> ModelCard:
    """Export a run's EMA weights into the package, measure them on the held-out photographs, write the card.

    Parameters
    ----------
    path : Path
        Run file.
    runs : Path
        Folder with the run's folder.
    photos : Path
        Folder with the held-out photographs.
    note : str
        Added to the limits.

    Returns
    -------
    ModelCard
        The card that was written.

    Raises
    ------
    OptionError
        If the run trains something else, or its checkpoint does not fit.
    """
    import tratto.models as models

    run = load_run(path)
    network = build_network(run)
    if not isinstance(network, Estimator):
        raise OptionError(f"{path.name} trains {run.network}, not an estimator")
    missing = load_ema(runs / run.name, network)
    if missing:
        raise OptionError(f"the checkpoint does not fit the run; missing: {', '.join(missing)}")
    network.eval()
    need_held_out(photos)
    checks = EstimationChecks(photos, run)
    draws = held_out_draws(photos)
    factors = error_factors(network, draws)
    root = Path(models.__file__).parent
    name = run.card_id
    weights = root / "weights" / f"{name}.onnx"
    apart = export_estimator(network, factors, weights, [source for source, _ in draws])
    data = weights.read_bytes()
    fields: dict[str, object] = {
        "id": name,
        "file": f"{name}.onnx",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "licence": LICENCE,
        "commercial_use": True,
        "capability": "estimator",
        "backend": "onnx",
        "channels": network.config.features,
        "has_sigma": True,
        "input": "spectrum",
        "output": "traits",
        "sigma_output": "errors",
        "used_by": "tratto inspect, tratto restore",
        "paper": "DCT spectrum of the calmest blocks (after Pyatykh et al. 2013), two hidden layers, heteroscedastic "
        "standard errors (Kendall and Gal 2017)",
        "training_data": [
            *training_data(runs),
            "blur, noise, grain and JPEG simulated on them (tratto_lab.simulate.degrade)",
        ],
        "command": " && ".join(f"tratto train training_runs/{n}.py --photos PHOTOS --out runs" for n in lineage(path)),
        "limits": [
            "Trained on few photographs; fine texture can read as noise or grain, a smooth scene as blur.",
            "Blur is Gaussian, grain is Gaussian and does not depend on exposure; motion and defocus were not shown.",
            *([note] if note else []),
        ],
    }
    quality: dict[str, object] = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "onnx_max_difference": float(f"{apart:.2g}"),
    }
    quality |= _overlooked(network, factors[0], draws)
    quality |= {f"error_factor_{t}": round(f, 4) for t, f in zip(TRAITS, factors, strict=True)}
    quality |= {
        f"held_out_{k.replace(' ', '_').replace('.', '_')}": v
        for k, v in checks.scores(network).items()
        if k[:2] != "wi"
    }
    text = card_text(fields, quality, {})
    (root / "cards" / f"{name}.toml").write_text(text)
    return parse_card(text, name)


def main() -> None:
    """``python -m tratto_lab.training.publish_estimator RUN_FILE --runs FOLDER --photos FOLDER``."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m tratto_lab.training.publish_estimator")
    parser.add_argument("run", type=Path, help="run file whose checkpoint becomes the shipped weights")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder with the run's folder")
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--note", default="", help="added to the card's limits")
    given = parser.parse_args()
    run_command(parser, lambda: publish_estimator(given.run, given.runs, given.photos, given.note))


if __name__ == "__main__":
    main()
