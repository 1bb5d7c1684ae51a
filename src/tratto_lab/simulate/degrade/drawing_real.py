"""Drawn degradations as people's pictures have them: cameras, film, prints, and several of them in a row."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from tratto_lab.simulate.degrade.encoding import Subsampling, jpeg, quantize
from tratto_lab.simulate.degrade.film import film_grain, halftone, random_film
from tratto_lab.simulate.degrade.kinds import Applied, Degraded, Picture
from tratto_lab.simulate.degrade.noise import gaussian_noise
from tratto_lab.simulate.degrade.octaves import octave_noise, random_octaves
from tratto_lab.simulate.degrade.pipeline import photograph, random_pipeline

#: Share of the photographs in which what the camera does to the clean picture is the aim, not an error.
KEPT = 0.75


def saved(picture: Picture, rng: np.random.Generator, low: int = 60, high: int = 99, plain: float = 0.25) -> Degraded:
    """Save a picture: as 8 bit in a share `plain` of the cases, else as JPEG of quality `low` to `high`."""
    if rng.uniform() < plain:
        return Degraded(quantize(picture), (Applied("quantize", {"levels": 255}),))
    quality = int(rng.integers(low, high + 1))
    subsampling: Subsampling = "4:2:0" if rng.uniform() < 0.5 else "4:4:4"
    shift = (0, 0) if rng.uniform() < 0.6 else (int(rng.integers(8)), int(rng.integers(8)))
    out = jpeg(picture, quality, subsampling, shift)
    return Degraded(out, (Applied("jpeg", {"quality": quality, "subsampling": subsampling}),))


def random_photograph(picture: Picture, rng: np.random.Generator) -> Degraded:
    """A photograph by a drawn camera (:func:`.pipeline.random_pipeline`), saved.

    In three of four cases what the camera does to a clean picture is taken out again, so that the noise alone remains,
    as it comes out of the camera: its sharpening and the traces of its demosaicer belong to a photograph, and the mean
    of many shots, which real pairs are measured against, has them. In the rest they are there, to be undone.

    Examples
    --------
    >>> grey = np.full((64, 64, 3), 0.5, np.float32)
    >>> random_photograph(grey, np.random.default_rng(0)).applied[0].name
    'photograph'
    """
    camera = random_pipeline(rng)
    out = photograph(picture, camera, rng)
    kept = bool(
        camera.scale < 1 or rng.uniform() < KEPT
    )  # what was enlarged has lost detail that is not to be invented
    if kept:
        out = picture + out - photograph(picture, camera, None)
    params: dict[str, float | str] = {
        "shot": camera.camera.shot,
        "read": camera.camera.read,
        "demosaicer": camera.how,
        "scale": camera.scale,
        "noise alone": str(kept),
        **{k: float(v) for k, v in asdict(camera.finish).items()},
    }
    file = saved(out, rng)
    return Degraded(file.picture, (Applied("photograph", params), *file.applied))


def random_octave_noise(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Noise of every octave (:func:`.octaves.random_octaves`), saved.

    Examples
    --------
    >>> grey = np.full((64, 64, 3), 0.5, np.float32)
    >>> random_octave_noise(grey, np.random.default_rng(0)).applied[0].name
    'octaves'
    """
    noise = random_octaves(rng)
    params: dict[str, float | str] = {f"octave{2**i}": a for i, a in enumerate(noise.amplitudes)}
    file = saved(octave_noise(picture, noise, rng), rng)
    return Degraded(file.picture, (Applied("octaves", params), *file.applied))


def random_film_grain(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Grain of a drawn film (:func:`.film.random_film`), saved.

    Examples
    --------
    >>> grey = np.full((64, 64, 3), 0.5, np.float32)
    >>> random_film_grain(grey, np.random.default_rng(0)).applied[0].name
    'film'
    """
    film = random_film(rng)
    params: dict[str, float | str] = {"grain": film.grain, "largest": max(film.sizes), "tied": film.tied}
    file = saved(film_grain(picture, film, rng), rng)
    return Degraded(file.picture, (Applied("film", params), *file.applied))


def random_halftone(picture: Picture, rng: np.random.Generator) -> Degraded:
    """A print, screened with a period of 2.5 to 6 pixels (grey pictures in black ink alone), scanned and saved.

    Examples
    --------
    >>> grey = np.full((64, 64, 3), 0.5, np.float32)
    >>> random_halftone(grey, np.random.default_rng(0)).applied[0].name
    'halftone'
    """
    import cv2

    period, angle = float(rng.uniform(2.5, 6.0)), float(rng.uniform(-5, 5))
    gray = bool(np.ptp(picture, axis=2).max() < 0.02)  # colour that was not printed is not to be invented
    out = halftone(picture, period, angle, gray, float(rng.uniform(0.2, 0.8)))
    out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.15, 0.3) * period), borderType=cv2.BORDER_REFLECT_101)
    file = saved(out, rng, low=75)
    params: dict[str, float | str] = {"period": period, "angle": angle, "gray": str(gray)}
    return Degraded(file.picture, (Applied("halftone", params), *file.applied))


def random_nearly_clean(picture: Picture, rng: np.random.Generator) -> Degraded:
    """What nobody sees: noise of octaves below 1.2 of 255 or white noise below 1.5, or a JPEG of quality 93 to 100.

    Examples
    --------
    >>> grey = np.full((64, 64, 3), 0.5, np.float32)
    >>> bool(255 * random_nearly_clean(grey, np.random.default_rng(0)).picture.std() < 3)
    True
    """
    draw = rng.uniform()
    if draw < 0.35:
        noise = random_octaves(rng, 0.15, 1.2)
        out, applied = octave_noise(picture, noise, rng), Applied("octaves", {"octave1": noise.amplitudes[0]})
    elif draw < 0.6:
        sigma = float(rng.uniform(0, 1.5))
        out, applied = gaussian_noise(picture, sigma, rng), Applied("gaussian", {"sigma": sigma})
    else:
        file = saved(picture, rng, low=93, high=100, plain=0.0)
        return file
    return Degraded(quantize(out), (applied, Applied("quantize", {"levels": 255})))


def random_real_twice(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Two rounds: a photograph, film or noise of octaves, saved; weaker noise of octaves or white noise, saved again.

    The idea of a second round is Real-ESRGAN's (Wang et al. 2021); pictures that went through two programs are such.

    Examples
    --------
    >>> grey = np.full((64, 64, 3), 0.5, np.float32)
    >>> len(random_real_twice(grey, np.random.default_rng(0)).applied) >= 2
    True
    """
    draw = rng.uniform()
    first = random_photograph if draw < 0.4 else random_film_grain if draw < 0.6 else random_octave_noise
    one = first(picture, rng)
    if rng.uniform() < 0.5:
        noise = random_octaves(rng, 1.0, 8.0)
        out, added = octave_noise(one.picture, noise, rng), Applied("octaves", {"octave1": noise.amplitudes[0]})
    else:
        sigma = float(rng.uniform(1, 12))
        out, added = gaussian_noise(one.picture, sigma, rng), Applied("gaussian", {"sigma": sigma})
    two = saved(out, rng, low=50, plain=0.2)
    return Degraded(two.picture, (*one.applied, added, *two.applied))
