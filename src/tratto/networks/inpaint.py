"""The small networks of ``repair``: in-painting of thin and medium losses, and finding damage.

In-painting works at half resolution (pixel-unshuffle 2) with dilated residual blocks (Yu and Koltun 2016), which see
far with few weights; damage is found by a U-Net. Neither pools over the whole picture, so that a window with enough
surroundings gives the arithmetic of the whole picture.

Shapes: ``B`` batch, ``H``, ``W`` rows and columns, ``K`` classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from torch import Tensor, nn

from tratto.core.errors import OptionError
from tratto.networks.restorer import SigmaHead


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


@dataclass(frozen=True)
class DamageConfig:
    """Shape of :class:`DamageNet`.

    Attributes
    ----------
    widths : tuple of int
        Channels per level, finest first; each level is half as fine as the one before.
    unshuffle : int
        Factor of the entry.
    classes : int
        Kinds of damage.
    """

    widths: tuple[int, ...] = (24, 40, 64, 96, 128)
    unshuffle: int = 2
    classes: int = 8

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1 or self.unshuffle < 1 or self.classes < 1:
            raise OptionError(f"a damage network needs two levels or more, all positive, got {self}")

    @property
    def multiple(self) -> int:
        """Sides of the input must be multiples of this."""
        return int(self.unshuffle * 2 ** (len(self.widths) - 1))

    @property
    def radius(self) -> int:
        """How far, in input pixels, an input can change an output.

        Two convolutions a level on the way down (the first of them at the finer level's grid but for the finest) and
        two on the way up, the exit, and the coarsest grid.
        """
        r, last = self.unshuffle, len(self.widths) - 1
        reach = 2 * r + r  # the finest level's two, the exit
        for level in range(1, last + 1):
            reach += r * 2 ** (level - 1) + r * 2**level
        reach += sum(2 * r * 2**level for level in range(last))
        return reach + self.multiple - 1


class _Norm(nn.BatchNorm2d):
    """Batch normalisation without a count of batches: a whole number among the weights cannot be averaged."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.num_batches_tracked = None

    def _load_from_state_dict(self, *given: Any) -> None:
        """Load as any layer does; the parent class would ask for the count."""
        nn.Module._load_from_state_dict(self, *given)


def _unit(fan_in: int, out: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU. At work the normalisation is part of the convolution."""
    return nn.Sequential(nn.Conv2d(fan_in, out, 3, stride, 1, bias=False), _Norm(out), nn.ReLU(inplace=True))


class DamageNet(nn.Module):
    """Finds damage: one logit per class and pixel, and one for damage of whatever kind.

    A U-Net (Ronneberger et al. 2015) with additive skips and batch normalisation (Ioffe and Szegedy 2015), which is
    fixed, hence local, once trained.
    """

    def __init__(self, config: DamageConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DamageConfig()
        w, r = config.widths, config.unshuffle
        self.downs = nn.ModuleList()
        for level, width in enumerate(w):
            entry = _unit(3 * r * r, width) if level == 0 else _unit(w[level - 1], width, 2)
            self.downs.append(nn.Sequential(entry, _unit(width, width)))
        self.links, self.ups = nn.ModuleList(), nn.ModuleList()
        for fine, coarse in zip(reversed(w[:-1]), reversed(w[1:]), strict=True):
            self.links.append(nn.Conv2d(coarse, fine, 1))
            self.ups.append(nn.Sequential(_unit(fine, fine), _unit(fine, fine)))
        self.exit = _exit(w[0], (config.classes + 1) * r * r)
        with torch.no_grad():
            self.exit.bias.fill_(-3.0)  # type: ignore[union-attr] # damage is rare: begin near its share

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> logits (B, K + 1, H, W), the last for any damage."""
        r = self.config.unshuffle
        h = F.pixel_unshuffle((x - 0.5) * 4, r)  # about unit deviation
        kept: list[Tensor] = []
        for down in self.downs:
            h = down(h)
            kept.append(h)
        for link, up, skip in zip(self.links, self.ups, reversed(kept[:-1]), strict=True):
            h = up(F.interpolate(link(h), scale_factor=2.0, mode="nearest") + skip)
        return F.pixel_shuffle(self.exit(h), r)
