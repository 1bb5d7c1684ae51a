"""Time of repainting by megapixels, on this machine: the calculation alone, and the whole command's work.

    python benchmarks/recolor_speed.py [--megapixels 0.25 1 4 12] [--profile]

A synthetic room: soft light, relief, noise, a picture frame and a plant in front, a soft mask over half of it. Each
figure is the shortest of some runs by the clock, and in brackets the processor time of all threads, which other work
on the machine hardly changes. ``fit`` looks at the picture; ``paint`` makes every row, for which up to 1.2
megapixels need not be taken apart again; ``paint again`` is a replay's, from the fit's numbers alone. ``whole job`` is
``tratto.jobs.recolor`` on samples in memory, with edit map, confidence, receipt and digests.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import platform
import pstats
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def room(megapixels: float, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a picture and the mask of its wall."""
    from tratto.imaging.color import linear_to_srgb

    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(height * 4 / 3)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    light = 0.25 + 0.7 * np.exp(-((x - 0.4) ** 2 + (y - 0.2) ** 2) * 3)
    light *= 1 - 0.4 / (1 + np.exp(-(x - 0.9) * 60))
    light *= 1 + 0.02 * np.sin(40 * x + 7 * np.sin(23 * y))
    mask = np.clip((0.7 - y) * height / 2 + 0.5, 0, 1)
    mask *= 1 - np.clip((0.12 - np.maximum(abs(x - 0.6) / 1.4, abs(y - 0.35))) * height / 2 + 0.5, 0, 1)
    leaves = np.sin(37 * x + 5 * y) * np.sin(31 * y - 4 * x) - 0.55 - 4 * np.hypot(x - 1.1, y - 0.5)
    mask *= 1 - np.clip(leaves * height / 40 + 0.5, 0, 1)
    wall = light[..., None] * np.array([0.72, 0.66, 0.52], np.float32)
    other = (0.4 * light)[..., None] * np.array([0.35, 0.22, 0.12], np.float32)
    linear = mask[..., None] * wall + (1 - mask[..., None]) * other
    encoded = 255 * linear_to_srgb(linear) + rng.normal(0, 1.5, linear.shape).astype(np.float32)
    return np.clip(np.rint(encoded), 0, 255).astype(np.uint8), np.rint(255 * mask).astype(np.uint8)


def best(work: Callable[[], object], runs: int) -> str:
    """Return the shortest time of some runs by the clock, and the least processor time, seconds."""
    clock, processor = [], []
    for _ in range(runs):
        start, used = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    return f"{min(clock):.2f} ({min(processor):.2f})"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, nargs="*", default=[0.25, 1.0, 4.0, 12.0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="where the time goes, for the first size")
    given = parser.parse_args()

    from tratto import recolor
    from tratto.imaging.color import srgb_to_lab, srgb_to_linear
    from tratto.imaging.repaint import Painter, RepaintTarget, look_at_wall

    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}")
    print("| colour | megapixels | fit, s | paint, s | paint again, s | whole job, s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for code in ((0.78, 0.83, 0.88), (0.957, 0.949, 0.933)):
        wish = RepaintTarget(
            srgb_to_linear(np.array(code)).astype(np.float32), np.asarray(srgb_to_lab(np.array(code))), "seen"
        )
        name = "#" + "".join(f"{round(255 * v):02x}" for v in code)
        for size in given.megapixels:
            picture, mask = room(size)
            linear = srgb_to_linear(picture.astype(np.float32) / 255).astype(np.float32)
            share = (mask / np.float32(255)).astype(np.float32)

            def rows(a: int, b: int, linear: NDArray[np.float32] = linear) -> NDArray[np.float32]:
                return linear[a:b]

            height = len(picture)
            step = max(16, (1 << 20) // picture.shape[1])
            ready = look_at_wall(rows, share, wish)
            again = Painter(rows, share, ready.fit)
            bands = [(a, min(height, a + step)) for a in range(0, height, step)]
            times = (
                best(lambda: look_at_wall(rows, share, wish), given.runs),  # noqa: B023
                best(lambda: [ready.paint(a, b) for a, b in bands], given.runs),  # noqa: B023
                best(lambda: [again.paint(a, b) for a, b in bands], given.runs),  # noqa: B023
                best(lambda: recolor(picture, mask=mask, color=code), given.runs),  # noqa: B023
            )
            print(f"| {name} | {size:g} | " + " | ".join(times) + " |", flush=True)
            if given.profile:
                profile = cProfile.Profile()
                profile.runcall(recolor, picture, mask=mask, color=code)
                pstats.Stats(profile).sort_stats("tottime").print_stats(25)
                return


if __name__ == "__main__":
    main()
