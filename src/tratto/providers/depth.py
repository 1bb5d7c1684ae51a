"""Depth: a network from a folder that the user names, or nothing but where things usually are.

``dpt`` runs DPT-Hybrid or Depth Anything through transformers. ``geometric`` looks at no pixel: it knows that in an
upright picture of a room floor and ceiling are mostly nearer than the middle. It is there so that everything that takes
a depth map can be tried, and says of itself what it is. ``benchmarks/depth_cues.py`` measures it beside other cues and
a regression over all of them, which does better where it was fitted and fails in the same room.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.transformers import missing_transformers
from tratto.core.capability import DepthEstimator, DescriberInfo
from tratto.core.errors import MissingWeights, OptionError, UnavailableError
from tratto.core.image import Depth
from tratto.models.folders import find_folder
from tratto.models.store import locate
from tratto.providers.catalogue import Request

Float = NDArray[np.float32]

#: Card whose pulled folder ``auto`` takes where none is named.
CARD = "depth-anything-v2-small"


class GeometricDepth:
    """Nearer the further from the middle row."""

    @property
    def info(self) -> DescriberInfo:
        """Facts about this estimator."""
        return DescriberInfo(
            "geometric",
            library=f"numpy {np.__version__}",
            stand_in="a depth network; it looks at no pixel and knows only that floor and ceiling are mostly nearer "
            "than the middle of a room",
        )

    def estimate(self, picture: Float) -> Depth:
        """Return relative depth in [0, 1], nearer is larger; see :class:`tratto.core.capability.DepthEstimator`."""
        _check(picture)
        h, w = picture.shape[:2]
        rows = np.abs((np.arange(h, dtype=np.float32) + 0.5) * 2 / h - 1)
        return Depth(np.repeat(rows[:, None], w, axis=1), "relative", "larger")


class NetworkDepth:
    """A depth network of transformers."""

    def __init__(self, folder: str) -> None:
        from tratto.backends.transformers import DepthNetwork, library

        found = find_folder(folder, "part")
        self._network = DepthNetwork(found)
        #: Facts about this estimator.
        self.info = DescriberInfo("dpt", library=library(), models=(found.model,))

    def estimate(self, picture: Float) -> Depth:
        """Estimate the depth of a picture; see :class:`tratto.core.capability.DepthEstimator`."""
        _check(picture)
        values = self._network.estimate(picture)
        if not np.isfinite(values).all():
            raise OptionError("the depth network gave numbers that are not finite; its weights may be broken")
        return Depth(values, "metre", "smaller") if self._network.metric else Depth(values, "relative", "larger")


def missing(request: Request) -> UnavailableError | None:
    """Return why a depth estimator cannot be used here, or None."""
    if request.variant == "geometric":
        return None
    error = missing_transformers("the depth estimator dpt")
    if error is not None or request.params.get("model"):
        return error
    try:
        locate(request.card(CARD))
    except MissingWeights as e:
        return MissingWeights(f"{e}; or name a folder with a depth network: --depth-model FOLDER")
    return None


def settle(request: Request) -> dict[str, Any]:
    """Check the folder of ``dpt``, or find the one that was pulled; it becomes a reference that a recipe may keep."""
    if set(request.params) - {"model"}:
        raise OptionError(f"dpt takes a folder (model) and nothing else, got {', '.join(request.params)}")
    error = missing(request)
    if error is not None:
        raise error
    folder = request.params.get("model") or str(locate(request.card(CARD))["config.json"].parent)
    return {"model": find_folder(str(folder), "part").reference}


def open(request: Request) -> DepthEstimator:
    """Open a depth estimator."""
    return GeometricDepth() if request.variant == "geometric" else NetworkDepth(str(request.params["model"]))


def grey_of(depth: Depth) -> NDArray[np.uint16]:
    """Return a depth map as a 16-bit grey picture: near is white, between its own nearest and furthest.

    Parameters
    ----------
    depth : Depth

    Returns
    -------
    (H, W) uint16
    """
    values: NDArray[Any] = depth.values.astype(np.float64)
    if depth.nearer_is == "smaller":
        values = 1 / np.maximum(values, 1e-6) if depth.unit == "metre" else -values
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low) if high > low else np.full(values.shape, 0.5)
    return np.rint(scaled * 65535).astype(np.uint16)


def _check(picture: Float) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.float32 or min(picture.shape[:2]) < 1:
        raise OptionError(f"depth needs a float32 (H, W, 3) picture, got {picture.dtype} {picture.shape}")
