"""Depth: a network from a folder that the user names, or nothing but where things usually are.

``dpt`` runs DPT (MiDaS 3), Depth Anything or ZoeDepth through transformers, ``midas`` runs MiDaS 2.1 (Ranftl et al.
2020, "Towards Robust Monocular Depth Estimation") as its authors publish it in ONNX. ``geometric`` looks at no pixel:
it knows that in an upright picture of a room floor and ceiling are mostly nearer than the middle. It is there so that
everything that takes a depth map can be tried, and says of itself what it is. ``benchmarks/depth_cues.py`` measures it
beside other cues and a regression over all of them, which does better where it was fitted and fails in the same room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.transformers import missing_transformers
from tratto.core.capability import DepthEstimator, DescriberInfo, Use
from tratto.core.errors import MissingWeights, OptionError, TrattoError, UnavailableError
from tratto.core.image import Depth
from tratto.models.files import find_file
from tratto.models.folders import ModelFolder, find_folder, missing_folder, usual_folder
from tratto.providers.catalogue import Request

Float = NDArray[np.float32]

#: Card whose pulled folder ``auto`` takes where none is named.
CARD = "depth-anything-v2-small"
#: MiDaS 2.1 in small, as it is published, and its card.
MIDAS, MIDAS_CARD = "model-small.onnx", "midas-v21-small"


def depth_use(named: str) -> Use[DepthEstimator]:
    """Return who estimates depth where a user or a recipe names a network.

    Parameters
    ----------
    named : str
        ``geometric``, a folder or a file, a reference to one, or the id of a card that was pulled; empty: the folder
        that ``dpt`` takes by itself.

    Examples
    --------
    >>> depth_use("models/model-small.onnx").provider, depth_use("geometric").provider, depth_use("dpt-large").provider
    ('midas', 'geometric', 'dpt')
    """
    if named == "geometric":
        return Use("depth", named)
    if named == MIDAS_CARD:
        return Use("depth", "midas")
    onnx = named.partition("@")[0].endswith(".onnx")
    return Use("depth", "midas" if onnx else "dpt", {"model": named} if named else {})


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

    def __init__(self, found: ModelFolder) -> None:
        from tratto.backends.transformers import DepthNetwork, library

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


class MidasDepth:
    """MiDaS 2.1 from its ONNX file, which takes colours as they are and brings them to what it was trained on itself.

    Parameters
    ----------
    found : ModelFolder
        The file.

    Raises
    ------
    OptionError
        If it is a network of another form.
    """

    def __init__(self, found: ModelFolder) -> None:
        from tratto.backends.onnx import OnnxFile, library

        self._file = OnnxFile(found.path)
        (self._input, shape), *more = self._file.inputs
        fixed = len(shape) == 4 and shape[1] == 3 and all(isinstance(v, int) and v > 0 for v in shape[2:])
        sides = [s for _, size in self._file.outputs for s in size if isinstance(s, int)]
        if more or not fixed or len(self._file.outputs) != 1 or sides[-2:] != shape[2:]:
            told = "; ".join(f"{name} {size}" for name, size in (*self._file.inputs, *self._file.outputs))
            raise OptionError(f"{found.name} is no MiDaS of one picture (1, 3, H, W) and one depth: it has {told}")
        self._size = (int(shape[3]), int(shape[2]))
        #: Facts about this estimator.
        self.info = DescriberInfo("midas", library=library(), models=(found.model,))

    def estimate(self, picture: Float) -> Depth:
        """Estimate the depth of a picture; see :class:`tratto.core.capability.DepthEstimator`."""
        import cv2

        _check(picture)
        size, name = (picture.shape[1], picture.shape[0]), self._file.outputs[0][0]
        how = cv2.INTER_AREA if size[0] * size[1] > self._size[0] * self._size[1] else cv2.INTER_CUBIC
        shown = np.clip(cv2.resize(picture, self._size, interpolation=how), 0, 1)
        out = self._file.run({self._input: np.ascontiguousarray(shown.transpose(2, 0, 1)[None], np.float32)}, [name])
        values = out[name]
        if values.size != self._size[0] * self._size[1] or not np.isfinite(values).all():
            raise OptionError(f"{self.info.models[0].id} gave {values.shape}, or numbers that are not finite")
        whole = cv2.resize(values.reshape(self._size[::-1]), size, interpolation=cv2.INTER_CUBIC)
        return Depth(np.asarray(whole, np.float32), "relative", "larger")


def missing(request: Request) -> UnavailableError | None:
    """Return why a depth estimator cannot be used here, or None."""
    if request.variant == "geometric":
        return None
    if request.variant == "midas":
        try:
            _file(request)
        except TrattoError as e:
            return e if isinstance(e, UnavailableError) else MissingWeights(str(e))
        return None
    error = missing_transformers("the depth estimator dpt")
    if error is not None or request.params.get("model"):
        return error
    return missing_folder(CARD, "--depth-model FOLDER")


def settle(request: Request) -> dict[str, Any]:
    """Check the folder or file, or find the one that was pulled; it becomes a reference that a recipe may keep."""
    if set(request.params) - {"model"}:
        what = "a file" if request.variant == "midas" else "a folder"
        raise OptionError(f"{request.provider} takes {what} (model) and nothing else, got {', '.join(request.params)}")
    if request.variant == "midas":
        return {"model": _file(request).reference}
    error = missing(request)
    if error is not None:
        raise error
    return {"model": _folder(request).reference}


def _folder(request: Request) -> ModelFolder:
    named = str(request.params.get("model", ""))
    return find_folder(named, "part") if named else usual_folder(CARD, "part")


def _file(request: Request) -> ModelFolder:
    return find_file(str(request.params.get("model", "")), MIDAS)


def open(request: Request) -> DepthEstimator:
    """Open a depth estimator."""
    if request.variant == "geometric":
        return GeometricDepth()
    return MidasDepth(_file(request)) if request.variant == "midas" else NetworkDepth(_folder(request))


#: Disagreement, as a share of the picture's range of depths, at which confidence has fallen to 1 / e.
AGREEMENT = 0.1
#: Sides at which a picture is looked at once more.
SCALES = (0.75, 1.25)


def confident(
    estimator: DepthEstimator, picture: Float, scales: Sequence[float] = SCALES, tolerance: float = AGREEMENT
) -> tuple[Depth, Float]:
    """Estimate depth several times, and say how far the estimates agree.

    The picture is looked at as it is, mirrored, and at other sizes. Each estimate is brought to the first by the scale
    and shift that fit best, since a network's own are arbitrary; the result is their median, and the confidence
    ``exp(-d / tolerance)`` of the largest difference from it ``d``, in shares of the range of depths. It says how
    steady a network is, and not that it is right: an error that is made each time is agreed on, too.

    Parameters
    ----------
    estimator : DepthEstimator
        Asked once for each look: the picture, its mirror image and every scale.
    picture : (H, W, 3) float32 in [0, 1]
        Encoded sRGB, upright.
    scales : sequence of float
        Sides beside the picture's own.
    tolerance : float
        Above 0.

    Returns
    -------
    Depth
        The median, (H, W), unit and direction as the estimator has them.
    (H, W) float32 in [0, 1]
        Confidence; 1 = all agree.

    Raises
    ------
    OptionError
        If tolerance or a scale is out of range.

    Examples
    --------
    >>> depth, confidence = confident(GeometricDepth(), np.zeros((8, 6, 3), np.float32))
    >>> bool(confidence.min() > 0.5)
    True
    """
    import cv2

    if not (tolerance > 0 and all(0.1 <= s <= 4 for s in scales)):
        raise OptionError(f"tolerance must be above 0 and scales within 0.1-4, got {tolerance:g} and {tuple(scales)}")
    first = estimator.estimate(picture)
    height, width = first.values.shape
    found = [first.values, estimator.estimate(np.ascontiguousarray(picture[:, ::-1])).values[:, ::-1]]
    for scale in scales:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        other = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        seen = estimator.estimate(np.clip(other, 0, 1).astype(np.float32)).values
        found.append(cv2.resize(seen, (width, height), interpolation=cv2.INTER_LINEAR))
    metric = first.unit == "metre"  # such a network says what its scale is
    stack = np.stack([found[0], *(f if metric else _fitted(f, found[0]) for f in found[1:])])
    middle = np.median(stack, axis=0)
    low, high = np.quantile(middle, (0.02, 0.98))
    apart = np.abs(stack - middle).max(axis=0) / max(float(high - low), 1e-6)
    confidence = np.exp(-apart / tolerance).astype(np.float32)
    return Depth(middle.astype(np.float32), first.unit, first.nearer_is), confidence


def _fitted(values: Float, to: Float) -> Float:
    """Return values times the factor, not below 0, and plus the shift that bring them nearest to others."""
    x, y = values.astype(np.float64).ravel(), to.astype(np.float64).ravel()
    spread = float(x.var())
    factor = max(0.0, float(((x - x.mean()) * (y - y.mean())).mean()) / spread) if spread > 1e-12 else 0.0
    return np.asarray(factor * (values - x.mean()) + y.mean(), np.float32)


def grey_of(depth: Depth) -> NDArray[np.uint16]:
    """Return a depth map as a 16-bit grey picture: near is white, between its own nearest and furthest.

    Parameters
    ----------
    depth : Depth
        Of any unit and direction.

    Returns
    -------
    (H, W) uint16
        65535 = nearest; a map of one depth is mid-grey.
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
