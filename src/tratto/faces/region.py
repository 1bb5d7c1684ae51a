"""What of a face may be painted: the outline less hair, glasses, hands and whatever else lies in front of the skin."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tratto.faces import mesh

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]
Points = NDArray[np.float64]

#: Side of the face, in pixels, at which colours are looked at: larger faces are made smaller, so that neither pores nor
#: grain count as something in front of the skin.
SIDE = 160
#: CIELAB steps by which skin varies without being something else: lightness, and a* and b* together.
LIGHTNESS, CHROMA = 15.0, 10.0
#: How far, in those steps squared, something must be from skin; and the share of it that does where texture speaks for
#: hair.
STRANGE, HAIR = 2.6, 0.2
#: How many times more than light skin varies shade may darken it, and the least share of its lightness that it leaves.
SHADE, DEEP = 2.0, 0.4
#: Lightness of skin for which those steps hold.
USUAL = 55.0
#: Steps of L* by which the frame of glasses is darker than the skin beside it.
RIM = 14.0
#: How much of that its faintest part is.
FRAME = 0.8
#: Share of a face's size by which a frame is wider than it is seen: its shade and its soft edge.
HALO = 0.015
#: Share of a face's width by which something must come in over the outline.
LINING = 0.07
#: Least share of the outline that lies free, below which nothing is held back: then the skin was not found.
LEAST_FREE = 0.35


@dataclass(frozen=True, eq=False)
class Region:
    """What the pixels of a picture of a face are.

    Attributes
    ----------
    face : (H, W) bool
        Inside the outline.
    kept : (H, W) bool
        In the outline, but in front of the face: hair, glasses, a hand.
    features : (H, W) bool
        Eyes, brows, lips and nostrils, generously.
    glasses : bool
        Whether a frame was seen.
    lining : (H, W) bool or None
        What else lines the outline and is not skin: hair or background where the outline is not exact.
    frames : (H, W) bool or None
        Frames of glasses, also beyond the outline; within it they are kept, unless they are :meth:`bare`.
    off : (H, W) bool or None
        Frames that are taken off.
    """

    face: Bool
    kept: Bool
    features: Bool
    glasses: bool = False
    lining: Bool | None = None
    frames: Bool | None = None
    off: Bool | None = None

    def bare(self) -> Region:
        """Return the region of the same face without its glasses."""
        if self.frames is None or not self.glasses:
            return self
        import cv2

        reach = 2 * max(1, round(HALO * float(np.sqrt(np.count_nonzero(self.face))))) + 1
        off = cv2.dilate(self.frames.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
        features = self.features | (off & self.face)  # no skin, whatever else
        return replace(self, kept=self.kept & ~off, features=features, off=off)

    @property
    def open(self) -> Bool:
        """What may be painted."""
        free: Bool = self.face & ~self.kept
        return free if self.off is None else free | self.off

    @property
    def skin(self) -> Bool:
        """What is skin."""
        return self.face & ~self.kept & ~self.features


def lab_of(picture: Float) -> Float:
    """Return CIELAB of encoded sRGB ((H, W, 3) float32 in [0, 1]), by OpenCV, which is fast enough for searches."""
    import cv2

    lab: Float = cv2.cvtColor(np.clip(picture, 0, 1).astype(np.float32), cv2.COLOR_RGB2Lab)
    return lab


def region_of(picture: Float, points: Points) -> Region:
    """Tell skin from what lies in front of it.

    The colour of skin is known from the cheeks, the nose and the forehead, and may change slowly from place to place
    with the light. What differs from it strongly, hangs together and comes in over the outline is kept, and so are
    frames of glasses. What lies on the face alone belongs to it: eyes, brows, lips, nostrils, wrinkles, moles and
    paint; and a beard, which is told by lying on both sides.

    Parameters
    ----------
    picture : (H, W, 3) float32 in [0, 1]
        Encoded sRGB, upright.
    points : (468, 2 or 3) array
        In its pixels; depth is not looked at.

    Returns
    -------
    Region
        The face, what of it is open to change, and whether there are glasses.
    """
    import cv2

    shape = (picture.shape[0], picture.shape[1])
    scale = min(1.0, SIDE / max(mesh.width(points), 1.0))
    size = (max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale)))
    small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)
    ratio = np.array([size[0] / shape[1], size[1] / shape[0]])
    at = (points[:, :2] + 0.5) * ratio - 0.5
    face = mesh.outline(points, shape) > 0
    found = _small(small, at)
    nothing = np.zeros_like(found.kept)
    lining, frames = (nothing if part is None else part for part in (found.lining, found.frames))
    kept, features, lining, frames = (
        cv2.resize(part.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR) > level
        for part, level in ((found.kept, 0.35), (found.features, 0.5), (lining, 0.35), (frames, 0.35))
    )
    return Region(face, kept & face, features, found.glasses, lining & face, frames if found.glasses else None)


def _small(picture: Float, points: Points) -> Region:
    shape = (picture.shape[0], picture.shape[1])
    side = mesh.width(points)
    face = mesh.outline(points, shape) > 0
    lab = lab_of(picture)
    lines = _lines(lab, side)
    glasses = _glasses(lines, points, side) or _rims(lab, lines, points, side)[1] > RIM
    near = 0.012 if glasses else 0.045
    features = mesh.hull(points, mesh.LIPS, shape, 0.03 * side) | mesh.hull(points, mesh.NOSTRILS, shape, 0.02 * side)
    for eye, brow in zip(mesh.EYES, mesh.BROWS, strict=True):
        features |= mesh.hull(points, eye, shape, (0.03 if glasses else 0.05) * side)
        features |= mesh.hull(points, brow, shape, near * side)
        if not glasses:  # the lid between eye and brow lies in shadow
            features |= mesh.hull(points, eye + brow, shape)
    strange = _strange(lab, points, face, side) & face
    kept, lining = _kept(strange & ~features, face, points, side)
    # the ends of the brows are drawn generously, and beyond the eyes hair may lie there
    ends = features & _beyond_the_eyes(points, shape, side)
    features &= ~_reached(kept | lining, strange & ends)
    kept |= _reached(kept, strange & ends)
    lining = (lining | _reached(lining, strange & ends)) & ~kept
    frames = None
    if glasses:
        rims = _rims(lab, lines, points, side)[0]
        features &= ~rims
        frames = rims | _frames(lines, features, points, side)
        kept |= frames
        frames |= _reached(frames, kept & _around_eyes(points, shape, side)) & ~features
    return Region(face, kept & face & ~features, features, glasses, lining, frames)


def _beyond_the_eyes(points: Points, shape: tuple[int, int], side: float) -> Bool:
    """Return what lies farther out than the outer corners of the eyes."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    out = np.zeros(shape, bool)
    for outer, inner in (mesh.LEFT_EYE, mesh.RIGHT_EYE[::-1]):
        x, y = points[outer, :2]
        away = points[outer, :2] - points[inner, :2]
        away = away / max(float(np.linalg.norm(away)), 1e-6)
        out |= (columns - x) * away[0] + (rows - y) * away[1] > 0.01 * side
    return out


def _reached(seeds: Bool, through: Bool) -> Bool:
    """Return what of some pixels hangs together with seeds beside them."""
    import cv2

    count, labels = cv2.connectedComponents((seeds | through).astype(np.uint8), connectivity=8)
    found = np.unique(labels[seeds])
    out: Bool = through & np.isin(labels, found[found > 0]) if count > 1 else np.zeros_like(seeds)
    return out


def _strange(lab: Float, points: Points, face: Bool, side: float) -> Bool:
    """Return which pixels are not of the colour that skin has near them."""
    import cv2

    samples = np.zeros(face.shape, np.uint8)
    for x, y in points[list(mesh.SKIN), :2]:
        cv2.circle(samples, (round(x), round(y)), max(1, round(0.055 * side)), 1, -1)
    sampled = (samples > 0) & face
    if np.count_nonzero(sampled) < 8:
        return np.zeros_like(face)
    middle = np.median(lab[sampled], axis=0)
    spread = 1.4826 * np.median(np.abs(lab[sampled] - middle), axis=0)
    # samples that are not skin themselves, such as a fringe on the forehead, do not count
    off = np.abs(lab - middle) / np.maximum(2.5 * spread, (LIGHTNESS, CHROMA, CHROMA)).astype(np.float32)
    sampled &= (off < 1).all(axis=2)
    if np.count_nonzero(sampled) < 8:
        return np.zeros_like(face)
    weight = sampled.astype(np.float32)
    # light changes slowly: skin near a place tells more of it than skin far away, and all of it a little
    local = np.empty_like(lab)
    total = cv2.GaussianBlur(weight, (0, 0), 0.16 * side) + np.float32(0.03)
    for i in range(3):
        known = cv2.GaussianBlur(weight * (lab[..., i] - middle[i]).astype(np.float32), (0, 0), 0.16 * side)
        local[..., i] = middle[i] + known / total
    soft = cv2.GaussianBlur(lab, (0, 0), 0.008 * side)
    away = soft - local
    # in the dark everything differs by less
    dim = float(np.clip(middle[0] / USUAL, 0.5, 1.0))
    rest = 1.4826 * np.median(np.abs(away[sampled]), axis=0)
    lightness = max(LIGHTNESS * dim, 2.5 * float(rest[0]))
    # lamps of several colours leave more than one on the skin
    chroma = max(CHROMA * dim, 2.0 * float(np.hypot(spread[1], spread[2])))
    # shade takes light and leaves the hue: a* and b* fall with L*, so that they are compared at the lightness of skin;
    # what is darker than any shade of skin is something else
    bright = np.maximum(local[..., 0], 1)
    share = np.clip((soft[..., 0] + 4) / (bright + 4), 0.01, None)
    hue = soft[..., 1:] / np.clip(share, DEEP, 1)[..., None] - local[..., 1:]
    depth = np.where(away[..., 0] < 0, SHADE * lightness, lightness).astype(np.float32)
    off = np.minimum((hue**2).sum(axis=2), (away[..., 1:] ** 2).sum(axis=2))
    color = (away[..., 0] / depth) ** 2 + off / chroma**2
    plain = (away[..., 0] / lightness) ** 2 + (away[..., 1:] ** 2).sum(axis=2) / chroma**2
    # a shadow changes colour without texture, hair is seldom without; both together tell what either leaves open
    fine = lab[..., 0] - cv2.GaussianBlur(lab[..., 0], (0, 0), 0.02 * side)
    rough = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 0.02 * side))
    texture = rough / np.float32(max(1.2, 2.2 * float(np.median(rough[sampled]))))
    # shade lies below the eyes and along the jaw; above them it is hair that is darker than skin
    down = points[mesh.CHIN, :2] - points[mesh.TOP, :2]
    eyes = points[[i for eye in mesh.EYES for i in eye], :2].mean(0)
    rows, columns = np.mgrid[0 : face.shape[0], 0 : face.shape[1]]
    high = (columns - eyes[0]) * down[0] + (rows - eyes[1]) * down[1] < 0
    color = np.where(high, plain, color)
    strange: Bool = (color > STRANGE) | ((color > HAIR * STRANGE) & (texture > 1))
    return strange


def _lines(lab: Float, side: float) -> Float:
    """Return how dark thin things are against what is around them, in L*."""
    import cv2

    reach = max(2, round(0.035 * side))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.morphologyEx(lab[..., 0], cv2.MORPH_BLACKHAT, kernel), np.float32)


def _glasses(lines: Float, points: Points, side: float) -> bool:
    """Return whether thin dark lines run below both eyes and across the bridge of the nose."""
    height, wide = lines.shape

    def strongest(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        rows, columns = (np.clip(np.rint(v).astype(int), 0, n - 1) for v, n in ((y, height), (x, wide)))
        return float(lines[rows, columns].max())

    down = points[mesh.CHIN, :2] - points[mesh.TOP, :2]
    turn = float(np.arctan2(down[1], down[0])) - np.pi / 2
    away = np.arange(0.09, 0.25, 1 / side) * side
    below = []
    for eye in mesh.EYES:
        x, y = points[list(eye), :2].mean(0)
        rays = np.linspace(0.15 * np.pi, 0.85 * np.pi, 9) + turn
        below.append(float(np.median([strongest(x + np.cos(a) * away, y + np.sin(a) * away) for a in rays])))
    x, y = points[mesh.BRIDGE, :2]
    along, across = (np.array([np.cos(turn + a), np.sin(turn + a)]) for a in (np.pi / 2, 0.0))
    steps = np.arange(-0.05, 0.12, 1 / side) * side
    bridge = [
        strongest(x + along[0] * steps + across[0] * off, y + along[1] * steps + across[1] * off)
        for off in np.linspace(-0.03, 0.03, 7) * side
    ]
    return min(below) > RIM and float(np.median(bridge)) > RIM


def _kept(strange: Bool, face: Bool, points: Points, side: float) -> tuple[Bool, Bool]:
    """Return the connected parts that lie in front of the face, and those that only line the outline."""
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats(strange.astype(np.uint8), connectivity=8)
    least = 0.0012 * side**2
    kept, lining = np.zeros_like(strange), np.zeros_like(strange)
    depth = cv2.distanceTransform(face.astype(np.uint8), cv2.DIST_L2, 5)
    rim = face & (depth <= max(1.0, 0.012 * side))
    mirrored = _mirrored(strange, points)
    nose = points[1, :2]
    down = points[mesh.CHIN, :2] - points[mesh.TOP, :2]
    down = down / max(float(np.linalg.norm(down)), 1e-6)
    for label in range(1, count):
        part = labels == label
        if not (part & rim).any():
            continue
        # what only lines the outline is where the mesh is not exact, and where the edge is soft anyway
        if stats[label, cv2.CC_STAT_AREA] < least or depth[part].max() < LINING * side:
            lining |= part
            continue
        rows, columns = np.nonzero(part)
        below = ((columns - nose[0]) * down[0] + (rows - nose[1]) * down[1]).mean() > 0
        if below and np.count_nonzero(part & mirrored) > 0.45 * len(rows):
            continue  # a beard
        kept |= part
    if np.count_nonzero(kept & face) > (1 - LEAST_FREE) * np.count_nonzero(face):
        return np.zeros_like(kept), lining
    # a little more than was seen, with an edge that is not ragged
    out: Bool = (cv2.GaussianBlur(kept.astype(np.float32), (0, 0), 0.025 * side) > 0.3) & face
    return out, lining & ~out


def _around_eyes(points: Points, shape: tuple[int, int], side: float) -> Bool:
    """Return where lenses and their frames lie."""
    out = np.zeros(shape, bool)
    for eye, brow in zip(mesh.EYES, mesh.BROWS, strict=True):
        out |= mesh.hull(points, eye + brow, shape, 0.13 * side)
    return out


def _rims(lab: Float, lines: Float, points: Points, side: float) -> tuple[Bool, float]:
    """Return the rims around the lenses, if there are any, and how strongly three quarters of the fainter one show.

    Around each eye the closed line is taken along which thin things that are darker or yellower than their surroundings
    show most (dynamic programming over angle and radius), so that a rim goes on where it is faint, too.
    """
    import cv2

    reach = max(2, round(0.035 * side))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    yellow = cv2.morphologyEx(lab[..., 2], cv2.MORPH_TOPHAT, kernel)
    strength = np.clip(lines, 0, 25) + np.clip(yellow - 3, 0, 15)
    for eye in mesh.EYES:  # lids and lashes are dark as well
        strength[mesh.hull(points, eye, (lines.shape[0], lines.shape[1]), 0.04 * side)] = 0
    down = points[mesh.CHIN, :2] - points[mesh.TOP, :2]
    angles = np.linspace(0, 2 * np.pi, 96, endpoint=False) + np.arctan2(down[1], down[0])
    radii = np.linspace(0.085, 0.27, 40) * side
    rims, shown = np.zeros(lines.shape, np.uint8), []
    for eye in mesh.EYES:
        middle = points[list(eye), :2].mean(0)
        x, y = ((middle[i] + np.outer(f(angles), radii)).astype(np.float32) for i, f in enumerate((np.cos, np.sin)))
        along = cv2.remap(strength, x, y, cv2.INTER_LINEAR)
        path = _closed(along)
        at = np.arange(len(path)), path
        shown.append(float(np.percentile(along[at], 25)))
        corners = np.rint(8 * np.column_stack([x[at], y[at]])).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(rims, [corners], True, 1, max(1, round(0.012 * side)), cv2.LINE_8, 3)
    wider = cv2.dilate(rims, np.ones((2 * reach - 1, 2 * reach - 1), np.uint8)) > 0
    return (rims > 0) | (wider & (strength > FRAME * RIM)), min(shown)


def _closed(values: Float) -> NDArray[np.intp]:
    """Return for each row of values the column of a closed path of the highest sum, of at most one column a row."""
    rows, columns = values.shape
    best, back = np.zeros(columns), []
    for row in (*values, *values, *values):  # the middle round begins where it ends
        beside = np.pad(best, 1, constant_values=-np.inf)
        three = np.stack([beside[:-2], best, beside[2:]])
        step = three.argmax(axis=0)
        back.append(step - 1)
        best = three.max(axis=0) + row
    path = [int(best.argmax())]
    for step in reversed(back[1:]):
        path.append(path[-1] + int(step[path[-1]]))
    return np.array(path[::-1][rows : 2 * rows])


def _frames(lines: Float, features: Bool, points: Points, side: float) -> Bool:
    """Return the frame of glasses: long dark lines around the eyes, and what goes on from them to the ears."""
    import cv2

    shape = (lines.shape[0], lines.shape[1])
    around = _around_eyes(points, shape, side)
    dark = lines > FRAME * RIM
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (dark & around & ~features).astype(np.uint8), connectivity=8
    )
    wide = [k for k in range(1, count) if stats[k, cv2.CC_STAT_WIDTH] > 0.16 * side]
    found: Bool = np.isin(labels, wide)
    found |= _reached(found, dark & _temples(points, shape, side) & ~features)
    return np.asarray(cv2.dilate(found.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)


def _temples(points: Points, shape: tuple[int, int], side: float) -> Bool:
    """Return where the arms of glasses run: a strip from each eye outward, at the height of eye and brow."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    out = np.zeros(shape, bool)
    for (outer, inner), brow in zip((mesh.LEFT_EYE, mesh.RIGHT_EYE[::-1]), mesh.BROWS, strict=True):
        away = points[outer, :2] - points[inner, :2]
        away = away / max(float(np.linalg.norm(away)), 1e-6)
        x, y = columns - points[outer, 0], rows - points[outer, 1]
        along, across = x * away[0] + y * away[1], np.abs(x * away[1] - y * away[0])
        reach = float(np.linalg.norm(points[list(brow), :2].mean(0) - points[[outer, inner], :2].mean(0)))
        out |= (along > 0) & (along < 0.2 * side) & (across < reach + 0.03 * side)
    return out


def _mirrored(part: Bool, points: Points) -> Bool:
    """Return a part of a face as in a mirror along the face's middle."""
    import cv2

    from tratto.faces.align import similarity

    pairs = [(33, 263), (133, 362), (61, 291), (234, 454), (50, 280), (205, 425), (10, 10), (152, 152), (1, 1)]
    left, right = (points[[p[i] for p in pairs], :2] for i in (0, 1))
    both, other = np.concatenate([left, right]), np.concatenate([right, left])
    flip = np.array([-1.0, 1.0])
    turn = similarity(both * flip, other)
    matrix = np.column_stack([turn[:, :2] * flip, turn[:, 2]])
    shape = part.shape
    out = cv2.warpAffine(part.astype(np.uint8), matrix, (shape[1], shape[0]), flags=cv2.INTER_NEAREST)
    return np.asarray(out > 0)
