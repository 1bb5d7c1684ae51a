"""Lift the cup out of one photograph of it, count what was invented, and look at it from aside."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import tratto
from tratto.scene.camera import orbit
from tratto.scene.formats import read_scene
from tratto.scene.rasterize import render

PHOTOGRAPH = Path(__file__).parent / "pictures" / "small.png"
WHITE = (1.0, 1.0, 1.0)


def main() -> int:
    """Return 0 when the lift verifies and its receipt calls it a hypothesis."""
    result = tratto.lift(PHOTOGRAPH, side=128, steps=40)
    with tempfile.TemporaryDirectory() as folder:
        saved = tratto.save(result, Path(folder) / "cup.ply", source=PHOTOGRAPH)
        verdict = tratto.verify(saved.output)
        scene = read_scene(saved.output).scene
    invented = float((scene.seen == 0).mean())
    sys.stdout.write(f"{len(scene)} Gaussians, {100 * invented:.0f} % of them invented; verify: {verdict.word}\n")
    # its middle is the origin, its longer side about 1: from 2.5 away, 30 degrees beside the photograph
    (camera,) = orbit((0, 0, 0), 2.5, [30.0], 35.0, (128, 128), 240.0)
    seen = np.rint(255 * np.clip(render(scene, camera, WHITE).color, 0, 1)).astype(np.uint8)
    if len(sys.argv) > 1:
        Image.fromarray(seen).save(sys.argv[1])
        sys.stdout.write(f"{sys.argv[1]}: the cup from 30 degrees to the side\n")
    hypothesis = any("hypothe" in reason for reason in verdict.reasons)
    return 0 if verdict.word == "authentic" and hypothesis else 1


if __name__ == "__main__":
    raise SystemExit(main())
