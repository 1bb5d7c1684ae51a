"""Resizing with four kernels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto_lab.simulate.degrade.kinds import KERNELS, Kernel, Picture, check_picture


def _weight(kernel: Kernel, t: NDArray[np.float64]) -> NDArray[np.float64]:
    a = np.abs(t)
    if kernel == "bilinear":
        return np.maximum(1 - a, 0)
    inner = 1.5 * a**3 - 2.5 * a**2 + 1
    outer = -0.5 * a**3 + 2.5 * a**2 - 4 * a + 2
    return np.where(a <= 1, inner, np.where(a < 2, outer, 0.0))


@lru_cache(maxsize=64)
def resize_matrix(size_in: int, size_out: int, kernel: Kernel) -> NDArray[np.float32]:
    """Matrix (size_out, size_in) that resizes one axis; rows sum to one.

    Bilinear and bicubic (Keys 1981, a = -0.5) kernels are widened when shrinking (anti-aliased), and the picture is
    mirrored at its edges with the edge sample repeated: the conventions of MATLAB's ``imresize``, which published
    super-resolution figures use. ``area`` averages the covered interval exactly; ``nearest`` takes the sample under
    the output sample's centre.

    Examples
    --------
    >>> resize_matrix(4, 2, "area").tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    if kernel not in KERNELS:
        raise OptionError(f"the kernel is one of {KERNELS}; got {kernel!r}")
    if size_in < 1 or size_out < 1:
        raise OptionError(f"sizes must be positive; got {size_in} and {size_out}")
    ratio = size_in / size_out
    m = np.zeros((size_out, size_in))
    if kernel == "nearest":
        m[np.arange(size_out), np.minimum(((np.arange(size_out) + 0.5) * ratio).astype(int), size_in - 1)] = 1
        return m.astype(np.float32)
    if kernel == "area":
        edges = np.arange(size_in)
        for i in range(size_out):
            m[i] = np.clip(np.minimum(edges + 1, (i + 1) * ratio) - np.maximum(edges, i * ratio), 0, None)
    else:
        stretch = max(ratio, 1.0)
        reach = int(np.ceil(2 * stretch)) + 1
        for i in range(size_out):
            centre = (i + 0.5) * ratio - 0.5
            taps = np.arange(int(np.floor(centre)) - reach, int(np.floor(centre)) + reach + 1)
            folded = np.mod(taps, 2 * size_in)
            folded = np.where(folded >= size_in, 2 * size_in - 1 - folded, folded)
            np.add.at(m[i], folded, _weight(kernel, (taps - centre) / stretch))
    return (m / m.sum(1, keepdims=True)).astype(np.float32)


def resize(picture: Picture, height: int, width: int, kernel: Kernel = "bicubic") -> Picture:
    """Resize with :func:`resize_matrix` along both axes; not clipped.

    Returns
    -------
    ndarray
        float32 (height, width, 3).

    Examples
    --------
    >>> np.allclose(resize(np.full((8, 6, 3), 0.5, np.float32), 5, 7), 0.5, atol=1e-5)
    True
    """
    check_picture(picture)
    rows = resize_matrix(picture.shape[0], height, kernel)
    columns = resize_matrix(picture.shape[1], width, kernel)
    half = np.tensordot(rows, picture, axes=(1, 0))  # (height, W, 3)
    return np.ascontiguousarray(np.tensordot(columns, half, axes=(1, 1)).transpose(1, 0, 2)).astype(np.float32)


def downsample(picture: Picture, factor: int, kernel: Kernel = "bicubic") -> Picture:
    """Shrink by a whole factor; sides must be multiples of it.

    Examples
    --------
    >>> downsample(np.full((8, 6, 3), 0.5, np.float32), 2).shape
    (4, 3, 3)
    """
    if factor < 1 or picture.shape[0] % factor or picture.shape[1] % factor:
        raise OptionError(f"sides {picture.shape[:2]} must be multiples of the factor {factor}")
    return resize(picture, picture.shape[0] // factor, picture.shape[1] // factor, kernel)
