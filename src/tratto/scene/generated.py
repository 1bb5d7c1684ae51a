"""Views that a model makes of one picture: where their cameras stand, how the picture is framed, what is the object."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import Scene
from tratto.core.errors import OptionError
from tratto.scene.camera import Camera, orbit
from tratto.scene.optimize import mark_seen
from tratto.scene.rasterize import OWN, USUAL, Draws
from tratto.scene.views import View

Float = NDArray[np.float32]
#: From the world of SyncDreamer, z up and the picture's camera at +x, to ours: y down, and that camera at -z.
SYNC_AXES = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])


def sync_cameras(views: int = 16, side: int = 256) -> tuple[Camera, ...]:
    """Return SyncDreamer's cameras: all at an elevation of 30 degrees, equal steps of azimuth, 1.5 from the middle.

    Their focal length is 280 at 256 pixels; the longest side of the object is 1.

    Examples
    --------
    >>> np.allclose(sync_cameras()[4].center, [1.29904, -0.75, 0], atol=1e-5)
    True
    """
    return orbit((0, 0, 0), 1.5, [360.0 / views * i for i in range(views)], 30.0, (side, side), 280.0 * side / 256)


def zero123plus_cameras(side: int = 320) -> tuple[Camera, ...]:
    """Return Zero123++'s six cameras: azimuths 30 to 330 by 60, elevations 20 and -10 in turn, an angle of 30 degrees.

    The authors do not state the distance, and a scene has no scale of its own: 4 here.

    Examples
    --------
    >>> [round(float(-c.center[1] / 4), 4) for c in zero123plus_cameras()[:2]]
    [0.342, -0.1736]
    """
    focal = side / 2 / np.tan(np.deg2rad(15))
    made: list[Camera] = []
    for i in range(6):
        made += orbit((0, 0, 0), 4.0, [30.0 + 60 * i], 20.0 if i % 2 == 0 else -10.0, (side, side), float(focal))
    return tuple(made)


def registered(view: View, scene: Scene, draws: Draws = OWN) -> View:
    """Return a photograph's view as it stands in a world that others made: where the scene looks most like it.

    How far a model puts the object from the photograph's camera nobody states. So the camera keeps its direction and
    its focal length, and moves. It begins where the object is as wide as in the photograph: seen from around and above
    alone, an outline tells widths well and heights badly. Then it goes where the mean absolute difference is least.

    Parameters
    ----------
    view : View
        Of :func:`tratto.scene.shell.photographed`.
    scene : Scene
        Fitted to what was made.
    draws : Draws
        Who renders.

    Examples
    --------
    >>> from tratto.scene.rasterize import render
    >>> place, shade = np.random.default_rng(0).uniform(-0.4, 0.4, (2, 300, 3))
    >>> scene = Scene.of_points(place, (shade + 0.5).astype(np.float32), 0.05, 0.9)
    >>> (camera,) = orbit((0, 0, 0), 4.0, [0.0], 10.0, (48, 48), 140.0)
    >>> seen = render(scene, camera, (0.0, 0.0, 0.0))
    >>> color = np.clip(seen.color / np.maximum(seen.alpha, 1e-3)[..., None], 0, 1)
    >>> moved = replace(camera, translation=(0.1, -0.1, 5.0))
    >>> found = registered(View(moved, color, seen.alpha), scene)
    >>> bool(np.abs(found.camera.t - camera.t).max() < 0.1)
    True
    """
    camera = view.camera
    covered = view.alpha if view.alpha is not None else np.ones(view.color.shape[:2], np.float32)
    columns = np.flatnonzero((covered > 0.5).any(axis=0))
    wide = float(columns[-1] + 1 - columns[0])
    solid = scene.positions[scene.opacities > 0]
    if not len(solid):
        solid = scene.positions
    shown = np.array([np.quantile(solid @ camera.r[0], q) for q in (0.005, 0.995)])
    distance = max(float(np.ptp(shown)) * camera.fx / wide, 1e-3)
    reach = float(np.abs(solid @ camera.r[2]).max())
    background = (0.5, 0.5, 0.5)
    target = view.over(background)

    def at(place: NDArray[np.float64]) -> Camera:
        """``place``: logarithm of the distance, and shares of the picture to the right and down."""
        z = max(distance * float(np.exp(place[0])), 1.05 * reach)  # never into the object
        x = (camera.width / 2 - camera.cx) / camera.fx + place[1] * camera.width / camera.fx
        y = (camera.height / 2 - camera.cy) / camera.fy + place[2] * camera.height / camera.fy
        return replace(camera, translation=(float(x * z), float(y * z), z))

    def apart(place: NDArray[np.float64]) -> float:
        seen = draws.render(scene, at(place), background, USUAL).color
        return float(np.abs(seen - target).mean())

    best = np.zeros(3)
    least = apart(best)
    step = 0.16
    while step > 0.004:
        tried = [best + step * sign * np.eye(3)[axis] for axis in range(3) for sign in (-1, 1)]
        found = [apart(place) for place in tried]
        if min(found) < least:
            best, least = tried[int(np.argmin(found))], min(found)
        else:
            step /= 2
    return replace(view, camera=at(best))


def shown_by(scene: Scene, view: View, draws: Draws = OWN, beyond: float = 0.05) -> Scene:
    """Return a scene whose Gaussians count as seen where a photograph looks at them, and as invented behind that.

    Parameters
    ----------
    scene : Scene
        Of views that were made.
    view : View
        The photograph's.
    draws : Draws
        Who renders.
    beyond : float
        How far behind the mean depth of its pixel a Gaussian may lie, as a share of the object's length.
    """
    seen = mark_seen(scene, [view], draws=draws).seen > 0
    drawn = draws.render(scene, view.camera, (0.0, 0.0, 0.0), USUAL)
    at, depth = view.camera.project(scene.positions)
    x, y = (
        np.clip(np.floor(at[:, i]), 0, n - 1).astype(int)
        for i, n in ((0, drawn.alpha.shape[1]), (1, drawn.alpha.shape[0]))
    )
    front = drawn.depth[y, x] / np.maximum(drawn.alpha[y, x], 1e-3)
    solid = scene.positions[seen] if seen.any() else scene.positions
    length = float(np.ptp(np.quantile(solid, (0.01, 0.99), axis=0), axis=0).max())
    return replace(scene, seen=(seen & (depth <= front + beyond * length)).astype(np.uint8))


def framed(picture: Float, side: int, longest: float, ground: float) -> Float:
    """Return an object cut to its outline, in the middle of a square of plain ground.

    Parameters
    ----------
    picture : (H, W, 4) float32 in [0, 1]
        Colour, and alpha that says where the object is.
    side : int
        Of the square, pixels.
    longest : float
        Longest side of the object, pixels.
    ground : float
        Grey of the ground: 1 is white.

    Returns
    -------
    (side, side, 3) float32
        Encoded sRGB, the object blended into the ground at its edge.

    Raises
    ------
    OptionError
        If nothing is there.
    """
    if picture.ndim != 3 or picture.shape[2] != 4:
        raise OptionError(f"an object is cut out by its alpha: expected (H, W, 4), got {picture.shape}")
    rows, columns = (np.flatnonzero((picture[..., 3] > 0.5).any(axis=a)) for a in (1, 0))
    if not len(rows):
        raise OptionError("the picture's alpha says that nothing is there")
    part = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = longest / max(part.shape[:2])
    width, height = (max(1, round(v * scale)) for v in (part.shape[1], part.shape[0]))
    veiled = np.concatenate([part[..., :3] * part[..., 3:], part[..., 3:]], axis=2)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = np.clip(cv2.resize(veiled, (width, height), interpolation=how), 0, 1)
    out = np.full((side, side, 3), ground, np.float32)
    y, x = (side - height) // 2, (side - width) // 2
    out[y : y + height, x : x + width] = small[..., :3] + (1 - small[..., 3:]) * ground
    return out


def cut_out(picture: Float, ground: float, tolerance: float = 0.06) -> Float:
    """Return where an object stands on plain ground, (H, W) in [0, 1]: all that the ground cannot be reached through.

    Parameters
    ----------
    picture : (H, W, 3) float32 in [0, 1]
        Encoded sRGB.
    ground : float
        Its grey.
    tolerance : float
        Largest difference, in any channel, of what is ground.

    Examples
    --------
    >>> shown = np.ones((9, 9, 3), np.float32)
    >>> shown[2:7, 2:7] = 0.2
    >>> shown[4, 4] = 1  # a white spot inside is the object's
    >>> int(cut_out(shown, 1.0).sum())
    25
    """
    apart = np.abs(picture - ground).max(axis=2)
    plain = np.pad((apart < tolerance).astype(np.uint8), 1, constant_values=1)
    _, labels = cv2.connectedComponents(plain, connectivity=4)
    outside = labels[1:-1, 1:-1] == labels[0, 0]
    # at the rim a pixel is as much the object's as it differs from the ground, against what stands inside
    inner = cv2.erode((~outside).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    soft = np.clip(apart / (4 * tolerance), 0, 1)
    return np.where(inner, 1.0, np.where(outside, 0.0, soft)).astype(np.float32)
