"""PLY as 3D Gaussian splatting writes it; our own frame."""

from __future__ import annotations

import numpy as np

from tratto.core.artifact import HARMONICS, Scene
from tratto.core.errors import InputError

_LONGEST_HEADER = 1 << 16
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "<i2", "int16": "<i2", "ushort": "<u2",
    "uint16": "<u2", "int": "<i4", "int32": "<i4", "uint": "<u4", "uint32": "<u4", "float": "<f4", "float32": "<f4",
    "double": "<f8", "float64": "<f8",
}  # fmt: skip


def read(data: bytes) -> tuple[Scene, bool]:
    """Return the scene of a binary PLY file, and whether it says what was seen.

    Raises
    ------
    InputError, OptionError
        If it is broken, of another kind, or larger than what is read.
    """
    end = data.find(b"end_header\n", 0, _LONGEST_HEADER)
    if not data.startswith(b"ply\n") or end < 0:
        raise InputError("expected a PLY file with a header of at most 64 KiB")
    lines = [line.split() for line in data[:end].decode("ascii", "replace").splitlines()]
    if ["format", "binary_little_endian", "1.0"] not in lines:
        raise InputError("expected binary_little_endian, the form of PLY that scenes have")
    elements = [line for line in lines if line[:1] == ["element"]]
    if len(elements) != 1 or len(elements[0]) != 3 or elements[0][1] != "vertex" or not elements[0][2].isdecimal():
        raise InputError("expected one element, vertex, with its count (compressed PLY is not read)")
    properties = [line for line in lines if line[:1] == ["property"]]
    if any(len(p) != 3 or p[1] not in _TYPES for p in properties) or len({p[2] for p in properties}) != len(properties):
        raise InputError("expected properties that are plain numbers with names of their own")
    row = np.dtype([(p[2], _TYPES[p[1]]) for p in properties])
    count, start = int(elements[0][2]), end + len(b"end_header\n")
    if count == 0 or row.itemsize == 0 or count * row.itemsize != len(data) - start:
        raise InputError(f"its header states {count} Gaussians of {row.itemsize} bytes, and {len(data) - start} follow")
    rest = sum(name.startswith("f_rest_") for name in row.names or ())
    terms = rest // 3 + 1
    needed = [*"xyz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", *(f"f_rest_{i}" for i in range(rest))]
    needed += [f"{name}_{i}" for name, n in (("scale", 3), ("rot", 4)) for i in range(n)]
    lacking = [name for name in needed if name not in (row.names or ())]
    if lacking or terms not in HARMONICS or rest % 3:
        raise InputError(f"it is no scene of Gaussians: {lacking[0] if lacking else 'f_rest'} is not as it must be")
    rows = np.frombuffer(data, row, count, start)

    def of(*names: str) -> np.ndarray:
        return np.stack([rows[n].astype(np.float32) for n in names], axis=1)

    higher = of(*(f"f_rest_{i}" for i in range(rest))).reshape(count, 3, -1).transpose(0, 2, 1) if rest else None
    first = of("f_dc_0", "f_dc_1", "f_dc_2")[:, None]
    marked = "seen" in (row.names or ())
    return Scene(
        of("x", "y", "z"),
        of("rot_0", "rot_1", "rot_2", "rot_3"),
        of("scale_0", "scale_1", "scale_2"),
        rows["opacity"].astype(np.float32),
        np.ascontiguousarray(first if higher is None else np.concatenate([first, higher], axis=1)),
        (rows["seen"] > 0.5).astype(np.uint8) if marked else np.ones(count, np.uint8),
    ), marked
