"""Enlargement by a fixed kernel: no network, no invention, no denoising."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import RestoredTile, Restorer, RestorerInfo
from tratto.core.errors import UnavailableError
from tratto.core.image import Kernel
from tratto.imaging.resample import enlarge_rows
from tratto.providers.catalogue import Request
from tratto.providers.restorer.network import check_tile

#: Three quarters of it cover the taps; a quarter is where tiles are blended.
_OVERLAP = {"bicubic": 3, "lanczos": 4}


def missing(request: Request) -> UnavailableError | None:
    """Return None: it needs NumPy only."""
    return None


def open(request: Request) -> Restorer:
    """Open it."""
    return KernelRestorer(cast(Kernel, request.variant), request.scale)


class KernelRestorer:
    """Enlarges by an integer factor with a stated kernel, see :func:`tratto.imaging.resample.enlarge_rows`.

    Parameters
    ----------
    kernel : str
        ``"bicubic"`` or ``"lanczos"``.
    scale : int
        Enlargement factor, at least 1.
    """

    def __init__(self, kernel: Kernel, scale: int) -> None:
        self._kernel: Kernel = kernel
        #: Facts about this restorer.
        self.info = RestorerInfo(
            provider=kernel,
            scale=scale,
            tile=512,
            overlap=_OVERLAP[kernel],
            library=f"numpy {np.__version__}",
            megapixels_per_second=4.0 / scale**2,
        )

    def restore(self, tile: NDArray[np.float32], noise_sigma: float | None = None) -> RestoredTile:
        """Enlarge one tile; see :class:`~tratto.core.capability.Restorer`."""
        check_tile(tile, self._kernel, 1)
        scale = self.info.scale
        return RestoredTile(enlarge_rows(tile, 0, tile.shape[0] * scale, scale, self._kernel))  # type: ignore[arg-type]
