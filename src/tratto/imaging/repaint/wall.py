"""The wall in the picture: where it is, and its layers in bands of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.imaging.marks import Ground, ground_of, without_marks
from tratto.imaging.matting import make_matte
from tratto.imaging.pattern import GRID, Pattern, light_field, without_pattern
from tratto.imaging.repaint.kinds import Fit, Rows
from tratto.imaging.repaint.layers import Layers
from tratto.imaging.shading import FLOOR, Float, calm, per_channel, trusted, unburnt
from tratto.imaging.texture import Tile

#: The most pixels that the fit looks at, about how many of them its search uses, and how many settle the mean.
FIT_PIXELS = 1_200_000


def halo(fit_radius: int) -> int:
    """Return how many rows beyond a band its result depends on."""
    return 12 * fit_radius + 2 + 36


@dataclass(frozen=True, eq=False)
class Wall:
    """A picture, the mask of its wall, and what is laid on it."""

    rows: Rows
    mask: Float
    tile: Tile | None
    allowed: NDArray[np.bool_]

    def grid(self) -> tuple[Float, Float, int]:
        """Return the logarithm of the picture and the wall on a grid of pixels, and the step between them."""
        height, width = self.mask.shape
        step = max(1, -(-max(height, width) // GRID))
        half = step // 2
        lines = [self.rows(y, y + 1)[0, half::step] for y in range(half, height, step)]
        logs = np.log(np.maximum(np.stack(lines), FLOOR))
        inside = (self.mask[half::step, half::step] > 0.98).astype(np.uint8)
        import cv2

        inside = cv2.erode(inside, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
        return logs, inside.astype(np.float32), step

    def pattern(self, paints: tuple[tuple[float, ...], ...]) -> Pattern | None:
        """Return the pattern of these colours with the light over it; None where there are none."""
        if not paints:
            return None
        logs, inside, step = self.grid()
        known = np.asarray(paints, np.float32)
        return Pattern(known, light_field(logs, inside, known), step)

    def ground(self, fit: Fit) -> Ground | None:
        """Return the slow light that marks are told by; None where none are to be taken off."""
        if fit.stain is None and not fit.glossy:
            return None
        logs, inside, step = self.grid()
        return ground_of(logs, inside, step, None if fit.stain is None else np.asarray(fit.stain, np.float32))

    def known(self, fit: Fit) -> tuple[Pattern | None, Ground | None]:
        """Return what must be known of the whole wall to take any part of it apart."""
        return self.pattern(fit.pattern), self.ground(fit)

    def separate(self, fit: Fit, known: tuple[Pattern | None, Ground | None], y0: int, y1: int) -> Layers:
        """Take rows apart, looking at the halo around them."""
        pattern, ground = known
        margin = halo(fit.radius)
        a, b = max(0, y0 - margin), min(self.mask.shape[0], y1 + margin)
        picture = self.rows(a, b)
        matte = make_matte(picture, self.mask[a:b], fit.radius, fit.hard, self.allowed[a:b])
        wall, rest = matte.wall, matte.rest
        if ground is not None:
            stain = None if fit.stain is None else np.asarray(fit.stain, np.float32)
            wall, glare = without_marks(wall, matte.alpha, ground, (stain, fit.glossy), (a, 0))
            rest = rest + (matte.alpha * glare)[..., None]
        if pattern is not None:
            wall = without_pattern(wall, matte.alpha, pattern, (a, 0))
        old: Float = np.asarray(fit.old, np.float32)
        quotient = (wall.reshape(len(wall), -1) / per_channel(wall.shape, old)).reshape(wall.shape)
        light: Float = unburnt(quotient, picture, not fit.seen)
        light = trusted(light, old, fit.seen)
        if min(fit.keep) < 1:
            light = calm(light, matte.alpha, np.asarray(fit.sigma), np.asarray(fit.keep))
        part = slice(y0 - a, y1 - a)
        laid = None
        if self.tile is not None:
            y, x = np.mgrid[y0:y1, 0 : self.mask.shape[1]].astype(np.float32)
            laid = self.tile.sample(y, x)
        return Layers(picture[part], rest[part], matte.alpha[part], light[part], laid)


def fit_bands(height: int, width: int) -> list[tuple[int, int]]:
    """Return the bands of rows that the fit looks at: all, or sixteen evenly spread ones of a large picture."""
    if height * width <= FIT_PIXELS:
        return [(0, height)]
    rows = max(1, FIT_PIXELS // width // 16)
    starts = np.linspace(0, height - rows, 16).astype(int)
    return [(int(s), int(s) + rows) for s in dict.fromkeys(starts.tolist())]


def typical(rows: Rows, mask: Float, bands: list[tuple[int, int]]) -> Float:
    """Return the median linear colour of the wall."""
    parts = [(rows(a, b), mask[a:b]) for a, b in bands]
    for least in (0.98, 0.5):
        chosen = [[p[..., i][m > least] for p, m in parts] for i in range(3)]  # faster than three at a time
        if sum(map(len, chosen[0])) >= 16:
            middle = np.array([np.median(np.concatenate(c)) for c in chosen], np.float32)
            return np.asarray(np.maximum(middle, FLOOR), np.float32)
    raise OptionError("the mask holds no wall: fewer than 16 of its pixels are above one half; draw it again")
