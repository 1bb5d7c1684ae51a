"""A contact sheet of every form of simulated damage, for the eye."""

from __future__ import annotations

import numpy as np

from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image
from tratto.imaging.color import view_rgb
from tratto.imaging.io import oriented
from tratto_lab.simulate.damage import VARIANTS, damage
from tratto_lab.simulate.degrade import Picture

LABEL = 18
GAP = 6


def old_print(picture: Picture) -> Picture:
    """Return a picture toned like an old print: brown, a little faded."""
    gray = 0.06 + 0.88 * (picture @ np.array([0.299, 0.587, 0.114], np.float32))
    return np.clip(gray[..., None] * np.array([1.03, 0.95, 0.80], np.float32), 0, 1).astype(np.float32)


def damage_sheet(image: Image, severity: float = 0.6, seed: int = 0, width: int = 300, toned: bool = False) -> Image:
    """Return a sheet that shows a picture under every variant of every class, labelled.

    Parameters
    ----------
    image : Image
        Shown shrunk and upright.
    severity : float
        0-1.
    seed : int
        Of everything drawn at random.
    width : int
        Of a cell, 64-1200 pixels.
    toned : bool
        Tone the picture like an old print first.

    Raises
    ------
    OptionError
        If the picture or a cell is too small.
    """
    from PIL import Image as Pil
    from PIL import ImageDraw

    if min(image.height, image.width) < 64 or not 64 <= width <= 1200:
        raise OptionError(
            f"a sheet needs a picture of 64x64 pixels or more and cells of 64 to 1200 pixels; "
            f"got {image.width}x{image.height} and {width}"
        )
    small = Pil.fromarray(np.rint(oriented(view_rgb(image), image.meta.orientation) * 255).astype(np.uint8))
    height = max(48, round(width * small.height / small.width))
    clean = np.asarray(small.resize((width, height), Pil.Resampling.LANCZOS), np.float32) / np.float32(255)
    clean = old_print(clean) if toned else clean
    cells = [("intact", clean)]
    for number, (kind, variant) in enumerate((k, v) for k in VARIANTS for v in VARIANTS[k]):
        done = damage(clean, kind, severity, np.random.default_rng([seed, number]), variant)
        cells.append((f"{kind}: {variant}", done.picture))
    columns = 4
    rows = -(-len(cells) // columns)
    sheet = Pil.new("RGB", (columns * (width + GAP) + GAP, rows * (height + LABEL + GAP) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for k, (label, shown) in enumerate(cells):
        x, y = GAP + (k % columns) * (width + GAP), GAP + (k // columns) * (height + LABEL + GAP)
        sheet.paste(Pil.fromarray(np.rint(shown * 255).astype(np.uint8)), (x, y))
        draw.text((x, y + height + 2), label, fill="black")
    return Image(np.asarray(sheet, np.uint8).copy(), ColorMode.RGB)
