"""Start a run file with the loop that is made for it."""

from __future__ import annotations

from pathlib import Path

from tratto.core.errors import InputError, OptionError
from tratto_lab.training.lora_config import LoraRun, load_any, with_changes


def start(path: Path, photos: Path, out: Path, stop_after: int | None = None, changes: list[str] | None = None) -> Path:
    """Train as a run file says.

    Parameters
    ----------
    path : Path
        Python that sets ``RUN`` to a :class:`~tratto_lab.training.config.Run` or a
        :class:`~tratto_lab.training.lora_config.LoraRun`, or the fields of the latter in YAML.
    photos : Path
        Folder of the training data.
    out : Path
        Output folder; a folder with the run's name is written in it.
    stop_after : int or None
        Stop with a checkpoint after this many steps of this call.
    changes : list of str or None
        Fields of a ``LoraRun`` to exchange, NAME=VALUE.

    Returns
    -------
    Path
        The run's folder.

    Raises
    ------
    InputError, OptionError, UnavailableError
        If something that is needed is missing or not right.
    """
    from tratto_lab.training.config import Run

    given = load_any(path)
    if isinstance(given, LoraRun):
        from tratto_lab.training.lora import train

        return train(with_changes(given, changes or []), photos, out, stop_after)
    if not isinstance(given, Run):
        raise InputError(f"{path} must set RUN = Run(...) or LoraRun(...); it sets {type(given).__name__}")
    if changes:
        raise OptionError("--set changes the runs that fine-tune diffusion models; edit a copy of this run file")
    from tratto_lab.training.loop import run

    return run(given, photos, out, stop_after=stop_after)
