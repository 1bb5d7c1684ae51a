"""Repaint rendered rooms by several methods and lay the results beside the truth.

    pip install mitsuba
    python benchmarks/recolor_table.py rooms/ --out recolor/

The first run renders 12 rooms with 5 paints each into ``rooms/`` (half a minute each on one core); later runs only
repaint. Mitsuba's vectorised variant needs an LLVM library that suits the processor (``DRJIT_LIBLLVM_PATH``); without
one the scalar variant is used, which is several times slower.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tratto_lab.evaluation.recolor import (
    METHODS,
    evaluate,
    room_samples,
    rows_of,
    to_markdown,
    write_grid,
    write_metrics,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", type=Path, help="folder with rendered rooms; made if it is not there")
    parser.add_argument("--out", type=Path, default=Path("recolor"))
    parser.add_argument("--only", nargs="*", default=[], help="names of rooms")
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--samples-per-pixel", type=int, default=192)
    parser.add_argument("--held-out", action="store_true", help="the four rooms by which no constant was chosen")
    given = parser.parse_args()
    methods = {name: METHODS[name] for name in given.methods}
    samples = room_samples(given.rooms, 0, tuple(given.only), given.samples_per_pixel, given.held_out)
    scores = evaluate(samples, methods, lambda name: print(name, file=sys.stderr))
    table = to_markdown(rows_of(scores))
    print(table)
    write_metrics(given.out, 0, scores)
    (given.out / "table.md").write_text(table + "\n", encoding="utf-8")
    write_grid(given.out, samples, next(iter(methods.values())))


if __name__ == "__main__":
    main()
