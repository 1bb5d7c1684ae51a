"""What `tratto restore --grain keep|reduce|remove` leaves of an old photograph, for the eye and in numbers.

``python benchmarks/grain_sheets.py PHOTOGRAPHS -o FOLDER [--film]``

For each picture of PHOTOGRAPHS a sheet FOLDER/NAME.png: two places at 200 %, the calmest (where skin would turn to
plastic) and the liveliest (where foliage would smear), each as it is, kept, reduced and removed, from left to right.
The table says how much of the fine and of the coarse (standard deviation below 1.5 pixels, and between 1.5 and 4, of
255, on brightness) is left of what was there: in the calmest fifth of the picture, where it is mostly grain, and in the
liveliest, where it is mostly the picture. ``--film`` lays simulated grain over them first.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from tratto.jobs import Session
from tratto.tasks.restore import RestoreOptions
from tratto_lab.simulate.degrade import drawing_real

Picture = NDArray[np.float32]
GRAIN = ("keep", "reduce", "remove")
#: Side of a place on the sheet before it is enlarged, and how often it is repeated to each side.
PLACE, TIMES = 120, 2
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif")


def bands(picture: Picture) -> list[Picture]:
    """Return the fine and the coarse part of a picture's brightness, of 255."""
    gray = 255 * picture @ np.array([0.299, 0.587, 0.114], np.float32)
    soft = [cv2.GaussianBlur(gray, (0, 0), s) for s in (1.5, 4)]
    return [gray - soft[0], soft[0] - soft[1]]


def places(picture: Picture) -> tuple[list[tuple[int, int]], list[NDArray[np.bool_]]]:
    """Return the corner of the calmest and of the liveliest place, and where the picture is calm and lively."""
    gray = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    wide = cv2.GaussianBlur(gray, (0, 0), 3)
    lively = cv2.GaussianBlur(np.hypot(cv2.Sobel(wide, -1, 1, 0), cv2.Sobel(wide, -1, 0, 1)), (0, 0), 6)
    # paper white and deep black have no grain to show
    seen = (wide > 0.15) & (wide < 0.85)
    level = lively[seen] if seen.any() else lively.ravel()
    low, high = np.quantile(level, (0.2, 0.8))
    side = min(PLACE, *gray.shape)
    shares, sums = (
        cv2.boxFilter(p.astype(np.float32), -1, (side, side), anchor=(0, 0), borderType=cv2.BORDER_ISOLATED)[
            : gray.shape[0] - side + 1, : gray.shape[1] - side + 1
        ]
        for p in (seen, lively * seen)
    )
    shown = shares >= min(0.8, float(shares.max()))
    means = sums / np.maximum(shares, 1e-6)
    calmest = np.unravel_index(int(np.argmin(np.where(shown, means, np.inf))), means.shape)
    liveliest = np.unravel_index(int(np.argmax(np.where(shown, means, -1))), means.shape)
    corners = [(int(y), int(x)) for y, x in (calmest, liveliest)]
    return corners, [seen & (lively <= low), seen & (lively >= high)]


def main() -> int:
    """Restore each picture three times, write its sheet and print its row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--film", action="store_true", help="lay simulated grain over the pictures first")
    given = parser.parse_args()
    files = sorted(p for p in given.photographs.iterdir() if p.suffix.lower() in ENDINGS)
    if not files:
        print(f"no pictures in {given.photographs}", file=sys.stderr)
        return 2
    given.out.mkdir(parents=True, exist_ok=True)
    session = Session()
    print("left of fine / coarse in percent: calmest fifth; liveliest fifth")
    print("| picture | fine / coarse, of 255 | calm: " + " | ".join(GRAIN) + " | lively: " + " | ".join(GRAIN) + " |")
    print("| --- |" + " --- |" * (1 + 2 * len(GRAIN)))
    for number, path in enumerate(files):
        with PilImage.open(path) as opened:
            source = np.asarray(opened.convert("RGB"), np.float32) / np.float32(255)
        if given.film:
            source = drawing_real.random_film_grain(source, np.random.default_rng([5, number])).picture
            source = np.round(np.clip(source, 0, 1) * 255).astype(np.float32) / np.float32(255)
        done = [source]
        for grain in GRAIN:
            result = session.restore(np.round(source * 255).astype(np.uint8), RestoreOptions(grain=grain))
            done.append(np.asarray(result.to_numpy(), np.float32)[..., :3] / np.float32(255))
        corners, masks = places(source)
        before = [[float(b[m].std()) if m.any() else np.nan for b in bands(source)] for m in masks]
        cells = [f"{before[0][0]:.1f} / {before[0][1]:.1f}"]
        for mask, was in zip(masks, before, strict=True):
            for picture in done[1:]:
                left = [100 * float(b[mask].std()) / w for b, w in zip(bands(picture), was, strict=True)]
                cells.append(f"{left[0]:.0f} / {left[1]:.0f}")
        print(f"| {path.stem} | {' | '.join(cells)} |", flush=True)
        rows = [np.hstack([p[y : y + PLACE, x : x + PLACE] for p in done]) for y, x in corners]
        sheet = PilImage.fromarray(np.round(255 * np.vstack(rows)).astype(np.uint8))
        sheet.resize((TIMES * sheet.width, TIMES * sheet.height), PilImage.Resampling.NEAREST).save(
            given.out / f"{path.stem}.png"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
