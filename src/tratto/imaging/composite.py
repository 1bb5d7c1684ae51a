"""Put what a step made into the picture, only where and as much as it may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.image import Image, Kernel, Mask, Samples
from tratto.imaging.resample import band_rows, enlarge_into
from tratto.imaging.scratch import allocate, release

#: Makes large arrays; see :func:`tratto.imaging.scratch.allocate`.
Scratch = Callable[[tuple[int, ...], Any], NDArray[np.generic]]


def enlarge(image: Image, scale: int, kernel: Kernel, scratch: Scratch = allocate) -> Image:
    """Return the picture enlarged by the kernel, in its native encoding; the picture itself at scale 1."""
    if scale == 1:
        return image

    def one(samples: Samples) -> Samples:
        shape = (samples.shape[0] * scale, samples.shape[1] * scale, *samples.shape[2:])
        out: Samples = scratch(shape, samples.dtype)  # type: ignore[assignment]
        enlarge_into(samples, out, scale, kernel, image.max_value)
        release(out)
        return out

    return image.replace(pixels=one(image.pixels), alpha=None if image.alpha is None else one(image.alpha))


def mask_rows(mask: Mask, y0: int, y1: int, scale: int) -> NDArray[np.float32]:
    """Return rows of the mask enlarged by repetition, so that no weight leaks outside."""
    rows = mask.values[np.arange(y0, y1) // scale]
    return np.repeat(rows, scale, axis=1) if scale > 1 else rows


def blend_into(after: Samples, before: Samples, weight: NDArray[np.float32] | float, y0: int, y1: int) -> None:
    """Overwrite rows of ``after`` with ``(1 - weight) * before + weight * after``; exact where the weight is 0 or 1."""
    a, b = after[y0:y1], before[y0:y1]
    wt = np.broadcast_to(np.asarray(weight, np.float32), a.shape[:2])
    if (wt == 1).all():
        return
    if (wt == 0).all():
        after[y0:y1] = b
        return
    full = wt if a.ndim == 2 else wt[..., None]
    mixed = np.rint(b + full * (a.astype(np.float32) - b.astype(np.float32))).astype(a.dtype)
    mixed = np.where(full == 0, b, np.where(full == 1, a, mixed))
    after[y0:y1] = mixed


def composite(after: Image, before: Image, weight: Mask | float, scale: int) -> None:
    """Blend ``before`` into ``after`` in place, colour and alpha, in bands.

    Parameters
    ----------
    after : Image
        What a step made; its arrays are owned by this run and are overwritten.
    before : Image
        Same size and mode.
    weight : Mask or float
        1 keeps ``after``, 0 gives ``before`` bit by bit.
    scale : int
        How many times larger ``after`` is than the mask.
    """
    step = band_rows(after)
    for y0 in range(0, after.height, step):
        y1 = min(after.height, y0 + step)
        wt = mask_rows(weight, y0, y1, scale) if isinstance(weight, Mask) else weight
        blend_into(after.pixels, before.pixels, wt, y0, y1)
        if after.alpha is not None and before.alpha is not None and after.alpha is not before.alpha:
            blend_into(after.alpha, before.alpha, wt, y0, y1)
        for part in (after.pixels, after.alpha, before.pixels, before.alpha):
            release(part)


def keep_outside(
    own: NDArray[np.uint16], earlier: NDArray[np.uint16] | None, mask: Mask, geometry: tuple[int, int]
) -> None:
    """Put the earlier error back, in place, where a step's own mask kept it from changing anything.

    Under the mask the step made all new, so that what was uncertain there before counts as far as it shows through.

    Parameters
    ----------
    own : (H, W) uint16
        One-sigma error of this step, weighted by the mask.
    earlier : array or None
        Error before the step, smaller by ``geometry[0]``.
    mask : Mask
        The step's own, before any enlargement.
    geometry : (int, int)
        Step scale, and total scale relative to the mask.
    """
    if earlier is None:
        return
    step_scale, total = geometry
    for y0 in range(0, own.shape[0], 256):
        y1 = min(own.shape[0], y0 + 256)
        e = np.repeat(earlier[np.arange(y0, y1) // step_scale], step_scale, axis=1).astype(np.float32)
        e *= 1 - mask_rows(mask, y0, y1, total)
        v = np.hypot(own[y0:y1].astype(np.float32), e)
        own[y0:y1] = np.clip(np.rint(v), 0, 65535).astype(np.uint16)
        release(own)


def combine_sigma(
    own: NDArray[np.uint16],
    earlier: NDArray[np.uint16] | None,
    strength: float,
    mask: Mask | None,
    geometry: tuple[int, int],
) -> None:
    """Scale a step's error map by how much of the step is in the picture and add the earlier error, in place.

    Parameters
    ----------
    own : (H, W) uint16
        One-sigma error of this step's full effect.
    earlier : array or None
        Error before the step, smaller by ``geometry[0]``.
    strength : float
        Share of the step's result in the picture, [0, 1]: the error is multiplied by it.
    mask : Mask or None
        Where the step works, before any enlargement; None: everywhere.
    geometry : (int, int)
        Step scale, and total scale relative to the mask.
    """
    step_scale, total = geometry
    for y0 in range(0, own.shape[0], 256):
        y1 = min(own.shape[0], y0 + 256)
        v = own[y0:y1].astype(np.float32) * np.float32(strength)
        if earlier is not None:
            e = np.repeat(earlier[np.arange(y0, y1) // step_scale], step_scale, axis=1).astype(np.float32)
            v = np.sqrt(v * v + e * e)
        if mask is not None:
            v *= mask_rows(mask, y0, y1, total)
        own[y0:y1] = np.clip(np.rint(v), 0, 65535).astype(np.uint16)
        release(own)
