"""Time and memory of a repair: a 4000 x 3000 picture with 200 cracks, and one with large parts missing.

    python benchmarks/repair_speed.py

The picture is made here, so the figures depend on no file. Memory is the peak of this process.
"""

import argparse
import resource
import time

import numpy as np

from tratto import Session
from tratto_lab.simulate.damage_field import Stroke, fractal, ink, wander
from tratto_lab.simulate.holes import large


def scene(height, width, rng):
    """Return a picture with detail at all scales, uint8 (H, W, 3)."""
    planes = [fractal((height, width), 400, rng, 8, 0.6) for _ in range(3)]
    base = 0.5 + 0.12 * np.stack([planes[0] + 0.4 * p for p in planes], axis=-1)
    return np.rint(np.clip(base, 0, 1) * 255).astype(np.uint8)


def cracks(height, width, count, rng):
    """Return a mask of so many cracks."""
    strokes = []
    for _ in range(count):
        start = (rng.uniform(0, width), rng.uniform(0, height))
        line = wander(start, rng.uniform(-np.pi, np.pi), rng.uniform(150, 900), rng, 0.35, 4.0)
        strokes.append(Stroke(line, rng.uniform(2, 7) * np.linspace(1, 0.4, len(line))))
    return ink((height, width), strokes) > 0.2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--cracks", type=int, default=200)
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    picture = scene(given.height, given.width, rng)
    shape = (given.height, given.width)
    thin = cracks(*shape, given.cracks, rng)
    print("| job | filled | seconds (wall) | seconds (processor) | peak memory MiB | changed outside |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, hole in (
        (f"{given.cracks} cracks", thin),
        ("cracks and 3 large parts", thin | large(shape, rng, 0.01, 3)),
    ):
        wall, cpu = time.perf_counter(), time.process_time()
        done = Session().repair(picture, mask=hole)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        outside = int((done.image.pixels != picture).any(axis=2)[~hole].sum())
        print(f"| {name} | {100 * hole.mean():.2f} % | {wall:.1f} | {cpu:.1f} | {peak:.0f} | {outside} |", flush=True)


if __name__ == "__main__":
    main()
