"""Checking many results at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tratto.core.errors import InputError
from tratto.provenance.bundle import SUFFIX, find_bundle
from tratto.provenance.commit import is_leftover


def find_bundles(path: Path) -> Iterator[Path]:
    """Yield the bundles that a path stands for: a bundle, a picture that has one, or all below a folder, by name.

    Raises
    ------
    InputError
        If there is nothing at ``path``.
    ReceiptError
        If a picture has no bundle.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    if path.suffix == SUFFIX or path.is_file():
        yield find_bundle(path)
        return
    for here, folders, _ in os.walk(path):
        folders.sort()
        for name in folders:
            if name.endswith(SUFFIX) and not is_leftover(Path(name)):
                yield Path(here) / name
        folders[:] = [f for f in folders if not f.endswith(SUFFIX) and not f.startswith(".")]
