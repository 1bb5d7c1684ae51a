"""How well damage is found: F1 per class on simulated damage over clean pictures that nothing was trained on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, OptionError
from tratto.imaging.masks import DAMAGE_PROBABILITY
from tratto_lab.evaluation.restore import load_pictures
from tratto_lab.simulate.damage import CLASSES, natural_unit
from tratto_lab.simulate.damage_seen import damaged

Picture = NDArray[np.float32]
#: Damage of whatever kind.
ANY = "any"
#: A picture, and where the kinds are told those, to a mask per class.
Detector = Callable[..., Mapping[str, NDArray[np.bool_]]]


@dataclass(frozen=True)
class DamagePlan:
    """What is measured.

    Attributes
    ----------
    severity : (float, float)
        Range that severities are drawn from.
    seed : int
        Of the damage, with the number of the picture.
    limit : int
        Only the first so many pictures; 0 = all.
    side : int
        Larger pictures are cut to their middle, this many pixels a side.
    kinds : int
        How many kinds of damage each shown picture has: each class in turn, and others drawn at random over it.
    kinds_known : bool
        Whether the detector is told the kinds that are there, as by a person who sees the picture.
    enlarge : int
        How many times a picture is enlarged (Lanczos) before it is damaged, as a scanner of that many times the
        resolution shows it. The damage grows along; how fine the finest is does not.
    """

    severity: tuple[float, float] = (0.3, 0.9)
    seed: int = 0
    limit: int = 0
    side: int = 384
    kinds: int = 1
    kinds_known: bool = False
    enlarge: int = 1

    def __post_init__(self) -> None:
        low, high = self.severity
        if not 0 <= low <= high <= 1 or self.limit < 0 or self.side < 64:
            raise OptionError(
                f"severity lies in 0-1, limit is 0 or more and side 64 or more; got {self.severity}, {self.limit} and "
                f"{self.side}"
            )
        if self.seed < 0:
            raise OptionError(f"a seed is 0 or more, got {self.seed}")
        if not 1 <= self.enlarge <= 8:
            raise OptionError(f"a picture is enlarged 1 to 8 times, got {self.enlarge}")
        if not 1 <= self.kinds <= len(CLASSES):
            raise OptionError(f"a picture has 1 to {len(CLASSES)} kinds of damage, got {self.kinds}")


@dataclass(frozen=True)
class DamageRow:
    """What was counted for one class, over all pictures.

    Attributes
    ----------
    kind : str
        Class; ``"any"`` for the union of all.
    hits, false, missed : int
        Pixels.
    """

    kind: str
    hits: int
    false: int
    missed: int

    @property
    def precision(self) -> float:
        """Share of what was marked that is damage; 0 where nothing was marked."""
        return self.hits / (self.hits + self.false) if self.hits + self.false else 0.0

    @property
    def recall(self) -> float:
        """Share of the damage that was marked; 0 where there was none."""
        return self.hits / (self.hits + self.missed) if self.hits + self.missed else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        both = 2 * self.hits + self.false + self.missed
        return 2 * self.hits / both if both else 0.0


@dataclass(frozen=True)
class DamageReport:
    """The table and what it was made from."""

    rows: tuple[DamageRow, ...]
    pictures: int
    intact_share: float
    plan: DamagePlan = field(default_factory=DamagePlan)

    def to_json(self) -> str:
        """Return the report as JSON."""
        rows = [{**asdict(r), "precision": r.precision, "recall": r.recall, "f1": r.f1} for r in self.rows]
        return json.dumps(
            {"plan": asdict(self.plan), "pictures": self.pictures, "marked_of_intact": self.intact_share, "rows": rows},
            indent=1,
        )


def evaluate_damage(
    folder: Path, detector: Detector, plan: DamagePlan, progress: Callable[[str], None] = lambda name: None
) -> DamageReport:
    """Damage every picture of a folder in each way in turn, have the damage found, and count pixels.

    Each picture is also shown intact: what is marked there is false, and is counted apart as well. (Not where the
    detector is told the kinds: there are none.)

    Parameters
    ----------
    folder : Path
        Of clean pictures.
    detector : callable
        (H, W, 3) float32 in [0, 1] to a mask for each class; if ``plan.told``, the kinds come as a second argument.
    plan : DamagePlan
        Severities, sizes, and how many kinds at once.
    progress : callable
        Told the name of each picture.

    Raises
    ------
    InputError
        If the folder holds no picture of 64 x 64 pixels or more.
    """
    counts = {name: np.zeros(3, np.int64) for name in (*CLASSES, ANY)}
    shown, marked, pixels = 0, 0, 0
    for number, (name, whole, _) in enumerate(load_pictures(folder, plan.limit)):
        clean = _enlarged(_middle(whole, plan.side), plan.enlarge)
        if min(clean.shape[:2]) < 64:
            continue
        progress(name)
        shown += 1
        intact = _rounded(clean)
        if not plan.kinds_known:
            marked += int(_together(detector(intact)).sum())
        pixels += intact[..., 0].size
        for k, kind in enumerate(CLASSES):
            rng = np.random.default_rng([plan.seed, number, k])
            unit = natural_unit(*clean.shape[:2]) * float(rng.uniform(0.9, 1.6))
            drawn = [(kind, float(rng.uniform(*plan.severity)))]
            others = [one for one in CLASSES if one != kind]
            for one in rng.choice(len(others), plan.kinds - 1, replace=False):
                drawn.append((others[int(one)], float(rng.uniform(*plan.severity))))
            picture, target = damaged(clean, drawn, rng, unit)
            names = (tuple(name for name, _ in drawn),) if plan.kinds_known else ()
            found = detector(_rounded(picture), *names)
            for j, one in enumerate(CLASSES):
                counts[one] += _count(np.asarray(found[one], bool), target[..., j] > 0)
            counts[ANY] += _count(_together(found), target.any(axis=2))
    if not shown:
        raise InputError(f"{folder} holds no picture of 64x64 pixels or more")
    rows = tuple(DamageRow(name, *(int(v) for v in counts[name])) for name in counts)
    return DamageReport(rows, shown, marked / pixels, plan)


def network_detector(threshold: float = DAMAGE_PROBABILITY) -> Detector:
    """Return the network that ships as a detector.

    Raises
    ------
    UnavailableError
        If it is not here.
    """
    from tratto.providers.catalogue import open_provider
    from tratto.providers.damage import masks_of

    detector = open_provider("damage")
    if not 0 < threshold < 1:
        raise OptionError(f"a threshold is a number between 0 and 1, got {threshold}")
    return lambda picture, kinds=(): masks_of(detector.find(picture, kinds), threshold)


def yolo_detector(path: Path, threshold: float = 0.5) -> Detector:
    """Return a user's YOLO segmentation model as a detector; classes with other names than ours count as any damage."""
    from tratto.providers.damage import open_yolo

    model = open_yolo(path)

    def find(picture: Picture, kinds: Sequence[str] = ()) -> dict[str, NDArray[np.bool_]]:
        if kinds:
            raise OptionError(f"{path.name} cannot be told which kinds of damage there are")
        probabilities = model.find(picture)
        nothing = np.zeros(picture.shape[:2], bool)
        found = {name: probabilities[name] >= threshold if name in probabilities else nothing for name in CLASSES}
        others = [c >= threshold for name, c in probabilities.items() if name not in CLASSES]
        return {**found, ANY: np.logical_or.reduce([nothing, *others])}

    return find


def to_markdown(report: DamageReport) -> str:
    """Return the table."""
    low, high = report.plan.severity
    each = "" if report.plan.kinds == 1 else f", {report.plan.kinds} kinds of damage at a time"
    intact = f"Of the intact pictures {100 * report.intact_share:.2f} % was marked."
    size = "" if report.plan.enlarge == 1 else f" enlarged {report.plan.enlarge} times"
    lines = [
        f"{report.pictures} pictures{size}, each damaged in {len(CLASSES)} ways{each}, of a severity from {low:g} to "
        f"{high:g}, seed {report.plan.seed}. {'The kinds were told.' if report.plan.kinds_known else intact}",
        "",
        "| class | F1 | precision | recall |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| {r.kind} | {r.f1:.3f} | {r.precision:.3f} | {r.recall:.3f} |" for r in report.rows]
    return "\n".join(lines)


def _middle(picture: Picture, side: int) -> Picture:
    h, w = min(side, picture.shape[0]), min(side, picture.shape[1])
    y, x = (picture.shape[0] - h) // 2, (picture.shape[1] - w) // 2
    return np.ascontiguousarray(picture[y : y + h, x : x + w], np.float32)


def _enlarged(picture: Picture, times: int) -> Picture:
    """Return a picture enlarged by Lanczos."""
    if times == 1:
        return picture
    import cv2

    height, width = (side * times for side in picture.shape[:2])
    return np.clip(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LANCZOS4), 0, 1).astype(np.float32)


def _rounded(picture: Picture) -> Picture:
    """Return a picture as an 8-bit file would hold it."""
    return np.asarray(np.rint(np.clip(picture, 0, 1) * 255) / np.float32(255), np.float32)


def _together(masks: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return np.asarray(np.logical_or.reduce([np.asarray(m, bool) for m in masks.values()]), bool)


def _count(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.array([(found & true).sum(), (found & ~true).sum(), (~found & true).sum()], np.int64)
