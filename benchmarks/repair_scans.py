"""How well scanned prints are repaired, large and small: the table of docs/repair.md.

    python benchmarks/repair_scans.py OLD_PHOTOS [--only find|grain|rim|speed] [--sizes 2 4 6] [--sheets DIR]

OLD_PHOTOS holds ``old_w_scratch/*.png``, scratched prints, which are not ours to show. They are enlarged by Lanczos.

find   share of the mask found at 100 % that is found in the enlarged print, and the area marked beside it. The masks at
       100 % are of one look at the picture as it is, as the detector was before it looked in several sizes.
grain  robust standard deviation of the high-pass (Gaussian 1.5 and 3) in the filling beside that of a ring of 12 pixels
       around it, and the largest difference of the channels' correlations, at 100 and 400 %.
rim    Delta E*ab (1976) between the mean colours of the largest crack's filling and of a ring 3 to 8 pixels off.
speed  seconds of finding damage in 24 megapixels, and peak memory.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pil

import tratto
from tratto.core.capability import Use
from tratto.imaging.color import srgb_to_lab
from tratto.imaging.overlay import overlay
from tratto.jobs import Job
from tratto.providers.damage import look_sizes, masks_of


def opened(path, scale=1):
    picture = Pil.open(path).convert("RGB")
    size = (picture.width * scale, picture.height * scale)
    return np.asarray(picture.resize(size, Pil.Resampling.LANCZOS) if scale > 1 else picture)


def found(detector, picture, one_look=False):
    """Return the masks by class, and their union."""
    shown = np.ascontiguousarray(picture.astype(np.float32) / 255)
    if one_look:
        size = look_sizes(*shown.shape[:2])[-1]
        planes = detector._look(shown, size, ())
        planes = {n: cv2.resize(p, shown.shape[1::-1], interpolation=cv2.INTER_LINEAR) for n, p in planes.items()}
    else:
        planes = detector.find(shown)
    masks = masks_of(planes)
    return masks, np.logical_or.reduce(list(masks.values()))


def finding(paths, sizes, detector):
    print("| print | size | found of the mask at 100 % | area beside it |\n| --- | --- | --- | --- |")
    for path in paths:
        _, base = found(detector, opened(path), one_look=True)
        for scale in (1, *sizes):
            _, now = found(detector, opened(path, scale))
            wanted = np.kron(base, np.ones((scale, scale), bool))
            share = (now & wanted).sum() / max(wanted.sum(), 1)
            print(f"| {path.stem} | {100 * scale} % | {share:.2f} | {now.mean() / base.mean():.2f} |", flush=True)


def deviation(values):
    return float(np.median(np.abs(values - np.median(values))) / 0.6745)


def graininess(picture, hole):
    distance = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ring = (distance > 0) & (distance <= 12)
    shares, high = [], None
    for width in (1.5, 3.0):
        values = picture.astype(np.float32) - cv2.GaussianBlur(picture.astype(np.float32), (0, 0), width)
        high = values if high is None else high
        gray = values.mean(axis=2)
        shares.append(deviation(gray[hole]) / deviation(gray[ring]))
    apart = np.abs(np.corrcoef(high[hole].T) - np.corrcoef(high[ring].T)).max()
    return *shares, float(apart)


def grains(paths, detector):
    print("| print | size | 1.5 px | 3 px | without: 1.5 | 3 | correlation |\n" + "| --- " * 7 + "|")
    for path in paths:
        _, base = found(detector, opened(path))
        base = cv2.distanceTransform((~base).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= 2.5
        for scale in (1, 4):
            picture, hole = opened(path, scale), np.kron(base, np.ones((scale, scale), bool))
            with_grain, without = (
                graininess(tratto.repair(picture, mask=hole, fill_grain=g).image.pixels, hole)
                for g in ("match", "none")
            )
            print(
                f"| {path.stem} | {100 * scale} % | {with_grain[0]:.2f} | {with_grain[1]:.2f} | {without[0]:.2f} | "
                f"{without[1]:.2f} | {with_grain[2]:.2f} |",
                flush=True,
            )


def rim(path, detector):
    picture = opened(path)
    masks, _ = found(detector, picture)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(masks["crack"].astype(np.uint8), connectivity=8)
    crack = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    print("| mask | marked | Delta E*ab of the largest crack |\n| --- | --- | --- |")
    for name, given in (("as found (--grow 0)", {"grow": 0}), ("grown by its rim (default)", {})):
        done = tratto.repair(picture, mask="auto", **given)
        hole = done.mask.values > 0
        _, parts = cv2.connectedComponents(hole.astype(np.uint8), connectivity=8)
        part = parts == np.bincount(parts[crack]).argmax()
        distance = cv2.distanceTransform((~part).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        ring = (distance >= 3) & (distance <= 8) & ~hole
        lab = srgb_to_lab(done.image.pixels.astype(np.float32) / 255)
        off = np.linalg.norm(lab[crack].mean(axis=0) - lab[ring].mean(axis=0))
        print(f"| {name} | {100 * hole.mean():.2f} % | {off:.2f} |", flush=True)


def speed(path, detector):
    picture = Pil.fromarray(opened(path)).resize((6000, 4000), Pil.Resampling.LANCZOS)
    shown = np.asarray(picture)
    wall, cpu = time.perf_counter(), time.process_time()
    _, _ = found(detector, shown)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"finding in 24 megapixels: {wall:.1f} s ({cpu:.1f} s of processor), peak {peak:.0f} MiB")


def sheets(paths, detector, folder):
    """Write before, mask and after of each print at 400 %, a part of it, for the eye."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        picture = opened(path, 4)
        masks, _ = found(detector, picture)
        done = tratto.repair(picture, mask="auto")
        part = (slice(200, 900), slice(200, 900))
        shown = overlay(picture.astype(np.float32) / 255, masks)
        row = np.concatenate([np.ascontiguousarray(p[part]) for p in (picture, shown, done.image.pixels)], axis=1)
        Pil.fromarray(row).save(folder / f"{path.stem}.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=("find", "grain", "rim", "speed"), default=None)
    parser.add_argument("--sizes", type=int, nargs="*", default=[2, 4, 6])
    parser.add_argument("--sheets", type=Path, default=None)
    given = parser.parse_args()
    paths = sorted((given.folder / "old_w_scratch").glob("*.png"))
    if not paths:
        parser.error(f"{given.folder / 'old_w_scratch'} holds no .png; OLD_PHOTOS is the folder above it")
    detector = Job().services().open(Use("damage"))
    wanted = (given.only,) if given.only else ("speed", "find", "grain", "rim")
    if "speed" in wanted:
        speed(paths[0], detector)
    if "find" in wanted:
        finding(paths, given.sizes, detector)
    if "grain" in wanted:
        grains(paths, detector)
    if "rim" in wanted:
        rim(paths[0], detector)
    if given.sheets is not None:
        sheets(paths, detector, given.sheets)


if __name__ == "__main__":
    main()
