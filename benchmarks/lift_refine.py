"""MVCRM on real models: an enhancer that knows the truth, one that corrupts it, and one that does nothing.

A scene is fitted to 12 photographs of 96 squared that were blurred by 3 pixels; then its views are enhanced and taken
over. PSNR of views held
out, in dB: ``python benchmarks/lift_refine.py FOLDER --objects 6 --seeds 3``.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from furniture import MODELS, Model, ring

from tratto.scene.optimize import Mcmc, Settings, compare_views, reconstruct
from tratto.scene.refine import Refinement, refine
from tratto.scene.views import View, visual_hull


def corrupted(picture: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A colour cast of up to 25 % in each channel, and three patches of invented texture."""
    out = picture * rng.uniform(0.75, 1.25, 3).astype(np.float32)
    side = picture.shape[0]
    for _ in range(3):
        size = side // 8
        y, x = rng.integers(0, side - size, 2)
        patch = cv2.resize(rng.random((6, 6, 3), dtype=np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
        out[y : y + size, x : x + size] = patch
    return np.clip(np.where(alpha[..., None] > 0, out, picture), 0, 1).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--objects", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--ablate", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = []
    cameras = [*ring(given.side, 8, 15), *ring(given.side, 4, 48, 20)]
    shown = []
    for collection, obj in MODELS[: given.objects]:
        model = Model.read(given.folder, collection, obj)
        truth = [model.view(c) for c in cameras]
        shown.append((obj, truth, [model.view(c) for c in ring(given.side, 5, 28, 31)]))
    for seed in range(given.seeds):
        for obj, truth, held_out in shown:
            settings = Settings(steps=400, seed=seed, strategy=Mcmc(most=4000))
            blurred = [View(v.camera, cv2.GaussianBlur(v.color, (0, 0), 3.0), v.alpha) for v in truth]
            start = reconstruct(blurred, visual_hull(truth, 3500, seed, 64), settings)
            pictures = [v.over(settings.background) for v in truth]
            rng = np.random.default_rng(seed)
            bad = [corrupted(p, v.alpha, rng) for p, v in zip(pictures, truth, strict=True)]
            worse = np.random.default_rng(seed + 100)
            enhancers = {
                "oracle": lambda view, i, p=pictures: p[i],
                "corrupting": lambda view, i, b=bad: b[i],
                "no-op": lambda view, i: view,
                "spoiling": lambda view, i, t=truth, r=worse: corrupted(view, t[i].alpha, r),
            }
            ways = {"all": Refinement()}
            if given.ablate:
                ways |= {
                    "not robust": Refinement(robust=False),
                    "no gains": Refinement(gains=False),
                    "no agreement": Refinement(agreement=False),
                    "depth gate": Refinement(depth_gate=0.1),
                    "feature gate": Refinement(feature_gate=0.7),
                }
            before = compare_views(start, held_out, settings.background)[0]
            row = {"object": obj.split("/")[1], "seed": seed, "start": before}
            for way, how in ways.items():
                for name, enhance in enhancers.items():
                    after = refine(start, cameras, enhance, replace(settings, degree=0), how)
                    row[f"{name}" if way == "all" else f"{name}, {way}"] = compare_views(
                        after, held_out, settings.background
                    )[0]
            rows.append(row)
            print(" ".join(f"{k}={v:.2f}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()), flush=True)
    for key in rows[0]:
        if key not in ("object", "seed"):
            gains = [r[key] - r["start"] for r in rows]
            print(
                f"{key:28s} mean gain {statistics.mean(gains):+.2f} dB, worst {min(gains):+.2f}, best {max(gains):+.2f}"
            )
    if given.out:
        given.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
