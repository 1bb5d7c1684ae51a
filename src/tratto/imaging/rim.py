"""How far damage reaches beyond its mask: measured from the profile across it, and the mask grown by that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

#: Pixels that a picture has at most while rims are measured; a larger one is measured reduced.
WORKING = 1_500_000
#: A rim is looked for up to this share of the picture's shorter side from the mask, and at least so many pixels.
REACH, LEAST_REACH = 1 / 60, 4
#: A rim ends where the difference from the surroundings has fallen to this share of that inside the mask, or hardly
#: falls any further: to more than this share of the ring before, once it is half of that inside. The ring in which it
#: ends is taken in, since it is mixed.
ENDED, FLAT = 0.15, 0.85
#: Differences below this share of full scale are no rim.
UNSEEN = 2 / 255
#: A part's profile is mixed with that of all parts as if that had been seen on so many pixels of it.
PRIOR = 12.0


@dataclass(frozen=True, eq=False)
class Rims:
    """How much further each part of a mask has to reach.

    Attributes
    ----------
    need : (h, w) float32
        At the size at which it was measured: how far inside the grown mask a pixel outside the mask lies, in pixels
        of that size; 0 or less where it stays outside.
    widest, mean : float
        Growth in pixels of the picture: of the part that needs most, and the mean over parts by their size.
    """

    need: Float
    widest: float
    mean: float


def measure_rims(picture: Float, mask: Bool) -> Rims:
    """Measure how far damage reaches beyond a mask.

    For each connected part the squared difference from the surroundings is averaged over rings of one pixel around it
    (surroundings: a Gaussian mean of what lies farther off). The rim ends where that falls to :data:`ENDED` of what it
    is inside, or falls no further.

    Parameters
    ----------
    picture : (H, W, 3) float32 in [0, 1]
        Encoded sRGB.
    mask : (H, W) bool
        The damage as far as it was marked.

    Returns
    -------
    Rims
        How far each part needs to grow, in pixels, and the widest of them.

    Examples
    --------
    >>> picture = np.full((80, 80, 3), 0.3, np.float32)
    >>> picture[36:44, 10:70] = 0.6
    >>> mask = np.zeros((80, 80), bool)
    >>> mask[38:42, 10:70] = True
    >>> measure_rims(picture, mask).widest
    3.0
    """
    import cv2

    height, width = mask.shape
    share = min(1.0, float(np.sqrt(WORKING / (height * width))))
    if share < 1:
        size = (max(1, round(width * share)), max(1, round(height * share)))
        picture = cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 64
    if not mask.any() or mask.all():
        return Rims(np.zeros(mask.shape, np.float32), 0.0, 0.0)
    reach = max(LEAST_REACH, round(REACH * min(mask.shape)))
    distance, labels = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_CCOMP
    )
    excess = np.square(picture - _surroundings(picture, distance > reach, reach)).sum(axis=2)
    count = int(labels.max()) + 1
    # ring 0 is the mask itself, ring k what lies k - 0.5 to k + 0.5 pixels off
    ring = np.minimum(np.rint(distance).astype(np.intp), 2 * reach + 1)
    cell = (labels.astype(np.intp) * (2 * reach + 2) + ring).ravel()
    shape = (count, 2 * reach + 2)
    pixels = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)[:, :-1].astype(np.float64)
    sums = np.bincount(cell, excess.ravel(), shape[0] * shape[1]).reshape(shape)[:, :-1]
    grown = _ends(sums, pixels, reach)
    need = (grown[labels] + 0.5 - distance).astype(np.float32)
    need[mask] = np.float32(1)
    own = pixels[:, 0]
    return Rims(need, float(grown[own > 0].max()) / share, float((grown * own).sum() / own.sum()) / share)


def _ends(sums: NDArray[np.float64], pixels: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return by how many pixels each part grows, (parts,), from squared differences summed over (parts, rings)."""
    everywhere = sums.sum(axis=0) / np.maximum(pixels.sum(axis=0), 1)
    profile = (sums + PRIOR * everywhere) / (pixels + PRIOR)
    far = sums[:, reach:].sum(axis=1) + PRIOR * everywhere[reach:].mean()
    floor = far / (pixels[:, reach:].sum(axis=1) + PRIOR)
    differs = np.sqrt(np.maximum(profile - floor[:, None], 0))
    low = np.maximum(ENDED * differs[:, :1], UNSEEN)
    rings = differs[:, 1 : reach + 1]
    flat = (rings >= FLAT * differs[:, :reach]) & (rings <= differs[:, :1] / 2)
    over = (rings <= low) | flat
    return np.where(over.any(axis=1), over.argmax(axis=1) + 1, reach).astype(np.float64)


def _surroundings(picture: Float, known: Bool, sigma: float) -> Float:
    """Return the Gaussian mean of what is known, from farther off where nothing near is."""
    import cv2

    total = np.zeros(picture.shape, np.float32)
    weight = np.zeros(known.shape, np.float32)
    marks = known.astype(np.float32)
    shown = picture * marks[..., None]
    for wide, trust in ((sigma, 1.0), (4 * sigma, 1e-3)):
        total += np.float32(trust) * cv2.GaussianBlur(shown, (0, 0), wide).reshape(picture.shape)
        weight += np.float32(trust) * cv2.GaussianBlur(marks, (0, 0), wide)
    mean = picture[known].mean(axis=0) if known.any() else picture.mean(axis=(0, 1))
    few = np.float32(1e-6)
    out: Float = (total + few * mean) / (weight + few)[..., None]
    return out


def grown_by_rims(mask: Bool, rims: Rims) -> Bool:
    """Return a mask grown by what its rims need.

    Parameters
    ----------
    mask : (H, W) bool
        True = damage.
    rims : Rims
        Measured on it, or on a mask that it is part of.

    Returns
    -------
    (H, W) bool
        Holds the mask. What is grown goes to the parts of the mask it is next to.
    """
    import cv2

    size = (mask.shape[1], mask.shape[0])
    need = rims.need
    if need.shape != mask.shape:
        need = cv2.resize(need, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(mask | (need > 0))
