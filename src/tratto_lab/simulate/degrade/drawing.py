"""Degradations with drawn parameters, and mixtures of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from tratto.core.errors import OptionError
from tratto_lab.simulate.degrade.blurring import blur, defocus_kernel, gaussian_kernel, motion_kernel
from tratto_lab.simulate.degrade.camera import camera_noise, random_camera
from tratto_lab.simulate.degrade.drawing_real import (
    random_film_grain,
    random_halftone,
    random_nearly_clean,
    random_octave_noise,
    random_photograph,
    random_real_twice,
)
from tratto_lab.simulate.degrade.encoding import Subsampling, double_jpeg, jpeg, quantize
from tratto_lab.simulate.degrade.kinds import KERNELS, Applied, Degraded, Picture, check_picture
from tratto_lab.simulate.degrade.noise import gaussian_noise, poisson_noise
from tratto_lab.simulate.degrade.sampling import downsample


def random_gaussian(picture: Picture, rng: np.random.Generator, low: float = 0.0, high: float = 55.0) -> Degraded:
    """Gaussian noise, sigma uniform in [low, high] on the 0-255 scale.

    Examples
    --------
    >>> grey = np.full((64, 64, 3), 0.5, np.float32)
    >>> round(255 * float(random_gaussian(grey, np.random.default_rng(0), 10, 10).picture.std()))
    10
    """
    sigma = float(rng.uniform(low, high))
    return Degraded(gaussian_noise(picture, sigma, rng), (Applied("gaussian", {"sigma": sigma}),))


def random_poisson(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Photon noise, peak log-uniform in [30, 3000].

    Examples
    --------
    >>> grey = np.full((32, 32, 3), 0.5, np.float32)
    >>> bool(random_poisson(grey, np.random.default_rng(0)).picture.std() > 0)
    True
    """
    peak = float(np.exp(rng.uniform(np.log(30.0), np.log(3000.0))))
    return Degraded(poisson_noise(picture, peak, rng), (Applied("poisson", {"peak": peak}),))


def random_camera_noise(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Camera noise with the parameters of :func:`random_camera`.

    Examples
    --------
    >>> grey = np.full((32, 32, 3), 0.5, np.float32)
    >>> bool(random_camera_noise(grey, np.random.default_rng(0)).picture.std() > 0)
    True
    """
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

    Examples
    --------
    >>> grey = np.full((32, 32, 3), 0.5, np.float32)
    >>> random_jpeg(grey, np.random.default_rng(0), twice=0.0).applied[0].name
    'jpeg'
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
    """A blur of random kind; `strength` scales its size (1: up to 2 pixels standard deviation).

    Examples
    --------
    >>> grey = np.full((32, 32, 3), 0.5, np.float32)
    >>> len(random_blur(grey, np.random.default_rng(0)).applied)
    1
    """
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
    """Shrink by `factor` with one of the four kernels.

    Examples
    --------
    >>> grey = np.full((32, 32, 3), 0.5, np.float32)
    >>> random_downsample(grey, np.random.default_rng(0), 2).picture.shape
    (16, 16, 3)
    """
    kernel = KERNELS[int(rng.integers(len(KERNELS)))]
    applied = Applied("downsample", {"factor": factor, "kernel": kernel})
    return Degraded(downsample(picture, factor, kernel), (applied,))


_Draw = Callable[[Picture, np.random.Generator], Degraded]


def chain(picture: Picture, draws: tuple[_Draw, ...], rng: np.random.Generator) -> Degraded:
    """Apply several random degradations one after the other and join their records.

    Examples
    --------
    >>> grey = np.full((32, 32, 3), 0.5, np.float32)
    >>> done = chain(grey, (random_gaussian, random_jpeg), np.random.default_rng(0))
    >>> done.applied[0].name
    'gaussian'
    """
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
    """Two or three of mild blur, noise, camera noise and JPEG in random order.

    Examples
    --------
    >>> grey = np.full((32, 32, 3), 0.5, np.float32)
    >>> len(random_mixed(grey, np.random.default_rng(0)).applied) >= 2
    True
    """
    pool: list[_Draw] = [_mild_blur, _mild_noise, random_camera_noise, _mild_jpeg]
    count = int(rng.integers(2, 4))
    order = rng.permutation(len(pool))[:count]
    return chain(picture, tuple(pool[i] for i in order), rng)


def random_noise_jpeg(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Gaussian noise of sigma 3 to 35 under one JPEG encoding of quality 40 to 95: what cameras deliver.

    Examples
    --------
    >>> grey = np.full((32, 32, 3), 0.5, np.float32)
    >>> random_noise_jpeg(grey, np.random.default_rng(0)).picture.shape
    (32, 32, 3)
    """
    noise = partial(random_gaussian, low=3.0, high=35.0)
    return chain(picture, (noise, partial(random_jpeg, low=40, high=95, twice=0.0)), rng)


def random_second_order(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Two rounds of mild blur, noise and JPEG (the idea of Real-ESRGAN, Wang et al. 2021), without resizing.

    Examples
    --------
    >>> grey = np.full((32, 32, 3), 0.5, np.float32)
    >>> len(random_second_order(grey, np.random.default_rng(0)).applied) >= 2
    True
    """
    return chain(picture, (_mild_blur, _mild_noise, _mild_jpeg) * 2, rng)


@dataclass(frozen=True)
class Mix:
    """How often each kind of degradation is drawn; weights need not sum to one.

    Attributes
    ----------
    clean, gaussian, poisson, camera, jpeg, blur_noise, mixed, second_order, noise_jpeg : float
        Weights. ``clean`` leaves the picture as it is, so that a network learns to leave alone.
    photograph, octaves, film, halftone, real_twice, nearly_clean : float
        Weights of what :mod:`.drawing_real` draws.
    sigma_max : float
        Largest Gaussian sigma, 0-255 scale.
    jpeg_high : int
        Best JPEG quality drawn by the ``jpeg`` kind; the worst is 5.
    jpeg_aligned, jpeg_twice : float
        See :func:`random_jpeg`; they hold for the ``jpeg`` kind.
    quantized : float
        Share of the Gaussian samples that are clipped and rounded to 8 bit, as a saved file is.

    Examples
    --------
    >>> Mix().gaussian > Mix().camera
    True
    """

    clean: float = 0.08
    gaussian: float = 0.48
    poisson: float = 0.05
    camera: float = 0.07
    jpeg: float = 0.21
    blur_noise: float = 0.03
    mixed: float = 0.06
    second_order: float = 0.02
    noise_jpeg: float = 0.0
    sigma_max: float = 55.0
    quantized: float = 0.3
    photograph: float = 0.0
    octaves: float = 0.0
    film: float = 0.0
    halftone: float = 0.0
    real_twice: float = 0.0
    nearly_clean: float = 0.0
    jpeg_high: int = 95
    jpeg_aligned: float = 0.75
    jpeg_twice: float = 0.2

    def weights(self) -> dict[str, float]:
        """Return the kinds and their weights, in drawing order."""
        kinds = ["clean", "gaussian", "poisson", "camera", "jpeg", "blur_noise", "mixed", "second_order", "noise_jpeg"]
        # those that came later stand last: with a weight of zero they change no sample of earlier runs
        kinds += ["photograph", "octaves", "film", "halftone", "real_twice", "nearly_clean"]
        return {name: float(getattr(self, name)) for name in kinds}

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

    Examples
    --------
    >>> grey = np.full((32, 32, 3), 0.5, np.float32)
    >>> degrade(grey, Mix(), np.random.default_rng(0)).picture.shape
    (32, 32, 3)
    """
    check_picture(picture)
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
        "noise_jpeg": random_noise_jpeg,
        "photograph": random_photograph,
        "octaves": random_octave_noise,
        "film": random_film_grain,
        "halftone": random_halftone,
        "real_twice": random_real_twice,
        "nearly_clean": random_nearly_clean,
    }
    if kind == "blur_noise":
        return chain(picture, (_mild_blur, _mild_noise), rng)
    return draws[kind](picture, rng)
