"""The orthonormal 8 x 8 discrete cosine transform (type II) that JPEG uses."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["TOGETHER", "block_dct_matrix"]

#: Blocks that are worked on at once: what is made of them stays in the cache.
TOGETHER = 2048


@lru_cache(maxsize=1)
def block_dct_matrix() -> NDArray[np.float32]:
    """Return the matrix that takes a row-major 8 x 8 block to its coefficients, as (64, 64) float32, read-only.

    Row ``8 u + v`` holds the basis picture of vertical frequency ``u`` and horizontal frequency ``v``.

    Examples
    --------
    >>> m = block_dct_matrix()
    >>> m.shape, bool(np.allclose(m @ m.T, np.eye(64), atol=1e-5))
    ((64, 64), True)
    """
    k = np.arange(8)[:, None]
    x = np.arange(8)[None, :]
    d = np.cos(np.pi * (2 * x + 1) * k / 16) * 0.5
    d[0] /= np.sqrt(2)
    m: NDArray[np.float32] = np.kron(d, d).astype(np.float32)
    m.setflags(write=False)
    return m
