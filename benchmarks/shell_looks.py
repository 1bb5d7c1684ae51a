"""How much nearer the depths of an object come when its network looks at it several times.

``python shell_looks.py PACK``: PACK is what ``tratto-lab data shells`` renders. Measured are views of families that are
held out; printed are mean absolute errors of both depths, in lengths of the silhouette, and of the colour behind.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tratto.providers import shell as looks
from tratto.providers.catalogue import open_provider
from tratto_lab.corpus.shells import ShellPack, unpacked
from tratto_lab.training.shell import CHECKED, pair

WAYS = {"one exposure": (1.0,), "three": (1.0, 0.7, 1.4), "five (ships)": looks.EXPOSURES}


def main(folder: Path) -> None:
    """Measure each way on the same views."""
    pack, teller = ShellPack(folder), open_provider("shell", "tratto")
    drawn = np.random.default_rng(50).permutation(pack.checks)[:CHECKED]
    sys.stdout.write("| exposures, each mirrored too | front | back | colour behind |\n| --- | --- | --- | --- |\n")
    for name, exposures in WAYS.items():
        looks.EXPOSURES, rows = exposures, []
        for number in drawn:
            source, target = pair(unpacked(np.array(pack.data[number])), float(pack.rows[number]["elevation"]))
            source[..., :3] *= source[..., 3:]
            told, known = teller.tell(source), target[..., 0] > 0.5
            apart = (told.front - target[..., 1], told.back - target[..., 2], told.behind - target[..., 3:6])
            rows.append([np.abs(a[known]).mean() for a in apart])
        sys.stdout.write(f"| {name} | " + " | ".join(f"{v:.4f}" for v in np.mean(rows, axis=0)) + " |\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
