"""A picture that was worked on in RGB, in the palette that it came with."""

from __future__ import annotations

import numpy as np

from tratto.core.image import ColorMode, Image


def back_to_mode(source: Image, baseline: Image | None, after: Image) -> Image:
    """Return the working picture in the source's mode: palette pictures get their palette back at scale 1."""
    from tratto.imaging import io

    same = (after.width, after.height) == (source.width, source.height)
    if source.mode is not ColorMode.PALETTE or baseline is None or not same:
        return after
    changed = np.zeros((after.height, after.width), bool)
    for y in range(0, after.height, 256):
        y1 = min(after.height, y + 256)
        changed[y:y1] = (after.pixels[y:y1] != baseline.pixels[y:y1]).any(axis=2)
    return source if not changed.any() else io.to_palette(after, source, changed)
