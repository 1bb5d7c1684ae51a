"""The degradation estimator: how much noise, JPEG and blur a crop has, each with its standard error.

A small convolutional encoder whose features are pooled to mean and standard deviation over the crop (the first and
second moments of texture, as in style statistics, Huang and Belongie 2017), and one hidden layer. Learned from crops
whose degradation is known, because they were degraded by :mod:`tratto.simulate.degrade`. The standard error is learned
with the values (heteroscedastic, Kendall and Gal 2017).

Shapes: ``B`` batch, ``H``, ``W`` rows and columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from torch import Tensor, nn

from tratto.core.errors import OptionError
from tratto.networks.restorer import ResidualBlock

#: What is estimated, in this order. Noise: standard deviation in 1/255. JPEG: 100 - quality, 0 without. Blur: pixels.
TRAITS = ("noise", "jpeg", "blur")
#: The same values divided by these are what the network predicts; about one where it matters.
UNITS = (20.0, 50.0, 1.5)
LOG_ERROR_MIN = -4.0
LOG_ERROR_MAX = 1.5


@dataclass(frozen=True)
class EstimatorConfig:
    """Shape of :class:`Estimator`.

    Attributes
    ----------
    widths : tuple of int
        Channels per level, finest first; each level halves the sides.
    blocks : int
        Residual blocks per level.
    unshuffle : int
        Factor of the pixel-unshuffle entry.
    hidden : int
        Width of the layer between features and answers.
    """

    widths: tuple[int, ...] = (32, 48, 64)
    blocks: int = 2
    unshuffle: int = 2
    hidden: int = 96

    def __post_init__(self) -> None:
        if not self.widths or min(*self.widths, self.blocks, self.unshuffle, self.hidden) < 1:
            raise OptionError(f"widths, blocks, unshuffle and hidden must be positive, got {self}")

    @property
    def multiple(self) -> int:
        """Sides of the input must be multiples of this."""
        return self.unshuffle * 2 ** (len(self.widths) - 1)


class Estimator(nn.Module):
    """Crop -> scaled traits and their log standard errors."""

    def __init__(self, config: EstimatorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EstimatorConfig()
        w = config.widths
        self.entry = nn.Conv2d(3 * config.unshuffle**2, w[0], 3, padding=1)
        self.levels = nn.ModuleList(nn.Sequential(*[ResidualBlock(c) for _ in range(config.blocks)]) for c in w)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(w))
        self.first = nn.Linear(2 * sum(w), config.hidden)
        self.last = nn.Linear(config.hidden, 2 * len(TRAITS))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate what was done to crops.

        Parameters
        ----------
        x : Tensor
            (B, 3, H, W) in [0, 1]; H and W multiples of ``config.multiple``.

        Returns
        -------
        values, log_errors : Tensor
            (B, 3) each, in units of :data:`UNITS`; values are not negative.

        Raises
        ------
        OptionError
            If the sides do not fit.
        """
        m = self.config.multiple
        if x.dim() != 4 or x.shape[1] != 3 or x.shape[2] % m or x.shape[3] % m:
            raise OptionError(f"expected (B, 3, H, W) with sides that are multiples of {m}; got {tuple(x.shape)}")
        # brightness says nothing of degradation
        y = self.entry(F.pixel_unshuffle(x - x.mean((2, 3), keepdim=True), self.config.unshuffle))
        moments = []
        for k, level in enumerate(self.levels):
            y = level(y)
            mean = y.mean((2, 3))
            moments += [mean, ((y - mean[:, :, None, None]).square().mean((2, 3)) + 1e-6).sqrt()]
            if k < len(self.downs):
                y = self.downs[k](y)
        out = self.last(F.relu(self.first(torch.cat(moments, 1))))
        values, logs = out.chunk(2, 1)
        return F.softplus(values, beta=4.0), logs.clamp(LOG_ERROR_MIN, LOG_ERROR_MAX)
