"""Swin-UNet: an encoder-decoder whose blocks pair shifted-window attention with residual convolutions.

Each block splits its channels: one half goes through (shifted-)window attention (Swin, Liu et al. 2021), the other
through a residual convolution; a 1 x 1 convolution joins them (SCUNet, Zhang et al. 2022). Everything the ablations
vary is a field of :class:`SwinUNetConfig`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tratto.core.errors import OptionError
from tratto_lab.networks.restorer import SigmaHead, bicubic_phases


@dataclass(frozen=True)
class SwinUNetConfig:
    """Shape of :class:`SwinUNet`.

    Attributes
    ----------
    widths : tuple of int
        Channels per level, finest first; the last is the bottleneck. Each is a multiple of ``2 * head_width``.
    encoder, decoder : tuple of int
        Blocks per level, finest first; one entry fewer than `widths`.
    bottleneck : int
        Blocks at the coarsest level.
    window : int
        Side of the attention window.
    head_width : int
        Channels per attention head.
    mlp_ratio : float
        Hidden width of the token-wise layers.
    skip : {"add", "concat"}
        How encoder features enter the decoder.
    residual_scale : float
        Factor of each block's residual.
    relative_bias : bool
        Learned relative position bias per head.
    unshuffle : int
        Pixel-unshuffle factor at the entry.
    scales : tuple of int
        Output heads, of 1, 2, 3, 4; one trunk serves all.
    scale_embedding : bool
        Add a learned vector per scale after the entry, so that the shared trunk knows which head follows.
    checkpointing : bool
        Recompute blocks in the backward pass instead of keeping their activations.
    sigma_width : int
        Hidden channels of the standard error head.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256)
    encoder: tuple[int, ...] = (1, 2, 2)
    bottleneck: int = 4
    decoder: tuple[int, ...] = (2, 2, 1)
    window: int = 8
    head_width: int = 16
    mlp_ratio: float = 4.0
    skip: Literal["add", "concat"] = "add"
    residual_scale: float = 1.0
    relative_bias: bool = True
    unshuffle: int = 2
    scales: tuple[int, ...] = (1,)
    scale_embedding: bool = False
    checkpointing: bool = False
    sigma_width: int = 16

    def __post_init__(self) -> None:
        levels = len(self.widths) - 1
        if len(self.encoder) != levels or len(self.decoder) != levels:
            raise OptionError(
                f"encoder and decoder need {levels} entries for {len(self.widths)} widths; "
                f"got {len(self.encoder)} and {len(self.decoder)}"
            )
        bad = [w for w in self.widths if w % (2 * self.head_width)]
        if bad:
            raise OptionError(f"widths must be multiples of 2 * head_width = {2 * self.head_width}; got {bad}")
        if self.skip not in ("add", "concat"):
            raise OptionError(f"skip is add or concat; got {self.skip!r}")
        if self.window < 2:
            raise OptionError(f"window must be at least 2; got {self.window}")
        if not self.scales or any(s not in (1, 2, 3, 4) for s in self.scales):
            raise OptionError(f"scales are of 1, 2, 3, 4; got {self.scales}")

    @property
    def multiple(self) -> int:
        """Sides of the input must be multiples of this, so that the coarsest level divides into windows."""
        return self.unshuffle * 2 ** (len(self.widths) - 1) * self.window


SMALL = SwinUNetConfig()
BASE = SwinUNetConfig(
    widths=(64, 128, 320, 640), encoder=(2, 4, 6), bottleneck=8, decoder=(2, 4, 6), head_width=32, checkpointing=True
)
"""The full-size design: about 47 million parameters."""


def shift_mask(height: int, width: int, window: int, shift: int, device: torch.device) -> Tensor:
    """Which pairs of tokens of a window were neighbours before the cyclic shift.

    Returns
    -------
    Tensor
        bool (windows, window**2, window**2); False where attention would cross the picture's edge.
    """
    rows = torch.zeros(height, dtype=torch.long, device=device)
    rows[-window:] = 1
    rows[-shift:] = 2
    columns = torch.zeros(width, dtype=torch.long, device=device)
    columns[-window:] = 1
    columns[-shift:] = 2
    region = (rows[:, None] * 3 + columns[None])[None, None].float()  # (1, 1, H, W)
    tokens = to_windows(region, window)[..., 0]  # (windows, window**2)
    return tokens[:, :, None] == tokens[:, None, :]


def to_windows(x: Tensor, window: int) -> Tensor:
    """(B, C, H, W) -> (B * windows, window**2, C), row-major windows and tokens."""
    b, c, h, w = x.shape
    x = x.view(b, c, h // window, window, w // window, window)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(-1, window * window, c)


def from_windows(tokens: Tensor, window: int, height: int, width: int) -> Tensor:
    """Undo :func:`to_windows`: (B * windows, window**2, C) -> (B, C, H, W)."""
    c = tokens.shape[-1]
    x = tokens.view(-1, height // window, width // window, window, window, c)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(-1, c, height, width)


class WindowAttention(nn.Module):
    """Multi-head self-attention inside windows, optionally shifted by half a window."""

    offsets: Tensor

    def __init__(self, width: int, config: SwinUNetConfig, shifted: bool) -> None:
        super().__init__()
        self.window, self.heads = config.window, width // config.head_width
        self.shift = config.window // 2 if shifted else 0
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        w = config.window
        self.bias = nn.Parameter(torch.zeros((2 * w - 1) ** 2, self.heads)) if config.relative_bias else None
        y, x = torch.arange(w * w) // w, torch.arange(w * w) % w
        offsets = (y[:, None] - y[None] + w - 1) * (2 * w - 1) + (x[:, None] - x[None] + w - 1)
        self.register_buffer("offsets", offsets, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        b, c, h, w = x.shape
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), (2, 3))
        tokens = to_windows(x, self.window)  # (B * n, t, C)
        count, t = tokens.shape[0], tokens.shape[1]
        q, k, v = self.qkv(tokens).view(count, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (B * n, heads, t, d)
        mask = self._mask(b, h, w, q)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out = from_windows(self.out(mixed.transpose(1, 2).reshape(count, t, c)), self.window, h, w)
        return torch.roll(out, (self.shift, self.shift), (2, 3)) if self.shift else out

    def _mask(self, batch: int, height: int, width: int, like: Tensor) -> Tensor | None:
        """Additive mask broadcastable to (B * n, heads, t, t), or None."""
        bias = None
        if self.bias is not None:
            bias = self.bias[self.offsets].permute(2, 0, 1)[None].to(like.dtype)  # (1, heads, t, t)
        if not self.shift:
            return bias
        near = shift_mask(height, width, self.window, self.shift, like.device)
        zeros = torch.zeros((), dtype=like.dtype, device=like.device)
        cut = torch.where(near, zeros, zeros - torch.inf)[:, None].repeat(batch, 1, 1, 1)  # (B * n, 1, t, t)
        return cut if bias is None else cut + bias


class _TokenNorm(nn.Module):
    """Layer normalisation over the channels of a (B, C, H, W) map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SwinConvBlock(nn.Module):
    """One block: half of the channels attend, half convolve, a 1 x 1 convolution joins them."""

    def __init__(self, width: int, config: SwinUNetConfig, shifted: bool) -> None:
        super().__init__()
        half, hidden = width // 2, int(width // 2 * config.mlp_ratio)
        self.scale = config.residual_scale
        self.split = nn.Conv2d(width, width, 1)
        self.norm1, self.norm2 = _TokenNorm(half), _TokenNorm(half)
        self.attention = WindowAttention(half, config, shifted)
        self.mlp = nn.Sequential(nn.Conv2d(half, hidden, 1), nn.GELU(), nn.Conv2d(hidden, half, 1))
        self.conv = nn.Sequential(
            nn.Conv2d(half, half, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(half, half, 3, padding=1)
        )
        self.join = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        local, tokens = self.split(x).chunk(2, 1)
        local = local + self.conv(local)
        tokens = tokens + self.attention(self.norm1(tokens))
        tokens = tokens + self.mlp(self.norm2(tokens))
        return x + self.scale * self.join(torch.cat((local, tokens), 1))


class _Stage(nn.Module):
    """Blocks of one level, every second one shifted."""

    def __init__(self, width: int, depth: int, config: SwinUNetConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(SwinConvBlock(width, config, bool(i % 2)) for i in range(depth))
        self.checkpointing = config.checkpointing

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointing and self.training else block(x)
        return x


class _Head(nn.Module):
    """Picture difference and log standard error for one scale; the difference starts at zero."""

    def __init__(self, width: int, shuffle: int, hidden: int) -> None:
        super().__init__()
        self.shuffle = shuffle
        self.exit = nn.Conv2d(width, 3 * shuffle * shuffle, 3, padding=1)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(self.exit.bias)  # type: ignore[arg-type]
        self.sigma = SigmaHead(width, hidden, shuffle)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return F.pixel_shuffle(self.exit(h), self.shuffle), self.sigma(h)


class SwinUNet(nn.Module):
    """The full-size restorer; see the module's text."""

    def __init__(self, config: SwinUNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SMALL
        w, r = config.widths, config.unshuffle
        self.entry = nn.Conv2d(3 * r * r, w[0], 3, padding=1)
        pairs = list(pairwise(w))
        self.encoders = nn.ModuleList(_Stage(f, n, config) for (f, _), n in zip(pairs, config.encoder, strict=True))
        self.downs = nn.ModuleList(nn.Conv2d(f, c, 2, stride=2) for f, c in pairs)
        self.bottleneck = _Stage(w[-1], config.bottleneck, config)
        self.ups = nn.ModuleList(nn.Conv2d(c, 4 * f, 1) for f, c in pairs)
        joins = [nn.Conv2d(2 * f, f, 1) if config.skip == "concat" else nn.Identity() for f, _ in pairs]
        self.joins = nn.ModuleList(joins)
        self.decoders = nn.ModuleList(_Stage(f, n, config) for (f, _), n in zip(pairs, config.decoder, strict=True))
        self.heads = nn.ModuleDict({str(s): _Head(w[0], r * s, config.sigma_width) for s in config.scales})
        self.embeddings = (
            nn.ParameterDict({str(s): nn.Parameter(torch.zeros(1, w[0], 1, 1)) for s in config.scales})
            if config.scale_embedding
            else None
        )
        for s in config.scales:
            if s > 1:
                kernels = torch.from_numpy(bicubic_phases(s))[:, None].repeat(3, 1, 1, 1)
                self.register_buffer(f"base{s}", kernels, persistent=False)

    def forward(self, x: Tensor, scale: int | None = None) -> tuple[Tensor, Tensor]:
        """Restore, or enlarge, a batch.

        Parameters
        ----------
        x : Tensor
            (B, 3, H, W) in [0, 1]; H and W multiples of ``config.multiple``.
        scale : int, optional
            Which head; default the first of ``config.scales``.

        Returns
        -------
        (Tensor, Tensor)
            The picture (B, 3, sH, sW), not clipped, and the log standard error (B, 1, sH, sW).

        Raises
        ------
        OptionError
            If there is no such head, or the size is not a multiple.
        """
        s = self.config.scales[0] if scale is None else scale
        if s not in self.config.scales:
            raise OptionError(f"this network has heads for the scales {self.config.scales}; asked for {s}")
        if x.shape[2] % self.config.multiple or x.shape[3] % self.config.multiple:
            raise OptionError(f"sides must be multiples of {self.config.multiple}; got {tuple(x.shape[2:])}")
        h = self.entry(F.pixel_unshuffle(x, self.config.unshuffle))  # (B, w0, H/r, W/r)
        if self.embeddings is not None:
            h = h + self.embeddings[str(s)]
        skips: list[Tensor] = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            h = encoder(h)
            skips.append(h)
            h = down(h)
        h = self.bottleneck(h)
        for level in reversed(range(len(skips))):
            up = F.pixel_shuffle(self.ups[level](h), 2)
            if self.config.skip == "add":
                h = up + skips[level]
            else:
                h = self.joins[level](torch.cat((up, skips[level]), 1))
            h = self.decoders[level](h)
        difference, log_sigma = self.heads[str(s)](h)
        if s == 1:
            return x + difference, log_sigma
        kernels = getattr(self, f"base{s}").to(x.dtype)
        smooth = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), kernels, groups=3)
        return F.pixel_shuffle(smooth, s) + difference, log_sigma


def count_parameters(config: SwinUNetConfig) -> int:
    """Count parameters without allocating them (meta device)."""
    with torch.device("meta"):
        return sum(p.numel() for p in SwinUNet(config).parameters())
