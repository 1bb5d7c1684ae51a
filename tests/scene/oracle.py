"""What the rasterizer must give, written as plainly as possible: torch in 64 bits, every Gaussian on every pixel."""

import numpy as np
import torch

from tratto.scene.rasterize import PARAMETERS, USUAL

C1 = 0.4886025119029199


def basis(d, terms):
    x, y, z = d.unbind(-1)
    b = [torch.full_like(x, 0.28209479177387814)]
    if terms > 1:
        b += [-C1 * y, C1 * z, -C1 * x]
    if terms > 4:
        b += [1.0925484305920792 * x * y, -1.0925484305920792 * y * z, 0.9461746957575601 * z * z - 0.31539156525252005]
        b += [-1.0925484305920792 * x * z, 0.5462742152960396 * (x * x - y * y)]
    if terms > 9:
        zz = 2.285228997322329 * z * z - 0.4570457994644658  # on the unit sphere
        b += [-0.5900435899266435 * y * (3 * x * x - y * y), 2.890611442640554 * x * y * z, -zz * y]
        b += [z * (1.865881662950577 * z * z - 1.119528997770346), -zz * x]
        b += [1.445305721320277 * z * (x * x - y * y), -0.5900435899266435 * x * (x * x - 3 * y * y)]
    return torch.stack(b, -1)


def render(tensors, camera, background, constants=USUAL):
    """Return colour over the background, depth and alpha as tensors."""
    means, quats, scales, logits, sh = tensors
    r, t = torch.tensor(camera.r), torch.tensor(camera.t)
    seen = means @ r.T + t
    x, y, z = seen.unbind(-1)
    q = quats / quats.norm(dim=-1, keepdim=True)
    w, i, j, k = q.unbind(-1)
    turned = torch.stack([
        1 - 2 * (j * j + k * k), 2 * (i * j - w * k), 2 * (i * k + w * j),
        2 * (i * j + w * k), 1 - 2 * (i * i + k * k), 2 * (j * k - w * i),
        2 * (i * k - w * j), 2 * (j * k + w * i), 1 - 2 * (i * i + j * j),
    ], -1).reshape(-1, 3, 3)  # fmt: skip
    m = turned * scales.exp()[:, None, :]
    cov = r @ (m @ m.transpose(1, 2)) @ r.T
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    sx, sy = 0.15 * camera.width / fx, 0.15 * camera.height / fy
    tx = z * (x / z).clamp(-(cx / fx + sx), (camera.width - cx) / fx + sx)
    ty = z * (y / z).clamp(-(cy / fy + sy), (camera.height - cy) / fy + sy)
    o = torch.zeros_like(z)
    jac = torch.stack([fx / z, o, -fx * tx / z**2, o, fy / z, -fy * ty / z**2], -1).reshape(-1, 2, 3)
    flat = jac @ cov @ jac.transpose(1, 2) + constants.dilation * torch.eye(2, dtype=torch.float64)
    inverse = torch.linalg.inv(flat)
    middle = torch.stack([fx * x / z + cx, fy * y / z + cy], -1)
    d = means - torch.tensor(camera.center)
    b = basis(d / d.norm(dim=-1, keepdim=True), sh.shape[1])
    color = (torch.einsum("nk,nkc->nc", b, sh) + 0.5).clamp(min=0)
    alpha_of = torch.sigmoid(logits)
    py, px = torch.meshgrid(
        torch.arange(camera.height, dtype=torch.float64) + 0.5,
        torch.arange(camera.width, dtype=torch.float64) + 0.5, indexing="ij",
    )  # fmt: skip
    out = torch.zeros(camera.height, camera.width, 4, dtype=torch.float64)
    left = torch.ones(camera.height, camera.width, dtype=torch.float64)
    live = torch.ones_like(left, dtype=torch.bool)
    for g in np.argsort(z.detach().numpy(), kind="stable"):
        if z[g] <= constants.near:
            continue
        dx, dy = middle[g, 0] - px, middle[g, 1] - py
        power = -(0.5 * (inverse[g, 0, 0] * dx**2 + inverse[g, 1, 1] * dy**2) + inverse[g, 0, 1] * dx * dy)
        alpha = (alpha_of[g] * power.exp()).clamp(max=constants.alpha_max)
        counts = live & (alpha >= constants.alpha_min)
        full = counts & (left * (1 - alpha) <= constants.transmittance_min)
        live = live & ~full
        alpha = torch.where(counts & ~full, alpha, torch.zeros_like(alpha))
        out = out + (left * alpha)[..., None] * torch.cat([color[g], z[g : g + 1]])
        left = left * (1 - alpha)
    ground = torch.tensor(background, dtype=torch.float64)
    return out[..., :3] + left[..., None] * ground, out[..., 3], 1 - left


def tensors_of(scene):
    return [torch.tensor(getattr(scene, n), dtype=torch.float64, requires_grad=True) for n in PARAMETERS]
