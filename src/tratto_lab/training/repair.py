"""Samples, losses and checks for the two networks of ``repair``; the loop is in :mod:`tratto_lab.training.steps`."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from numpy.typing import NDArray
from torch import Tensor, nn

from tratto.imaging.fill import plate_fill
from tratto.imaging.masks import decided
from tratto_lab.corpus.pack import Pack
from tratto_lab.simulate.damage import CLASSES
from tratto_lab.simulate.damage_seen import damaged
from tratto_lab.simulate.holes import medium, thin
from tratto_lab.training.config import Run
from tratto_lab.training.held_out import held_out_crops

Array = NDArray[np.float32]
NETWORKS = ("inpainter", "segmenter")


def gray_or_toned(picture: Array, rng: np.random.Generator) -> Array:
    """Return a picture without its colour: grey, or toned as old prints are (sepia, selenium), and less contrasted."""
    gray = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    warm = rng.uniform(0, 1) if rng.uniform() < 0.6 else 0.0
    black, white = rng.uniform(0, 0.12), rng.uniform(0.8, 1.0)
    gray = black + (white - black) * gray
    tone = np.array([1 + 0.06 * warm, 1 - 0.02 * warm, 1 - 0.22 * warm], np.float32)
    return np.clip(gray[..., None] * tone, 0, 1).astype(np.float32)


def exposed(picture: Array, rng: np.random.Generator) -> Array:
    """Return a picture lit, exposed and coloured otherwise: saturation, gain up to clipped lights, gamma."""
    gray = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    out = gray[..., None] + np.float32(rng.uniform(0.4, 1.3)) * (picture - gray[..., None])
    out = np.clip(out * np.float32(np.exp(rng.uniform(-0.5, 0.5))), 0, 1)
    return np.asarray(out ** np.float32(np.exp(rng.uniform(-0.4, 0.4))), np.float32)


def random_holes(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw holes for training: thin and medium ones of random width, share and mixture."""
    kind = rng.uniform()
    out = np.zeros(shape, bool)
    if kind < 0.65:
        out |= thin(shape, rng, rng.uniform(0.05, 0.16), rng.uniform(1.2, 5.0))
    if kind > 0.55:
        out |= medium(shape, rng, rng.uniform(0.05, 0.18), rng.uniform(2.5, 9.0))
    return out


def random_damage(run: Run, rng: np.random.Generator) -> list[tuple[str, float]]:
    """Draw which damage a training crop gets: none in a share of ``intact_share``, else one to three kinds."""
    if rng.uniform() < run.data.intact_share:
        return []
    count = int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))
    return [(_kind(run, rng), float(rng.uniform(0.25, 1.0))) for _ in range(count)]


def random_unit(run: Run, rng: np.random.Generator) -> float:
    """Draw the size of damage."""
    if not run.data.units:
        return float(rng.uniform(0.8, 2.2))
    low, high = run.data.units
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _kind(run: Run, rng: np.random.Generator) -> str:
    if not run.data.kinds:
        return CLASSES[int(rng.integers(len(CLASSES)))]
    weights = np.array([run.data.kinds.get(k, 1.0) for k in CLASSES])
    return CLASSES[int(rng.choice(len(CLASSES), p=weights / weights.sum()))]


def as_seen(picture: Array, rng: np.random.Generator) -> Array:
    """Return a picture as a scanner or camera would have it: often a little soft, noisy or compressed.

    Damage is drawn without any of that, and a network must not know it by its cleanness.
    """
    import cv2

    out = picture
    if rng.uniform() < 0.3:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.3, 0.9)))
    if rng.uniform() < 0.35:
        level = float(rng.uniform(0.5, 7.0)) / 255
        grain = rng.standard_normal(out.shape[:2], np.float32)[..., None]
        if rng.uniform() < 0.4:
            grain = rng.standard_normal(out.shape, np.float32)
        out = out + np.float32(level) * grain
    levels = np.rint(np.clip(out, 0, 1) * 255).astype(np.uint8)
    if rng.uniform() < 0.3:
        done, packed = cv2.imencode(".jpg", levels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))])
        if done:
            levels = cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(levels.astype(np.float32) / np.float32(255))


def warped(picture: Array, side: int, rng: np.random.Generator) -> Array:
    """Return the middle of a picture turned by any angle and stretched, its edges as sharp as before or sharper.

    Parameters
    ----------
    picture : (h, w, 3) float32 in [0, 1]
        Encoded sRGB.
    side : int
        Of the square that is returned, in pixels; what lies outside the picture is mirrored into it.
    rng : numpy.random.Generator
        Draws angle and stretch.

    Returns
    -------
    (side, side, 3) float32 in [0, 1]
        One pixel of it spans 0.75 to 1.5 of the picture's along one axis, and as much along the other.
    """
    import cv2

    angle = float(rng.uniform(0, 2 * np.pi))
    scales = np.exp(rng.uniform(np.log(0.75), np.log(1.5), 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag(scales)
    middle = np.array([picture.shape[1] - 1, picture.shape[0] - 1]) / 2
    shift = middle - matrix @ np.full(2, (side - 1) / 2)
    out = cv2.warpAffine(
        picture,
        np.column_stack((matrix, shift)),
        (side, side),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    amount = np.float32(rng.uniform(0, 1.0))
    out = out + amount * (out - cv2.GaussianBlur(out, (0, 0), 1.0))
    return np.clip(out, 0, 1).astype(np.float32)


def _clean(run: Run, pack: Pack, rng: np.random.Generator) -> tuple[Array, str]:
    """Draw a crop without damage."""
    if run.data.warped_share and rng.spawn(1)[0].uniform() < run.data.warped_share:
        wide, name = pack.crop(run.data.patch * 3 // 2, rng)
        return warped(wide, run.data.patch, rng), name
    return pack.crop(run.data.patch, rng)


def turned(picture: Array, target: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Mirror and turn a square crop and its target, both (n, n, k), alike: one of eight ways."""
    quarters, mirror = int(rng.integers(4)), bool(rng.integers(2))
    both = (np.rot90(p[:, ::-1] if mirror else p, quarters) for p in (picture, target))
    seen, marked = (np.ascontiguousarray(p) for p in both)
    return seen, marked


def make_repair_sample(run: Run, pack: Pack, micro_step: int, index: int) -> tuple[Array, Array, str]:
    """Make sample ``index`` of ``micro_step``: source (h, w, 3 or 4), target (h, w, 3 or classes), name."""
    rng = np.random.default_rng([run.seed, micro_step, index])
    clean, name = _clean(run, pack, rng)
    if run.data.exposed_share and rng.uniform() < run.data.exposed_share:
        clean = exposed(clean, rng)
    if run.data.swapped_share and rng.uniform() < run.data.swapped_share:
        clean = np.ascontiguousarray(clean[..., rng.permutation(3)])
    if rng.uniform() < run.data.gray_share:
        clean = gray_or_toned(clean, rng)
    if run.network == "inpainter":
        hole = random_holes(clean.shape[:2], rng)  # type: ignore[arg-type]
        filled = plate_fill(clean, hole)
        return np.concatenate([filled, hole[..., None].astype(np.float32)], axis=2), clean, name
    kinds = random_damage(run, rng)
    picture, target = damaged(clean, kinds, rng, random_unit(run, rng))
    names = "+".join(k for k, _ in kinds) or "intact"
    seen = as_seen(picture, rng)
    if run.data.scanned_gray_share and rng.uniform() < run.data.scanned_gray_share:
        levels = np.rint(255 * seen @ np.array([[0.299], [0.587], [0.114]], np.float32))
        seen = np.repeat(levels / np.float32(255), 3, axis=2)
    if run.data.turned_share and rng.uniform() < run.data.turned_share:
        seen, target = turned(seen, target, rng)
    return seen, target, f"{name} {names}"


def repair_loss(run: Run, network: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    """Loss of one micro-batch.

    Inpainting: Charbonnier inside the holes, and the exponential likelihood of the standard error there. Finding
    damage: binary cross-entropy plus one minus the soft Dice score (Milletari et al. 2016), mean over the classes
    that are there: of the batch, which weighs pixels, and of each sample, in which a few specks weigh as much as a
    large smudge. Over all classes the score would mostly say that absent ones are absent. Where the network says which
    kinds the picture has, also the cross-entropy of that.
    """
    if run.network == "inpainter":
        picture, log_sigma = network(source)
        hole = source[:, 3:]
        count = hole.sum().clamp_min(1)
        error = torch.sqrt((picture.float() - target).square() + run.optim.charbonnier**2) * hole
        loss = error.sum() / (3 * count)
        rms = (picture.detach().float() - target).square().mean(1, keepdim=True).sqrt()
        nll = (log_sigma.float() + rms * torch.exp(-log_sigma.float())) * hole
        return loss + run.optim.sigma_weight * nll.sum() / count
    out = network(source)
    logits, kinds = (x.float() for x in out) if isinstance(out, tuple) else (out.float(), None)
    true = torch.cat((target, target.amax(1, keepdim=True)), 1)
    entropy = F.binary_cross_entropy_with_logits(logits, true)
    if kinds is not None:
        entropy = entropy + run.optim.presence_weight * F.binary_cross_entropy_with_logits(kinds, true.amax((2, 3)))
    probability = torch.sigmoid(logits)
    both, there, predicted = (x.sum((2, 3)) for x in (probability * true, true, probability))
    return entropy + 0.5 * (_missed(both.sum(0), there.sum(0), predicted.sum(0)) + _missed(both, there, predicted))


def _missed(both: Tensor, there: Tensor, predicted: Tensor) -> Tensor:
    """One minus the soft Dice score, mean over what is there."""
    present = (there > 0).float()
    return ((1 - 2 * both / (predicted + there + 1)) * present).sum() / present.sum().clamp_min(1)


class RepairChecks:
    """Checks on 256 x 256 crops of the held-out photographs at half size.

    Inpainting: PSNR in dB inside thin and medium holes, beside the first filling. Finding damage: F1 per class and
    over all, as :func:`tratto.imaging.masks.decided` tells them.
    """

    def __init__(self, photos: Path, run: Run) -> None:
        self.run = run
        self.sheet: Tensor | None = None
        self.cases: dict[str, list[tuple[Tensor, Tensor]]] = {}
        for number, clean in held_out_crops(photos):
            if run.network == "inpainter":
                for case, make in (("thin", thin), ("medium", medium)):
                    hole = make(clean.shape[:2], np.random.default_rng([30, number]))  # type: ignore[operator]
                    source = np.concatenate([plate_fill(clean, hole), hole[..., None].astype(np.float32)], axis=2)
                    self.cases.setdefault(case, []).append((_tensor(source), _tensor(clean)))
                continue
            for k, kind in enumerate(CLASSES):
                rng = np.random.default_rng([31, number, k])
                base = gray_or_toned(clean, rng) if k % 2 == number % 2 else clean
                picture, target = damaged(base, [(kind, 0.6)], rng, 1.3)
                self.cases.setdefault(kind, []).append((_tensor(picture), _tensor(target)))

    @torch.no_grad()
    def measure(self, ema: object, network: nn.Module) -> dict[str, float]:
        """Measure the EMA weights."""
        kept = {k: v.clone() for k, v in network.state_dict().items()}
        network.load_state_dict(ema.shadow)  # type: ignore[attr-defined]
        out = self.scores(network)
        network.load_state_dict(kept)
        network.train()
        return out

    @torch.no_grad()
    def scores(self, network: nn.Module) -> dict[str, float]:
        """Measure a network's weights as they are; it is left in evaluation mode."""
        network.eval()
        return self._inpainting(network) if self.run.network == "inpainter" else self._finding(network)

    def _inpainting(self, network: nn.Module) -> dict[str, float]:
        out: dict[str, float] = {}
        inside: list[float] = []
        for case, pairs in self.cases.items():
            first, now = [], []
            for source, target in pairs:
                picture, log_sigma = network(source)
                hole = source[:, 3:] > 0.5
                everywhere = hole.expand_as(target)
                now.append(_decibels((picture.clamp(0, 1) - target)[everywhere]))
                first.append(_decibels((source[:, :3] - target)[everywhere]))
                rms = (picture - target).square().mean(1, keepdim=True).sqrt()
                inside.append((rms <= log_sigma.exp())[hole].float().mean().item())
            out[case] = round(float(np.mean(now)), 3)
            out[f"{case} first filling"] = round(float(np.mean(first)), 3)
        out["within_one_sigma"] = round(float(np.mean(inside)), 3)
        return out

    def _finding(self, network: nn.Module) -> dict[str, float]:
        counts = np.zeros((len(CLASSES), 3))
        any_class = np.zeros(3)
        for pairs in self.cases.values():
            for source, target in pairs:
                found = torch.from_numpy(decided(torch.sigmoid(network(source)).numpy()[0, :-1]))[None]
                true = target > 0.5
                counts[:, 0] += (found & true).sum((0, 2, 3)).numpy()
                counts[:, 1] += (found & ~true).sum((0, 2, 3)).numpy()
                counts[:, 2] += (~found & true).sum((0, 2, 3)).numpy()
                a, b = found.any(1), true.any(1)
                any_class += [(a & b).sum().item(), (a & ~b).sum().item(), (~a & b).sum().item()]
        out = {f"F1 {k}": round(f1(*counts[i]), 3) for i, k in enumerate(CLASSES)}
        out["F1 any"] = round(f1(*any_class), 3)
        return out


def f1(hits: float, false: float, missed: float) -> float:
    """F1 score of counted pixels; 0 where nothing was found and nothing was there."""
    return float(2 * hits / (2 * hits + false + missed)) if hits + false + missed else 0.0


def _decibels(error: Tensor) -> float:
    return -10 * math.log10(max(error.square().mean().item(), 1e-10))


def _tensor(picture: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
