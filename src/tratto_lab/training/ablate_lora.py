"""Ablations of a fine-tuning: several run files, trained alike, their last validations in one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tratto.core.errors import InputError, OptionError
from tratto_lab.training.lora_config import LoraRun, load_any, with_changes

__all__ = ["ablate_runs", "last_metrics", "table"]


def ablate_runs(
    paths: list[Path], photos: Path, out: Path, changes: list[str] | None = None, stop_after: int | None = None
) -> str:
    """Train every run file, or go on with it, and lay the last validations side by side.

    Parameters
    ----------
    paths : list of Path
        Run files that set ``RUN`` to a :class:`~tratto_lab.training.lora_config.LoraRun`.
    photos, out : Path
        As for :func:`tratto_lab.training.lora.train`.
    changes : list of str or None
        NAME=VALUE, for all runs alike.
    stop_after : int or None
        Stop each run after this many steps of this call.

    Returns
    -------
    str
        Markdown; also written to ``out/ablations.md``.

    Raises
    ------
    InputError, OptionError, UnavailableError
        As training does; also if two runs would write into one folder or a run validates nothing.

    Examples
    --------
    >>> ablate_runs([Path("training_runs/lora_repair.py")], Path("photos"), Path("runs"))  # doctest: +SKIP
    """
    runs = []
    for path in paths:
        given = load_any(path)
        if not isinstance(given, LoraRun):
            raise InputError(f"{path} must set RUN = Run(...) or LoraRun(...); it sets {type(given).__name__}")
        run = with_changes(given, changes or [])
        if run.held_out == 0:
            raise OptionError(f"{path} holds nothing out, so it could not be compared; set held_out")
        runs.append(run)
    if len({r.name for r in runs}) != len(runs):
        raise InputError("each run needs a name of its own: two of these would write into one folder")
    from tratto_lab.training.lora import train

    found = []
    for run in runs:
        folder = train(run, photos, out, stop_after)
        found.append((run.name, *last_metrics(folder)))
    text = table(found)
    try:
        (out / "ablations.md").write_text(text + "\n", encoding="utf-8")
    except OSError as e:
        raise InputError(f"{out / 'ablations.md'} cannot be written: {e}") from e
    return text


def last_metrics(folder: Path) -> tuple[int, dict[str, float | None]]:
    """Return the step and the figures of the newest ``step-N_metrics.json`` of a run.

    Raises
    ------
    InputError
        If there is none or it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "step-20_metrics.json").write_text('{"aggregated_metrics": {"val/loss_mean": 0.5}}')
    >>> last_metrics(folder)
    (20, {'val/loss_mean': 0.5})
    """
    files = {int(p.stem.split("-")[1].split("_")[0]): p for p in folder.glob("step-*_metrics.json")}
    if not files:
        raise InputError(f"{folder} holds no step-N_metrics.json: the run was stopped before it validated")
    step = max(files)
    try:
        data: dict[str, Any] = json.loads(files[step].read_text(encoding="utf-8"))
        return step, dict(data["aggregated_metrics"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise InputError(f"{files[step]} is no file of metrics: {e}") from e


def table(found: list[tuple[str, int, dict[str, float | None]]]) -> str:
    """Return a table of (run, step, figures), one line each; what could not be measured is a dash.

    Examples
    --------
    >>> table([("one", 20, {"val/loss_mean": 0.5})]).splitlines()[-1]
    '| one | 20 | 0.5 | - |'
    """
    names = list(dict.fromkeys(n for _, _, metrics in found for n in metrics if n.endswith("_mean")))
    heads = ["run", "step", *(n.removeprefix("val/").removesuffix("_mean") for n in names), "not measurable"]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for run, step, metrics in found:
        cells = ["-" if (v := metrics.get(n)) is None else f"{v:.4g}" for n in names]
        lost = metrics.get("val/lab_distance_not_measurable")
        lines.append("| " + " | ".join([run, str(step), *cells, "-" if lost is None else f"{lost:.0f}"]) + " |")
    return "\n".join(lines)
