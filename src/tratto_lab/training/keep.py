"""Keep a run's weights where it can go on from on another machine: EMA weights in fp16, and what they came to.

``python -m tratto_lab.training.keep RUN_FILE --runs FOLDER --out FOLDER --go-on-with RUN_FILE [--figures FILE]``
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tratto.core.errors import InputError, OutputError
from tratto_lab.training.config import Run, load_run
from tratto_lab.training.loop import ema_weights
from tratto_lab.training.run_files import read_checkpoint

#: Bytes a kept file may have: it lies in a repository.
LARGEST = 16 * 2**20


@dataclass(frozen=True)
class Effort:
    """What a run has cost so far, from its log.

    Attributes
    ----------
    steps : int
        Of the last line.
    megapixels : float
        Clean pixels of all samples.
    hours : float
        Wall clock between the lines, checks left out.
    cpu_hours : float
        Processor time of it; lines of before it was counted are taken as wall clock.
    """

    steps: int
    megapixels: float
    hours: float
    cpu_hours: float


def effort(run: Run, log: Path) -> Effort:
    """Sum up a run's log.

    Raises
    ------
    InputError
        If it cannot be read, or has no line of a loss.
    """
    try:
        rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as e:
        raise InputError(f"{log} cannot be read as lines of JSON: {e}") from e
    before, hours, cpu = 0, 0.0, 0.0
    for row in rows:
        if "loss" not in row:
            continue
        seconds = (row["step"] - before) / row["steps_per_s"]
        hours += seconds / 3600
        cpu += row.get("cpu_s", seconds) / 3600
        before = row["step"]
    if not before:
        raise InputError(f"{log} has no line of a loss; the run has not logged a step yet")
    pixels = before * run.batch * run.accumulate * run.data.patch**2 / 1e6
    return Effort(before, round(pixels, 1), round(hours, 2), round(cpu, 2))


def keep(run: Run, folder: Path, out: Path, figures: dict[str, Any], go_on: str) -> Path:
    """Write ``<run name>.safetensors`` and ``.json``.

    Parameters
    ----------
    run : Run
        The run.
    folder : Path
        Its folder, with checkpoint and log.
    out : Path
        Folder to write into; made if missing.
    figures : dict
        What was measured with these weights.
    go_on : str
        The command that goes on from them.

    Returns
    -------
    Path
        The weights.

    Raises
    ------
    InputError
        If checkpoint or log cannot be read.
    OutputError
        If the weights would be larger than :data:`LARGEST`.
    """
    weights = {f"ema.{k}": v.to(torch.float16).contiguous() for k, v in ema_weights(folder).items()}
    size = sum(v.numel() * 2 for v in weights.values())
    if size > LARGEST:
        raise OutputError(f"{run.name}: {size} bytes of weights; at most {LARGEST} are kept in a repository")
    step, _ = read_checkpoint(folder)
    cost = effort(run, folder / "log.jsonl")
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{run.name}.safetensors"
    save_file(weights, path, metadata={"step": str(step)})
    told = {
        "run": run.name,
        "step": step,
        "megapixels_seen": round(cost.megapixels * step / cost.steps, 1),
        "hours": cost.hours,
        "cpu_hours": cost.cpu_hours,
        "weights": sum(v.numel() for v in weights.values()),
        "go_on": go_on,
        "figures": figures,
    }
    path.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return path


def main() -> None:
    """Read the arguments and keep the weights."""
    parser = argparse.ArgumentParser(prog="python -m tratto_lab.training.keep", description="Keep a run's weights.")
    parser.add_argument("run", type=Path, help="run file")
    parser.add_argument("--runs", type=Path, required=True, help="folder the run writes into")
    parser.add_argument("--out", type=Path, default=Path("training_runs/checkpoints"), help="folder to keep them in")
    parser.add_argument("--go-on-with", type=Path, required=True, help="run file that starts from what is kept")
    parser.add_argument("--figures", type=Path, help="JSON file with what was measured")
    given = parser.parse_args()
    run = load_run(given.run)
    figures = json.loads(given.figures.read_text(encoding="utf-8")) if given.figures else {}
    command = f"tratto-lab train {given.go_on_with} --photos PHOTOS --out runs"
    keep(run, given.runs / run.name, given.out, figures, command)


if __name__ == "__main__":
    main()
