"""What a network that makes pictures is judged by beside the distance of its values.

* Likeness to the eye: LPIPS with VGG-16 (Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a
  Perceptual Metric"), the perceptual loss of Johnson et al. 2016 with weights that people's judgements set.
* A critic that learns to tell its pictures from photographs (Goodfellow et al. 2014; for enlarging Ledig et al. 2017,
  SRGAN), with hinge loss and spectral normalisation (Miyato et al. 2018), by which it stays gentle.

Both reward texture that could be there; a network that was trained with them invents.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from torch import Tensor, nn

from tratto.core.errors import InputError
from tratto_lab.evaluation.measures.deep import Lpips
from tratto_lab.training.config import Run
from tratto_lab.training.run_files import moments_of, moving_parameters, restore_moments

#: Channels of the critic; each convolution but the last two halves the sides.
WIDTHS = (3, 32, 64, 128)


class CriticNet(nn.Module):
    """Says of each place of a picture how much it is like a photograph: (B, 3, H, W) -> (B, 1, H/8, W/8)."""

    def __init__(self) -> None:
        super().__init__()
        normal = nn.utils.parametrizations.spectral_norm
        self.down = nn.ModuleList([normal(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairwise(WIDTHS)])
        self.body = normal(nn.Conv2d(WIDTHS[-1], WIDTHS[-1], 3, padding=1))
        self.exit = normal(nn.Conv2d(WIDTHS[-1], 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Judge a batch in [0, 1]."""
        x = 2 * x - 1
        for layer in (*self.down, self.body):
            x = F.leaky_relu(layer(x), 0.2)
        verdict: Tensor = self.exit(x)
        return verdict


class Judges:
    """The judges of a run; it has none where the weights of their losses are nought.

    Parameters
    ----------
    run : Run
        Weights, learning rate and seed.
    device : torch.device
        Where pictures are.

    Raises
    ------
    MissingWeights, WeightMismatch
        If VGG-16 is not there: ``tratto-lab data measures`` brings it.
    """

    def __init__(self, run: Run, device: torch.device) -> None:
        self.run = run
        self.likeness = Lpips("vgg16").to(device) if run.optim.perceptual else None
        self.critic: CriticNet | None = None
        if run.optim.adversarial:
            torch.manual_seed(run.seed + 1)
            self.critic = CriticNet().to(device)
            self._optimizer = torch.optim.AdamW(
                self.critic.parameters(), run.optim.critic_lr, betas=(0.5, 0.99), weight_decay=0.0
            )

    def loss(self, picture: Tensor, target: Tensor) -> Tensor:
        """Return the weighted loss of a batch, (B, 3, H, W) each; before it the critic learns from both."""
        total = torch.zeros((), device=picture.device)
        if self.likeness is not None:
            total = total + self.run.optim.perceptual * self.likeness.between(picture, target).mean()
        if self.critic is not None:
            self._learn(self.critic, picture.detach(), target)
            for p in self.critic.parameters():
                p.requires_grad_(False)
            total = total - self.run.optim.adversarial * self.critic(picture).mean()
            for p in self.critic.parameters():
                p.requires_grad_(True)
        return total

    def _learn(self, critic: CriticNet, picture: Tensor, target: Tensor) -> None:
        self._optimizer.zero_grad()
        wrong = F.relu(1 - critic(target)).mean() + F.relu(1 + critic(picture)).mean()
        wrong.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def tensors(self) -> dict[str, Tensor]:
        """Return the state of the critic as tensors of a checkpoint."""
        if self.critic is None:
            return {}
        state = {f"critic.{k}": v.detach().clone() for k, v in self.critic.state_dict().items()}
        moments = moments_of(self._optimizer, moving_parameters(self.critic))
        return state | {f"critic_{k}": v for k, v in moments.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the state that :meth:`tensors` returned, from among those of a checkpoint.

        Raises
        ------
        InputError
            If there is none, or that of another critic.
        """
        if self.critic is None:
            return
        state = {k.removeprefix("critic."): v for k, v in tensors.items() if k.startswith("critic.")}
        try:
            self.critic.load_state_dict(state)
        except RuntimeError as e:
            raise InputError("the checkpoint holds no critic of this shape; choose another name or --out") from e
        moments = {k.removeprefix("critic_"): v for k, v in tensors.items() if k.startswith("critic_opt.")}
        restore_moments(self._optimizer, moving_parameters(self.critic), moments)
