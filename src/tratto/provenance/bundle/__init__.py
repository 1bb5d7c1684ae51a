"""The bundle: one folder beside the picture that holds everything needed to check, explain and undo the work.

``OUT/photo.png`` has ``OUT/photo.tratto/`` with

====================== ============================================================================================
``receipt.json``       what was done; canonical JSON, hashed by the seal
``edit-map.png``       Delta-E times 512, 16 bit; only of a picture in the geometry of its source
``confidence.png``     65535 = sure, 16 bit; only of a picture
``mask.png``           where the picture was allowed to change, 16 bit; only if there was a mask
``mask-01.png`` ...    what it was made of, per class and pass, as listed in the receipt; only if there were several
``original.<ext>``     the input file, byte by byte (left out on request)
``inputs/ROLE.<ext>``  what else the job was given, such as a wallpaper, byte by byte (left out with the original)
``outputs/ROLE.<ext>`` what it made besides the result, such as a contact sheet
``parents/HASH.json``   receipts of the results that the input was made from; not in the seal: their hashes are in the
                       receipt (only if there were any)
``report.html``        the same for people, self-contained
``observed.json``      times and names; sealed, but nothing in the receipt depends on it (left out on request)
``seal.json``          hashes of all of these and of the picture
``credentials.c2pa``   content credentials, where the picture's format cannot carry them (only if it was signed)
``ledger.json``        proof that the seal stands in a ledger; made after the seal, so not in it (only with a ledger)
====================== ============================================================================================

A bundle may come from anybody. Names in it are taken from this list only, links are not followed, sizes are limited.
"""

from tratto.provenance.bundle.account import StoredBundle, open_account
from tratto.provenance.bundle.names import (
    CONFIDENCE,
    EDIT_MAP,
    INPUTS,
    LEDGER,
    MASK,
    MASK_PARTS,
    NAMES,
    OBSERVED,
    ORIGINAL_EXTENSIONS,
    OUTPUTS,
    PARENTS,
    RECEIPT,
    REPORT,
    SEAL,
    SUFFIX,
    belongs,
    bundle_path,
    original_name,
    parent_name,
    unsealed,
)
from tratto.provenance.bundle.read import (
    Bundle,
    bundle_by_hash,
    files_in,
    find_bundle,
    find_original,
    find_output,
    is_lone_receipt,
    read_bundle,
)
from tratto.provenance.bundle.samples import read_artifact, read_input, read_map, read_picture
from tratto.provenance.bundle.undo import revert
from tratto.provenance.bundle.write import BundleParts, recover, write_bundle

__all__ = [
    "CONFIDENCE",
    "EDIT_MAP",
    "INPUTS",
    "LEDGER",
    "MASK",
    "MASK_PARTS",
    "NAMES",
    "OBSERVED",
    "ORIGINAL_EXTENSIONS",
    "OUTPUTS",
    "PARENTS",
    "RECEIPT",
    "REPORT",
    "SEAL",
    "SUFFIX",
    "Bundle",
    "BundleParts",
    "StoredBundle",
    "belongs",
    "bundle_by_hash",
    "bundle_path",
    "files_in",
    "find_bundle",
    "find_original",
    "find_output",
    "is_lone_receipt",
    "open_account",
    "original_name",
    "parent_name",
    "read_artifact",
    "read_bundle",
    "read_input",
    "read_map",
    "read_picture",
    "recover",
    "revert",
    "unsealed",
    "write_bundle",
]
