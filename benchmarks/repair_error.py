"""Fit how the error of each classical inpainter grows into a hole: the curves in ``providers/inpainter/classical.py``.

    python benchmarks/repair_error.py PHOTOS

PHOTOS are training photographs; the held-out ones and the benchmark sets take no part. For each reach the share is the
one by which 68 % of the errors lie within one sigma; the reach is the one of the greatest likelihood.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tratto.imaging.fill import ErrorCurve, expected_error
from tratto.providers.catalogue import open_provider
from tratto_lab.corpus.pack import HELD_OUT
from tratto_lab.simulate.holes import large, medium, thin

REACHES = (0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)


def samples(method, photos, side=256, each=1500):
    """Return errors, contrasts and distances of filled pixels."""
    painter = open_provider("inpainter", method)
    rows = []
    for i, path in enumerate(photos):
        with Image.open(path) as opened:
            picture = np.asarray(opened.convert("RGB").reduce(3), np.float32) / np.float32(255)
        y, x = max(0, (picture.shape[0] - side) // 2), max(0, (picture.shape[1] - side) // 2)
        clean = np.ascontiguousarray(picture[y : y + side, x : x + side])
        rng = np.random.default_rng([9, i])
        makers = (large, medium) if method == "patch" else (large, thin, medium)
        for make in makers:
            hole = make(clean.shape[:2], rng)
            if not hole.any():
                continue
            filled = painter.fill(np.where(hole[..., None], np.float32(0), clean), hole, 0).image
            error = np.sqrt(np.square(np.clip(filled, 0, 1) - clean).mean(axis=2))[hole]
            contrast = expected_error(clean, hole, ErrorCurve(1.0, 1e-3))[hole]
            depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[hole]
            some = rng.choice(len(error), min(len(error), each), replace=False)
            rows.append(np.stack([error[some], contrast[some], depth[some]]))
    return np.concatenate(rows, axis=1)


def fit(error, contrast, depth):
    """Return reach, share and the share of errors within one sigma."""
    best = None
    for reach in REACHES:
        base = np.maximum(contrast * (1 - np.exp(-depth / reach)), 1e-6)
        share = float(np.quantile(error / base, 0.68))
        sigma = np.maximum(share * base, 0.5 / 255)
        loss = float(np.mean(np.log(sigma) + error / sigma))
        if best is None or loss < best[0]:
            best = (loss, reach, share, float((error <= sigma).mean()))
    return best[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--every", type=int, default=5, help="use every so many photographs")
    given = parser.parse_args()
    photos = [p for p in sorted(given.photos.glob("*.webp")) if p.stem not in HELD_OUT][:: given.every]
    for method in ("plate", "navier-stokes", "telea", "biharmonic", "patch"):
        reach, share, inside = fit(*samples(method, photos))
        print(f"{method}: ErrorCurve({share:.2f}, {reach}); {100 * inside:.0f} % within one sigma")


if __name__ == "__main__":
    main()
