"""What a replay needs of a bundle, or of a receipt alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core import canonical
from tratto.core.errors import ReceiptError
from tratto.core.hashing import FileFacts, read_limited
from tratto.core.image import Mask
from tratto.core.result import MaskPart, MaskParts
from tratto.core.text import shown
from tratto.provenance.bundle.names import INPUTS, MASK, MASK_PARTS
from tratto.provenance.bundle.read import Bundle, find_original, find_output, is_lone_receipt, read_bundle, some_bundle
from tratto.provenance.bundle.samples import mask_values, read_map
from tratto.provenance.receipt import array_digest, read_receipt
from tratto.provenance.upgrade import carried


@dataclass(frozen=True, eq=False)
class StoredBundle:
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
    masks : MaskParts
        What the mask was made of; likewise checked.
    inputs : mapping of str to Path or bytes
        Second inputs that are at hand, by role; whoever reads one checks it against the receipt, as with the original.
    doubt : str
        Why what is at hand is not what was sealed: the picture beside the bundle, or the receipt; empty if it is.

    Examples
    --------
    >>> StoredBundle({"task": "restore"}).original is None  # a receipt alone
    True
    """

    receipt: dict[str, Any]
    original: Path | None = None
    mask: NDArray[np.float32] | None = None
    output: Path | None = None
    masks: MaskParts = field(default_factory=MaskParts)
    inputs: Mapping[str, Path | bytes] = field(default_factory=dict)
    doubt: str = ""


def open_account(path: Path) -> StoredBundle:
    """Open what is known of a result: from its bundle, the picture beside one, or a receipt alone.

    Raises
    ------
    ReceiptError
        If there is no receipt, or something in the bundle is malformed or does not match.

    Examples
    --------
    >>> import tempfile, tratto
    >>> saved = tratto.save(tratto.restore(np.full((16, 16, 3), 90, np.uint8)), Path(tempfile.mkdtemp()) / "wall.png")
    >>> account = open_account(saved.output)
    >>> account.receipt["task"], account.output == saved.output
    ('restore', True)
    """
    if is_lone_receipt(path):
        data = read_limited(path, canonical.MAX_BYTES)
        return StoredBundle(read_receipt(data), inputs=carried(data))
    bundle = read_bundle(some_bundle(path))
    original = find_original(bundle)
    mask = None
    if MASK in bundle.sealed_files and bundle.receipt["mask"] is not None:
        mask = mask_values(read_map(bundle, MASK, bundle.receipt["inputs"]["picture"]["picture"]))
        if array_digest(mask) != bundle.receipt["mask"]["samples_sha256"]:
            raise ReceiptError(f"{MASK} is not the mask the receipt names: it was altered")
    output, matches = find_output(bundle)
    kept = None if original is None else bundle.folder / original
    inputs = {role: bundle.folder / name for role, name in bundle.in_folder(INPUTS).items()}
    doubt = ""
    if FileFacts.of(bundle.receipt_bytes) != bundle.sealed_receipt:
        doubt = "the receipt is not the one that was sealed"
    elif output is not None and not matches:
        doubt = f"{shown(output.name)} is not the file that was sealed"
    return StoredBundle(
        bundle.receipt, kept, mask, output if matches else None, _parts(bundle), {**bundle.carried, **inputs}, doubt
    )


def _parts(bundle: Bundle) -> MaskParts:
    """Read the masks that the mask was made of.

    Raises
    ------
    ReceiptError
        If one is missing, or is not the one that the receipt names.
    """
    stated = bundle.receipt["mask"] or {}
    parts = []
    for name, facts in zip(MASK_PARTS, stated.get("parts", ()), strict=False):
        if name not in bundle.sealed_files:
            raise ReceiptError(f"the receipt names {name}, and the bundle does not hold it; replay needs all of it")
        values = mask_values(read_map(bundle, name, bundle.receipt["inputs"]["picture"]["picture"]))
        if array_digest(values) != facts["samples_sha256"]:
            raise ReceiptError(f"{name} is not the mask the receipt names: it was altered")
        parts.append(MaskPart(Mask(values), facts["class"] or "", facts["pass"]))
    return MaskParts(tuple(parts), stated.get("found_by"))
