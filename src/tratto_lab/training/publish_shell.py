"""What a card says of the network for shapes; :mod:`tratto_lab.training.publish` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from tratto.models.card import ModelCard
from tratto.scene.shell import SIDE
from tratto_lab.corpus.objects import Thing
from tratto_lab.corpus.shells import HELD_OUT_COLLECTION, ShellPack
from tratto_lab.training.config import Run
from tratto_lab.training.onnx_file import worst_difference, write_onnx
from tratto_lab.training.publish import Description, Sources, key_of, main, trained
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


def describe(run: Run, sources: Sources, weights: Path) -> Description:
    """Write the weights of a network for shapes, and return what the card says of them, on views that are held out."""
    pack, checkpoint = sources.pack, sources.runs / run.name
    network = trained(run, checkpoint)
    steps, _ = read_checkpoint(checkpoint)
    checks = ShellChecks(pack, run)
    scores = checks.scores(network)
    network.eval()
    shells = ShellPack(pack)
    write_onnx(network, torch.zeros(1, 4, SIDE, SIDE), ("image", ("shell",)), {}, weights)
    examples = [source for source, _ in checks.cases["held out"][:16]]
    fields: dict[str, object] = {
        "capability": "shell",
        "channels": 4,
        "tile": SIDE,
        "generative": True,
        "input": "image",
        "output": "shell",
        "value_range": [0.0, 1.0],
        "used_by": "tratto lift PHOTO",
        "paper": "two depths for each ray (Shade et al. 1998, Layered depth images; Tulsiani et al. 2018, "
        "Layer-structured 3D scene inference via view synthesis), by an encoder and decoder with attention",
        "training_data": [
            *credits_of(shells.things()),
            f"{len(shells.training)} rendered views of these (tratto_lab.corpus.shells), lights and colours varied",
        ],
        "limits": [
            "It was shown furniture, household things, vehicles, plants and a few figures, as renderings without "
            "shadows; no animals to speak of, no food, no faces, nothing photographed.",
            f"Never shown: the collection {HELD_OUT_COLLECTION}, and every family of models whose name's hash holds it "
            "out (tratto_lab.corpus.shells.held_out).",
            "What lies behind is a mean of what could be there: smooth in shape and colour. Thin parts, holes and what "
            "is hidden twice are lost.",
        ],
    }
    quality: dict[str, object] = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": steps,
        "samples_seen": steps * run.batch * run.accumulate,
        "onnx_max_difference": float(f"{worst_difference(weights, network, examples):.2g}"),
        "held_out_views": len(checks.cases["held out"]),
    }
    quality |= {f"held_out_{key_of(k)}": v for k, v in scores.items()}

    def measure(card: ModelCard) -> tuple[dict[str, object], dict[str, object]]:
        return {}, {"how": "see docs/lift.md"}

    return Description(fields, quality, measure)


if __name__ == "__main__":
    main()
