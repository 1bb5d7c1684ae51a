"""Ablations: several variants of one run, trained alike, compared in one table.

An ablation file sets ``VARIANTS = {"name": Run(...), ...}``. Each variant is trained (or continued) by the ordinary
trainer; the table shows its parameters, the time of one forward pass and its PSNR on the held-out photographs.
"""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from tratto.core.errors import InputError, OptionError
from tratto_lab.training.config import RESTORING, Run, execute
from tratto_lab.training.held_out import need_held_out
from tratto_lab.training.loop import LPIPS, HeldOut, build_network, load_ema, run


@dataclass(frozen=True)
class Variant:
    """What one variant came to.

    Attributes
    ----------
    name : str
        Its name in the file.
    parameters : int
        Of the network.
    milliseconds : float
        Processor time of one forward pass over 256 x 256 pixels in torch, best of three.
    psnr : dict
        Case -> mean PSNR in dB on the held-out photographs, EMA weights; of runs with a loss of likeness LPIPS, too.
    """

    name: str
    parameters: int
    milliseconds: float
    psnr: dict[str, float]


def sets_variants(path: Path) -> bool:
    """Return whether a file reads like an ablation file, without running it."""
    try:
        tree = ast.parse(path.read_text())
    except (OSError, SyntaxError, ValueError):
        return False
    names = (t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets)
    return any(isinstance(t, ast.Name) and t.id == "VARIANTS" for t in names)


def load_variants(path: Path) -> dict[str, Run]:
    """Read an ablation file.

    Raises
    ------
    InputError
        If it is missing or sets no ``VARIANTS``, or two variants would write into one folder.
    """
    if not path.is_file():
        raise InputError(f"no ablation file at {path}; they live in training_runs/ablations/")
    variants = execute(path).get("VARIANTS")
    if not isinstance(variants, dict) or not variants or not all(isinstance(v, Run) for v in variants.values()):
        raise InputError(f"{path} must set VARIANTS to a dictionary of name -> Run(...)")
    if len({v.name for v in variants.values()}) != len(variants):
        raise InputError(f"{path}: each variant needs a run name of its own")
    return variants


def ablate(path: Path, photos: Path, out: Path, pack: Path | None = None) -> list[Variant]:
    """Train all variants of a file and write ``<file name>.md`` and ``.json`` into `out`.

    Parameters
    ----------
    path : Path
        Ablation file.
    photos, out, pack : Path
        As for :func:`tratto_lab.training.loop.run`.

    Returns
    -------
    list of Variant
        In the order of the file.
    """
    return compare(load_variants(path), (photos, out, pack), path.stem)


def compare(variants: Mapping[str, Run], where: tuple[Path, Path, Path | None], name: str) -> list[Variant]:
    """Train runs alike and write ``<name>.md`` and ``.json``.

    Parameters
    ----------
    variants : mapping of str to Run
        By title, as the table shows it.
    where : (Path, Path, Path or None)
        Photographs, output folder and pack, as for :func:`tratto_lab.training.loop.run`.
    name : str
        Of the files.

    Raises
    ------
    InputError
        If none of the held-out photographs is there: there would be nothing to compare.
    OptionError
        For a network that does not restore pictures.
    """
    photos, out, pack = where
    for title, config in variants.items():
        if config.network not in RESTORING:
            raise OptionError(f"{title} trains the network {config.network!r}; compared are {', '.join(RESTORING)}")
    need_held_out(photos)
    found = []
    for title, config in variants.items():
        folder = run(config, photos, out, pack)
        found.append(measure(title, config, folder, HeldOut(photos, config)))
    (out / f"{name}.json").write_text(json.dumps([v.__dict__ for v in found], indent=1))
    (out / f"{name}.md").write_text(table(found))
    return found


@torch.no_grad()
def measure(name: str, config: Run, folder: Path, checks: HeldOut) -> Variant:
    """Measure one trained variant."""
    from tratto_lab.training.loop import Ema

    network = build_network(config)
    load_ema(folder, network)
    network.eval()
    x = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    times = []
    for _ in range(4):
        start = time.process_time()
        network(x)
        times.append(time.process_time() - start)
    psnr = checks.measure(Ema(network, 0.5), network)
    psnr.pop("within_one_sigma", None)
    return Variant(name, sum(p.numel() for p in network.parameters()), 1000 * min(times[1:]), psnr)


def table(variants: list[Variant]) -> str:
    """Return the comparison as a Markdown table."""
    cases = list(dict.fromkeys(c for v in variants for c in v.psnr))
    lines = [
        "| variant | parameters | ms / 256² | " + " | ".join(cases) + " |",
        "| --- | --- | --- |" + " --- |" * len(cases),
    ]
    for v in variants:
        values = " | ".join(f"{v.psnr[c]:.{4 if LPIPS in c else 2}f}" if c in v.psnr else "" for c in cases)
        lines.append(f"| {v.name} | {v.parameters / 1e6:.2f} M | {v.milliseconds:.0f} | {values} |")
    return "\n".join(lines) + "\n"
