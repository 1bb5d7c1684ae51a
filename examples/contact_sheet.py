"""Draw before, after, edit map and confidence map of restored pictures side by side: the picture in the README.

    make demo && python examples/contact_sheet.py demo-out docs/images/example.png

Each row is a detail of one result; its place is chosen here, so that something is to be seen.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tratto.core.result import CONFIDENCE_FULL, EDIT_MAP_SCALE

#: name of the result, left, top: details of 220 x 160 pixels, shown twice as large
DETAILS = (("coins", 15, 110), ("cat", 120, 90))
WIDTH, HEIGHT, ZOOM, BAR = 220, 160, 2, 34


def panel(path: Path, box: tuple[int, int, int, int], black: float = 0, white: float = 255) -> Image.Image:
    """Return one detail, enlarged without smoothing; of a map the values from ``black`` to ``white`` are shown."""
    with Image.open(path) as opened:
        values = np.asarray(opened.crop(box))
    if (black, white) != (0, 255):
        values = np.clip((values.astype(float) - black) * 255 / (white - black), 0, 255).astype(np.uint8)
    return Image.fromarray(values).convert("RGB").resize((WIDTH * ZOOM, HEIGHT * ZOOM), Image.Resampling.NEAREST)


def sheet(folder: Path) -> Image.Image:
    """Return the whole sheet."""
    titles = ("before", "after", "edit map: white = Delta-E 5 and more", "confidence: black = error of 10 %")
    out = Image.new("RGB", (4 * (WIDTH * ZOOM + 8), BAR + len(DETAILS) * (HEIGHT * ZOOM + 8)), "white")
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(20)
    for column, title in enumerate(titles):
        draw.text((column * (WIDTH * ZOOM + 8) + 6, 6), title, "black", font)
    for row, (name, x, y) in enumerate(DETAILS):
        box = (x, y, x + WIDTH, y + HEIGHT)
        bundle = folder / f"{name}.tratto"
        original = next(p for p in bundle.iterdir() if p.name.startswith("original."))
        panels = (
            panel(original, box),
            panel(folder / f"{name}.png", box),
            panel(bundle / "edit-map.png", box, 0, 5 * EDIT_MAP_SCALE),
            panel(bundle / "confidence.png", box, 65535 * (1 - 0.1 / CONFIDENCE_FULL), 65535),
        )
        for column, drawn in enumerate(panels):
            out.paste(drawn, (column * (WIDTH * ZOOM + 8), BAR + row * (HEIGHT * ZOOM + 8)))
    return out


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python examples/contact_sheet.py RESULTS PICTURE.png")
    target = Path(sys.argv[2])
    target.parent.mkdir(parents=True, exist_ok=True)
    sheet(Path(sys.argv[1])).save(target, optimize=True)
