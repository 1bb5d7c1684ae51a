"""The names that may stand in a bundle, and where a bundle lies."""

from __future__ import annotations

from pathlib import Path

from tratto.core.errors import ReceiptError
from tratto.provenance.seal import SIDECAR

SUFFIX = ".tratto"
RECEIPT, SEAL, OBSERVED, REPORT = "receipt.json", "seal.json", "observed.json", "report.html"
EDIT_MAP, CONFIDENCE, MASK = "edit-map.png", "confidence.png", "mask.png"
LEDGER = "ledger.json"
#: Of how many masks a mask may be made: one per class and pass.
MOST_PARTS = 64
#: The masks that ``mask.png`` was made of, in the order the receipt lists them.
MASK_PARTS = tuple(f"mask-{k:02d}.png" for k in range(1, MOST_PARTS + 1))
#: What the seal does not hold: the receipt has a place of its own there, and the proof is about the seal.
UNSEALED = frozenset({RECEIPT, SEAL, LEDGER})
#: Endings an ``original`` may have.
ORIGINAL_ENDINGS = ("png", "jpg", "jpeg", "jpe", "tif", "tiff", "webp", "bmp", "dib", "heic", "heif", "avif")
#: Every name that may stand in a bundle.
NAMES = frozenset(
    {
        RECEIPT,
        SEAL,
        OBSERVED,
        REPORT,
        EDIT_MAP,
        CONFIDENCE,
        MASK,
        *MASK_PARTS,
        LEDGER,
        SIDECAR,
        *(f"original.{e}" for e in ORIGINAL_ENDINGS),
    }
)
#: Files that desktops drop into folders; neither good nor bad.
CLUTTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".directory"})
#: Ending of a file to its format, where they differ.
FORMAT_OF = {"jpg": "jpeg", "jpe": "jpeg", "tif": "tiff", "dib": "bmp", "heic": "heif"}
#: Format to the ending that an ``original`` gets where its own is none of these.
ENDING_OF = {"png": "png", "jpeg": "jpg", "tiff": "tif", "webp": "webp", "bmp": "bmp", "heif": "heic", "avif": "avif"}


def bundle_path(output: Path) -> Path:
    """Return where the bundle of an output picture lies: ``photo.png`` to ``photo.tratto``."""
    return output.with_suffix(SUFFIX)


def original_name(name: str, format_name: str) -> str:
    """Return the name of the original inside a bundle: ``original.`` and the input's ending if it is a known one."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    if ending not in ORIGINAL_ENDINGS:
        ending = ENDING_OF.get(format_name, "")
    if not ending:
        raise ReceiptError(f"cannot keep an original of format {format_name!r}; leave it out (--no-original)")
    return f"original.{ending}"


def clean(name: str) -> str:
    """Make a file name fit for JSON (names on disk may hold bytes that are not text)."""
    return name.encode("utf-8", "replace").decode("utf-8")[:500]
