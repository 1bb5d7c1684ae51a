"""The compact convolutional networks that ship: a denoising U-Net at scale 1 and a plain up-scaler.

Both are free of global pooling and of normalisation, so a tile with an overlap of at least the receptive field gives
bit-for-bit the arithmetic of the whole picture. Both return a picture and a log standard error. The standard error is
predicted from *detached* features (no gradient flows back into the picture branch), hence it cannot cost PSNR.

Shapes: ``B`` batch, ``H``, ``W`` rows and columns, ``s`` the scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from torch import Tensor, nn

from tratto.core.errors import OptionError

LOG_SIGMA_MIN = -7.0  # 0.0009, below a quarter of one 8-bit step: nothing finer can be verified on 8-bit pictures
LOG_SIGMA_MAX = 0.0


@dataclass(frozen=True)
class UNetConfig:
    """Shape of :class:`RestorerUNet`.

    Attributes
    ----------
    widths : tuple of int
        Channels per level, finest first. The last entry is the bottleneck.
    encoder, decoder : tuple of int
        Residual blocks per level, finest first; one entry fewer than `widths`.
    bottleneck : int
        Residual blocks at the coarsest level.
    unshuffle : int
        Factor of the pixel-unshuffle entry (Gu et al. 2019; used for denoising by FFDNet, Zhang et al. 2018).
    sigma_width : int
        Hidden channels of the standard error head.
    """

    widths: tuple[int, ...] = (32, 48, 96, 144)
    encoder: tuple[int, ...] = (1, 1, 2)
    bottleneck: int = 2
    decoder: tuple[int, ...] = (1, 1, 2)
    unshuffle: int = 2
    sigma_width: int = 16

    def __post_init__(self) -> None:
        if len(self.encoder) != len(self.widths) - 1 or len(self.decoder) != len(self.widths) - 1:
            raise OptionError(
                f"encoder and decoder need {len(self.widths) - 1} entries for {len(self.widths)} widths; "
                f"got {len(self.encoder)} and {len(self.decoder)}"
            )
        if self.unshuffle < 1 or min(self.widths) < 1:
            raise OptionError("unshuffle and widths must be positive")

    @property
    def multiple(self) -> int:
        """Sides of the input must be multiples of this."""
        return self.unshuffle * 2 ** (len(self.widths) - 1)


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))`` without normalisation (EDSR, Lim et al. 2017)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        # A small second layer makes the block begin near identity, which deep residual stacks without norm need.
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(self.second.weight, nonlinearity="linear")
        with torch.no_grad():
            self.second.weight.mul_(0.1)
            self.first.bias.zero_()  # type: ignore[union-attr]
            self.second.bias.zero_()  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.second(F.relu(self.first(x), inplace=True))


def _zero(conv: nn.Conv2d) -> nn.Conv2d:
    """Start a layer at zero, so that the network starts as its global skip."""
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class SigmaHead(nn.Module):
    """Log standard error per pixel from detached features."""

    def __init__(self, width: int, hidden: int, shuffle: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, hidden, 3, padding=1)
        self.second = nn.Conv2d(hidden, shuffle * shuffle, 3, padding=1)
        self.shuffle = shuffle
        nn.init.zeros_(self.second.weight)
        nn.init.constant_(self.second.bias, -3.5)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 1, h * shuffle, w * shuffle)."""
        raw = self.second(F.relu(self.first(features.detach())))
        return F.pixel_shuffle(raw, self.shuffle).clamp(LOG_SIGMA_MIN, LOG_SIGMA_MAX)


class RestorerUNet(nn.Module):
    """Plain residual U-Net with a pixel-unshuffle entry, additive skips and a global skip.

    The picture branch predicts the *difference* to the input; the last layer starts at zero, so the untrained network
    returns its input.
    """

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UNetConfig()
        w, r = config.widths, config.unshuffle
        self.entry = nn.Conv2d(3 * r * r, w[0], 3, padding=1)
        self.encoders = nn.ModuleList()
        self.downs = nn.ModuleList()
        self.ups = nn.ModuleList()
        self.decoders = nn.ModuleList()
        for level, (fine, coarse) in enumerate(pairwise(w)):
            self.encoders.append(nn.Sequential(*[ResidualBlock(fine) for _ in range(config.encoder[level])]))
            self.downs.append(nn.Conv2d(fine, coarse, 2, stride=2))
            self.ups.append(nn.Conv2d(coarse, fine * 4, 1))
            self.decoders.append(nn.Sequential(*[ResidualBlock(fine) for _ in range(config.decoder[level])]))
        self.bottleneck = nn.Sequential(*[ResidualBlock(w[-1]) for _ in range(config.bottleneck)])
        self.exit = _zero(nn.Conv2d(w[0], 3 * r * r, 3, padding=1))
        self.sigma = SigmaHead(w[0], config.sigma_width, r)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Restore a batch.

        Parameters
        ----------
        x : Tensor
            (B, 3, H, W) in [0, 1]; H and W multiples of ``config.multiple``.

        Returns
        -------
        (Tensor, Tensor)
            The picture (B, 3, H, W), not clipped, and the log standard error (B, 1, H, W).
        """
        r = self.config.unshuffle
        h = self.entry(F.pixel_unshuffle(x, r))  # (B, w0, H/r, W/r)
        skips: list[Tensor] = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            h = encoder(h)
            skips.append(h)
            h = down(h)
        h = self.bottleneck(h)
        for level in reversed(range(len(skips))):
            h = F.pixel_shuffle(self.ups[level](h), 2) + skips[level]
            h = self.decoders[level](h)
        picture = x + F.pixel_shuffle(self.exit(h), r)
        return picture, self.sigma(h)


@dataclass(frozen=True)
class UpscalerConfig:
    """Shape of :class:`Upscaler`.

    Attributes
    ----------
    scale : int
        2, 3 or 4.
    width, blocks : int
        Channels and residual blocks at the input resolution.
    sigma_width : int
        Hidden channels of the standard error head.
    """

    scale: int = 2
    width: int = 48
    blocks: int = 6
    sigma_width: int = 16

    def __post_init__(self) -> None:
        if self.scale not in (2, 3, 4):
            raise OptionError(f"an up-scaler's scale is 2, 3 or 4; got {self.scale}")

    @property
    def multiple(self) -> int:
        """Any size is accepted."""
        return 1


def bicubic_phases(scale: int) -> np.ndarray:
    """Polyphase kernels of bicubic interpolation (Keys 1981, a = -0.5) by a whole factor.

    Returns
    -------
    ndarray
        (scale * scale, 5, 5) float32; entry ``i * scale + j`` makes the output pixel (i, j) of each input pixel.
        Each kernel sums to one.
    """

    def cubic(t: float) -> float:
        t = abs(t)
        if t <= 1:
            return 1.5 * t**3 - 2.5 * t**2 + 1
        return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0

    rows = np.zeros((scale, 5))
    for phase in range(scale):
        shift = (phase + 0.5) / scale - 0.5  # position of the output sample relative to the input pixel's centre
        rows[phase] = [cubic(shift - tap) for tap in range(-2, 3)]
    kernels = rows[:, None, :, None] * rows[None, :, None, :]  # (s, s, 5, 5)
    return kernels.reshape(scale * scale, 5, 5).astype(np.float32)


class Upscaler(nn.Module):
    """Residual convolutions at the input resolution, pixel-shuffle at the end, on top of bicubic interpolation."""

    base: Tensor

    def __init__(self, config: UpscalerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UpscalerConfig()
        s = config.scale
        self.entry = nn.Conv2d(3, config.width, 3, padding=1)
        self.body = nn.Sequential(*[ResidualBlock(config.width) for _ in range(config.blocks)])
        self.merge = nn.Conv2d(config.width, config.width, 3, padding=1)
        self.exit = _zero(nn.Conv2d(config.width, 3 * s * s, 3, padding=1))
        self.sigma = SigmaHead(config.width, config.sigma_width, s)
        kernels = torch.from_numpy(bicubic_phases(s))[:, None].repeat(3, 1, 1, 1)  # (3*s*s, 1, 5, 5)
        self.register_buffer("base", kernels, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Enlarge a batch.

        Parameters
        ----------
        x : Tensor
            (B, 3, H, W) in [0, 1].

        Returns
        -------
        (Tensor, Tensor)
            The picture (B, 3, sH, sW), not clipped, and the log standard error (B, 1, sH, sW).
        """
        first = self.entry(x)  # (B, width, H, W)
        h = first + self.merge(self.body(first))
        smooth = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), self.base.to(x.dtype), groups=3)
        picture = F.pixel_shuffle(smooth + self.exit(h), self.config.scale)
        return picture, self.sigma(h)
