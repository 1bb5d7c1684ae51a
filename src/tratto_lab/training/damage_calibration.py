"""Where to draw the line: shift the detector's probabilities so that one half is the best threshold for each kind.

What counts is what is marked in the end, which must also be surer somewhere (:func:`tratto.imaging.masks.decided`).
Measured on the photographs that are never trained on, with damage drawn for this alone. Two numbers are chosen for each
class, and for damage of any kind: how sure the network must be that the picture has the kind at all, and how sure of
the pixel. The score is the mean over the pictures of F1, so that one large stain does not decide; of all that come near
the best, what is nearest to the network as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name of this module
from numpy.typing import NDArray
from torch import Tensor

from tratto.core.errors import OptionError
from tratto.imaging.masks import decided
from tratto_lab.networks.damage import DamageConfig, DamageNet
from tratto_lab.simulate.damage import CLASSES, natural_unit
from tratto_lab.simulate.damage_seen import damaged
from tratto_lab.training.held_out import held_out_pictures

#: How many kinds of damage each photograph gets at a time, in turn for each class.
KINDS = (1, 1, 3)
#: What is tried, in logits.
MARGINS = np.arange(-4.0, 4.01, 0.5)
OFFSETS = np.arange(-3.0, 3.01, 0.25)
#: Thresholds that are looked at, in logits: the lowest is what the largest offset makes of zero.
LEVELS = np.arange(-3.0, 24.01, 0.25)
#: Scores within this of the best are as good: so few photographs tell no finer.
ALIKE = 0.005


def _shots(photos: Path) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.bool_]]]:
    """Yield of which picture it is, the picture (H, W, 3), and what of each kind and any is damaged (K + 1, H, W)."""
    for number, clean in enumerate(held_out_pictures(photos)):
        yield number, clean, np.zeros((len(CLASSES) + 1, *clean.shape[:2]), bool)
        for k in range(len(CLASSES)):
            for turn, count in enumerate(KINDS):
                rng = np.random.default_rng([40, number, k, turn])
                others = rng.permutation([n for n in range(len(CLASSES)) if n != k])[: count - 1]
                drawn = [(CLASSES[n], float(rng.uniform(0.3, 0.9))) for n in (k, *others)]
                unit = natural_unit(*clean.shape[:2]) * float(rng.uniform(0.8, 1.7))
                picture, target = damaged(clean, drawn, rng, unit)
                true = target.transpose(2, 0, 1) > 0
                yield number, picture, np.concatenate([true, true.any(axis=0, keepdims=True)])


@torch.no_grad()
def calibrate_detector(network: DamageNet, photos: Path) -> dict[str, object]:
    """Choose margins and offsets, set them in the network, and return what was found.

    Parameters
    ----------
    network : DamageNet
        With ``presence``. Left in evaluation mode, calibrated.
    photos : Path
        Folder with the held-out photographs.

    Returns
    -------
    dict
        ``margins`` and ``offsets``: (K + 1) numbers, any damage last. ``f1``: what they give on these pictures.

    Raises
    ------
    OptionError
        If there is no held-out photograph, or the network does not say what the whole picture has.
    """
    if network.presence is None:
        raise OptionError("only a network that says which kinds a picture has is calibrated")
    network.eval().calibrate(np.zeros(len(CLASSES) + 1), np.zeros(len(CLASSES) + 1))
    owners: list[int] = []
    there: list[NDArray[np.float32]] = []
    found: list[NDArray[np.int64]] = []
    damage: list[NDArray[np.int64]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, picture, true in _shots(photos):
            owners.append(number)
            plain, kinds = network.parts(_framed(picture, network.config.multiple))
            assert kinds is not None
            there.append(kinds[0].numpy())
            h, w = picture.shape[:2]
            logits = plain[0, :, :h, :w].numpy()
            found.append(np.stack(list(pool.map(_found, logits, true))))
            damage.append(true.sum(axis=(1, 2)))
    if not there:
        raise OptionError("calibration needs the held-out photographs in the photo folder")
    by_class = zip(np.stack(found, axis=1), np.stack(damage, axis=1), np.stack(there, axis=1), strict=True)
    chosen = [_best((np.array(owners), *columns), network.config) for columns in by_class]
    margins, offsets, scores = (np.array(column) for column in zip(*chosen, strict=True))
    network.calibrate(margins, offsets)
    return {"margins": margins.tolist(), "offsets": offsets.tolist(), "f1": [round(float(s), 3) for s in scores]}


def _framed(picture: NDArray[np.float32], multiple: int) -> Tensor:
    """Return an 8-bit picture as the network is given it (1, 3, H', W')."""
    levels = np.rint(np.clip(picture, 0, 1) * 255) / np.float32(255)
    h, w = picture.shape[:2]
    framed = np.pad(levels, ((0, -h % multiple), (0, -w % multiple), (0, 0)), mode="edge")
    return torch.from_numpy(np.ascontiguousarray(framed.transpose(2, 0, 1), np.float32))[None]


def _found(logits: NDArray[np.float32], true: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count what is marked of a plane of logits (H, W) at each of :data:`LEVELS`: (2, L) damaged and other pixels."""
    out = np.zeros((2, len(LEVELS)), np.int64)
    if logits.max() < LEVELS[0]:
        return out
    rows, columns = (np.flatnonzero((logits >= LEVELS[0]).any(axis)) for axis in (1, 0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)  # outside of which nothing is marked
    logits, true = np.ascontiguousarray(logits[part]), np.ascontiguousarray(true[part])
    for n, level in enumerate(LEVELS[logits.max() >= LEVELS]):
        marked = decided([1 / (1 + np.exp(level - logits))])[0]
        total, hits = int(np.count_nonzero(marked)), int(np.count_nonzero(marked & true))
        out[:, n] = hits, total - hits
        if not total:
            break  # a higher threshold never marks more
    return out


def _best(
    shots: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]], config: DamageConfig
) -> tuple[float, float, float]:
    """Return margin, offset and mean F1 of one class.

    Parameters
    ----------
    shots : (N) int, (N, 2, L) int, (N) int, (N) float
        Of which picture each shot is; how many damaged and other pixels are marked at each of :data:`LEVELS`; how many
        are damaged; the logit of the class being there.
    config : DamageConfig
        Its strictness says how far a doubtful class is lowered.
    """
    owners, found, damage, there = shots
    found = np.concatenate([found, np.zeros_like(found[..., :1])], axis=2)  # beyond the levels nothing is marked
    true = np.bincount(owners, damage)
    rows = np.arange(len(found))
    step = LEVELS[1] - LEVELS[0]
    scores = np.zeros((len(MARGINS), len(OFFSETS)))
    for m, margin in enumerate(MARGINS):
        lowering = config.strictness * F.logsigmoid(torch.from_numpy(there + np.float32(margin))).numpy()
        for o, offset in enumerate(OFFSETS):
            at = np.clip(np.rint((-offset - lowering - LEVELS[0]) / step), 0, len(LEVELS)).astype(int)
            hits, false = (np.bincount(owners, found[rows, j, at]) for j in (0, 1))
            scores[m, o] = (2 * hits / np.maximum(hits + false + true, 1)).mean()
    # the middle of a plateau holds better on other pictures than its highest stone
    padded = np.pad(scores, 1, mode="edge")
    smooth = sum(padded[i : i + scores.shape[0], j : j + scores.shape[1]] for i in range(3) for j in range(3)) / 9
    moved = np.abs(MARGINS - config.margin)[:, None] + np.abs(OFFSETS)[None]
    moved[smooth < smooth.max() - ALIKE] = np.inf
    m, o = np.unravel_index(int(np.argmin(moved - 1e-3 * smooth)), smooth.shape)
    return float(MARGINS[m]), float(OFFSETS[o]), float(scores[m, o])
