"""dlib's network that tells faces apart, for reading its published weights.

King 2017 (dlib's ``dnn_face_recognition_ex``): a residual network (He et al. 2016, arXiv 1512.03385) of 29 convolutions
on 150 x 150 pixels, 128 numbers out. Each convolution is followed by a factor and a shift per plane, which are folded
into it here. Where the two ways of a block differ in size, the smaller is filled up with zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tratto.core.errors import InputError

#: Width of each block, and whether it halves the sides.
BLOCKS = (
    *((32, False),) * 3,
    *((64, True), (64, False), (64, False), (64, False)),
    *((128, True), (128, False), (128, False)),
    *((256, True), (256, False), (256, False), (256, True)),
)
#: Mean R, G, B that is taken off, of 255.
MEAN = (122.782, 117.001, 104.298)


def _convolution(planes: int, width: int, side: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(planes, width, side, stride, side // 2 if stride == 1 else 0)


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, planes: int, width: int, down: bool) -> None:
        super().__init__()
        self.first = _convolution(planes, width, 3, 2 if down else 1)
        self.second = _convolution(width, width, 3, 1)
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, width, H or H / 2, ...)."""
        y = self.second(functional.relu(self.first(x)))
        x = functional.avg_pool2d(x, 2) if self.down else x
        shape = [max(a, b) for a, b in zip(x.shape, y.shape, strict=True)]
        return functional.relu(_filled(x, shape) + _filled(y, shape))


def _filled(x: Tensor, shape: Sequence[int]) -> Tensor:
    return functional.pad(x, (0, shape[3] - x.shape[3], 0, shape[2] - x.shape[2], 0, shape[1] - x.shape[1]))


class DlibFace(nn.Module):
    """(1, 3, 150, 150) RGB in [0, 1] -> (1, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = _convolution(3, 32, 7, 2)
        widths = (32, *(width for width, _ in BLOCKS))
        self.blocks = nn.ModuleList(Block(before, *block) for before, block in zip(widths, BLOCKS, strict=False))
        self.exit = nn.Linear(256, 128, bias=False)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return the embedding."""
        x = functional.max_pool2d(functional.relu(self.entry((image * 255 - self.mean) / 256)), 3, 2)  # type: ignore[operator]
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.exit(x.mean((2, 3)))
        return out

    def take(self, tensors: Sequence[NDArray[np.float32]]) -> None:
        """Take the published weights: for each convolution filters and shifts, then factors and shifts; then the exit.

        Raises
        ------
        InputError
            If they are not this network's.
        """
        layers = [m for m in self.modules() if isinstance(m, nn.Conv2d)]
        sizes = [n for m in layers for n in (m.weight.numel() + m.out_channels, 2 * m.out_channels)]
        if [t.size for t in tensors] != [*sizes, self.exit.weight.numel()]:
            raise InputError("the file holds other tensors than dlib's network for faces has")
        for layer, (values, affine) in zip(layers, zip(tensors[:-1:2], tensors[1::2], strict=True), strict=True):
            width = layer.out_channels
            factor, shift = (torch.from_numpy(part.copy()) for part in (affine.ravel()[:width], affine.ravel()[width:]))
            filters = torch.from_numpy(values.ravel()[:-width].copy()).view_as(layer.weight)
            with torch.no_grad():
                layer.weight.copy_(filters * factor[:, None, None, None])
                if layer.bias is not None:
                    layer.bias.copy_(torch.from_numpy(values.ravel()[-width:].copy()) * factor + shift)
        with torch.no_grad():
            self.exit.weight.copy_(torch.from_numpy(tensors[-1].reshape(256, 128).T.copy()))
