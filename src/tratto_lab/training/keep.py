"""Keep a run's weights where it can go on from on another machine: EMA weights in fp16, and what they came to.

``python -m tratto_lab.training.keep RUN_FILE [EARLIER_RUN_FILE ...] --runs FOLDER --go-on-with RUN_FILE``
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


def keep(run: Run, runs: Path, out: Path, stated: dict[str, Any], earlier: tuple[Run, ...] = ()) -> Path:
    """Write ``<run name>.safetensors`` and ``.json``.

    Parameters
    ----------
    run : Run
        The run.
    runs : Path
        The folder that holds the run's folder, with checkpoint and log, and those of earlier runs.
    out : Path
        Folder to write into; made if missing.
    stated : dict
        What else the JSON file says: what was measured, and how to go on.
    earlier : tuple of Run
        Runs that led to this one; what they cost is added to what it cost.

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
    weights = {f"ema.{k}": v.to(torch.float16).contiguous() for k, v in ema_weights(runs / run.name).items()}
    size = sum(v.numel() * 2 for v in weights.values())
    if size > LARGEST:
        raise OutputError(f"{run.name}: {size} bytes of weights; at most {LARGEST} are kept in a repository")
    step, _ = read_checkpoint(runs / run.name)
    costs = [effort(one, runs / one.name / "log.jsonl") for one in (*earlier, run)]
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{run.name}.safetensors"
    save_file(weights, path, metadata={"step": str(step)})
    facts = {
        "runs": [one.name for one in (*earlier, run)],
        "step": step,
        "steps_of_all_runs": sum(c.steps for c in costs),
        "megapixels_seen": round(sum(c.megapixels for c in costs), 1),
        "hours": round(sum(c.hours for c in costs), 2),
        "cpu_hours": round(sum(c.cpu_hours for c in costs), 2),
        "weights": sum(v.numel() for v in weights.values()),
    } | stated
    path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return path


def main() -> None:
    """Read the arguments and keep the weights."""
    parser = argparse.ArgumentParser(prog="python -m tratto_lab.training.keep", description="Keep a run's weights.")
    parser.add_argument("run", type=Path, help="run file")
    parser.add_argument("earlier", type=Path, nargs="*", help="run files of those that led to it, first to last")
    parser.add_argument("--runs", type=Path, required=True, help="folder the run writes into")
    parser.add_argument("--out", type=Path, default=Path("training_runs/checkpoints"), help="folder to keep them in")
    parser.add_argument("--go-on-with", type=Path, required=True, help="run file that starts from what is kept")
    parser.add_argument("--figures", type=Path, help="JSON file with what was measured")
    given = parser.parse_args()
    run = load_run(given.run)
    figures = json.loads(given.figures.read_text(encoding="utf-8")) if given.figures else {}
    command = f"tratto-lab train {given.go_on_with} --photos PHOTOS --out runs"
    keep(run, given.runs, given.out, {"go_on": command, "figures": figures}, tuple(map(load_run, given.earlier)))


if __name__ == "__main__":
    main()
