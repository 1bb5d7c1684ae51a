"""The two-layer shell of an object in a photograph: where each ray meets it first and last, and its colours there.

Two depths for each ray hold most of an object's shape (layered depth images, Shade et al. 1998). Lengths are told in
*silhouettes*: 1 is as long as the longer side of the object's silhouette, at the distance of its middle. How far that
is nobody can tell from one photograph, and nothing depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import HARMONIC_0, Scene
from tratto.core.errors import InputError
from tratto.scene.camera import Camera, orbit
from tratto.scene.views import View

Array = NDArray[np.float32]
#: Side of the square the network looks at, and what the silhouette's longer side fills of it, pixels.
SIDE, FILL = 128, 112
#: From this cover on a pixel shows the object.
COVERED = 0.5


@dataclass(frozen=True, eq=False)
class Shell:
    """What is known or believed of an object along the rays of a square picture around it.

    Attributes
    ----------
    front, back : (S, S) float32
        Where a ray first and last meets the object, along the axis from its middle, away from the camera, in
        silhouettes. Of use only where the picture is covered.
    behind : (S, S, 3) float32
        Colour at the last, encoded sRGB in [0, 1].
    elevation : float
        Degrees that the camera stands above the object's middle.
    """

    front: Array
    back: Array
    behind: Array
    elevation: float


@dataclass(frozen=True)
class Frame:
    """The square around a silhouette, in pixels of the photograph.

    Attributes
    ----------
    x, y : float
        Of its middle.
    length : float
        Of the silhouette's longer side.
    """

    x: float
    y: float
    length: float

    def cut(self, picture: Array, side: int, fill: float) -> Array:
        """Return the square, ``side`` pixels wide, with the silhouette ``fill`` pixels long; 0 outside the picture."""
        scale = fill / self.length
        source = picture
        if scale < 0.5:  # averaged first: an affine warp alone would take single pixels
            size = tuple(max(1, round(n * scale)) for n in picture.shape[1::-1])
            source = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        sx, sy = (scale * p / s for p, s in zip(picture.shape[1::-1], source.shape[1::-1], strict=True))
        # pixel centres lie at halves: u = scale (x - middle) + side / 2
        matrix = np.array([
            [sx, 0, side / 2 - scale * self.x + sx / 2 - 0.5],
            [0, sy, side / 2 - scale * self.y + sy / 2 - 0.5],
        ])  # fmt: skip
        how = cv2.INTER_AREA if scale == 1 else cv2.INTER_LINEAR
        out: Array = cv2.warpAffine(source, matrix, (side, side), flags=how)
        return out


def framed(alpha: Array) -> Frame:
    """Return the square around what a picture shows.

    Parameters
    ----------
    alpha : (H, W) float32
        1 = wholly the object.

    Raises
    ------
    InputError
        If nothing is covered, or hardly a pixel.

    Examples
    --------
    >>> alpha = np.zeros((40, 60), np.float32)
    >>> alpha[10:20, 5:45] = 1
    >>> framed(alpha)
    Frame(x=25.0, y=15.0, length=40.0)
    """
    rows, columns = (np.flatnonzero((alpha > COVERED).any(axis=a)) for a in (1, 0))
    if len(rows) < 8 or len(columns) < 4:
        raise InputError(
            "no object stands out in the photograph; give one with a plain background, with transparency around the "
            "object, or with a mask of it"
        )
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return Frame((left + right) / 2, (top + bottom) / 2, float(max(bottom - top, right - left)))


def network_input(color: Array, alpha: Array, frame: Frame) -> Array:
    """Return what a network is shown: colours times cover, and cover, (SIDE, SIDE, 4)."""
    return frame.cut(np.concatenate([color * alpha[..., None], alpha[..., None]], axis=-1), SIDE, FILL)


def photographed(color: Array, alpha: Array, frame: Frame, focal: float, elevation: float, side: int) -> View:
    """Return the square around an object as a view of a world whose origin is the object's middle, and up is up.

    Parameters
    ----------
    color : (H, W, 3) float32
        Of the whole photograph, encoded sRGB.
    alpha : (H, W) float32
        1 = wholly the object; of the same size.
    frame : Frame
        The square, from :func:`framed`.
    focal : float
        Of the photograph, pixels.
    elevation : float
        Degrees.
    side : int
        Of the square, pixels.
    """
    fill = side * FILL / SIDE
    scale = fill / frame.length
    cut = frame.cut(np.concatenate([color * alpha[..., None], alpha[..., None]], axis=-1), side, fill)
    cover = np.clip(cut[..., 3], 0, 1)
    paint = np.clip(cut[..., :3] / np.maximum(cover, 1e-3)[..., None], 0, 1)
    distance = focal / frame.length  # a silhouette is 1 there
    (camera,) = orbit((0, 0, 0), distance, [0.0], elevation, (side, side), focal * scale)
    # the axis passes through the middle of the photograph, the origin lies on the ray through that of the square
    off = np.array([frame.x - color.shape[1] / 2, frame.y - color.shape[0] / 2])
    camera = replace(
        camera,
        cx=side / 2 - float(off[0]) * scale,
        cy=side / 2 - float(off[1]) * scale,
        translation=(float(off[0]) / frame.length, float(off[1]) / frame.length, distance),
    )
    return View(camera, paint.astype(np.float32), cover.astype(np.float32))


def gaussians(view: View, shell: Shell, sides: bool = True) -> Scene:
    """Return a shell as Gaussians: one for each pixel in front, for every second behind, and what closes them.

    Parameters
    ----------
    view : View
        Of :func:`photographed`.
    shell : Shell
        Depth in front and behind, and the colours behind, of ``view``.
    sides : bool
        Close the shell at the silhouette, and where the front drops from one part to another.

    Returns
    -------
    Scene
        Those in front are *seen*, all others invented.
    """
    alpha = view.alpha if view.alpha is not None else np.ones(view.color.shape[:2], np.float32)
    covered = alpha > 0.25
    known = _known(view, shell.front.shape[0])
    front, back = (_enlarged(d, known, view.camera.width) for d in (shell.front, shell.back))
    behind = _enlarged(shell.behind, known, view.camera.width)
    pixel = 1 / (view.camera.width * FILL / SIDE)
    parts = [_sheet(view.camera, front, view.color, alpha, covered, 1, pixel)]
    count = len(parts[0])
    two = (back - front > pixel) & _inner(alpha)
    if two.any():
        parts.append(_sheet(view.camera, back, behind, alpha, two, 2, pixel))
    if sides:
        parts += _closed(view, front, back, behind, alpha, pixel)
    seen = np.zeros(sum(len(p) for p in parts), np.uint8)
    seen[:count] = 1
    joined = {n: np.concatenate([getattr(p, n) for p in parts]) for n in ("positions", "rotations", "scales")}
    return Scene(
        **joined,
        opacities=np.concatenate([p.opacities for p in parts]),
        harmonics=np.concatenate([p.harmonics for p in parts]),
        seen=seen,
    )


def _known(view: View, side: int) -> Array:
    alpha = view.alpha if view.alpha is not None else np.ones(view.color.shape[:2], np.float32)
    out: Array = (cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA) > 0.4).astype(np.float32)
    return out


def _enlarged(values: Array, known: Array, side: int) -> Array:
    """Enlarge a plane of a shell; what is not covered says nothing, and a step of depth stays a step."""
    weight = known if values.ndim == 2 else known[..., None]
    filled = values * weight
    # what lies beside the silhouette gets the mean of what is near, so that an edge pixel finds something
    near = cv2.GaussianBlur(known, (0, 0), 2.0)
    blurred = cv2.GaussianBlur(filled, (0, 0), 2.0)
    around = blurred / np.maximum(near if values.ndim == 2 else near[..., None], 1e-4)
    filled = np.where(weight > 0, filled, around).astype(np.float32)
    smooth: Array = cv2.resize(filled, (side, side), interpolation=cv2.INTER_LINEAR)
    if values.ndim == 3:
        return smooth
    kernel = np.ones((3, 3), np.uint8)
    step = cv2.dilate(filled, kernel) - cv2.erode(filled, kernel) > 0.08
    sharp = cv2.resize(filled, (side, side), interpolation=cv2.INTER_NEAREST)
    wide = cv2.resize(step.astype(np.float32), (side, side), interpolation=cv2.INTER_NEAREST) > 0
    out: Array = np.where(wide, sharp, smooth)
    return out


def _points(camera: Camera, x: NDArray[np.float64], y: NDArray[np.float64], depth: Array) -> NDArray[np.float64]:
    """Return where rays through pixels are at depths from the middle, (N, 3) in the world."""
    z = camera.t[2] + depth.astype(np.float64)
    seen = np.stack([(x - camera.cx) / camera.fx * z, (y - camera.cy) / camera.fy * z, z], axis=-1)
    return (seen - camera.t) @ camera.r


def _sheet(
    camera: Camera, depth: Array, color: Array, alpha: Array, covered: NDArray[np.bool_], every: int, pixel: float
) -> Scene:
    """Return a layer as discs that lie in it."""
    chosen = slice(every // 2, None, every)
    d, c, a, m = depth[chosen, chosen], color[chosen, chosen], alpha[chosen, chosen], covered[chosen, chosen]
    y, x = np.mgrid[0 : d.shape[0], 0 : d.shape[1]] * float(every) + every // 2 + 0.5
    points = _points(camera, x.ravel(), y.ravel(), d.ravel()).reshape(*d.shape, 3)
    step = every * pixel
    tangents = []
    for axis in (1, 0):
        ahead, there = np.roll(points, -1, axis) - points, np.roll(m, -1, axis) & m
        good = there & (np.linalg.norm(ahead, axis=-1) < 5 * step)
        last = np.take(good, [-1], axis=axis)
        np.put_along_axis(good, np.full(last.shape, d.shape[axis] - 1), False, axis=axis)
        before, known = np.roll(ahead, 1, axis), np.roll(good, 1, axis)
        share = good.astype(float) + known
        both = (ahead * good[..., None] + before * known[..., None]) / np.maximum(share, 1)[..., None]
        flat = camera.r[0 if axis == 1 else 1] * step
        tangents.append(np.where(share[..., None] > 0, both, flat)[m])
    u, v = tangents
    long_u = np.linalg.norm(u, axis=1)
    e1 = u / long_u[:, None]
    v = v - np.einsum("nj,nj->n", v, e1)[:, None] * e1
    long_v = np.maximum(np.linalg.norm(v, axis=1), 1e-9)
    e2 = v / long_v[:, None]
    rotation = np.stack([e1, e2, np.cross(e1, e2)], axis=2)
    spread = np.stack([0.4 * long_u, 0.4 * long_v, np.full(len(u), 0.2 * step)], axis=1)
    opacity = np.clip(a[m], 0.05, 0.95)
    return _scene(points[m], _quaternions(rotation), np.maximum(spread, 0.2 * step), opacity, c[m])


def _inner(alpha: Array) -> NDArray[np.bool_]:
    """Return what lies a pixel inside the silhouette: many Gaussians behind each other would make its edge wider."""
    inside: NDArray[np.bool_] = cv2.erode((alpha > 0.9).astype(np.uint8), np.ones((2, 2), np.uint8), borderValue=0) > 0
    return inside


def _closed(view: View, front: Array, back: Array, behind: Array, alpha: Array, pixel: float) -> list[Scene]:
    """Return what closes a shell: at the silhouette, and from the edge of a near part back to what is behind it."""
    inside, kernel = _inner(alpha), np.ones((3, 3), np.uint8)
    edge = inside & (cv2.erode(inside.astype(np.uint8), kernel, borderValue=0) == 0)
    far = cv2.dilate(np.where(inside, front, -10).astype(np.float32), kernel)
    drop = inside & ~edge & (far - front > 3 * pixel)
    end = np.where(edge, back, np.minimum(far, back))
    rows, columns = np.nonzero((edge | drop) & (end - front > pixel))
    chosen = (rows + columns) % 2 == 0  # every second place: a column is two pixels wide
    rows, columns = rows[chosen], columns[chosen]
    if not len(rows):
        return []
    begin, end = front[rows, columns], end[rows, columns]
    counts = np.clip(np.ceil((end - begin) / (2 * pixel)), 1, 128).astype(np.int64)
    which = np.repeat(np.arange(len(rows)), counts)
    part = (np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts) + 0.5) / counts[which]
    depth = (begin[which] + part * (end - begin)[which]).astype(np.float32)
    y, x = rows[which], columns[which]
    points = _points(view.camera, x + 0.5, y + 0.5, depth)
    share = (part * edge[y, x])[:, None]
    colors = (1 - share) * view.color[y, x] + share * behind[y, x]
    turned = np.zeros((len(points), 4))
    turned[:, 0] = 1
    return [_scene(points, turned, np.full((len(points), 3), 0.8 * pixel), np.full(len(points), 0.9), colors)]


def _scene(
    points: NDArray[np.float64],
    turned: NDArray[np.float64],
    spread: NDArray[np.float64],
    opacity: NDArray[Any],
    colors: NDArray[Any],
) -> Scene:
    f = np.float32
    opacity = np.clip(opacity, 0.01, 0.99)
    return Scene(
        np.ascontiguousarray(points, f), np.ascontiguousarray(turned, f), np.log(spread).astype(f),
        np.log(opacity / (1 - opacity)).astype(f), ((colors - 0.5) / HARMONIC_0).astype(f)[:, None],
        np.ones(len(points), np.uint8),
    )  # fmt: skip


def _quaternions(r: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rotations (N, 3, 3) as quaternions w x y z (Shepperd 1978: by the largest of the four)."""
    m = [[r[:, i, j] for j in range(3)] for i in range(3)]
    trace = m[0][0] + m[1][1] + m[2][2]
    four = np.stack([trace, m[0][0], m[1][1], m[2][2]], axis=1)
    rows = np.stack([
        np.stack([1 + trace, m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]], axis=1),
        np.stack([m[2][1] - m[1][2], 1 + 2 * m[0][0] - trace, m[0][1] + m[1][0], m[0][2] + m[2][0]], axis=1),
        np.stack([m[0][2] - m[2][0], m[0][1] + m[1][0], 1 + 2 * m[1][1] - trace, m[1][2] + m[2][1]], axis=1),
        np.stack([m[1][0] - m[0][1], m[0][2] + m[2][0], m[1][2] + m[2][1], 1 + 2 * m[2][2] - trace], axis=1),
    ], axis=1)  # fmt: skip
    best = rows[np.arange(len(r)), four.argmax(axis=1)]
    out: NDArray[np.float64] = best / np.linalg.norm(best, axis=1, keepdims=True)
    return out


def mirrored(color: Array, alpha: Array, elevation: float = 0.0) -> Shell:
    """Return a shell that nobody learned: as thick as it is wide, alike behind and before.

    Half the thickness is the radius of the largest disc in the silhouette that covers a pixel, rounded off (after
    Igarashi et al. 1999, "Teddy"): the square root of ``t (2 R - t)`` at a distance of ``t`` from the edge, where R is
    the silhouette's largest distance.

    Parameters
    ----------
    color : (S, S, 3) float32
        Encoded sRGB of the square.
    alpha : (S, S) float32
        Of :func:`network_input`'s square.
    elevation : float
        Degrees that the photograph's camera stands above the object.
    """
    inside = (alpha > COVERED).astype(np.uint8)
    t = cv2.distanceTransform(cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 5)[1:-1, 1:-1]
    radius = max(float(t.max()), 1.0)
    half = np.sqrt(np.maximum(t * (2 * radius - t), 0)).astype(np.float32) / np.float32(alpha.shape[0] * FILL / SIDE)
    return Shell(-half, half, color.astype(np.float32), elevation)
