"""Everything that belongs to one result, found from any of its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import ReceiptError
from tratto.provenance import canonical
from tratto.provenance.bundle import MASK, SUFFIX, find_bundle, find_original, read_bundle
from tratto.provenance.receipt import read_receipt
from tratto.provenance.seal import hash_file, read_limited


@dataclass(frozen=True, eq=False)
class Account:
    """A receipt and what was found with it.

    Attributes
    ----------
    receipt : dict
    original : Path or None
    output : Path or None
        The picture beside the bundle, if its file has the sealed hash.
    mask : (H, W) float32 array or None
    """

    receipt: dict[str, Any]
    original: Path | None = None
    output: Path | None = None
    mask: NDArray[np.float32] | None = None


def open_account(path: Path) -> Account:
    """Open a result from its bundle, the picture beside it, or a receipt alone.

    Raises
    ------
    ReceiptError
        If there is no receipt or it is malformed.
    """
    alone = path.is_file() and path.suffix.lower() == ".json" and path.absolute().parent.suffix != SUFFIX
    if alone:
        return Account(read_receipt(read_limited(path, canonical.MAX_BYTES)))
    if not path.exists():
        raise ReceiptError(f"{path} does not exist")
    bundle = read_bundle(find_bundle(path))
    folder = bundle.folder.absolute()
    name = find_original(bundle)
    mask = None
    if bundle.receipt["mask"] is not None and MASK in bundle.sealed_files:
        from tratto.imaging.io import read_image

        mask = (np.asarray(read_image(folder / MASK).pixels, np.float32) / np.float32(65535)).astype(np.float32)
    return Account(bundle.receipt, None if name is None else folder / name, _find_output(folder, bundle), mask)


def _find_output(folder: Path, bundle: Any) -> Path | None:
    """Return the file beside the bundle that has its stem and the sealed hash."""
    for candidate in sorted(folder.parent.glob(f"{_escape(folder.stem)}.*")):
        if (
            candidate.is_file()
            and not candidate.is_symlink()
            and candidate.stat().st_size == bundle.sealed_output.bytes
        ):
            if hash_file(candidate) == bundle.sealed_output:
                return candidate
    return None


def _escape(stem: str) -> str:
    import glob

    return glob.escape(stem)
