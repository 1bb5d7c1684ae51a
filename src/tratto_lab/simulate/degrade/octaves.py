"""Noise of every scale, as it is left by cameras that take the fine part away themselves.

White noise that is demosaiced halves from one octave to the next. What cameras deliver falls more slowly, since their
own denoising takes the finest octave, JPEG the finest of colour, and what is coarser than their filters stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto_lab.simulate.degrade.kinds import Picture, check_picture


@dataclass(frozen=True)
class OctaveNoise:
    """Noise in octaves.

    Attributes
    ----------
    amplitudes : tuple of float
        Standard deviation, 0-255 scale, of the noise whose grain is 1, 2, 4, 8, ... pixels.
    tied : tuple of float
        As many: how much of the variance of each octave all channels share, 0 (colour noise) to 1 (grey).
    gains : tuple of 3 floats
        Of red, green and blue.
    by_light : tuple of float
        Relative strength at brightness 0 ... 1, evenly spaced, between them linear; at least two.

    Examples
    --------
    >>> OctaveNoise((3.0, 4.0), (0.5, 0.5)).gains
    (1.0, 1.0, 1.0)
    """

    amplitudes: tuple[float, ...]
    tied: tuple[float, ...]
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    by_light: tuple[float, ...] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not self.amplitudes or len(self.tied) != len(self.amplitudes) or len(self.by_light) < 2:
            raise OptionError(
                f"octaves need as many amplitudes as shares in common, and two strengths by brightness or more; got "
                f"{len(self.amplitudes)}, {len(self.tied)} and {len(self.by_light)}"
            )
        if min((*self.amplitudes, *self.gains, *self.by_light)) < 0 or not all(0 <= t <= 1 for t in self.tied):
            raise OptionError("amplitudes, gains and strengths are 0 or more, shares in common between 0 and 1")


def octave_field(
    shape: tuple[int, int], amplitudes: tuple[float, ...], tied: tuple[float, ...], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the sum of noise of 1, 2, 4, ... pixels, each enlarged (bicubic) from white noise at a random offset.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    amplitudes, tied : tuple of float
        As in :class:`OctaveNoise`.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    ndarray
        float32 (H, W, 3), 0-255 scale. In every channel the part of an octave has exactly its amplitude as root mean
        square over this field.

    Examples
    --------
    >>> field = octave_field((64, 64), (3.0,), (0.0,), np.random.default_rng(0))
    >>> np.sqrt(np.square(field).mean((0, 1))).round(3).tolist()
    [3.0, 3.0, 3.0]
    """
    import cv2

    h, w = shape
    out = np.zeros((h, w, 3), np.float32)
    for number, (amplitude, together) in enumerate(zip(amplitudes, tied, strict=True)):
        step = 2**number
        size = (-(-h // step) + 3, -(-w // step) + 3)
        noise = rng.standard_normal((*size, 3), dtype=np.float32) * np.float32(np.sqrt(1 - together))
        noise += rng.standard_normal((*size, 1), dtype=np.float32) * np.float32(np.sqrt(together))
        if step > 1:
            y, x = (int(v) for v in rng.integers(step, 2 * step, 2))
            noise = cv2.resize(noise, (size[1] * step, size[0] * step), interpolation=cv2.INTER_CUBIC)
            noise = noise[y : y + h, x : x + w]
        else:
            noise = noise[:h, :w]
        rms = np.sqrt(np.square(noise).mean((0, 1)))
        out += noise * (np.float32(amplitude) / np.maximum(rms, np.float32(1e-6)))
    return out


def octave_noise(picture: Picture, noise: OctaveNoise, rng: np.random.Generator) -> Picture:
    """Add noise of every octave.

    Parameters
    ----------
    picture : ndarray
        float32 (H, W, 3), encoded.
    noise : OctaveNoise
        How much of which.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    ndarray
        float32 (H, W, 3), not clipped.

    Examples
    --------
    >>> grey, rng = np.full((32, 32, 3), 0.5, np.float32), np.random.default_rng(0)
    >>> noisy = octave_noise(grey, OctaveNoise((3.0, 4.0), (0.5, 0.5)), rng)
    >>> round(float(255 * (noisy - grey).std()))  # the root of 3 squared and 4 squared
    5
    """
    check_picture(picture)
    field = octave_field(picture.shape[:2], noise.amplitudes, noise.tied, rng)
    light = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    at = np.linspace(0, 1, len(noise.by_light))
    strength = np.interp(light, at, noise.by_light).astype(np.float32)
    return picture + field * strength[..., None] * (np.array(noise.gains, np.float32) / np.float32(255))


def random_octaves(rng: np.random.Generator, low: float = 1.0, high: float = 18.0) -> OctaveNoise:
    """Draw noise of five octaves that falls by 0.45 to 0.95 from one to the next.

    Its root mean square is log-uniform in [low, high] on the 0-255 scale. In seven of ten cases the finest octaves are
    damped, as by a camera's own denoising and JPEG; colour is common to all channels in a tenth, and the coarser the
    octave the more of it is colour. Strength goes with brightness in a random mixture of constant, photon-like, dark
    and middle.

    Examples
    --------
    >>> len(random_octaves(np.random.default_rng(0)).amplitudes)
    5
    """
    decay = float(rng.uniform(0.45, 0.95))
    amplitudes = decay ** np.arange(5.0)
    if rng.uniform() < 0.7:
        amplitudes[0] *= rng.uniform(0.05, 1.0)
        amplitudes[1] *= rng.uniform(0.4, 1.0)
    amplitudes *= np.exp(rng.normal(0.0, 0.15, 5))
    total = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    amplitudes *= total / np.sqrt(np.square(amplitudes).sum())
    if rng.uniform() < 0.1:
        tied = np.ones(5)
    else:
        tied = np.clip(rng.uniform(0, 1) - rng.uniform(0.0, 0.15) * np.arange(5.0), 0, 1)
    gains = np.exp(rng.normal(0.0, 0.25, 3))
    gains /= np.sqrt(np.square(gains).mean())
    y = np.linspace(0, 1, 9)
    kinds = np.stack([np.ones(9), np.sqrt(y + 0.02), 1.05 - y, 0.1 + 4 * y * (1 - y)])
    kinds /= kinds.mean(1, keepdims=True)
    strength = rng.dirichlet(np.full(4, 0.6)) @ kinds
    return OctaveNoise(
        tuple(float(a) for a in amplitudes),
        tuple(float(t) for t in tied),
        (float(gains[0]), float(gains[1]), float(gains[2])),
        tuple(float(s) for s in strength),
    )
