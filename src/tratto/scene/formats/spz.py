"""SPZ of Niantic: planes of small whole numbers, packed by gzip (version 3) or zstandard (version 4).

Frame: x right, y up, z back.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from tratto.core.artifact import HARMONICS, Scene
from tratto.core.errors import InputError, OptionError
from tratto.scene.formats.frames import flipped
from tratto.scene.formats.splat import logits

_MAGIC = b"NGSP"
_BITS = 12
_HEAD = struct.Struct("<4sIIBBBB")
_HEAD_4 = struct.Struct("<4sIIBBBBI12x")
_ENTRY = struct.Struct("<QQ")
_HALF = np.sqrt(0.5)
#: No deflate stream unpacks to more than this times its size; zstandard's can, and is held to the same.
_MOST = 1040


def packed(scene: Scene, version: int = 3) -> bytes:
    """Return the bytes of a file; what was seen is left out.

    Raises
    ------
    OptionError
        If a position is beyond what 24 bits hold: 2048 from the origin.
    """
    scene = flipped(scene, 1, -1, -1)
    at = np.round(scene.positions.astype(np.float64) * (1 << _BITS)).astype(np.int64)
    if np.abs(at).max() >= 1 << 23:
        raise OptionError("SPZ holds positions up to 2048 from the origin; write another format, or scale the scene")
    three = (at.astype("<i4").view(np.uint8).reshape(-1, 4))[:, :3]
    alpha = 255 / (1 + np.exp(-scene.opacities.astype(np.float64)))
    planes = [
        three,
        _byte(alpha),
        _byte(scene.harmonics[:, 0] * 0.15 * 255 + 127.5),
        _byte((scene.scales + 10) * 16),
        _smallest_three(scene.rotations),
        _byte(scene.harmonics[:, 1:] * 128 + 128),
    ]
    bodies = [np.ascontiguousarray(p).tobytes() for p in planes]
    count, degree = len(scene), scene.degree
    if version == 3:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        head = _HEAD.pack(_MAGIC, 3, count, degree, _BITS, 0, 0)
        return packer.compress(head + b"".join(bodies)) + packer.flush()
    import imagecodecs

    kept = [b for b in bodies if b]
    streams = [imagecodecs.zstd_encode(b, level=12) for b in kept]
    head = _HEAD_4.pack(_MAGIC, 4, count, degree, _BITS, 0, len(kept), _HEAD_4.size)
    entries = b"".join(_ENTRY.pack(len(s), len(b)) for s, b in zip(streams, kept, strict=True))
    return head + entries + b"".join(streams)


def _byte(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _smallest_three(turns: np.ndarray) -> np.ndarray:
    """Pack quaternions w x y z: which of x y z w is the largest, and of each other one sign and 9 bits."""
    q = (turns / np.linalg.norm(turns, axis=1, keepdims=True))[:, [1, 2, 3, 0]].astype(np.float64)
    largest = np.abs(q).argmax(axis=1)
    q *= np.where(np.take_along_axis(q, largest[:, None], 1) < 0, -1, 1)
    word = largest.astype(np.uint32)
    for axis in range(4):
        size = np.minimum(np.round(511 * np.abs(q[:, axis]) / _HALF), 511).astype(np.uint32)
        piece = (word << np.uint32(10)) | ((q[:, axis] < 0).astype(np.uint32) << np.uint32(9)) | size
        word = np.where(largest == axis, word, piece).astype(np.uint32)
    out: np.ndarray = word.astype("<u4")
    return out


def _unpacked_three(words: np.ndarray) -> np.ndarray:
    words = words.astype(np.uint32).copy()
    largest = (words >> np.uint32(30)).astype(np.int64)
    q = np.zeros((len(words), 4))
    for axis in (3, 2, 1, 0):
        here = largest != axis
        value = _HALF * (words & np.uint32(511)) / 511 * np.where(words & np.uint32(512), -1, 1)
        q[here, axis] = value[here]
        words[here] >>= np.uint32(10)
    rest = np.sqrt(np.maximum(0, 1 - (q**2).sum(axis=1)))
    q[np.arange(len(q)), largest] = rest
    return q[:, [3, 0, 1, 2]]


def read(data: bytes) -> tuple[Scene, bool]:
    """Return the scene of a file of version 2, 3 or 4; it never says what was seen.

    Raises
    ------
    InputError, OptionError
        If it is broken, of another version, or larger than what is read.
    """
    planes, (version, count, _, bits) = _planes_4(data) if data.startswith(_MAGIC) else _planes_3(data)
    three = planes[0].reshape(-1, 3, 3)
    at = three[..., 0].astype(np.int32) | (three[..., 1].astype(np.int32) << 8) | (three[..., 2].astype(np.int32) << 16)
    at = np.where(at >= 1 << 23, at - (1 << 24), at)
    if version >= 3:
        turns = _unpacked_three(planes[4].view("<u4"))
    else:
        xyz = planes[4].reshape(-1, 3) / 127.5 - 1
        turns = np.concatenate([np.sqrt(np.maximum(0, 1 - (xyz**2).sum(axis=1)))[:, None], xyz], axis=1)
    first = (planes[2].reshape(-1, 1, 3) / 255 - 0.5) / 0.15
    higher = (planes[5].reshape(count, -1, 3).astype(np.float64) - 128) / 128
    turns[~turns.any(axis=1)] = (1, 0, 0, 0)
    scene = Scene(
        (at / (1 << bits)).astype(np.float32),
        turns.astype(np.float32),
        (planes[3].reshape(-1, 3) / 16 - 10).astype(np.float32),
        logits(planes[1] / 255),
        np.concatenate([first, higher], axis=1).astype(np.float32),
        np.ones(count, np.uint8),
    )
    return flipped(scene, 1, -1, -1), False


def _sizes(count: int, degree: int, bits: int, version: int, whole: int) -> list[int]:
    """Return the sizes of the planes, before anything is unpacked."""
    if degree not in HARMONICS.values() or not 1 <= bits <= 23 or not 1 <= count <= 20_000_000:
        raise InputError(f"its header states {count} Gaussians of degree {degree} with {bits} fractional bits")
    higher = 3 * ((degree + 1) ** 2 - 1)
    sizes = [n * count for n in (9, 1, 3, 3, 4 if version >= 3 else 3, higher)]
    if sum(sizes) > _MOST * whole:
        raise InputError(f"its header states {count} Gaussians, more than {whole} bytes can hold")
    return sizes


def _planes_3(data: bytes) -> tuple[list[np.ndarray], tuple[int, int, int, int]]:
    unpacker = zlib.decompressobj(31)
    try:
        head = unpacker.decompress(data, _HEAD.size)
        if len(head) < _HEAD.size:
            raise InputError("it ends within its header")
        magic, version, count, degree, bits, _, _ = _HEAD.unpack(head)
        if magic != _MAGIC or version not in (2, 3):
            raise InputError("expected SPZ of version 2, 3 or 4")
        sizes = _sizes(count, degree, bits, version, len(data))
        body = unpacker.decompress(unpacker.unconsumed_tail, sum(sizes))
        more = unpacker.decompress(unpacker.unconsumed_tail, 1)  # extensions may follow; the check sum must
    except zlib.error as e:
        raise InputError("expected gzip, and it is none or is broken") from e
    if len(body) != sum(sizes) or not (more or unpacker.eof):
        raise InputError(f"its header states {sum(sizes)} bytes of Gaussians, and it is cut after {len(body)}")
    return _cut(body, sizes), (version, count, degree, bits)


def _planes_4(data: bytes) -> tuple[list[np.ndarray], tuple[int, int, int, int]]:
    import imagecodecs

    if len(data) < _HEAD_4.size:
        raise InputError("it ends within its header")
    _, version, count, degree, bits, _, streams, at = _HEAD_4.unpack_from(data)
    if version != 4:
        raise InputError(f"expected SPZ of version 2, 3 or 4, got {version}")
    sizes = _sizes(count, degree, bits, version, len(data))
    kept = [s for s in sizes if s]
    if streams != len(kept) or at < _HEAD_4.size or at + streams * _ENTRY.size > len(data):
        raise InputError(f"expected {len(kept)} streams within the file, got {streams}")
    begin, bodies = at + streams * _ENTRY.size, []
    for i, size in enumerate(kept):
        small, stated = _ENTRY.unpack_from(data, at + i * _ENTRY.size)
        if stated != size or begin + small > len(data):
            raise InputError(f"stream {i} must unpack to {size} bytes and lie within the file")
        try:
            body: Any = imagecodecs.zstd_decode(data[begin : begin + small], out=size)
        except Exception as e:  # of the codec, whatever it calls it
            raise InputError(f"stream {i} is no zstandard of {size} bytes") from e
        if len(body) != size:
            raise InputError(f"stream {i} must unpack to {size} bytes, got {len(body)}")
        bodies.append(bytes(body))
        begin += small
    return _cut(b"".join(bodies), sizes), (version, count, degree, bits)


def _cut(body: bytes, sizes: list[int]) -> list[np.ndarray]:
    ends = np.cumsum(sizes)
    return [np.frombuffer(body, np.uint8, n, int(end) - n) for n, end in zip(sizes, ends, strict=True)]
