"""Where a picture lies on the earth: the tags of GeoTIFF 1.1 (OGC 19-008r4), kept true when it is enlarged."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, KEYS = 33550, 33922, 34264, 34735
#: Those, the double and text parameters of the keys, and GDAL's value for "no data".
GEO_TAGS = frozenset({PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, KEYS, 34736, 34737, 42113})
#: Key that says whether a pixel is an area (1) or a point (2), which decides where its corner lies.
RASTER_TYPE, POINT = 1025, 2
_DOUBLE = 12


def enlarged(tags: Mapping[str, list[Any]], scale: int) -> dict[str, list[Any]]:
    """Return the tags of a page as its metadata keep them, as they hold for the page enlarged.

    Parameters
    ----------
    tags : mapping of str to [kind, count, base64]
        Others than those of GeoTIFF stay as they are.
    scale : int
        By how much the page was enlarged, both ways; at least 1.

    Returns
    -------
    dict
        Pixels are as many times smaller on the earth, and its corners are where they were.

    Examples
    --------
    >>> half = base64.b64encode(struct.pack("<3d", 2.0, 2.0, 0.0)).decode()
    >>> struct.unpack("<3d", base64.b64decode(enlarged({"33550": [12, 3, half]}, 4)["33550"][2]))
    (0.5, 0.5, 0.0)
    """
    made = dict(tags)
    # pixel 0 of a raster of points is named by its centre, half a pixel inside its corner
    shift = 0.5 if _raster_type(tags) == POINT else 0.0
    if (values := _doubles(tags, PIXEL_SCALE)) and len(values) >= 2:
        made[str(PIXEL_SCALE)] = _packed([values[0] / scale, values[1] / scale, *values[2:]])
    if values := _doubles(tags, TIE_POINTS):
        places = [
            (v + shift) * scale - shift if k % 6 in (0, 1) else v  # column and row, then depth and x, y, z
            for k, v in enumerate(values)
        ]
        made[str(TIE_POINTS)] = _packed(places)
    if (values := _doubles(tags, TRANSFORMATION)) and len(values) == 16:
        for row in range(0, 16, 4):
            a, b = values[row : row + 2]
            back = shift / scale - shift  # old column = new column / scale + back
            values[row : row + 2] = [a / scale, b / scale]
            values[row + 3] += (a + b) * back
        made[str(TRANSFORMATION)] = _packed(values)
    return made


def _raster_type(tags: Mapping[str, list[Any]]) -> int:
    held = tags.get(str(KEYS))
    if held is None or held[0] != 3:
        return 0
    data = base64.b64decode(held[2])
    words = struct.unpack(f"<{len(data) // 2}H", data[: len(data) // 2 * 2])
    for at in range(4, len(words) - 3, 4):
        if words[at] == RASTER_TYPE and words[at + 1] == 0:
            return int(words[at + 3])
    return 0


def _doubles(tags: Mapping[str, list[Any]], tag: int) -> list[float]:
    held = tags.get(str(tag))
    if held is None or held[0] != _DOUBLE:
        return []
    data = base64.b64decode(held[2])
    return list(struct.unpack(f"<{len(data) // 8}d", data[: len(data) // 8 * 8]))


def _packed(values: list[float]) -> list[Any]:
    return [_DOUBLE, len(values), base64.b64encode(struct.pack(f"<{len(values)}d", *values)).decode("ascii")]
