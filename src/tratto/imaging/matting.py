"""How much of each pixel is wall: a soft matte along the edge of a wall mask, and the wall's colour continued under it.

A pixel on the edge is ``alpha * wall + (1 - alpha) * other``. The wall's colour is continued from the inside and the
other one from the outside (normalised convolution); the pixel's place on the line between the two gives alpha, and the
mask's own value is weighed against it by how well the two colours can be told apart. No solver is needed, and nothing
farther than a few pixels from the edge is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.imaging.shading import Float, blur, thrice

__all__ = ["Matte", "coded", "coverage", "make_matte", "mask_is_hard", "matte_radius"]

#: Steps of coverage that a coded mask tells apart.
_STEPS = 255.0
#: How far a hard mask's and a soft mask's own value is believed to be off, standard deviation of alpha.
HARD_DOUBT, SOFT_DOUBT = 0.35, 0.05


@dataclass(frozen=True, eq=False)
class Matte:
    """What :func:`make_matte` found.

    Attributes
    ----------
    alpha : (H, W) float32 in [0, 1]
        Share of the pixel that is wall; 0 where the mask is 0.
    wall : (H, W, 3) float32
        The wall's light in this pixel as if nothing covered it, linear: the pixel itself well inside.
    rest : (H, W, 3) float32
        What the pixel would show if the wall were black.

    Examples
    --------
    >>> wall = np.full((1, 2, 3), 0.8, np.float32)
    >>> matte = Matte(np.float32([[1, 0.5]]), wall, wall * 0)
    >>> (matte.alpha[..., None] * matte.wall + matte.rest)[0, :, 0].round(2).tolist()  # the picture
    [0.800000011920929, 0.4000000059604645]
    """

    alpha: Float
    wall: Float
    rest: Float


def matte_radius(height: int, width: int) -> int:
    """Return how many pixels the edge of a wall may be soft in a picture of this size: 2 up to 1 MP, then more.

    Examples
    --------
    >>> matte_radius(1000, 1500)
    3
    """
    return int(np.clip(round(np.hypot(height, width) / 700), 2, 8))


def mask_is_hard(mask: NDArray[np.float32]) -> bool:
    """Return whether a mask is black and white: less than a tenth of its edge is in between.

    Examples
    --------
    >>> mask_is_hard(np.eye(16, dtype=np.float32))
    True
    """
    import cv2

    inside = (mask > 0.5).astype(np.uint8)
    edge = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    between = (mask > 0.02) & (mask < 0.98)
    return int(np.count_nonzero(between)) < 0.1 * max(1, int(np.count_nonzero(edge)))


def _disc(radius: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc: NDArray[np.uint8] = (x * x + y * y <= radius * radius + radius).astype(np.uint8)
    return disc


def coded(mask: Float, edge: int) -> Float:
    """Return a mask that lets every pixel it touches change fully, and still tells how much of each is wall.

    A pixel that is half wall does not change by half: samples are encoded, light is what mixes. So pixels that may
    change all get values between 65280 / 65535 and 1, and their coverage is in the last eight of sixteen bits. Values
    survive 16-bit storage.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
        Share of wall.
    edge : int
        Pixels beyond the mask that the matte may reach; they are marked as touched, with a coverage of 0.

    Returns
    -------
    (H, W) float32
        0 where the mask is 0 and no reach goes.

    Examples
    --------
    >>> mask = np.float32([[0, 0.5, 1]])
    >>> code = coded(mask, 0)
    >>> bool(code[0, 0] == 0), bool(code[0, 1] > 0.99), coverage(code).round(2).tolist()
    (True, True, [[0.0, 0.5, 1.0]])
    """
    import cv2

    touched = mask > 0
    if edge > 0:
        touched |= cv2.dilate((mask > 0.5).astype(np.uint8), _disc(edge)) > 0
    steps = np.rint(_STEPS * (1 - mask.astype(np.float64)))
    return np.where(touched, (65535 - steps) / 65535, 0).astype(np.float32)


def coverage(code: Float) -> Float:
    """Return the share of wall from a mask of :func:`coded`.

    Examples
    --------
    >>> coverage(coded(np.float32([[0, 0.25, 1]]), 0)).round(2).tolist()
    [[0.0, 0.25, 1.0]]
    """
    steps = np.rint(65535 * (1 - code.astype(np.float64)))
    return np.where(code > 0, np.clip(1 - steps / _STEPS, 0, 1), 0).astype(np.float32)


def make_matte(picture: Float, mask: Float, radius: int, hard: bool, allowed: NDArray[np.bool_] | None = None) -> Matte:
    """Return alpha and the wall's own light along the edge of a mask.

    Parameters
    ----------
    picture : (H, W, 3) float32
        Linear light.
    mask : (H, W) float32 in [0, 1]
        1 = wall.
    radius : int
        Pixels from the mask's edge inwards that may hold something else too.
    hard : bool
        Whether the mask is black and white, so that its value says little on the edge.
    allowed : (H, W) bool or None
        Where the matte may be above 0; None: where the mask is.

    Returns
    -------
    Matte
        Every value depends on nothing farther than ``12 * radius + 2`` pixels away.

    Examples
    --------
    >>> picture = np.full((40, 40, 3), 0.1, np.float32)
    >>> picture[:, :20] = 0.6
    >>> mask = np.zeros((40, 40), np.float32)
    >>> mask[:, :20] = 1
    >>> matte = make_matte(picture, mask, 2, hard=True)
    >>> float(matte.alpha[20, 5]), float(matte.alpha[20, 35])
    (1.0, 0.0)
    >>> np.allclose(matte.alpha[..., None] * matte.wall + matte.rest, picture, atol=1e-5)
    True
    """
    import cv2

    allowed = mask > 0 if allowed is None else allowed
    reach = allowed & (mask < 0.02)
    covered = (mask > 0.98).astype(np.uint8)
    deep = _eroded(covered, radius)
    alpha = deep.astype(np.float32)
    edge = np.flatnonzero((allowed & (deep == 0)).ravel())
    rest = picture * thrice(1 - alpha)
    if len(edge) == 0:
        return Matte(alpha, picture, rest)
    # the best wall pixels there are: deep ones, else some near the edge, else any
    weight = deep + np.float32(1e-2) * _eroded(covered, 1) + np.float32(1e-4) * np.clip(2 * mask - 1, 0, 1)
    outside = (mask < 0.02).astype(np.uint8)
    bare = outside * (~reach).astype(np.uint8)
    # likewise: things too thin to have an inside beyond the matte's reach still say what they look like
    other_weight = _eroded(bare, 1) + np.float32(1e-2) * bare + np.float32(1e-3) * _eroded(outside, 1)
    other_weight = other_weight + np.float32(1e-5) * outside

    planes = cv2.split(picture)
    close = _sums(planes, weight)
    wide = cv2.boxFilter(close, -1, (12 * radius + 1, 12 * radius + 1), borderType=cv2.BORDER_REFLECT_101)
    close, wide = (v.reshape(-1, 5)[edge] for v in (blur(close, 1.5 * radius), wide))
    beside = blur(_sums(planes, other_weight), float(radius)).reshape(-1, 5)[edge]
    ends = _Ends(*_mean_and_spread(close + np.float32(1e-3) * wide), *_mean_and_spread(beside))
    pixel, given = picture.reshape(-1, 3)[edge], mask.ravel()[edge]
    # no wall near enough to say what it looks like: the pixel speaks for itself
    ends.wall[(close + wide)[:, 4] < 1e-7] = pixel[(close + wide)[:, 4] < 1e-7]
    share = _alpha(pixel, given, ends, beside[:, 4] > 1e-7, hard)
    own, left = _shared_out(pixel, share, ends)
    alpha.ravel()[edge] = share
    wall = picture.copy()
    wall.reshape(-1, 3)[edge] = own
    rest.reshape(-1, 3)[edge] = left
    return Matte(alpha, wall, rest)


@dataclass(frozen=True, eq=False)
class _Ends:
    """Mean (N, 3) and variance (N,), summed over the channels, of the wall near a pixel and of what is beside it."""

    wall: Float
    wall_spread: Float
    other: Float
    other_spread: Float


def _eroded(area: NDArray[np.uint8], radius: int) -> NDArray[np.uint8]:
    import cv2

    out: NDArray[np.uint8] = cv2.erode(area, _disc(radius), borderType=cv2.BORDER_REPLICATE)
    return out


def _sums(planes: Sequence[Float], weight: Float) -> Float:
    """Return what local means and variances are blurred from, (H, W, 5): three channels, their power, the weight."""
    import cv2

    red, green, blue = planes
    power = red * red
    power += green * green
    power += blue * blue
    out: Float = cv2.merge([red * weight, green * weight, blue * weight, power * weight, weight])
    return out


def _mean_and_spread(sums: Float) -> tuple[Float, Float]:
    total = np.maximum(sums[:, 4], np.float32(1e-12))
    mean = sums[:, :3] / total[:, None]
    spread = np.maximum(sums[:, 3] / total - (mean * mean).sum(axis=1), 0)
    return mean.astype(np.float32, copy=False), spread.astype(np.float32, copy=False)


def _alpha(pixel: Float, given: Float, ends: _Ends, known: NDArray[np.bool_], hard: bool) -> Float:
    """Return the share of wall of each edge pixel, from its colour and the mask's own value."""
    line = ends.wall - ends.other
    length = np.maximum((line * line).sum(axis=1), np.float32(1e-8))
    by_color = np.clip(((pixel - ends.other) * line).sum(axis=1) / length, 0, 1)
    # a wall in shadow looks like a mixture with something dark: where the colour is the wall's own, in another light,
    # mixing proves nothing
    brightness = np.maximum((ends.wall * ends.wall).sum(axis=1), np.float32(1e-8))
    lit = (pixel * ends.wall).sum(axis=1) / brightness
    strange = ((pixel - lit[:, None] * ends.wall) ** 2).sum(axis=1)
    grain = ends.wall_spread + np.float32(0.03**2) * brightness + np.float32(1e-6)
    alike = grain / (strange + grain)
    # the line's ends are known only as well as the colours around them spread
    doubt = (ends.wall_spread + ends.other_spread) / length
    doubt = doubt * (np.float32(0.1) + np.float32(0.9) * alike) + np.float32(0.3**2) * alike
    doubt = doubt + np.float32(0.03**2) + np.float32(1e-5) / length
    doubt = np.where(known, doubt, np.float32(1e6))
    belief = np.float32((HARD_DOUBT if hard else SOFT_DOUBT) ** 2)
    alpha = (by_color * belief + given * doubt) / (belief + doubt)
    if not hard:
        alpha = np.where(given > 0.99, given, alpha)  # a soft mask that says all wall has looked closely
    return np.asarray(alpha, np.float32)


def _shared_out(pixel: Float, alpha: Float, ends: _Ends) -> tuple[Float, Float]:
    """Split each pixel into wall and rest: what neither explains goes to each by how far it may be off.

    ``pixel = alpha * wall + rest`` holds. With alpha 1 the wall takes everything, with alpha 0 the rest does.

    Parameters
    ----------
    pixel : (N, 3) float32
        Linear light.
    alpha : (N,) float32
        Share of wall, [0, 1].
    ends : _Ends
        What wall and rest look like near each pixel, and how far either varies.

    Returns
    -------
    wall, rest : (N, 3) float32
        Linear light, each multiplied by its share.
    """
    a = alpha[:, None]
    b = 1 - a
    third = np.float32(1 / 3)
    left_over = pixel - a * ends.wall - b * ends.other
    wall_doubt = a * a * (third * ends.wall_spread[:, None] + (np.float32(0.08) * ends.wall) ** 2 + np.float32(1e-8))
    rest_doubt = b * b * (third * ends.other_spread[:, None] + (np.float32(0.1) * ends.other) ** 2 + np.float32(1e-8))
    share = wall_doubt / np.maximum(wall_doubt + rest_doubt, np.float32(1e-12))
    much = np.maximum(a, np.float32(1e-3))
    wall = ends.wall + share * left_over / much
    # on a dark wall a little of something bright must not pass for much light
    wall = np.where(a > 0.99, wall, np.clip(wall, 0.4 * ends.wall, 1.6 * ends.wall))
    wall = np.minimum(wall, (pixel + np.float32(1e-4)) / much)
    wall = np.where(a > 0, wall, pixel)
    return wall.astype(np.float32), np.maximum(pixel - a * wall, 0).astype(np.float32)
