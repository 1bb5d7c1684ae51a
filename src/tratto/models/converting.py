"""Make safetensors once of a checkpoint that is published as a pickle alone; nothing pickled is opened afterwards.

The checkpoint is fetched like any file of a hub, and its hash is checked before it is opened. It is opened in a process
of its own, by torch's unpickler that builds tensors and calls nothing else (:mod:`tratto_lab.convert.views`).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

from tratto.core.errors import MissingWeights, OutputError, UnavailableError, WeightMismatch
from tratto.core.files import write_text
from tratto.models.card import ModelCard
from tratto.models.hub import Progress, Pulled, pull
from tratto.models.store import LOCK_NAME, converted_folder, file_sha256, open_weights, read_lock, repo_folder

#: What converts: network, checkpoint and a new folder follow.
CONVERTER = (sys.executable, "-m", "tratto_lab.convert.views")


def pull_converted(card: ModelCard, progress: Progress | None = None) -> Pulled:
    """Bring a card's checkpoint to this machine and convert it.

    Parameters
    ----------
    card : ModelCard
        With a source of kind ``converted``.
    progress : callable or None
        Of the download; see :data:`tratto.models.hub.Progress`.

    Returns
    -------
    Pulled
        Where the converted files are, verified, and which were fetched now.

    Raises
    ------
    MissingWeights, WeightMismatch, OutputError, MissingExtra
        As :func:`tratto.models.hub.pull`.
    UnavailableError
        If it cannot be converted: another network's, or more than tensors; or torch is not installed.
    """
    try:
        return Pulled(open_weights(card), (), ())
    except (MissingWeights, WeightMismatch):
        pass  # to be made, again where it is not what was recorded
    source = card.source
    pickle = replace(card, files={source.checkpoint: source.checksum}, source=replace(source, kind="hub"))
    path = pull(pickle, progress).weights.paths[source.checkpoint]
    target = converted_folder(card)
    half = target.with_name(f"{target.name}-new")
    for old in (half, target):
        shutil.rmtree(old, ignore_errors=True)
    done = subprocess.run([*CONVERTER, card.id, str(path), str(half)], capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1].removeprefix("tratto: ")
        kind = OutputError if done.returncode == OutputError.exit_code else UnavailableError
        raise kind(f"{card.id}: its checkpoint cannot be converted: {told}")
    try:
        half.rename(target)
        lock = read_lock(card)
        own = {name: file_sha256(target / name) for name in card.files}
        known = {"commit": lock["commit"], "files": {**lock["files"], **own}}
        write_text(repo_folder(card) / LOCK_NAME, json.dumps(known, indent=2, sort_keys=True) + "\n")
    except OSError as e:
        raise OutputError(f"cannot write the weights of {card.id} under {target}: {e.strerror or e}") from e
    return Pulled(open_weights(card), tuple(card.files), tuple(card.files))
