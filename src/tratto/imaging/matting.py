"""How much of each pixel is wall: a soft matte along the edge of a wall mask, and the wall's colour continued under it.

A pixel on the edge is ``alpha * wall + (1 - alpha) * other``. The wall's colour is continued from the inside and the
other one from the outside (normalised convolution); the pixel's place on the line between the two gives alpha, and the
mask's own value is weighed against it by how well the two colours can be told apart. No solver is needed, and nothing
farther than a few pixels from the edge is touched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.imaging.shading import Float, masked_blur

__all__ = ["REACH", "Matte", "make_matte", "mask_is_hard", "matte_radius", "reach_out"]

#: Mask value of pixels outside the mask that the matte may still claim: the last 16-bit value below full scale, so that
#: it survives in a bundle and changes as much as full scale does.
REACH = np.float32(65534 / 65535)

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
    """

    alpha: Float
    wall: Float
    rest: Float


def matte_radius(height: int, width: int) -> int:
    """Return how many pixels the edge of a wall may be soft in a picture of this size: 2 up to 1 MP, then more."""
    return int(np.clip(round(np.hypot(height, width) / 700), 2, 8))


def mask_is_hard(mask: NDArray[np.float32]) -> bool:
    """Return whether a mask is black and white: less than a tenth of its edge is in between."""
    import cv2

    inside = (mask > 0.5).astype(np.uint8)
    edge = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    between = (mask > 0.02) & (mask < 0.98)
    return int(np.count_nonzero(between)) < 0.1 * max(1, int(np.count_nonzero(edge)))


def _disc(radius: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= radius * radius + radius).astype(np.uint8)


def reach_out(mask: Float, edge: int) -> Float:
    """Let a matte reach some pixels beyond a mask: what lies there and is 0 gets the value ``REACH``.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    edge : int
        Pixels, 0 and above.

    Returns
    -------
    (H, W) float32
        The mask itself for 0.
    """
    import cv2

    if edge == 0:
        return mask
    near = cv2.dilate((mask > 0.5).astype(np.uint8), _disc(edge)) > 0
    return np.where(near & (mask == 0), REACH, mask).astype(np.float32)


def make_matte(picture: Float, mask: Float, radius: int, hard: bool) -> Matte:
    """Return alpha and the wall's own light along the edge of a mask.

    Parameters
    ----------
    picture : (H, W, 3) float32
        Linear light.
    mask : (H, W) float32 in [0, 1]
        1 = wall; ``REACH`` = outside the mask, but within the matte's reach.
    radius : int
        Pixels from the mask's edge inwards that may hold something else too.
    hard : bool
        Whether the mask is black and white, so that its value says little on the edge.

    Returns
    -------
    Matte
        Every value depends on nothing farther than ``12 * radius + 2`` pixels away.
    """
    import cv2

    allowed = mask > 0
    reach = mask == REACH
    mask = np.where(reach, np.float32(0), mask)
    covered = (mask > 0.98).astype(np.uint8)
    deep = cv2.erode(covered, _disc(radius), borderType=cv2.BORDER_REPLICATE).astype(np.float32)
    near = cv2.erode(covered, _disc(1), borderType=cv2.BORDER_REPLICATE).astype(np.float32)
    # the best wall pixels there are: deep ones, else some near the edge, else any
    weight = deep + np.float32(1e-2) * near + np.float32(1e-4) * np.clip(2 * mask - 1, 0, 1)
    close, support = masked_blur(picture, weight, 1.5 * radius)
    far, far_support = masked_blur(picture, weight, 4.0 * radius)
    trust = (support / (support + np.float32(1e-3) * far_support + np.float32(1e-12)))[..., None]
    wall = close * trust + far * (1 - trust)
    known = (support + far_support) > 1e-7

    bare = ((mask < 0.02) & ~reach).astype(np.uint8)
    clear = cv2.erode(bare, _disc(1), borderType=cv2.BORDER_REPLICATE).astype(np.float32)
    other_weight = clear + np.float32(1e-2) * bare
    other, other_support = masked_blur(picture, other_weight, 1.0 * radius)
    square, _ = masked_blur(picture * picture, other_weight, 1.0 * radius)
    spread = np.maximum(square - other * other, 0).sum(axis=2)
    wall_square, _ = masked_blur(picture * picture, weight, 1.5 * radius)
    spread = spread + np.maximum(wall_square - close * close, 0).sum(axis=2)

    line = wall - other
    length = np.maximum((line * line).sum(axis=2), np.float32(1e-8))
    by_color = np.clip(((picture - other) * line).sum(axis=2) / length, 0, 1)
    # the line's ends are known only as well as the colours around them spread
    doubt = spread / length + np.float32(0.03**2) + np.float32(1e-5) / length
    doubt = np.where(other_support > 1e-4, doubt, np.float32(1e6))
    own = np.float32((HARD_DOUBT if hard else SOFT_DOUBT) ** 2)
    alpha = (by_color * own + mask * doubt) / (own + doubt)
    alpha = np.where(deep > 0, np.float32(1), alpha)
    alpha = np.where(allowed, alpha, np.float32(0)).astype(np.float32)
    wall = np.where(known[..., None], wall, picture).astype(np.float32)
    # what is left when the wall is taken away cannot be less than nothing
    most = (picture / np.maximum(wall, np.float32(1e-5))).min(axis=2) + np.float32(0.01)
    alpha = np.where(deep > 0, alpha, np.minimum(alpha, most)).astype(np.float32)
    # the pixel itself where it is all wall, its surroundings' wall where it is not: even a little of something bright
    # would pass for much light on a dark wall
    t = np.clip((alpha - np.float32(0.97)) * np.float32(1 / 0.03), 0, 1)
    share = np.where(deep > 0, np.float32(1), t * t * (3 - 2 * t))[..., None]
    wall = picture * share + wall * (1 - share)
    # noise and a slightly wrong alpha leave specks: what is left must look like what is known beside the wall
    rest = np.maximum(picture - alpha[..., None] * wall, 0)
    wide = 2 * np.sqrt(np.maximum(square - other * other, 0)) + np.float32(0.01)
    bare_part = (1 - alpha)[..., None]
    likely = np.clip(rest, bare_part * np.maximum(other - wide, 0), bare_part * (other + wide))
    t = np.clip((alpha - np.float32(0.1)) * np.float32(2.5), 0, 1)
    firm = np.where(other_support > 1e-3, t * t * (3 - 2 * t), 0)[..., None]
    rest = np.where(alpha[..., None] > 0, rest + firm * (likely - rest), picture)
    return Matte(alpha, wall.astype(np.float32), rest.astype(np.float32))
