"""A camera's pipeline, there and back, with noise where it arises."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto_lab.simulate.degrade.kinds import Picture, check_picture


def to_linear(encoded: Picture) -> Picture:
    """Decode sRGB values to linear light (IEC 61966-2-1). Values outside [0, 1] are clipped first.

    Examples
    --------
    >>> to_linear(np.float32([0, 0.5, 1])).round(3).tolist()
    [0.0, 0.21400000154972076, 1.0]
    """
    x = np.clip(encoded, 0.0, 1.0)
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_encoded(linear: Picture) -> Picture:
    """Encode linear light in [0, 1] to sRGB values (IEC 61966-2-1). Values outside [0, 1] are clipped first.

    Examples
    --------
    >>> to_encoded(np.float32([0, 0.2140411, 1])).round(3).tolist()
    [0.0, 0.5, 1.0]
    """
    x = np.clip(linear, 0.0, 1.0)
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 1e-8) ** (1 / 2.4) - 0.055).astype(np.float32)


@dataclass(frozen=True)
class CameraNoise:
    """Parameters of the camera model of :func:`camera_noise`.

    Attributes
    ----------
    shot, read : float
        Signal-dependent and constant variance of the RAW values in [0, 1]: ``var = shot * signal + read``.
    red_gain, blue_gain : float
        White-balance gains relative to green.
    matrix : tuple of 9 floats
        Row-major matrix from camera RGB to linear sRGB, rows summing to one.

    Examples
    --------
    >>> CameraNoise(0.01, 0.0001, 2.0, 1.5, tuple(np.eye(3).ravel())).shot
    0.01
    """

    shot: float
    read: float
    red_gain: float
    blue_gain: float
    matrix: tuple[float, ...]


# Two typical camera-to-sRGB matrices, rows summing to one (white stays white); mixed at random. They are rounded,
# generic values of the kind found after normalising published colour matrices, not those of a named camera.
_MATRICES = np.array(
    [
        [[1.70, -0.55, -0.15], [-0.22, 1.55, -0.33], [0.03, -0.48, 1.45]],
        [[1.45, -0.30, -0.15], [-0.12, 1.35, -0.23], [0.02, -0.32, 1.30]],
    ]
)


def random_camera(rng: np.random.Generator) -> CameraNoise:
    """Draw camera parameters after Brooks et al. 2019 ("Unprocessing Images for Learned Raw Denoising").

    Shot noise is log-uniform in [1e-4, 1.2e-2]; ``log read = 2.18 log shot + 1.20 + N(0, 0.26)``.

    Examples
    --------
    >>> camera = random_camera(np.random.default_rng(0))
    >>> len(camera.matrix), camera.shot > 0
    (9, True)
    """
    log_shot = rng.uniform(np.log(1e-4), np.log(1.2e-2))
    log_read = 2.18 * log_shot + 1.20 + rng.normal(0.0, 0.26)
    mix = rng.uniform()
    matrix = mix * _MATRICES[0] + (1 - mix) * _MATRICES[1]
    return CameraNoise(
        float(np.exp(log_shot)),
        float(np.exp(log_read)),
        float(rng.uniform(1.9, 2.4)),
        float(rng.uniform(1.5, 1.9)),
        tuple(float(v) for v in matrix.ravel()),
    )


def _smoothstep(x: Picture) -> Picture:
    return x * x * (3 - 2 * x)


def _inverse_smoothstep(y: Picture) -> Picture:
    return (0.5 - np.sin(np.arcsin(1 - 2 * np.clip(y, 0, 1)) / 3)).astype(np.float32)


def unprocess(picture: Picture, camera: CameraNoise) -> Picture:
    """Encoded sRGB to demosaicked RAW: inverse tone curve, gamma, colour matrix, white balance.

    Returns
    -------
    ndarray
        float32 (H, W, 3) linear camera RGB, non-negative.

    Examples
    --------
    >>> grey, camera = np.full((4, 4, 3), 0.5, np.float32), random_camera(np.random.default_rng(0))
    >>> unprocess(grey, camera).shape
    (4, 4, 3)
    """
    linear = to_linear(_inverse_smoothstep(picture))
    inverse = np.linalg.inv(np.array(camera.matrix).reshape(3, 3)).astype(np.float32)
    gains = np.array([1 / camera.red_gain, 1.0, 1 / camera.blue_gain], np.float32)
    return np.maximum((linear @ inverse.T) * gains, 0.0)


def process(raw: Picture, camera: CameraNoise) -> Picture:
    """The inverse of :func:`unprocess`; saturated values are clipped.

    Returns
    -------
    ndarray
        float32 (H, W, 3) sRGB-encoded in [0, 1].

    Examples
    --------
    >>> grey, camera = np.full((4, 4, 3), 0.5, np.float32), random_camera(np.random.default_rng(0))
    >>> np.allclose(process(unprocess(grey, camera), camera), grey, atol=1e-3)
    True
    """
    gains = np.array([camera.red_gain, 1.0, camera.blue_gain], np.float32)
    linear = (raw * gains) @ np.array(camera.matrix, np.float32).reshape(3, 3).T
    return _smoothstep(to_encoded(linear))


def camera_noise(picture: Picture, camera: CameraNoise, rng: np.random.Generator) -> Picture:
    """Noise as a camera makes it: un-process to RAW, add shot and read noise, process again.

    The mosaic is modelled by drawing red and blue noise at half resolution and interpolating it bilinearly, which is
    what demosaicking does to first order; green noise stays white.

    Returns
    -------
    ndarray
        float32 (H, W, 3) sRGB-encoded in [0, 1].

    Examples
    --------
    >>> grey, rng = np.full((32, 32, 3), 0.5, np.float32), np.random.default_rng(0)
    >>> bool(camera_noise(grey, random_camera(rng), rng).std() > 0)
    True
    """
    check_picture(picture)
    raw = unprocess(picture, camera)
    h, w = raw.shape[:2]
    noise = rng.standard_normal(raw.shape, dtype=np.float32)
    for channel in (0, 2):
        coarse = rng.standard_normal(((h + 1) // 2, (w + 1) // 2), dtype=np.float32)
        noise[..., channel] = _resize_plane(coarse, h, w)
    std = np.sqrt(camera.shot * raw + camera.read, dtype=np.float32)
    return process(np.maximum(raw + noise * std, 0.0), camera)


def _resize_plane(plane: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    import cv2

    out: NDArray[np.float32] = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
    return out
