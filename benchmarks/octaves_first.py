"""What does it bring to take noise off octave by octave before the network runs, and when should it not be done?

``python benchmarks/octaves_first.py --pairs PAIRS [--without 'Canon5D*' ...] [--photographs FOLDER]``

PAIRS are real pairs, as for ``tratto-lab eval restore --pairs``: mean PSNR of ``tratto restore`` without that step,
with so many times what the octaves show, and with other thresholds of the transform. FOLDER holds free photographs: of
each a crop is photographed in simulation, saved as PNG and as JPEG (as in no_harm.py), and each row says in how many of
them the step changes anything, and by how many dB in the mean, at worst and at best: as it ships, where noise is
strong, too, and where nothing was compressed and the estimator sees no noise.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from no_harm import crops, damaged
from numpy.typing import NDArray
from PIL import Image as PilImage

from tratto.core.inspection import Inspection
from tratto.jobs import Session
from tratto.providers.restorer import dct
from tratto.tasks import restore
from tratto_lab.evaluation.pairs import find_pairs

Picture = NDArray[np.float32]
FACTORS, THRESHOLDS = (1.0, 1.25, 1.5), (2.4, 2.7, 3.0)
#: A strength of noise that no picture reaches.
NEVER = 1e9


def decibels(a: Picture, b: Picture) -> float:
    """Return the PSNR of two pictures in [0, 1]."""
    return float(-10 * np.log10(max(float(np.square(a - b).mean()), 1e-10)))


def unasked(options: restore.RestoreOptions, inspection: Inspection) -> dict[str, Any]:
    """Return what would be taken off if nobody asked the estimator."""
    noise = restore._spectrum(inspection)
    if np.linalg.norm(noise) > restore.SPECTRUM_STRONG:
        return {}
    return {f"noise{2**k}": round(restore.SPECTRUM * value, 2) for k, value in enumerate(noise)}


def restored(session: Session, data: bytes, **rules: Any) -> Picture:
    """Return a file restored, with other numbers of ``tratto.tasks.restore`` or its transform."""
    threshold = rules.pop("THRESHOLD", dct.THRESHOLD)
    rules = {"SPECTRUM": restore.SPECTRUM, **rules}
    with mock.patch.multiple(restore, **rules), mock.patch.object(dct, "THRESHOLD", threshold):
        return np.asarray(session.restore(io.BytesIO(data)).to_numpy(), np.float32) / np.float32(255)


def on_pairs(folder: Path, without: list[str]) -> None:
    """Print the table of real pairs."""
    variants: dict[str, dict[str, Any]] = {"without": {"SPECTRUM_SEEN": NEVER}}
    variants |= {f"{f:g} times": {"SPECTRUM": f} for f in FACTORS}
    variants |= {f"threshold {t:g}": {"THRESHOLD": t} for t in THRESHOLDS}
    session, found = Session(), []
    for pair in find_pairs(folder, without):
        with PilImage.open(pair.clean) as opened:
            truth = np.asarray(opened.convert("RGB"), np.float32) / np.float32(255)
        data = pair.noisy.read_bytes()
        found.append([decibels(restored(session, data, **rules), truth) for rules in variants.values()])
    print(f"{len(found)} pairs, mean PSNR in dB\n\n| {' | '.join(variants)} |\n|{' --- |' * len(variants)}")
    print(f"| {' | '.join(f'{value:.2f}' for value in np.mean(found, axis=0))} |\n")


def on_photographs(folder: Path) -> None:
    """Print what the step changes on photographs that were taken in simulation."""
    variants: dict[str, dict[str, Any]] = {
        "as it ships": {},
        "also where it is strong": {"SPECTRUM_STRONG": NEVER},
        "also where the estimator sees none": {"_by_octave": unasked},
    }
    session, count = Session(), 0
    changes: dict[str, list[float]] = {name: [] for name in variants}
    for seed, (_, clean) in enumerate(crops(folder)):
        for kind, truth, data, _ in damaged(np.round(clean * 255) / np.float32(255), seed):
            if not kind.startswith("camera"):
                continue
            count += 1
            plain = decibels(restored(session, data, SPECTRUM_SEEN=NEVER), truth)
            kept = restored(session, data)
            for name, rules in variants.items():
                done = restored(session, data, **rules) if rules else kept
                # of the rules only what differs from what ships
                if not rules or not np.array_equal(done, kept):
                    changes[name].append(decibels(done, truth) - plain)
    print(f"{count} files of a simulated camera; dB gained by the step\n")
    print("| | files it changes | mean | worst | best |\n| --- | --- | --- | --- | --- |")
    for name, values in changes.items():
        moved = [v for v in values if v]
        cells = f"{np.mean(moved):+.2f} | {min(moved):+.2f} | {max(moved):+.2f}" if moved else " | | "
        print(f"| {name} | {len(moved)} | {cells} |")


def main() -> int:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--photographs", type=Path)
    given = parser.parse_args()
    if given.pairs is None and given.photographs is None:
        parser.error("name --pairs, --photographs or both")
    if given.pairs is not None:
        on_pairs(given.pairs, given.without)
    if given.photographs is not None:
        on_photographs(given.photographs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
