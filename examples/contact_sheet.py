"""Draw before, after, edit map and confidence map of restored pictures side by side: the picture in the README.

    make demo && python examples/contact_sheet.py demo-out docs/images/example.png

Each row is a detail of one result; its place is chosen here, so that something is to be seen.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

#: name of the result, left, top: details of 220 x 160 pixels, shown twice as large
DETAILS = (("coins", 15, 150), ("cat", 120, 90))
WIDTH, HEIGHT, ZOOM, BAR = 220, 160, 2, 34


def panel(path: Path, box: tuple[int, int, int, int], scale: float = 1.0) -> Image.Image:
    """Return one detail, enlarged without smoothing; maps have 16 bits and are shown in 8."""
    with Image.open(path) as opened:
        values = np.asarray(opened.crop(box))
    if values.dtype != np.uint8:
        values = np.clip(values.astype(float) * scale, 0, 255).astype(np.uint8)
    return Image.fromarray(values).convert("RGB").resize((WIDTH * ZOOM, HEIGHT * ZOOM), Image.Resampling.NEAREST)


def sheet(folder: Path) -> Image.Image:
    """Return the whole sheet."""
    titles = ("before", "after", "edit map: what changed", "confidence: dark = may be off")
    out = Image.new("RGB", (4 * (WIDTH * ZOOM + 8), BAR + len(DETAILS) * (HEIGHT * ZOOM + 8)), "white")
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(20)
    for column, title in enumerate(titles):
        draw.text((column * (WIDTH * ZOOM + 8) + 6, 6), title, "black", font)
    for row, (name, x, y) in enumerate(DETAILS):
        box = (x, y, x + WIDTH, y + HEIGHT)
        bundle = folder / f"{name}.tratto"
        original = next(p for p in bundle.iterdir() if p.name.startswith("original."))
        # edit map: 1/256 per unit of Delta-E; ten units are shown as white. Confidence: 16 bits, 65535 = no error.
        paths = ((original, 1.0), (folder / f"{name}.png", 1.0), (bundle / "edit-map.png", 255 / (10 * 256)))
        for column, (path, scale) in enumerate((*paths, (bundle / "confidence.png", 255 / 65535))):
            place = (column * (WIDTH * ZOOM + 8), BAR + row * (HEIGHT * ZOOM + 8))
            out.paste(panel(path, box, scale), place)
    return out


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python examples/contact_sheet.py RESULTS PICTURE.png")
    target = Path(sys.argv[2])
    target.parent.mkdir(parents=True, exist_ok=True)
    sheet(Path(sys.argv[1])).save(target, optimize=True)
