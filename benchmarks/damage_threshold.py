"""From which probability on should damage be marked, and which training stage marks it best? On held-out photographs.

``python benchmarks/damage_threshold.py PHOTOS [--kinds 3] [--runs RUNS --stage damage_tune ...]``

The photographs that are never trained on are shown at a half, a third and a quarter of their size, each intact and
damaged in eight ways (:mod:`tratto_lab.evaluation.damage`). Without ``--stage`` the network that ships is measured,
else the EMA weights of these runs in RUNS, which are not calibrated as what ships is. ``--kinds`` lays several kinds of
damage over each other. One row for each stage and threshold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tratto.imaging.masks import CLASSES, decided
from tratto_lab.evaluation.damage import ANY, DamagePlan, Detector, evaluate_damage
from tratto_lab.training.held_out import held_out_pictures

THRESHOLDS = (0.5, 0.65, 0.75, 0.85)
Probabilities = Callable[[np.ndarray], np.ndarray]


def shipped(picture: np.ndarray) -> np.ndarray:
    """Return the probabilities (K, H, W) of the network that ships."""
    from tratto.providers.catalogue import open_provider

    found = open_provider("damage").find(picture)
    return np.stack([found[k] for k in CLASSES])


def stage(runs: Path, name: str) -> Probabilities:
    """Return the probabilities of a run's EMA weights, which are not calibrated."""
    import torch

    from tratto_lab.training.config import load_run
    from tratto_lab.training.loop import build_network, load_ema

    network = build_network(load_run(Path(__file__).parents[1] / "training_runs" / f"{name}.py"))
    load_ema(runs / name, network)
    network.eval()

    def probabilities(picture: np.ndarray) -> np.ndarray:
        h, w = picture.shape[:2]
        padded = np.pad(picture, ((0, -h % 16), (0, -w % 16), (0, 0)), mode="reflect")
        with torch.no_grad():
            logits = network(torch.from_numpy(padded.transpose(2, 0, 1).copy())[None])
        return torch.sigmoid(logits).numpy()[0, :-1, :h, :w]

    return probabilities


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--stage", action="append", default=[])
    parser.add_argument("--kinds", type=int, default=1)
    given = parser.parse_args()
    lines = ["| network | from a probability of | F1 any | precision | recall | intact marked |", "| --- " * 6 + "|"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, picture in enumerate(held_out_pictures(given.photos)):
            Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(folder / f"{number:02}.png")
        for which in given.stage or [""]:
            look = stage(given.runs, which) if which else shipped
            seen: dict[bytes, np.ndarray] = {}  # probabilities, by picture

            def detector(
                threshold: float, look: Probabilities = look, seen: dict[bytes, np.ndarray] = seen
            ) -> Detector:
                def find(picture: np.ndarray) -> dict[str, np.ndarray]:
                    key = picture.tobytes()
                    if key not in seen:
                        seen[key] = look(picture).astype(np.float16)
                    found = decided(seen[key].astype(np.float32), threshold)
                    return {k: found[n] for n, k in enumerate(CLASSES)}

                return find

            for threshold in THRESHOLDS:
                report = evaluate_damage(folder, detector(threshold), DamagePlan(kinds=given.kinds))
                row = next(r for r in report.rows if r.kind == ANY)
                lines.append(
                    f"| {which or 'ships'} | {threshold} | {row.f1:.3f} | {row.precision:.2f} | {row.recall:.2f} "
                    f"| {100 * report.intact_share:.1f} % |"
                )
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
