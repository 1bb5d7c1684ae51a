"""SPAN, an enlarger of few convolutions, as it is deployed, and a standard error beside its picture.

Wan et al. 2024, "Swift Parameter-free Attention Network for Efficient Super-Resolution" (arXiv 2311.12770): six blocks
of three 3x3 convolutions; what a block adds is weighed by a function of its own last features that is odd about zero
and has no parameters. In training each convolution is several in parallel; what is published for ncnn, and what stands
here, is their sum. There is no pooling and no normalisation, so an output depends on 21 input pixels to each side and
on nothing else.

The standard error is no part of the published network: see :class:`tratto_lab.networks.restorer.SigmaHead`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from torch import Tensor, nn

from tratto.core.errors import OptionError
from tratto_lab.networks.restorer import SigmaHead

BLOCKS = 6
#: Mean colour of DIV2K, which the authors take off, and the range their features are in.
MEAN = (0.4488, 0.4371, 0.4040)
RANGE = 255.0
#: The features that the picture is made of are some 0.05 in size; the standard error head sees them so much larger.
SIGMA_GAIN = 16.0


@dataclass(frozen=True)
class SpanConfig:
    """Shape of :class:`Span`.

    Attributes
    ----------
    scale : int
        2 or 4, as published.
    width : int
        Channels: 48 or 52, as published.
    sigma_width : int
        Hidden channels of the standard error head.
    """

    scale: int = 2
    width: int = 48
    sigma_width: int = 24

    def __post_init__(self) -> None:
        if self.scale not in (2, 3, 4) or self.width < 1 or self.sigma_width < 1:
            raise OptionError(
                f"SPAN's scale is 2, 3 or 4 and its widths are positive; "
                f"got {self.scale}, {self.width} and {self.sigma_width}"
            )

    @property
    def multiple(self) -> int:
        """Any size is accepted."""
        return 1


class SpanBlock(nn.Module):
    """Three convolutions, and attention without parameters."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.third = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> what the block makes of it, and the features after its first layer, both of that shape."""
        early = F.silu(self.first(x))
        seen = self.third(F.silu(self.second(early)))
        return (seen + x) * (torch.sigmoid(seen) - 0.5), early


class Span(nn.Module):
    """The network.

    Examples
    --------
    >>> picture, log_sigma = Span(SpanConfig(scale=4, width=8))(torch.zeros(1, 3, 10, 12))
    >>> tuple(picture.shape), tuple(log_sigma.shape)
    ((1, 3, 40, 48), (1, 1, 40, 48))
    """

    mean: Tensor

    def __init__(self, config: SpanConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SpanConfig()
        w, s = config.width, config.scale
        self.entry = nn.Conv2d(3, w, 3, padding=1)
        self.blocks = nn.ModuleList([SpanBlock(w) for _ in range(BLOCKS)])
        self.merge = nn.Conv2d(w, w, 3, padding=1)
        self.gather = nn.Conv2d(4 * w, w, 1)
        self.exit = nn.Conv2d(w, 3 * s * s, 3, padding=1)
        self.sigma = SigmaHead(w, config.sigma_width, s)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))

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
        first = self.entry((x - self.mean) * RANGE)
        h, one, early = first, first, first
        for number, block in enumerate(self.blocks):
            h, early = block(h)
            if number == 0:
                one = h
        features = self.gather(torch.cat((first, self.merge(h), one, early), 1))
        return F.pixel_shuffle(self.exit(features), self.config.scale), self.sigma(features * SIGMA_GAIN)
