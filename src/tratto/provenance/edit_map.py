"""Per pixel, how much the result differs from the source: CIEDE2000, as 16-bit map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image
from tratto.core.result import EDIT_MAP_SCALE
from tratto.imaging.color import delta_e_2000, lab_wide, srgb_to_lab, view_wide
from tratto.imaging.scratch import release

_BAND = 1 << 15  # pixels per row band: their working memory stays in the cache
_EXACT = 1e-6  # two float32 views of one sample value; a 16-bit step is fifteen times larger


@dataclass(frozen=True)
class EditStats:
    """What an edit map says, in numbers. All Delta-E are CIEDE2000.

    Attributes
    ----------
    changed_fraction : float
        Share of pixels with any difference, in [0, 1].
    mean, p95, maximum : float
        Over all pixels; ``p95`` is the smallest Delta-E that 95 % of all pixels do not exceed.
    mean_changed : float
        Mean over the changed pixels only; 0 if there are none.
    alpha : str
        ``"none"`` (neither picture has any) or ``"compared"``; older receipts say ``"not compared"``, too.
    """

    changed_fraction: float
    mean: float
    p95: float
    maximum: float
    mean_changed: float
    alpha: str = "none"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {
            "changed_fraction": self.changed_fraction,
            "mean": self.mean,
            "p95": self.p95,
            "max": self.maximum,
            "mean_changed": self.mean_changed,
            "alpha": self.alpha,
        }


def edit_map(before: Image, after: Image, out: NDArray[np.uint16]) -> EditStats:
    """Fill ``out`` with the colour difference between two pictures, times ``EDIT_MAP_SCALE``.

    The native samples decide whether a pixel changed. An enlarged result is compared with the source enlarged by the
    stated kernel in its native encoding. An unchanged pixel is exactly 0. A changed one is at least 1, so no change can
    round away.

    The colours are compared in CIELAB through the embedded profile of each picture, also where they lie outside
    sRGB; without one that can be used they are taken as sRGB (CIEDE2000: Sharma, Wu, Dalal, "The CIEDE2000
    color-difference formula", 2005). Alpha counts too: it is compared as if it were a grey picture (transparent =
    black, opaque = white), and the larger of the two differences stands in the map. A missing alpha channel is
    opaque.

    Parameters
    ----------
    before, after : Image
        Of one size, in stored order.
    out : (H, W) uint16
        In the geometry of ``after``; filled in row bands, may be memory-mapped.

    Returns
    -------
    EditStats
        Computed from the values in ``out``.

    Raises
    ------
    OptionError
        If sizes do not fit.
    """
    height, width = after.height, after.width
    if (height, width) != (before.height, before.width):
        raise OptionError(f"an edit map needs a result of {before.width}x{before.height} pixels, got {width}x{height}")
    if out.shape != (height, width) or out.dtype != np.uint16:
        raise OptionError(f"the edit map must be uint16 {(height, width)}, got {out.dtype} {out.shape}")
    has_alpha = _has_alpha(before) or _has_alpha(after)
    step = max(1, _BAND // width)
    for y0 in range(0, height, step):
        y1 = min(height, y0 + step)
        if _same_samples(before, after, y0, y1):
            out[y0:y1] = 0
        else:
            out[y0:y1] = _band(before, after, (y0, y1))
        for part in (before.pixels, before.alpha, after.pixels, after.alpha, out):
            release(part)
    return stats_of(out, "compared" if has_alpha else "none")


def stats_of(values: NDArray[np.uint16], alpha: str = "none") -> EditStats:
    """Return the statistics of a finished edit map (read back from a file, say)."""
    histogram = np.zeros(65536, dtype=np.int64)
    step = max(1, (1 << 18) // values.shape[1])
    for y0 in range(0, values.shape[0], step):
        histogram += np.bincount(np.asarray(values[y0 : y0 + step]).ravel(), minlength=65536)
        release(values)
    return _stats(histogram, alpha)


def _has_alpha(image: Image) -> bool:
    if image.palette is not None:
        return bool((image.palette[:, 3] != 255).any())
    return image.alpha is not None


def _alpha_rows(image: Image, y0: int, y1: int) -> NDArray[np.float32] | None:
    if not _has_alpha(image):
        return None
    if image.palette is not None:
        table = image.palette[:, 3].astype(np.float32) / np.float32(255.0)
        return np.asarray(table[np.minimum(image.pixels[y0:y1], len(table) - 1)])
    if image.alpha is None:
        return None
    return np.asarray(image.alpha[y0:y1], dtype=np.float32) / np.float32(image.max_value)


def _comparable(before: Image, after: Image) -> bool:
    """Return True if equal native samples mean equal colours."""
    if before.mode is not after.mode or before.bits != after.bits:
        return False
    if before.palette is not None and after.palette is not None:
        return np.array_equal(before.palette, after.palette)
    return True


def _same_samples(before: Image, after: Image, y0: int, y1: int) -> bool:
    """Return True if a whole band is natively identical (a quick way past untouched regions)."""
    if not _comparable(before, after) or (before.alpha is None) != (after.alpha is None):
        return False
    if (
        before.alpha is not None
        and after.alpha is not None
        and not np.array_equal(before.alpha[y0:y1], after.alpha[y0:y1])
    ):
        return False
    return np.array_equal(before.pixels[y0:y1], after.pixels[y0:y1])


def _changed(before: Image, after: Image, y0: int, y1: int) -> NDArray[np.bool_]:
    """Return where the colour samples differ, (h, W)."""
    if _comparable(before, after):
        differ = np.asarray(before.pixels[y0:y1] != after.pixels[y0:y1])
        return _any_channel(differ) if differ.ndim == 3 else differ
    return _any_channel(np.abs(view_wide(before, y0, y1) - view_wide(after, y0, y1)) > _EXACT)


def _any_channel(differ: NDArray[np.bool_]) -> NDArray[np.bool_]:
    # several times faster than any(axis=2) over so short an axis
    out = differ[..., 0].copy()
    for c in range(1, differ.shape[2]):
        out |= differ[..., c]
    return out


def _half_step(image: Image) -> float:
    # rounding moves a sample by half a step; through ink (1 - C)(1 - K) two such errors can add up
    half = 0.5 if image.mode is not ColorMode.CMYK else 1.0
    return half / image.max_value + _EXACT


def _band(before: Image, after: Image, rows: tuple[int, int]) -> NDArray[np.uint16]:
    changed = _changed(before, after, *rows)
    out = np.zeros(changed.shape, dtype=np.uint16)
    share = np.count_nonzero(changed) / changed.size
    if share > 0.5:  # gathering costs more than it saves
        out = _quantise(delta_e_2000(lab_wide(before, *rows), lab_wide(after, *rows)))
        out[~changed] = 0
    elif share > 0:
        out[changed] = _quantise(delta_e_2000(lab_wide(before, *rows, changed), lab_wide(after, *rows, changed)))
    alphas = [_alpha_rows(image, *rows) for image in (before, after)]
    if any(alpha is not None for alpha in alphas):
        ba, aa = (np.ones(changed.shape, np.float32) if alpha is None else alpha for alpha in alphas)
        moved = np.abs(aa - ba) > (_EXACT if _is_exact(ba, after) else _half_step(after))
        if moved.any():
            greys = (np.repeat(alpha[moved][:, None], 3, axis=1) for alpha in (ba, aa))
            out[moved] = np.maximum(out[moved], _quantise(delta_e_2000(*(srgb_to_lab(grey) for grey in greys))))
    return out


def _is_exact(values: NDArray[np.float32], image: Image) -> bool:
    """Return True if values are already on the sample steps of ``image`` (not the output of a kernel)."""
    steps = values * np.float32(image.max_value)
    return bool((np.abs(steps - np.rint(steps)) < 1e-2).all())


def _quantise(delta_e: NDArray[Any]) -> NDArray[np.uint16]:
    steps: NDArray[np.float32] = np.rint(delta_e * np.float32(EDIT_MAP_SCALE))
    np.clip(steps, 1.0, 65535.0, out=steps)
    return steps.astype(np.uint16)


def _stats(histogram: NDArray[np.int64], alpha: str) -> EditStats:
    total = int(histogram.sum())
    changed = total - int(histogram[0])
    weighted = int((histogram * np.arange(65536, dtype=np.int64)).sum())
    rank = -(-95 * total // 100)  # nearest rank: ceil(0.95 n)
    p95 = int(np.searchsorted(np.cumsum(histogram), rank))
    return EditStats(
        changed_fraction=changed / total,
        mean=weighted / total / EDIT_MAP_SCALE,
        p95=p95 / EDIT_MAP_SCALE,
        maximum=int(np.flatnonzero(histogram)[-1]) / EDIT_MAP_SCALE,
        mean_changed=weighted / changed / EDIT_MAP_SCALE if changed else 0.0,
        alpha=alpha,
    )
