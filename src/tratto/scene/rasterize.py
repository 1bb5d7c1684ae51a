"""Render Gaussians, and carry the gradient of a loss on the picture back to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import Scene
from tratto.core.errors import OptionError
from tratto.scene.camera import Camera

#: Names of the arrays of a scene that are optimised, in the order of gradients.
PARAMETERS = ("positions", "rotations", "scales", "opacities", "harmonics")


@dataclass(frozen=True)
class Constants:
    """What is a convention rather than geometry; stated in receipts.

    Attributes
    ----------
    alpha_min : float
        A Gaussian counts where its alpha reaches this; from 1/512.
    alpha_max : float
        Alpha is held below this; 0.99 as in gsplat 1.6 (1.5.3 has 0.999).
    transmittance_min : float
        A pixel is full where what is behind the next Gaussian would be seen by this share or less.
    dilation : float
        Added to the variances in the picture, squared pixels.
    near : float
        Least depth of what is seen, in the scene's unit.

    Raises
    ------
    OptionError
        If one is out of range.
    """

    alpha_min: float = 1 / 255
    alpha_max: float = 0.99
    transmittance_min: float = 1e-4
    dilation: float = 0.3
    near: float = 0.01

    def __post_init__(self) -> None:
        if not (1 / 512 <= self.alpha_min < self.alpha_max <= 0.999 and 0 < self.transmittance_min < 0.5):
            raise OptionError("alpha_min must lie in [1/512, alpha_max), alpha_max at most at 0.999")
        if not (0 <= self.dilation <= 16 and self.near > 0):
            raise OptionError("dilation must lie in [0, 16], near above 0")


#: Those that are used where none are stated.
USUAL = Constants()


@dataclass(frozen=True, eq=False)
class Rendered:
    """A rendered view.

    Attributes
    ----------
    color : (H, W, 3)
        Over the background; encoded sRGB, mostly in [0, 1].
    depth : (H, W)
        Sum of the depths of what is seen, each by its share; divided by ``alpha`` it is the expected depth.
    alpha : (H, W)
        In [0, 1].
    visible : (N,) bool
        Which Gaussians reach the picture.
    state : Any
        What :func:`backward` needs.
    """

    color: NDArray[Any]
    depth: NDArray[Any]
    alpha: NDArray[Any]
    visible: NDArray[np.bool_]
    state: Any = field(repr=False, default=None)


class Draws(Protocol):
    """Whoever renders Gaussians and carries gradients back: this module, or gsplat on CUDA."""

    def render(
        self, scene: Any, camera: Camera, background: tuple[float, float, float], constants: Constants
    ) -> Rendered:
        """Render a scene; see :func:`render`."""

    def backward(
        self,
        rendered: Rendered,
        color: NDArray[Any],
        depth: NDArray[Any] | None = None,
        alpha: NDArray[Any] | None = None,
    ) -> Gradients:
        """Carry a gradient back; see :func:`backward`."""


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of a loss to the parameters of a scene, each of the shape of its array.

    Attributes
    ----------
    positions, rotations, scales, opacities, harmonics
        To centres, quaternions, logarithms of sizes, logits and harmonics.
    flat : (N, 2)
        To the position in the picture, per pixel.
    """

    positions: NDArray[Any]
    rotations: NDArray[Any]
    scales: NDArray[Any]
    opacities: NDArray[Any]
    harmonics: NDArray[Any]
    flat: NDArray[Any]


def render(
    scene: Scene | Any,
    camera: Camera,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    constants: Constants = USUAL,
) -> Rendered:
    """Render a scene.

    Parameters
    ----------
    scene : Scene, or an object with its arrays
        All of float32, or all of float64, which is slow and exact.
    camera : Camera
        Its width and height are those of the result.
    background : tuple of float
        Encoded sRGB.
    constants : Constants
        Near plane, dilation and least alpha.

    Returns
    -------
    Rendered
        Colour, depth and alpha, with what :func:`backward` needs.

    Raises
    ------
    MissingExtra
        If numba is not installed.

    Examples
    --------
    >>> from tratto.scene.camera import look_at
    >>> ball = Scene.of_points(np.zeros((1, 3)), np.array([[255, 0, 0]], np.uint8), 0.2, 0.9)
    >>> seen = render(ball, look_at((0, 0, -2), (0, 0, 0), (17, 17), 20.0))
    >>> np.allclose(seen.color[8, 8], [0.9, 0, 0], atol=1e-3)
    True
    """
    from tratto.scene import kernels
    from tratto.scene.compiled import calling

    arrays = [np.ascontiguousarray(getattr(scene, name)) for name in PARAMETERS]
    dtype = arrays[0].dtype
    n = len(arrays[0])
    view = np.concatenate([camera.r, camera.t[:, None]], axis=1).ravel()
    lens = np.array(
        [camera.fx, camera.fy, camera.cx, camera.cy, constants.near, constants.dilation, constants.alpha_min]
    )
    size = np.array([camera.width, camera.height], np.int64)
    k = kernels.constants(constants.alpha_min, constants.alpha_max, constants.transmittance_min, dtype)
    projected = np.empty((n, 10), dtype)
    box = np.empty((n, 4), np.int32)
    columns, rows = (-(-side // kernels.TILE) for side in (camera.width, camera.height))
    image = np.empty((camera.height, camera.width, 4), dtype)
    left = np.empty((camera.height, camera.width), dtype)
    last = np.empty(columns * rows, np.int64)
    with calling():
        kernels.project(*arrays, view, lens, size, projected, box)
        visible = box[:, 1] > box[:, 0]
        order = _by_depth(projected[:, kernels.DEPTH], np.flatnonzero(visible))
        starts, which, slot, first = kernels.bin_tiles(order, box, columns, rows)
        kernels.blend(starts, which, box, projected, k, image, left, last)
    ground = np.asarray(background, dtype)
    state = (arrays, view, lens, size, k, projected, box, order, starts, which, slot, first, last, image, left, ground)
    return Rendered(image[..., :3] + left[..., None] * ground, image[..., 3], 1 - left, visible, state)


def backward(
    rendered: Rendered, color: NDArray[Any], depth: NDArray[Any] | None = None, alpha: NDArray[Any] | None = None
) -> Gradients:
    """Carry the gradient of a loss back to the scene that was rendered.

    Parameters
    ----------
    rendered : Rendered
        From :func:`render`; holds what the way back needs.
    color : (H, W, 3)
        Gradient of the loss to the colours over the background.
    depth, alpha : (H, W), or None
        Gradients to the other two; None: 0.

    Returns
    -------
    Gradients
        Zero for Gaussians that are not seen.
    """
    from tratto.scene import kernels
    from tratto.scene.compiled import calling

    arrays, view, lens, size, k, projected, box, order, starts, which, slot, first, last, image, left, ground = (
        rendered.state
    )
    dtype = image.dtype
    gradient = np.empty(image.shape, dtype)
    gradient[..., :3] = color
    gradient[..., 3] = 0 if depth is None else depth
    remaining = np.einsum("hwc,hwc->hw", gradient, image)
    remaining += left * (gradient[..., :3] @ ground - (0 if alpha is None else np.asarray(alpha, dtype)))
    slots = np.zeros((len(which), kernels.SLOT), dtype)
    positions, rotations, scales, opacities, harmonics = (np.zeros_like(a) for a in arrays)
    flat = np.zeros((len(box), 2), dtype)
    means, quats, sizes, _, sh = arrays
    with calling():
        kernels.blend_back(starts, which, slot, last, box, projected, k, gradient, remaining, slots)
        kernels.project_back(
            means, quats, sizes, sh, view, lens, size, projected, order, first, slots,
            positions, rotations, scales, opacities, harmonics, flat,
        )  # fmt: skip
    return Gradients(positions, rotations, scales, opacities, harmonics, flat)


def _by_depth(depth: NDArray[Any], seen: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return the Gaussians that are seen, nearest first; of equal depths the one with the lower index."""
    if depth.dtype != np.float32:
        return seen[np.argsort(depth[seen], kind="stable")].astype(np.int64)
    # bits of a positive float sort like its value; sorting numbers is several times as fast as sorting positions
    keys = (np.ascontiguousarray(depth[seen]).view(np.uint32).astype(np.uint64) << np.uint64(32)) | seen.astype(
        np.uint64
    )
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


class Own:
    """The rasterizer of this module, as :class:`Draws`."""

    render = staticmethod(render)
    backward = staticmethod(backward)


#: Who draws where nobody else is named.
OWN: Draws = Own()
