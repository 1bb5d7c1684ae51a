"""Dust and hairs of a few pixels in a large scan, found without a network.

What is far smaller than everything a picture shows stands out from the median around it. That is told from texture by
how much its surroundings stand out, too: dust lies on something smooth, or is far stronger than what it lies on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

#: Side of the squares that are looked at one after the other, and what is seen around each.
SIDE, MARGIN = 1024, 48
#: Side of the median that stands for what lies below the dust, and the widest speck or hair.
MEDIAN, WIDE = 13, 9
#: Side of the blocks whose middling difference from that median says how much detail there is.
BLOCK = 64
#: Least difference: so many times that detail, and of the full scale.
TIMES, LEAST = 10.0, 0.1
#: Share of that down to which what hangs together with a find belongs to it.
LOW = 0.5
#: Share of the strongest difference nearby down to which it does.
OWN = 0.3
#: Most pixels of a speck, and least and most of a hair, which is at least so many times as long as wide.
SPECK, HAIR, LONG = 150, (24, 3000), 5.0
#: Most of the ring around a find that other candidates may take up, and that may be like it without being one.
BUSY, ALIKE = 0.08, 0.01


def find_specks(picture: Float) -> Bool:
    """Return where dust and hairs of a few pixels lie.

    Stars, glints on water and thin twigs before a sky look the same: for pictures of which somebody says that there is
    dust.

    Parameters
    ----------
    picture : (H, W, 3) float32
        Encoded, in [0, 1].

    Returns
    -------
    (H, W) bool
        Grown by one pixel, since the rim of a speck is mixed with what it lies on.

    Examples
    --------
    >>> picture = np.full((90, 120, 3), 0.5, np.float32)
    >>> picture[40:42, 60:62] = 1
    >>> found = find_specks(picture)
    >>> bool(found[40:42, 60:62].all()), int(found.sum())
    (True, 16)
    """
    height, width = picture.shape[:2]
    out = np.zeros((height, width), bool)
    for y in range(0, height, SIDE):
        for x in range(0, width, SIDE):
            top, left = max(0, y - MARGIN), max(0, x - MARGIN)
            window = picture[top : y + SIDE + MARGIN, left : x + SIDE + MARGIN]
            found = _of_window(np.ascontiguousarray(window))
            own = found[y - top : y - top + SIDE, x - left : x - left + SIDE]
            out[y : y + SIDE, x : x + SIDE] = own
    return out


def _of_window(picture: Float) -> Bool:
    import cv2

    gray = picture.mean(axis=2)
    levels = np.rint(np.clip(gray, 0, 1) * 255).astype(np.uint8)
    differs = gray - cv2.medianBlur(levels, MEDIAN).astype(np.float32) / np.float32(255)
    detail = _detail(np.abs(differs))
    out = np.zeros(gray.shape, np.uint8)
    limit = np.maximum(np.float32(TIMES) * detail, np.float32(LEAST))
    for sign in (1, -1):
        strength = np.float32(sign) * differs
        # of something strong, down to a share of its own strength: its blurred rim is not its width
        strongest = cv2.dilate(strength, np.ones((MEDIAN, MEDIAN), np.uint8))
        above = (strength > np.maximum(np.float32(LOW) * limit, np.float32(OWN) * strongest)).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
        confident = np.zeros(count, bool)
        confident[labels[strength > limit]] = True
        confident[0] = False
        area = stats[:, cv2.CC_STAT_AREA]
        for k in np.flatnonzero(confident & (area <= HAIR[1])):
            if _is_one(labels, int(k), stats[k], gray):
                x, y, w, h = stats[k, :4]
                part = (slice(y, y + h), slice(x, x + w))
                out[part] |= labels[part] == k
    return np.asarray(cv2.dilate(out, np.ones((3, 3), np.uint8)) > 0)


def _is_one(labels: NDArray[np.int32], k: int, box: NDArray[np.int32], gray: Float) -> bool:
    """Return whether a find is small or long and thin, and lies alone."""
    import cv2

    x, y, w, h, area = (int(v) for v in box)
    reach = 5
    part = (slice(max(0, y - reach), y + h + reach), slice(max(0, x - reach), x + w + reach))
    own = (labels[part] == k).astype(np.uint8)
    width = 2 * float(cv2.distanceTransform(np.pad(own, 1), cv2.DIST_L2, 3).max())
    if width > WIDE:
        return False
    long = area / max(width, 1.0)  # of a thin thing its length
    if area > SPECK and not (area >= HAIR[0] and long >= LONG * width):
        return False
    near = cv2.dilate(own, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2))
    inner = cv2.dilate(own, np.ones((3, 3), np.uint8))
    beside = (near > 0) & (inner == 0)
    ring = gray[part][beside]
    if not len(ring) or (labels[part][beside] > 0).mean() > BUSY:
        return False
    # what is as bright or as dark beside it, too, is the corner of something, or texture
    ground, own_level = float(np.median(ring)), float(gray[part][own > 0].mean())
    alike = (ring - ground) * np.sign(own_level - ground) > 0.5 * abs(own_level - ground)
    return bool(abs(own_level - ground) > LEAST / 2 and (alike & (labels[part][beside] == 0)).mean() <= ALIKE)


def _detail(differs: Float) -> Float:
    """Return how much middling pixels around each differ from the median: of blocks, brought to full size."""
    import cv2

    height, width = differs.shape
    rows, columns = max(1, height // BLOCK), max(1, width // BLOCK)
    found = np.empty((rows, columns), np.float32)
    for i, rows_of in enumerate(np.array_split(differs, rows, axis=0)):
        for j, block in enumerate(np.array_split(rows_of, columns, axis=1)):
            found[i, j] = np.median(block) / np.float32(0.6745)
    return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
