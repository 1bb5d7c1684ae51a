"""Evaluation of inpainting: thin, medium and large holes in clean pictures, and what people would use instead.

The protocol: each picture of a folder gets holes of each size, drawn from ``[seed, number of the picture in name
order, size]`` (:mod:`tratto_lab.simulate.holes`); what they hold is blanked. Results are clipped and rounded to 8 bit.
PSNR is over the RGB samples inside the holes alone; SSIM and perceptual distances over the whole picture, which is
untouched outside.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto_lab.evaluation.metrics import psnr, ssim
from tratto_lab.evaluation.restore import Measure, half_width, load_pictures, measured
from tratto_lab.simulate.holes import SIZES, hole

if TYPE_CHECKING:
    from tratto_lab.evaluation.features import FeatureDistance

Picture = NDArray[np.float32]
Bool = NDArray[np.bool_]
#: ``method(picture with blanked holes, holes)`` returns the filled picture and perhaps its expected error.
Method = Callable[[Picture, Bool], tuple[Picture, NDArray[np.float32] | None]]


@dataclass(frozen=True)
class RepairPlan:
    """What to measure.

    Attributes
    ----------
    sizes : tuple of str
        Of ``thin``, ``medium``, ``large``.
    seed : int
        Of the holes.
    limit : int
        Use only the first so many pictures in name order; 0 for all.
    """

    sizes: tuple[str, ...] = SIZES
    seed: int = 0
    limit: int = 0

    def __post_init__(self) -> None:
        wrong = [s for s in self.sizes if s not in SIZES]
        if wrong or not self.sizes:
            raise OptionError(f"holes are {', '.join(SIZES)}; got {', '.join(map(str, wrong)) or 'none'}")


@dataclass(frozen=True)
class RepairRow:
    """Mean over the pictures of one method and one size of holes.

    Attributes
    ----------
    method, size : str
        Name of the method, and one of the sizes.
    psnr : float
        dB inside the holes, mean over pictures.
    interval : float
        Half width of the 95 % confidence interval of that mean.
    ssim : float
        Of the whole picture.
    features : float or None
        Feature distance of the whole picture; None where it could not be computed.
    within_one_sigma : float or None
        Share of the filled pixels whose RMS error lies within the stated one.
    changed_outside : int
        Pixels outside the holes that differ, over all pictures.
    seconds_per_megapixel : float
        Wall time per megapixel of picture, median.
    pictures : int
        How many had holes of this size.
    measures : mapping of str to float
        Means of further distances by their names, such as LPIPS; smaller is closer.
    """

    method: str
    size: str
    psnr: float
    interval: float
    ssim: float
    features: float | None
    within_one_sigma: float | None
    changed_outside: int
    seconds_per_megapixel: float
    pictures: int
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RepairReport:
    """All rows of one evaluation and what was asked."""

    folder: str
    plan: RepairPlan
    rows: tuple[RepairRow, ...]

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(asdict(self), indent=1)

    def value(self, method: str, size: str) -> RepairRow:
        """Return one row.

        Raises
        ------
        OptionError
            If there is none of that name.
        """
        for row in self.rows:
            if (row.method, row.size) == (method, size):
                return row
        raise OptionError(f"no row for method {method!r} and holes {size!r}")


def as_the_command() -> Method:
    """Make a method of what ``tratto repair --fill-grain none`` does with a picture and a mask."""
    from tratto.core.result import CONFIDENCE_FULL
    from tratto.jobs import Session
    from tratto.tasks.repair import RepairOptions

    session = Session()

    def run(picture: Picture, holes: Bool) -> tuple[Picture, NDArray[np.float32] | None]:
        options = RepairOptions(fill_grain="none")  # noise that was not there is no nearer to what was
        done = session.repair(np.rint(picture * 255).astype(np.uint8), options, mask=holes)
        sigma = CONFIDENCE_FULL * (1 - done.confidence.astype(np.float32) / np.float32(65535))
        return np.asarray(done.image.pixels, np.float32) / np.float32(255), sigma

    return run


def inpainter_method(name: str) -> Method:
    """Make a method of one inpainter, shown the whole picture."""
    from tratto.providers.catalogue import open_provider

    painter = open_provider("inpainter", name)

    def run(picture: Picture, holes: Bool) -> tuple[Picture, NDArray[np.float32] | None]:
        done = painter.fill(picture, holes, 0)
        return done.image, done.sigma

    return run


def evaluate_repair(
    folder: Path,
    methods: dict[str, Method],
    plan: RepairPlan | None = None,
    progress: Callable[[str], None] | None = None,
    distance: FeatureDistance | None = None,
    measures: Mapping[str, Measure] | None = None,
) -> RepairReport:
    """Run methods over a folder of clean pictures.

    Parameters
    ----------
    folder : Path
        Clean pictures.
    methods : dict
        Name -> method.
    plan : RepairPlan, optional
        Sizes, seed and limit; None: the defaults.
    progress : callable, optional
        Told each picture's name.
    distance : FeatureDistance, optional
        Distance of features of two pictures; None: it is not computed.
    measures : mapping of str to callable, optional
        Further distances by name, such as :class:`tratto_lab.evaluation.measures.Lpips`; left out where a picture is
        too small for them.

    Returns
    -------
    RepairReport
        One row per method and size.
    """
    plan = plan or RepairPlan()
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for number, (name, clean, _) in enumerate(load_pictures(folder, plan.limit)):
        if progress is not None:
            progress(name)
        for size in plan.sizes:
            rng = np.random.default_rng([plan.seed, number, SIZES.index(size)])
            holes = hole((clean.shape[0], clean.shape[1]), size, rng)
            if not holes.any():
                continue
            blank = np.where(holes[..., None], np.float32(0.5), clean)
            for method, run in methods.items():
                start = time.perf_counter()
                output, sigma = run(blank, holes)
                spent = time.perf_counter() - start
                row = _measured(clean, holes, output, sigma)
                row["pace"] = spent / (holes.size / 1e6)
                if distance is not None:
                    row["features"] = distance(np.clip(output, 0, 1), clean)
                row["measures"] = measured(measures or {}, output, clean)
                found.setdefault((method, size), []).append(row)
    return RepairReport(folder.name, plan, tuple(_row(m, s, rows) for (m, s), rows in found.items()))


def _measured(clean: Picture, holes: Bool, output: Picture, sigma: NDArray[np.float32] | None) -> dict[str, Any]:
    final = np.round(np.clip(output, 0, 1) * 255) / 255
    reference = np.round(clean * 255) / 255
    outside = int((np.abs(final - reference).max(axis=2) > 1e-6)[~holes].sum())
    inside = None
    if sigma is not None:
        rms = np.sqrt(np.square(final - clean).mean(axis=2))
        inside = float((rms <= sigma)[holes].mean())
    return {
        "psnr": min(psnr(final[holes][:, None], clean[holes][:, None]), 100.0),
        "ssim": ssim(final, clean),
        "outside": outside,
        "inside": inside,
    }


def _row(method: str, size: str, rows: list[dict[str, Any]]) -> RepairRow:
    values = np.array([r["psnr"] for r in rows])
    half = half_width(values)
    features = [r["features"] for r in rows if "features" in r]
    inside = [r["inside"] for r in rows if r["inside"] is not None]
    names = dict.fromkeys(name for r in rows for name in r["measures"])
    return RepairRow(
        method,
        size,
        float(values.mean()),
        half,
        float(np.mean([r["ssim"] for r in rows])),
        float(np.mean(features)) if features else None,
        float(np.mean(inside)) if inside else None,
        sum(r["outside"] for r in rows),
        float(np.median([r["pace"] for r in rows])),
        len(rows),
        {name: float(np.mean([r["measures"][name] for r in rows if name in r["measures"]])) for name in names},
    )


def to_markdown(report: RepairReport) -> str:
    """Return the report as one Markdown table."""
    names = list(dict.fromkeys(name for r in report.rows for name in r.measures))
    further = "".join(f" {name} |" for name in names)
    lines = [
        f"Pictures: {report.folder}. PSNR in dB inside the holes with the 95 % interval over pictures; SSIM and",
        "perceptual distances of the whole picture, which no method may change outside.",
        "",
        f"| holes | method | PSNR | SSIM | feature distance x1000 |{further} in one sigma | changed outside | s / MP "
        "| number |",
        "| --- " * (9 + len(names)) + "|",
    ]
    for size in dict.fromkeys(r.size for r in report.rows):
        for r in (r for r in report.rows if r.size == size):
            interval = "" if math.isnan(r.interval) else f" ± {r.interval:.2f}"
            far = "" if r.features is None else f"{1000 * r.features:.2f}"
            inside = "" if r.within_one_sigma is None else f"{100 * r.within_one_sigma:.0f} %"
            more = "".join(f" {r.measures[name]:.4f} |" if name in r.measures else " |" for name in names)
            lines.append(
                f"| {size} | {r.method} | {r.psnr:.2f}{interval} | {r.ssim:.4f} | {far} |{more} {inside} "
                f"| {r.changed_outside} | {r.seconds_per_megapixel:.2f} | {r.pictures} |"
            )
    return "\n".join(lines) + "\n"
