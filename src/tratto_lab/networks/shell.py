"""The network that tells a two-layer shell of an object from one picture of it.

An encoder and decoder with additive skips (Ronneberger et al. 2015), and self-attention over the places of its middle
(Vaswani et al. 2017), since what lies behind is told by the whole object. Some hundred models teach nobody what things
there are: beside the picture it is shown the features of EfficientNet-Lite0 (Tan and Le 2019;
:class:`tratto_lab.networks.damage.Encoder`), which stay as ImageNet has taught them; without these, and without group
normalisation (Wu and He 2018), it hardly learned in the first thousand steps. That two depths for each ray carry most
of an object's shape is after layered depth images (Shade et al. 1998; Tulsiani et al. 2018, "Layer-structured 3D scene
inference via view synthesis").

Shapes: ``B`` batch, ``H``, ``W`` rows and columns of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from torch import Tensor, nn

from tratto.core.errors import OptionError
from tratto.scene.shell import SIDE
from tratto_lab.networks.damage import DamageConfig, Encoder


@dataclass(frozen=True)
class ShellConfig:
    """Shape of :class:`ShellNet`.

    Attributes
    ----------
    widths : tuple of int
        Channels at each level; the first has ``1 / unshuffle`` of the picture's rows, each further one half of those.
    blocks : tuple of int
        Residual blocks at each, on the way down and again on the way up.
    attention : int
        Layers of attention in the middle.
    heads : int
        Of each layer of attention; the last width is a multiple of it.
    unshuffle : int
        Pixels of the picture, along each side, of one place of the first level (Gu et al. 2019): what costs most is
        not convolved at full size, and the silhouette comes from the picture's cover anyway.
    dropout : float
        Share of the features' channels, and half that share of the middle's values, that training leaves out (Tompson
        et al. 2015): with some hundred models the features alone tell which model it is.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (1, 2, 1)
    attention: int = 2
    heads: int = 4
    unshuffle: int = 4
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks) or min(self.widths) < 1 or self.widths[-1] % self.heads:
            raise OptionError(f"each width needs a number of blocks, and the last must be a multiple of heads: {self}")

    @property
    def multiple(self) -> int:
        """What the picture's sides must be a multiple of."""
        return int(self.unshuffle * 2 ** (len(self.widths) - 1))


class Block(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        out: Tensor = x + self.second(F.silu(self.first(F.silu(self.norm(x)))))
        return out


class Attention(nn.Module):
    """Self-attention and two layers over places, each beside an identity."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        for layer in (self.out, self.narrow):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> the same."""
        b, n, c = x.shape
        q, k, v = self.qkv(self.before(x)).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        share = torch.softmax(q @ k.transpose(-1, -2) * (c // self.heads) ** -0.5, dim=-1)
        x = x + self.out((share @ v).transpose(1, 2).reshape(b, n, c))
        out: Tensor = x + self.narrow(F.silu(self.wide(self.between(x))))
        return out


class ShellNet(nn.Module):
    """Picture and cover -> front and back depth, colour behind, normal, elevation of the camera."""

    def __init__(self, config: ShellConfig | None = None) -> None:
        super().__init__()
        self.config = config or ShellConfig()
        self.encoder = Encoder(DamageConfig())
        self.trunk = Trunk(self.config, DamageConfig().levels)

    def forward(self, x: Tensor) -> Tensor:
        """Tell the shell.

        Parameters
        ----------
        x : Tensor
            (B, 4, 128, 128): colours times cover, then cover, all in [0, 1].

        Returns
        -------
        Tensor
            (B, 9, 128, 128): front and back depth as :class:`tratto_lab.corpus.shells.ShellView` has them, the colour
            behind in [0, 1], the normal (not of length 1), and the sine of the camera's elevation everywhere.
        """
        if x.shape[1:] != (4, SIDE, SIDE):
            raise OptionError(f"expected (B, 4, {SIDE}, {SIDE}); got {tuple(x.shape)}")
        out: Tensor = self.trunk(x, self.encoder(x[:, :3] + 0.5 * (1 - x[:, 3:])))
        return out


class Trunk(nn.Module):
    """What is learned: the way down and up between the features and the shell."""

    def __init__(self, config: ShellConfig, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        skipped = config.unshuffle.bit_length() - 2  # features at half the picture's rows come first
        self.features = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, w, 1), nn.GroupNorm(8, w)) for c, w in zip(levels[skipped:], widths, strict=True)
        )
        self.drop_features, self.drop_places = nn.Dropout2d(config.dropout), nn.Dropout(config.dropout / 2)
        self.entry = nn.Conv2d(4 * config.unshuffle**2, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.widen = nn.ModuleList(), nn.ModuleList()
        for level, (width, count) in enumerate(zip(widths, config.blocks, strict=True)):
            self.down.append(nn.Sequential(*(Block(width) for _ in range(count))))
            self.up.append(nn.Sequential(*(Block(width) for _ in range(count))))
            if level + 1 < len(widths):
                self.shrink.append(nn.Conv2d(width, widths[level + 1], 2, stride=2))
                self.widen.append(nn.Conv2d(widths[level + 1], 4 * width, 1))
        places = SIDE // config.multiple
        self.where = nn.Parameter(torch.zeros(1, places * places, widths[-1]))
        nn.init.normal_(self.where, std=0.02)
        self.middle = nn.ModuleList(Attention(widths[-1], config.heads) for _ in range(config.attention))
        self.final = nn.GroupNorm(8, widths[0])
        self.last = nn.Conv2d(widths[0], config.unshuffle**2 * 9, 3, padding=1)
        self.tilt = nn.Linear(widths[-1], 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.weight.any():
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, levels: list[Tensor]) -> Tensor:
        """Picture (B, 4, H, W) and the encoder's levels -> shell (B, 9, H, W)."""
        h = self.entry(F.pixel_unshuffle(x - 0.5, self.config.unshuffle))
        kept = []
        given = levels[-len(self.down) :]
        for level, blocks in enumerate(self.down):
            h = blocks(h + self.features[level](self.drop_features(given[level])))
            if level < len(self.shrink):
                kept.append(h)
                h = self.shrink[level](h)
        b, c, rows, columns = h.shape
        tokens = h.flatten(2).transpose(1, 2) + self.where
        for layer in self.middle:
            tokens = layer(self.drop_places(tokens))
        tilt = torch.tanh(self.tilt(tokens.mean(1)))[:, :, None, None]
        h = tokens.transpose(1, 2).reshape(b, c, rows, columns)
        h = self.up[-1](h)
        for level in reversed(range(len(self.shrink))):
            h = self.up[level](F.pixel_shuffle(self.widen[level](h), 2) + kept[level])
        out = F.pixel_shuffle(self.last(F.silu(self.final(h))), self.config.unshuffle)
        half = F.softplus(out[:, 1:2] - 1.5)
        # what is behind often looks like what is before it: a share of that, and the rest is guessed
        share = torch.sigmoid(out[:, 5:6])
        before = x[:, :3] / x[:, 3:].clamp_min(0.05)
        behind = share * before.clamp(0, 1) + (1 - share) * torch.sigmoid(out[:, 2:5])
        return torch.cat(
            (out[:, :1] - half, out[:, :1] + half, behind, out[:, 6:9], tilt.expand(-1, -1, SIDE, SIDE)), 1
        )
