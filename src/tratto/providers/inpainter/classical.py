"""Inpainters without weights: our own patches and thin plate, OpenCV's two, scikit-image's biharmonic one."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import Filled, Inpainter, InpainterInfo
from tratto.core.errors import MissingExtra, OptionError, UnavailableError
from tratto.imaging.fill import ErrorCurve, expected_error, plate_fill, smooth_fill
from tratto.providers.catalogue import Request

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

_Fill = Callable[[Float, Bool, int], Float]


def missing(request: Request) -> UnavailableError | None:
    """Return why this inpainter cannot be used here, or None."""
    if request.variant == "biharmonic" and importlib.util.find_spec("skimage") is None:
        return MissingExtra("the biharmonic inpainter of scikit-image", "bench")
    return None


def check_window(picture: Float, hole: Bool, provider: str) -> None:
    """Raise OptionError unless a window is what :meth:`Inpainter.fill` takes."""
    if picture.ndim != 3 or picture.dtype != np.float32 or hole.shape != picture.shape[:2] or hole.dtype != bool:
        raise OptionError(
            f"{provider} takes a float32 (h, w, C) picture and a bool (h, w) hole of its size; "
            f"got {picture.dtype} {picture.shape} and {hole.dtype} {hole.shape}"
        )


@dataclass(frozen=True)
class ClassicalInpainter:
    """Runs one function and predicts its error by a curve that was fitted to photographs."""

    own: InpainterInfo
    function: _Fill
    curve: ErrorCurve

    @property
    def info(self) -> InpainterInfo:
        """Facts about this inpainter."""
        return self.own

    def fill(self, picture: Float, hole: Bool, seed: int = 0) -> Filled:
        """Fill the holes of a window; see :class:`~tratto.core.capability.Inpainter`."""
        check_window(picture, hole, self.own.provider)
        blank = np.where(hole[..., None], np.float32(0), picture)  # nothing may leak out of a hole
        done = np.where(hole[..., None], self.function(blank, hole, seed), picture)
        return Filled(done.astype(np.float32), expected_error(blank, hole, self.curve))


def _patch(picture: Float, hole: Bool, seed: int) -> Float:
    from tratto.providers.inpainter.patch import patch_fill

    return patch_fill(picture, hole, seed)


#: Pixels (a standard deviation) over which light and colour are broad. On large holes in 16 training photographs
#: (benchmarks/mixed_fill.py) copied texture alone comes to 23.30 dB and LPIPS 0.0437; with the plate's broad part at 8
#: pixels to 24.22 and 0.0410, at 12 to 24.41 and 0.0411, at 20 to 24.31 and 0.0416.
BROAD = 12.0


def _mixed(picture: Float, hole: Bool, seed: int) -> Float:
    """Copied texture, whose broad light and colour are those of the smoothest continuation.

    What was copied fits at its own place and seldom in brightness; what is continued is right in the mean and shows
    nothing. Both are errors, and each lies where the other has none.
    """
    import cv2

    copied = _patch(picture, hole, seed)
    apart = np.where(hole[..., None], plate_fill(picture, hole) - copied, np.float32(0)).astype(np.float32)
    broad = cv2.GaussianBlur(apart, (0, 0), BROAD).reshape(apart.shape)
    return np.asarray(np.clip(copied + broad, 0, 1), np.float32)


#: Windows of more pixels are searched at a smaller scale by ``texture``.
SEARCHED = 20_000


def _texture(picture: Float, hole: Bool, seed: int) -> Float:
    from tratto.providers.inpainter.patch import PatchSettings, patch_fill

    return patch_fill(picture, hole, seed, PatchSettings(turns=1, searched=SEARCHED, copied=True))


def _plate(picture: Float, hole: Bool, seed: int) -> Float:
    return plate_fill(picture, hole)


def _navier_stokes(picture: Float, hole: Bool, seed: int) -> Float:
    return smooth_fill(picture, hole)


def _telea(picture: Float, hole: Bool, seed: int) -> Float:
    import cv2

    if hole.all():
        return np.full_like(picture, 0.5)
    levels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    marks = hole.astype(np.uint8)
    if picture.shape[2] == 3:  # the three channels share their order of filling
        return np.asarray(cv2.inpaint(levels, marks, 3, cv2.INPAINT_TELEA), np.float32) / np.float32(255)
    planes = [
        cv2.inpaint(np.ascontiguousarray(levels[..., c]), marks, 3, cv2.INPAINT_TELEA) for c in range(picture.shape[2])
    ]
    return np.stack(planes, axis=-1).astype(np.float32) / np.float32(255)


def _biharmonic(picture: Float, hole: Bool, seed: int) -> Float:
    from skimage.restoration import inpaint_biharmonic

    if not hole.any() or hole.all():
        return smooth_fill(picture, hole)
    return np.asarray(inpaint_biharmonic(picture, hole, channel_axis=2), np.float32)


def open(request: Request) -> Inpainter:
    """Open one of the classical inpainters."""
    import cv2

    variant = request.variant

    opencv, own = f"opencv {cv2.__version__}", f"numpy {np.__version__}"
    if variant == "patch":
        info = InpainterInfo("patch", 0, library=own, megapixels_per_second=0.08)
        return ClassicalInpainter(info, _patch, ErrorCurve(1.07, 3.0))
    if variant == "mixed":
        info = InpainterInfo("mixed", 0, library=own, megapixels_per_second=0.08)
        return ClassicalInpainter(info, _mixed, ErrorCurve(1.15, 3.0))
    if variant == "texture":
        info = InpainterInfo("texture", 0, library=own, megapixels_per_second=0.3)
        return ClassicalInpainter(info, _texture, ErrorCurve(1.07, 3.0))
    if variant == "plate":
        return ClassicalInpainter(
            InpainterInfo("plate", 48, library=own, megapixels_per_second=1.5), _plate, ErrorCurve(0.90, 3.0)
        )
    if variant == "navier-stokes":
        return ClassicalInpainter(
            InpainterInfo("navier-stokes", 32, library=opencv, megapixels_per_second=6.0),
            _navier_stokes,
            ErrorCurve(0.93, 2.0),
        )
    if variant == "telea":
        return ClassicalInpainter(
            InpainterInfo("telea", 32, precision="uint8", library=opencv, megapixels_per_second=8.0),
            _telea,
            ErrorCurve(1.09, 2.0),
        )
    from importlib.metadata import version

    library = f"scikit-image {version('scikit-image')}"
    return ClassicalInpainter(
        InpainterInfo("biharmonic", 32, precision="fp64", library=library, megapixels_per_second=1.0),
        _biharmonic,
        ErrorCurve(0.92, 3.0),
    )
