"""Scenes from photographs with known cameras: PSNR and SSIM of views held out, on rendered models of furniture.

``python benchmarks/lift_views.py FOLDER``: 12 views at 256 squared, 10 000 Gaussians from the visual hull, 2 000 steps.
Times are wall clock and processor time of all threads; on two idle cores a run takes a little over half of the latter.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from furniture import MODELS, Model, ring

from tratto.scene.optimize import QUICK, Default, Mcmc, Settings, compare_views, reconstruct
from tratto.scene.views import visual_hull


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--objects", type=int, default=len(MODELS))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--strategy", choices=("mcmc", "default", "none"), default="mcmc")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    strategy = {"mcmc": Mcmc(most=12_000), "default": Default(), "none": None}[given.strategy]
    rows = []
    for collection, obj in MODELS[: given.objects]:
        model = Model.read(given.folder, collection, obj)
        side = given.side
        views = [model.view(c) for c in (*ring(side, 8, 15), *ring(side, 4, 45, 20))]
        held_out = [model.view(c) for c in ring(side, 4, 30, 33)]
        settings = Settings(steps=given.steps, strategy=strategy, rates=QUICK)
        wall, cpu = time.perf_counter(), time.process_time()
        made = reconstruct(views, visual_hull(views, 10_000), settings)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        quality, likeness = compare_views(made, held_out, settings.background)
        rows.append({
            "model": f"{collection} {obj.split('/')[1]}", "psnr": round(quality, 2), "ssim": round(likeness, 4),
            "gaussians": len(made), "seen": round(float(made.seen.mean()), 4), "wall": round(wall, 1),
            "cpu": round(cpu, 1),
        })  # fmt: skip
        print(" ".join(f"{k}={v}" for k, v in rows[-1].items()), flush=True)
    print(f"mean {np.mean([r['psnr'] for r in rows]):.2f} dB, worst {min(r['psnr'] for r in rows):.2f} dB")
    if given.out:
        given.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
