"""Noise of sensors, photons and film."""

from __future__ import annotations

import numpy as np

from tratto.core.errors import OptionError
from tratto_lab.simulate.degrade.blurring import gaussian_kernel
from tratto_lab.simulate.degrade.camera import to_encoded, to_linear
from tratto_lab.simulate.degrade.kinds import Picture, check_picture


def gaussian_noise(picture: Picture, sigma: float, rng: np.random.Generator) -> Picture:
    """Add white Gaussian noise to the encoded values.

    Parameters
    ----------
    picture : ndarray
        float32 (H, W, 3).
    sigma : float
        Standard deviation on the 0-255 scale.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    ndarray
        float32 (H, W, 3), not clipped.

    Raises
    ------
    OptionError
        If sigma is negative.

    Examples
    --------
    >>> grey = np.full((64, 64, 3), 0.5, np.float32)
    >>> round(255 * float(gaussian_noise(grey, 10.0, np.random.default_rng(0)).std()))
    10
    """
    check_picture(picture)
    if sigma < 0:
        raise OptionError(f"sigma must not be negative; got {sigma}")
    return picture + rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(sigma / 255.0)


def poisson_noise(picture: Picture, peak: float, rng: np.random.Generator) -> Picture:
    """Photon noise: counts are Poisson-distributed around linear light times `peak`.

    Parameters
    ----------
    picture : ndarray
        float32 (H, W, 3), sRGB-encoded.
    peak : float
        Mean count at linear white. Smaller is noisier.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    ndarray
        float32 (H, W, 3) in [0, 1]: re-encoding clips.

    Examples
    --------
    >>> grey, rng = np.full((64, 64, 3), 0.5, np.float32), np.random.default_rng(0)
    >>> bool(poisson_noise(grey, 30.0, rng).std() > poisson_noise(grey, 3000.0, rng).std())
    True
    """
    check_picture(picture)
    if peak <= 0:
        raise OptionError(f"peak must be positive; got {peak}")
    counts = rng.poisson(to_linear(picture).astype(np.float64) * peak)
    return to_encoded((counts / peak).astype(np.float32))


def grain_noise(picture: Picture, sigma: float, size: float, rng: np.random.Generator, tied: bool = True) -> Picture:
    """Add Gaussian noise that is spread over several pixels, as film grain is after scanning.

    White noise is smoothed with a Gaussian and scaled back to the asked standard deviation. Real grain also depends on
    exposure; that is left out.

    Parameters
    ----------
    picture : ndarray
        float32 (H, W, 3).
    sigma : float
        Standard deviation on the 0-255 scale.
    size : float
        Standard deviation of the smoothing in pixels; 0: white noise.
    rng : numpy.random.Generator
        The source of randomness.
    tied : bool
        Equal in all channels, as in a black-and-white film.

    Returns
    -------
    ndarray
        float32 (H, W, 3), not clipped.

    Raises
    ------
    OptionError
        If sigma or size is negative.

    Examples
    --------
    >>> grey = np.full((64, 64, 3), 0.5, np.float32)
    >>> grain = grain_noise(grey, 10.0, 1.5, np.random.default_rng(0))
    >>> np.allclose(grain[..., 0], grain[..., 1], atol=1e-6)  # tied: the same in all channels
    True
    """
    check_picture(picture)
    if sigma < 0 or size < 0:
        raise OptionError(f"sigma and size must not be negative; got {sigma} and {size}")
    h, w, channels = picture.shape
    noise = rng.standard_normal((h, w, 1 if tied else channels), dtype=np.float32)
    if size > 0:
        import cv2

        line = gaussian_kernel(size, size, 0.0)
        smooth = cv2.filter2D(noise, -1, line, borderType=cv2.BORDER_REFLECT).reshape(noise.shape)
        # the sum of squared weights is what smoothing leaves of the variance
        noise = smooth / np.float32(np.sqrt(np.square(line).sum()))
    return picture + noise * np.float32(sigma / 255.0)
