"""Pages of text rendered from installed fonts: strokes and flat paper, which photographs hardly teach."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts")
FONT_FAMILIES = ("urw-base35", "liberation")
"""Only these families are used: URW base 35 (AGPL with font exception; rasterised glyphs carry no terms) and
Liberation (SIL Open Font Licence 1.1). Pillow's built-in font steps in where neither is installed."""


@lru_cache(maxsize=1)
def font_files() -> tuple[str, ...]:
    """Return the paths of usable font files, sorted."""
    found: list[str] = []
    for folder in FONT_FOLDERS:
        for path in Path(folder).rglob("*"):
            if path.suffix.lower() in {".ttf", ".otf"} and any(f in str(path).lower() for f in FONT_FAMILIES):
                if not any(bad in path.name for bad in ("D050000L", "StandardSymbols")):
                    found.append(str(path))
    return tuple(sorted(found))


_SYLLABLES = "re sto ra tion is the an in of pic ture light and noise old pa per let ter sto ne wa ter mi ro ne".split()


def _words(rng: np.random.Generator, count: int) -> str:
    words = []
    for _ in range(count):
        word = "".join(_SYLLABLES[int(rng.integers(len(_SYLLABLES)))] for _ in range(int(rng.integers(1, 4))))
        style = rng.uniform()
        if style < 0.15:
            word = word.capitalize()
        elif style < 0.2:
            word = word.upper()
        elif style < 0.27:
            word = str(int(rng.integers(1, 100000)))
        words.append(word + ("," if rng.uniform() < 0.06 else "." if rng.uniform() < 0.06 else ""))
    return " ".join(words)


def render_page(seed: int, number: int, height: int = 900, width: int = 1200) -> NDArray[np.uint8]:
    """Render one page of invented words in random fonts, sizes, inks and paper colours.

    Returns
    -------
    ndarray
        uint8 (height, width, 3).
    """
    from PIL import Image as PilImage
    from PIL import ImageDraw, ImageFont

    rng = np.random.default_rng([seed, number, 77])
    paper = rng.integers(190, 256, 3) if rng.uniform() < 0.8 else rng.integers(0, 90, 3)
    dark = paper.mean() > 128
    page = PilImage.new("RGB", (width, height), tuple(int(v) for v in paper))
    draw = ImageDraw.Draw(page)
    files = font_files()
    y = 10
    while y < height:
        size = int(np.exp(rng.uniform(np.log(9), np.log(48))))
        font = ImageFont.truetype(files[int(rng.integers(len(files)))], size) if files else ImageFont.load_default(size)
        ink = rng.integers(0, 90, 3) if dark else rng.integers(170, 256, 3)
        if rng.uniform() < 0.15:
            ink = rng.integers(0, 256, 3)
        for _ in range(int(rng.integers(1, 6))):
            draw.text((int(rng.integers(5, 40)), y), _words(rng, 40), font=font, fill=tuple(int(v) for v in ink))
            y += int(size * 1.25)
        if rng.uniform() < 0.3:
            draw.line((10, y, width - 10, y), fill=tuple(int(v) for v in ink), width=int(rng.integers(1, 4)))
        y += int(rng.integers(4, 20))
    return np.asarray(page)
