"""Equal and nearly equal pictures in a folder, with reasons, without comparing all pairs.

Three looks, each finer than the one before:

1. *exact*: files of equal SHA-256;
2. *hash*: a 64-bit perceptual hash (signs of the low frequencies of a 32 x 32 picture's cosine transform), compared
   within a few bits through an index: two hashes that differ in at most ``r`` bits agree in at least one of ``r + 1``
   bands, so only pictures that share a band are compared (multi-index hashing, Norouzi, Punjani and Fleet 2012);
3. *check*: candidates are compared as small pictures (correlation of 32 x 32 grey samples and of their gradients, the
   mean colours and the colours of 8 x 8 places), which tells a scaled or re-saved copy from another picture of a
   similar layout, and from one without its colour.

Every picture of a group is a copy of the one that is kept, not only of another copy.

Turned and mirrored copies are found when asked: their hashes follow from the picture turned. Crops and other pictures
that show the same thing in part are looked for when asked, too (:mod:`tratto_lab.corpus.shared_parts`); they are told
apart from copies, since neither can stand for the other.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, OptionError, TrattoError
from tratto_lab.corpus.shared_parts import NO_CORNERS, Corners, Shared, corners, shared_parts, shown

Float = NDArray[np.float32]

#: Extensions that are looked at.
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
#: Side of the small picture.
SIDE = 32
#: Two pictures are one if at least this correlated as small pictures, and as gradients of them ...
ALIKE, ALIKE_EDGES = 0.985, 0.90
#: ... and their mean colours differ by no more than this, full scale = 1 ...
SAME_COLOR = 0.08
#: ... and what red and blue have beside green, in each of 8 x 8 places, by no more than this in the mean.
PLACES, SAME_TINT = 8, 0.03
#: Pictures of one colour are one only if the logarithms of width over height differ by no more.
SAME_SHAPE = 0.05
#: A picture is of one colour if no sample is farther than this from another, full scale = 1.
ONE_COLOR = 2 / 255


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is kept of a picture: 64 bits, a small grey picture (32 x 32, zero mean, unit norm) and its mean colour.

    Further what red and blue have beside green (8 x 8 x 2), whether it is of one colour everywhere and, if asked, its
    corners.
    """

    path: Path
    sha256: str
    size: int
    width: int
    height: int
    hash: int
    small: Float
    color: Float
    tint: Float
    flat: bool
    corners: Corners = NO_CORNERS


@dataclass(frozen=True)
class Group:
    """Pictures that are one.

    Attributes
    ----------
    keep : Path
        The one with most pixels; of equal ones the largest file, then the first name.
    rest : tuple of (Path, str)
        The others, each with the reason that led to it.
    """

    keep: Path
    rest: tuple[tuple[Path, str], ...]


@dataclass(frozen=True)
class Deduped:
    """What was found.

    Attributes
    ----------
    groups : tuple of Group
        Equal or nearly equal pictures, with the one to keep.
    pictures : int
        How many were looked at.
    compared : int
        How many pairs were compared as small pictures; all pairs would be ``pictures * (pictures - 1) / 2``.
    unreadable : tuple of (Path, str)
        Each with its error.
    related : tuple of Group
        Pictures of which each shows the same thing as another one of them, in part or in other light; of equal ones
        only the one that is kept. ``keep`` is the one with most pixels, which need not be the one that shows most.
    compared_parts : int
        How many pairs were compared by their corners.
    """

    groups: tuple[Group, ...]
    pictures: int
    compared: int
    unreadable: tuple[tuple[Path, str], ...]
    related: tuple[Group, ...] = ()
    compared_parts: int = 0


def perceptual_hash(small: Float) -> int:
    """Return 64 bits of a small grey picture: signs of its low frequencies against their median.

    Parameters
    ----------
    small : (32, 32) float32
        Of a picture shrunk, from :func:`small_gray`.
    """
    import cv2

    low = cv2.dct(np.ascontiguousarray(small, np.float32))[:9, :9].ravel()[1:65]
    bits = low > np.median(low)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def small_gray(rgb: Float) -> Float:
    """Return a picture as 32 x 32 grey samples of zero mean and unit norm; all zero where it is flat.

    Parameters
    ----------
    rgb : (H, W, 3) float32 in [0, 1]
        Encoded sRGB, of any size.
    """
    import cv2

    gray = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    tiny = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    tiny = tiny - tiny.mean()
    norm = float(np.linalg.norm(tiny))
    # below half an 8-bit step there is nothing to compare
    return np.asarray(tiny / norm if norm > SIDE * 0.5 / 255 else np.zeros_like(tiny), np.float32)


def fingerprint(path: Path, parts: bool = False) -> Fingerprint:
    """Look at one picture as a viewer shows it; at its corners, too, if `parts` of it may be in others.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    data, rgb = _viewed(path)
    small = small_gray(rgb)
    return Fingerprint(
        path,
        hashlib.sha256(data).hexdigest(),
        len(data),
        rgb.shape[1],
        rgb.shape[0],
        perceptual_hash(small),
        small,
        rgb.reshape(-1, 3).mean(axis=0),
        _tint(rgb),
        bool(np.ptp(rgb.reshape(-1, 3), axis=0).max() <= ONE_COLOR),
        corners(shown(rgb)) if parts else NO_CORNERS,
    )


def _tint(rgb: Float) -> Float:
    """Return what red and blue have beside green, (8, 8, 2)."""
    import cv2

    tiny = cv2.resize(np.ascontiguousarray(rgb, np.float32), (PLACES, PLACES), interpolation=cv2.INTER_AREA)
    return np.asarray(tiny[..., [0, 2]] - tiny[..., 1:2], np.float32)


def _viewed(path: Path) -> tuple[bytes, Float]:
    """Return a file, and its picture (H, W, 3) in [0, 1] as a viewer shows it."""
    from tratto.imaging import io
    from tratto.imaging.color import view_rgb

    try:
        data = path.read_bytes()
    except OSError as e:
        raise InputError(f"{path}: cannot be read: {e.strerror or e}") from e
    image = io.read_image(data)
    return data, io.oriented(view_rgb(image), image.meta.orientation)


def _turned(one: Fingerprint) -> Iterable[tuple[str, Fingerprint]]:
    """Return the seven other ways to lay a picture, named."""
    for flip in (False, True):
        for quarter in range(4):
            if flip or quarter:
                name = ("mirrored" if flip else "") + (f" turned {90 * quarter} degrees" if quarter else "")
                small, tint = (
                    np.ascontiguousarray(np.rot90(p[:, ::-1] if flip else p, quarter)) for p in (one.small, one.tint)
                )
                size = (one.height, one.width) if quarter % 2 else (one.width, one.height)
                yield (
                    name.strip(),
                    replace(one, small=small, tint=tint, width=size[0], height=size[1], hash=perceptual_hash(small)),
                )


def hamming_pairs(hashes: NDArray[np.uint64], radius: int) -> Iterable[tuple[int, int, int]]:
    """Return all pairs of hashes that differ in at most ``radius`` bits, without comparing all pairs.

    Parameters
    ----------
    hashes : (n,) uint64
        From :func:`perceptual_hash`.
    radius : int
        0-15.

    Yields
    ------
    (int, int, int)
        The two numbers, the smaller first, and the distance; each pair once.

    Raises
    ------
    OptionError
        For another radius.
    """
    if not 0 <= radius <= 15:
        raise OptionError(f"hashes are compared within 0 to 15 bits, got {radius}")
    edges = np.linspace(0, 64, radius + 2).astype(int)
    bands = [(int(a), int(b - a)) for a, b in itertools.pairwise(edges)]
    for band, (start, length) in enumerate(bands):
        keys = (hashes >> np.uint64(start)) & np.uint64((1 << length) - 1)
        order = np.argsort(keys, kind="stable")
        ends = np.flatnonzero(np.diff(keys[order])) + 1
        for members in np.split(order, ends):
            if len(members) < 2:
                continue
            for k, one in enumerate(members[:-1]):
                others = members[k + 1 :]
                difference = hashes[others] ^ hashes[one]
                far = _count(difference)
                for i in np.flatnonzero(far <= radius):
                    if not _in_earlier_band(int(difference[i]), bands[:band]):
                        other = int(others[i])
                        yield min(int(one), other), max(int(one), other), int(far[i])


def _in_earlier_band(difference: int, bands: list[tuple[int, int]]) -> bool:
    """Return whether two hashes agree in one of the bands that were looked at before."""
    return any((difference >> start) & ((1 << length) - 1) == 0 for start, length in bands)


def _count(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return how many bits are set (``numpy.bitwise_count`` came with NumPy 2)."""
    if hasattr(np, "bitwise_count"):
        return np.asarray(np.bitwise_count(values), np.int64)
    return np.unpackbits(values.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1, dtype=np.int64)


def _gradients(small: Float) -> Float:
    dx, dy = np.diff(small, axis=1)[:-1], np.diff(small, axis=0)[:, :-1]
    both = np.stack([dx, dy])
    norm = float(np.linalg.norm(both))
    return np.asarray(both / norm if norm > 0 else both, np.float32)


def alike(one: Fingerprint, two: Fingerprint) -> str:
    """Return why two pictures are one, or an empty text."""
    color = float(np.abs(one.color - two.color).max())
    if not one.small.any() or not two.small.any():
        # fine detail can be lost in the small picture: only what has none anywhere is told by its colour and shape
        shapes = abs(np.log(one.width / one.height * two.height / two.width))
        if not (one.flat and two.flat) or color > 1 / 255 or shapes > SAME_SHAPE:
            return ""
        return f"both are of one colour, which differs by {255 * color:.1f} of 255"
    whole = float(np.vdot(one.small, two.small))
    edges = float(np.vdot(_gradients(one.small), _gradients(two.small)))
    tint = float(np.abs(one.tint - two.tint).mean())
    if whole < ALIKE or edges < ALIKE_EDGES or color > SAME_COLOR or tint > SAME_TINT:
        return ""
    off = f"{255 * color:.0f} of 255"
    return (
        f"alike as small pictures: correlation {whole:.3f}, of edges {edges:.3f}, colour off by {off} "
        f"(hashes differ in {(one.hash ^ two.hash).bit_count()} of 64 bits)"
    )


def copies(one: Fingerprint, two: Fingerprint, turned: bool = False) -> str:
    """Return why one picture is a copy of another, perhaps `turned`, or an empty text."""
    if one.sha256 == two.sha256:
        return "same bytes"
    reason = alike(one, two)
    if reason or not turned:
        return reason
    return next((f"{name}; {why}" for name, laid in _turned(one) if (why := alike(laid, two))), "")


def find_pictures(folder: Path) -> list[Path]:
    """Return the pictures below a folder, in order of their names.

    Of several names of one file, as links give them, one is returned, and a link only if the file has no other name
    there: else what is deleted as a copy could be the file itself.

    Raises
    ------
    InputError
        If it is no folder, or holds none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    names = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES)
    first: dict[tuple[int, int], Path] = {}
    for path in sorted(names, key=lambda p: (p.is_symlink(), p)):
        status = path.stat()
        first.setdefault((status.st_dev, status.st_ino), path)
    found = sorted(first.values())
    if not found:
        raise InputError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")
    return found


def dedupe(
    paths: list[Path],
    radius: int = 6,
    turned: bool = False,
    progress: Callable[[int, int], None] | None = None,
    parts: bool = False,
) -> Deduped:
    """Find equal and nearly equal pictures.

    Parameters
    ----------
    paths : list of Path
        Compared each with each other, wherever they lie.
    radius : int
        Bits in which perceptual hashes may differ to be compared further, 0-15.
    turned : bool
        Look for turned and mirrored copies, too.
    progress : callable, optional
        ``progress(done, total)`` while pictures are read.
    parts : bool
        Look for crops and other pictures that show the same thing, too.
    """
    prints: list[Fingerprint] = []
    unreadable: list[tuple[Path, str]] = []
    for number, path in enumerate(paths):
        try:
            prints.append(fingerprint(path, parts))
        except TrattoError as e:
            unreadable.append((path, str(e).removeprefix("<bytes>: ")))
        if progress is not None:
            progress(number + 1, len(paths))
    pairs, compared = _pairs(prints, radius, turned)
    groups = _copies(prints, pairs, turned)
    if not parts:
        return Deduped(tuple(groups), len(prints), compared, tuple(unreadable))
    spare = {path for group in groups for path, _ in group.rest}

    def gray_of(number: int) -> NDArray[np.uint8] | None:
        try:
            return shown(_viewed(prints[number].path)[1])
        except TrattoError as e:  # it was there a moment ago
            unreadable.append((prints[number].path, str(e).removeprefix("<bytes>: ")))
            return None

    shared, looked = shared_parts([NO_CORNERS if p.path in spare else p.corners for p in prints], gray_of)
    related = _related(prints, shared)
    return Deduped(tuple(groups), len(prints), compared, tuple(dict(unreadable).items()), tuple(related), looked)


def _pairs(prints: list[Fingerprint], radius: int, turned: bool) -> tuple[list[tuple[int, int]], int]:
    """Return the pairs that are one, and how many were compared as small pictures."""
    found: list[tuple[int, int]] = []
    by_bytes: dict[str, int] = {}
    distinct: list[int] = []
    for k, p in enumerate(prints):
        if p.sha256 in by_bytes:
            found.append((by_bytes[p.sha256], k))
        else:
            by_bytes[p.sha256] = k
            distinct.append(k)
    # every distinct picture as it is, then perhaps laid in seven other ways
    owners = list(distinct)
    laid = [prints[k] for k in distinct]
    if turned:
        for k in distinct:
            for _, other in _turned(prints[k]):
                owners.append(k)
                laid.append(other)
    compared = 0
    seen: set[tuple[int, int]] = set()
    for i, j, _ in hamming_pairs(np.array([p.hash for p in laid], np.uint64), radius):
        both = (min(owners[i], owners[j]), max(owners[i], owners[j]))
        # of two laid pictures one must be as it is; the rest would be the same relation again
        if both[0] == both[1] or (i >= len(distinct) and j >= len(distinct)) or both in seen:
            continue
        compared += 1
        if alike(laid[j], laid[i]):
            seen.add(both)
            found.append(both)
    return found, compared


def _linked(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the groups of numbers that pairs link, each in order."""
    parent = list(range(count))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    for one, two in pairs:
        parent[root(two)] = root(one)
    members: dict[int, list[int]] = defaultdict(list)
    for k in range(count):
        members[root(k)].append(k)
    return [group for group in members.values() if len(group) > 1]


def _worth(one: Fingerprint) -> tuple[int, int, tuple[int, ...]]:
    """Return a key that is greatest for what is kept: most pixels, then the largest file, then the first name."""
    return one.width * one.height, one.size, _backwards(one.path)


def _copies(prints: list[Fingerprint], pairs: list[tuple[int, int]], turned: bool) -> list[Group]:
    """Return groups of pictures each of which is a copy of the one that is kept."""
    out = []
    for group in _linked(len(prints), pairs):
        left = sorted(group, key=lambda k: _worth(prints[k]), reverse=True)
        while len(left) > 1:
            best, others = left[0], left[1:]
            copied = {k: copies(prints[best], prints[k], turned) for k in others}
            rest = tuple(
                (prints[k].path, f"{copied[k]}, with {prints[best].path}") for k in sorted(others) if copied[k]
            )
            if rest:
                out.append(Group(prints[best].path, rest))
            left = [k for k in others if not copied[k]]
    return sorted(out, key=lambda g: str(g.keep))


def _related(prints: list[Fingerprint], shared: list[Shared]) -> list[Group]:
    """Return groups of pictures each of which shares something with another of them."""
    reasons: dict[int, str] = {}
    for pair in shared:
        reasons.setdefault(pair.one, f"{pair.reason}, with {prints[pair.two].path}")
        reasons.setdefault(pair.two, f"{pair.back}, with {prints[pair.one].path}")
    out = []
    for group in _linked(len(prints), [(pair.one, pair.two) for pair in shared]):
        best = max(group, key=lambda k: _worth(prints[k]))
        out.append(Group(prints[best].path, tuple((prints[k].path, reasons[k]) for k in group if k != best)))
    return sorted(out, key=lambda g: str(g.keep))


def _backwards(path: Path) -> tuple[int, ...]:
    """Return a key that is greatest for the first name in order."""
    return (*(-ord(c) for c in str(path)), 1)
