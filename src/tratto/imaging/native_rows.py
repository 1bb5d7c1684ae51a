"""Rows of float samples, as tiles give them, into a picture's own samples and its map of errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.image import Image, Samples
from tratto.imaging.clear import premultiplied, within_alpha
from tratto.imaging.scratch import release

_PIXELS = 1 << 15  # at once: what is worked with stays in the cache


@dataclass(frozen=True, eq=False)
class NativeRows:
    """Where rows go.

    Attributes
    ----------
    source : Image
        The picture that is worked on; its pages are given back after each band.
    pixels : (H, W) or (H, W, C) uint8 or uint16 array
        The result's samples; written band by band.
    alpha : (H, W) array or None
        Of the same type; None: alpha is not worked on.
    sigma : (H, W) uint16 array
        Expected one-sigma error, full scale / 65535.
    """

    source: Image
    pixels: Samples
    alpha: Samples | None
    sigma: NDArray[np.uint16]

    def write(self, y0: int, rows: NDArray[np.float32]) -> None:
        """Round and store a band.

        Parameters
        ----------
        y0 : int
            Its first row.
        rows : (h, W, C [+ 1] + 1) float32
            Colours in [0, 1], alpha where there is one, and last the error.
        """
        step = max(1, _PIXELS // rows.shape[1])
        for start in range(0, rows.shape[0], step):
            self._write(y0 + start, rows[start : start + step])
        for part in (self.source.pixels, self.source.alpha, self.pixels, self.alpha, self.sigma):
            release(part)

    def _write(self, y0: int, rows: NDArray[np.float32]) -> None:
        full = float(self.source.max_value)
        y1 = y0 + rows.shape[0]
        native = np.clip(np.rint(rows[..., :-1] * full), 0, full).astype(self.pixels.dtype)
        colours = 1 if self.pixels.ndim == 2 else self.pixels.shape[2]
        self.pixels[y0:y1] = native[..., 0] if self.pixels.ndim == 2 else native[..., :colours]
        if self.alpha is not None:
            self.alpha[y0:y1] = native[..., colours]
        if premultiplied(self.source):
            plane = self.source.alpha if self.alpha is None else self.alpha
            within_alpha(self.pixels[y0:y1], np.asarray(plane)[y0:y1])
        self.sigma[y0:y1] = np.clip(np.rint(rows[..., -1] * 65535), 0, 65535).astype(np.uint16)
