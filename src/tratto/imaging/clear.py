"""Colours under transparency: what no viewer shows must not leak into what it does.

Editors leave black, or anything, under pixels that are wholly clear. Whoever enlarges or fills looks at neighbours, and
so a dark rim grows into the object. Here such pixels take the colour of the nearest one that can be seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.image import Image
from tratto.imaging.scratch import release

#: Rows that are looked at together, and how far beyond them a colour is searched.
_BAND, _REACH = 512, 128


def premultiplied(image: Image) -> bool:
    """Return whether the colours of a picture are already weighted by its alpha (TIFF: associated)."""
    return image.alpha is not None and image.meta.extra.get("tiff_alpha") == "associated"


def colours_under_clear(image: Image, unknown: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """Return the colours of a picture in which wholly clear pixels have that of the nearest one seen.

    Parameters
    ----------
    image : Image
        Any mode but palette.
    unknown : (H, W) bool or None
        Pixels that give no colour, such as a hole; they keep their own.

    Returns
    -------
    array
        The picture's own samples where nothing is clear; otherwise a copy.

    Examples
    --------
    >>> import numpy as np
    >>> from tratto.core.image import ColorMode
    >>> row = Image(np.array([[0, 200]], np.uint8), ColorMode.GRAY, alpha=np.array([[0, 255]], np.uint8))
    >>> colours_under_clear(row).tolist()
    [[200, 200]]
    """
    alpha = image.alpha
    if alpha is None or bool(alpha.all()):
        return image.pixels
    import cv2

    out = np.array(image.pixels)
    for y0 in range(0, image.height, _BAND):
        y1 = min(image.height, y0 + _BAND)
        a, b = max(0, y0 - _REACH), min(image.height, y1 + _REACH)
        clear = np.asarray(alpha[a:b]) == 0
        blind = clear if unknown is None else clear | unknown[a:b]
        if not clear.any() or blind.all():
            continue
        # labels of the nearest zero: the pixels that can be seen, numbered in their order
        _, label = cv2.distanceTransformWithLabels(
            blind.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        seen = np.flatnonzero(~blind.ravel())
        where = np.zeros(int(label.max()) + 1, np.int64)
        where[label.ravel()[seen]] = seen
        source = np.asarray(image.pixels[a:b]).reshape(-1, *image.pixels.shape[2:])
        rows = slice(y0 - a, y1 - a)
        here = clear[rows]
        out[y0:y1][here] = source[where[label[rows][here]]]
        release(image.pixels)
    return out


def within_alpha(pixels: NDArray[Any], alpha: NDArray[Any]) -> None:
    """Bring premultiplied colours back under their alpha, in place: more light than that cannot be.

    Parameters
    ----------
    pixels : (h, w) or (h, w, C) array
        Changed in place; of the same dtype as ``alpha``.
    alpha : (h, w) array
        The most that a sample may be.
    """
    np.minimum(pixels, alpha if pixels.ndim == 2 else alpha[..., None], out=pixels)


def opaque_around(alpha: NDArray[Any], hole: NDArray[np.bool_], full: int) -> NDArray[np.bool_]:
    """Return the parts of a hole all of whose surroundings are opaque, so that what fills them is so too.

    Parameters
    ----------
    alpha : (H, W) array
        In stored units, 0 = wholly clear.
    hole : (H, W) bool
        What is to be filled.
    full : int
        Value of opaque.

    Returns
    -------
    (H, W) bool
        True in those parts only.
    """
    import cv2

    count, label = cv2.connectedComponents(hole.astype(np.uint8), connectivity=8)
    wide = cv2.dilate(hole.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & ~hole
    clear = np.zeros(count, bool)
    near = cv2.dilate(label.astype(np.float32), np.ones((5, 5), np.uint8)).astype(np.int64)
    ring = wide & (np.asarray(alpha) != full)
    clear[np.unique(near[ring])] = True
    # parts nearer to each other than the ring is wide may share it: the larger number stands there for both
    if ring.any():
        touched = cv2.dilate(ring.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
        clear[np.unique(label[touched & hole])] = True
    clear[0] = True
    return np.asarray(~clear[label] & hole)
