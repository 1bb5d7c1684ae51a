"""Degradations of pictures, each with its physical model, seeded, and with its parameters returned.

Every picture here is float32 (H, W, 3), sRGB-encoded, nominally in [0, 1]. Functions named after a degradation take
its parameters; functions named ``random_*`` draw the parameters first. Randomness comes only from the
:class:`numpy.random.Generator` that is passed in. Nothing is clipped unless the model clips (an encoder, a quantiser):
noise that leaves [0, 1] is kept, as the usual evaluation protocol for denoising does.

A :class:`Degraded` holds the result and one :class:`Applied` record per operation, so that an estimator can be trained
on the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError

Picture = NDArray[np.float32]
Kernel = Literal["nearest", "bilinear", "bicubic", "area"]
KERNELS: tuple[Kernel, ...] = ("nearest", "bilinear", "bicubic", "area")


@dataclass(frozen=True)
class Applied:
    """One degradation that was applied.

    Attributes
    ----------
    name : str
        ``"gaussian"``, ``"poisson"``, ``"camera"``, ``"jpeg"``, ``"blur"``, ``"downsample"``, ``"quantize"``.
    parameters : mapping of str to float or str
        The drawn values, in the units of the function of that name.
    """

    name: str
    parameters: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Degraded:
    """A degraded picture and what was done to it, in order."""

    picture: Picture
    applied: tuple[Applied, ...] = ()


def _check(picture: Picture) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.float32:
        raise OptionError(f"a picture here is float32 (H, W, 3); got {picture.dtype} {picture.shape}")


# --- tone curves -----------------------------------------------------------------------------------------------


def to_linear(encoded: Picture) -> Picture:
    """Decode sRGB values to linear light (IEC 61966-2-1). Values outside [0, 1] are clipped first."""
    x = np.clip(encoded, 0.0, 1.0)
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_encoded(linear: Picture) -> Picture:
    """Encode linear light in [0, 1] to sRGB values (IEC 61966-2-1). Values outside [0, 1] are clipped first."""
    x = np.clip(linear, 0.0, 1.0)
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 1e-8) ** (1 / 2.4) - 0.055).astype(np.float32)


# --- noise -----------------------------------------------------------------------------------------------------


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
    """
    _check(picture)
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
    """
    _check(picture)
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
    """
    _check(picture)
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
    """
    _check(picture)
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


# --- JPEG ------------------------------------------------------------------------------------------------------

Subsampling = Literal["4:2:0", "4:4:4"]


def jpeg(
    picture: Picture, quality: int, subsampling: Subsampling = "4:2:0", shift: tuple[int, int] = (0, 0)
) -> Picture:
    """Encode and decode with a real JPEG encoder (libjpeg-turbo through OpenCV).

    Parameters
    ----------
    picture : ndarray
        float32 (H, W, 3); clipped and rounded to 8 bit, as any encoder does.
    quality : int
        1 to 100.
    subsampling : {"4:2:0", "4:4:4"}
        Chroma sub-sampling.
    shift : (int, int)
        Rows and columns (0-7) by which the 8 x 8 grid lies off the picture's corner. The picture is extended by its
        edge pixels, encoded, and cropped back.

    Returns
    -------
    ndarray
        float32 (H, W, 3) in [0, 1], multiples of 1/255.

    Raises
    ------
    OptionError
        If a parameter is out of range.
    """
    import cv2

    _check(picture)
    if not 1 <= quality <= 100:
        raise OptionError(f"JPEG quality is 1 to 100; got {quality}")
    if not (0 <= shift[0] < 8 and 0 <= shift[1] < 8):
        raise OptionError(f"the grid shift is 0 to 7 in each direction; got {shift}")
    factors = {"4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444}
    if subsampling not in factors:
        raise OptionError(f"subsampling is one of {sorted(factors)}; got {subsampling!r}")
    levels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)[..., ::-1]
    dy, dx = shift
    if dy or dx:
        levels = cv2.copyMakeBorder(np.ascontiguousarray(levels), dy, 0, dx, 0, cv2.BORDER_REPLICATE)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factors[subsampling]]
    ok, data = cv2.imencode(".jpg", np.ascontiguousarray(levels), options)
    if not ok:  # pragma: no cover - the encoder has no way to fail on checked input
        raise OptionError("the JPEG encoder refused the picture")
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)[dy:, dx:, ::-1]
    return decoded.astype(np.float32) / np.float32(255)


def double_jpeg(
    picture: Picture, first: int, second: int, shift: tuple[int, int], subsampling: Subsampling = "4:2:0"
) -> Picture:
    """Two encodings whose 8 x 8 grids do not coincide, as after cropping a JPEG and saving it again."""
    return jpeg(jpeg(picture, first, subsampling, shift), second, subsampling)


# --- blur ------------------------------------------------------------------------------------------------------


def gaussian_kernel(sigma_x: float, sigma_y: float, angle: float, radius: int | None = None) -> NDArray[np.float32]:
    """Normalised (an)isotropic Gaussian; sigmas in pixels, angle in radians counter-clockwise from the x axis."""
    if sigma_x <= 0 or sigma_y <= 0:
        raise OptionError(f"blur sigmas must be positive; got {sigma_x}, {sigma_y}")
    r = radius if radius is not None else max(1, int(np.ceil(3 * max(sigma_x, sigma_y))))
    y, x = np.mgrid[-r : r + 1, -r : r + 1].astype(np.float64)
    c, s = np.cos(angle), np.sin(angle)
    u, v = c * x - s * y, s * x + c * y  # rows grow downward, hence the sign
    k = np.exp(-0.5 * ((u / sigma_x) ** 2 + (v / sigma_y) ** 2))
    return (k / k.sum()).astype(np.float32)


def motion_kernel(length: float, angle: float) -> NDArray[np.float32]:
    """Normalised straight-line motion of `length` pixels at `angle` radians, drawn with sub-pixel weights."""
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
    """Normalised disc of `radius` pixels (thin-lens circle of confusion), edges anti-aliased by 8 x 8 sampling."""
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
    """
    import cv2

    _check(picture)
    if kernel.ndim != 2 or kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise OptionError(f"a blur kernel has odd sides; got {kernel.shape}")
    source = to_linear(picture) if linear else picture
    # filter2D correlates; turning the kernel makes it a convolution.
    out = cv2.filter2D(source, -1, np.ascontiguousarray(kernel[::-1, ::-1]), borderType=cv2.BORDER_REFLECT_101)
    return to_encoded(out) if linear else out.astype(np.float32)


# --- sampling --------------------------------------------------------------------------------------------------


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
    """
    _check(picture)
    rows = resize_matrix(picture.shape[0], height, kernel)
    columns = resize_matrix(picture.shape[1], width, kernel)
    half = np.tensordot(rows, picture, axes=(1, 0))  # (height, W, 3)
    return np.ascontiguousarray(np.tensordot(columns, half, axes=(1, 1)).transpose(1, 0, 2)).astype(np.float32)


def downsample(picture: Picture, factor: int, kernel: Kernel = "bicubic") -> Picture:
    """Shrink by a whole factor; sides must be multiples of it."""
    if factor < 1 or picture.shape[0] % factor or picture.shape[1] % factor:
        raise OptionError(f"sides {picture.shape[:2]} must be multiples of the factor {factor}")
    return resize(picture, picture.shape[0] // factor, picture.shape[1] // factor, kernel)


def quantize(picture: Picture, levels: int = 255) -> Picture:
    """Clip to [0, 1] and round to multiples of ``1 / levels``, as saving a file does."""
    return (np.round(np.clip(picture, 0, 1) * levels) / levels).astype(np.float32)


# --- random draws ----------------------------------------------------------------------------------------------


def random_gaussian(picture: Picture, rng: np.random.Generator, low: float = 0.0, high: float = 55.0) -> Degraded:
    """Gaussian noise, sigma uniform in [low, high] on the 0-255 scale."""
    sigma = float(rng.uniform(low, high))
    return Degraded(gaussian_noise(picture, sigma, rng), (Applied("gaussian", {"sigma": sigma}),))


def random_poisson(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Photon noise, peak log-uniform in [30, 3000]."""
    peak = float(np.exp(rng.uniform(np.log(30.0), np.log(3000.0))))
    return Degraded(poisson_noise(picture, peak, rng), (Applied("poisson", {"peak": peak}),))


def random_camera_noise(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Camera noise with the parameters of :func:`random_camera`."""
    camera = random_camera(rng)
    applied = Applied("camera", {"shot": camera.shot, "read": camera.read})
    return Degraded(camera_noise(picture, camera, rng), (applied,))


def random_jpeg(
    picture: Picture,
    rng: np.random.Generator,
    low: int = 5,
    high: int = 95,
    aligned: float = 0.75,
    twice: float = 0.2,
) -> Degraded:
    """One JPEG encoding, or with probability `twice` two whose grids are shifted; quality uniform in [low, high].

    A share `aligned` of the single ones has its grid begin at the corner, as a file does that was never cropped; tiles
    keep that alignment.
    """
    quality = int(rng.integers(low, high + 1))
    subsampling: Subsampling = "4:2:0" if rng.uniform() < 0.7 else "4:4:4"
    shift = (0, 0) if rng.uniform() < aligned else (int(rng.integers(8)), int(rng.integers(8)))
    if rng.uniform() < twice:
        first = int(rng.integers(low, high + 1))
        shift = (int(rng.integers(8)), int(rng.integers(8)))
        out = double_jpeg(picture, first, quality, shift, subsampling)
        parameters = {"quality": quality, "subsampling": subsampling, "first": first}
    else:
        out = jpeg(picture, quality, subsampling, shift)
        parameters = {"quality": quality, "subsampling": subsampling}
    return Degraded(out, (Applied("jpeg", parameters),))


def random_blur(picture: Picture, rng: np.random.Generator, strength: float = 1.0) -> Degraded:
    """A blur of random kind; `strength` scales its size (1: up to 2 pixels standard deviation)."""
    kind = ("isotropic", "anisotropic", "motion", "defocus")[int(rng.integers(4))]
    angle = float(rng.uniform(0, np.pi))
    size = float(rng.uniform(0.3, 2.0) * strength)
    if kind == "isotropic":
        kernel = gaussian_kernel(size, size, 0.0)
    elif kind == "anisotropic":
        kernel = gaussian_kernel(size, max(0.3, size * float(rng.uniform(0.3, 0.9))), angle)
    elif kind == "motion":
        kernel = motion_kernel(1.0 + 2.5 * size, angle)
    else:
        kernel = defocus_kernel(0.5 + size)
    return Degraded(blur(picture, kernel), (Applied("blur", {"kind": kind, "size": size, "angle": angle}),))


def random_downsample(picture: Picture, rng: np.random.Generator, factor: int) -> Degraded:
    """Shrink by `factor` with one of the four kernels."""
    kernel = KERNELS[int(rng.integers(len(KERNELS)))]
    applied = Applied("downsample", {"factor": factor, "kernel": kernel})
    return Degraded(downsample(picture, factor, kernel), (applied,))


_Draw = Callable[[Picture, np.random.Generator], Degraded]


def chain(picture: Picture, draws: tuple[_Draw, ...], rng: np.random.Generator) -> Degraded:
    """Apply several random degradations one after the other and join their records."""
    applied: tuple[Applied, ...] = ()
    for draw in draws:
        result = draw(picture, rng)
        picture, applied = result.picture, applied + result.applied
    return Degraded(picture, applied)


def _mild_blur(picture: Picture, rng: np.random.Generator) -> Degraded:
    return random_blur(picture, rng, 0.6)


def _mild_noise(picture: Picture, rng: np.random.Generator) -> Degraded:
    return random_gaussian(picture, rng, 1.0, 25.0)


def _mild_jpeg(picture: Picture, rng: np.random.Generator) -> Degraded:
    return random_jpeg(picture, rng, 30, 95)


def random_mixed(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Two or three of mild blur, noise, camera noise and JPEG in random order."""
    pool: list[_Draw] = [_mild_blur, _mild_noise, random_camera_noise, _mild_jpeg]
    count = int(rng.integers(2, 4))
    order = rng.permutation(len(pool))[:count]
    return chain(picture, tuple(pool[i] for i in order), rng)


def random_second_order(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Two rounds of mild blur, noise and JPEG (the idea of Real-ESRGAN, Wang et al. 2021), without resizing."""
    return chain(picture, (_mild_blur, _mild_noise, _mild_jpeg) * 2, rng)


@dataclass(frozen=True)
class Mix:
    """How often each kind of degradation is drawn; weights need not sum to one.

    Attributes
    ----------
    clean, gaussian, poisson, camera, jpeg, blur_noise, mixed, second_order : float
        Weights. ``clean`` leaves the picture as it is, so that a network learns to leave alone.
    sigma_max : float
        Largest Gaussian sigma, 0-255 scale.
    jpeg_high : int
        Best JPEG quality drawn by the ``jpeg`` kind; the worst is 5.
    jpeg_aligned, jpeg_twice : float
        See :func:`random_jpeg`; they hold for the ``jpeg`` kind.
    quantized : float
        Share of the Gaussian samples that are clipped and rounded to 8 bit, as a saved file is.
    """

    clean: float = 0.08
    gaussian: float = 0.48
    poisson: float = 0.05
    camera: float = 0.07
    jpeg: float = 0.21
    blur_noise: float = 0.03
    mixed: float = 0.06
    second_order: float = 0.02
    sigma_max: float = 55.0
    quantized: float = 0.3
    jpeg_high: int = 95
    jpeg_aligned: float = 0.75
    jpeg_twice: float = 0.2

    def weights(self) -> dict[str, float]:
        """Return the kinds and their weights, in drawing order."""
        return {
            name: float(getattr(self, name))
            for name in ("clean", "gaussian", "poisson", "camera", "jpeg", "blur_noise", "mixed", "second_order")
        }

    def __post_init__(self) -> None:
        weights = self.weights()
        if min(weights.values()) < 0 or sum(weights.values()) <= 0:
            raise OptionError(f"mix weights must not be negative and must not all be zero; got {weights}")


def degrade(picture: Picture, mix: Mix, rng: np.random.Generator) -> Degraded:
    """Draw one kind of degradation by its weight and apply it.

    Parameters
    ----------
    picture : ndarray
        float32 (H, W, 3) in [0, 1].
    mix : Mix
        Weights of the kinds.
    rng : numpy.random.Generator
        The source of randomness; the same state gives the same result.

    Returns
    -------
    Degraded
        The degraded picture and what was done.
    """
    _check(picture)
    weights = mix.weights()
    total = sum(weights.values())
    at = rng.uniform() * total
    kind = "clean"
    for kind, weight in weights.items():  # noqa: B007 - the last kind is wanted when rounding leaves a rest
        at -= weight
        if at < 0:
            break
    if kind == "clean":
        return Degraded(picture)
    if kind == "gaussian":
        result = random_gaussian(picture, rng, 0.0, mix.sigma_max)
        if rng.uniform() < mix.quantized:
            return Degraded(quantize(result.picture), (*result.applied, Applied("quantize", {"levels": 255})))
        return result
    draws: dict[str, _Draw] = {
        "poisson": random_poisson,
        "camera": random_camera_noise,
        "jpeg": partial(random_jpeg, high=mix.jpeg_high, aligned=mix.jpeg_aligned, twice=mix.jpeg_twice),
        "mixed": random_mixed,
        "second_order": random_second_order,
    }
    if kind == "blur_noise":
        return chain(picture, (_mild_blur, _mild_noise), rng)
    return draws[kind](picture, rng)
