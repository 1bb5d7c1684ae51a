"""From a shell of Gaussians to an object: what it shows from around, without its cracks, is fitted with the photograph.

The photograph decides what is seen in it: it is fitted as often as all other views together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import Scene
from tratto.scene.camera import orbit
from tratto.scene.optimize import Progress, Rates, Settings, reconstruct, silent
from tratto.scene.rasterize import OWN, Draws
from tratto.scene.views import View

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Completion:
    """How a shell is completed.

    Attributes
    ----------
    views : int
        Around the object at equal distances, at the photograph's elevation or 10 degrees, whichever is higher.
    side : int
        Of each, pixels.
    steps : int
        Of the optimiser.
    crack : float
        Widest crack that is closed, as a share of the silhouette.
    seed : int
        Of the order in which views are taken.
    """

    views: int = 16
    side: int = 128
    steps: int = 200
    crack: float = 0.04
    seed: int = 0


def around(scene: Scene, photograph: View, elevation: float, how: Completion, draws: Draws = OWN) -> list[View]:
    """Return what a shell shows from around, its cracks closed (Telea 2004).

    Parameters
    ----------
    scene : Scene
        Its middle is the origin, its silhouette 1 long.
    photograph : View
        Square, of the front; its camera's distance and focal length are taken over.
    elevation : float
        Degrees.
    how : Completion
        How many views, and of which size.
    draws : Draws
        Who renders.
    """
    distance = float(np.linalg.norm(photograph.camera.center))
    focal = 0.6 * distance * how.side
    out = []
    azimuths, size = list(np.arange(how.views) * 360 / how.views), (how.side, how.side)
    for camera in orbit((0, 0, 0), distance, azimuths, max(10.0, elevation), size, focal):
        seen = draws.render(scene, camera, (0.0, 0.0, 0.0), Settings().constants)
        alpha = np.clip(seen.alpha, 0, 1).astype(np.float32)
        color = np.clip(seen.color / np.maximum(alpha, 1e-3)[..., None], 0, 1).astype(np.float32)
        out.append(View(camera, *closed(color, alpha, how.crack * 0.6 * how.side)))
    return out


def closed(color: Array, alpha: Array, widest: float) -> tuple[Array, Array]:
    """Return a rendering without its cracks.

    Parameters
    ----------
    color : (H, W, 3) float32
        Encoded sRGB, not multiplied by alpha.
    alpha : (H, W) float32
        1 = wholly the object.
    widest : float
        Pixels.
    """
    reach = max(1, round(widest))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    whole = cv2.morphologyEx((alpha > 0.5).astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    inner = cv2.erode(whole, np.ones((3, 3), np.uint8))
    crack = (inner > 0) & (alpha < 0.9)
    if not crack.any():
        return color, alpha
    levels = np.rint(255 * color).astype(np.uint8)
    # what lies beside the object is no colour to continue
    unknown = (crack | (alpha < 0.5)).astype(np.uint8)
    filled = cv2.inpaint(levels, unknown, 3, cv2.INPAINT_TELEA).astype(np.float32) / np.float32(255)
    return np.where(crack[..., None], filled, color).astype(np.float32), np.where(crack, 1, alpha).astype(np.float32)


def completed(
    scene: Scene,
    photograph: View,
    elevation: float,
    how: Completion,
    progress: Progress = silent,
    draws: Draws = OWN,
) -> Scene:
    """Fit a shell of Gaussians to its photograph and to what it shows from around.

    Parameters
    ----------
    scene : Scene
        Of :func:`tratto.scene.shell.gaussians`. Those that it says are seen are those in front.
    photograph : View
        Square, of the front.
    elevation : float
        Degrees that the photograph's camera stands above the middle.
    how : Completion
        Views, steps and seed.
    progress : callable
        ``progress(stage, done, total)``; raising stops.
    draws : Draws
        Who renders.

    Returns
    -------
    Scene
        As many Gaussians, in the same order.
    """
    others = around(scene, photograph, elevation, how, draws)
    # the permutation of the optimiser takes each view once a turn
    views = [v for other in others for v in (other, photograph)]
    rates = Rates(positions=2e-5, positions_last=2e-6, opacities=2e-2)
    settings = Settings(how.steps, how.seed, strategy=None, rates=rates)
    made = reconstruct(views, scene, settings, progress, None, draws)
    return replace(made, seen=scene.seen)
