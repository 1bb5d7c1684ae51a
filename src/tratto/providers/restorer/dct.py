"""Noise of any size taken off in the frequencies it has: sliding blocks of the discrete cosine transform.

Every block of 16 x 16 is transformed, coefficients below a multiple of the noise at their frequency are dropped and the
blocks, which overlap, are averaged with more weight for those in which less is left (Yaroslavsky et al. 2001; Yu and
Sapiro 2011, "DCT image denoising: a simple and effective image denoising algorithm"; the weights as in Dabov et al.
2007). The noise is told by octave and may be coarse: film grain of several pixels, which networks trained on all kinds
of noise take for texture, goes as well as fine noise. What it cannot know is which structure of the size of the grain
was the picture's.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tratto.core.capability import RestoredTile, Restorer, RestorerInfo
from tratto.core.errors import OptionError, UnavailableError
from tratto.providers.catalogue import NOISE, Request
from tratto.providers.restorer.network import check_tile

Plane = NDArray[np.float32]

SIDE, STEP = 16, 4
#: Times the noise up to which a coefficient is dropped. On eight real pairs 2.4, 2.7 and 3.0 differ by 0.01 dB
#: (benchmarks/octaves_first.py).
THRESHOLD = 2.7
#: Share of the variance of white noise that its second differences measure, as in tratto.imaging.estimate.octaves.
_SHARE = 0.75
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def missing(request: Request) -> UnavailableError | None:
    """Return None: it needs nothing but NumPy."""
    return None


def open(request: Request) -> Restorer:
    """Open it; ``noise1`` to ``noise8`` are the noise of brightness at 1 to 8 pixels."""
    return Dct(tuple(float(request.params.get(name, 0.0)) for name in NOISE))


@lru_cache(maxsize=1)
def _transform() -> Plane:
    """The orthonormal transform of type II, (16, 16)."""
    k, x = np.arange(SIDE)[:, None], np.arange(SIDE)[None, :]
    matrix = np.cos(np.pi * (2 * x + 1) * k / (2 * SIDE)) * np.sqrt(2 / SIDE)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, np.float32)


def noise_by_frequency(noise: tuple[float, ...]) -> Plane:
    """Return the standard deviation of the coefficients of noise.

    Parameters
    ----------
    noise : tuple of float
        Standard deviation in 1/255 in the octaves of 1, 2, 4 and 8 pixels.

    Returns
    -------
    (16, 16) float32 array
        By vertical and horizontal frequency, on the scale of samples in [0, 1].

    Examples
    --------
    >>> white = tuple(8 * (0.75 ** 0.5) / 2**k for k in range(4))
    >>> 255 * noise_by_frequency(white)[5, 9].round(4)
    np.float32(8.007)
    """
    # an octave of 2^k pixels was measured after averaging 4^k of them
    density = [value * value * 4**k / _SHARE for k, value in enumerate(noise)]
    steps = np.arange(SIDE) / (2 * SIDE)
    frequency = np.maximum(np.hypot(steps[:, None], steps[None, :]), 1e-3)
    # second differences of samples that stand for 2^k pixels answer most to frequencies of about 0.35 / 2^k
    at = np.log2(0.35 / frequency)
    return np.asarray(np.sqrt(np.interp(at, np.arange(len(density)), density)) / 255, np.float32)


def shrunk(plane: Plane, sigma: Plane) -> Plane:
    """Return a plane without what lies below the noise.

    Parameters
    ----------
    plane : (H, W) float32 array
        Sides are multiples of :data:`STEP` and at least :data:`SIDE`.
    sigma : (16, 16) float32 array
        See :func:`noise_by_frequency`.
    """
    h, w = plane.shape
    matrix = _transform()
    cells = np.zeros((h // STEP, w // STEP, STEP, STEP), np.float32)
    weights = np.zeros((h // STEP, w // STEP), np.float32)
    beside = SIDE // STEP
    variance = (sigma * sigma).ravel()
    for row in range(0, h - SIDE + 1, STEP):
        blocks = sliding_window_view(plane[row : row + SIDE], SIDE, axis=1)[:, ::STEP].transpose(1, 0, 2)
        coefficients = matrix @ blocks @ matrix.T
        kept = np.abs(coefficients) > THRESHOLD * sigma
        kept[:, 0, 0] = True
        weight = 1 / np.maximum(kept.reshape(len(kept), -1) @ variance, 1e-9)
        back = (matrix.T @ (coefficients * kept) @ matrix) * weight[:, None, None]
        parts = back.reshape(len(back), beside, STEP, beside, STEP).astype(np.float32)
        for y in range(beside):
            for x in range(beside):
                cells[row // STEP + y, x : x + len(back)] += parts[:, y, :, x, :]
                weights[row // STEP + y, x : x + len(back)] += weight
    out = cells / weights[:, :, None, None]
    return np.ascontiguousarray(out.transpose(0, 2, 1, 3).reshape(h, w))


class Dct:
    """Takes noise off brightness by :func:`shrunk`; differences of colours stay.

    Parameters
    ----------
    noise : tuple of float
        Of brightness in the octaves of 1, 2, 4 and 8 pixels, in 1/255; all 0: nothing is done.
    """

    def __init__(self, noise: tuple[float, ...]) -> None:
        if not all(0 <= n < float("inf") for n in noise):
            raise OptionError(f"the noise must be numbers of at least 0, in 1/255, got {noise}")
        self._sigma = noise_by_frequency(noise)
        #: Facts about this restorer.
        self.info = RestorerInfo(
            provider="dct",
            scale=1,
            tile=512,
            overlap=32,  # three quarters of it cover the 15 pixels that a block reaches, and keep the steps' grid
            multiple=STEP,
            library=f"numpy {np.__version__}",
            megapixels_per_second=1.0,
            params={name: n for name, n in zip(NOISE, noise, strict=False) if n},
        )

    def restore(self, tile: NDArray[np.float32], noise_sigma: float | None = None) -> RestoredTile:
        """Denoise one tile; see :class:`~tratto.core.capability.Restorer`."""
        check_tile(tile, "dct", STEP)
        if not self._sigma.any():
            return RestoredTile(tile.copy())
        mode = "reflect" if min(tile.shape[:2]) > 1 else "edge"
        luma = np.pad(tile @ _LUMA, SIDE, mode=mode)  # type: ignore[call-overload]
        less = shrunk(luma, self._sigma) - luma
        return RestoredTile(tile + less[SIDE:-SIDE, SIDE:-SIDE, None])
