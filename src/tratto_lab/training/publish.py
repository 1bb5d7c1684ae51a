"""Turn a finished run into what ships: the ONNX file and its model card with measured figures.

``python -m tratto_lab.training.publish RUN_FILE --runs FOLDER`` publishes every kind of network; :data:`KINDS` says
what each needs: ``--photos``, ``--benchmarks``, ``--pack``. The modules of the kinds run the same command.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tratto.core.errors import OptionError
from tratto.models.card import ModelCard, parse_card
from tratto_lab.training.command import run_command
from tratto_lab.training.config import Run, load_run
from tratto_lab.training.held_out import need_held_out

if TYPE_CHECKING:
    from torch import nn

LICENCE = "Apache-2.0"
TRAINING_DATA = (
    "45 photographs: 31 of the Budgie Backgrounds collection (CC0-1.0) and 14 of the Pop!_OS wallpapers collection "
    "(stated public domain); five further ones are kept out for choosing weights and calibrating",
    "24 pages of invented text rendered from URW base 35 and Liberation fonts",
)
#: Beginnings of the names that those lines speak of.
_KNOWN = ("budgie_", "popos_", "text_")
#: Keys of a card in the order in which it is written.
_ORDER = (
    "id file sha256 size_bytes licence commercial_use capability backend channels scale tile overlap multiple border "
    "seam_exact generative has_sigma input output sigma_output value_range paper training_data command limits used_by"
).split()


@dataclass(frozen=True)
class Sources:
    """Folders that a network is published from; None: not given.

    Attributes
    ----------
    runs : Path
        Holds the run's folder.
    photos : Path or None
        With the held-out photographs, which errors are calibrated and quality is measured on.
    benchmarks : Path or None
        With ``CBSD68``, ``Classic5``, ``Set5`` and ``Set14``, as far as they are there.
    pack : Path or None
        The pack of rendered objects that it was trained on.
    """

    runs: Path
    photos: Path | None = None
    benchmarks: Path | None = None
    pack: Path | None = None


@dataclass(frozen=True)
class Kind:
    """How one kind of network is published.

    Attributes
    ----------
    module : str
        Holds ``describe(run, sources, weights)``, which writes the weights and returns a :class:`Description`.
    needs : tuple of str
        Fields of :class:`Sources` that must be given.
    command : str
        What made the run, with ``{run}`` for its name; repeated for each run that led to it.
    before : str
        What had to be done before the first.
    """

    module: str
    needs: tuple[str, ...] = ("photos",)
    command: str = "tratto train training_runs/{run}.py --photos PHOTOS --out runs"
    before: str = ""


_RESTORER = Kind("tratto_lab.training.publish_restorer", ("photos", "benchmarks"))
_SPAN = replace(_RESTORER, before="python -m tratto_lab.convert.span WHEEL runs")
_REPAIR = Kind("tratto_lab.training.publish_repair")
#: By what a run trains.
KINDS = {
    "restorer": _RESTORER,
    "upscaler": _RESTORER,
    "span": _SPAN,
    "inpainter": _REPAIR,
    "segmenter": _REPAIR,
    "estimator": Kind("tratto_lab.training.publish_estimator"),
    "shell": Kind(
        "tratto_lab.training.publish_shell",
        ("pack",),
        "tratto train training_runs/{run}.py --photos PACK --out runs",
        "tratto data shells FOLDER -o PACK",
    ),
}


@dataclass(frozen=True)
class Description:
    """What a kind says of its network.

    Attributes
    ----------
    fields : mapping
        Of the card, beside those that all cards have.
    quality : mapping
        What was measured on the way.
    measure : callable
        Given the card of the weights as they were written, returns further figures of quality, and those of speed.
    """

    fields: Mapping[str, object]
    quality: Mapping[str, object]
    measure: Callable[[ModelCard], tuple[dict[str, object], dict[str, object]]] = field(default=lambda card: ({}, {}))


def trained(run: Run, checkpoint: Path) -> nn.Module:
    """Return a run's network with its EMA weights, in evaluation mode.

    Parameters
    ----------
    run : Run
        Says which network.
    checkpoint : Path
        Folder of the run, or a checkpoint file.

    Raises
    ------
    OptionError
        If the checkpoint does not fit.
    """
    from tratto_lab.training.loop import build_network, load_ema

    network = build_network(run)
    missing = load_ema(checkpoint, network)
    if missing:
        raise OptionError(f"the checkpoint does not fit the run; missing: {', '.join(missing)}")
    return network.eval()


def publish(path: Path, sources: Sources, note: str = "") -> ModelCard:
    """Export a run's EMA weights into the package, measure them, write the card.

    Parameters
    ----------
    path : Path
        Run file.
    sources : Sources
        Where the run lies, and what it is measured on.
    note : str
        Added to the limits, such as how far the training had come.

    Returns
    -------
    ModelCard
        The card that was written.

    Raises
    ------
    OptionError
        If the run trains what is not published here, or something is missing that its kind needs.
    """
    import tratto.models as models

    run = load_run(path)
    kind = KINDS.get(run.network)
    if kind is None:
        raise OptionError(f"weights of {run.network} are not published here, but those of {', '.join(KINDS)}")
    missing = [f"--{name}" for name in kind.needs if getattr(sources, name) is None]
    if missing:
        raise OptionError(f"to publish weights of {run.network}, name {' and '.join(missing)}, too")
    if sources.photos is not None and "photos" in kind.needs:
        need_held_out(sources.photos)
    root, name = Path(models.__file__).parent, run.card_id
    weights = root / "weights" / f"{name}.onnx"
    made = import_module(kind.module).describe(run, sources, weights)
    data = weights.read_bytes()
    fields: dict[str, object] = {
        "id": name,
        "file": weights.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "licence": LICENCE,
        "commercial_use": True,
        "backend": "onnx",
        "command": " && ".join([*filter(None, [kind.before]), *(kind.command.format(run=n) for n in lineage(path))]),
    } | dict(made.fields)
    if note:
        fields["limits"] = [*fields["limits"], note]  # type: ignore[misc]
    fields = {k: fields[k] for k in sorted(fields, key=_ORDER.index)}
    quality, speed = made.measure(parse_card(card_text(fields, made.quality, {"seconds_per_megapixel": 1.0})))
    text = card_text(fields, {**made.quality, **quality}, speed)
    (root / "cards" / f"{name}.toml").write_text(text)
    return parse_card(text, name)


def training_data(runs: Path) -> list[str]:
    """Return what a card says of the pictures in a runs folder's pack: those above, then all others by their licence.

    Pictures whose licence asks for attribution are named, and so is whose they are, if their names or licences tell.
    """
    lines = list(TRAINING_DATA)
    index = runs / "pack" / "index.json"
    others: dict[str, list[str]] = {}
    for entry in json.loads(index.read_text()) if index.is_file() else ():
        if entry["shrink"] == 1 and not entry["name"].startswith(_KNOWN):
            others.setdefault(entry["licence"], []).append(entry["name"])
    for licence, names in others.items():
        named = f": {', '.join(names)}" if "BY" in licence else ""
        count = "1 picture" if len(names) == 1 else f"{len(names)} pictures"
        lines.append(f"{count} under {licence}{named}")
    return lines


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
    runs = [name for name in (run.initial, *(name for name, _ in run.blend)) if name and not name.endswith(".onnx")]
    befores = [path.with_name(f"{name}.py") for name in runs]
    names = [name for before in befores if before.is_file() for name in lineage(before)]
    return [*dict.fromkeys(names), run.name]


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


def card_text(fields: Mapping[str, object], quality: Mapping[str, object], speed: Mapping[str, object]) -> str:
    """Write a card as TOML."""
    lines = [f"{k} = {_toml(v)}" for k, v in fields.items()]
    for title, table in (("quality", quality), ("speed", speed)):
        lines += ["", f"[{title}]", *[f"{k} = {_toml(v)}" for k, v in table.items()]]
    return "\n".join(lines) + "\n"


def key_of(case: str) -> str:
    """Return what a card calls a figure of a case.

    Examples
    --------
    >>> key_of("sigma 2.5")
    'sigma_2_5'
    """
    return case.replace(" ", "_").replace(".", "_")


def seconds_per_megapixel(card: ModelCard, side: int = 0, repeats: int = 5) -> float:
    """Processor seconds of one thread per *input* megapixel, best of several squares.

    Processor time, not wall time: other work on the machine does not count. Two threads take about half.

    Parameters
    ----------
    card : ModelCard
        Of weights that lie in the package, with a single input.
    side : int
        Of the squares, pixels; 0: the card's tile.
    repeats : int
        The least of so many times counts.
    """
    from tratto.backends.open import open_backend

    backend = open_backend(card, threads=1)
    side = side or card.tile
    square = np.random.default_rng(0).random((1, card.channels, side, side), dtype=np.float32)
    backend.run({card.input: square})
    times = []
    for _ in range(repeats):
        start = time.process_time()
        backend.run({card.input: square})
        times.append(time.process_time() - start)
    return min(times) / (side**2 / 1e6)


def main() -> None:
    """``python -m tratto_lab.training.publish RUN_FILE --runs FOLDER``, with what the kind of network needs beside."""
    parser = argparse.ArgumentParser(prog="python -m tratto_lab.training.publish", description="Export and measure.")
    parser.add_argument("run", type=Path, help="run file whose checkpoint becomes the shipped weights")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder with the run's folder")
    parser.add_argument("--photos", type=Path, help="folder with the held-out photographs")
    parser.add_argument("--benchmarks", type=Path, help="folder with CBSD68, Classic5, Set5, Set14: for restore")
    parser.add_argument("--pack", type=Path, help="folder of the pack that it was trained on: for shapes")
    parser.add_argument("--note", default="", help="added to the card's limits")
    given = parser.parse_args()
    sources = Sources(given.runs, given.photos, given.benchmarks, given.pack)
    run_command(parser, lambda: publish(given.run, sources, given.note))


if __name__ == "__main__":
    main()
