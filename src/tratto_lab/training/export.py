"""From a checkpoint to a calibrated ONNX file: fp16 initialisers, ``Cast`` to fp32, all arithmetic in fp32."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tratto.core.errors import OptionError
from tratto_lab.training.config import Run
from tratto_lab.training.loop import HeldOut, build_network, load_ema
from tratto_lab.training.onnx_file import worst_difference, write_onnx

CALIBRATION_SHARE = 0.68  # of errors within one sigma, as of a normal distribution


class Deployed(nn.Module):
    """What is exported: picture and standard error in [0, 1] units, calibration factor baked in."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(1, 3, H, W) -> (1, 3, sH, sW), (1, 1, sH, sW)."""
        picture, log_sigma = self.network(image)
        return picture, torch.exp(log_sigma) * self.factor


@dataclass(frozen=True)
class Calibration:
    """Factor of the standard error and what it gives on the held-out photographs.

    Attributes
    ----------
    factor : float
        Multiplies the predicted standard error.
    within : dict
        Case -> share of pixels whose RMS error over the channels is at most the calibrated standard error.
    curve : tuple of (float, float)
        Reliability: mean predicted standard error and RMS error met, per tenth of the pixels, in [0, 1] units.
    """

    factor: float
    within: dict[str, float]
    curve: tuple[tuple[float, float], ...]


@torch.no_grad()
def calibrate(network: nn.Module, checks: HeldOut, cases: tuple[str, ...] = ()) -> Calibration:
    """Choose the factor by which :data:`CALIBRATION_SHARE` of the errors lie within one sigma, cases pooled.

    `cases` are the beginnings of the names of those that count; empty: all. The clean case does not take part in the
    choice: there both error and prediction are below one 8-bit step.

    Raises
    ------
    OptionError
        If there is no held-out photograph.
    """
    network.eval()
    ratios: dict[str, np.ndarray] = {}
    sigmas, errors = [], []
    for case, pairs in checks.cases.items():
        if cases and not case.startswith(cases):
            continue
        rows = []
        for source, target in pairs:
            # as a file holds it: clipped noise is harder to take away, and files are what the product is given
            seen = (source.clamp(0, 1) * 255).round() / 255
            picture, log_sigma = network(seen)
            rms = (picture.clamp(0, 1) - target).square().mean(1, keepdim=True).sqrt()
            sigma = log_sigma.exp()
            rows.append((rms / sigma).numpy().ravel())
            if case != "clean":
                sigmas.append(sigma.numpy().ravel())
                errors.append(rms.numpy().ravel())
        ratios[case] = np.concatenate(rows)
    if not ratios:
        raise OptionError("calibration needs the held-out photographs in the photo folder")
    pooled = np.concatenate([r for case, r in ratios.items() if case != "clean"])
    factor = float(np.quantile(pooled, CALIBRATION_SHARE))
    within = {case: round(float((r <= factor).mean()), 3) for case, r in ratios.items()}
    sigma_all, error_all = np.concatenate(sigmas) * factor, np.concatenate(errors)
    curve = tuple(
        (float(sigma_all[part].mean()), float(np.sqrt((error_all[part] ** 2).mean())))
        for part in np.array_split(np.argsort(sigma_all, kind="stable"), 10)
    )
    return Calibration(factor, within, curve)


@dataclass(frozen=True)
class Exported:
    """An exported file: path, hash, size, calibration, largest difference to the torch network in fp32."""

    path: Path
    sha256: str
    size_bytes: int
    calibration: Calibration
    max_difference: float


def export(run: Run, checkpoint: Path, photos: Path, out: Path) -> Exported:
    """Export the EMA weights of a checkpoint.

    Parameters
    ----------
    run : Run
        The run the checkpoint belongs to.
    checkpoint : Path
        Folder of the run, or the checkpoint file.
    photos : Path
        Folder with the held-out photographs, for calibration.
    out : Path
        The ``.onnx`` file to write.

    Returns
    -------
    Exported
        What was written. ``max_difference`` compares ONNX Runtime with torch in fp32, so it contains what rounding the
        weights to fp16 costs.
    """
    network = build_network(run)
    missing = load_ema(checkpoint, network)
    if missing:
        raise OptionError(f"the checkpoint does not fit the run; missing: {', '.join(missing)}")
    network.eval()
    calibration = calibrate(network, HeldOut(photos, run), run.calibrate_on)
    deployed = Deployed(network, calibration.factor).eval()
    example = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    names = {2: "height", 3: "width"}
    grown = {2: "out_h", 3: "out_w"}
    axes = {"image": names, "image_out": grown, "sigma": grown}
    # weights that others published as fp16 are kept to the bit, and so is the little that was added to them
    exact = run.network == "span" and run.train_only == "sigma"
    write_onnx(deployed, example, ("image", ("image_out", "sigma")), axes, out, exact=exact)
    # SPAN makes large numbers of white noise, in which any rounding is large
    smooth = run.network == "span"
    data = out.read_bytes()
    return Exported(out, hashlib.sha256(data).hexdigest(), len(data), calibration, parity(out, deployed, smooth))


def parity(path: Path, deployed: nn.Module, smooth: bool = False) -> float:
    """Largest absolute difference of both outputs between the ONNX file and torch, over three sizes.

    The inputs are white noise; with ``smooth`` the mean of each 3 x 3 of it.
    """
    inputs = [
        torch.rand(1, 3, h, w, generator=torch.Generator().manual_seed(seed))
        for seed, (h, w) in enumerate(((64, 64), (96, 48), (128, 160)))
    ]
    if smooth:
        inputs = [torch.nn.functional.avg_pool2d(x, 3, 1, 1) for x in inputs]
    return worst_difference(path, deployed, inputs)


@torch.no_grad()
def receptive_radius(network: nn.Module, multiple: int, size: int = 256) -> int:
    """Largest distance in input pixels at which an input can change an output, by the sign of absolute gradients.

    All weights are replaced by their moduli and the network is driven by positive input, so that no path cancels.
    Edges of the padded border do not count: the tile is larger than the field.
    """
    import copy

    net = copy.deepcopy(network).eval()
    for name, parameter in net.named_parameters():
        parameter.abs_().add_(1e-3) if name.endswith("weight") else parameter.zero_()
    worst = 0
    for phase in range(max(multiple, 1)):
        at = size // 2 + phase
        with torch.enable_grad():
            x = torch.full((1, 3, size, size), 0.5, requires_grad=True)
            picture, _ = net(x)
            scale = picture.shape[-1] // size
            grad = torch.autograd.grad(picture[0, :, at * scale, at * scale].sum(), x)[0]
        rows, columns = torch.nonzero(grad[0].abs().sum(0) > 0, as_tuple=True)
        reach = max(at - int(rows.min()), int(rows.max()) - at, at - int(columns.min()), int(columns.max()) - at)
        worst = max(worst, reach)
    return worst
