"""SyncDreamer: sixteen views of an object from one, made together (Liu et al. 2023, "SyncDreamer").

The network is defined here under the names that the published checkpoint has, so that its weights go in as they are;
``python -m tratto_lab.convert.views syncdreamer`` makes safetensors of them once. The autoencoder and CLIP's image
encoder are those of diffusers and transformers. Sixteen cameras stand at an elevation of 30 degrees, whatever that of
the picture is: the 8 channels of the U-Net are the noisy view and the picture, and ten attentions over depth look into
a volume that all views share.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tratto.core.errors import OptionError, WeightMismatch
from tratto.models.folders import ModelFolder, read_json
from tratto.scene.generated import SYNC_AXES, sync_cameras

Float = NDArray[np.float32]
#: Of the autoencoder. The picture beside the noise is divided by it, as the network was trained.
LATENT_SCALE = 0.18215
#: Elevation of all views, degrees.
ELEVATION = 30.0
#: Standard deviation and mean of CLIP's pictures.
_MEAN, _DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Sizes:
    """Sizes of the network; the defaults are those of the published weights.

    Attributes
    ----------
    image : int
        Side of a view in pixels.
    views : int
        How many the network makes in one run, evenly around the object.
    channels, multiples, heads, groups : int, tuple of int, int, int
        Of the U-Net.
    context : int
        Width of CLIP's embedding.
    volumes : tuple of int
        Channels of the volumes that the U-Net looks into, the largest first.
    volume, depth : int
        Side of the volume that all views share; planes of a view's own.
    features, time : int
        Channels of a view in the volume; width of the time's embedding there.
    """

    image: int = 256
    views: int = 16
    channels: int = 320
    multiples: tuple[int, ...] = (1, 2, 4, 4)
    heads: int = 8
    groups: int = 32
    context: int = 768
    volumes: tuple[int, ...] = (64, 128, 256, 512)
    volume: int = 32
    depth: int = 48
    features: int = 16
    time: int = 256

    @classmethod
    def read(cls, folder: Path) -> Sizes:
        """Read them from ``config.json``.

        Raises
        ------
        OptionError
            If it is missing or another network's.
        """
        given = read_json(folder / "config.json", "a converted SyncDreamer has one")
        known = {f.name for f in fields(cls)}
        if given.get("model_type") != "syncdreamer":
            raise OptionError(f"{folder} holds a {given.get('model_type')!r}, not a converted SyncDreamer")
        made = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k in known}
        listed = {k: v if isinstance(v, tuple) else (v,) for k, v in made.items()}
        bad = [k for k, v in listed.items() if not all(isinstance(n, int) and 1 <= n <= 4096 for n in v)]
        bad += [k for k in ("multiples", "volumes") if len(made.get(k, getattr(cls, k))) != 4]
        if bad:
            raise OptionError(f"{folder / 'config.json'} makes no sense: {', '.join(bad)}")
        return cls(**made)

    def to_json(self) -> str:
        """Return them as ``config.json``."""
        return json.dumps({"model_type": "syncdreamer", **{f.name: getattr(self, f.name) for f in fields(self)}})


def embedded(steps: Tensor, width: int) -> Tensor:
    """Return the sinusoidal embedding of time steps, (N, width): cosines, then sines."""
    half = width // 2
    rates = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=steps.device) / half)
    angles = steps[:, None].float() * rates[None]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


# -- the U-Net, as latent diffusion has it ----------------------------------------------------------------------------


class Residual(nn.Module):
    """Two convolutions with the time in between."""

    def __init__(self, taken: int, given: int, time: int, groups: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(groups, taken), nn.SiLU(), nn.Conv2d(taken, given, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, given))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(groups, given), nn.SiLU(), nn.Dropout(0.0), nn.Conv2d(given, given, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if taken == given else nn.Conv2d(taken, given, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(N, C, H, W) and (N, T)."""
        h = self.in_layers(x) + self.emb_layers(time)[..., None, None]
        return self.skip_connection(x) + self.out_layers(h)


class Attention(nn.Module):
    """Attention to itself, or to a context."""

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k, self.to_v = nn.Linear(context, width, bias=False), nn.Linear(context, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width), nn.Dropout(0.0))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(N, L, C) and (N, M, D)."""
        q, k, v = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for t in (self.to_q(x), self.to_k(context), self.to_v(context))
        )
        return self.to_out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Gate(nn.Module):
    """GEGLU."""

    def __init__(self, taken: int, given: int) -> None:
        super().__init__()
        self.proj = nn.Linear(taken, 2 * given)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C)."""
        x, gate = self.proj(x).chunk(2, dim=-1)
        return x * functional.gelu(gate)


class Layer(nn.Module):
    """Attention to itself, attention to the context, and a gated pair of layers."""

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.attn1, self.attn2 = Attention(width, width, heads), Attention(width, context, heads)
        self.ff = nn.Module()
        self.ff.net = nn.Sequential(Gate(width, 4 * width), nn.Dropout(0.0), nn.Linear(4 * width, width))
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(N, L, C) and (N, M, D)."""
        own = self.norm1(x)
        x = self.attn1(own, own) + x
        x = self.attn2(self.norm2(x), context) + x
        return self.ff.net(self.norm3(x)) + x


class Transformer(nn.Module):
    """A layer over the places of a picture."""

    def __init__(self, width: int, context: int, heads: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.proj_in, self.proj_out = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([Layer(width, context, heads)])

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(N, C, H, W) and (N, M, D)."""
        flat = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            flat = block(flat, context)
        return x + self.proj_out(flat.transpose(1, 2).reshape(x.shape))


class Half(nn.Module):
    """Half the size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W)."""
        return self.op(x)


class Double(nn.Module):
    """Twice the size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W)."""
        return self.conv(functional.interpolate(x, scale_factor=2, mode="nearest"))


def _through(block: nn.ModuleList, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
    for part in block:
        if isinstance(part, Residual):
            x = part(x, time)
        else:
            x = part(x, context) if isinstance(part, Transformer) else part(x)
    return x


class DepthAttention(nn.Module):
    """Each place of a picture attends to the depths behind it."""

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Conv2d(width, width, 1, bias=False)
        self.to_k, self.to_v = nn.Conv3d(context, width, 1, bias=False), nn.Conv3d(context, width, 1, bias=False)
        self.to_out = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, x: Tensor, volume: Tensor) -> Tensor:
        """(N, C, H, W) and (N, D, depths, H, W)."""
        q = self.to_q(x).unflatten(1, (self.heads, -1))  # (N, heads, c, H, W)
        k, v = (t(volume).unflatten(1, (self.heads, -1)) for t in (self.to_k, self.to_v))  # (N, heads, c, depths, H, W)
        weights = ((q[:, :, :, None] * k).sum(2) * q.shape[2] ** -0.5).softmax(dim=2)  # (N, heads, depths, H, W)
        return self.to_out((v * weights[:, :, None]).sum(3).flatten(1, 2))


class DepthTransformer(nn.Module):
    """Adds what the volume says; a volume of zeros says nothing."""

    def __init__(self, width: int, context: int, heads: int = 4) -> None:
        super().__init__()
        inner = heads * (context // 2)
        self.proj_in = nn.Sequential(nn.Conv2d(width, inner, 1), nn.GroupNorm(8, inner), nn.SiLU())
        self.proj_context = nn.Sequential(
            nn.Conv3d(context, context, 1, bias=False), nn.GroupNorm(8, context), nn.ReLU()
        )
        self.depth_attn = DepthAttention(inner, context, heads)
        self.proj_out = nn.Sequential(
            nn.GroupNorm(8, inner), nn.ReLU(), nn.Conv2d(inner, inner, 3, padding=1, bias=False),
            nn.GroupNorm(8, inner), nn.ReLU(), nn.Conv2d(inner, width, 3, padding=1, bias=False),
        )  # fmt: skip

    def forward(self, x: Tensor, volume: Tensor) -> Tensor:
        """(N, C, H, W) and (N, D, depths, H, W)."""
        return self.proj_out(self.depth_attn(self.proj_in(x), self.proj_context(volume))) + x


class DepthUNet(nn.Module):
    """The U-Net of Stable Diffusion 1 with 8 channels, and an attention over depth after the middle and 9 blocks."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        base, time, levels = sizes.channels, 4 * sizes.channels, len(sizes.multiples)
        self.base = base
        self.time_embed = nn.Sequential(nn.Linear(base, time), nn.SiLU(), nn.Linear(time, time))

        def parts(taken: int, given: int, level: int) -> list[nn.Module]:
            made: list[nn.Module] = [Residual(taken, given, time, sizes.groups)]
            if level < levels - 1:  # the smallest has none
                made.append(Transformer(given, sizes.context, sizes.heads, sizes.groups))
            return made

        blocks: list[list[nn.Module]] = [[nn.Conv2d(8, base, 3, padding=1)]]
        widths, width = [base], base
        for level, multiple in enumerate(sizes.multiples):
            for _ in range(2):
                blocks.append(parts(width, base * multiple, level))
                width = base * multiple
                widths.append(width)
            if level < levels - 1:
                blocks.append([Half(width)])
                widths.append(width)
        self.input_blocks = nn.ModuleList(nn.ModuleList(b) for b in blocks)
        self.middle_block = nn.ModuleList([
            Residual(width, width, time, sizes.groups), Transformer(width, sizes.context, sizes.heads, sizes.groups),
            Residual(width, width, time, sizes.groups),
        ])  # fmt: skip
        self.middle_conditions = DepthTransformer(width, sizes.volumes[3])
        blocks, conditions = [], []
        for level in reversed(range(levels)):
            for i in range(3):
                block = parts(width + widths.pop(), base * sizes.multiples[level], level)
                width = base * sizes.multiples[level]
                if level and i == 2:
                    block.append(Double(width))
                blocks.append(block)
                # a block that ends with twice the size looks into the volume of that size
                seen = level - 1 if level and i == 2 else level
                if len(blocks) > levels - 1:
                    conditions.append(DepthTransformer(width, sizes.volumes[seen]))
        self.output_blocks = nn.ModuleList(nn.ModuleList(b) for b in blocks)
        self.output_conditions = nn.ModuleList(conditions)
        self.out = nn.Sequential(nn.GroupNorm(sizes.groups, width), nn.SiLU(), nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, x: Tensor, steps: Tensor, context: Tensor, volumes: dict[int, Tensor]) -> Tensor:
        """(N, 8, h, w), (N,), (N, M, D), and volumes (N, C, depths, side, side) by side; returns (N, 4, h, w)."""
        time = self.time_embed(embedded(steps, self.base).to(x.dtype))
        kept = []
        for block in self.input_blocks:
            x = _through(block, x, time, context)
            kept.append(x)
        x = _through(self.middle_block, x, time, context)
        x = self.middle_conditions(x, volumes[x.shape[-1]])
        first = len(self.output_blocks) - len(self.output_conditions)
        for i, block in enumerate(self.output_blocks):
            x = _through(block, torch.cat([x, kept.pop()], dim=1), time, context)
            if i >= first:
                x = self.output_conditions[i - first](x, volumes[x.shape[-1]])
        return self.out(x)


# -- the volumes ------------------------------------------------------------------------------------------------------


class ViewBlock(nn.Module):
    """A residual block that is told time and view."""

    def __init__(self, width: int, time: int) -> None:
        super().__init__()
        self.time_embed, self.view_embed = nn.Conv2d(time, width, 1), nn.Conv2d(4, width, 1)
        self.conv = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor, time: Tensor, view: Tensor) -> Tensor:
        """(N, C, H, W), (N, T, 1, 1), (N, 4, 1, 1)."""
        return x + self.conv(x + self.time_embed(time) + self.view_embed(view))


class ViewEncoder(nn.Module):
    """Features of a noisy view."""

    def __init__(self, given: int, time: int, width: int = 16) -> None:
        super().__init__()
        self.init_conv = nn.Conv2d(4, width, 3, padding=1)
        self.out_conv0, self.out_conv1, self.out_conv2 = (ViewBlock(width, time) for _ in range(3))
        self.final_out = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, given, 3, padding=1))

    def forward(self, x: Tensor, time: Tensor, view: Tensor) -> Tensor:
        """(N, 4, h, w), (N, T), (N, 4)."""
        time, view = time[..., None, None], view[..., None, None]
        x = self.init_conv(x)
        for block in (self.out_conv0, self.out_conv1, self.out_conv2):
            x = block(x, time, view)
        return self.final_out(x)


class Block3d(nn.Module):
    """A convolution of a volume that is told the time, and the view where it is a view's own."""

    def __init__(self, taken: int, given: int, time: int, stride: int, view: bool) -> None:
        super().__init__()
        self.t_conv = nn.Conv3d(time, taken, 1)
        self.v_conv = nn.Conv3d(4, taken, 1) if view else None
        self.bn = nn.GroupNorm(8, taken)
        self.conv = nn.Conv3d(taken, given, 3, stride=stride, padding=1)

    def forward(self, x: Tensor, time: Tensor, view: Tensor) -> Tensor:
        """(N, C, D, H, W), (N, T, 1, 1, 1), (N, 4, 1, 1, 1)."""
        x = x + self.t_conv(time)
        if self.v_conv is not None:
            x = x + self.v_conv(view)
        return self.conv(functional.silu(self.bn(x)))


class Up3d(nn.Module):
    """The same, to twice the size."""

    def __init__(self, taken: int, given: int, time: int, view: bool) -> None:
        super().__init__()
        self.t_conv = nn.Conv3d(time, taken, 1)
        self.v_conv = nn.Conv3d(4, taken, 1) if view else None
        self.norm = nn.GroupNorm(8, taken)
        self.conv = nn.ConvTranspose3d(taken, given, 3, stride=2, padding=1, output_padding=1)

    def forward(self, x: Tensor, time: Tensor, view: Tensor) -> Tensor:
        """(N, C, D, H, W), (N, T, 1, 1, 1), (N, 4, 1, 1, 1)."""
        x = x + self.t_conv(time)
        if self.v_conv is not None:
            x = x + self.v_conv(view)
        return self.conv(functional.silu(self.norm(x)))


class SharedNet(nn.Module):
    """The network over the volume that all views share."""

    #: Name, level taken, level given, stride.
    DOWN = (
        ("conv0", 0, 0, 1), ("conv1", 0, 1, 2), ("conv2_0", 1, 1, 1), ("conv2_1", 1, 1, 1), ("conv3", 1, 2, 2),
        ("conv4_0", 2, 2, 1), ("conv4_1", 2, 2, 1), ("conv5", 2, 3, 2), ("conv6_0", 3, 3, 1), ("conv6_1", 3, 3, 1),
    )  # fmt: skip
    UP = (("conv7", 3, "conv4_1"), ("conv8", 2, "conv2_1"), ("conv9", 1, "conv0"))

    def __init__(self, taken: int, dims: tuple[int, ...], time: int) -> None:
        super().__init__()
        self.init_conv = nn.Conv3d(taken, dims[0], 3, padding=1)
        for name, a, b, stride in self.DOWN:
            self.add_module(name, Block3d(dims[a], dims[b], time, stride, False))
        for name, a, _ in self.UP:
            self.add_module(name, Up3d(dims[a], dims[a - 1], time, False))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(N, C, V, V, V), (N, T)."""
        time = time[..., None, None, None]
        x, kept = self.init_conv(x), {}
        for name, *_ in self.DOWN:
            x = kept[name] = self.get_submodule(name)(x, time, time)
        for name, _, beside in self.UP:
            x = kept[beside] + self.get_submodule(name)(x, time, time)
        return x


class OwnNet(nn.Module):
    """The network over a view's own volume, in planes of equal depth."""

    def __init__(self, taken: int, dims: tuple[int, ...], time: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv3d(taken, dims[0], 3, padding=1)
        for i in range(3):
            self.add_module(f"conv{2 * i + 1}", Block3d(dims[i], dims[i + 1], time, 2, True))
            self.add_module(f"conv{2 * i + 2}", Block3d(dims[i + 1], dims[i + 1], time, 1, True))
            self.add_module(f"up{i}", Up3d(dims[3 - i], dims[2 - i], time, True))

    def forward(self, x: Tensor, time: Tensor, view: Tensor) -> dict[int, Tensor]:
        """(N, C, depths, h, w), (N, T), (N, 4); returns volumes by their side."""
        time, view = time[..., None, None, None], view[..., None, None, None]
        kept = [self.conv0(x)]
        for i in range(3):
            down, same = self.get_submodule(f"conv{2 * i + 1}"), self.get_submodule(f"conv{2 * i + 2}")
            kept.append(same(down(kept[-1], time, view), time, view))
        for i in range(3):
            kept[2 - i] = self.get_submodule(f"up{i}")(kept[3 - i], time, view) + kept[2 - i]
        return {k.shape[-1]: k for k in kept}


class Volumes(nn.Module):
    """From all noisy views to one volume, and from it to each view's own."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.target_encoder = ViewEncoder(sizes.features, sizes.time)
        self.spatial_volume_feats = SharedNet(sizes.features * sizes.views, sizes.volumes, sizes.time)
        self.frustum_volume_feats = OwnNet(sizes.volumes[0], sizes.volumes, sizes.time)

    def _projections(self) -> Tensor:
        """World to pixels of the latents for each view, (V, 3, 4); the world is the authors': z up."""
        side, made = self.sizes.image // 8, []
        for camera in sync_cameras(self.sizes.views, self.sizes.image):
            lens = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
            pose = np.concatenate([camera.r @ SYNC_AXES, camera.t[:, None]], axis=1)
            made.append(np.diag([side / self.sizes.image, side / self.sizes.image, 1.0]) @ lens @ pose)
        return torch.tensor(np.stack(made), dtype=torch.float32)

    def shared(self, noisy: Tensor, time: Tensor, views: Tensor) -> Tensor:
        """Return the shared volume, (1, C, V, V, V), of noisy views (V, 4, h, w); ``views`` (V, 4), ``time`` (1, T)."""
        n, side = self.sizes.volume, noisy.shape[-1]
        ticks = torch.linspace(-0.5, 0.5, n)
        z, y, x = torch.meshgrid(ticks, ticks, ticks, indexing="ij")  # x runs fastest
        points = torch.stack([x, y, z, torch.ones_like(x)]).reshape(4, -1)
        found = []
        for i, matrix in enumerate(self._projections()):
            seen = matrix @ points
            at = seen[:2] / seen[2:].clamp(min=1e-4) / ((side - 1) / 2) - 1  # (2, n^3)
            features = self.target_encoder(noisy[i : i + 1], time, views[i : i + 1])
            grid = at.T.reshape(1, n, n * n, 2).to(features)
            found.append(functional.grid_sample(features, grid, "bilinear", "zeros", True).reshape(1, -1, n, n, n))
        return self.spatial_volume_feats(torch.cat(found, dim=1), time)

    def own(self, shared: Tensor, time: Tensor, views: Tensor, which: int) -> dict[int, Tensor]:
        """Return the volumes of one view, by their side."""
        side, depths = self.sizes.image // 8, self.sizes.depth
        reach = 0.86603  # half the diagonal of the volume
        y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        pixels = torch.stack([x, y, torch.ones_like(x)]).float().reshape(3, 1, -1)
        distance = torch.linspace(1.5 - reach, 1.5 + reach, depths).reshape(1, -1, 1)
        matrix = torch.cat([self._projections()[which], torch.tensor([[0.0, 0, 0, 1]])]).inverse()
        world = matrix[:3, :3] @ (pixels * distance).reshape(3, -1) + matrix[:3, 3:]
        grid = (world / 0.5).T.reshape(1, depths, side, side, 3).to(shared)
        sampled = functional.grid_sample(shared, grid, "bilinear", "zeros", True)
        return self.frustum_volume_feats(sampled, time, views[which : which + 1])


class SyncDreamer(nn.Module):
    """What of the published checkpoint is its own; names and shapes are equal.

    Parameters
    ----------
    sizes : Sizes
        None: those of the published weights.
    """

    def __init__(self, sizes: Sizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes = sizes or Sizes()
        self.time_embed = nn.Sequential(nn.Linear(sizes.time, sizes.time), nn.SiLU(), nn.Linear(sizes.time, sizes.time))
        self.cc_projection = nn.Linear(sizes.context + 4, sizes.context)
        self.spatial_volume = Volumes(sizes)
        self.model = nn.Module()
        self.model.diffusion_model = DepthUNet(sizes)

    def viewpoints(self, elevation: float) -> Tensor:
        """Return what the network is told of each view, (V, 4): elevations' difference, azimuth's sine and cosine, 0.

        Elevations are negated, as in Zero123 that it was made from.
        """
        azimuths = torch.arange(self.sizes.views) * (2 * math.pi / self.sizes.views)
        rise = torch.full_like(azimuths, -math.radians(ELEVATION) + math.radians(elevation))
        return torch.stack([rise, azimuths.sin(), azimuths.cos(), torch.zeros_like(azimuths)], dim=-1)


def schedule(steps: int = 50) -> tuple[list[int], Tensor, Tensor]:
    """Return the time steps of DDIM, the latest first, and alphas (cumulative) at them and before them.

    Examples
    --------
    >>> schedule()[0][:2], schedule()[0][-1]
    ([981, 961], 1)
    """
    betas = torch.linspace(0.00085**0.5, 0.0120**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, dim=0)
    times = [t + 1 for t in range(0, 1000, 1000 // steps)][:steps]
    before = torch.cat([alphas[:1], alphas[times[:-1]]])
    return times[::-1], alphas[times].flip(0).float(), before.flip(0).float()


@dataclass(eq=False)
class SyncDreamerBackend:
    """The network with its autoencoder and image encoder, opened from a converted folder.

    Attributes
    ----------
    folder : ModelFolder
        What it was opened from; named in records and errors.
    net, vae, clip : torch modules
        The network itself, the autoencoder of its latents, and the encoder of what it is shown.
    """

    folder: ModelFolder
    net: SyncDreamer
    vae: Any
    clip: Any
    device: str = "cpu"
    _scale: float = field(default=LATENT_SCALE, repr=False)

    @classmethod
    def load(cls, folder: ModelFolder, device: str = "cpu") -> SyncDreamerBackend:
        """Open a folder that the converter wrote.

        Raises
        ------
        OptionError, WeightMismatch
            If it is none, or its weights do not fill the network.
        """
        from diffusers import AutoencoderKL
        from transformers import CLIPVisionModelWithProjection

        from tratto.backends.diffusion import read_options
        from tratto.backends.transformers import quiet

        sizes, told = Sizes.read(folder.path), read_options(folder)
        net = converted(folder, lambda: SyncDreamer(sizes), "a converted SyncDreamer")
        with quiet(folder.path, "a converted SyncDreamer"):
            vae = AutoencoderKL.from_pretrained(folder.path / "vae", **told)
            clip, found = CLIPVisionModelWithProjection.from_pretrained(
                folder.path / "clip", output_loading_info=True, **told
            )
            if found["missing_keys"]:
                raise WeightMismatch(f"{folder.path / 'clip'} lacks weights: {sorted(found['missing_keys'])[:3]}")
        return cls(folder, net.to(device), vae.eval().to(device), clip.eval().to(device), device)

    def run(
        self, picture: Float, elevation: float, seed: int, steps: int = 50, guidance: float = 2.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Float:  # fmt: skip
        """Return the views of an object, (V, H, W, 3) in [0, 1], on white.

        Parameters
        ----------
        picture : (H, W, 3) float32 in [0, 1]
            Framed as :func:`tratto.scene.generated.framed` does, of the network's size.
        elevation : float
            Degrees that the picture's camera stands above the horizon.
        seed : int
            Noise is drawn on the CPU.
        steps : int
            Of the sampler.
        guidance : float
            1 = none.
        progress : callable or None
            ``progress(done, total)``; raising stops.
        """
        sizes, net = self.net.sizes, self.net
        noise = torch.Generator("cpu").manual_seed(seed)

        def drawn(*shape: int) -> Tensor:
            return torch.randn(shape, generator=noise).to(self.device)

        with torch.inference_mode():
            shown = torch.from_numpy(picture.transpose(2, 0, 1)[None] * 2 - 1).to(self.device)
            posterior = self.vae.encode(shown).latent_dist
            own = (posterior.mean + posterior.std * drawn(*posterior.mean.shape)) * self._scale
            views = net.viewpoints(elevation).to(self.device)
            words = self._embedding(shown)  # (1, D)
            side = sizes.image // 8
            noisy = drawn(sizes.views, 4, side, side)
            times, alphas, before = schedule(steps)
            for i, t in enumerate(times):
                if progress is not None:
                    progress(i, len(times))
                step = torch.tensor([t], device=self.device)
                time = net.time_embed(embedded(step, sizes.time))
                shared = net.spatial_volume.shared(noisy, time, views)
                guessed = torch.cat([
                    self._noise(noisy[n : n + 1], step, (own, words, views, shared, time), n, guidance)
                    for n in range(sizes.views)
                ])  # fmt: skip
                noisy = _stepped(noisy, guessed, alphas[i], before[i], None if i == len(times) - 1 else drawn)
            decoded = torch.cat([self.vae.decode(n[None] / self._scale).sample for n in noisy])
        if progress is not None:
            progress(len(times), len(times))
        return np.ascontiguousarray(
            (decoded.float().cpu().numpy().transpose(0, 2, 3, 1) * 0.5 + 0.5).clip(0, 1), np.float32
        )

    def _noise(self, noisy: Tensor, step: Tensor, told: tuple[Tensor, ...], which: int, guidance: float) -> Tensor:
        own, words, views, shared, time = told
        volumes = self.net.spatial_volume.own(shared, time, views, which)
        context = self.net.cc_projection(torch.cat([words, views[which : which + 1]], dim=-1))[:, None]
        beside = own / LATENT_SCALE
        unet = self.net.model.diffusion_model
        if guidance == 1:
            return unet(torch.cat([noisy, beside], dim=1), step, context, volumes)
        # without: words, volume and picture are zeros, all at once
        pair = torch.cat([noisy, noisy]), torch.cat([beside, torch.zeros_like(beside)])
        both = {k: torch.cat([v, torch.zeros_like(v)]) for k, v in volumes.items()}
        context = torch.cat([context, torch.zeros_like(context)])
        with_, without = unet(torch.cat(pair, dim=1), step.repeat(2), context, both).chunk(2)
        return without + guidance * (with_ - without)

    def _embedding(self, shown: Tensor) -> Tensor:
        """CLIP's embedding of a picture in [-1, 1]."""
        side = self.clip.config.image_size
        small = functional.interpolate(shown, (side, side), mode="bicubic", align_corners=True)
        mean, deviation = (torch.tensor(v, device=shown.device).reshape(1, 3, 1, 1) for v in (_MEAN, _DEVIATION))
        return self.clip(pixel_values=((small + 1) / 2 - mean) / deviation).image_embeds


def _stepped(noisy: Tensor, guessed: Tensor, alpha: Tensor, before: Tensor, drawn: Any) -> Tensor:
    """Take a step of DDIM with eta 1; ``drawn`` None: the last, without noise."""
    sigma = ((1 - before) / (1 - alpha) * (1 - alpha / before)).sqrt()
    clean = (noisy - (1 - alpha).sqrt() * guessed) / alpha.sqrt()
    after = before.sqrt() * clean + (1 - before - sigma**2).clamp(min=1e-7).sqrt() * guessed
    return after if drawn is None else after + sigma * drawn(*noisy.shape)


def converted(folder: ModelFolder, make: Callable[[], nn.Module], what: str) -> Any:
    """Return a network of ours with the weights of a converted folder, ready to answer.

    Parameters
    ----------
    folder : ModelFolder
        With ``model.safetensors``.
    make : callable
        Makes the network, without numbers.
    what : str
        For errors: "a converted TripoSR".

    Raises
    ------
    WeightMismatch
        If the weights are broken, or do not fill it.
    """
    from safetensors.torch import load_file

    from tratto.backends.transformers import quiet

    with quiet(folder.path, what):
        with torch.device("meta"):
            net = make()
        fill(net, load_file(folder.path / "model.safetensors"), folder.path)
    return net.eval()


def fill(net: nn.Module, tensors: dict[str, Tensor], place: Path) -> None:
    """Put weights into a network that is on the meta device; all must be there, and no others.

    Raises
    ------
    WeightMismatch
    """
    wanted = net.state_dict()
    lost, other = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    wrong = sorted(k for k in set(wanted) & set(tensors) if wanted[k].shape != tensors[k].shape)
    if lost or other or wrong:
        raise WeightMismatch(
            f"the weights in {place} do not fill the network: {len(lost)} are missing, {len(other)} are unknown, "
            f"{len(wrong)} are of another shape: {', '.join((lost + other + wrong)[:3])}"
        )
    net.load_state_dict({k: v.float() for k, v in tensors.items()}, assign=True)
