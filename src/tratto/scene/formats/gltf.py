"""glTF 2.0 in one binary file, with KHR_gaussian_splatting (release candidate, its text of April 2026).

Frame: x left, y up, z forward. The extension is used and not required: a viewer without it shows coloured points.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from tratto.core.artifact import HARMONICS, Scene
from tratto.core.errors import InputError
from tratto.scene.formats.frames import flipped
from tratto.scene.formats.splat import logits

EXTENSION = "KHR_gaussian_splatting"
_LONGEST_JSON = 1 << 24
_KINDS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}


def binary(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[bytes, dict[str, int]]:
    """Return a .glb of a document, to which a view and an accessor are added for each array.

    Parameters
    ----------
    document : dict
        Its ``accessors`` are those of the arrays, in order; see :func:`accessors_of`.
    arrays : dict
        (N, C) or (N,), little-endian.
    """
    views, blob = [], bytearray()
    for values in arrays.values():
        data = np.ascontiguousarray(values).tobytes()
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": len(data)})
        blob += data + b"\0" * (-len(data) % 4)
    whole = {**document, "buffers": [{"byteLength": len(blob)}], "bufferViews": views}
    text = json.dumps(whole, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(blob))
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(blob), b"BIN\0") + bytes(blob)
    return head + chunks, {name: i for i, name in enumerate(arrays)}


def accessors_of(arrays: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return what glTF says of arrays of float32 or uint32, one view for each."""
    made = []
    for i, (name, values) in enumerate(arrays.items()):
        kind = "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}"
        of: dict[str, Any] = {
            "bufferView": i, "componentType": 5125 if values.dtype == np.uint32 else 5126, "count": len(values),
            "type": kind,
        }  # fmt: skip
        if name == "POSITION":
            of |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        made.append(of)
    return made


def linear(encoded: np.ndarray) -> np.ndarray:
    """Return linear light of encoded sRGB (IEC 61966-2-1), both in [0, 1]."""
    c = np.clip(encoded.astype(np.float64), 0, 1)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4).astype(np.float32)


def packed(scene: Scene) -> bytes:
    """Return the bytes of a file. What was seen stands in the attribute ``_SEEN``."""
    turned = flipped(scene, -1, -1, 1)
    alpha = (1 / (1 + np.exp(-turned.opacities.astype(np.float64)))).astype(np.float32)
    unit = turned.rotations / np.linalg.norm(turned.rotations, axis=1, keepdims=True)
    arrays = {
        "POSITION": turned.positions,
        "COLOR_0": np.concatenate([linear(turned.colors), alpha[:, None]], axis=1),
        f"{EXTENSION}:ROTATION": unit[:, [1, 2, 3, 0]].astype(np.float32),
        f"{EXTENSION}:SCALE": np.exp(turned.scales),
        f"{EXTENSION}:OPACITY": alpha,
    }
    arrays |= {f"{EXTENSION}:{name}": turned.harmonics[:, i] for i, name in enumerate(_coefficients(scene.degree))}
    arrays["_SEEN"] = scene.seen.astype(np.float32)
    primitive = {
        "attributes": {name: i for i, name in enumerate(arrays)},
        "mode": 0,
        "extensions": {
            EXTENSION: {
                "kernel": "ellipse", "colorSpace": "srgb_rec709_display", "sortingMethod": "cameraDistance",
                "projection": "perspective",
            }
        },
    }  # fmt: skip
    document = {
        "asset": {"version": "2.0", "generator": "tratto"}, "extensionsUsed": [EXTENSION], "scene": 0,
        "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}], "meshes": [{"primitives": [primitive]}],
        "accessors": accessors_of(arrays),
    }  # fmt: skip
    return binary(document, arrays)[0]


def _coefficients(degree: int) -> list[str]:
    return [f"SH_DEGREE_{d}_COEF_{n}" for d in range(degree + 1) for n in range(2 * d + 1)]


def read(data: bytes) -> tuple[Scene, bool]:
    """Return the scene of a file, and whether it says what was seen.

    Raises
    ------
    InputError, OptionError
        If it is broken, of another kind, or larger than what is read.
    """
    document, blob = _chunks(data)
    try:
        primitives = [p for m in document["meshes"] for p in m["primitives"] if EXTENSION in p.get("extensions", {})]
        if len(primitives) != 1:
            raise InputError(f"expected one primitive with {EXTENSION}, got {len(primitives)}")
        if any(set(node) & {"matrix", "rotation", "scale", "translation"} for node in document.get("nodes", [])):
            raise InputError("its node is moved or turned, and such a scene is not read")
        attributes = primitives[0]["attributes"]

        def of(name: str) -> np.ndarray:
            return _values(document, blob, attributes[name])

        degree = max(d for d in HARMONICS.values() if f"{EXTENSION}:SH_DEGREE_{d}_COEF_0" in attributes)
        at = of("POSITION")
        count = len(at)
        marked = "_SEEN" in attributes
        turn = of(f"{EXTENSION}:ROTATION")
        harmonics = np.stack([of(f"{EXTENSION}:{name}") for name in _coefficients(degree)], axis=1)
        size = of(f"{EXTENSION}:SCALE")
        alpha = of(f"{EXTENSION}:OPACITY")
        seen = (of("_SEEN") > 0.5).astype(np.uint8) if marked else np.ones(count, np.uint8)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as e:
        raise InputError(f"its attributes are not those of {EXTENSION} ({type(e).__name__}: {e})") from e
    if turn.ndim != 2 or turn.shape[1] != 4:
        raise InputError("expected rotations of four numbers")
    if not (np.isfinite(size).all() and np.isfinite(alpha).all()):
        raise InputError("sizes and opacities must be finite")
    scene = Scene(
        at,
        np.ascontiguousarray(turn[:, [3, 0, 1, 2]]),
        np.log(np.maximum(size, 1e-20)),
        logits(alpha, 1e-7),
        np.ascontiguousarray(harmonics),
        seen,
    )
    return flipped(scene, -1, -1, 1), marked


def _chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    if len(data) < 20 or data[:4] != b"glTF":
        raise InputError("expected a binary glTF file")
    _, version, whole = struct.unpack_from("<4sII", data)
    size, kind = struct.unpack_from("<I4s", data, 12)
    if version != 2 or whole != len(data) or kind != b"JSON" or size > _LONGEST_JSON or 20 + size + 8 > len(data):
        raise InputError("its header does not fit its size, or it is not of version 2")
    try:
        document = json.loads(data[20 : 20 + size])
    except (ValueError, RecursionError) as e:
        raise InputError("its JSON is broken") from e
    blob_size, blob_kind = struct.unpack_from("<I4s", data, 20 + size)
    if not isinstance(document, dict) or blob_kind != b"BIN\0" or 28 + size + blob_size > len(data):
        raise InputError("its binary part is not as stated")
    return document, data[28 + size : 28 + size + blob_size]


def _values(document: dict[str, Any], blob: bytes, index: Any) -> np.ndarray:
    accessor = document["accessors"][index]
    view = document["bufferViews"][accessor["bufferView"]]
    width, count = _KINDS[accessor["type"]], accessor["count"]
    if accessor["componentType"] != 5126 or "sparse" in accessor or "byteStride" in view or view.get("buffer", 0):
        raise InputError("only plain 32-bit floats in its own binary part are read")
    begin = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    if not all(isinstance(v, int) and v >= 0 for v in (begin, count)) or begin + 4 * width * count > len(blob):
        raise InputError(f"it states {count} values beyond its own end")
    values = np.frombuffer(blob, "<f4", width * count, begin).copy()
    return values if width == 1 else values.reshape(count, width)
