"""How much depth can be told without a depth network: rank correlation with the true depth of rendered rooms.

    python benchmarks/depth_cues.py [FOLDER]

Needs Mitsuba 3. Renders of the rooms that lie in FOLDER (as ``tratto_lab.corpus.rooms`` caches them) are used, others
are rendered. Twelve rooms are there to choose by; four others, whose cameras stand elsewhere, to check. Measured are
the shipped stand-in, each cue alone, and a ridge regression over fourteen cues that was fitted to the twelve.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from tratto.providers.depth import GeometricDepth
from tratto_lab.corpus import rooms

SIZE = (48, 36)


def true_depth(mi, room):
    scene = rooms._scene(mi, room, room.old, True, (rooms.WIDTH, rooms.HEIGHT), coverage=False)
    values = np.array(mi.render(scene, integrator=mi.load_dict({"type": "depth"}), spp=4, seed=1))[..., 0]
    return cv2.resize(values.astype(np.float32), SIZE, interpolation=cv2.INTER_AREA).ravel()


def picture(room, folder):
    stored = folder / f"{room.name}_old.npz"
    if stored.exists():
        linear = np.load(stored)["picture"].astype(np.float32)
    else:
        linear = rooms.render(room, room.old, True, 64)
        np.savez_compressed(stored, picture=linear.astype(np.float16))
    return np.clip(rooms.linear_to_srgb(np.clip(linear * rooms.exposure(linear), 0, 1)), 0, 1).astype(np.float32)


def cues(rgb):
    small = cv2.resize(rgb, SIZE, interpolation=cv2.INTER_AREA)
    gray, full = small.mean(axis=2), rgb.mean(axis=2)

    def detail(values):
        return np.log(cv2.resize(np.abs(values), SIZE, interpolation=cv2.INTER_AREA) + 0.003)

    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]].astype(np.float32)
    y, x = (y + 0.5) * 2 / SIZE[1] - 1, (x + 0.5) * 2 / SIZE[0] - 1
    found = {
        "row (lower is nearer)": y, "distance from the middle row": abs(y), "row squared": y * y,
        "distance from the middle column": abs(x), "column squared": x * x, "distance from the middle": np.hypot(x, y),
        "largest of both distances": np.maximum(abs(x), abs(y)), "brightness": gray,
        "saturation": small.max(axis=2) - small.min(axis=2), "fine detail": detail(cv2.Laplacian(full, cv2.CV_32F)),
        "upright edges": detail(cv2.Sobel(full, cv2.CV_32F, 1, 0)),
        "level edges": detail(cv2.Sobel(full, cv2.CV_32F, 0, 1)),
        "brightness around": cv2.GaussianBlur(gray, (0, 0), 3), "one": np.ones_like(gray),
    }  # fmt: skip
    return {k: v.ravel().astype(np.float64) for k, v in found.items()}


def ranks(values):
    order = np.argsort(values, kind="stable")
    out = np.empty(len(values))
    out[order] = np.arange(len(values))
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.bincount(inverse, out) / count)[inverse]


def rank_correlation(a, b):
    """Spearman's, with mean ranks for ties."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def main():
    import mitsuba

    # the vectorised variant's depth integrator does not compile on every processor
    mitsuba.set_variant("scalar_rgb")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(made)
        seen = {r.name: (picture(r, folder), -true_depth(mitsuba, r)) for r in (*rooms.ROOMS, *rooms.HELD_OUT)}
    chosen, held = [r.name for r in rooms.ROOMS], [r.name for r in rooms.HELD_OUT]
    known = {n: cues(rgb) for n, (rgb, _) in seen.items()}
    ways = {name: {n: known[n][name] for n in seen} for name in next(iter(known.values())) if name != "one"}
    stand_in = GeometricDepth()
    ways = {"geometric (ships)": {
        n: cv2.resize(stand_in.estimate(rgb).values, SIZE, interpolation=cv2.INTER_AREA).ravel()
        for n, (rgb, _) in seen.items()
    }} | ways  # fmt: skip
    columns = {n: np.stack(list(known[n].values()), axis=1) for n in seen}
    entry = np.concatenate([columns[n] for n in chosen])
    middle, spread = entry.mean(axis=0), entry.std(axis=0) + 1e-6
    middle[-1], spread[-1] = 0, 1
    scaled = (entry - middle) / spread
    aim = np.concatenate([ranks(seen[n][1]) / len(seen[n][1]) for n in chosen])
    weights = np.linalg.solve(scaled.T @ scaled + np.eye(scaled.shape[1]), scaled.T @ aim)
    ways["ridge regression over all"] = {n: ((columns[n] - middle) / spread) @ weights for n in seen}
    print("| what | twelve rooms, mean | " + " | ".join(held) + " | these four, mean |")
    print("| --- " * (3 + len(held)) + "|")
    for name, values in ways.items():
        found = {n: rank_correlation(values[n], seen[n][1]) for n in seen}
        own = " | ".join(f"{found[n]:.2f}" for n in held)
        both = [np.mean([found[n] for n in group]) for group in (chosen, held)]
        print(f"| {name} | {both[0]:.2f} | {own} | {both[1]:.2f} |")


if __name__ == "__main__":
    main()
