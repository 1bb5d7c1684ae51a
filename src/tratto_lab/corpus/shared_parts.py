"""Pictures that show the same thing in part: crops, recoloured, re-lit and turned copies.

A hash of the whole picture cannot tell that one picture is a part of another. Local features can:

1. corners with a descriptor of 256 bits each (ORB; Rublee et al. 2011, "ORB: an efficient alternative to SIFT or
   SURF"), some from every part of the picture, which is shown at 512 pixels;
2. an index: two descriptors of the same corner differ in some bits, but mostly agree in one of eight bands of 32 bits
   entirely (multi-index hashing, Norouzi, Punjani and Fleet 2012); pictures that share several such are candidates, and
   no others are compared. What very many share, as plain letters do, tells nothing and is left out;
3. a check: one similarity (shift, turn, scale) must bring enough corners of the one onto those of the other (RANSAC,
   Fischler and Bolles 1981), and laid so, the pictures must agree in detail in most places where they overlap.

Needs OpenCV.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

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
#: Pairs of corners that must share a band before two pictures are compared.
VOTES = 3
#: Descriptors are of one corner if they differ in no more bits.
NEAR = 64
#: Corners that one similarity must bring together.
AGREE = 8
#: How far off they may be, in pixels, and what scales are believed.
OFF, SCALES = 4.0, (1 / 6, 6.0)
#: One of them must lie in the other with so much of its area.
OVERLAP = 0.2
#: The overlap is looked at in so many rows and columns. Places whose detail deviates by fewer levels show nothing; of
#: the others so many in all, and such a share, must be correlated so much.
TILES, DETAIL, FEWEST, MOST, ALIKE = 8, 1.5, 3, 0.7, 0.8


@dataclass(frozen=True, eq=False)
class Corners:
    """Corners of a picture.

    Attributes
    ----------
    places : (n, 2) float32
        x and y, in pixels of the picture at :data:`SIDE`.
    descriptors : (n, 32) uint8
        Binary (ORB), compared by the bits that differ.
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
    detector = cv2.ORB_create(nfeatures=2500, scaleFactor=1.2, nlevels=10, edgeThreshold=16, fastThreshold=8)
    found = detector.detect(gray, None)
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
        found, descriptors = detector.compute(gray, kept)
        if descriptors is not None:
            return Corners(np.array([k.pt for k in found], np.float32).reshape(-1, 2), descriptors)
    return NO_CORNERS


def candidates(descriptors: NDArray[np.uint8], owners: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the pairs of pictures of which :data:`VOTES` descriptors or more share a band, most first.

    Parameters
    ----------
    descriptors : (n, 32) uint8
        Of all pictures, one after the other.
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
    one: Corners, two: Corners, grays: Callable[[], tuple[NDArray[np.uint8] | None, NDArray[np.uint8] | None]]
) -> tuple[str, str] | None:
    """Return in which way two pictures show the same thing, told of the one and of the other; None if they do not.

    Parameters
    ----------
    one, two : Corners
        Of two pictures that share descriptors.
    grays : callable
        Returns both pictures as :func:`shown` does, None for one that is gone; called if the corners fit.
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
    if first is None or second is None:
        return None
    laid, inside = _laid(first, matrix, second.shape)
    shares = inside.sum() / (scale**2 * first.size), inside.sum() / second.size
    if max(shares) < OVERLAP:
        return None
    same, looked = _agreeing(laid, second.astype(np.float32), inside, max(1.0, scale))
    if same < MOST * looked or same < FEWEST:
        return None
    turn = float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
    laid_how = f", turned {abs(turn):.0f} degrees" if abs(turn) >= 0.5 else ""
    mine, other = (f"{100 * min(share, 1):.0f} %" for share in shares)
    found_so = f"show the same{laid_how}: {int(fits.sum())} corners fit, {same} of {looked} places agree"
    return f"{mine} of it and {other} of the other {found_so}", f"{other} of it and {mine} of the other {found_so}"


def _laid(
    gray: NDArray[np.uint8], matrix: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a picture laid over another of this shape, and where it lies."""
    import cv2

    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 1:  # what is made smaller is softened before, as the other was
        gray = cv2.GaussianBlur(gray, (0, 0), 0.5 / scale)
    size = (shape[1], shape[0])
    laid = cv2.warpAffine(gray, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.full(gray.shape, 255, np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0
    return laid.astype(np.float32), inside


def _agreeing(
    one: NDArray[np.float32], two: NDArray[np.float32], inside: NDArray[np.bool_], scale: float
) -> tuple[int, int]:
    """Return in how many places of the overlap two pictures agree, and of how many where there is anything to see.

    Only detail counts, without the light of the surroundings: pages and mounts are light and dark in the same places.
    """
    import cv2

    detail = [cv2.GaussianBlur(p, (0, 0), 0.8 * scale) - cv2.GaussianBlur(p, (0, 0), 4.0 * scale) for p in (one, two)]
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    edges = [np.linspace(line[0], line[-1] + 1, TILES + 1).astype(int) for line in (rows, columns)]
    same = looked = 0
    for top, bottom in pairwise(edges[0]):
        for left, right in pairwise(edges[1]):
            place = np.s_[top:bottom, left:right]
            here = inside[place]
            if here.sum() < 0.5 * here.size or here.size < 16:
                continue
            a, b = (p[place][here] for p in detail)
            a, b = a - a.mean(), b - b.mean()
            if max(a.std(), b.std()) < DETAIL:
                continue
            looked += 1
            same += bool(a @ b >= ALIKE * np.sqrt((a @ a) * (b @ b)))
    return same, looked


def shared_parts(
    marks: Sequence[Corners], gray_of: Callable[[int], NDArray[np.uint8] | None]
) -> tuple[list[Shared], int]:
    """Find pictures that show the same thing, without comparing all pairs.

    Parameters
    ----------
    marks : sequence of Corners
        Of each picture.
    gray_of : callable
        Returns a picture by its number, as :func:`shown` does; None if it is gone.

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
    kept = lru_cache(maxsize=1000)(gray_of)
    found = []
    for one, two in sorted(pairs):
        relation = compared(marks[one], marks[two], lambda one=one, two=two: (kept(one), kept(two)))  # type: ignore[misc]
        if relation is not None:
            found.append(Shared(one, two, *relation))
    return found, len(pairs)
