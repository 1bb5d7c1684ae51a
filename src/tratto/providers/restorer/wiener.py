"""Mild blur taken back by one linear filter: the inverse of a Gaussian, held back where it would amplify noise.

The filter is Wiener's (1949): ``H (1 + K) / (H^2 + K)`` for the Gaussian's transfer function ``H``. The noise-to-signal
ratio ``K`` is a constant, to which the noise that was measured is added octave by octave, so that frequencies in which
there is noise are raised less. It invents nothing: each output sample is one fixed weighted sum of input samples.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import RestoredTile, Restorer, RestorerInfo
from tratto.core.errors import OptionError, UnavailableError
from tratto.providers.catalogue import NOISE, Request
from tratto.providers.restorer.network import check_tile

#: Noise-to-signal ratio. On six held-out photographs with Gaussian blur of 1.6 and 2.0 pixels and noise of sigma 0, 1
#: and 2, of 0.01 and 0.03 (fixed, or grown with the noise) this gave the largest worst gain: 0.9 to 1.2 dB, mean 1.2 to
#: 1.7. Defocus of 3 pixels radius, which is no mild blur, gained 0.5 dB in the mean and lost 0.5 at worst.
RATIO = 0.03
#: What photographs have by octave of 1, 2, 4 and 8 pixels once they are sharp (1/255): the median over 65
#: crops of free photographs of the rms of second differences. Noise is held against it.
SIGNAL = (4.4, 5.6, 7.3, 8.7)
#: What sharp photographs measure already (in pixels, subtracted in squares), and the most that is taken back.
SHARP, MOST = 0.7, 1.5
RADIUS = 12
DEFAULT_BLUR = 1.5


def missing(request: Request) -> UnavailableError | None:
    """Return None: OpenCV is part of the base install."""
    return None


def open(request: Request) -> Restorer:
    """Open it; ``blur`` is the softness of edges in pixels, ``noise1`` to ``noise8`` the noise at 1 to 8 pixels."""
    noise = tuple(float(request.params.get(name, 0.0)) for name in NOISE)
    return Wiener(float(request.params.get("blur", DEFAULT_BLUR)), noise if any(noise) else ())


@lru_cache(maxsize=16)
def wiener_kernel(blur: float, noise: tuple[float, ...] = ()) -> NDArray[np.float32]:
    """Return the filter for edges that are ``blur`` pixels soft.

    Parameters
    ----------
    blur : float
        Standard deviation in pixels of the Gaussian that would soften an ideal edge as much. Up to :data:`SHARP`
        nothing is taken back; beyond :data:`MOST` no more is.
    noise : tuple of float
        Standard deviation in 1/255 in the octaves of 1, 2, 4 and 8 pixels; empty: none was measured.

    Returns
    -------
    ndarray
        (25, 25) float32; sums to one.
    """
    size = 64
    taken = min(MOST, float(np.sqrt(max(blur * blur - SHARP * SHARP, 0.0))))
    f = np.fft.fftfreq(size)
    h = np.exp(-2 * (np.pi * taken) ** 2 * (f[:, None] ** 2 + f[None, :] ** 2))
    k = _ratio(np.hypot(f[:, None], f[None, :]), noise)
    full = np.fft.fftshift(np.real(np.fft.ifft2(h * (1 + k) / (h * h + k))))
    cut = slice(size // 2 - RADIUS, size // 2 + RADIUS + 1)
    kernel = full[cut, cut]
    out: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    out.setflags(write=False)
    return out


def _ratio(frequency: NDArray[np.float64], noise: tuple[float, ...]) -> NDArray[np.float64] | float:
    """Noise-to-signal ratio at each frequency (cycles per pixel), between the octaves along the logarithm."""
    if not any(noise):
        return RATIO
    octaves = np.arange(len(noise))
    extra = np.square(np.asarray(noise) / np.asarray(SIGNAL[: len(noise)]))
    # second differences of samples that stand for 2^k pixels answer most to frequencies of about 0.35 / 2^k
    at = np.log2(0.35 / np.maximum(frequency, 1e-3))
    return np.asarray(RATIO + np.interp(at, octaves, extra), np.float64)


class Wiener:
    """Deblurs by :func:`wiener_kernel`.

    Parameters
    ----------
    blur : float
        Softness of edges in pixels.
    noise : tuple of float
        By octave, in 1/255.
    """

    def __init__(self, blur: float, noise: tuple[float, ...] = ()) -> None:
        import cv2

        if not 0 <= blur < float("inf"):
            raise OptionError(f"the blur must be a number of pixels of at least 0, got {blur}")
        if not all(0 <= n < float("inf") for n in noise):
            raise OptionError(f"the noise must be numbers of at least 0, in 1/255, got {noise}")
        self._cv2: Any = cv2
        self._kernel = wiener_kernel(blur, noise)
        #: Facts about this restorer.
        self.info = RestorerInfo(
            provider="wiener",
            scale=1,
            tile=512,
            overlap=16,  # three quarters of it cover the filter's radius
            library=f"opencv {cv2.__version__}",
            megapixels_per_second=5.0,
            params={"blur": blur, **dict(zip(NOISE, noise, strict=False))},
        )

    def restore(self, tile: NDArray[np.float32], noise_sigma: float | None = None) -> RestoredTile:
        """Sharpen one tile; see :class:`~tratto.core.capability.Restorer`."""
        check_tile(tile, "wiener", 1)
        sharp = self._cv2.filter2D(tile, -1, self._kernel, borderType=self._cv2.BORDER_REFLECT)
        return RestoredTile(np.ascontiguousarray(sharp, np.float32))
