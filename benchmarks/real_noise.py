"""A restoring network at work, before it ships: real pairs, white noise, clean pictures, each picture on its own.

``python benchmarks/real_noise.py WEIGHTS [WEIGHTS ...] --pairs FOLDER --only 'Sony*' 'Canon600D*' --benchmarks SETS``

WEIGHTS are run folders, checkpoints or exported .onnx files. Pairs are files NAME_real.* and NAME_mean.*: PSNR of the
real one and of what the network makes of it against the mean, as 8 bit. SETS is a folder with CBSD68: the protocol for
white noise is unclipped float noise, seed 0 for each picture, the output clipped to 8 bit, no border removed. Nothing
decides here which network is used; it is the network alone that is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PilImage

from tratto_lab.networks.restorer import RestorerUNet, UNetConfig
from tratto_lab.simulate.degrade import Mix
from tratto_lab.training.config import Data, Run
from tratto_lab.training.loop import HeldOut, ema_weights

Array = NDArray[np.float32]


def network_of(path: Path) -> RestorerUNet:
    """Build the U-Net that the names and shapes of some weights belong to."""
    weights = ema_weights(path)

    def blocks(place: str) -> int:
        return len({k.split(".")[len(place.split("."))] for k in weights if k.startswith(f"{place}.")})

    levels = blocks("downs")
    widths = (weights["entry.weight"].shape[0], *(weights[f"downs.{i}.weight"].shape[0] for i in range(levels)))
    config = UNetConfig(
        widths=widths,
        encoder=tuple(blocks(f"encoders.{i}") for i in range(levels)),
        bottleneck=blocks("bottleneck"),
        decoder=tuple(blocks(f"decoders.{i}") for i in range(levels)),
        unshuffle=round((weights["entry.weight"].shape[1] / 3) ** 0.5),
        sigma_width=weights["sigma.first.weight"].shape[0],
    )
    network = RestorerUNet(config)
    network.load_state_dict(weights, strict=True)
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@torch.no_grad()
def restored(network: RestorerUNet, picture: Array) -> Array:
    """Restore (H, W, 3), mirrored to a multiple of what the network takes; clipped and rounded to 8 bit."""
    m = network.config.multiple
    h, w = picture.shape[:2]
    padded = np.pad(picture, ((0, -h % m), (0, -w % m), (0, 0)), mode="reflect")
    out = network(torch.from_numpy(padded).permute(2, 0, 1)[None])[0][0].permute(1, 2, 0).numpy()[:h, :w]
    return (np.round(np.clip(out, 0, 1) * 255) / 255).astype(np.float32)


def read(path: Path) -> Array:
    """Read sRGB as float32 (H, W, 3)."""
    with PilImage.open(path) as opened:
        return np.asarray(opened.convert("RGB"), np.float32) / np.float32(255)


def psnr(a: Array, b: Array) -> float:
    """Over all samples, dB."""
    return float(-10 * np.log10(max(float(np.square(a.astype(np.float64) - b).mean()), 1e-12)))


def pairs_in(folder: Path, only: list[str], without: list[str]) -> list[tuple[str, Path, Path]]:
    """Return names, noisy and clean files."""
    found = []
    for real in sorted(folder.glob("*_real.*")):
        name = real.name.rpartition("_real.")[0]
        mean = real.with_name(real.name.replace("_real.", "_mean."))
        wanted = not only or any(fnmatch(name, p) for p in only)
        if mean.is_file() and wanted and not any(fnmatch(name, p) for p in without):
            found.append((name, real, mean))
    if not found:
        sys.exit(f"{folder} has no pairs NAME_real.* and NAME_mean.* of these names")
    return found


def measure_pairs(network: RestorerUNet, pairs: list[tuple[str, Path, Path]]) -> dict[str, object]:
    """PSNR before and after, per pair and in the mean, and the worst change."""
    rows = {}
    for name, real, mean in pairs:
        noisy, clean = read(real), read(mean)
        rows[name] = (round(psnr(noisy, clean), 3), round(psnr(restored(network, noisy), clean), 3))
    before, after = (float(np.mean([r[i] for r in rows.values()])) for i in (0, 1))
    worst = min(r[1] - r[0] for r in rows.values())
    return {
        "pairs": len(rows),
        "before": round(before, 3),
        "after": round(after, 3),
        "worst_change": round(worst, 3),
        "worse": [k for k, r in rows.items() if r[1] < r[0]],
        "each": rows,
    }


def measure_white(network: RestorerUNet, folder: Path, every: int) -> dict[str, float]:
    """CBSD68 (every n-th of its files): white noise of 15, 25, 50, and as it is: mean and worst."""
    files = sorted(folder.glob("*.png"))[::every]
    out: dict[str, float] = {"pictures": len(files)}
    for sigma in (15, 25, 50):
        values = []
        for path in files:
            clean = read(path)
            noise = np.random.RandomState(0).randn(*clean.shape) * (sigma / 255)
            values.append(psnr(restored(network, (clean + noise).astype(np.float32)), clean))
        out[f"sigma{sigma}"] = round(float(np.mean(values)), 3)
    as_is = [psnr(restored(network, read(path)), read(path)) for path in files]
    finite = [min(v, 120.0) for v in as_is]
    return out | {"as_it_is": round(float(np.mean(finite)), 2), "as_it_is_worst": round(min(finite), 2)}


@torch.no_grad()
def measure_held_out(network: RestorerUNet, photos: Path) -> dict[str, float]:
    """Mean PSNR over the held-out photographs, white and simulated real noise, as the trainer checks it."""
    mix = Mix(photograph=1.0)  # whoever trains on photographs is checked on them, too
    checks = HeldOut(photos, Run(name="checks", network="restorer", steps=1, data=Data(mix=mix)))
    out = {}
    for case, pairs in checks.cases.items():
        values = []
        for source, target in pairs:
            error = network(source)[0].clamp(0, 1) - target
            values.append(-10 * np.log10(max(error.square().mean().item(), 1e-10)))
        out[case] = round(float(np.mean(values)), 3)
    return out


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="names of pairs, * for any characters")
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--benchmarks", type=Path, help="folder with CBSD68")
    parser.add_argument("--photos", type=Path, help="folder with the held-out photographs")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture of CBSD68")
    parser.add_argument("--json", type=Path, help="also write what was measured")
    given = parser.parse_args()
    report = {}
    for path in given.weights:
        network = network_of(path)
        row: dict[str, object] = {}
        if given.pairs:
            row["real"] = measure_pairs(network, pairs_in(given.pairs, given.only, given.without))
        if given.photos:
            row["held_out"] = measure_held_out(network, given.photos)
        if given.benchmarks:
            row["white"] = measure_white(network, given.benchmarks / "CBSD68", given.every)
        report[str(path)] = row
        short = {k: {a: b for a, b in v.items() if a != "each"} for k, v in row.items()}  # type: ignore[attr-defined]
        print(path, json.dumps(short), flush=True)
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
