"""Repaint rendered rooms by several methods and lay the results beside the truth.

    pip install mitsuba
    python benchmarks/recolor_table.py rooms/ --out recolor/

The first run renders 12 rooms with 5 paints each into ``rooms/`` (about a minute each on one core); later runs only
repaint. Mitsuba's vectorised variant needs an LLVM library that suits the processor (``DRJIT_LIBLLVM_PATH``); without
one the scalar variant is used, which is several times slower.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tratto.corpus.rooms import ROOMS, room_pairs
from tratto.evaluation.recolor import METHODS, Sample, evaluate, grid_row, rows_of, to_markdown, write_metrics
from tratto.imaging import io
from tratto.imaging.paint import parse_color


def samples(folder: Path, rooms: list[str], count: int) -> Iterator[Sample]:
    chosen = tuple(r for r in ROOMS if not rooms or r.name in rooms)
    for pair in room_pairs(folder, chosen, count):
        yield Sample(
            pair.name,
            pair.before,
            pair.mask,
            parse_color(pair.paint),
            parse_color(pair.room.old),
            pair.after,
            texture_stays=pair.room.surface != "wallpaper",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", type=Path, help="folder with rendered rooms; made if it is not there")
    parser.add_argument("--out", type=Path, default=Path("recolor"))
    parser.add_argument("--only", nargs="*", default=[], help="names of rooms")
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--samples-per-pixel", type=int, default=192)
    given = parser.parse_args()
    methods = {name: METHODS[name] for name in given.methods}
    all_samples = list(samples(given.rooms, given.only, given.samples_per_pixel))
    scores = evaluate(all_samples, methods, lambda name: print(name, file=sys.stderr))
    print(to_markdown(rows_of(scores)))
    write_metrics(given.out, 0, scores)
    first = next(iter(methods.values()))
    for name in dict.fromkeys(s.name.split()[0] for s in all_samples):
        lines = [grid_row(s, first(s)) for s in all_samples if s.name.split()[0] == name]
        io.write_image(io.image_from_array(np.concatenate(lines)), given.out / f"grid-{name}.png", "png")


if __name__ == "__main__":
    main()
