"""A name for the exact samples of a picture, whatever file holds them."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from tratto.core.image import Image
from tratto.imaging.io.source import rows_per_band
from tratto.imaging.scratch import release


def digest(image: Image) -> str:
    """Return the SHA-256 of mode, depth, shape, palette and samples; metadata does not count.

    The samples follow row by row in little-endian order, then the alpha plane in the same way, so that equal pictures
    have equal digests on every machine and however they are held in memory.

    Parameters
    ----------
    image : Image
        May be memory-mapped; it is read in bands of rows.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> import numpy as np
    >>> from tratto.core.image import ColorMode, Image
    >>> digest(Image(np.zeros((2, 3), np.uint8), ColorMode.GRAY))[:8]
    '9556529a'
    """
    header = {
        "mode": str(image.mode),
        "bits": image.bits,
        "shape": list(image.pixels.shape),
        "alpha": image.alpha is not None,
        "palette": None if image.palette is None else image.palette.tolist(),
    }
    state = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii"))
    state.update(b"\0")
    for plane in (image.pixels, image.alpha):
        if plane is None:
            continue
        little = plane.dtype.newbyteorder("<")
        step = rows_per_band(plane[:1].nbytes)
        for start in range(0, plane.shape[0], step):
            state.update(np.ascontiguousarray(plane[start : start + step], little).data)
            release(plane)
    return state.hexdigest()
