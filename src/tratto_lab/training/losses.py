"""Losses on (B, 3, H, W) pictures in [0, 1]; all are means over pixels, so patch size does not change their scale."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from torch import Tensor


def charbonnier(output: Tensor, target: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Smooth L1 (Charbonnier et al. 1994): mean of ``sqrt(d^2 + epsilon^2)``."""
    return torch.sqrt((output - target).square() + epsilon * epsilon).mean()


def mean_decibels(output: Tensor, target: Tensor) -> Tensor:
    """Mean over the samples of ``10 log10(MSE)``, the negative of PSNR (Chen et al. 2022 train NAFNet with it).

    A decibel counts alike on a clean picture and on a noisy one. The MSE is floored at 1e-6 (60 dB).
    """
    mse = (output - target).square().mean((1, 2, 3))
    return 10 * torch.log10(mse + 1e-6).mean()


def fft_l1(output: Tensor, target: Tensor) -> Tensor:
    """Mean modulus of the orthonormal real Fourier transform of the difference."""
    return torch.fft.rfft2(output - target, norm="ortho").abs().mean()


def ssim_loss(output: Tensor, target: Tensor) -> Tensor:
    """``1 - SSIM`` (Wang et al. 2004) with a Gaussian window of 11 pixels and sigma 1.5, valid region only."""
    x = torch.arange(11, dtype=output.dtype, device=output.device) - 5
    g = torch.exp(-x.square() / (2 * 1.5 * 1.5))
    g = g / g.sum()
    channels = output.shape[1]

    def smooth(t: Tensor) -> Tensor:
        t = F.conv2d(t, g.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
        return F.conv2d(t, g.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)

    mu_x, mu_y = smooth(output), smooth(target)
    var_x = smooth(output * output) - mu_x * mu_x
    var_y = smooth(target * target) - mu_y * mu_y
    cov = smooth(output * target) - mu_x * mu_y
    c1, c2 = 0.01**2, 0.03**2
    value = ((2 * mu_x * mu_y + c1) * (2 * cov + c2)) / ((mu_x**2 + mu_y**2 + c1) * (var_x + var_y + c2))
    return 1 - value.mean()


def sigma_nll(output: Tensor, target: Tensor, log_sigma: Tensor) -> Tensor:
    """Negative log likelihood of the error under an exponential law whose mean is the prediction.

    It is the Laplace form of the heteroscedastic loss (Kendall and Gal 2017). The Gaussian form was tried first: the
    squares of rare large errors at edges drowned everything else, and the prediction stayed near its start (x2 after
    2 400 steps: 2.2 to 5.5 / 255 predicted where 0.8 to 17.9 were met).

    Parameters
    ----------
    output, target : Tensor
        (B, 3, H, W). No gradient flows into `output`.
    log_sigma : Tensor
        (B, 1, H, W), natural logarithm of the expected RMS error over the channels.
    """
    # The error is floored at a quarter of an 8-bit step: below it there is nothing to learn, only exploding ratios.
    rms = ((output.detach() - target).square().mean(1, keepdim=True) + 1e-6).sqrt()
    return (rms * torch.exp(-log_sigma) + log_sigma).mean()
