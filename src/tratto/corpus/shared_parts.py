"""Pictures that show the same thing in part: crops, recoloured, re-lit, slightly turned and over-painted copies.

A hash of the whole picture cannot tell that one picture is a part of another. Local features can:

1. corners with a descriptor of 256 bits each (ORB; Rublee et al. 2011, "ORB: an efficient alternative to SIFT or
   SURF"), some from every part of the picture, which is shown at 512 pixels;
2. an index: two descriptors of the same corner differ in some bits, but mostly agree in one of eight bands of 32 bits
   entirely (multi-index hashing, Norouzi, Punjani and Fleet 2012); pictures that share several such are candidates, and
   no others are compared. What very many share, as plain letters do, tells nothing and is left out;
3. a check: one similarity (shift, turn, scale) must bring enough corners of the one onto those of the other (RANSAC,
   Fischler and Bolles 1981), and laid so, the pictures must agree where they overlap.

Needs OpenCV.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: Long side that pictures are looked at, in pixels.
SIDE = 512
#: Pictures with a shorter side have no corners: a descriptor looks at 31 pixels.
LEAST = 48
#: The picture is divided into so many rows and columns, and so many fine and so many coarse corners are kept of each
#: part: what is fine in a picture is coarse in a crop of it.
PARTS, EACH = 6, 8
#: Coarse is what is found from this level on of a pyramid of 1.2.
COARSE = 4
#: Bytes of one band of a descriptor.
BAND = 4
#: A band that more descriptors share is left out.
COMMON = 40
#: Corners that must share a band before two pictures are compared.
VOTES = 3
#: Descriptors are of one corner if they differ in no more bits.
NEAR = 64
#: Corners that one similarity must bring together.
AGREE = 8
#: How far off they may be, in pixels, and what scales are believed.
OFF, SCALES = 4.0, (1 / 6, 6.0)
#: Where they overlap, the pictures must be so correlated in light, and the smaller must show so much of its area.
ALIKE, OVERLAP = 0.8, 0.2


@dataclass(frozen=True, eq=False)
class Corners:
    """Corners of a picture.

    Attributes
    ----------
    places : (n, 2) float32
        x and y, in pixels of the picture at :data:`SIDE`.
    descriptors : (n, 32) uint8
    """

    places: NDArray[np.float32]
    descriptors: NDArray[np.uint8]


#: Of a picture that has none, or was not looked at.
NO_CORNERS = Corners(np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8))


@dataclass(frozen=True)
class Shared:
    """Two pictures that show the same thing.

    Attributes
    ----------
    one, two : int
        Their numbers.
    reason, back : str
        What was measured, told of the one and of the other.
    """

    one: int
    two: int
    reason: str
    back: str


def shown(rgb: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) in [0, 1] as it is looked at: grey levels, the long side at most :data:`SIDE`."""
    import cv2

    levels = np.rint(255 * np.clip(rgb, 0, 1)).astype(np.uint8)
    gray = cv2.cvtColor(np.ascontiguousarray(levels), cv2.COLOR_RGB2GRAY)
    h, w = gray.shape
    scale = SIDE / max(h, w)
    if scale < 1:
        gray = cv2.resize(gray, (max(1, round(w * scale)), max(1, round(h * scale))), interpolation=cv2.INTER_AREA)
    return np.asarray(gray, np.uint8)


def corners(gray: NDArray[np.uint8]) -> Corners:
    """Return corners of what :func:`shown` returns; none where there are none."""
    import cv2

    if min(gray.shape) < LEAST:
        return NO_CORNERS
    finder = cv2.ORB_create(nfeatures=2500, scaleFactor=1.2, nlevels=10, edgeThreshold=16, fastThreshold=8)
    found = finder.detect(gray, None)
    if found:
        places = np.array([k.pt for k in found])
        cells = np.minimum((places / np.array(gray.shape[::-1]) * PARTS).astype(int), PARTS - 1) @ (1, PARTS)
        cells = cells + PARTS * PARTS * np.array([k.octave >= COARSE for k in found])
        order = np.argsort([-k.response for k in found], kind="stable")
        left = np.full(2 * PARTS * PARTS, EACH)
        kept = []
        for n in order:
            if left[cells[n]]:
                left[cells[n]] -= 1
                kept.append(found[n])
        found, descriptors = finder.compute(gray, kept)
        if descriptors is not None:
            return Corners(np.array([k.pt for k in found], np.float32).reshape(-1, 2), descriptors)
    return NO_CORNERS


def candidates(descriptors: NDArray[np.uint8], owners: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the pairs of pictures of which :data:`VOTES` descriptors or more share a band, most first.

    Parameters
    ----------
    descriptors : (n, 32) uint8
    owners : (n,) int
        The picture of each.

    Returns
    -------
    list of (int, int)
        Pictures, the smaller number first.
    """
    n = np.int64(len(descriptors))
    pairs: list[NDArray[np.int64]] = []
    for start in range(0, descriptors.shape[1], BAND):
        keys = np.ascontiguousarray(descriptors[:, start : start + BAND]).view(np.uint32).ravel()
        order = np.argsort(keys, kind="stable")
        ends = np.flatnonzero(np.diff(keys[order])) + 1
        lengths = np.diff(np.concatenate([[0], ends, [n]]))
        length = np.repeat(lengths, lengths)
        order = order[(length > 1) & (length <= COMMON)]
        ordered = keys[order]
        for apart in range(1, COMMON):
            same = np.flatnonzero(ordered[apart:] == ordered[:-apart])
            if not same.size:
                break
            one, two = order[same], order[same + apart]
            other = owners[one] != owners[two]
            one, two = one[other], two[other]
            pairs.append(np.minimum(one, two) * n + np.maximum(one, two))
    if not pairs:
        return []
    once = np.unique(np.concatenate(pairs))
    one, two = owners[once // n], owners[once % n]
    count = np.int64(owners.max()) + 1
    both, votes = np.unique(np.minimum(one, two) * count + np.maximum(one, two), return_counts=True)
    enough = votes >= VOTES
    both = both[enough][np.argsort(-votes[enough], kind="stable")]
    return [(int(code // count), int(code % count)) for code in both]


def compared(
    one: Corners, two: Corners, grays: Callable[[], tuple[NDArray[np.uint8], NDArray[np.uint8]]]
) -> tuple[str, str] | None:
    """Return in which way two pictures show the same thing, told of the one and of the other; None if they do not.

    Parameters
    ----------
    one, two : Corners
    grays : callable
        Returns both pictures as :func:`shown` does; called if the corners fit.
    """
    import cv2

    if min(len(one.places), len(two.places)) < AGREE:
        return None
    found = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(one.descriptors, two.descriptors)
    found = [m for m in found if m.distance <= NEAR]
    if len(found) < AGREE:
        return None
    source = one.places[[m.queryIdx for m in found]]
    target = two.places[[m.trainIdx for m in found]]
    matrix, fits = cv2.estimateAffinePartial2D(source, target, method=cv2.RANSAC, ransacReprojThreshold=OFF)
    if matrix is None or fits is None or int(fits.sum()) < AGREE:
        return None
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if not SCALES[0] <= scale <= SCALES[1]:
        return None
    first, second = grays()
    size = second.shape[::-1]
    if scale < 1:  # what is made smaller is softened before, as the other was
        first = cv2.GaussianBlur(first, (0, 0), 0.5 / scale)
    laid = cv2.warpAffine(first, matrix, size, flags=cv2.INTER_LINEAR).astype(np.float32)
    inside = cv2.warpAffine(np.full(first.shape, 255, np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0
    shares = inside.sum() / (scale**2 * first.size), inside.sum() / second.size
    if max(shares) < OVERLAP:
        return None
    soft = 1.5 * max(1.0, scale)
    a, b = (cv2.GaussianBlur(p, (0, 0), soft)[inside] for p in (laid, second.astype(np.float32)))
    a, b = a - a.mean(), b - b.mean()
    correlation = float(a @ b / max(float(np.sqrt((a @ a) * (b @ b))), 1e-9))
    if correlation < ALIKE:
        return None
    turn = float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
    laid_how = f", turned {abs(turn):.0f} degrees" if abs(turn) >= 0.5 else ""
    mine, other = (f"{100 * min(share, 1):.0f} %" for share in shares)
    found_so = f"show the same{laid_how}: {int(fits.sum())} corners agree, correlation {correlation:.2f}"
    return f"{mine} of it and {other} of the other {found_so}", f"{other} of it and {mine} of the other {found_so}"


def shared_parts(marks: Sequence[Corners], gray_of: Callable[[int], NDArray[np.uint8]]) -> tuple[list[Shared], int]:
    """Find pictures that show the same thing, without comparing all pairs.

    Parameters
    ----------
    marks : sequence of Corners
        Of each picture.
    gray_of : callable
        Returns a picture by its number, as :func:`shown` does.

    Returns
    -------
    list of Shared, int
        In order of their numbers; and how many pairs were compared.
    """
    counts = [len(c.places) for c in marks]
    if not sum(counts):
        return [], 0
    owners = np.repeat(np.arange(len(marks), dtype=np.int64), counts)
    pairs = candidates(np.concatenate([c.descriptors for c in marks]), owners)
    kept = lru_cache(maxsize=64)(gray_of)
    found = []
    for one, two in sorted(pairs):
        told = compared(marks[one], marks[two], lambda one=one, two=two: (kept(one), kept(two)))  # type: ignore[misc]
        if told is not None:
            found.append(Shared(one, two, *told))
    return found, len(pairs)
