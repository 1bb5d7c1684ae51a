"""Turn a finished run into what ships: the ONNX file and its model card with measured figures."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tratto.core.errors import OptionError
from tratto.models.card import ModelCard, parse_card
from tratto_lab.evaluation.restore import Report, RestorePlan, evaluate_restore, restorer_method
from tratto_lab.training.command import run_command
from tratto_lab.training.config import Run, load_run
from tratto_lab.training.export import Exported, export, receptive_radius
from tratto_lab.training.held_out import need_held_out
from tratto_lab.training.loop import build_network

LICENCE = "Apache-2.0"
#: Wall time on two cores over processor time of one thread, about; benchmarks/restore_speed.py measures the wall time.
TWO_CORES = 0.55
SPEED_NOTE = "least CPU seconds of one thread seen on a tile (Xeon with AVX-512), times 0.55 for two cores"
TRAINING_DATA = (
    "45 photographs: 31 of the Budgie Backgrounds collection (CC0-1.0) and 14 of the Pop!_OS wallpapers collection "
    "(stated public domain); five further ones are kept out for choosing weights and calibrating",
    "24 pages of invented text rendered from URW base 35 and Liberation fonts",
)
#: Cards of networks for noise: measured with noise.
NOISE = ("tratto-restore-x1", "tratto-restore-real")
#: Beginnings of the names that those lines speak of.
_TOLD = ("budgie_", "popos_", "text_")


def training_data(runs: Path) -> list[str]:
    """Return what a card says of the pictures in a runs folder's pack: those above, then all others by their licence.

    Pictures whose licence asks for attribution are named, and so is whose they are, if their names or licences tell.
    """
    lines = list(TRAINING_DATA)
    index = runs / "pack" / "index.json"
    others: dict[str, list[str]] = {}
    for entry in json.loads(index.read_text()) if index.is_file() else ():
        if entry["shrink"] == 1 and not entry["name"].startswith(_TOLD):
            others.setdefault(entry["licence"], []).append(entry["name"])
    for licence, names in others.items():
        named = f": {', '.join(names)}" if "BY" in licence else ""
        count = "1 picture" if len(names) == 1 else f"{len(names)} pictures"
        lines.append(f"{count} under {licence}{named}")
    return lines


@dataclass(frozen=True)
class Place:
    """What a card says about running a network tile by tile."""

    tile: int
    overlap: int
    multiple: int
    border: int


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}" if "." in f"{value:.6g}" or "e" in f"{value:.6g}" else f"{value:.1f}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def card_text(fields: dict[str, object], quality: dict[str, object], speed: dict[str, object]) -> str:
    """Write a card as TOML."""
    lines = [f"{k} = {_toml(v)}" for k, v in fields.items()]
    for title, table in (("quality", quality), ("speed", speed)):
        lines += ["", f"[{title}]", *[f"{k} = {_toml(v)}" for k, v in table.items()]]
    return "\n".join(lines) + "\n"


def _key(case: str) -> str:
    return case.replace(" ", "_")


def quality_of(report: Report, method: str, prefix: str) -> dict[str, object]:
    """Flatten the rows of one method to card keys: ``<prefix>_<case>_psnr`` and so on."""
    out: dict[str, object] = {}
    for row in report.rows:
        if row.method == method:
            out[f"{prefix}_{_key(row.case)}_psnr"] = round(row.psnr, 2)
            out[f"{prefix}_{_key(row.case)}_ssim"] = round(row.ssim, 4)
            if row.within_one_sigma is not None and row.case != "clean":
                out[f"{prefix}_{_key(row.case)}_within_one_sigma"] = round(row.within_one_sigma, 3)
    return out


def seconds_per_megapixel(card: ModelCard, repeats: int = 5) -> float:
    """Processor seconds of one thread per *input* megapixel, best of several whole tiles.

    Processor time, not wall time: other work on the machine does not count. Two threads take about half.
    """
    from tratto.backends.open import open_backend

    backend = open_backend(card, threads=1)
    tile = np.random.default_rng(0).random((1, 3, card.tile, card.tile), dtype=np.float32)
    backend.run({card.input: tile})
    times = []
    for _ in range(repeats):
        start = time.process_time()
        backend.run({card.input: tile})
        times.append(time.process_time() - start)
    return min(times) / (card.tile**2 / 1e6)


def measure_quality(card: ModelCard, benchmarks: Path) -> dict[str, object]:
    """Measure a card's network on the benchmark folders that are there, after the weights were chosen.

    Parameters
    ----------
    card : ModelCard
        An embedded card whose weights lie in the package.
    benchmarks : Path
        Folder with ``CBSD68``, ``Classic5``, ``Set5``.
    """
    from tratto.providers.restorer.tratto import open_card

    method = restorer_method(open_card(card))
    plans: list[tuple[str, RestorePlan]]
    if card.id in NOISE:
        plans = [("CBSD68", RestorePlan(sigmas=(15.0, 25.0, 50.0), qualities=(), clean=True))]
    elif card.scale == 1:
        plans = [
            ("CBSD68", RestorePlan(sigmas=(), qualities=(10, 40), clean=False)),
            ("Classic5", RestorePlan(sigmas=(), qualities=(10, 20, 30, 40), clean=False)),
        ]
    else:
        plan = RestorePlan(sigmas=(), qualities=(), clean=False, scales=(card.scale,))
        plans = [("Set5", plan), ("Set14", plan)]
    out: dict[str, object] = {}
    for name, plan in plans:
        if (benchmarks / name).is_dir():
            out |= quality_of(evaluate_restore(benchmarks / name, {"tratto": method}, plan), "tratto", name.lower())
    return out


def publish(path: Path, runs: Path, photos: Path, benchmarks: Path, place: Place, note: str = "") -> ModelCard:
    """Export a run's EMA weights into the package, measure them, write the card.

    Parameters
    ----------
    path : Path
        Run file.
    runs : Path
        Folder with the run's folder.
    photos, benchmarks : Path
        Held-out photographs for calibration; benchmark sets for measuring.
    place : Place
        Tile, overlap, multiple and border for the card.
    note : str
        Added to the limits, such as how far the training had come.

    Returns
    -------
    ModelCard
        The card that was written.
    """
    import tratto.models as models

    run = load_run(path)
    need_held_out(photos)
    root = Path(models.__file__).parent
    name = run.card_id
    made = export(run, runs / run.name, photos, root / "weights" / f"{name}.onnx")
    network = build_network(run)
    radius = receptive_radius(network, place.multiple, 384 if run.scale == 1 else 96)
    fields = _fields(run, name, made, (place, radius, note), (lineage(path), training_data(runs)))
    parameters = sum(p.numel() for p in network.parameters())
    first = parse_card(card_text(fields, {"parameters": parameters}, {"seconds_per_megapixel": 1.0}))
    seconds = seconds_per_megapixel(first)
    quality: dict[str, object] = {"parameters": parameters, "receptive_radius": radius}
    quality["onnx_max_difference"] = float(f"{made.max_difference:.2g}")
    quality["sigma_factor"] = round(made.calibration.factor, 4)
    quality |= {f"held_out_{_key(k)}_within_one_sigma": v for k, v in made.calibration.within.items()}
    quality["reliability_predicted_255"] = [round(255 * a, 2) for a, _ in made.calibration.curve]
    quality["reliability_met_255"] = [round(255 * b, 2) for _, b in made.calibration.curve]
    quality |= measure_quality(first, benchmarks)
    speed: dict[str, object] = {
        "seconds_per_megapixel": round(seconds * TWO_CORES, 3),
        "cpu_seconds_per_megapixel": round(seconds, 3),
        "how": SPEED_NOTE,
    }
    text = card_text(fields, quality, speed)
    (root / "cards" / f"{name}.toml").write_text(text)
    return parse_card(text, name)


def lineage(path: Path) -> list[str]:
    """Names of the runs that lead to this one, first to last: each may start from an earlier one, and mix in others.

    A run that starts from shipped weights has those runs before it that their card names.
    """
    run = load_run(path)
    if run.initial.endswith(".onnx"):
        from tratto.models.store import get_card

        earlier = re.findall(r"training_runs/(\w+)\.py", get_card(Path(run.initial).stem).command)
        # its own card may already tell of this run, when it is published a second time
        earlier = earlier[: earlier.index(run.name)] if run.name in earlier else earlier
        return [*earlier, run.name]
    befores = [path.with_name(f"{name}.py") for name in (run.initial, *(name for name, _ in run.blend)) if name]
    names = [name for before in befores if before.is_file() for name in lineage(before)]
    return [*dict.fromkeys(names), run.name]


def _fields(
    run: Run, name: str, made: Exported, tiling: tuple[Place, int, str], came: tuple[list[str], list[str]]
) -> dict[str, object]:
    """Return the card's fields; ``came`` are the runs that led here, and the pictures."""
    place, radius, note = tiling
    chain, pictures = came
    if run.scale == 1:
        limits = [
            "Trained on few photographs; no faces and hardly any interiors among them.",
            "Trained on JPEG alone, its blocks where the network's own are: noise stays, and a grid elsewhere must be "
            "found and aligned first."
            if name.endswith("jpeg")
            else "Trained on white noise, and on noise of cameras, film grain and compression as they are simulated "
            "(tratto_lab.simulate.degrade); print screens, banding, scratches and blur are not what it was trained for."
            if name.endswith("real")
            else "Trained on Gaussian, Poisson and camera noise, little JPEG and mild blur; film grain, banding, "
            "scratches and strong blur are not what it was trained for.",
        ]
        if radius > place.overlap:
            limits.append(
                f"The receptive field reaches {radius} pixels, more than the overlap of {place.overlap}; what lies "
                "beyond the overlap hardly counts, but tiles are not bit-identical to the whole picture."
            )
    else:
        limits = [
            "Trained on few photographs; no faces and hardly any interiors among them.",
            "Trained on clean pictures shrunk mostly by anti-aliased bicubic interpolation, one in ten with light "
            "noise or JPEG; a noisy picture should be denoised first.",
        ]
    if note:
        limits.append(note)
    return {
        "id": name,
        "file": f"{name}.onnx",
        "sha256": made.sha256,
        "size_bytes": made.size_bytes,
        "licence": LICENCE,
        "commercial_use": True,
        "capability": "restorer",
        "backend": "onnx",
        "scale": run.scale,
        "tile": place.tile,
        "overlap": place.overlap,
        "multiple": place.multiple,
        "border": place.border,
        "seam_exact": True,
        "has_sigma": True,
        "input": "image",
        "output": "image_out",
        "sigma_output": "sigma",
        "value_range": [0.0, 1.0],
        "paper": (
            "Plain residual U-Net with pixel-unshuffle entry; FFDNet (Zhang et al. 2018), EDSR (Lim et al. 2017), "
            "heteroscedastic standard error (Kendall and Gal 2017)"
            if run.scale == 1
            else "Residual convolutions with pixel-shuffle (Shi et al. 2016; EDSR, Lim et al. 2017) on bicubic "
            "interpolation; heteroscedastic standard error (Kendall and Gal 2017)"
        ),
        "training_data": pictures,
        "command": " && ".join(f"tratto train training_runs/{n}.py --photos PHOTOS --out runs" for n in chain),
        "limits": limits,
        "used_by": "tratto restore"
        if run.scale == 1
        else f"tratto restore --provider tratto --scale {run.scale}; tratto restore --scale {run.scale} in places "
        "where SPAN fails",
    }


PLACES = {
    "tratto-restore-x1": Place(1024, 108, 4, 16),
    "tratto-restore-real": Place(1024, 208, 8, 16),
    "tratto-restore-jpeg": Place(512, 48, 16, 16),
    "tratto-restore-x2": Place(512, 24, 1, 0),
    "tratto-restore-x4": Place(512, 32, 1, 0),
}
"""How the shipped networks are run: three quarters of the overlap cover the receptive field. More reflected pixels than
the border brought nothing on the held-out photographs, and the enlargers were better without any."""


def main() -> None:
    """``python -m tratto_lab.training.publish RUN_FILE --runs FOLDER --photos FOLDER --benchmarks FOLDER``."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m tratto_lab.training.publish", description="Export and measure.")
    parser.add_argument("run", type=Path, help="run file whose checkpoint becomes the shipped weights")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder with the run's folder")
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--benchmarks", type=Path, required=True, help="folder with CBSD68, Classic5, Set5, Set14")
    parser.add_argument("--note", default="", help="added to the card's limits")
    given = parser.parse_args()

    def work() -> None:
        card = load_run(given.run).card_id
        if card not in PLACES:
            raise OptionError(f"weights of {card} are not published by this command, but those of {', '.join(PLACES)}")
        publish(given.run, given.runs, given.photos, given.benchmarks, PLACES[card], given.note)

    run_command(parser, work)


if __name__ == "__main__":
    main()
