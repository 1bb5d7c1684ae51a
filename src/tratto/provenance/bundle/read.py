"""Finding and reading a bundle.

A bundle may come from anybody. Names in it are taken from the list in :mod:`.names` only, links are not followed, sizes
are limited.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tratto.core import canonical
from tratto.core.errors import InputError, ReceiptError
from tratto.core.hashing import FileFacts, hash_file, read_limited
from tratto.provenance import commit
from tratto.provenance.bundle.names import (
    CLUTTER,
    FORMAT_OF,
    INPUTS,
    MOST_IN_FOLDER,
    NAMES,
    OUTPUT_EXTENSIONS,
    OUTPUTS,
    PARENTS,
    RECEIPT,
    SEAL,
    SUFFIX,
    belongs,
    bundle_path,
    role_of,
    unsealed,
)
from tratto.provenance.receipt import main_output, read_receipt
from tratto.provenance.seal import MAX_SEAL, read_seal, sealed_credentials
from tratto.provenance.upgrade import carried

#: Most entries of a folder that are looked at; a bundle has far fewer.
MOST_ENTRIES = 1000


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that was read; nothing but the form of receipt and seal has been checked.

    Attributes
    ----------
    folder : Path
        Where it lies.
    receipt : dict
        Of the present form, whichever it was written in.
    receipt_bytes : bytes
        As they lie in the file; what the seal hashes.
    sealed_receipt, sealed_output : FileFacts
        What the seal states.
    sealed_files : dict of str to FileFacts
        What the seal states of each file but receipt and output, by its name in the bundle.
    credentials : str
        Where the content credentials are: ``"embedded"``, ``"credentials.c2pa"``, or empty.
    carried : dict of str to bytes
        Second inputs that lie in the receipt itself, by role; see :mod:`tratto.provenance.upgrade`.

    Examples
    --------
    >>> import tempfile, tratto
    >>> import numpy as np
    >>> saved = tratto.save(tratto.restore(np.full((16, 16, 3), 90, np.uint8)), Path(tempfile.mkdtemp()) / "wall.png")
    >>> bundle = read_bundle(saved.bundle)
    >>> "report.html" in bundle.sealed_files, bundle.sealed_output.size == saved.output.stat().st_size
    (True, True)
    """

    folder: Path
    receipt: dict[str, Any]
    receipt_bytes: bytes
    sealed_receipt: FileFacts
    sealed_output: FileFacts
    sealed_files: dict[str, FileFacts]
    credentials: str = ""
    carried: dict[str, bytes] = field(default_factory=dict)

    def in_folder(self, folder: str) -> dict[str, str]:
        """Return the sealed files of one of the bundle's folders, by role.

        Raises
        ------
        ReceiptError
            If a role has more than one.
        """
        found: dict[str, str] = {}
        for name in self.sealed_files:
            if name.startswith(f"{folder}/"):
                if role_of(name) in found:
                    raise ReceiptError(f"the seal names more than one file for {folder}/{role_of(name)}")
                found[role_of(name)] = name
        return found


def find_bundle(path: Path) -> Path:
    """Return the bundle folder for a bundle, a file in it, or an output picture.

    Raises
    ------
    ReceiptError
        If there is none.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "wall.tratto"
    >>> folder.mkdir()
    >>> find_bundle(folder.with_name("wall.png")) == folder, find_bundle(folder / "receipt.json") == folder
    (True, True)
    """
    if path.is_symlink() and path.suffix == SUFFIX:
        raise ReceiptError(f"{path.name} is a symbolic link; give the bundle folder itself")
    if commit.is_leftover(path.absolute()) or commit.is_leftover(path.absolute().parent):
        raise ReceiptError(f"{path.name} is left over from a stopped save and no bundle; save the picture again")
    if path.is_dir():
        return path
    here = path.absolute().parent
    if path.name in NAMES and here.suffix == SUFFIX:
        return here
    if belongs(f"{here.name}/{path.name}") and here.parent.suffix == SUFFIX:
        return here.parent
    folder = bundle_path(path)
    if folder.is_symlink():
        raise ReceiptError(f"{folder.name} is a symbolic link; a bundle is a plain folder")
    if not folder.is_dir():
        remedy = (
            "A save of it was stopped halfway; save it again"
            if commit.leftovers(folder)
            else f"If tratto made it, lay its bundle beside it under the name {folder.name}, or name the bundle"
        )
        raise ReceiptError(
            f"there is no bundle {folder.name} beside {path.name}; nothing is known about this picture. {remedy}"
        )
    return folder


def some_bundle(path: Path) -> Path:
    """Return the bundle folder as :func:`find_bundle` does, but say of what is none what ``verify`` says of it."""
    if not os.path.lexists(path):
        raise InputError(f"{path}: there is no such file or folder")
    folder = find_bundle(path)
    if not any(os.path.lexists(folder / n) for n in (RECEIPT, SEAL)):
        raise ReceiptError(f"{folder.name} is not a bundle: it holds neither {RECEIPT} nor {SEAL}")
    return folder


def read_bundle(folder: Path) -> Bundle:
    """Read the receipt and the seal of a bundle and check the names in it.

    Raises
    ------
    ReceiptError
        If something is missing, malformed or does not belong there.

    Examples
    --------
    >>> import tempfile, tratto
    >>> import numpy as np
    >>> saved = tratto.save(tratto.restore(np.full((16, 16, 3), 90, np.uint8)), Path(tempfile.mkdtemp()) / "wall.png")
    >>> read_bundle(saved.bundle).receipt["task"]
    'restore'
    """
    check_names(folder)
    receipt_bytes = read_limited(folder / RECEIPT, canonical.MAX_BYTES)
    receipt = read_receipt(receipt_bytes)
    seal = read_limited(folder / SEAL, MAX_SEAL)
    sealed_receipt, sealed_output, sealed_files = read_seal(seal)
    for name in sealed_files:
        if not belongs(name) or unsealed(name):
            raise ReceiptError(f"the seal names {name[:60]!r}, which does not belong in a bundle")
    sealed = (sealed_receipt, sealed_output, sealed_files)
    return Bundle(folder, receipt, receipt_bytes, *sealed, sealed_credentials(seal), carried(receipt_bytes))


def files_in(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what a bundle folder holds, in its own folders too: each name as the seal spells it, and what is wrong.

    Nothing is opened, no link is followed, and after a thousand entries one more with a complaint is the last.

    Yields
    ------
    name : str
        ``"seal.json"``, ``"inputs/texture.png"``.
    wrong : str
        Why it is no plain file that may stand there; empty if it is one.

    Raises
    ------
    OSError
        If the folder cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "seal.json").write_text("{}")
    >>> list(files_in(folder))
    [('seal.json', '')]
    """
    count = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            count += 1
            if count > MOST_ENTRIES:
                yield entry.name, "the bundle holds more than a thousand files"
                return
            if entry.name in CLUTTER:
                continue
            if entry.name not in (INPUTS, OUTPUTS, PARENTS):
                yield entry.name, _what_is_wrong(entry.name, entry)
            elif not entry.is_dir(follow_symlinks=False):
                yield entry.name, f"{entry.name} in the bundle is not a plain folder"
            else:
                yield from _files_below(folder / entry.name)


def _files_below(folder: Path) -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            name = f"{folder.name}/{entry.name}"
            if count >= MOST_IN_FOLDER:
                yield name, f"{folder.name} in the bundle holds more than {MOST_IN_FOLDER} files"
                return
            if entry.name not in CLUTTER:
                yield name, _what_is_wrong(name, entry)


def _what_is_wrong(name: str, entry: os.DirEntry[str]) -> str:
    if not belongs(name):
        return f"the bundle holds {name[:60]!r}, which does not belong in a bundle"
    return "" if entry.is_file(follow_symlinks=False) else f"{name} in the bundle is not a plain file"


def check_names(folder: Path) -> None:
    """Refuse a bundle folder that holds anything but plain files of the known names.

    Raises
    ------
    ReceiptError
        If it holds anything else, or cannot be read.
    """
    try:
        for _, wrong in files_in(folder):
            if wrong:
                raise ReceiptError(wrong)
    except OSError as e:
        raise ReceiptError(f"the bundle {folder.name} cannot be read: {e.strerror or e}") from e


def find_original(bundle: Bundle) -> str | None:
    """Return the name of the original in a bundle, or None if it was left out.

    Raises
    ------
    ReceiptError
        If there is more than one.

    Examples
    --------
    >>> import tempfile, tratto
    >>> import numpy as np
    >>> saved = tratto.save(tratto.restore(np.full((16, 16, 3), 90, np.uint8)), Path(tempfile.mkdtemp()) / "wall.png")
    >>> find_original(read_bundle(saved.bundle)) is None  # an array has no file that could be kept
    True
    """
    found = [n for n in bundle.sealed_files if n.startswith("original.")]
    if len(found) > 1:
        raise ReceiptError("the seal names more than one original")
    return found[0] if found else None


#: Most bundles, or pictures, of a folder that are looked at to find what was renamed.
_MOST = 2000


def bundle_by_hash(picture: Path) -> Path | None:
    """Return the bundle beside a picture that seals exactly this file, whatever the two are called; None if none does.

    Parameters
    ----------
    picture : Path
        Its hash is compared; its name is of no account.

    Examples
    --------
    >>> import tempfile, tratto
    >>> import numpy as np
    >>> saved = tratto.save(tratto.restore(np.full((16, 16, 3), 90, np.uint8)), Path(tempfile.mkdtemp()) / "wall.png")
    >>> bundle_by_hash(saved.output.rename(saved.output.with_name("renamed.png"))).name
    'wall.tratto'
    """
    try:
        size = picture.stat().st_size
        beside = sorted(p for p in picture.absolute().parent.iterdir() if p.suffix == SUFFIX and not p.is_symlink())
    except OSError:
        return None
    facts: FileFacts | None = None
    for folder in beside[:_MOST]:
        try:
            sealed = read_seal(read_limited(folder / SEAL, MAX_SEAL))[1]
            if sealed.size != size:
                continue
            facts = facts or hash_file(picture, limit=size)
        except ReceiptError:
            continue
        if facts == sealed:
            return folder
    return None


def _renamed_output(bundle: Bundle, extensions: set[str]) -> Path | None:
    """Return the picture beside a bundle that it seals, under another name."""
    beside = sorted(p for p in bundle.folder.absolute().parent.iterdir() if p.suffix.lower().lstrip(".") in extensions)
    for path in beside[:_MOST]:
        with contextlib.suppress(ReceiptError, OSError):
            if path.is_file() and path.stat().st_size == bundle.sealed_output.size:
                if hash_file(path, limit=bundle.sealed_output.size, links=False) == bundle.sealed_output:
                    return path
    return None


def find_output(bundle: Bundle) -> tuple[Path | None, bool]:
    """Look for the picture, or whatever else the result is, that a bundle is about, beside it.

    Returns
    -------
    path : Path or None
        None if no file there has the name and the format, and none is the sealed one under another name.
    matches : bool
        True if it is the sealed one, byte by byte.

    Examples
    --------
    >>> import tempfile, tratto
    >>> import numpy as np
    >>> saved = tratto.save(tratto.restore(np.full((16, 16, 3), 90, np.uint8)), Path(tempfile.mkdtemp()) / "wall.png")
    >>> bundle = read_bundle(saved.bundle)
    >>> find_output(bundle)[1]
    True
    >>> saved.output.unlink()
    >>> find_output(bundle)
    (None, False)
    """
    file = main_output(bundle.receipt)["file"]
    if file is None:
        return None, False
    folder = bundle.folder.absolute()
    extensions = {e for e in OUTPUT_EXTENSIONS if FORMAT_OF.get(e, e) == file["format"]}
    found: Path | None = None
    for path in sorted(folder.parent.glob(f"{glob.escape(folder.stem)}.*")):
        if path.stem != folder.stem or path.suffix.lower().lstrip(".") not in extensions or not path.is_file():
            continue
        found = path
        with contextlib.suppress(ReceiptError):
            if hash_file(path, limit=bundle.sealed_output.size, links=False) == bundle.sealed_output:
                return path, True
    if found is None:
        with contextlib.suppress(OSError):
            found = _renamed_output(bundle, extensions)
        return found, found is not None
    return found, False


def is_lone_receipt(path: Path) -> bool:
    """Return True for a JSON file that does not lie in a bundle.

    Examples
    --------
    >>> is_lone_receipt(Path('photo.png'))
    False
    """
    return path.suffix.lower() == ".json" and path.is_file() and path.absolute().parent.suffix != SUFFIX
