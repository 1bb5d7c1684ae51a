"""Reading a network written for ncnn: the text of its layers and the numbers of its convolutions.

A ``.param`` file has one layer a line: type, name, counts, names of what goes in and comes out, ``key=value`` pairs. A
``.bin`` file holds the numbers of the layers in the same order, without names: for a convolution a tag that tells fp32
from fp16, its weights, padded to four bytes, and its shifts as fp32; for a constant fp32 alone. Only what the networks
converted here consist of is read; anything else is refused rather than guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError

_MAGIC = "7767517"
_FP16 = 0x01306B47
#: Layers without numbers of their own.
_PLAIN = ("Input", "BinaryOp", "Split", "Swish", "Sigmoid", "Concat", "PixelShuffle")


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes
    ----------
    kind, name : str
        Type of the layer, such as ``Convolution``, and its own name.
    inputs, outputs : tuple of str
        Names of blobs.
    options : mapping of str to str
        By ncnn's numbers, as they stand in the file.
    weight : ndarray or None
        (out, in, rows, columns) of a convolution, or the values of a constant, in the type they are stored in.
    bias : ndarray or None
        (out,) float32.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, str]
    weight: NDArray[np.float32] | NDArray[np.float16] | None = None
    bias: NDArray[np.float32] | None = None


def read_layers(param: str, numbers: bytes) -> list[Layer]:
    """Read a network.

    Parameters
    ----------
    param : str
        Text of the ``.param`` file.
    numbers : bytes
        Content of the ``.bin`` file.

    Returns
    -------
    list of Layer
        In the order of the file.

    Raises
    ------
    InputError
        If the text is none of ncnn's, a layer is of a kind that is not read here, or numbers are missing or left over.

    Examples
    --------
    >>> text = "7767517\\n1 1\\nInput data 0 1 data\\n"
    >>> [layer.kind for layer in read_layers(text, b"")]
    ['Input']
    """
    lines = [line.split() for line in param.splitlines() if line.strip()]
    if len(lines) < 2 or lines[0] != [_MAGIC] or len(lines[1]) != 2 or not lines[1][0].isdigit():
        raise InputError(f"not the text of an ncnn network: it must begin with {_MAGIC} and two counts")
    if int(lines[1][0]) != len(lines) - 2:
        raise InputError(f"the ncnn network announces {lines[1][0]} layers and has {len(lines) - 2}")
    cursor = _Cursor(numbers)
    layers = [_layer(line, cursor) for line in lines[2:]]
    if cursor.at != len(numbers):
        raise InputError(f"{len(numbers) - cursor.at} bytes of the ncnn network's numbers belong to no layer")
    return layers


class _Cursor:
    """A place in the numbers."""

    def __init__(self, numbers: bytes) -> None:
        self.numbers, self.at = numbers, 0

    def take(self, count: int, kind: str) -> NDArray[np.float32]:
        """Return the next values, and step over the padding to four bytes."""
        size = np.dtype(kind).itemsize * count
        if self.at + size > len(self.numbers):
            raise InputError(f"the ncnn network's numbers end early: {size} bytes are wanted at {self.at}")
        values = np.frombuffer(self.numbers, kind, count, self.at)
        self.at += -(-size // 4) * 4
        return values


def _layer(line: list[str], cursor: _Cursor) -> Layer:
    try:
        kind, name, ins, outs = line[0], line[1], int(line[2]), int(line[3])
        blobs, options = line[4 : 4 + ins + outs], dict(item.split("=", 1) for item in line[4 + ins + outs :])
        if len(blobs) != ins + outs:
            raise ValueError("blobs are missing")
        whole = {key: int(value) for key, value in options.items() if value.lstrip("-").isdigit()}
    except (IndexError, ValueError) as e:
        raise InputError(f"not a layer of an ncnn network: {' '.join(line)[:120]}") from e
    weight: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None
    if kind == "Convolution":
        out, side, count = whole.get("0", 0), whole.get("1", 0), whole.get("6", 0)
        if not out or not side or not count or count % (out * side * side):
            raise InputError(f"the convolution {name} has no shape that makes sense: {options}")
        tag = int(cursor.take(1, "<u4")[0])
        if tag not in (0, _FP16):
            raise InputError(f"the weights of {name} are stored as {tag:#010x}; fp32 and fp16 are read")
        values = cursor.take(count, "<f2" if tag == _FP16 else "<f4")
        weight = values.reshape(out, count // (out * side * side), side, side)
        bias = cursor.take(out, "<f4") if whole.get("5") == 1 else None
    elif kind == "MemoryData":
        shape = [max(1, whole.get(key, 1)) for key in ("2", "1", "0")]
        weight = cursor.take(int(np.prod(shape)), "<f4").reshape(shape)
    elif kind not in _PLAIN:
        raise InputError(f"layers of the kind {kind} are not read here ({name})")
    return Layer(kind, name, tuple(blobs[:ins]), tuple(blobs[ins:]), options, weight, bias)
