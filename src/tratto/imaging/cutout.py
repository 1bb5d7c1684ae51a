"""The soft edge of an object: how much of each pixel it covers, and its own colour there."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
#: Longer side at which the edge is solved for; a larger picture gets it enlarged.
SIDE = 512


def trimap(cover: Array) -> Array:
    """Return where a pixel is surely object (1), surely none (0), or to be solved for (0.5).

    Parameters
    ----------
    cover : (H, W) float32
        Probability that a pixel shows the object.

    Examples
    --------
    >>> cover = np.zeros((40, 40), np.float32)
    >>> cover[:, 20:] = 1
    >>> [float(v) for v in trimap(cover)[20, ::13]]
    [0.0, 0.0, 1.0, 1.0]
    """
    reach = max(1, round(0.012 * max(cover.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inside = cv2.erode((cover > 0.9).astype(np.uint8), kernel)
    outside = cv2.dilate((cover > 0.1).astype(np.uint8), kernel) == 0
    out: Array = np.where(inside > 0, 1, np.where(outside, 0, 0.5)).astype(np.float32)
    return out


def matted(picture: Array, cover: Array) -> Array:
    """Return how much of each pixel an object covers, by closed-form matting (Levin et al. 2008).

    Parameters
    ----------
    picture : (H, W, 3) float32
        Encoded sRGB in [0, 1].
    cover : (H, W) float32
        Probability that a pixel shows the object.

    Returns
    -------
    (H, W) float32 in [0, 1]
        ``cover`` itself where ``pymatting`` is not installed, or where nothing or all is the object.
    """
    try:
        from pymatting import estimate_alpha_cf
    except ModuleNotFoundError:
        return cover
    scale = min(1.0, SIDE / max(cover.shape))
    size = (max(1, round(cover.shape[1] * scale)), max(1, round(cover.shape[0] * scale)))
    small, rough = (cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in (picture, cover))
    known = trimap(np.asarray(rough, np.float32))
    if not ((known == 0).any() and (known == 1).any() and (known == 0.5).any()):
        return cover
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of an incomplete factorisation that it then makes good
        alpha = estimate_alpha_cf(small.astype(np.float64), known.astype(np.float64))
    alpha = np.clip((alpha - 0.03) / 0.94, 0, 1).astype(np.float32)  # what is almost nothing is nothing
    shown = (cover.shape[1], cover.shape[0])
    out: Array = np.clip(cv2.resize(alpha, shown, interpolation=cv2.INTER_LINEAR), 0, 1)
    return out


def own_colors(picture: Array, alpha: Array) -> Array:
    """Return the object's colours without what of its ground is mixed into its edge.

    An edge pixel takes the mean of the surely covered ones near it, by as much as it is not covered.

    Parameters
    ----------
    picture : (H, W, 3) float32
        Encoded sRGB; not premultiplied, the ground still showing at its edge.
    alpha : (H, W) float32
        1 = wholly the object.
    """
    reach = max(1.0, 0.006 * max(alpha.shape))
    inside = (alpha > 0.95).astype(np.float32)
    weight = cv2.GaussianBlur(inside, (0, 0), reach)
    near = cv2.GaussianBlur(picture * inside[..., None], (0, 0), reach) / np.maximum(weight, 1e-4)[..., None]
    share = ((1 - alpha) * (weight > 1e-3))[..., None]
    out: Array = (picture * (1 - share) + near * share).astype(np.float32)
    return out
