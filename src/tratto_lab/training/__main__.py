"""``python -m tratto_lab.training RUN_FILE --photos FOLDER --out FOLDER``: what ``tratto train`` calls."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(prog="python -m tratto_lab.training", description="Train as a run file says.")
    parser.add_argument("run", type=Path, help="run file")
    parser.add_argument("--photos", type=Path, required=True, help="folder of training photographs")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="output folder (default: runs)")
    parser.add_argument("--stop-after", type=int, default=None, help="stop with a checkpoint after this many steps")
    parser.add_argument("--set", action="append", default=[], help="NAME=VALUE in a run for a diffusion model")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    from tratto_lab.training.start import start

    start(given.run, given.photos, given.out, given.stop_after, given.set)


if __name__ == "__main__":
    main()
