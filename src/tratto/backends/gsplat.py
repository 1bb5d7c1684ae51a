"""Gaussians rendered by gsplat on an NVIDIA GPU, behind the contract of our own rasterizer.

gsplat compiles its kernels for CUDA on first use and draws nothing without it. Its sums are atomic, so a run is not
equal to another bit by bit, and a replay reaches tier B or C.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import DescriberInfo
from tratto.core.errors import UnavailableError
from tratto.scene.rasterize import PARAMETERS, Constants, Gradients, Rendered

_NEEDS = "the rasterizer gsplat needs an NVIDIA GPU, its CUDA toolkit, torch with CUDA and: pip install gsplat"


def missing_gsplat() -> UnavailableError | None:
    """Return why gsplat cannot be used here, or None."""
    for package in ("gsplat", "torch"):
        if find_spec(package) is None:
            return UnavailableError(f"{_NEEDS} ({package} is not installed); the rasterizer cpu needs none of these")
    import torch

    if not torch.cuda.is_available():
        return UnavailableError(f"{_NEEDS} (torch finds no CUDA here); the rasterizer cpu needs none of these")
    return None


class Gsplat:
    """gsplat 1.5 or later. Constants of its own are alpha_min and transmittance_min; the others are handed over."""

    def __init__(self) -> None:
        #: Facts about it.
        self.info = DescriberInfo("gsplat", library=f"gsplat {version('gsplat')}", megapixels_per_second=0.2)

    def render(self, scene: Any, camera: Any, background: Any, constants: Constants) -> Rendered:
        """Render a scene; see :func:`tratto.scene.rasterize.render`."""
        import torch
        from gsplat import rasterization

        leaves = [
            torch.tensor(np.ascontiguousarray(getattr(scene, n)), device="cuda", requires_grad=True) for n in PARAMETERS
        ]
        means, quats, scales, logits, sh = leaves
        view = torch.eye(4, device="cuda")
        view[:3, :3], view[:3, 3] = torch.tensor(camera.r), torch.tensor(camera.t)
        lens = torch.tensor([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], device="cuda")
        degree = round(sh.shape[1] ** 0.5) - 1
        ground = torch.tensor([*background, 0.0], dtype=torch.float32, device="cuda")
        image, alpha, meta = rasterization(
            means, quats, scales.exp(), torch.sigmoid(logits), sh, view[None], lens[None].float(), camera.width,
            camera.height, near_plane=constants.near, eps2d=constants.dilation, sh_degree=degree, packed=False,
            render_mode="RGB+D", backgrounds=ground[None],
        )  # fmt: skip
        meta["means2d"].retain_grad()
        shown, opaque = image[0], alpha[0, ..., 0]
        radii = meta["radii"][0].reshape(len(means), -1)
        return Rendered(
            shown[..., :3].detach().cpu().numpy(),
            shown[..., 3].detach().cpu().numpy(),
            opaque.detach().cpu().numpy(),
            (radii > 0).all(dim=1).cpu().numpy(),
            (leaves, shown, opaque, meta["means2d"]),
        )

    def backward(
        self,
        rendered: Rendered,
        color: NDArray[Any],
        depth: NDArray[Any] | None = None,
        alpha: NDArray[Any] | None = None,
    ) -> Gradients:
        """Carry a gradient back; see :func:`tratto.scene.rasterize.backward`."""
        import torch

        leaves, shown, opaque, flat = rendered.state
        to_depth = np.zeros(shown.shape[:2], np.float32) if depth is None else depth
        to_image = np.concatenate([color, to_depth[..., None]], axis=2).astype(np.float32)
        to_alpha = np.zeros(opaque.shape, np.float32) if alpha is None else np.asarray(alpha, np.float32)
        downwards = [torch.tensor(values, device="cuda") for values in (to_image, to_alpha)]
        found = torch.autograd.grad([shown, opaque], [*leaves, flat], downwards, retain_graph=True)
        positions, rotations, scales, opacities, harmonics, at = (g.cpu().numpy() for g in found)
        return Gradients(positions, rotations, scales, opacities, harmonics, at.reshape(-1, 2))
