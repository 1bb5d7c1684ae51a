"""Packing and unpacking samples of 1, 2 and 4 bits, first sample in the high bits (PNG and TIFF alike)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def unpack(rows: NDArray[np.uint8], width: int, bits: int) -> NDArray[np.uint8]:
    """Unpack rows.

    Parameters
    ----------
    rows : (h, ceil(width * bits / 8)) uint8
        The first sample in the highest bits, as TIFF, PNG and BMP have it.
    width : int
        Samples per row.
    bits : int
        1, 2, 4 or 8.

    Returns
    -------
    (h, width) uint8
        Values below ``2**bits``.
    """
    if bits == 8:
        return rows[:, :width]
    if bits == 1:
        return np.unpackbits(rows, axis=1, count=width)
    per_byte = 8 // bits
    out = np.empty((rows.shape[0], rows.shape[1] * per_byte), np.uint8)
    for i in range(per_byte):
        out[:, i::per_byte] = (rows >> (8 - bits * (i + 1))) & ((1 << bits) - 1)
    return out[:, :width]


def pack(samples: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Pack rows; the inverse of :func:`unpack`, with zeros behind the last sample.

    Parameters
    ----------
    samples : (h, width) uint8
        Values below ``2**bits``.
    bits : int
        1, 2, 4 or 8.

    Returns
    -------
    (h, ceil(width * bits / 8)) uint8
        The last byte filled up with zeros.
    """
    if bits == 8:
        return np.ascontiguousarray(samples, np.uint8)
    if bits == 1:
        return np.packbits(samples != 0, axis=1)
    per_byte = 8 // bits
    height, width = samples.shape
    padded = np.zeros((height, -(-width // per_byte) * per_byte), np.uint8)
    padded[:, :width] = samples
    out = np.zeros((height, padded.shape[1] // per_byte), np.uint8)
    for i in range(per_byte):
        out |= padded[:, i::per_byte] << (8 - bits * (i + 1))
    return out
