"""Copied texture with the broad light of a smooth continuation: over how many pixels is light broad?

``python benchmarks/mixed_fill.py PHOTOGRAPHS [--every 40]``

PHOTOGRAPHS is a folder with training photographs: the held-out ones (half size, 256 x 256) and of the others, at most
700 pixels long, every so many-th (a corner of 320 x 320). Each gets the large holes of ``tratto_lab.simulate.holes``.
Mean PSNR in dB inside them and LPIPS of the whole picture, for copied texture (``patch``), the thin plate, the mean of
both, and ``mixed`` with several values of ``BROAD``. Needs ``tratto-lab data measures``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from tratto.jobs import Session
from tratto.providers.inpainter import classical
from tratto.tasks.repair import RepairOptions
from tratto_lab.evaluation.measures import Lpips
from tratto_lab.simulate.holes import large
from tratto_lab.training.held_out import held_out_crops

Picture = NDArray[np.float32]
BROAD = (4.0, 8.0, 12.0, 20.0)
SIDE, LONGEST = 320, 700


def crops(folder: Path, every: int) -> Iterator[Picture]:
    """Yield float32 (h, w, 3) in [0, 1]."""
    for _, crop in held_out_crops(folder):
        yield crop
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))[::every]:
        with PilImage.open(path) as opened:
            photo = opened.convert("RGB")
        photo.thumbnail((LONGEST, LONGEST))
        if min(photo.size) >= SIDE:
            yield np.asarray(photo, np.float32)[:SIDE, :SIDE] / np.float32(255)


def main() -> int:
    """Fill the holes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--every", type=int, default=40)
    given = parser.parse_args()
    distance, session = Lpips(), Session()
    found: dict[str, list[tuple[float, float]]] = {}
    for number, crop in enumerate(crops(given.photographs, given.every)):
        hole = large(crop.shape[:2], np.random.default_rng([number, 0]))  # type: ignore[arg-type]
        levels = np.round(crop * 255).astype(np.uint8)
        truth = levels.astype(np.float32) / np.float32(255)
        torn = np.where(hole[..., None], np.uint8(0), levels)

        def filled(method: str, torn: NDArray[np.uint8] = torn, hole: NDArray[np.bool_] = hole) -> Picture:
            result = session.repair(torn, RepairOptions(method=method, fill_grain="none"), mask=hole)
            return np.asarray(result.to_numpy(), np.float32) / np.float32(255)

        fills = {name: filled(name) for name in ("patch", "plate")}
        fills["mean of both"] = (fills["patch"] + fills["plate"]) / 2
        for broad in BROAD:
            with mock.patch.object(classical, "BROAD", broad):
                fills[f"mixed, {broad:g}"] = filled("mixed")
        for name, picture in fills.items():
            decibels = -10 * np.log10(np.square((picture - truth)[hole]).mean())
            found.setdefault(name, []).append((float(decibels), distance(picture, truth)))
    print(f"{len(found['patch'])} pictures\n\n| filled by | PSNR | LPIPS |\n| --- | --- | --- |")
    for name, values in found.items():
        decibels, apart = np.mean(values, axis=0)
        print(f"| {name} | {decibels:.2f} | {apart:.4f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
