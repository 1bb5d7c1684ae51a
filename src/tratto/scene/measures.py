"""How far a rendered view is from a photograph, and the slope of that."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: Of Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity".
_C1, _C2 = 0.01**2, 0.03**2
_WINDOW = cv2.getGaussianKernel(11, 1.5).astype(np.float32)


def _blurred(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    # zeros around the picture, as the reconstruction's authors have it; the filter is then its own adjoint
    out: Any = cv2.sepFilter2D(planes, -1, _WINDOW, _WINDOW, borderType=cv2.BORDER_CONSTANT)
    return out.reshape(planes.shape)  # type: ignore[no-any-return]


def ssim(shown: NDArray[np.float32], target: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
    """Return the structural similarity of two pictures and its gradient to the first.

    Window of 11 pixels with a standard deviation of 1.5; mean over all pixels and channels (Wang et al. 2004).

    Parameters
    ----------
    shown, target : (H, W, 3) float32
        Full scale = 1.

    Examples
    --------
    >>> picture = np.random.default_rng(0).random((16, 16, 3), dtype=np.float32)
    >>> round(ssim(picture, picture)[0], 4)
    1.0
    """
    from tratto.scene import kernels
    from tratto.scene.compiled import calling

    shape = shown.shape[:2]
    shown, target = (np.ascontiguousarray(p, np.float32) for p in (shown, target))
    maps = np.empty((*shape, 15), np.float32)
    slopes, slope = np.empty((*shape, 9), np.float32), np.empty((*shape, 3), np.float32)
    sums = np.empty(shape[0])
    with calling():
        kernels.moments(shown, target, maps)
        kernels.similarity(_blurred(maps), _C1, _C2, sums, slopes)
        kernels.similarity_back(shown, target, _blurred(slopes), slope)
    return float(sums.sum() / shown.size), slope


def psnr(shown: NDArray[Any], target: NDArray[Any]) -> float:
    """Return the peak signal-to-noise ratio, dB; full scale = 1, values beyond it are cut.

    Examples
    --------
    >>> round(psnr(np.zeros((2, 2, 3)), np.full((2, 2, 3), 0.1)), 6)
    20.0
    """
    error = float(np.mean((np.clip(shown, 0, 1).astype(np.float64) - target) ** 2))
    return float("inf") if error == 0 else float(-10 * np.log10(error))
