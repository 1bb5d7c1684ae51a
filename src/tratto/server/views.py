"""What a viewer sees of pictures, maps and masks: rows in sRGB, the right way up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.image import Image
from tratto.core.result import CONFIDENCE_FULL, EDIT_MAP_SCALE
from tratto.imaging.io import oriented
from tratto.imaging.scratch import release
from tratto.provenance.pictures import CONFIDENCE_RAMP, EDIT_RAMP, view_of
from tratto.server.pyramid import Bands, Grid

#: Round numbers that a scale may end with.
_TOPS = (1, 2, 3, 4, 6, 8, 12, 16, 20, 30, 40, 60, 80, 120)
#: Colour of what a mask opens.
_OPEN = (255, 59, 48)


def upright(image: Image) -> tuple[Grid, Bands]:
    """Return the size of a picture as it is shown, and its rows: RGB, or RGBA where something is transparent."""
    turn = image.meta.orientation
    alpha = None if image.alpha is None else oriented(image.alpha, turn)
    view = view_of(image.replace(pixels=oriented(image.pixels, turn), alpha=alpha))

    def bands(y0: int, y1: int) -> NDArray[np.uint8]:
        # no row knows whether another is transparent
        rows = view.rows(y0, y1)
        if clear and rows.shape[2] == 3:
            rows = np.concatenate([rows, np.ones((*rows.shape[:2], 1), np.float32)], axis=2)
        release(image.pixels)
        return np.asarray(np.rint(rows * 255), np.uint8)

    clear = image.alpha is not None or (image.palette is not None and bool((image.palette[:, 3] != 255).any()))
    return Grid(view.width, view.height), bands


def _colors(ramp: tuple[str, ...]) -> NDArray[np.float64]:
    return np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in ramp], np.float64)


def _table(values: NDArray[np.float64], top: float, ramp: tuple[str, ...]) -> NDArray[np.uint8]:
    """Return the RGBA of each of 65536 values; 0 and less is transparent."""
    colors = _colors(ramp)
    at = np.clip(values / top, 0, 1) * (len(colors) - 1)
    rgb = np.stack([np.interp(at, np.arange(len(colors)), colors[:, i]) for i in range(3)], axis=1)
    opaque = np.where(values > 0, 255, 0)[:, None]
    return np.concatenate([np.rint(rgb), opaque], axis=1).astype(np.uint8)


def _top(values: NDArray[np.uint16], scale: NDArray[np.float64]) -> float:
    """Return the smallest round number that 99.5 % of what is above 0 does not exceed."""
    counts = np.zeros(65536, np.int64)
    for y in range(0, len(values), 256):
        counts += np.bincount(np.asarray(values[y : y + 256]).ravel(), minlength=65536)
    order = np.argsort(scale, kind="stable")
    some = np.where(scale[order] > 0, counts[order], 0)
    if not some.any():
        return float(_TOPS[0])
    reach = scale[order][np.searchsorted(np.cumsum(some), 0.995 * some.sum())]
    return float(next((t for t in _TOPS if t >= reach), _TOPS[-1]))


def _mapped(samples: NDArray[Any], table: NDArray[np.uint8], turn: int) -> tuple[Grid, Bands]:
    shown = oriented(samples, turn)

    def bands(y0: int, y1: int) -> NDArray[np.uint8]:
        rows: NDArray[np.uint8] = table[np.asarray(shown[y0:y1])]
        release(samples)
        return rows

    return Grid(shown.shape[1], shown.shape[0]), bands


def edit_view(samples: NDArray[np.uint16], turn: int) -> tuple[Grid, Bands, Mapping[str, Any]]:
    """Return the edit map in colours, transparent where nothing changed, and its legend."""
    values = np.arange(65536) / EDIT_MAP_SCALE
    top = _top(samples, values)
    legend = {"unit": "ΔE", "low": 0.0, "high": top, "colors": list(EDIT_RAMP)}
    return *_mapped(samples, _table(values, top, EDIT_RAMP), turn), legend


def confidence_view(samples: NDArray[np.uint16], turn: int) -> tuple[Grid, Bands, Mapping[str, Any]]:
    """Return the expected error in colours, transparent where the picture is sure, and its legend."""
    values = (1 - np.arange(65536) / 65535) * CONFIDENCE_FULL * 255
    top = _top(samples, values)
    # the ramp of confidence ends with the highest
    ramp = CONFIDENCE_RAMP[::-1]
    legend = {"unit": "of 255, expected error", "low": 0.0, "high": top, "colors": list(ramp)}
    return *_mapped(samples, _table(values, top, ramp), turn), legend


def mask_view(samples: NDArray[np.uint16], turn: int) -> tuple[Grid, Bands]:
    """Return a mask as a red veil: as opaque as it is open."""
    table = np.empty((65536, 4), np.uint8)
    table[:, :3] = _OPEN
    table[:, 3] = np.arange(65536) // 257
    return _mapped(samples, table, turn)


def turned_box(box: tuple[int, int, int, int], width: int, height: int, turn: int) -> tuple[int, int, int, int]:
    """Return where a box (x, y, width, height) of the stored picture lies in the picture as it is shown.

    Examples
    --------
    >>> turned_box((0, 0, 2, 1), 10, 5, 6)
    (4, 0, 1, 2)
    """
    x, y, w, h = box
    left, top = x, y
    right, bottom = width - x - w, height - y - h
    places = {
        1: (left, top, w, h), 2: (right, top, w, h), 3: (right, bottom, w, h), 4: (left, bottom, w, h),
        5: (top, left, h, w), 6: (bottom, left, h, w), 7: (bottom, right, h, w), 8: (top, right, h, w),
    }  # fmt: skip
    return places[turn]
