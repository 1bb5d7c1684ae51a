"""Is the confidence map honest? Stated one-sigma error against the true error on pictures degraded here.

``python benchmarks/confidence.py FOLDER [--count 68] [--provider tratto]``

For each clean picture and each degradation (Gaussian noise of sigma 15, 25, 50; JPEG quality 10 and 40) the picture is
restored through the same code as ``tratto restore`` and the confidence map is read back. Reported per degradation:
Spearman's rank correlation between stated and true error (mean over pictures), per pixel and per block of 8 x 8 pixels
(root mean square), and coverage: the share of
errors (root mean square over the channels) within the stated one sigma. Honest coverage of a normal error is 68 %.
"""

from __future__ import annotations

import argparse
import io as stdio
import json
import sys
from pathlib import Path

import numpy as np

from tratto.core.errors import TrattoError
from tratto.imaging.io import read_image
from tratto.jobs import Session
from tratto.provenance.confidence import sigma_from_confidence
from tratto.tasks.restore import RestoreOptions
from tratto_lab.evaluation.honesty import coverage, rank_correlation


def degrade(clean: np.ndarray, kind: str) -> np.ndarray:
    """Return an 8-bit RGB picture with the named degradation."""
    name, _, level = kind.partition(" ")
    if name == "noise":
        noise = np.random.RandomState(0).normal(0, float(level), clean.shape)
        return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    from PIL import Image

    data = stdio.BytesIO()
    Image.fromarray(clean).save(data, "JPEG", quality=int(level))
    return np.asarray(Image.open(data))


FIGURES = ("rank_correlation", "rank_correlation_blocks", "coverage")


def by_blocks(values: np.ndarray) -> np.ndarray:
    """Return the root mean square of each whole block of 8 x 8 pixels."""
    h, w = values.shape[0] // 8, values.shape[1] // 8
    return np.sqrt(np.square(values[: h * 8, : w * 8], dtype=float).reshape(h, 8, w, 8).mean(axis=(1, 3)))


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=68)
    parser.add_argument("--provider", default="tratto")
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    files = sorted(p for p in args.folder.iterdir() if p.suffix.lower() in (".png", ".bmp", ".jpg", ".tif"))[
        : args.count
    ]
    session = Session()
    options = RestoreOptions(force=True, provider=args.provider)
    rows = []
    pooled: list[np.ndarray] = []
    for kind in ("noise 15", "noise 25", "noise 50", "jpeg 10", "jpeg 40"):
        ranks, blocks, covered = [], [], []
        for file in files:
            clean = np.asarray(read_image(file).pixels)
            if clean.ndim == 2:
                clean = np.repeat(clean[..., None], 3, 2)
            try:
                result = session.restore(degrade(clean, kind), options)
            except TrattoError as e:
                sys.stderr.write(f"{file}: {e}\n")
                return 1
            error = np.sqrt(np.mean(((result.image.pixels.astype(float) - clean) / 255) ** 2, axis=2))
            sigma = sigma_from_confidence(result.confidence)
            ranks.append(rank_correlation(sigma, error))
            blocks.append(rank_correlation(by_blocks(sigma), by_blocks(error)))
            covered.append(coverage(sigma, error))
            pooled.append(np.stack((sigma.ravel()[::37], error.ravel()[::37])))  # enough for one ranking of everything
        rows.append(
            {
                "degradation": kind,
                "rank_correlation": float(np.mean(ranks)),
                "rank_correlation_blocks": float(np.mean(blocks)),
                "coverage": float(np.mean(covered)),
            }
        )
        sys.stderr.write(f"{rows[-1]}\n")
    rows.append({"degradation": "mean"} | {k: float(np.mean([r[k] for r in rows])) for k in FIGURES})
    together = float(rank_correlation(*np.concatenate(pooled, axis=1)))
    lines = [
        "| degradation | rank correlation, pixels | 8 x 8 blocks | within one sigma |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {r['degradation']} | {r['rank_correlation']:.2f} | {r['rank_correlation_blocks']:.2f} "
        f"| {100 * r['coverage']:.0f} % |"
        for r in rows
    ]
    sys.stdout.write("\n".join(lines) + f"\n\n{len(files)} pictures, provider {args.provider}.\n")
    sys.stdout.write(f"All pictures and degradations in one ranking of pixels: {together:.2f}\n")
    if args.out is not None:
        args.out.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
