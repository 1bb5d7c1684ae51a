"""The network that finds damage: features learnt on ImageNet, and a U-Net decoder of our own.

The encoder is the front of EfficientNet-Lite0 (Tan and Le 2019) down to a sixteenth of the resolution, its batch
normalisation folded into the convolutions; its weights come from a package (Apache-2.0). It knows what ordinary
pictures look like, which a few dozen photographs cannot teach; the decoder learns what does not belong there. Nothing
in either is pooled over the whole picture. What then says which kinds of damage a picture has at all looks at all of it
(context encoding, Zhang et al. 2018, "Context Encoding for Semantic Segmentation"): one line may be a twig or a
scratch, but a scratched picture has many.

Shapes: ``B`` batch, ``H``, ``W`` rows and columns, ``K`` classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from numpy.typing import ArrayLike
from torch import Tensor, nn

from tratto.core.errors import OptionError
from tratto_lab.networks.norm import Norm

#: Kernel side, stride, expansion, channels, blocks of each stage of EfficientNet-Lite0 down to a sixteenth.
LITE0 = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3))
#: How many figures of each class :func:`marked_figures` gives, beside the features.
PRESENCE_FIGURES = 7
#: How often a picture may be looked at.
LOOKS = (1, 2, 4, 8)
#: How many times enlarged the looks at mirror images may be.
CLOSER = (1, 1.5, 2)
#: That network's batch normalisation adds this to the variance.
EPSILON = 1e-3


@dataclass(frozen=True)
class DamageConfig:
    """Shape of :class:`DamageNet`.

    Attributes
    ----------
    stem : int
        Channels of the encoder's first convolution, which halves the resolution.
    stages : tuple of (kernel, stride, expansion, channels, blocks)
        Of the encoder. A stride of 2 begins a new level; of two stages on one level the later one is used.
    widths : tuple of int
        Channels of the decoder per level, finest (half the resolution) first.
    own : int
        Channels of the decoder's own look at the picture, at half the resolution.
    classes : int
        Kinds of damage.
    refine : int
        Residual blocks behind the finest level of the decoder, each with twice the dilation of the one before: thin
        damage is told from edges by following it.
    presence : int
        Hidden width of what says which kinds of damage the picture has; 0 for a network without.
    strictness, margin : float
        The logits of a kind are lowered by `strictness` times ``softplus(-(there + margin))``, where ``there`` is the
        logit of its being in the picture: at 1 and 0 probabilities multiply; a high `strictness` rules a kind out of
        the whole picture as soon as its logit is below minus the margin.
    joint : bool
        Whether the decoder's features learn from the presence, too; else only what says it learns.
    looks : int
        At work: how many of the picture's mirror images and turns are looked at, of which the mean is taken (geometric
        self-ensemble; Lim et al. 2017, "Enhanced Deep Residual Networks for Single Image Super-Resolution"): 1 the
        picture, 2 also mirrored, 4 also upside down, 8 also with rows and columns exchanged. Training looks once.
    closer : float
        At work: the looks at mirror images, not those at turns, are at the picture enlarged so many times, 1, 1.5 or 2.
        The mean over two sizes marks lines of one pixel much better than either, since the first layer halves the
        picture; and as many of each kind remain when a print lies upside down.
    """

    stem: int = 32
    stages: tuple[tuple[int, int, int, int, int], ...] = LITE0
    widths: tuple[int, ...] = (40, 48, 64, 96)
    own: int = 24
    classes: int = 8
    refine: int = 0
    presence: int = 0
    strictness: float = 1.0
    margin: float = 0.0
    joint: bool = False
    looks: int = 1
    closer: float = 1.0

    def __post_init__(self) -> None:
        numbers = (self.stem, self.own, self.classes, *self.widths, *(n for stage in self.stages for n in stage))
        if (
            min(numbers, default=0) < 1
            or min(self.refine, self.presence) < 0
            or not self.strictness > 0
            or not math.isfinite(self.strictness + self.margin)
            or any(s[0] % 2 == 0 or s[1] > 2 for s in self.stages)
            or self.looks not in LOOKS
            or self.closer not in CLOSER
        ):
            raise OptionError(
                "a damage network needs positive sizes, odd kernels, strides of 1 or 2, 1, 2, 4 or 8 looks and 1, 1.5 "
                f"or 2 times as close ones, got {self}"
            )
        if len(self.levels) != len(self.widths):
            raise OptionError(f"{len(self.levels)} levels of the encoder, {len(self.widths)} widths of the decoder")

    @property
    def levels(self) -> tuple[int, ...]:
        """Channels of the encoder per level, finest first."""
        out: list[int] = []
        for _, stride, _, channels, _ in self.stages:
            if stride == 2 or not out:
                out.append(channels)
            out[-1] = channels
        return tuple(out)

    @property
    def multiple(self) -> int:
        """Sides of the input must be multiples of this."""
        grid = int(2 ** len(self.levels))
        return (
            grid if float(self.closer).is_integer() else 2 * grid
        )  # enlarged by a half, they must suit the grid still

    @property
    def radius(self) -> int:
        """How far, in input pixels, an input can change an output; what looks at the whole picture apart.

        The encoder's convolutions, of which those that halve look further to the lower right; two of the decoder per
        level; the blocks that refine; the exit; and the coarsest grid.
        """
        reach, grid = 2, 2
        for kernel, stride, _, _, blocks in self.stages:
            reach += (kernel - 1 - _before(kernel, stride)) * grid
            grid *= stride
            reach += (blocks - 1) * (kernel // 2) * grid
        reach += sum(2 * 2 ** (level + 1) for level in range(len(self.levels))) + 2
        reach += 2 * sum(2**n + 1 for n in range(self.refine))
        return reach + self.multiple - 1


def _before(kernel: int, stride: int) -> int:
    """Return the padding before a convolution; where it halves, one less than after it."""
    return (kernel - stride) // 2


class _Same(nn.Conv2d):
    """A convolution with the padding of TensorFlow's "same" for sides that its stride divides, and a bias."""

    def __init__(self, fan_in: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(fan_in, out, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)
        nn.init.kaiming_normal_(self.weight, mode="fan_out" if groups == 1 else "fan_in", nonlinearity="relu")
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]
        before = _before(kernel, stride)
        self.around = (before, kernel - stride - before) * 2 if stride > 1 else ()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        return super().forward(F.pad(x, self.around) if self.around else x)


class _Inverted(nn.Module):
    """Inverted residual (Sandler et al. 2018): widen, look around in each channel, narrow; add what came in."""

    def __init__(self, fan_in: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = fan_in * expansion
        self.expand = _Same(fan_in, wide, 1) if expansion > 1 else None
        self.depthwise = _Same(wide, wide, kernel, stride, groups=wide)
        self.project = _Same(wide, out, 1)
        self.adds = stride == 1 and fan_in == out

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        h = x if self.expand is None else F.relu6(self.expand(x))
        h = self.project(F.relu6(self.depthwise(h)))
        return x + h if self.adds else h


class Encoder(nn.Module):
    """The front of EfficientNet-Lite0; see :class:`DamageConfig`."""

    def __init__(self, config: DamageConfig) -> None:
        super().__init__()
        self.stem = _Same(3, config.stem, 3, 2)
        self.blocks = nn.ModuleList()
        self.ends: list[int] = []  # the block after which a level is complete
        fan_in = config.stem
        for kernel, stride, expansion, channels, blocks in config.stages:
            if stride == 2 and len(self.blocks):
                self.ends.append(len(self.blocks) - 1)
            for number in range(blocks):
                self.blocks.append(_Inverted(fan_in, channels, kernel, stride if number == 0 else 1, expansion))
                fan_in = channels
        self.ends.append(len(self.blocks) - 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] -> (B, C, H / 2, W / 2), (B, C', H / 4, W / 4) and so on."""
        h = F.relu6(self.stem((x * 255 - 127) / 128))
        out = []
        for number, block in enumerate(self.blocks):
            h = block(h)
            if number in self.ends:
                out.append(h)
        return out


def _unit(fan_in: int, out: int) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU. At work the normalisation is part of the convolution."""
    return nn.Sequential(nn.Conv2d(fan_in, out, 3, 1, 1, bias=False), Norm(out), nn.ReLU(inplace=True))


class _Refine(nn.Module):
    """``x + conv(relu(norm(dilated conv(x))))``, which begins as ``x``."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = Norm(width)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.second(F.relu(self.norm(self.first(x))))


class Decoder(nn.Module):
    """The way up of a U-Net (Ronneberger et al. 2015) with additive skips, and a look of its own at the picture."""

    def __init__(self, config: DamageConfig) -> None:
        super().__init__()
        w = config.widths
        self.own = _unit(12, config.own)
        sources = (config.levels[0] + config.own, *config.levels[1:])
        self.skips = nn.ModuleList(nn.Sequential(nn.Conv2d(s, k, 1), Norm(k)) for s, k in zip(sources, w, strict=True))
        self.links = nn.ModuleList(nn.Conv2d(c, f, 1) for f, c in pairwise(w))
        self.ups = nn.ModuleList(nn.Sequential(_unit(k, k), _unit(k, k)) for k in w)
        self.refine = nn.Sequential(*(_Refine(w[0], 2**n) for n in range(config.refine)))
        self.exit = nn.Conv2d(w[0], (config.classes + 1) * 4, 3, padding=1)
        with torch.no_grad():
            self.exit.weight.mul_(0.1)
            self.exit.bias.fill_(-3.0)  # type: ignore[union-attr] # damage is rare: begin near its share

    def forward(self, x: Tensor, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) and the encoder's levels -> logits (B, K + 1, H, W), features (B, C, H / 2, W / 2)."""
        own = self.own(F.pixel_unshuffle((x - 0.5) * 4, 2))  # about unit deviation
        features = [torch.cat((levels[0], own), 1), *levels[1:]]
        h = self.ups[-1](F.relu(self.skips[-1](features[-1])))
        for level in reversed(range(len(self.links))):
            above = F.interpolate(self.links[level](h), scale_factor=2.0, mode="nearest")
            h = self.ups[level](F.relu(self.skips[level](features[level]) + above))
        h = self.refine(h)
        return F.pixel_shuffle(self.exit(h), 2), h


class Presence(nn.Module):
    """Which kinds of damage a picture has at all, from what was marked everywhere in it and what that looks like.

    For each class and for any: how much is marked, with which probability, with which at its most probable place; and
    the decoder's features there.
    """

    def __init__(self, config: DamageConfig) -> None:
        super().__init__()
        self.joint = config.joint
        kinds = config.classes + 1
        self.first = nn.Linear(PRESENCE_FIGURES * kinds + kinds * config.widths[0], config.presence)
        self.second = nn.Linear(config.presence, config.presence)
        self.third = nn.Linear(config.presence, kinds)

    def forward(self, logits: Tensor, features: Tensor) -> Tensor:
        """Logits (B, K + 1, H, W) and features (B, C, H / 2, W / 2) of the decoder -> logits (B, K + 1)."""
        h = F.relu(self.first(marked_figures(logits.detach(), features if self.joint else features.detach())))
        out: Tensor = self.third(F.relu(self.second(h)))
        return out


def marked_figures(logits: Tensor, features: Tensor) -> Tensor:
    """Return figures (B, N) of what is marked in whole pictures; see :class:`Presence`."""
    p = torch.sigmoid(logits)
    mean, square, cube = (p.pow(n).mean((2, 3)) for n in (1, 2, 3))
    share = (p > 0.5).to(p.dtype).mean((2, 3))
    figures = [
        torch.log(mean + 1e-5),
        torch.log(square + 1e-6),
        torch.log(share + 1e-5),
        square / (mean + 1e-6),
        cube / (square + 1e-6),
        F.avg_pool2d(p, 8).amax((2, 3)),
        p.amax((2, 3)),
    ]
    where = F.avg_pool2d(p, 2).square()
    where = where / (where.sum((2, 3), keepdim=True) + 1e-3)
    looks = torch.einsum("bkhw,bchw->bkc", where, features)
    return torch.cat([*figures, looks.flatten(1)], 1)


class DamageNet(nn.Module):
    """Finds damage: one logit per class and pixel, and one for damage of whatever kind."""

    def __init__(self, config: DamageConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DamageConfig()
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.presence = Presence(config) if config.presence else None
        kinds = config.classes + 1
        self.register_buffer("margins", torch.full((kinds,), float(config.margin)), persistent=False)
        self.register_buffer("offsets", torch.zeros(kinds), persistent=False)

    def calibrate(self, margins: ArrayLike, offsets: ArrayLike) -> None:
        """Set how sure the network must be of each kind, any damage last: numbers (K + 1) in logits.

        `margins` are as :class:`DamageConfig` has one for all kinds, `offsets` are added to the logits of pixels. They
        are not part of the state dict.
        """
        for name, values in (("margins", margins), ("offsets", offsets)):
            buffer = getattr(self, name)
            buffer.copy_(torch.as_tensor(np.asarray(values, np.float32)).reshape(buffer.shape))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(B, 3, H, W) in [0, 1] -> logits (B, K + 1, H, W), the last for any damage.

        What says which kinds the picture has lowers the logits of those it has not. While the network is trained, its
        own logits (B, K + 1) come second.
        """
        plain, there = self.parts(x)
        if there is None:
            return plain
        logits = self.lowered(plain, there)
        return (logits, there) if self.training else logits

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, 3, H, W) in [0, 1] -> logits (B, K + 1, H, W) as if every kind were there, (B, K + 1) of its being there.

        Each kind is what it would be if the picture had it. Networks without ``presence`` do not give the second. At
        work both are the mean of all looks.
        """
        looks = 1 if self.training else self.config.looks
        plain, there = self._look(x)
        for turn in range(1, looks):
            another, present = self._look(turned(x, turn), self.config.closer if turn.bit_count() % 2 else 1.0)
            plain = plain + turned(another, turn, back=True)
            there = None if there is None or present is None else there + present
        plain = plain / looks + cast(Tensor, self.offsets)[:, None, None]
        return plain, None if there is None else there / looks

    def _look(self, x: Tensor, closer: float = 1.0) -> tuple[Tensor, Tensor | None]:
        size = x.shape[2:]
        if closer != 1:
            x = F.interpolate(x, scale_factor=closer, mode="bicubic", align_corners=False).clamp(0, 1)
        plain, features = self.decoder(x, self.encoder(x))
        there = None if self.presence is None else self.presence(plain, features)
        if closer != 1:
            plain = F.interpolate(plain, size=size, mode="bilinear", align_corners=False)
        return plain, there

    def lowered(self, plain: Tensor, there: Tensor) -> Tensor:
        """Return the logits (B, K + 1, H, W), lower for kinds that are not there; see :class:`DamageConfig`."""
        lowering = self.config.strictness * F.logsigmoid(there + cast(Tensor, self.margins))
        return plain + lowering[:, :, None, None]


def turned(x: Tensor, turn: int, back: bool = False) -> Tensor:
    """Return one of the eight mirror images and turns of pictures (B, C, H, W), or take it `back`.

    Parameters
    ----------
    x : Tensor
        Pictures, whole batches at once.
    turn : int
        0 to 7: 1 mirrors left and right, 2 top and bottom, 4 exchanges rows and columns; sums do one after the other.
    back : bool
        Whether to undo it.
    """
    axes = [3 - bit for bit in (0, 1) if turn & (1 << bit)]
    if turn & 4 and back:
        x = x.transpose(2, 3)
    if axes:
        x = x.flip(axes)
    return x.transpose(2, 3) if turn & 4 and not back else x


def folded(tensors: Mapping[str, Tensor], encoder: Encoder) -> dict[str, Tensor]:
    """Return the weights of EfficientNet-Lite0 as the encoder has them, batch normalisation folded into convolutions.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        By the names of the package ``efficientnet-lite-pytorch``.
    encoder : Encoder
        Tells which layers are wanted.

    Raises
    ------
    KeyError
        If a layer is not there.
    """
    out: dict[str, Tensor] = {}
    for ours, conv, norm in _names(encoder):
        scale = tensors[f"{norm}.weight"] / torch.sqrt(tensors[f"{norm}.running_var"] + EPSILON)
        out[f"{ours}.weight"] = tensors[f"{conv}.weight"] * scale[:, None, None, None]
        out[f"{ours}.bias"] = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
    return out


def _names(encoder: Encoder) -> Iterator[tuple[str, str, str]]:
    """Yield our name of each convolution, the package's, and the package's of its normalisation."""
    yield "stem", "_conv_stem", "_bn0"
    for number, block in enumerate(encoder.blocks):
        parts = ["depthwise", "project"] if block.expand is None else ["expand", "depthwise", "project"]
        for part in parts:
            norm = {"expand": 0, "depthwise": 1, "project": 2}[part]
            yield f"blocks.{number}.{part}", f"_blocks.{number}._{part}_conv", f"_blocks.{number}._bn{norm}"
