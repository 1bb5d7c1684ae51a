"""Separate the light on a wall from its paint, and put another paint under the same light.

Everything is computed in linear light. A pixel of the wall is taken as ``paint * light`` per channel, so that coloured
light, cast shadows, fall-off and relief stay what they are, whatever the paint. What a camera's noise, the old paint's
pattern and its own reflections on itself put into the quotient is taken out again as far as it can be told apart:

* noise: where a channel of the old paint is dark, its quotient is mostly noise. The fine detail of the light is then
  taken from the channels that carry it, and colour from the neighbourhood (a Wiener weight per channel);
* pattern: wallpaper is told from light by the fine structure of its chromaticity, and each of its colours is given its
  own paint.

The method is this project's own. Its parts are well known: the diffuse wall under one light per pixel (Barrow and
Tenenbaum 1978), colour Retinex (Land and McCann 1971) and Wiener weighting.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.imaging.color import linear_to_srgb

Float = NDArray[np.float32]

#: Rec. 709 luminance of linear RGB.
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
#: Least linear value a paint or a pixel is taken to have: a third of the first 8-bit step.
FLOOR = np.float32(1e-4)
#: Linear light of a channel at which half of what it says of the light's colour is believed.
LEAST_TRUSTED = np.float32(0.012)
#: Likewise, relative to the channel that the paint reflects most: what a channel shows that gets a tenth of the light
#: is the glow of the paint on itself, in corners and between posts, rather than light of another colour.
LEAST_SHARE = np.float32(0.1)
#: How far one channel of light may differ from the others, natural logarithm.
WIDEST = np.float32(0.6)
#: Linear sample from which on a channel may be burnt out: 0.965 of full scale as encoded.
BURNING = np.float32(0.925)
#: Where the shoulder begins that keeps highlights from clipping, linear.
KNEE = np.float32(0.88)


def knee_for(paint: NDArray[Any]) -> float:
    """Return where the shoulder should begin under a mean of this colour: half-way from it to full scale at least.

    A shoulder that began below the wall's own mean would bend the whole wall and not its highlights.

    Parameters
    ----------
    paint : (3,) array
        Linear.
    """
    return float(np.clip(0.5 + 0.5 * float(np.max(paint)), float(KNEE), 0.99))


def shoulder(light: Float, knee: float = float(KNEE)) -> Float:
    """Bend what would exceed full scale below it, smoothly and strictly increasing.

    Parameters
    ----------
    light : float32 array
        Linear light, 0 and above.
    knee : float
        Where it begins, below 1.

    Returns
    -------
    float32 array
        Equal to the input up to ``knee``; below 1 everywhere. The same array where nothing is bent.
    """
    begin = np.float32(knee)
    places = np.flatnonzero(light.ravel() > begin)
    if len(places) == 0:
        return light
    room = np.float32(1) - begin
    bent: Float = np.array(light, np.float32, order="C")
    flat = bent.reshape(-1)
    flat[places] = begin + room * (1 - np.exp((begin - flat[places]) / room))
    return bent


def largest(values: Float) -> Float:
    """Return the largest of three channels, (..., 3) to (...): several times faster than a maximum over an axis."""
    out: Float = np.maximum(np.maximum(values[..., 0], values[..., 1]), values[..., 2])
    return out


def thrice(plane: Float) -> Float:
    """Return one plane as three channels, (H, W) to (H, W, 3).

    NumPy stretches a last axis of one over three very slowly, three values at a time; laid out first, the same
    calculation takes a fraction of the time, to the same bits.
    """
    import cv2

    out: Float = cv2.merge((plane, plane, plane))
    return out


def per_channel(shape: tuple[int, ...], values: Any) -> Float:
    """Return one number for each channel, laid out to calculate with the rows of a picture.

    For the same reason as :func:`thrice`: ``picture.reshape(H, -1) * per_channel(picture.shape, v)`` is
    ``picture * v``.

    Parameters
    ----------
    shape : (H, W, 3)
        Of the picture; only its width counts.
    values : (3,) array
        One for each channel.

    Returns
    -------
    (3 * W,) float32
        The three over and over, once per pixel of a row.
    """
    return np.tile(np.asarray(values, np.float32), shape[1])


def blur(values: Float, sigma: float) -> Float:
    """Gaussian blur of (H, W) or (H, W, C), mirrored at the borders, radius three sigma."""
    import cv2

    if sigma <= 0:
        return values
    size = 2 * int(np.ceil(3 * sigma)) + 1
    out: Float = cv2.GaussianBlur(values, (size, size), sigma, borderType=cv2.BORDER_REFLECT_101)
    return out.reshape(values.shape)  # a last axis of one is dropped by OpenCV


def masked_blur(values: Float, weight: Float, sigma: float) -> tuple[Float, Float]:
    """Normalised convolution: the local mean of ``values`` where ``weight`` counts.

    Parameters
    ----------
    values : (H, W, C) float32
        NaN and infinity must not occur, not even where ``weight`` is 0.
    weight : (H, W) float32, 0 and above
        How much each pixel counts.
    sigma : float
        Pixels.

    Returns
    -------
    mean : (H, W, C) float32
        Zero where no weight is near.
    support : (H, W) float32
        Blurred weight.
    """
    support = blur(weight, sigma)
    three = values.shape[2] == 3
    mean = blur(values * (thrice(weight) if three else weight[..., None]), sigma)
    under = np.maximum(support, np.float32(1e-9))
    mean = np.divide(mean, thrice(under) if three else under[..., None], out=mean)
    return mean, support


def encoded(linear: NDArray[Any]) -> NDArray[np.float64]:
    """Return linear values as encoded sRGB, float64, clipped to [0, 1]."""
    values: NDArray[np.float64] = np.clip(linear_to_srgb(np.asarray(linear, np.float64)), 0, 1)
    return values


def log_noise(level: NDArray[Any], noise: float) -> NDArray[np.float64]:
    """Return the standard deviation of the logarithm of linear light for a noise of encoded samples.

    Parameters
    ----------
    level : array
        Linear light.
    noise : float
        Standard deviation of the encoded samples, full scale = 1, rounding included.
    """
    v = np.asarray(encoded(level))
    slope = np.where(v <= 0.04045, 1 / 12.92, 2.4 / 1.055 * ((v + 0.055) / 1.055) ** 1.4)
    return np.asarray(noise * slope / np.maximum(np.asarray(level, np.float64), FLOOR))


def unburnt(light: Float, picture: Float, most: bool) -> Float:
    """Give burnt-out channels the light that the others show.

    A sample at full scale says only that there was at least so much. Divided by a coloured paint it would make light of
    another colour, blue where a warm wall burns out. Light of the wall's usual colour is assumed there instead.

    Parameters
    ----------
    light : (H, W, 3) float32
        ``picture`` divided by the old paint.
    picture : (H, W, 3) float32
        Linear.
    most : bool
        True: as much light as the channel shows that was lit the most, which is the nearest to what there was. False:
        as much as the brightness that is seen, so that burnt places stand out no more than they did.

    Returns
    -------
    (H, W, 3) float32
        The same array where nothing is burnt.
    """
    places = np.flatnonzero((largest(picture) > BURNING).ravel())
    if len(places) == 0:
        return light
    shown, own = picture.reshape(-1, 3)[places], light.reshape(-1, 3)[places]
    t = np.clip((shown - BURNING) / np.float32(0.995 - BURNING), 0, 1)
    burnt = t * t * (3 - 2 * t)
    if most:
        common = own.max(axis=1, keepdims=True)
    else:
        old = shown / np.maximum(own, FLOOR)
        common = ((shown @ LUMINANCE) / np.maximum(old @ LUMINANCE, FLOOR))[:, None]
    out = light.copy()
    out.reshape(-1, 3)[places] = own + burnt * (common - own)
    return out


def trusted(light: Float, old: Float, strict: bool = False) -> Float:
    """Take the light's colour only from channels that the old paint reflects.

    A saturated paint leaves next to nothing of one or two channels, and what a camera, its gamut and its compression
    put there is no measurement of light. Such a channel gets the brightness of the others, and what it says of the
    light's colour counts by how much of it there is. No light's colour is believed to vary without bounds.

    Parameters
    ----------
    light : (H, W, 3) float32
        Linear; the wall divided by its old paint.
    old : (3,) float32
        Old paint as seen in light 1, linear.
    strict : bool
        Also doubt a channel that the paint reflects far less than another. Looks calmer under a paler paint, and is
        farther from what was measured.

    Returns
    -------
    (H, W, 3) float32
        The same array when every channel is well lit.
    """
    import cv2

    trust = (old * old / (old * old + LEAST_TRUSTED * LEAST_TRUSTED)).astype(np.float32)
    if strict:
        share = old / np.maximum(old.max(), FLOOR)
        trust = trust * (share * share / (share * share + LEAST_SHARE * LEAST_SHARE)).astype(np.float32)
    if float(trust.min()) > 0.98:
        return light
    logs = cv2.log(np.maximum(light, np.float32(1e-3)))
    common = logs @ (trust / trust.sum())
    shared = thrice(common)
    own = np.subtract(logs, shared, out=logs)
    own /= WIDEST
    np.tanh(own, out=own)
    rows = own.reshape(len(own), -1)
    rows *= per_channel(own.shape, trust * WIDEST)
    own += shared
    out: Float = cv2.exp(own)
    return out


def calm(light: Float, weight: Float, sigma_log: NDArray[np.float64], keep: NDArray[np.float64]) -> Float:
    """Take out of the light what is camera noise and what the new paint would amplify.

    The logarithm of the light is split into the part common to the channels (each weighted by how little noise it has)
    and the part of each channel alone. Of the common part's finest detail a Wiener weight, from the local variance and
    the stated noise, tells structure from noise; of noise, and of detail in colour, only the share ``keep`` stays.

    Parameters
    ----------
    light : (H, W, 3) float32
        Linear, above 0; smaller values count as 0.001.
    weight : (H, W) float32
        How much of the pixel is wall; others do not count.
    sigma_log : (3,) float64
        Noise of the logarithm, per channel.
    keep : (3,) float64 in [0, 1]
        1 leaves a channel alone.

    Returns
    -------
    (H, W, 3) float32
        Of the same brightness on the whole.
    """
    import cv2

    logs = cv2.log(np.maximum(light, np.float32(1e-3)))
    share = (1 / sigma_log**2 / (1 / sigma_log**2).sum()).astype(np.float32)
    common = logs @ share
    own = logs - thrice(common)
    common_noise = float(np.sqrt((share.astype(np.float64) ** 2 * sigma_log**2).sum()))
    common_keep = float((share * keep).sum())
    common = _wiener(common[..., None], weight, np.array([common_noise]), np.array([common_keep]), 1.5)[..., 0]
    if (keep < 1).any():  # what differs between channels within a few pixels is noise on any painted wall
        base, _ = masked_blur(own, weight, 3.0)
        own -= base
        rows = own.reshape(len(own), -1)
        rows *= per_channel(own.shape, keep)
        own += base
    own += thrice(common)
    calmed: Float = cv2.exp(own)
    return calmed


def _wiener(
    values: Float, weight: Float, sigma: NDArray[np.float64], keep: NDArray[np.float64], radius: float
) -> Float:
    if (keep >= 1).all():
        return values
    base, _ = masked_blur(values, weight, radius)
    detail = values - base
    power, _ = masked_blur(detail * detail, weight, 2 * radius)
    noise = (sigma**2).astype(np.float32) * np.float32(1 - 1 / (4 * np.pi * radius**2))
    signal = np.clip(1 - noise / np.maximum(power, 1e-12), 0, 1)
    calmed = base + detail * (signal + (1 - signal) * keep)
    return calmed.astype(np.float32)


def field_at(field: Float, step: int, origin: tuple[int, int], shape: tuple[int, int]) -> Float:
    """Return a grid's values at every pixel of a window, bilinear, continued beyond the outermost points.

    Parameters
    ----------
    field : (h, w, 3) float32
        Values at the grid points; a grid of one point is a constant.
    step : int
        Pixels between grid points; the first lies at ``step // 2``.
    origin : (int, int)
        Row and column of the window's first pixel.
    shape : (int, int)
        Rows and columns of the window.
    """
    import cv2

    half = step // 2
    y = ((np.arange(shape[0]) + origin[0] - half) / step).astype(np.float32)
    x = ((np.arange(shape[1]) + origin[1] - half) / step).astype(np.float32)
    grid_x, grid_y = np.meshgrid(x, y)
    out: Float = cv2.remap(field, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return out
