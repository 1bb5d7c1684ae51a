"""Look at what the damage detector finds: overlays over real pictures, for the eye.

    python benchmarks/damage_overlay.py FOLDER -o OUT [--threshold 0.5] [--classes] [--limit 12] [--sheet NAME.jpg]

Each overlay shows the picture beside itself with what was found in colour: one colour for any damage, or with
``--classes`` one for each class. ``--sheet`` puts all of them on one sheet. Nothing is measured here: of real
pictures the true mask is not known.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image as Pil
from PIL import ImageDraw

from tratto.imaging import io
from tratto.imaging.color import view_rgb
from tratto.imaging.masks import CLASSES
from tratto.imaging.overlay import COLORS
from tratto.providers.catalogue import open_provider
from tratto.providers.damage import masks_of

ENDINGS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"}


def overlay(rgb, masks, by_class):
    shown = rgb.copy()
    for name, mask in masks.items():
        color = np.asarray(COLORS[name] if by_class else (255, 40, 40), np.float32) / 255
        shown[mask] = 0.25 * rgb[mask] + 0.75 * color
    return np.rint(np.concatenate([rgb, shown], axis=1) * 255).astype(np.uint8)


def sheet(tiles, width=420):
    small = [t.resize((width, round(t.height * width / t.width)), Pil.Resampling.LANCZOS) for t in tiles]
    high = max(t.height for t in small)
    columns = 3
    rows = -(-len(small) // columns)
    out = Pil.new("RGB", (columns * (width + 6) + 6, rows * (high + 6) + 30), "white")
    for k, tile in enumerate(small):
        out.paste(tile, (6 + k % columns * (width + 6), 6 + k // columns * (high + 6)))
    draw, x = ImageDraw.Draw(out), 6
    for name in CLASSES:
        draw.rectangle([x, out.height - 18, x + 12, out.height - 6], fill=COLORS[name])
        draw.text((x + 16, out.height - 19), name, fill="black")
        x += 110
    return out


def main():
    parser = argparse.ArgumentParser(description="Overlays of what the damage detector finds.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--classes", action="store_true", help="a colour for each class")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--sheet", default="")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    files = sorted(p for p in given.folder.iterdir() if p.suffix.lower() in ENDINGS)
    tiles = []
    for path in files[: given.limit or None]:
        image = io.read_image(path)
        rgb = io.oriented(view_rgb(image), image.meta.orientation)
        masks = masks_of(open_provider("damage").find(rgb), given.threshold)
        tile = Pil.fromarray(overlay(rgb, masks, given.classes))
        tile.save(given.out / f"{path.stem}.png")
        tiles.append(tile)
        shares = ", ".join(f"{name} {100 * m.mean():.2f} %" for name, m in masks.items() if m.any())
        print(f"{path.name}: {shares or 'nothing found'}", flush=True)
    if given.sheet and tiles:
        sheet(tiles).save(given.out / given.sheet, quality=88)


if __name__ == "__main__":
    main()
