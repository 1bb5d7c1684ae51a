"""Blur of lenses and motion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto_lab.simulate.degrade.camera import to_encoded, to_linear
from tratto_lab.simulate.degrade.kinds import Picture, check_picture


def gaussian_kernel(sigma_x: float, sigma_y: float, angle: float, radius: int | None = None) -> NDArray[np.float32]:
    """Normalised (an)isotropic Gaussian; sigmas in pixels, angle in radians counter-clockwise from the x axis.

    Examples
    --------
    >>> kernel = gaussian_kernel(1.0, 1.0, 0.0, radius=3)
    >>> kernel.shape, round(float(kernel.sum()), 5)
    ((7, 7), 1.0)
    """
    if sigma_x <= 0 or sigma_y <= 0:
        raise OptionError(f"blur sigmas must be positive; got {sigma_x}, {sigma_y}")
    r = radius if radius is not None else max(1, int(np.ceil(3 * max(sigma_x, sigma_y))))
    y, x = np.mgrid[-r : r + 1, -r : r + 1].astype(np.float64)
    c, s = np.cos(angle), np.sin(angle)
    u, v = c * x - s * y, s * x + c * y  # rows grow downward, hence the sign
    k = np.exp(-0.5 * ((u / sigma_x) ** 2 + (v / sigma_y) ** 2))
    return (k / k.sum()).astype(np.float32)


def motion_kernel(length: float, angle: float) -> NDArray[np.float32]:
    """Normalised straight-line motion of `length` pixels at `angle` radians, drawn with sub-pixel weights.

    Examples
    --------
    >>> kernel = motion_kernel(5.0, 0.0)  # along a row
    >>> round(float(kernel[kernel.shape[0] // 2].sum()), 5)
    1.0
    """
    if length <= 0:
        raise OptionError(f"a motion's length must be positive; got {length}")
    r = max(1, int(np.ceil(length / 2)))
    k = np.zeros((2 * r + 3, 2 * r + 3))
    steps = max(2, int(np.ceil(length * 8)))
    for t in (np.arange(steps) + 0.5) / steps - 0.5:
        x, y = r + 1 + np.cos(angle) * length * t, r + 1 - np.sin(angle) * length * t
        x0, y0 = int(np.floor(x)), int(np.floor(y))
        fx, fy = x - x0, y - y0
        k[y0, x0] += (1 - fx) * (1 - fy)
        k[y0, x0 + 1] += fx * (1 - fy)
        k[y0 + 1, x0] += (1 - fx) * fy
        k[y0 + 1, x0 + 1] += fx * fy
    return (k / k.sum()).astype(np.float32)


def defocus_kernel(radius: float) -> NDArray[np.float32]:
    """Normalised disc of `radius` pixels (thin-lens circle of confusion), edges anti-aliased by 8 x 8 sampling.

    Examples
    --------
    >>> round(float(defocus_kernel(2.0).sum()), 5)
    1.0
    """
    if radius <= 0:
        raise OptionError(f"a defocus radius must be positive; got {radius}")
    r = max(1, int(np.ceil(radius)))
    fine = (np.arange((2 * r + 1) * 8) + 0.5) / 8 - r - 0.5
    disc = (fine[:, None] ** 2 + fine[None] ** 2 <= radius**2).astype(np.float64)
    k = disc.reshape(2 * r + 1, 8, 2 * r + 1, 8).sum((1, 3))
    return (k / k.sum()).astype(np.float32)


def blur(picture: Picture, kernel: NDArray[np.float32], linear: bool = True) -> Picture:
    """Convolve with a kernel; borders are mirrored.

    Parameters
    ----------
    picture : ndarray
        float32 (H, W, 3).
    kernel : ndarray
        float32, odd sides, sum one.
    linear : bool
        Convolve in linear light, where optics works; False convolves the encoded values.

    Examples
    --------
    >>> grey = np.full((16, 16, 3), 0.5, np.float32)
    >>> np.allclose(blur(grey, gaussian_kernel(1.0, 1.0, 0.0)), grey, atol=1e-5)
    True
    """
    import cv2

    check_picture(picture)
    if kernel.ndim != 2 or kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise OptionError(f"a blur kernel has odd sides; got {kernel.shape}")
    source = to_linear(picture) if linear else picture
    # filter2D correlates; turning the kernel makes it a convolution.
    out = cv2.filter2D(source, -1, np.ascontiguousarray(kernel[::-1, ::-1]), borderType=cv2.BORDER_REFLECT_101)
    return to_encoded(out) if linear else out.astype(np.float32)
