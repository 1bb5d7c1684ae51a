"""TripoSR: from one picture to a field of density and colour (Tochilkin et al. 2024, "TripoSR").

The network is defined here under the names that the published checkpoint has; ``python -m tratto_lab.convert.views
triposr`` makes safetensors of it once. The field is rendered from all sides, and Gaussians are fitted to that.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tratto.backends.syncdreamer import Layer, converted
from tratto.core.errors import OptionError
from tratto.models.folders import ModelFolder, read_json
from tratto.scene.camera import Camera
from tratto.scene.generated import SYNC_AXES

Float = NDArray[np.float32]
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Points that are asked about at once, and samples along a ray.
CHUNK, SAMPLES = 1 << 17, 128


@dataclass(frozen=True)
class Sizes:
    """Sizes of the network; the defaults are those of the published weights.

    Attributes
    ----------
    image, patch : int
        Sides in pixels of the picture and of what becomes a token.
    seen, seen_layers, seen_heads, pretrained : int
        Of the transformer that looks at the picture (DINO ViT-B/16); side of the pictures of its own training.
    width, layers, heads : int
        Of the transformer that makes the three planes.
    plane, features, neurons, hidden : int
        Side of a plane in tokens, its channels, and the network that reads them.
    """

    image: int = 512
    patch: int = 16
    seen: int = 768
    seen_layers: int = 12
    seen_heads: int = 12
    pretrained: int = 224
    width: int = 1024
    layers: int = 16
    heads: int = 16
    plane: int = 32
    features: int = 40
    neurons: int = 64
    hidden: int = 9

    @classmethod
    def read(cls, folder: Path) -> Sizes:
        """Read them from ``config.json``.

        Raises
        ------
        OptionError
            If it is missing or another network's.
        """
        given = read_json(folder / "config.json", "a converted TripoSR has one")
        if given.get("model_type") != "triposr":
            raise OptionError(f"{folder} holds a {given.get('model_type')!r}, not a converted TripoSR")
        made = {f.name: given[f.name] for f in fields(cls) if f.name in given}
        if bad := [k for k, v in made.items() if not isinstance(v, int) or not 1 <= v <= 4096]:
            raise OptionError(f"{folder / 'config.json'} makes no sense: {', '.join(bad)}")
        return cls(**made)

    def to_json(self) -> str:
        """Return them as ``config.json``."""
        return json.dumps({"model_type": "triposr", **{f.name: getattr(self, f.name) for f in fields(self)}})


def _named(**modules: nn.Module) -> nn.Module:
    """Return a module that only gives others their names."""
    made = nn.Module()
    for name, module in modules.items():
        made.add_module(name, module)
    return made


class SeenLayer(nn.Module):
    """A layer of a vision transformer (Dosovitskiy et al. 2021), norms first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        linear = {n: nn.Linear(width, width) for n in ("query", "key", "value")}
        self.attention = _named(attention=_named(**linear), output=_named(dense=nn.Linear(width, width)))
        self.intermediate = _named(dense=nn.Linear(width, 4 * width))
        self.output = _named(dense=nn.Linear(4 * width, width))
        self.layernorm_before, self.layernorm_after = (nn.LayerNorm(width, eps=1e-12) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C)."""
        own, made = self.attention.attention, self.layernorm_before(x)
        q, k, v = (t(made).unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (own.query, own.key, own.value))
        x = x + self.attention.output.dense(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.output.dense(functional.gelu(self.intermediate.dense(self.layernorm_after(x))))


class Seer(nn.Module):
    """The vision transformer that looks at the picture: DINO's ViT-B/16, its positions stretched to larger ones."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, side = sizes.seen, sizes.pretrained // sizes.patch
        self.embeddings = _named(patch_embeddings=_named(projection=nn.Conv2d(3, width, sizes.patch, sizes.patch)))
        self.embeddings.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.embeddings.position_embeddings = nn.Parameter(torch.zeros(1, 1 + side * side, width))
        self.encoder = _named(layer=nn.ModuleList(SeenLayer(width, sizes.seen_heads) for _ in range(sizes.seen_layers)))
        self.layernorm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, picture: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 1 + patches, C)."""
        x = self.embeddings.patch_embeddings.projection(picture)
        size, known = x.shape[-2:], self.embeddings.position_embeddings
        side = round((known.shape[1] - 1) ** 0.5)
        grid = known[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        if tuple(size) != (side, side):
            grid = functional.interpolate(grid, size, mode="bicubic", align_corners=False)
        x = x.flatten(2).transpose(1, 2) + grid.flatten(2).transpose(1, 2)
        first = (self.embeddings.cls_token + known[:, :1]).expand(len(x), -1, -1)
        x = torch.cat([first, x], dim=1)
        for layer in self.encoder.layer:
            x = layer(x)
        return self.layernorm(x)


class Reader(nn.Module):
    """The layers that read the planes: density and three colours of a point."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        widths = [3 * sizes.features, *[sizes.neurons] * sizes.hidden]
        made: list[nn.Module] = []
        for a, b in itertools.pairwise(widths):
            made += [nn.Linear(a, b), nn.SiLU()]
        self.layers = nn.Sequential(*made, nn.Linear(sizes.neurons, 4))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3 C) to (N, 4)."""
        return self.layers(x)


class Backbone(nn.Module):
    """The transformer over the tokens of the planes, which attends to those of the picture."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(min(32, sizes.width), sizes.width, eps=1e-6)
        self.proj_in, self.proj_out = nn.Linear(sizes.width, sizes.width), nn.Linear(sizes.width, sizes.width)
        self.transformer_blocks = nn.ModuleList(
            Layer(sizes.width, sizes.seen, sizes.heads) for _ in range(sizes.layers)
        )

    def forward(self, tokens: Tensor, picture: Tensor) -> Tensor:
        """(N, C, L) and (N, M, D)."""
        x = self.proj_in(self.norm(tokens).transpose(1, 2))
        for block in self.transformer_blocks:
            x = block(x, picture)
        return self.proj_out(x).transpose(1, 2) + tokens


class TripoSR(nn.Module):
    """The network; names and shapes are those of the published checkpoint.

    Parameters
    ----------
    sizes : Sizes
        None: those of the published weights.
    """

    def __init__(self, sizes: Sizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes = sizes or Sizes()
        self.image_tokenizer = _named(model=Seer(sizes))
        self.tokenizer = nn.Module()
        self.tokenizer.embeddings = nn.Parameter(torch.zeros(3, sizes.width, sizes.plane, sizes.plane))
        self.backbone = Backbone(sizes)
        self.post_processor = _named(upsample=nn.ConvTranspose2d(sizes.width, sizes.features, 2, stride=2))
        self.decoder = Reader(sizes)

    def planes(self, picture: Tensor) -> Tensor:
        """Return the three planes, (3, C, 2 P, 2 P), of a picture (1, 3, H, W) in [0, 1] on grey."""
        mean, deviation = (torch.tensor(v, device=picture.device).reshape(1, 3, 1, 1) for v in (_MEAN, _DEVIATION))
        seen = self.image_tokenizer.model((picture - mean) / deviation)
        own = self.tokenizer.embeddings  # (3, C, P, P)
        tokens = own.permute(1, 0, 2, 3).flatten(1)[None]
        made = self.backbone(tokens, seen)[0].unflatten(1, (3, own.shape[2], own.shape[3]))
        return self.post_processor.upsample(made.transpose(0, 1))

    def field(self, planes: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return density (N,) and colour (N, 3) at points (N, 3) in [-1, 1], in the authors' axes."""
        density, color = [], []
        for some in points.split(CHUNK):
            at = torch.stack([some[:, [0, 1]], some[:, [0, 2]], some[:, [1, 2]]])[:, None]  # (3, 1, N, 2)
            read = functional.grid_sample(planes, at, "bilinear", "zeros", False)  # (3, C, 1, N)
            out = self.decoder(read[:, :, 0].permute(2, 0, 1).flatten(1))
            density.append((out[:, 0] - 1).exp())
            color.append(out[:, 1:].sigmoid())
        return torch.cat(density), torch.cat(color)


@dataclass(eq=False)
class TripoSRBackend:
    """The network, opened from a converted folder."""

    folder: ModelFolder
    net: TripoSR
    device: str = "cpu"
    #: Half the side of the cube that the field fills.
    radius: float = 0.87

    @classmethod
    def load(cls, folder: ModelFolder, device: str = "cpu") -> TripoSRBackend:
        """Open a folder that the converter wrote.

        Raises
        ------
        OptionError, WeightMismatch
            If it is none, or its weights do not fill the network.
        """
        sizes = Sizes.read(folder.path)
        return cls(folder, converted(folder, lambda: TripoSR(sizes), "a converted TripoSR").to(device), device)

    def run(
        self, picture: Float, cameras: Sequence[Camera], progress: Callable[[int, int], None] | None = None
    ) -> list[tuple[Float, Float]]:
        """Return colour (H, W, 3) and alpha (H, W) of the field as cameras see it.

        Parameters
        ----------
        picture : (H, W, 3) float32 in [0, 1]
            The object on grey, square.
        cameras : sequence of Camera
            In our axes; the picture's own stands at -z.
        progress : callable or None
            ``progress(done, total)``; raising stops.
        """
        made = []
        with torch.inference_mode():
            size = (self.net.sizes.image,) * 2
            shown = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)[None])).to(self.device)
            planes = self.net.planes(functional.interpolate(shown, size, mode="bilinear", antialias=True))
            for i, camera in enumerate(cameras):
                if progress is not None:
                    progress(i, len(cameras))
                made.append(self._seen(planes, camera))
        if progress is not None:
            progress(len(cameras), len(cameras))
        return made

    def _seen(self, planes: Tensor, camera: Camera) -> tuple[Float, Float]:
        y, x = np.mgrid[: camera.height, : camera.width] + 0.5
        rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], axis=-1)
        turn = camera.r @ SYNC_AXES  # from the authors' world to the camera
        rays = rays.reshape(-1, 3) @ turn
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        start = SYNC_AXES.T @ camera.center
        safe = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
        ends = np.sort(np.stack([(-self.radius - start) / safe, (self.radius - start) / safe]), axis=0)
        near, far = np.maximum(ends[0].max(axis=1), 0), ends[1].min(axis=1)
        hit = np.flatnonzero(far > near)
        color, alpha = np.zeros((len(rays), 3), np.float32), np.zeros(len(rays), np.float32)
        share = torch.from_numpy(((np.arange(SAMPLES) + 0.5) / SAMPLES).astype(np.float32)).to(self.device)
        for some in np.array_split(hit, max(1, len(hit) * SAMPLES // (1 << 21))):
            a, b, d = (torch.from_numpy(v[some].astype(np.float32)).to(self.device) for v in (near, far, rays))
            at = a[:, None] * (1 - share) + b[:, None] * share  # (N, S)
            points = torch.tensor(start, dtype=torch.float32, device=self.device) + at[..., None] * d[:, None]
            density, shade = self.net.field(planes, points.reshape(-1, 3) / self.radius)
            # the authors count each of the equal parts of a ray as 1 / S, however long the ray is
            solid = 1 - (-density.reshape(at.shape) / SAMPLES).exp()
            left = torch.cat([torch.ones_like(solid[:, :1]), (1 - solid[:, :-1]).cumprod(dim=1)], dim=1)
            weight = solid * left
            color[some] = (weight[..., None] * shade.reshape(*at.shape, 3)).sum(1).cpu().numpy()
            alpha[some] = weight.sum(1).cpu().numpy()
        shape = (camera.height, camera.width)
        plain = color / np.maximum(alpha, 1e-4)[:, None]
        return np.clip(plain.reshape(*shape, 3), 0, 1), np.clip(alpha.reshape(shape), 0, 1)
