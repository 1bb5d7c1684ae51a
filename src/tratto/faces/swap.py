"""One face on another: the warp over the mesh, colour and light, the seam, sharpness and grain.

A :class:`Look` says how; searches try many. All lengths are shares of the face's width, so that what was found on a
small picture holds for the large one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import FaceMesh, FaceSwapper
from tratto.faces import align, mesh
from tratto.faces.region import Region, lab_of, region_of

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]
Points = NDArray[np.float64]

#: Most of the edge that is feathered: pixels, and share of the face's width.
FEATHER_PIXELS, FEATHER_SHARE = 25.0, 0.06
#: What is never painted at the outline: pixels, and share of the face's width.
ERODE_PIXELS, ERODE_SHARE = 3.0, 0.012
#: Side of a face at which light and colour, which change slowly, are compared.
COARSE = 72
#: Most of a step of CIELAB that the seam may be lifted by.
MOST_LIFT = (16.0, 9.0, 9.0)
#: How far around the face a picture of it reaches, in widths of the face.
AROUND = 0.62
#: Share of a character's face that may be hidden; beyond it nothing is left out, for the skin was not found.
MOST_HIDDEN = 0.5
#: Share of the forehead under hair from which on all of it is continued.
FRINGE = 0.5
#: How far beside the outline of a character's face skin is continued, as a share of the face's size.
BESIDE = 0.12
#: Spread of hue over a face, in CIELAB, from which on its light is one of several colours.
COLORED = 7.0
#: Chroma by which the white of an eye or a tooth differs from skin, so that skin's tint does not go to it.
TINTED = 16.0


@dataclass(frozen=True)
class Look:
    """How a face is laid on another; one place of the search.

    Attributes
    ----------
    feather : float
        Width of the soft edge, as a share of the widest one (:data:`FEATHER_PIXELS`).
    color : float
        How far the skin's hue becomes that of the scene: 0 not, 1 wholly.
    light : float
        How far light and shadow over the face become those of the scene.
    detail : float
        Contrast of fine detail; 1 as it was.
    stiffness : float
        0: eyes, nose and mouth lie where they are in the scene; 1: as in the character's own face.
    grain : float
        How much of the grain that is missing is added; 1 as much as the scene has.
    seam : float
        How much of the step that remains along the edge is taken out (Poisson).
    draws : tuple of (int, float)
        Refinements by a diffusion model, one upon the other: seed, and share of the way to noise. Empty: none.

    Examples
    --------
    >>> Look.raw().seam
    0.0
    """

    feather: float = 0.7
    color: float = 1.0
    light: float = 0.7
    detail: float = 1.0
    stiffness: float = 0.6
    grain: float = 1.0
    seam: float = 1.0
    draws: tuple[tuple[int, float], ...] = ()

    @classmethod
    def raw(cls) -> Look:
        """Return the warp alone: nothing of the scene's colour, light or grain."""
        return cls(feather=0.15, color=0.0, light=0.0, detail=1.0, stiffness=0.0, grain=0.0, seam=0.0)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers."""
        values: dict[str, Any] = {k: round(float(getattr(self, k)), DIGITS) for k in RANGES}
        return values | ({"draws": [list(d) for d in self.draws]} if self.draws else {})

    @classmethod
    def of(cls, numbers: Any) -> Look:
        """Return a look of numbers by name."""
        draws = tuple((int(seed), float(share)) for seed, share in numbers.get("draws", ()))
        return cls(**{name: float(numbers[name]) for name in RANGES}, draws=draws)


#: Digits after the point that are told of a look, and are used of it: a replay must paint what was painted.
DIGITS = 4
#: What searches try: lowest and highest.
RANGES: dict[str, tuple[float, float]] = {
    "feather": (0.25, 1.0),
    "color": (0.7, 1.0),
    "light": (0.25, 1.0),
    "detail": (0.75, 1.3),
    "stiffness": (0.2, 1.0),
    "grain": (0.4, 1.3),
    "seam": (0.6, 1.0),
}


@dataclass(frozen=True, eq=False)
class Target:
    """The face in the scene, cut out.

    Attributes
    ----------
    picture : (H, W, 3) float32
        Encoded sRGB.
    points : (468, 3) array
        In its pixels.
    may : (H, W) float32
        Where it may change: 1, or 0.
    region : Region
        Skin and what lies in front of it.
    """

    picture: Float
    points: Points
    may: Float
    region: Region

    @property
    def side(self) -> float:
        """Width of the face in pixels."""
        return mesh.width(self.points)

    def smaller(self, factor: float) -> Target:
        """Return it at another size; the region is told anew."""
        import cv2

        height, wide = self.may.shape
        size = (max(8, round(wide * factor)), max(8, round(height * factor)))
        ratio = np.array([size[0] / wide, size[1] / height, factor])
        points = (self.points + np.array([0.5, 0.5, 0])) * ratio - np.array([0.5, 0.5, 0])
        picture, may, kept, features = (
            cv2.resize(np.asarray(v, np.float32), size, interpolation=cv2.INTER_AREA)
            for v in (self.picture, self.may, self.region.kept, self.region.features)
        )
        face = mesh.outline(points, (size[1], size[0])) > 0
        off = self.region.off
        if off is not None:
            off = cv2.resize(off.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.3
        region = Region(face, (kept > 0.3) & face, features > 0.5, self.region.glasses, off=off)
        return Target(np.asarray(picture, np.float32), points, (may > 0.5).astype(np.float32), region)


@dataclass(frozen=True, eq=False)
class Laid:
    """A character's face laid on a target by a similarity alone, before the warp.

    Attributes
    ----------
    picture : (H, W, 3) float32
        Encoded sRGB, of the target's size.
    points : (468, 3) array
        In its pixels.
    region : Region
        Skin and what lies in front of it, of the character.
    """

    picture: Float
    points: Points
    region: Region


def lay(character: Float, points: Points, target: Target) -> Laid:
    """Cut a character's face out so that it lies on the target as well as turning, scaling and shifting can.

    Parameters
    ----------
    character : (h, w, 3) float32
        Encoded sRGB, upright.
    points : (468, 3) array
        In pixels of ``character``; depth has the same unit.
    target : Target
        Where it is laid.
    """
    matrix = align.similarity(points[:, :2], target.points[:, :2])
    height, wide = target.may.shape
    chip = align.cut(character, matrix, max(height, wide))[:height, :wide]
    moved = np.column_stack([align.moved(points[:, :2], matrix), points[:, 2] * np.hypot(matrix[0, 0], matrix[1, 0])])
    return Laid(chip, moved, region_of(chip, moved))


def shaped(source: Points, target: Points, stiffness: float) -> Points:
    """Return where the points of a face go: between the scene's own places and the character's shape.

    The character's points are turned, scaled and shifted in space until they lie on the scene's; the outline stays the
    scene's, and the nearer to it, the more a point does.

    Parameters
    ----------
    source, target : (468, 3) array
        The character's points and the scene's, in pixels; depth has the same unit.
    stiffness : float
        In [0, 1].

    Returns
    -------
    (468, 2) array
        In pixels of the scene.

    References
    ----------
    Arun, Huang and Blostein, "Least-squares fitting of two 3-D point sets", 1987.
    """
    import cv2

    if stiffness <= 0:
        return np.array(target[:, :2])
    a, b = source - source.mean(0), target - target.mean(0)
    u, singular, vt = np.linalg.svd(a.T @ b)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    turn = (u * sign) @ vt
    scale = float((singular * sign).sum()) / max(float((a * a).sum()), 1e-9)
    own = (scale * a @ turn + target.mean(0))[:, :2]
    side = mesh.width(target)
    corners = target[list(mesh.OVAL), :2].astype(np.float32).reshape(-1, 1, 2)
    inside = np.array([cv2.pointPolygonTest(corners, (float(x), float(y)), True) for x, y in target[:, :2]])
    weight = np.clip(inside / (0.14 * side), 0, 1)[:, None]
    return np.asarray(target[:, :2] + stiffness * weight * (own - target[:, :2]))


def _framed(points: Points, shape: tuple[int, int], wide: float = 1.3) -> Points:
    """Return points with the outline once more, wider, and the corners of the picture: (468 + 36 + 4, 2)."""
    oval = points[list(mesh.OVAL), :2]
    ring = oval.mean(0) + wide * (oval - oval.mean(0))
    corners = np.array([(-1.0, -1), (shape[1], -1), (-1, shape[0]), (shape[1], shape[0])])
    return np.concatenate([points[:, :2], ring, corners])


def triangles(points: Points) -> NDArray[np.int64]:
    """Return a triangulation (Delaunay) of points in the plane as (N, 3) indices.

    Parameters
    ----------
    points : (M, 2) array
        Some may coincide: for the triangulation they are moved apart by a thousandth of a pixel.

    Examples
    --------
    >>> len(triangles(np.array([[0.0, 0], [4, 0], [0, 4], [4, 4]])))
    2
    """
    import cv2

    low, high = points.min(0) - 2, points.max(0) + 2
    # no two points may coincide; a thousandth of a pixel is nothing to a picture
    shaken = (points + np.column_stack([np.arange(len(points)) % 7, np.arange(len(points)) % 11]) * 1e-3).astype(
        np.float32
    )
    rect = (int(low[0]) - 1, int(low[1]) - 1, int(high[0] - low[0]) + 4, int(high[1] - low[1]) + 4)
    plane = cv2.Subdiv2D(rect)
    numbers: dict[tuple[float, float], int] = {}
    for i, (x, y) in enumerate(shaken.tolist()):
        plane.insert((x, y))
        numbers[x, y] = i
    found = []
    for x0, y0, x1, y1, x2, y2 in np.asarray(plane.getTriangleList()).tolist():
        three = [numbers.get(p, -1) for p in ((x0, y0), (x1, y1), (x2, y2))]
        if min(three) >= 0:
            found.append(three)
    return np.array(sorted(found), np.int64).reshape(-1, 3)


def warp(picture: Float, source: Points, target: Points, stiffness: float, shape: tuple[int, int]) -> Float:
    """Warp a character's face onto the scene's, triangle by triangle.

    The triangles are those of the scene's points, its outline once more and wider, and the corners of the picture; each
    is filled by an affine map of the character's own triangle.

    Parameters
    ----------
    picture : (h, w, C) float32
        The character.
    source : (468, 3) array
        Its points.
    target : (468, 3) array
        Those of the scene's face.
    stiffness : float
        See :class:`Look`.
    shape : (int, int)
        Rows and columns of the result.

    Returns
    -------
    (H, W, C) float32
        The character as it lies on the scene's face.
    """
    import cv2

    onto = _framed(shaped(source, target, stiffness), shape)
    come = _framed(source, shape)
    found = triangles(_framed(target, shape))
    index = np.full(shape, -1, np.int32)
    for i, corners in enumerate(np.rint(onto[found] * 8).astype(np.int32)):
        cv2.fillConvexPoly(index, corners.reshape(-1, 1, 2), i, lineType=cv2.LINE_8, shift=3)
    whole = np.concatenate([onto[found], np.ones((len(found), 3, 1))], axis=2)
    flat = np.abs(np.linalg.det(whole)) < 1e-3
    whole[flat] = np.eye(3)
    back = np.linalg.solve(whole, come[found])  # (N, 3, 2): source = [x, y, 1] @ back
    back[flat] = [[1, 0], [0, 1], [0, 0]]
    back = np.concatenate([back, [[[1, 0], [0, 1], [0, 0]]]]).astype(np.float32)  # -1: as it lies
    chosen = back[index]
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    across = chosen[..., 0, 0] * x + chosen[..., 1, 0] * y + chosen[..., 2, 0]
    down = chosen[..., 0, 1] * x + chosen[..., 1, 1] * y + chosen[..., 2, 1]
    out = cv2.remap(picture, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(out, 0, 1), np.float32)


def _hidden(laid: Laid) -> Bool:
    """Return what hides the character at the outline, such as a fringe; glasses are taken along with the eyes.

    A forehead of which more than :data:`FRINGE` is hidden counts as hidden whole: what is left of it would be a blotch.
    """
    import cv2

    region = laid.region
    side = float(np.sqrt(max(1, int(np.count_nonzero(region.face)))))
    # where the outline is not exact, what lies beside the face came along; between two sizes it would be torn wide
    thin = np.zeros_like(region.face) if region.lining is None else region.lining
    wide = np.asarray(cv2.GaussianBlur(thin.astype(np.float32), (0, 0), 0.02 * side))
    lining: Bool = (wide > 0.2) & region.face
    rim = region.face & ~(cv2.erode(region.face.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0)
    count, labels = cv2.connectedComponents(region.kept.astype(np.uint8), connectivity=8)
    if count < 2:
        return lining
    touching = np.unique(labels[rim & region.kept])
    hidden: Bool = np.isin(labels, touching[touching > 0])
    if np.count_nonzero(hidden) > MOST_HIDDEN * np.count_nonzero(region.face):
        return np.zeros_like(region.face)
    wider = cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), 0.03 * side) > 0.15
    shape = (wider.shape[0], wider.shape[1])
    forehead = mesh.hull(laid.points, mesh.FOREHEAD, shape) & ~region.features
    if np.count_nonzero(wider & forehead) > FRINGE * np.count_nonzero(forehead):
        # up to the brows: under a fringe they lie in its shade
        wider |= mesh.hull(laid.points, mesh.FOREHEAD, shape) & ~_brows(laid.points, shape)
    calm: Bool = cv2.GaussianBlur(wider.astype(np.float32), (0, 0), 0.02 * side) > 0.5
    # up to the eyes and brows themselves: between them and the hair there is no skin to lay on
    tight = mesh.hull(laid.points, mesh.LIPS, shape)
    for eye in mesh.EYES:
        tight |= mesh.hull(laid.points, eye, shape, 0.02 * side)
    tight |= _brows(laid.points, shape)
    tight &= ~(region.kept | lining)
    if region.glasses:  # they come along whole or not at all
        tight |= mesh.hull(laid.points, mesh.EYES[0] + mesh.EYES[1] + mesh.BROWS[0] + mesh.BROWS[1], shape, 0.13 * side)
    out: Bool = (calm | lining) & ~tight
    return out


def _beside(face: Bool) -> Bool:
    """Return what lies beside the outline of a face."""
    import cv2

    reach = 2 * max(1, round(BESIDE * float(np.sqrt(np.count_nonzero(face))))) + 1
    wider = cv2.dilate(face.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))) > 0
    out: Bool = wider & ~face
    return out


def _brows(points: Points, shape: tuple[int, int]) -> Bool:
    """Return the lower half of the brows: where a fringe reaches them, the mesh takes it for their upper edge."""
    out = np.zeros(shape, bool)
    for brow in mesh.BROWS:
        low, high = brow[:5], brow[5:]
        lower = points.copy()
        lower[list(high)] = (points[list(high)] + points[list(low)]) / 2
        out |= mesh.hull(lower, brow, shape)
    return out


def _completed(laid: Laid, hidden: Bool, seed: int) -> tuple[Float, Float]:
    """Return the character with skin where something hides it, and what may be shown of it (float32, 1 or 0).

    The skin is the smoothest continuation of what is seen of her own, with texture as strong as hers at several sizes:
    the scene's skin in its place would leave too much of another person.
    """
    import cv2

    everything = np.ones(hidden.shape, np.float32)
    side = mesh.width(laid.points)
    reach = 2 * max(1, round(0.015 * side)) + 1
    known = laid.region.skin & ~(cv2.dilate(hidden.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0)
    if not hidden.any():
        return laid.picture, everything
    scale = min(1.0, COARSE / max(side, 1.0))
    size = (max(4, round(hidden.shape[1] * scale)), max(4, round(hidden.shape[0] * scale)))
    lab = lab_of(laid.picture)
    share = np.asarray(cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)
    if np.count_nonzero(share > 0.5) < 16:
        return laid.picture, 1 - hidden.astype(np.float32)
    values = cv2.resize(lab * known[..., None], size, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-3)[..., None]
    smooth = _harmonic(values, share > 0.5, 0.03 * COARSE)
    fill = np.asarray(cv2.resize(smooth, hidden.shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)
    # pores and grain; what is coarser would be blotches
    fine = (lab[..., 0] - cv2.GaussianBlur(lab[..., 0], (0, 0), max(0.8, 0.012 * side)))[known]
    noise = np.random.default_rng([seed, 1]).standard_normal(hidden.shape).astype(np.float32)
    noise -= cv2.GaussianBlur(noise, (0, 0), max(0.8, 0.012 * side))
    fill[..., 0] += np.float32(1.4826 * float(np.median(np.abs(fine)))) * noise
    soft = cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), max(0.6, 0.012 * side))[..., None]
    filled = np.clip(cv2.cvtColor(fill, cv2.COLOR_Lab2RGB), 0, 1)
    return np.asarray(laid.picture + soft * (filled - laid.picture), np.float32), everything


class Painter:
    """Lays one character's face on one target, with any :class:`Look`.

    Parameters
    ----------
    target : Target
        The scene's face.
    laid : Laid
        The character's face, laid on ``target``.
    engine : FaceSwapper
        Blends what was warped into the scene.
    seed : int
        Of the grain.
    """

    def __init__(self, target: Target, laid: Laid, engine: FaceSwapper, seed: int = 0) -> None:
        self.target, self.laid, self._engine = target, laid, engine
        self._meshes = FaceMesh(laid.points, 1.0), FaceMesh(target.points, 1.0)
        hidden = _hidden(laid) if engine.lays_pixels else np.zeros_like(laid.region.face)
        #: Share of the character's face that something hides.
        self.hidden = float(hidden[laid.region.face].mean()) if laid.region.face.any() else 0.0
        beyond = (target.may > 0.5) & ~target.region.face
        drawn = beyond if target.region.off is None else beyond & ~target.region.off
        if engine.lays_pixels and not drawn.any():
            # a cheek that is turned away ends in the picture before it does in the mesh: what is beside it is not hers
            hidden |= _beside(laid.region.face)
        self._character, shown = _completed(laid, hidden, seed)
        self._character = np.concatenate([self._character, shown[..., None]], axis=2)
        self.lab = lab_of(target.picture)
        self._grain, self._missing = _grain_of(self.lab, target, laid, seed)
        self._blur = _blur_of(target, laid)
        self._bared = _bared(target)

    def paint(self, look: Look) -> tuple[Float, Float]:
        """Return the face in its place ((H, W, 3) float32, encoded sRGB) and how much of each pixel it is."""
        import cv2

        side = self.target.side
        source, onto = self._meshes
        swapped = self._engine.swap(self._character, source, self.target.picture, onto, look.stiffness)
        face, shown = np.ascontiguousarray(swapped[..., :3]), swapped[..., 3]
        alpha = self._alpha(look, shown)
        lab = lab_of(face)
        if self._blur > 0.2:
            lab = cv2.GaussianBlur(lab, (0, 0), self._blur)
        lab = self._relit(lab, shown, look)
        if look.detail != 1:
            base = cv2.GaussianBlur(lab[..., 0], (0, 0), max(0.6, 0.02 * side))
            lab[..., 0] = base + np.float32(look.detail) * (lab[..., 0] - base)
        if look.seam > 0:
            lab += np.float32(look.seam) * self._lift(lab, alpha)
        if look.grain > 0 and self._missing > 0:
            lab[..., 0] += np.float32(look.grain * self._missing) * self._grain
        lab[..., 0] = np.clip(lab[..., 0], 0, 100)
        out = np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), 0, 1).astype(np.float32)
        if self._bared is None:
            return out, alpha
        # a frame that is taken off may not show through the soft edge, nor be left beyond it
        without, share = self._bared
        both = (1 - alpha) * share
        total = alpha + both
        mixed = (alpha[..., None] * out + both[..., None] * without) / np.maximum(total, 1e-6)[..., None]
        return np.asarray(np.clip(mixed, 0, 1), np.float32), np.asarray(total, np.float32)

    def laid_on(self, look: Look) -> Float:
        """Return the target with the face on it."""
        face, alpha = self.paint(look)
        picture = self.target.picture
        return picture + alpha[..., None] * (face - picture)

    def _alpha(self, look: Look, shown: Float) -> Float:
        """Return how much of each pixel is the face: soft at the edge only, by the distance to it."""
        import cv2

        side, region = self.target.side, self.target.region
        widest = min(FEATHER_PIXELS, FEATHER_SHARE * side) * look.feather
        inner = min(ERODE_PIXELS, ERODE_SHARE * side)
        may = self.target.may > 0.5
        if region.off is not None:  # beyond the outline there is no face
            may &= region.face | ~region.off
        inside = cv2.distanceTransform(may.astype(np.uint8), cv2.DIST_L2, 5)
        # along hair and frames the edge is short, or they would look worn off
        near = cv2.distanceTransform(1 - (region.kept & region.face).astype(np.uint8), cv2.DIST_L2, 5)
        away = cv2.distanceTransform((shown > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
        outer = _smooth((np.minimum(inside, 1e6) - inner) / max(widest, 0.7))
        near, away = np.minimum(near, 1e6), np.minimum(away, 1e6)  # without an edge both are endless
        short = _smooth(near / max(0.02 * side, 1.0)) * _smooth(away / max(0.045 * side, 1.0))
        alpha: Float = (outer * short * may).astype(np.float32)
        return alpha

    def _relit(self, lab: Float, shown: Float, look: Look) -> Float:
        """Return the face in the scene's colour and light, fitted region by region to the skin of both."""
        import cv2

        target = self.target
        ours = target.region.skin & (shown > 0.5)
        # the mesh says where skin is in the warped face as well
        if np.count_nonzero(ours) < 16:
            return lab
        scale = min(1.0, COARSE / target.side)
        size = (max(4, round(ours.shape[1] * scale)), max(4, round(ours.shape[0] * scale)))
        weight = np.asarray(cv2.resize(ours.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)
        both = [np.asarray(cv2.resize(v, size, interpolation=cv2.INTER_AREA), np.float32) for v in (self.lab, lab)]
        weight *= _alike(both[1], weight) * _alike(both[0], weight)
        if weight.sum() < 4:
            return lab
        fields_of, means = [], []
        sigma = 0.13 * target.side * scale
        total = cv2.GaussianBlur(weight, (0, 0), sigma) + np.float32(1e-3)
        for values in both:
            mean = (weight[..., None] * values).sum((0, 1)) / weight.sum()
            away = cv2.GaussianBlur(weight[..., None] * (values - mean), (0, 0), sigma) / total[..., None]
            means.append(mean)
            fields_of.append(cv2.resize(away, (ours.shape[1], ours.shape[0]), interpolation=cv2.INTER_LINEAR))
        # lamps of several colours: the hue that each leaves on skin must go, or come, wholly
        lit = weight > 0.5 * weight.max()
        several = [float(np.clip((np.hypot(*v[lit][:, 1:].std(axis=0)) - COLORED) / 4, 0, 1)) for v in both]
        hue = look.light + (1 - look.light) * max(several)
        much = np.array([look.light, hue, hue], np.float32)
        scene, own = (m + much * f for m, f in zip(means, fields_of, strict=True))
        strength = min(1.0, look.color * 4)  # a face in its own lightness is no refinement, so this one is all or none
        gain = float(np.clip(means[0][0] / max(means[1][0], 1.0), 0.6, 1.5)) ** strength
        out = np.empty_like(lab)
        onto = own[..., 0] + np.float32(strength) * (scene[..., 0] - own[..., 0])
        away = lab[..., 0] - own[..., 0]
        # what is brighter than skin, teeth and eyes, is so by nothing that grows with the light on skin
        out[..., 0] = onto + np.where(away > 0, np.float32(min(gain, 1.0)), np.float32(gain)) * away
        near = means[1] + fields_of[1]
        tint = np.hypot(lab[..., 1] - near[..., 1], lab[..., 2] - near[..., 2]) / np.float32(TINTED)
        share = np.float32(look.color) * (np.float32(0.3) + np.float32(0.7) * np.exp(-0.5 * tint**2))
        for i in (1, 2):
            out[..., i] = lab[..., i] + share * (scene[..., i] - own[..., i])
        if several[1] > 0:
            # where the character stands in such light, its patches are no complexion: skin takes the scene's hue
            shape = (lab.shape[0], lab.shape[1])
            other = np.logical_or.reduce([mesh.hull(target.points, p, shape) for p in (mesh.LIPS, *mesh.EYES)])
            skin = 1 - cv2.GaussianBlur(other.astype(np.float32), (0, 0), max(0.6, 0.01 * target.side))
            calm = np.float32(several[1]) * (np.float32(0.4) + np.float32(0.5) * skin)[..., None]
            out[..., 1:] += calm * (scene[..., 1:] - out[..., 1:])
        return out

    def _lift(self, lab: Float, alpha: Float) -> Float:
        """Return what must be added so that the face meets the scene at its edge and keeps its gradients inside.

        Poisson editing (Pérez, Gangnet and Blake 2003) with the source's gradients: the correction is the harmonic
        function that takes the difference of both at the edge. It is smooth, so that it is found on a small grid.
        """
        import cv2

        target = self.target
        scale = min(1.0, COARSE / target.side)
        shape = alpha.shape
        size = (max(4, round(shape[1] * scale)), max(4, round(shape[0] * scale)))
        skin = (target.region.skin & (target.may > 0.5)).astype(np.float32)
        # the edge is wherever the face ends, at the outline or along the character's hair
        inside = cv2.distanceTransform((alpha > 0.3).astype(np.uint8), cv2.DIST_L2, 5)
        ring = skin * ((inside < max(0.06 * target.side, 3)) & (alpha > 0.05))
        small = np.asarray(cv2.resize(ring, size, interpolation=cv2.INTER_AREA), np.float32)
        wide = cv2.resize((self.lab - lab) * ring[..., None], size, interpolation=cv2.INTER_AREA)
        known = small > 0.25
        if np.count_nonzero(known) < 8:
            return np.zeros_like(lab)
        values = wide / np.maximum(small, 1e-3)[..., None]
        limit = np.array(MOST_LIFT, np.float32)
        # what differs much is no step of colour but something else: it does not count, and may not run in
        calm = np.median(values[known], axis=0)
        known &= (np.abs(values - calm) < 2 * limit).all(axis=2)
        if np.count_nonzero(known) < 8:
            return np.zeros_like(lab)
        field = _harmonic(np.clip(values, -limit, limit), known, 0.05 * COARSE * min(1.0, target.side / COARSE))
        return np.asarray(cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def _bared(target: Target) -> tuple[Float, Float] | None:
    """Return the scene without the frame of its glasses, and where that is shown; None: nothing is taken off.

    References
    ----------
    Telea, "An image inpainting technique based on the fast marching method", 2004.
    """
    import cv2

    off = target.region.off
    if off is None or not off.any():
        return None
    wide, radius = off.astype(np.uint8), 0.03 * target.side
    samples = np.rint(np.clip(target.picture, 0, 1) * 65535).astype(np.uint16)
    filled = [cv2.inpaint(samples[..., i].copy(), wide, radius, cv2.INPAINT_TELEA) for i in range(3)]
    soft = cv2.GaussianBlur(cv2.erode(wide, np.ones((3, 3), np.uint8)).astype(np.float32), (0, 0), 0.8)
    share = soft * (off & (target.may > 0.5))
    return np.stack(filled, axis=2).astype(np.float32) / np.float32(65535), np.asarray(share, np.float32)


def _smooth(values: Float) -> Float:
    """Return a step from 0 to 1 over [0, 1] without corners."""
    v = np.clip(values, 0, 1)
    return np.asarray(v * v * (3 - 2 * v), np.float32)


def _alike(lab: Float, weight: Float) -> Float:
    """Return where a picture is of about the colour that it mostly is under a weight; float32, 0 or 1."""
    values = lab[weight > 0.5] if (weight > 0.5).any() else lab[weight > 0]
    middle = np.median(values, axis=0)
    # under lamps of several colours skin is not of one
    spread = 2.5 * 1.4826 * np.median(np.abs(values - middle), axis=0)
    off = np.abs(lab - middle) / np.maximum(np.array([24, 14, 14], np.float32), spread)
    return np.asarray((off < 1).all(axis=2), np.float32)


def _harmonic(values: Float, known: Bool, sigma: float) -> Float:
    """Return the smoothest continuation of known values: the Laplace equation, coarse to fine.

    Parameters
    ----------
    values : (h, w, 3) float32
        Of any range; what is not known is of no account.
    known : (h, w) bool
        Where they hold; one pixel at least.
    sigma : float
        Known values are smoothed by as much first: what is finer than this is texture, not a step.
    """
    import cv2

    weight = known.astype(np.float32)
    calm = cv2.GaussianBlur(values * weight[..., None], (0, 0), max(sigma, 0.6))
    total = cv2.GaussianBlur(weight, (0, 0), max(sigma, 0.6))
    fixed = calm / np.maximum(total, 1e-4)[..., None]
    levels = [(fixed, known)]
    while min(levels[-1][1].shape) > 8:
        v, k = levels[-1]
        size = ((k.shape[1] + 1) // 2, (k.shape[0] + 1) // 2)
        share = cv2.resize(k.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        coarse = cv2.resize(v * k[..., None], size, interpolation=cv2.INTER_AREA)
        levels.append((coarse / np.maximum(share, 1e-4)[..., None], share > 0))
    v, k = levels[-1]
    field = np.broadcast_to(v[k].mean(0), v.shape).astype(np.float32)
    for v, k in reversed(levels):
        field = np.asarray(cv2.resize(field, (k.shape[1], k.shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)
        for _ in range(40):
            field = np.where(k[..., None], v, field)
            around = np.pad(field, ((1, 1), (1, 1), (0, 0)), mode="edge")
            field = (around[2:, 1:-1] + around[:-2, 1:-1] + around[1:-1, 2:] + around[1:-1, :-2]) / np.float32(4)
        field = np.where(k[..., None], v, field)
    return np.asarray(field, np.float32)


def noise_of(lightness: Float, where: Bool) -> float:
    """Return the standard deviation of fine noise under a mask, in the values' own unit.

    Immerkær, "Fast noise variance estimation", 1996, with the median instead of the mean.
    """
    import cv2

    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    high = cv2.filter2D(np.ascontiguousarray(lightness), -1, kernel, borderType=cv2.BORDER_REFLECT)
    inner = cv2.erode(where.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return float(1.4826 * np.median(np.abs(high[inner])) / 6) if inner.any() else 0.0


def _grain_of(lab: Float, target: Target, laid: Laid, seed: int) -> tuple[Float, float]:
    """Return grain of deviation 1, as coarse as the scene's, and how much of it the character lacks."""
    import cv2

    skin = target.region.skin
    scene = noise_of(lab[..., 0], skin)
    own = noise_of(lab_of(laid.picture)[..., 0], laid.region.skin)
    missing = float(np.sqrt(max(0.0, scene**2 - own**2)))
    grain = np.random.default_rng(seed).standard_normal(lab.shape[:2]).astype(np.float32)
    fine = lab[..., 0] - cv2.GaussianBlur(lab[..., 0], (0, 0), 1.5)
    pairs = skin[:, 1:] & skin[:, :-1]
    if np.count_nonzero(pairs) > 64:
        a, b = fine[:, 1:][pairs], fine[:, :-1][pairs]
        likeness = float((a * b).mean() / max(float((a * a).mean()), 1e-9))
        if likeness > 0.1:
            grain = cv2.GaussianBlur(grain, (0, 0), 0.4 + 0.5 * min(likeness, 0.8))
            grain /= grain.std()
            # what is found missing was measured as fine noise is, of which coarse grain shows less
            missing *= min(1.6, 1 / max(noise_of(grain, np.ones(grain.shape, bool)), 1e-6))
    return grain, min(missing, 4.0)


def edge_width(lightness: Float, where: Bool) -> float | None:
    """Return how wide the sharpest edges of a picture are, as the sigma of a blur in pixels; None: there are too few.

    The gradient of an edge that is blurred once more falls by as much as the edge was sharp, whatever its contrast, so
    that closed eyes and pale brows count as dark ones do.

    Parameters
    ----------
    lightness : (H, W) float32
        L* of CIELAB.
    where : (H, W) bool
        Where to look.

    References
    ----------
    Zhuo and Sim, "Defocus map estimation from a single image", 2011.

    Examples
    --------
    >>> step = np.repeat(np.float32([[0] * 32 + [90] * 32]), 64, axis=0)
    >>> edge_width(step, np.ones((64, 64), bool)) < 1
    True
    """
    import cv2

    once = cv2.GaussianBlur(lightness, (0, 0), 0.6)
    twice = cv2.GaussianBlur(once, (0, 0), 1.0)
    steep, less = (np.hypot(cv2.Sobel(v, cv2.CV_32F, 1, 0), cv2.Sobel(v, cv2.CV_32F, 0, 1)) for v in (once, twice))
    crest = where & (steep > 1e-3) & (steep >= np.float32(0.95) * cv2.dilate(steep, np.ones((3, 3), np.uint8)))
    if np.count_nonzero(crest) < 24:
        return None
    crest &= steep >= np.percentile(steep[crest], 70)
    ratio = float(np.median(steep[crest] / np.maximum(less[crest], 1e-6)))
    # less what is blurred here, by the first pass and by the gradient's own width
    return float(np.sqrt(max(1 / max(ratio**2 - 1, 1e-3) - 0.88, 0.0)))


def _blur_of(target: Target, laid: Laid) -> float:
    """Return by how much (sigma in pixels) the character must be softened to be as sharp as the scene."""
    scene, own = (
        edge_width(lab_of(v.picture)[..., 0], v.region.features & v.region.face & ~v.region.kept)
        for v in (target, laid)
    )
    return 0.0 if scene is None or own is None else float(np.sqrt(max(0.0, scene**2 - own**2)))


def perturbed(look: Look, step: float, rng: np.random.Generator) -> Look:
    """Return a look near another, within :data:`RANGES`.

    Parameters
    ----------
    look : Look
        Where it starts from.
    step : float
        Share of each range.
    rng : numpy.random.Generator
        Draws once per range.
    """
    changed: dict[str, Any] = {}
    for name, (low, high) in RANGES.items():
        value = getattr(look, name) + step * (high - low) * rng.standard_normal()
        changed[name] = round(float(np.clip(value, low, high)), DIGITS)
    return replace(look, **changed)
