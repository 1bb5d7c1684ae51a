"""What a replay needs of a bundle, or of a receipt alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import ReceiptError
from tratto.provenance import canonical
from tratto.provenance.bundle.names import MASK
from tratto.provenance.bundle.read import find_original, find_output, is_lone_receipt, read_bundle, some_bundle
from tratto.provenance.bundle.samples import mask_values, read_map
from tratto.provenance.receipt import array_digest, read_receipt
from tratto.provenance.seal import read_limited


@dataclass(frozen=True, eq=False)
class Account:
    """What a replay needs.

    Attributes
    ----------
    receipt : dict
        Valid; canonical on the disk.
    original : Path or None
        In the bundle; whoever reads it checks its samples against the receipt.
    mask : (H, W) float32 array or None
        Already checked against the receipt.
    output : Path or None
        The picture beside the bundle, if it is the sealed one.
    """

    receipt: dict[str, Any]
    original: Path | None = None
    mask: NDArray[np.float32] | None = None
    output: Path | None = None


def open_account(path: Path) -> Account:
    """Open what is known of a result: from its bundle, the picture beside one, or a receipt alone.

    Raises
    ------
    ReceiptError
        If there is no receipt, or something in the bundle is malformed or does not match.
    """
    if is_lone_receipt(path):
        return Account(read_receipt(read_limited(path, canonical.MAX_BYTES)))
    bundle = read_bundle(some_bundle(path))
    original = find_original(bundle)
    mask = None
    if MASK in bundle.sealed_files and bundle.receipt["mask"] is not None:
        mask = mask_values(read_map(bundle, MASK, bundle.receipt["input"]["picture"]))
        if array_digest(mask) != bundle.receipt["mask"]["samples_sha256"]:
            raise ReceiptError(f"{MASK} is not the mask the receipt names: it was altered")
    output, matches = find_output(bundle)
    return Account(
        bundle.receipt, None if original is None else bundle.folder / original, mask, output if matches else None
    )
