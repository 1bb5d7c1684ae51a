"""Giving back the untouched original."""

from __future__ import annotations

import os
from pathlib import Path

from tratto.core.errors import OutputError, ReceiptError
from tratto.core.files import atomic_file
from tratto.core.hashing import FileFacts, hash_file
from tratto.imaging.io.target import bundle_around, check_name, check_target
from tratto.provenance.bundle.read import find_original, find_output, read_bundle, some_bundle


def revert(path: Path, to: Path, overwrite: bool = False) -> Path:
    """Give back the untouched original, byte by byte.

    Parameters
    ----------
    path : Path
        The output picture, its bundle, or a file in the bundle.
    to : Path
        Where to write it: a new file, or an existing folder (then under the name it has in the bundle).
    overwrite : bool
        Replace a file that exists; never the result, nor a file of a bundle.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    ReceiptError
        If there is no bundle, no original in it, or the original is not the one the receipt names. Nothing is written.
    OutputError
        If ``to`` exists or cannot be written.

    Examples
    --------
    >>> import tempfile, tratto
    >>> from PIL import Image as Pil
    >>> folder = Path(tempfile.mkdtemp())
    >>> Pil.new("RGB", (16, 16), "grey").save(folder / "wall.bmp")
    >>> result = tratto.restore(folder / "wall.bmp")
    >>> saved = tratto.save(result, folder / "wall.png", source=folder / "wall.bmp")
    >>> revert(saved.bundle, folder / "again.bmp").read_bytes() == (folder / "wall.bmp").read_bytes()
    True
    """
    bundle = read_bundle(some_bundle(path))
    name = find_original(bundle)
    stated = bundle.receipt["inputs"]["picture"]["file"]
    if name is None or stated is None:
        raise ReceiptError("this bundle was written without the original (--no-original), so nothing can be given back")
    target = to / name if to.is_dir() else to
    check_target(target)
    check_name(target)
    if os.path.lexists(target) and not overwrite:
        raise OutputError(f"{target} exists already; choose another name, or replace it with --overwrite")
    picture, _ = find_output(bundle)
    if target.exists() and ((picture is not None and target.samefile(picture)) or bundle_around(target) is not None):
        raise OutputError(
            f"{target} is the result or lies in a bundle, which is never overwritten; choose another name"
        )
    with atomic_file(target, replace=overwrite) as f:
        facts = hash_file(bundle.folder / name, f.write, stated["bytes"], links=False)
        if facts != FileFacts(stated["sha256"], stated["bytes"]):
            raise ReceiptError(f"{name} is not the file the receipt names: it was altered; nothing was written")
    return target
