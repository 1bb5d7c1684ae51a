"""Turn a run of the network for shapes into what ships: the ONNX file and its model card."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from tratto.core.errors import OptionError
from tratto.models.card import ModelCard, parse_card
from tratto.scene.shell import SIDE
from tratto_lab.corpus.objects import Thing
from tratto_lab.corpus.shells import HELD_OUT_COLLECTION, ShellPack
from tratto_lab.networks.shell import ShellNet
from tratto_lab.training.command import run_command
from tratto_lab.training.config import load_run
from tratto_lab.training.loop import build_network, load_ema
from tratto_lab.training.onnx_file import worst_difference, write_onnx
from tratto_lab.training.publish import LICENCE, card_text, lineage
from tratto_lab.training.run_files import read_checkpoint
from tratto_lab.training.shell import ShellChecks


def credits_of(things: Sequence[Thing]) -> list[str]:
    """Return one line for each collection: its licence, and who made which of its models.

    Examples
    --------
    >>> credits_of([Thing("A", "a/cup/cup.obj", "Cup", "Ann", "CC0"), Thing("A", "a/jar/jar.obj", "Jar", "Ann", "CC0")])
    ['A of Debian 1.8-1 of sweethome3d-furniture (CC0), 2 models: Ann (cup, jar)']
    """
    lines = []
    for collection in sorted({t.collection for t in things}):
        own = [t for t in things if t.collection == collection]
        by: dict[str, list[str]] = {}
        for thing in own:
            by.setdefault(thing.author or "author not named", []).append(thing.name.partition("/")[2])
        made = "; ".join(f"{author} ({', '.join(sorted(by[author]))})" for author in sorted(by))
        lines.append(
            f"{collection} of Debian 1.8-1 of sweethome3d-furniture ({own[0].licence}), {len(own)} models: {made}"
        )
    return lines


def publish_shell(path: Path, runs: Path, pack: Path, note: str = "") -> ModelCard:
    """Export a run's EMA weights into the package, measure them on views that are held out, write the card.

    Parameters
    ----------
    path : Path
        Run file.
    runs : Path
        Folder with the run's folder.
    pack : Path
        What it was trained on.
    note : str
        Added to the limits.

    Returns
    -------
    ModelCard
        The card that was written.

    Raises
    ------
    OptionError
        If the run trains something else, or its checkpoint does not fit.
    """
    import tratto.models as models

    run = load_run(path)
    network = build_network(run)
    if not isinstance(network, ShellNet):
        raise OptionError(f"{path.name} trains {run.network}, no network for shapes")
    missing = load_ema(runs / run.name, network)
    if missing:
        raise OptionError(f"the checkpoint does not fit the run; missing: {', '.join(missing)}")
    steps, _ = read_checkpoint(runs / run.name)
    checks = ShellChecks(pack, run)
    scores = checks.scores(network)
    network.eval()
    shells = ShellPack(pack)
    root = Path(models.__file__).parent
    name = run.card_id
    weights = root / "weights" / f"{name}.onnx"
    write_onnx(network, torch.zeros(1, 4, SIDE, SIDE), ("image", ("shell",)), {}, weights)
    examples = [source for source, _ in checks.cases["held out"][:16]]
    apart = worst_difference(weights, network, examples)
    data = weights.read_bytes()
    fields: dict[str, object] = {
        "id": name,
        "file": f"{name}.onnx",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "licence": LICENCE,
        "commercial_use": True,
        "capability": "shell",
        "backend": "onnx",
        "channels": 4,
        "tile": SIDE,
        "generative": True,
        "input": "image",
        "output": "shell",
        "value_range": [0.0, 1.0],
        "used_by": "tratto lift PHOTO",
        "paper": "two depths for each ray (Shade et al. 1998, Layered depth images; Tulsiani et al. 2018, "
        "Layer-structured 3D scene inference via view synthesis), told by an encoder and decoder with attention",
        "training_data": [
            *credits_of(shells.things()),
            f"{len(shells.training)} rendered views of these (tratto_lab.corpus.shells), lights and colours varied",
        ],
        "command": "tratto data shells FOLDER -o PACK && "
        + " && ".join(f"tratto train training_runs/{n}.py --photos PACK --out runs" for n in lineage(path)),
        "limits": [
            "It was shown furniture, household things, vehicles, plants and a few figures, as renderings without "
            "shadows; no animals to speak of, no food, no faces, nothing photographed.",
            f"Never shown: the collection {HELD_OUT_COLLECTION}, and every family of models whose name's hash holds it "
            "out (tratto_lab.corpus.shells.held_out).",
            "What lies behind is a mean of what could be there: smooth in shape and colour. Thin parts, holes and what "
            "is hidden twice are lost.",
            *([note] if note else []),
        ],
    }
    quality: dict[str, object] = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": steps,
        "samples_seen": steps * run.batch * run.accumulate,
        "onnx_max_difference": float(f"{apart:.2g}"),
        "held_out_views": len(checks.cases["held out"]),
    }
    quality |= {f"held_out_{k.replace(' ', '_')}": v for k, v in scores.items()}
    text = card_text(fields, quality, {"how": "see docs/lift.md"})
    (root / "cards" / f"{name}.toml").write_text(text)
    return parse_card(text, name)


def main() -> None:
    """``python -m tratto_lab.training.publish_shell RUN_FILE --runs FOLDER --pack FOLDER``."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m tratto_lab.training.publish_shell")
    parser.add_argument("run", type=Path, help="run file whose checkpoint becomes the shipped weights")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder with the run's folder")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the pack that it was trained on")
    parser.add_argument("--note", default="", help="added to the card's limits")
    given = parser.parse_args()
    run_command(parser, lambda: publish_shell(given.run, given.runs, given.pack, given.note))


if __name__ == "__main__":
    main()
