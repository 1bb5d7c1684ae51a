"""The small network of ``repair`` that inpaints thin and medium losses.

It works at half resolution (pixel-unshuffle 2) with dilated residual blocks (Yu and Koltun 2016), which see far with
few weights. Nothing is pooled over the whole picture, so that a window with enough surroundings gives the arithmetic
of the whole picture.

Shapes: ``B`` batch, ``H``, ``W`` rows and columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from torch import Tensor, nn

from tratto.core.errors import OptionError
from tratto_lab.networks.restorer import SigmaHead


class DilatedBlock(nn.Module):
    """``x + conv(relu(dilated conv(x)))``."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(self.second.weight, nonlinearity="linear")
        with torch.no_grad():
            self.second.weight.mul_(0.1)
            self.first.bias.zero_()  # type: ignore[union-attr]
            self.second.bias.zero_()  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.second(F.relu(self.first(x), inplace=True))


@dataclass(frozen=True)
class DilatedConfig:
    """Shape of :class:`InpaintNet`.

    Attributes
    ----------
    width : int
        Channels.
    dilations : tuple of int
        One residual block each.
    unshuffle : int
        Factor of the entry; sides of the input must be multiples of it.
    sigma_width : int
        Hidden channels of the standard error head.
    """

    width: int = 48
    dilations: tuple[int, ...] = (1, 2, 4, 8, 4, 2, 1)
    unshuffle: int = 2
    sigma_width: int = 16

    def __post_init__(self) -> None:
        if not self.dilations or min(self.dilations) < 1 or self.width < 1 or self.unshuffle < 1:
            raise OptionError(f"width, dilations and unshuffle must be positive, got {self}")

    @property
    def multiple(self) -> int:
        """Sides of the input must be multiples of this."""
        return self.unshuffle

    @property
    def radius(self) -> int:
        """How far, in input pixels, an input can change an output: entry, blocks, exit and the grid of the entry.

        The standard error head reaches one more position.
        """
        return self.unshuffle * (1 + sum(d + 1 for d in self.dilations) + 2) + self.unshuffle - 1


def _exit(width: int, out: int) -> nn.Conv2d:
    conv = nn.Conv2d(width, out, 3, padding=1)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


class InpaintNet(nn.Module):
    """Corrects a first filling inside holes; known pixels pass through unchanged."""

    def __init__(self, config: DilatedConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DilatedConfig()
        r = config.unshuffle
        self.entry = nn.Conv2d(4 * r * r, config.width, 3, padding=1)
        self.body = nn.Sequential(*[DilatedBlock(config.width, d) for d in config.dilations])
        self.exit = _exit(config.width, 3 * r * r)
        self.sigma = SigmaHead(config.width, config.sigma_width, r)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Fill a batch.

        Parameters
        ----------
        x : Tensor
            (B, 4, H, W): a picture in [0, 1] whose holes hold a first filling, and the holes (1 = unknown).

        Returns
        -------
        (Tensor, Tensor)
            The picture (B, 3, H, W), not clipped, equal to the input where the mask is 0; the log standard error
            (B, 1, H, W), which means something inside the holes only.
        """
        r = self.config.unshuffle
        centered = torch.cat((x[:, :3] - 0.5, x[:, 3:]), 1)
        h = self.body(self.entry(F.pixel_unshuffle(centered, r)))  # (B, width, H/r, W/r)
        picture = x[:, :3] + x[:, 3:] * F.pixel_shuffle(self.exit(h), r)
        return picture, self.sigma(h)
