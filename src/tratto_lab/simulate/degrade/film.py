"""Grain of film, where it arises: in density, and the print screens of reproductions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tratto.core.errors import OptionError
from tratto_lab.simulate.degrade.camera import to_encoded, to_linear
from tratto_lab.simulate.degrade.kinds import Picture, check_picture

#: Density of the darkest that a scan shows.
DENSEST = 3.0


@dataclass(frozen=True)
class Film:
    """A film and its scan.

    Attributes
    ----------
    grain : float
        Standard deviation of optical density, read through one pixel, at density 1.
    sizes : tuple of float
        Standard deviations of the grains' spread in pixels; the variance is shared evenly among them.
    negative : bool
        The grain is that of a negative: strongest where the picture is bright. Else where it is dark.
    tied : float
        How much of the variance the three layers share: 1 for black-and-white film.
    blur : float
        Standard deviation in pixels of what the scanner's lens smears; 0: none.

    Examples
    --------
    >>> Film(0.04).negative
    True
    """

    grain: float
    sizes: tuple[float, ...] = (1.0,)
    negative: bool = True
    tied: float = 1.0
    blur: float = 0.0

    def __post_init__(self) -> None:
        if self.grain < 0 or not self.sizes or min(self.sizes) < 0 or not 0 <= self.tied <= 1 or self.blur < 0:
            raise OptionError(f"grain, its sizes and blur are 0 or more, the share in common at most 1; got {self}")


def film_grain(picture: Picture, film: Film, rng: np.random.Generator) -> Picture:
    """Add the grain of film.

    The variance of density grows with density (Selwyn 1935; Nutting's law for a density made of opaque grains of equal
    area), a negative's density being what the print lacks. Light that passes falls with ten to the power of density.

    Parameters
    ----------
    picture : ndarray
        float32 (H, W, 3), encoded sRGB.
    film : Film
        The film.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    ndarray
        float32 (H, W, 3) in [0, 1].

    Examples
    --------
    >>> grey, rng = np.full((32, 32, 3), 0.5, np.float32), np.random.default_rng(0)
    >>> seen = film_grain(grey, Film(0.04, (0.8, 2.0), tied=0.3, blur=0.5), rng)
    >>> seen.shape, bool(seen.std() > 0.005)
    ((32, 32, 3), True)
    """
    import cv2

    check_picture(picture)
    h, w = picture.shape[:2]
    noise = np.zeros((h, w, 3), np.float32)
    for size in film.sizes:
        part = rng.standard_normal((h, w, 3), dtype=np.float32) * np.float32(np.sqrt(1 - film.tied))
        part += rng.standard_normal((h, w, 1), dtype=np.float32) * np.float32(np.sqrt(film.tied))
        if size > 0.2:
            part = cv2.GaussianBlur(part, (0, 0), size, borderType=cv2.BORDER_REFLECT_101)
            line = cv2.getGaussianKernel(2 * int(np.ceil(4 * size)) + 1, size)
            part /= np.float32(np.square(line).sum())  # of a separable kernel: both sides take the root of it
        noise += part
    noise *= np.float32(film.grain / np.sqrt(len(film.sizes)))
    linear = to_linear(picture)
    density = -np.log10(np.maximum(linear, np.float32(10**-DENSEST)))
    there = DENSEST - density if film.negative else density
    # a negative is printed with contrast: what it varies by comes out as much as the picture's own density
    grainy = density + noise * np.sqrt(np.maximum(there, 0) + np.float32(0.05))
    out = np.power(np.float32(10), -grainy)
    # black stays what it was where density had been cut off
    out = to_encoded(
        np.asarray(out - np.float32(10**-DENSEST) + np.minimum(linear, np.float32(10**-DENSEST)), np.float32)
    )
    if film.blur:
        out = cv2.GaussianBlur(out, (0, 0), film.blur, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(out, np.float32)


def random_film(rng: np.random.Generator) -> Film:
    """Draw a film: grain log-uniform in [0.006, 0.09], one to three sizes of 0 to 2.5 pixels, half black-and-white.

    Examples
    --------
    >>> 0.006 <= random_film(np.random.default_rng(0)).grain <= 0.09
    True
    """
    grain = float(np.exp(rng.uniform(np.log(0.006), np.log(0.09))))
    sizes = tuple(float(s) for s in rng.uniform(0.0, 2.5, int(rng.integers(1, 4))))
    tied = 1.0 if rng.uniform() < 0.5 else float(rng.uniform(0.0, 0.9))
    blur = float(rng.uniform(0.3, 0.8)) if rng.uniform() < 0.5 else 0.0
    return Film(grain, sizes, bool(rng.uniform() < 0.7), tied, blur)


#: Angles in degrees at which cyan, magenta, yellow and black are usually screened.
ANGLES = (15.0, 75.0, 0.0, 45.0)


def halftone(
    picture: Picture, period: float, angle: float = 0.0, gray: bool = False, softness: float = 0.25
) -> Picture:
    """Screen a picture as it is printed: dots on turned grids whose area goes with the amount of ink.

    The threshold of a pixel is a product of cosines on each ink's grid, equalised so that the share of inked area is
    the amount of ink (Ulichney 1987, "Digital Halftoning", clustered dots). Inks multiply; black takes half of what
    the three have in common.

    Parameters
    ----------
    picture : ndarray
        float32 (H, W, 3) in [0, 1].
    period : float
        Pixels from dot to dot, 2 or more.
    angle : float
        Degrees by which the print is turned on the scanner.
    gray : bool
        Black ink alone.
    softness : float
        Width of a dot's edge as a share of the range of thresholds: what the scanner's lens makes of it.

    Returns
    -------
    ndarray
        float32 (H, W, 3) in [0, 1].

    Raises
    ------
    OptionError
        If the period is below 2 or the softness not positive.

    Examples
    --------
    >>> grey = np.full((32, 32, 3), 0.5, np.float32)
    >>> bool(halftone(grey, 4.0, gray=True).std() > 0.1)
    True
    """
    check_picture(picture)
    if period < 2 or softness <= 0:
        raise OptionError(f"a screen has a period of 2 pixels or more and soft dots; got {period} and {softness}")
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    inks = 1 - np.clip(picture, 0, 1)
    if gray:
        inks = np.repeat((inks @ np.array([0.299, 0.587, 0.114], np.float32))[..., None], 1, axis=2)
        angles: tuple[float, ...] = (ANGLES[3],)
    else:
        black = 0.5 * inks.min(2)
        rest = (inks - black[..., None]) / np.maximum(1 - black, np.float32(1e-3))[..., None]
        inks, angles = np.concatenate([rest, black[..., None]], axis=2), ANGLES
    paper = np.ones(picture.shape, np.float32)
    for number, own in enumerate(angles):
        turn = np.deg2rad(own + angle)
        u = (np.cos(turn) * x + np.sin(turn) * y) * np.float32(2 * np.pi / period)
        v = (-np.sin(turn) * x + np.cos(turn) * y) * np.float32(2 * np.pi / period)
        # the mean of two cosines has a triangular-like spread; its rank makes the inked area equal the ink
        height = (np.cos(u) + np.cos(v)) / 4 + 0.5
        level = np.interp(height, _HEIGHTS, _RANKS).astype(np.float32)
        covered = np.clip((inks[..., number] - level) / np.float32(softness) + 0.5, 0, 1)
        if len(angles) == 1 or number == 3:
            paper *= (1 - covered)[..., None]
        else:
            paper[..., number] *= 1 - covered
    return paper


def _ranks() -> tuple[np.ndarray, np.ndarray]:
    """Return heights of a screen and the share of its area below each."""
    t = np.linspace(0, 2 * np.pi, 512, endpoint=False)
    heights = np.sort(((np.cos(t)[:, None] + np.cos(t)[None]) / 4 + 0.5).ravel())[:: 512 * 2]
    return heights, np.linspace(0, 1, len(heights))


_HEIGHTS, _RANKS = _ranks()
