"""Time of a repair of many deep parts: 6000 x 4000 pixels with 364 parts deeper than 12 pixels.

    python benchmarks/repair_large.py [--parts 364] [--height 4000] [--width 6000] [--save DIR]

Picture and mask are made here from a seed, so the figures depend on no file. Run it on a quiet machine. With ``--save``
the picture, the mask and the result are written as PNG, for the eye.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
from PIL import Image as Pil

from tratto import Session
from tratto.steps.inpaint import find_parts
from tratto_lab.simulate.damage_field import fractal


def scan(height, width, rng):
    """Return a picture of a brown print with detail at all sizes and grain, uint8 (H, W, 3)."""
    light = fractal((height, width), 900, rng, 9, 0.55)
    edges = np.tanh(6 * fractal((height, width), 500, rng, 4, 0.5))
    gray = 0.45 + 0.11 * light + 0.1 * edges
    toned = gray[..., None] * np.array([1.1, 0.95, 0.75], np.float32)
    toned = toned + rng.normal(0, 4 / 255, (height, width, 1)).astype(np.float32)
    return np.rint(np.clip(toned, 0, 1) * 255).astype(np.uint8)


def losses(height, width, parts, rng):
    """Return a mask of so many separate blobs, each deeper than 12 pixels, on a jittered grid."""
    columns = int(np.ceil(np.sqrt(parts * width / height)))
    rows = -(-parts // columns)
    mask = np.zeros((height, width), bool)
    cell_h, cell_w = height / rows, width / columns
    for k in range(parts):
        cy, cx = (k // columns + 0.5) * cell_h, (k % columns + 0.5) * cell_w
        radius = float(rng.uniform(14, 0.22 * min(cell_h, cell_w)))
        cy, cx = cy + rng.uniform(-0.15, 0.15) * cell_h, cx + rng.uniform(-0.15, 0.15) * cell_w
        reach = int(1.6 * radius)
        y0, x0 = max(0, int(cy) - reach), max(0, int(cx) - reach)
        y, x = np.mgrid[y0 : min(height, y0 + 2 * reach), x0 : min(width, x0 + 2 * reach)]
        angle = np.arctan2(y - cy, x - cx)
        waves = 1 + 0.12 * np.sin(3 * angle + rng.uniform(0, 6)) + 0.08 * np.sin(7 * angle + rng.uniform(0, 6))
        mask[y0 : y0 + y.shape[0], x0 : x0 + y.shape[1]] |= np.hypot(y - cy, x - cx) < radius * waves
    return mask


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=364)
    parser.add_argument("--height", type=int, default=4000)
    parser.add_argument("--width", type=int, default=6000)
    parser.add_argument("--save", type=Path, default=None)
    given = parser.parse_args()
    rng = np.random.default_rng(18)
    picture = scan(given.height, given.width, rng)
    mask = losses(given.height, given.width, given.parts, rng)
    deep = sum(part.depth > 12 for part in find_parts(mask))
    wall, cpu = time.perf_counter(), time.process_time()
    done = Session().repair(picture, mask=mask)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    outside = int((done.image.pixels != picture).any(axis=2)[~mask].sum())
    print("| picture | parts deeper than 12 | filled | seconds (wall) | (processor) | peak MiB | changed outside |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(
        f"| {given.width} x {given.height} | {deep} | {100 * mask.mean():.2f} % | {wall:.1f} | {cpu:.1f} | "
        f"{peak:.0f} | {outside} |"
    )
    if given.save is not None:
        given.save.mkdir(parents=True, exist_ok=True)
        for name, pixels in (("picture", picture), ("mask", mask.astype(np.uint8) * 255), ("done", done.image.pixels)):
            Pil.fromarray(pixels).save(given.save / f"{name}.png", compress_level=1)


if __name__ == "__main__":
    main()
