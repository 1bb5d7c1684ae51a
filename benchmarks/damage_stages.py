"""Which training stage of the damage detector is the best? F1 of each class on the held-out photographs, calibrated.

    python benchmarks/damage_stages.py PHOTOS --runs runs --stage damage_many --stage damage_mean

Each stage is calibrated by itself, as it would be if it shipped, on the photographs that are never trained on
(:mod:`tratto_lab.training.damage_calibration`); the figures are those of that calibration, mean over the photographs.
With one look, to save time: ``--looks 2 --closer 1.5`` is as shipped.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from tratto_lab.simulate.damage import CLASSES
from tratto_lab.training.config import load_run
from tratto_lab.training.damage_calibration import calibrate_detector
from tratto_lab.training.loop import build_network, load_ema


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--stage", action="append", required=True)
    parser.add_argument("--looks", type=int, default=1)
    parser.add_argument(
        "--closer", type=float, default=1.0, help="how many times enlarged the looks at mirror images are"
    )
    given = parser.parse_args()
    print(f"| F1 | {' | '.join(CLASSES)} | mean |\n| {'--- | ' * (len(CLASSES) + 2)}", flush=True)
    for name in given.stage:
        run = load_run(Path(__file__).parents[1] / "training_runs" / f"{name}.py")
        network = build_network(
            replace(run, network_options={**run.network_options, "looks": given.looks, "closer": given.closer})
        )
        load_ema(given.runs / name, network)
        scores = calibrate_detector(network, given.photos)["f1"][: len(CLASSES)]
        print(f"| {name} | {' | '.join(f'{v:.3f}' for v in scores)} | {np.mean(scores):.3f} |", flush=True)


if __name__ == "__main__":
    main()
