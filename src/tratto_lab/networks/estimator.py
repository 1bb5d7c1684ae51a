"""The degradation estimator: how much noise there is, how coarse its grain is, how soft the picture, with errors.

Two hidden layers over the spectrum of a picture's calm blocks (``tratto.imaging.estimate.spectrum``). Convolutions
on pixels were tried first: with few photographs they learned the photographs. Learned from pictures whose degradation
is known, because they were degraded by :mod:`tratto_lab.simulate.degrade`. The standard error is learned with the
values (heteroscedastic, Kendall and Gal 2017). What the classical estimate of noise reads is not told: told, the
network leans on it and overlooks grain.

Shapes: ``B`` batch, ``F`` features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from torch import Tensor, nn

from tratto.core.errors import OptionError
from tratto_lab.networks.norm import Norm

#: What is estimated, in this order. Noise: standard deviation in 1/255. Grain: pixels over which it is spread, as the
#: deviation of a Gaussian, 0 for white noise. Blur: deviation of a Gaussian, pixels.
TRAITS = ("noise", "grain", "blur")
LOG_ERROR_MIN = -4.0
LOG_ERROR_MAX = 1.5


@dataclass(frozen=True)
class EstimatorConfig:
    """Shape of :class:`Estimator`.

    Attributes
    ----------
    features : int
        Numbers in, ``tratto.imaging.estimate.spectrum.SPECTRUM_SIZE``.
    hidden : tuple of int
        Widths of the layers between.
    dropout : float
        Share of the first layer's answers that is left out in training.
    """

    features: int = 250
    hidden: tuple[int, int] = (192, 96)
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if min(self.features, *self.hidden) < 1 or not 0 <= self.dropout < 1:
            raise OptionError(f"features and hidden must be positive, dropout lies in [0, 1); got {self}")


def scaled(traits: Tensor) -> Tensor:
    """(B, 3) traits in their units -> as the network predicts them: noise on a logarithmic scale above about 2."""
    return torch.cat((torch.log1p(traits[:, :1] / 2), traits[:, 1:]), 1)


def unscaled(values: Tensor, errors: Tensor) -> tuple[Tensor, Tensor]:
    """Values and standard errors (B, 3) of the network -> in the traits' units, errors to first order."""
    slope = torch.cat((2 * torch.exp(values[:, :1]), torch.ones_like(values[:, 1:])), 1)
    return torch.cat((2 * (torch.exp(values[:, :1]) - 1), values[:, 1:]), 1), errors * slope


class Estimator(nn.Module):
    """Spectrum -> scaled traits and their log standard errors."""

    def __init__(self, config: EstimatorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EstimatorConfig()
        self.norm = Norm(config.features)
        self.first = nn.Conv2d(config.features, config.hidden[0], 1)
        self.second = nn.Conv2d(config.hidden[0], config.hidden[1], 1)
        self.last = nn.Conv2d(config.hidden[1], 2 * len(TRAITS), 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate what was done to pictures.

        Parameters
        ----------
        x : Tensor
            (B, F, 1, 1), of :func:`tratto.imaging.estimate.spectrum.calm_spectrum`.

        Returns
        -------
        values, log_errors : Tensor
            (B, 3) each, as :func:`scaled` has them; values are not negative.

        Raises
        ------
        OptionError
            If there is another number of features.
        """
        if x.dim() != 4 or x.shape[1] != self.config.features:
            raise OptionError(f"expected (B, {self.config.features}, 1, 1); got {tuple(x.shape)}")
        h = F.dropout(F.silu(self.first(self.norm(x))), self.config.dropout, self.training)
        values, logs = self.last(F.silu(self.second(h))).flatten(1).chunk(2, 1)
        return F.softplus(values, beta=6.0), logs.clamp(LOG_ERROR_MIN, LOG_ERROR_MAX)
