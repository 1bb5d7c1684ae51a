"""What the photograph that was held out and trained on under another name changed in the held-out figures.

    python benchmarks/held_out_twice.py PHOTOS

The networks for noise and for JPEG that ship, with and without that photograph (:data:`tratto_lab.corpus.pack.TWICE`):
PSNR in dB, and the factor by which the stated error is calibrated.
"""

import argparse
from pathlib import Path
from types import SimpleNamespace

import tratto.models
from tratto_lab.corpus.pack import HELD_OUT, TWICE
from tratto_lab.training import held_out
from tratto_lab.training.config import load_run
from tratto_lab.training.export import calibrate
from tratto_lab.training.loop import HeldOut, build_network, load_ema

SHIPPED = {
    "restore_noise_sigma": ("tratto-restore-x1", "sigma25"),
    "restore_jpeg_sigma": ("tratto-restore-jpeg", "jpeg40"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    given = parser.parse_args()
    weights = Path(tratto.models.__file__).parent / "weights"
    print("| network | photographs | case | dB | factor |\n| --- | --- | --- | --- | --- |")
    for name, (card, case) in SHIPPED.items():
        run = load_run(Path(__file__).parents[1] / "training_runs" / f"{name}.py")
        network = build_network(run)
        load_ema(weights / f"{card}.onnx", network)
        for names in ((*HELD_OUT, *TWICE), HELD_OUT):
            held_out.HELD_OUT = names
            checks = HeldOut(given.photos, run)
            quality = checks.measure(SimpleNamespace(shadow=network.state_dict()), network)[case]
            factor = calibrate(network, checks, run.calibrate_on).factor
            print(f"| {card} | {len(names)} | {case} | {quality:.2f} | {factor:.2f} |", flush=True)


if __name__ == "__main__":
    main()
