"""Our own patch-based inpainting for large textured holes.

Coarse to fine: at the coarsest scale the hole is closed ring by ring by exact search; at each finer one the map from
hole patches to known patches is improved by generalised PatchMatch and the hole is voted anew from it, in turns.

* Wexler, Shechtman and Irani 2007, "Space-time completion of video": voting and turns over a pyramid.
* Barnes, Shechtman, Finkelstein and Goldman 2009, "PatchMatch": propagation and random search; here all patches at
  once, propagating over distances 8, 4, 2, 1, since loops over pixels would be slow in Python.
* Newson, Almansa, Gousseau and Perez 2017, "Non-local patch-based image inpainting": closing ring by ring at the start,
  weights from the distances, texture features.

Patches are compared by their principal components (of the known patches of that scale), which is several times faster
than comparing all their samples. Deterministic for a seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.imaging.fill import plate_fill, smooth_fill

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]
Index = NDArray[np.intp]

#: Patches are 7 x 7.
REACH = 3
#: Kept principal components, and the least share of the variance they must hold is not checked: 20 hold 97-99 % of it.
COMPONENTS = 20
#: Weight of the texture features (mean absolute differences over a neighbourhood) beside the colours.
TEXTURE = 1.5
#: Scales above this many pixels only take over the map of the scale below: memory and time stay bounded.
SEARCH_PIXELS = 900_000
#: Most known patches that the exact search at the coarsest scale looks at, and most comparisons it makes.
LIBRARY = 10_000
EXACT = 20_000_000
#: Known patches whose principal components are taken: of a scan's many parts, and else.
FEW, MANY = 2000, 4000
#: Patches that are looked at in one go: their samples fit into a processor's cache.
ROWS = 2048
#: How much worse than the best patch over a pixel, relative to it, another may be to count 1/e: in all turns but the
#: last, and in the last.
SOFT, SHARP = 3.0, 0.01
#: A hole this deep at the coarsest scale is closed by exact search.
COARSE_DEPTH = 5.0


@dataclass(frozen=True)
class PatchSettings:
    """How hard to try.

    Attributes
    ----------
    turns : int
        Search-and-vote turns at the finest scale that is searched; two more for each coarser one, up to eight.
    sweeps : int
        PatchMatch sweeps in each turn.
    searched : int
        Scales of more pixels are not searched: they take over the map of the scale below.
    copied : bool
        There each pixel is copied from where the patches around it agree best, and the colours of the rim are evened
        out, instead of the mean of what all patches say.
    """

    turns: int = 3
    sweeps: int = 2
    searched: int = SEARCH_PIXELS
    copied: bool = False

    def __post_init__(self) -> None:
        if self.turns < 1 or self.sweeps < 1:
            raise OptionError(f"turns and sweeps must be at least 1, got {self.turns} and {self.sweeps}")


@dataclass(eq=False)
class _Scale:
    """One scale: picture and hole with a border of ``REACH`` reflected pixels, and what is derived from them."""

    picture: Float
    hole: Bool
    sources: Bool  # centres of patches that are wholly known and inside
    inside: tuple[slice, slice]

    @property
    def width(self) -> int:
        return int(self.picture.shape[1])


def _scale(picture: Float, hole: Bool) -> _Scale:
    import cv2

    r = REACH
    padded = np.pad(picture, ((r, r), (r, r), (0, 0)), mode="symmetric")
    marks = np.pad(hole, r, mode="symmetric")
    near = cv2.dilate(hole.astype(np.uint8), np.ones((2 * r + 1, 2 * r + 1), np.uint8)) > 0
    sources = np.zeros(marks.shape, bool)
    inner = ~near[r:-r, r:-r]
    sources[2 * r : -2 * r, 2 * r : -2 * r] = inner
    return _Scale(np.ascontiguousarray(padded), marks, sources, (slice(r, -r), slice(r, -r)))


def _halved(picture: Float, hole: Bool) -> tuple[Float, Bool]:
    """Return half the size: the mean of the known pixels of each 2 x 2; unknown where fewer than half are known."""
    h, w = (s + s % 2 for s in hole.shape)
    pad = ((0, h - hole.shape[0]), (0, w - hole.shape[1]))
    p = np.pad(picture, (*pad, (0, 0)), mode="edge")
    known = np.pad(~hole, pad, mode="edge").astype(np.float32)
    weight = known.reshape(h // 2, 2, w // 2, 2).sum((1, 3))
    total = (p * known[..., None]).reshape(h // 2, 2, w // 2, 2, -1).sum((1, 3))
    return np.asarray(total / np.maximum(weight, 1)[..., None], np.float32), weight < 2


def _offsets(width: int, step: int = 1) -> Index:
    """Return where the samples of a patch lie, counted in pixels of the picture; every ``step``-th row and column."""
    r = np.arange(-REACH, REACH + 1, step)
    return (r[:, None] * width + r[None, :]).ravel().astype(np.intp)


def _features(picture: Float) -> tuple[Float, Float]:
    """Return the colours (H * W, C) and two smoothed measures of texture (H * W, 2)."""
    import cv2

    gray = picture.mean(axis=2)
    dx = np.abs(np.diff(gray, axis=1, append=gray[:, -1:]))
    dy = np.abs(np.diff(gray, axis=0, append=gray[-1:]))
    texture = [np.float32(TEXTURE) * cv2.blur(d, (7, 7), borderType=cv2.BORDER_REFLECT) for d in (dx, dy)]
    both = np.stack(texture, axis=-1).astype(np.float32)
    return picture.reshape(-1, picture.shape[2]), both.reshape(-1, 2)


def _patches(planes: tuple[Float, Float], centers: Index, offsets: Index) -> Float:
    """Return the samples of patches, (n, 49 * C + 2), of planes of colours and of texture, (H * W, C) and (H * W, 2).

    Texture planes are sampled at the centre, with a patch's weight.
    """
    # take() gathers whole pixels three times as fast as an index does
    colors = planes[0].take(centers[:, None] + offsets[None, :], axis=0).reshape(len(centers), -1)
    return np.concatenate([colors, planes[1].take(centers, axis=0) * np.float32(len(offsets) ** 0.5)], axis=1)


class _Space:
    """Principal components of the known patches of one scale."""

    def __init__(
        self, planes: tuple[Float, Float], sources: Index, offsets: Index, most: int, rng: np.random.Generator
    ) -> None:
        some = sources if len(sources) <= most else rng.choice(sources, most, replace=False)
        sample = _patches(planes, some, offsets).astype(np.float64)
        self.mean = sample.mean(axis=0)
        _, vectors = np.linalg.eigh(np.cov((sample - self.mean).T) if len(some) > 1 else np.eye(sample.shape[1]))
        self.basis = np.ascontiguousarray(vectors[:, ::-1][:, :COMPONENTS]).astype(np.float32)
        self.mean = self.mean.astype(np.float32)
        self.offsets = offsets

    def of(self, planes: tuple[Float, Float], centers: Index) -> Float:
        """Return the components of patches, (n, COMPONENTS)."""
        out = np.empty((len(centers), self.basis.shape[1]), np.float32)
        for k in range(0, len(centers), ROWS):
            part = centers[k : k + ROWS]
            out[k : k + ROWS] = (_patches(planes, part, self.offsets) - self.mean) @ self.basis
        return out


def _apart(these: Float, those: Float) -> Float:
    """Return the squared distances of the rows of two tables, (n,); the first is overwritten."""
    these -= those
    return np.asarray(np.einsum("ij,ij->i", these, these), np.float32)


def _onion(scale: _Scale) -> tuple[Float, Index, Index]:
    """Close a small hole ring by ring: each pixel takes the middle of the known patch that fits best around it.

    Returns
    -------
    (picture, rows, columns)
        The closed picture and the map that closed it, for every pixel (itself where it was known).
    """
    import cv2

    picture, hole = scale.picture.copy(), scale.hole.copy()
    h, w = hole.shape
    offsets = _offsets(w)
    centers = np.flatnonzero(scale.sources)
    if len(centers) > LIBRARY:
        centers = centers[:: -(-len(centers) // LIBRARY)]
    flat = picture.reshape(-1, picture.shape[2])
    library = flat[centers[:, None] + offsets[None, :]].reshape(len(centers), len(offsets), -1)
    by_channel = [np.ascontiguousarray(library[..., c].T) for c in range(library.shape[2])]
    squares = sum(b * b for b in by_channel)
    rows, columns = (np.array(a) for a in np.mgrid[0:h, 0:w])
    inside = np.zeros_like(hole)
    inside[scale.inside] = True
    while (hole & inside).any():
        ring = hole & inside & (cv2.dilate((~hole).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
        if not ring.any():
            break
        target = np.flatnonzero(ring)
        at = target[:, None] + offsets[None, :]
        known = (~hole).ravel()[at].astype(np.float32)
        cost = known @ squares
        for c, plane in enumerate(by_channel):
            cost -= 2 * (known * flat[at, c]) @ plane
        best = centers[np.argmin(cost, axis=1)]
        flat[target] = flat[best]
        rows.ravel()[target], columns.ravel()[target] = best // w, best % w
        hole.ravel()[target] = False
    return picture, rows, columns


def _search(
    fields: tuple[Float, Float], scale: _Scale, state: tuple[Index, Index, Float], sweep: int, rng: np.random.Generator
) -> tuple[Index, Index, Float]:
    """Improve the map of all target patches by one sweep of propagation and random search.

    ``fields`` are the components of every possible source (rows by pixel number) and of the targets; ``state`` the
    targets, their present sources (both pixel numbers) and their distances.
    """
    known, wanted = fields
    targets, now, cost = state
    h, w = scale.hole.shape
    valid = scale.sources.ravel()
    where = np.full(h * w, -1, np.intp)
    where[targets] = np.arange(len(targets))

    def consider(candidate: Index, rows: Index) -> None:
        ok = (candidate >= 0) & (candidate < h * w)
        ok[ok] = valid[candidate[ok]]
        rows, candidate = rows[ok], candidate[ok]
        if not len(rows):
            return
        d = _apart(known.take(candidate, axis=0), wanted.take(rows, axis=0))
        better = d < cost[rows]
        now[rows[better]], cost[rows[better]] = candidate[better], d[better]

    every = np.arange(len(targets))
    for jump in (8, 4, 2, 1) if sweep == 0 else (2, 1):
        for step in (jump, -jump, jump * w, -jump * w):
            neighbour = targets + step
            ok = (neighbour >= 0) & (neighbour < h * w)
            row = np.where(ok, where[np.clip(neighbour, 0, h * w - 1)], -1)
            have = np.flatnonzero(row >= 0)
            consider(now[row[have]] - step, have)
    radius = float(max(h, w))
    while radius >= 1:
        dy, dx = np.rint(rng.uniform(-radius, radius, (2, len(targets)))).astype(np.intp)
        y, x = now // w + dy, now % w + dx
        ok = (y >= 0) & (y < h) & (x >= 0) & (x < w)
        consider((y * w + x)[ok], every[ok])
        radius /= 3
    return targets, now, cost


def _vote(scale: _Scale, state: tuple[Index, Index, Float], depth: Float, sharp: bool, step: int = 1) -> None:
    """Make the hole anew from the map: each pixel is a weighted mean of what the patches over it say.

    With ``step`` 2 a pixel hears 16 of the 49 patches over it, which is as good where the best one decides.
    """
    targets, sources, cost = state
    offsets = _offsets(scale.width, step)
    flat = scale.picture.reshape(-1, scale.picture.shape[2])
    hole = scale.hole.ravel()
    # Each pixel trusts its best patches: how much worse another may be is relative to the best one over it.
    best = np.full(len(flat), np.float32(np.inf))
    for offset in offsets:
        at = targets + offset
        # a shift maps targets one to one, so no pixel is written twice in one go
        best[at] = np.minimum(best[at], cost)
    floor = max(float(np.quantile(cost, 0.05)), 1e-6)
    tolerance = np.float32(SHARP if sharp else SOFT)
    trust = np.power(np.float32(1.3), -depth.ravel()[targets])
    total = np.zeros_like(flat)
    sums = np.zeros(len(flat), np.float32)
    for offset in offsets:
        at = targets + offset
        inner = np.flatnonzero(hole[at])
        at = at[inner]
        excess = (cost[inner] - best[at]) / (best[at] + np.float32(floor))
        # patches near the border of the hole know more
        weight = trust[inner] * np.exp(-excess / tolerance) + np.float32(1e-12)
        total[at] += weight[:, None] * flat.take(sources[inner] + offset, axis=0)
        sums[at] += weight
    filled = np.flatnonzero(hole & (sums > 0))
    flat[filled] = total[filled] / sums[filled, None]


def _mirror_border(scale: _Scale) -> None:
    """Renew the reflected border from the inside."""
    r = REACH
    scale.picture[...] = np.pad(scale.picture[scale.inside], ((r, r), (r, r), (0, 0)), mode="symmetric")


def _depth(hole: Bool) -> Float:
    import cv2

    if hole.all():
        return np.ones(hole.shape, np.float32)
    return np.asarray(cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3), np.float32)


def patch_fill(picture: Float, hole: Bool, seed: int = 0, settings: PatchSettings | None = None) -> Float:
    """Fill holes with texture from elsewhere in the picture.

    Parameters
    ----------
    picture : (H, W, C) float32
        What the holes hold is of no account.
    hole : (H, W) bool
        True where unknown.
    seed : int
        Of the random search.
    settings : PatchSettings or None
        Sizes and rounds of the search; None: the defaults.

    Returns
    -------
    (H, W, C) float32
        Equal to ``picture`` outside the holes. Where there is no known 7 x 7 patch to copy from, smooth filling.
    """
    settings = settings or PatchSettings()
    if not hole.any():
        return picture.copy()
    pyramid = [(picture, hole)]
    while True:
        p, m = pyramid[-1]
        if _depth(m).max() <= COARSE_DEPTH or min(m.shape) < 48:
            break
        smaller = _halved(p, m)
        if not smaller[1].any() or not _scale(*smaller).sources.any():
            break
        pyramid.append(smaller)
    if not _scale(*pyramid[-1]).sources.any():
        return smooth_fill(picture, hole)
    rng = np.random.default_rng([seed, 7])
    field: tuple[Index, Index] | None = None
    below: Float | None = None
    for level in reversed(range(len(pyramid))):
        scale = _scale(*pyramid[level])
        if not scale.sources.any():  # a thin frame of known pixels: the scale below has all there is
            return smooth_fill(picture, hole)
        scale, field = _one_scale(scale, field, below, level, (settings, rng))
        below = scale.picture[scale.inside]
    done = np.where(hole[..., None], np.asarray(below), picture)
    return np.asarray(done, np.float32)


def _one_scale(
    scale: _Scale,
    field: tuple[Index, Index] | None,
    below: Float | None,
    level: int,
    how: tuple[PatchSettings, np.random.Generator],
) -> tuple[_Scale, tuple[Index, Index]]:
    """Fill one scale, starting from the map and the picture of the one below; return both."""
    import cv2

    settings, rng = how
    h, w = scale.hole.shape
    r = REACH
    depth = _depth(scale.hole)
    near = cv2.dilate(scale.hole.astype(np.uint8), np.ones((2 * r + 1, 2 * r + 1), np.uint8)) > 0
    inside = np.zeros_like(near)
    inside[scale.inside] = True
    targets = np.flatnonzero(near & inside)
    if field is None or below is None:
        marks = scale.hole[scale.inside]
        if int(marks.sum()) * min(int(scale.sources.sum()), LIBRARY) <= EXACT:
            picture, rows, columns = _onion(scale)
            scale.picture[...] = picture
            start = rows.ravel()[targets] * w + columns.ravel()[targets]
        else:  # thin holes all over: smooth filling is a good enough start
            scale.picture[scale.inside] = plate_fill(scale.picture[scale.inside], marks)
            start = targets.copy()
    else:
        size = scale.picture[scale.inside].shape
        big = cv2.resize(below, (size[1], size[0]), interpolation=cv2.INTER_LINEAR).reshape(size)
        marks = scale.hole[scale.inside]
        scale.picture[scale.inside][marks] = big[marks]
        start = _enlarged(field, targets, (h, w))
    _mirror_border(scale)
    valid = scale.sources.ravel()
    known = np.flatnonzero(valid)
    bad = ~valid[start]
    start[bad] = rng.choice(known, int(bad.sum()))
    offsets = _offsets(w)
    rough = scale.hole.size > settings.searched
    turns = 1 if rough else min(8, settings.turns + 2 * level)
    if rough:
        if settings.copied:
            state = _followed(scale, targets, start)
            start = state[1]
        else:
            # the map of the scale below is copied as it is: two patches agree as well as the smaller ones did
            state = (targets, start, np.ones(len(targets), np.float32))
        _vote(scale, state, depth, sharp=True, step=2 if settings.copied else 1)
        if settings.copied and level == 0:
            _even_rim(scale, state, depth)
        _mirror_border(scale)
    else:
        planes = _features(scale.picture)
        space = _Space(planes, known, offsets, FEW if settings.copied else MANY, rng)
        library = np.zeros((h * w, space.basis.shape[1]), np.float32)
        library[known] = space.of(planes, known)
        for turn in range(turns):
            wanted = space.of(_features(scale.picture), targets)
            cost = _apart(library.take(start, axis=0), wanted)
            state = (targets, start, cost)
            for sweep in range(settings.sweeps):
                state = _search((library, wanted), scale, state, sweep, rng)
            start = state[1]
            last = level == 0 and turn == turns - 1
            rough = settings.copied and not last
            _vote(scale, state, depth, sharp=last, step=2 if rough else 1)
            _mirror_border(scale)
    rows, columns = (np.array(a) for a in np.mgrid[0:h, 0:w])
    rows.ravel()[targets], columns.ravel()[targets] = start // w, start % w
    return scale, (rows[scale.inside] - r, columns[scale.inside] - r)


def _followed(scale: _Scale, targets: Index, start: Index) -> tuple[Index, Index, Float]:
    """Let each patch take over the shift of a neighbour where that fits better; return targets, sources, distances."""
    h, w = scale.hole.shape
    flat = scale.picture.reshape(-1, scale.picture.shape[2])
    # 16 samples of a patch tell two shifts apart as well as 49 do, in a third of the time
    offsets, valid = _offsets(w, 2), scale.sources.ravel()
    where = np.full(h * w, -1, np.intp)
    where[targets] = np.arange(len(targets))
    now = start.copy()

    def distances(rows: Index, sources: Index) -> Float:
        out = np.empty(len(rows), np.float32)
        for k in range(0, len(rows), ROWS):
            part = slice(k, k + ROWS)
            off = flat.take(targets[rows[part], None] + offsets, axis=0)
            off -= flat.take(sources[part, None] + offsets, axis=0)
            out[part] = np.einsum("nij,nij->n", off, off)
        return out

    cost = distances(np.arange(len(targets)), now)
    for jump in (4, 1):
        for step in (jump, -jump, jump * w, -jump * w):
            neighbour = targets + step
            ok = (neighbour >= 0) & (neighbour < h * w)
            row = np.where(ok, where[np.clip(neighbour, 0, h * w - 1)], -1)
            rows = np.flatnonzero(row >= 0)
            sources = now[row[rows]] - step
            fits = (sources >= 0) & (sources < h * w) & (sources != now[rows])
            fits[fits] = valid[sources[fits]]
            rows, sources = rows[fits], sources[fits]
            found = distances(rows, sources)
            better = found < cost[rows]
            now[rows[better]], cost[rows[better]] = sources[better], found[better]
    return targets, now, cost


#: Pixels over which a difference in colour at the rim is evened out, and over which that fades inwards.
EVEN, FADE = 6.0, 12.0


def _even_rim(scale: _Scale, state: tuple[Index, Index, Float], depth: Float) -> None:
    """Take from the filling what its sources differ by from the known pixels at the rim, less and less inwards.

    A cheap relative of Poisson blending (Perez, Gangnet and Blake 2003).
    """
    import cv2

    targets, sources, _ = state
    flat = scale.picture.reshape(-1, scale.picture.shape[2])
    rim = ~scale.hole.ravel()[targets]
    differs, marks = np.zeros_like(scale.picture), np.zeros(scale.hole.shape, np.float32)
    differs.reshape(flat.shape)[targets[rim]] = flat[targets[rim]] - flat[sources[rim]]
    marks.ravel()[targets[rim]] = 1
    weight = cv2.GaussianBlur(marks, (0, 0), EVEN)
    mean = (
        cv2.GaussianBlur(differs, (0, 0), EVEN).reshape(differs.shape) / np.maximum(weight, np.float32(1e-4))[..., None]
    )
    share = np.exp(-depth / np.float32(FADE)) * (weight > 1e-4)
    shift = mean * share[..., None]
    scale.picture[scale.hole] = np.clip(scale.picture[scale.hole] + shift[scale.hole], 0, 1)


def _enlarged(field: tuple[Index, Index], targets: Index, shape: tuple[int, int]) -> Index:
    """Return the sources of the targets of a scale from the map of the scale below."""
    h, w = shape
    r = REACH
    y, x = targets // w - r, targets % w - r
    sy, sx = (np.clip(v // 2, 0, n - 1) for v, n in ((y, field[0].shape[0]), (x, field[0].shape[1])))
    rows = np.clip(2 * field[0][sy, sx] + y % 2 + r, 0, h - 1)
    columns = np.clip(2 * field[1][sy, sx] + x % 2 + r, 0, w - 1)
    return np.asarray(rows * w + columns, np.intp)
