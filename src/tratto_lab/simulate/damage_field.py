"""What simulated damage is made of: noise fields, wandering lines, and ink drawn along them with sub-pixel edges.

Every function draws only from the :class:`numpy.random.Generator` it is given. Lengths are pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Points = NDArray[np.float64]


def fractal(
    shape: tuple[int, int], size: float, rng: np.random.Generator, octaves: int = 5, roughness: float = 0.55
) -> Plane:
    """Return smooth noise with detail on several scales (a sum of interpolated random grids).

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    size : float
        Wavelength of the coarsest octave in pixels.
    rng : numpy.random.Generator
        Draws the grids.
    octaves : int
        Each has half the wavelength of the one before; those below two pixels are left out.
    roughness : float
        Amplitude of each octave relative to the one before.

    Returns
    -------
    (H, W) float32
        Mean about 0, standard deviation about 1.
    """
    import cv2

    h, w = shape
    out = np.zeros(shape, np.float32)
    weight, power = 1.0, 0.0
    for octave in range(octaves):
        wave = size / 2**octave
        if wave < 2 and octave:
            break
        rows, columns = int(h / wave) + 3, int(w / wave) + 3
        grid = rng.standard_normal((rows, columns), dtype=np.float32)
        # a random offset, so that the lattice of one octave never lies on that of another
        dy, dx = rng.uniform(0, wave, 2)
        matrix = np.array([[1 / wave, 0, 0.5 + dx / wave], [0, 1 / wave, 0.5 + dy / wave]], np.float32)
        layer = cv2.warpAffine(
            grid, matrix, (w, h), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
        )
        out += np.float32(weight) * layer
        power += weight**2
        weight *= roughness
    # interpolation between grid points takes about 0.7 of the deviation away (measured over 100 fields)
    return np.asarray(out / np.float32(0.7 * np.sqrt(power)), np.float32)


def fractal_line(count: int, size: float, rng: np.random.Generator, octaves: int = 5) -> NDArray[np.float64]:
    """Return one-dimensional noise like :func:`fractal`, ``count`` values; ``size`` is in values."""
    x = np.arange(count, dtype=np.float64)
    out = np.zeros(count)
    weight, power = 1.0, 0.0
    for octave in range(octaves):
        wave = max(size / 2**octave, 1.0)
        knots = rng.standard_normal(int(count / wave) + 4)
        at = x / wave + rng.uniform()
        k, t = at.astype(int), at % 1
        t = t * t * (3 - 2 * t)
        out += weight * (knots[k] * (1 - t) + knots[k + 1] * t)
        power += weight**2
        weight *= 0.6
        if wave <= 1:
            break
    return np.asarray(out / (0.75 * np.sqrt(power)))


def step_to(x: Plane, low: float, high: float) -> Plane:
    """Return a smooth step from 0 at ``low`` to 1 at ``high`` (Hermite)."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


@dataclass(frozen=True, eq=False)
class Stroke:
    """A line with a changing width: ``points`` (n, 2) as x, y and ``width`` (n,), in pixels."""

    points: Points
    width: NDArray[np.float64]


def ink(shape: tuple[int, int], strokes: Sequence[Stroke], polygons: Sequence[Points] = ()) -> Plane:
    """Draw strokes and filled polygons with anti-aliased edges.

    They are drawn at four times the size (twice for pictures above 1200 pixels) and averaged, so that a line of a
    quarter pixel covers a quarter.

    Returns
    -------
    (H, W) float32
        Coverage in [0, 1].
    """
    import cv2

    h, w = shape
    factor = 4 if max(h, w) <= 1200 else 2
    canvas = np.zeros((h * factor, w * factor), np.uint8)
    bits = 4
    for polygon in polygons:
        at = np.rint((polygon * factor + (factor - 1) / 2) * (1 << bits)).astype(np.int32)
        cv2.fillPoly(canvas, [at.reshape(-1, 1, 2)], 255, cv2.LINE_8, bits)
    for stroke in strokes:
        at = np.rint((stroke.points * factor + (factor - 1) / 2) * (1 << bits)).astype(np.int32)
        thick = np.rint((stroke.width[:-1] + stroke.width[1:]) / 2 * factor).astype(int)
        for k in range(len(at) - 1):
            if thick[k] >= 1:
                a, b = at[k], at[k + 1]
                cv2.line(canvas, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), 255, int(thick[k]), cv2.LINE_8, bits)
    small = cv2.resize(canvas, (w, h), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / np.float32(255)


def wander(
    start: tuple[float, float], heading: float, length: float, rng: np.random.Generator, bend: float, pace: float = 3.0
) -> Points:
    """Return a line that keeps its direction roughly, with bends and now and then a kink.

    Parameters
    ----------
    start : (x, y)
        In pixels.
    heading : float
        Radians.
    length : float
        Pixels along the line.
    rng : numpy.random.Generator
        Draws bends and kinks.
    bend : float
        Radians of deviation (one sigma) from the heading; kinks are up to four times that.
    pace : float
        Pixels between points.
    """
    count = max(2, int(length / pace))
    turn = bend * fractal_line(count, 40 * rng.uniform(0.5, 1.5), rng)
    kinks = np.where(rng.uniform(size=count) < 0.04, rng.normal(0, 2 * bend, count), 0.0)
    # a kink fades, since a crack returns to the direction of the stress
    memory = np.zeros(count)
    held = 0.0
    for k in range(count):
        held = 0.96 * held + kinks[k]
        memory[k] = held
    angle = heading + turn + np.clip(memory, -4 * bend, 4 * bend)
    steps = pace * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.concatenate([np.array([start], np.float64), np.array([start]) + np.cumsum(steps, axis=0)])


def ragged(center: tuple[float, float], radius: float, rng: np.random.Generator, rough: float = 0.35) -> Points:
    """Return the outline of an irregular blob, as points."""
    count = int(np.clip(radius * 3, 8, 200))
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    wave = np.zeros(count)
    for k in range(2, 9):
        a, b = rng.normal(0, 1 / k**0.8, 2)
        wave += a * np.cos(k * angle) + b * np.sin(k * angle)
    wave *= rough / max(1e-6, float(np.abs(wave).max()))
    stretch, turn = rng.uniform(0.5, 1.0), rng.uniform(0, np.pi)
    x, y = np.cos(angle) * (1 + wave) * radius, np.sin(angle) * (1 + wave) * radius * stretch
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([center[0] + c * x - s * y, center[1] + s * x + c * y], axis=1)


def blurred(plane: Plane, sigma: float) -> Plane:
    """Return a plane or picture blurred by a Gaussian, borders mirrored."""
    import cv2

    if sigma <= 0.05:
        return plane
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def shifted(plane: Plane, dx: float, dy: float) -> Plane:
    """Return a plane moved by a fraction of a pixel or more, zeros moving in."""
    import cv2

    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return np.asarray(cv2.warpAffine(plane, matrix, plane.shape[::-1], flags=cv2.INTER_LINEAR), np.float32)
