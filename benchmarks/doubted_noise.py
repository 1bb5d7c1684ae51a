"""How much of the effect on noise, where a compressed picture may show texture instead?

    python benchmarks/doubted_noise.py PHOTOS [--every 5] [--quality 80] [--unheard]

PHOTOS is a folder of photographs, of which every so many-th is taken (at most 1 200 pixels long, a crop of 256 x 256),
as it is and with noise of sigma 3 and 8 of 255 as cameras leave it (softened by 0.7 pixels), and saved as JPEG. Only
crops of which ``tratto.tasks.restore.doubted`` says that the octaves show more noise than the network reads are
restored: with each share of the effect on noise, then the network for JPEG artefacts as usual; share 0 is that alone.
``--unheard``: those instead of which nothing says that noise outlived the compression.
Prints the mean and the least gain in PSNR over the file.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from PIL import Image as Pil

import tratto
from tratto.tasks import restore

SHARES = (0.0, 0.35, 0.5, 0.65, 1.0)
NOISES = (0, 3, 8)
SIDE, LONGEST = 256, 1200


def crops(folder: Path, every: int) -> Iterator[np.ndarray]:
    """Yield a crop of every so many-th photograph, (SIDE, SIDE, 3) float64."""
    rng = np.random.default_rng(1)
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    for file in files[::every]:
        photo = Pil.open(file).convert("RGB")
        photo.thumbnail((LONGEST, LONGEST), Pil.Resampling.LANCZOS)
        if min(photo.size) < SIDE + 1:
            continue
        x, y = (int(rng.integers(0, n - SIDE)) for n in photo.size)
        yield np.asarray(photo.crop((x, y, x + SIDE, y + SIDE)), np.float64)


def noisy(clean: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Return a crop with noise that neighbouring pixels share, uint8."""
    noise = cv2.GaussianBlur(rng.normal(0, 1, clean.shape), (0, 0), 0.7)
    return np.clip(np.rint(clean + noise * (sigma / noise.std())), 0, 255).astype(np.uint8)


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    """Return the PSNR of two pictures of 8 bits."""
    return float(10 * np.log10(255**2 / np.square(a.astype(np.float64) - b).mean()))


def restored(file: Path, share: float) -> np.ndarray:
    """Return a file restored with a share of the effect on noise."""
    planned = restore._denoise

    def shared(*given: object) -> list:
        steps = planned(*given)
        noise = [replace(s, strength=share) for s in steps if s.damage != "jpeg" and share]
        return [*noise, *(s for s in steps if s.damage == "jpeg")]

    # what is unheard would get the network for JPEG artefacts alone
    noise = mock.patch.object(restore, "_compressed", return_value=("real", "a benchmark says so"))
    with mock.patch.object(restore, "_denoise", shared), noise:
        return np.asarray(tratto.restore(file).to_numpy())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--quality", type=int, default=80)
    parser.add_argument("--unheard", action="store_true")
    given = parser.parse_args()
    options, seen = restore.RestoreOptions(), 0
    gains: dict[int, list[list[float]]] = {n: [] for n in NOISES}
    with tempfile.TemporaryDirectory(prefix="doubted-") as folder:
        file = Path(folder) / "crop.jpg"
        for clean in crops(given.photos, given.every):
            rng = np.random.default_rng(2)
            seen += 1
            for sigma in NOISES:
                Pil.fromarray(noisy(clean, sigma, rng)).save(file, quality=given.quality)
                inspection = tratto.inspect(file)
                heard = restore.prevailing(options, inspection) == "real"
                if heard == given.unheard or not (given.unheard or restore.doubted(options, inspection)):
                    continue
                before = decibels(np.asarray(Pil.open(file)), clean)
                gains[sigma].append([decibels(restored(file, share), clean) - before for share in SHARES])
    print(f"{seen} crops, JPEG quality {given.quality}; gain over the file in dB, mean / least\n")
    print(f"| noise | crops | {' | '.join(f'{s:g}' for s in SHARES)} |\n| --- | --- |{' --- |' * len(SHARES)}")
    for sigma, rows in gains.items():
        cells = [f"{statistics.mean(c):+.2f} / {min(c):+.2f}" for c in zip(*rows, strict=True)]
        print(f"| {sigma} | {len(rows)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
