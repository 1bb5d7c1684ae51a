"""How well times are told before: jobs of all kinds, each estimated by --dry-run and then timed as a whole command.

    python benchmarks/estimates.py [--limit 40] [--seed 0]

Pictures and masks are made here. The machine's own load counts on both sides: the estimate measures it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pil

from tratto_lab.simulate.damage_field import fractal

SIZES = ((300, 400), (700, 900), (1100, 1500), (1800, 2400))


def picture(shape, rng, noise):
    planes = [fractal(shape, shape[1] / 6, rng, 7, 0.6) for _ in range(3)]
    base = 0.5 + 0.13 * np.stack([planes[0] + 0.4 * p for p in planes], axis=-1)
    base = base + rng.normal(0, noise / 255, base.shape)
    return np.rint(np.clip(base, 0, 1) * 255).astype(np.uint8)


def mask(kind, shape, rng):
    out = np.zeros(shape, np.uint8)
    height, width = shape
    if kind == "specks":
        for _ in range(25):
            cv2.circle(out, (int(rng.integers(width)), int(rng.integers(height))), 2, 255, -1)
    elif kind == "cracks":
        for _ in range(12):
            ends = [(int(rng.integers(width)), int(rng.integers(height))) for _ in range(2)]
            cv2.line(out, *ends, 255, 3)
    else:
        for _ in range(4):
            at = (int(rng.integers(width // 8, width * 7 // 8)), int(rng.integers(height // 8, height * 7 // 8)))
            cv2.circle(out, at, int(rng.integers(16, 40)), 255, -1)
    return out


def jobs(folder, rng):
    """Yield a name and arguments of ``tratto`` for each job, the kinds in turn."""
    for number in range(1000):
        shape = SIZES[int(rng.integers(len(SIZES)))]
        kind = ("specks", "cracks", "parts", "plate", "restore", "enlarge", "blend", "force")[number % 8]
        if kind == "enlarge":
            shape = SIZES[int(rng.integers(2))]
        source, hole = folder / f"{number}.png", folder / f"{number}-mask.png"
        Pil.fromarray(picture(shape, rng, 15 if kind in ("restore", "enlarge", "force") else 2)).save(source)
        if kind in ("specks", "cracks", "parts", "plate", "blend"):
            Pil.fromarray(mask({"plate": "cracks", "blend": "specks"}.get(kind, kind), shape, rng)).save(hole)
            more = {"plate": ("--method", "plate"), "blend": ("--blend", "3", "--fill-grain", "none")}.get(kind, ())
            line = ["repair", str(source), "--mask", str(hole), *more]
        elif kind == "enlarge":
            line = ["restore", str(source), "--scale", "2"]
        else:
            line = ["restore", str(source), *(("--force",) if kind == "force" else ())]
        yield f"{kind} {shape[1]} x {shape[0]}", [*line, "-o", str(folder / f"out{number}")]


def command(line):
    return subprocess.run([sys.executable, "-m", "tratto.cli.main", *line], capture_output=True, text=True, check=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    within = []
    print("| job | told | taken | taken / told |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="estimates-") as made:
        for (name, line), _ in zip(
            jobs(Path(made), np.random.default_rng(given.seed)), range(given.limit), strict=False
        ):
            answer = command([*line, "--dry-run", "--json"])
            estimated = json.loads(answer.stdout)[0]["estimated_seconds"]
            start = time.perf_counter()
            done = command(line)
            taken = time.perf_counter() - start
            if done.returncode:
                sys.exit(f"{name}: {done.stderr.strip()}")
            within.append(1 / 1.5 <= taken / estimated <= 1.5)
            print(f"| {name} | {estimated:.1f} | {taken:.1f} | {taken / estimated:.2f} |", flush=True)
    print(f"\nwithin a factor of 1.5: {sum(within)} of {len(within)}")


if __name__ == "__main__":
    main()
