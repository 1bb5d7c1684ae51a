"""Samples, loss and checks for the network that tells a shell; the loop is in :mod:`tratto_lab.training.steps`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from numpy.typing import NDArray
from torch import Tensor, nn

from tratto_lab.corpus.shells import ShellPack, ShellView, unpacked
from tratto_lab.training.config import Run

Array = NDArray[np.float32]
#: Views of models that are held out, of which checks are made.
CHECKED = 240


def make_shell_sample(run: Run, pack: ShellPack, micro_step: int, index: int) -> tuple[Array, Array, str]:
    """Make sample ``index`` of ``micro_step``: source (128, 128, 4), target (128, 128, 10), name.

    The target is cover, front and back depth, colour behind, normal and sine of the elevation, side by side. Pictures
    are mirrored, lit and coloured otherwise, softened, noisy and compressed; the edge of the cover lies a little off,
    and the colour of some ground is mixed into it, as matting leaves it.
    """
    rng = np.random.default_rng([run.seed, micro_step, index])
    number = int(pack.training[rng.integers(len(pack.training))])
    row = pack.rows[number]
    view = unpacked(np.array(pack.data[number]))
    source, target = pair(view, float(row["elevation"]))
    front, behind = source[..., :3], target[..., 3:6]
    both = np.concatenate([front, behind], axis=0)
    both = _recolored(both, rng)
    front, target[..., 3:6] = both[: len(front)], both[len(front) :]
    alpha = source[..., 3]
    ground = rng.uniform(0, 1, 3).astype(np.float32)
    seen = front * alpha[..., None] + ground * (1 - alpha[..., None])
    seen = _as_photographed(seen, rng)
    if rng.uniform() < 0.6:
        alpha = _off(alpha, rng)
    source = np.concatenate([seen * alpha[..., None], alpha[..., None]], axis=-1)
    if rng.uniform() < 0.5:
        source, target = source[:, ::-1], target[:, ::-1].copy()
        target[..., 6] *= -1
    return np.ascontiguousarray(source), np.ascontiguousarray(target), f"{row['collection']}/{row['path']} {number}"


def pair(view: ShellView, elevation: float) -> tuple[Array, Array]:
    """Return picture and cover (H, W, 4), not multiplied, and what the network should tell of it (H, W, 10)."""
    known = ~np.isnan(view.front) & ~np.isnan(view.back) & (view.alpha > 0.4)
    planes = [known, np.nan_to_num(view.front), np.nan_to_num(view.back), view.behind, view.normal]
    planes.append(np.full(view.alpha.shape, np.sin(np.radians(elevation))))
    target = np.concatenate([np.atleast_3d(p).astype(np.float32) for p in planes], axis=-1)
    return np.concatenate([view.color, view.alpha[..., None]], axis=-1), target


def _recolored(picture: Array, rng: np.random.Generator) -> Array:
    if rng.uniform() < 0.4:
        picture = picture[..., rng.permutation(3)]
    gray = picture @ np.array([[0.299], [0.587], [0.114]], np.float32)
    picture = gray + np.float32(rng.uniform(0.3, 1.3) if rng.uniform() < 0.6 else 1) * (picture - gray)
    picture = np.clip(picture * np.float32(np.exp(rng.uniform(-0.35, 0.3))), 0, 1)
    return np.asarray(picture ** np.float32(np.exp(rng.uniform(-0.35, 0.35))), np.float32)


def _as_photographed(picture: Array, rng: np.random.Generator) -> Array:
    if rng.uniform() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 1.0)))  # type: ignore[assignment]
    if rng.uniform() < 0.3:
        picture = picture + np.float32(rng.uniform(0, 0.03)) * rng.standard_normal(picture.shape, np.float32)
    if rng.uniform() < 0.2:
        levels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
        done, data = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 96))])
        if done:
            picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.float32) / np.float32(255)
    return np.clip(picture, 0, 1)


def _off(alpha: Array, rng: np.random.Generator) -> Array:
    soft = cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(0.4, 1.2)))
    return np.clip((soft - 0.5) * float(rng.uniform(1, 2.5)) + 0.5 + float(rng.uniform(-0.3, 0.3)), 0, 1)


def _slopes(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    across = (x[..., 1:] - x[..., :-1]) * (mask[..., 1:] * mask[..., :-1])
    down = (x[..., 1:, :] - x[..., :-1, :]) * (mask[..., 1:, :] * mask[..., :-1, :])
    return across, down


def shell_loss(network: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    """Return the loss of one micro-batch: mean over the pixels that the object covers, and the elevation.

    Absolute error of both depths and of their slopes, of the colour behind and its slopes; cosine of the normals;
    square of the error of the elevation's sine.
    """
    out = network(source).float()
    mask = target[:, :1]
    count = mask.sum().clamp_min(1)
    apart = out[:, :5] - target[:, 1:6]
    depth, color = apart[:, :2], apart[:, 2:]
    loss = (depth.abs() * mask).sum() / count + (color.abs() * mask).sum() / (3 * count)
    for error, weight in ((depth, 1.0), (color, 0.2)):
        across, down = _slopes(error, mask)
        loss = loss + weight * (across.abs().sum() + down.abs().sum()) / count
    fit = F.cosine_similarity(out[:, 5:8], target[:, 6:9], dim=1, eps=1e-4)[:, None]
    loss = loss + 0.1 * ((1 - fit) * mask).sum() / count
    tilt: Tensor = (out[:, 8].mean((1, 2)) - target[:, 9].mean((1, 2))).square().mean()
    return loss + tilt


class ShellChecks:
    """Errors on views of models that are not trained on: the families by name; the other collection is kept apart."""

    sheet: Tensor | None = None

    def __init__(self, folder: Path, run: Run) -> None:
        pack = ShellPack(folder)
        drawn = np.random.default_rng(50).permutation(pack.checks)[:CHECKED]
        self.cases: dict[str, list[tuple[Tensor, Tensor]]] = {}
        for number in drawn:
            source, target = pair(unpacked(np.array(pack.data[number])), float(pack.rows[number]["elevation"]))
            source[..., :3] *= source[..., 3:]
            both = tuple(torch.from_numpy(a).permute(2, 0, 1)[None].contiguous() for a in (source, target))
            self.cases.setdefault("held out", []).append(both)  # type: ignore[arg-type]

    @torch.no_grad()
    def measure(self, ema: object, network: nn.Module) -> dict[str, float]:
        """Measure the EMA weights."""
        kept = {k: v.clone() for k, v in network.state_dict().items()}
        network.load_state_dict(ema.shadow)  # type: ignore[attr-defined]
        out = self.scores(network)
        network.load_state_dict(kept)
        return out

    @torch.no_grad()
    def scores(self, network: nn.Module) -> dict[str, float]:
        """Mean absolute errors: of depths in lengths of the silhouette, of colour, of angles in degrees."""
        network.eval()
        rows, told = [], []
        for source, target in self.cases.get("held out", []):
            out = network(source)
            mask = target[:, 0] > 0.5
            apart = (out[:, :5] - target[:, 1:6]).abs()
            fit = F.cosine_similarity(out[:, 5:8], target[:, 6:9], dim=1, eps=1e-4)
            angle = torch.rad2deg(torch.acos(fit.clamp(-1, 1)))
            tilt = torch.rad2deg(torch.asin(out[:, 8].mean().clamp(-1, 1)) - torch.asin(target[:, 9].mean()))
            rows.append([
                apart[:, 0][mask].mean().item(), apart[:, 1][mask].mean().item(),
                apart[:, 2:].mean(1)[mask].mean().item(), angle[mask].mean().item(), abs(tilt.item()),
            ])  # fmt: skip
            if len(told) < 8:
                planes = [source[:, :3], *(0.5 - p[:, None].expand(-1, 3, -1, -1) / 2 for p in
                          (target[:, 1], out[:, 0], target[:, 2], out[:, 1])), target[:, 3:6], out[:, 2:5]]  # fmt: skip
                told.append(torch.cat([planes[0], *(p * target[:, :1] for p in planes[1:])], 3)[0].clamp(0, 1))
        self.sheet = torch.cat(told, 1) if told else None
        network.train()
        names = ("front", "back", "color behind", "normal degrees", "elevation degrees")
        return {n: round(float(v), 4) for n, v in zip(names, np.mean(rows, axis=0), strict=True)} if rows else {}
