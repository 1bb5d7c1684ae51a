"""The names that may stand in a bundle, and where a bundle lies."""

from __future__ import annotations

import re
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
#: Extensions an ``original`` may have.
ORIGINAL_EXTENSIONS = ("png", "jpg", "jpeg", "jpe", "tif", "tiff", "webp", "bmp", "dib", "heic", "heif", "avif")
#: Extensions that a result may have: those of pictures, and of scenes.
OUTPUT_EXTENSIONS = (*ORIGINAL_EXTENSIONS, "ply")
#: Folders in a bundle: what the job was given besides the picture, and what it made besides the result.
INPUTS, OUTPUTS = "inputs", "outputs"
#: Folder with the receipts of the results that an input was made from, each called by its hash.
PARENTS = "parents"
#: Most files that one of these folders may hold.
MOST_IN_FOLDER = 64
#: Every name that may stand in a bundle itself.
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
        *(f"original.{e}" for e in ORIGINAL_EXTENSIONS),
    }
)
#: Files that desktops drop into folders; neither good nor bad.
CLUTTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".directory"})
#: Extension of a file to its format, where they differ.
FORMAT_OF = {"jpg": "jpeg", "jpe": "jpeg", "tif": "tiff", "dib": "bmp", "heic": "heif"}
#: Format to the extension that an ``original`` gets where its own is none of these.
ENDING_OF = {"png": "png", "jpeg": "jpg", "tiff": "tif", "webp": "webp", "bmp": "bmp", "heif": "heic", "avif": "avif"}


def bundle_path(output: Path) -> Path:
    """Return where the bundle of an output picture lies: ``photo.png`` to ``photo.tratto``.

    Examples
    --------
    >>> bundle_path(Path('out/photo.png')).name
    'photo.tratto'
    """
    return output.with_suffix(SUFFIX)


def original_name(name: str, format_name: str) -> str:
    """Return the name of the original inside a bundle: ``original.`` and the input's extension if it is a known one.

    Examples
    --------
    >>> original_name('Photo.JPG', 'jpeg')
    'original.jpg'
    """
    extension = name.rpartition(".")[2].lower() if "." in name else ""
    if extension not in ORIGINAL_EXTENSIONS:
        extension = ENDING_OF.get(format_name, "")
    if not extension:
        raise ReceiptError(f"cannot keep an original of format {format_name!r}; leave it out (--no-original)")
    return f"original.{extension}"


_IN_FOLDER = re.compile(
    f"{INPUTS}/[a-z][a-z0-9-]{{0,39}}\\.({'|'.join(ORIGINAL_EXTENSIONS)})|{OUTPUTS}/(scene\\.ply|sheet\\.(png|tif))"
    f"|{PARENTS}/[0-9a-f]{{64}}\\.json"
)


def belongs(name: str) -> bool:
    """Return whether a name may stand in a bundle, or in one of its folders.

    Examples
    --------
    >>> belongs("seal.json"), belongs("inputs/texture.jpg"), belongs("inputs/../seal.json")
    (True, True, False)
    """
    return name in NAMES or _IN_FOLDER.fullmatch(name) is not None


def unsealed(name: str) -> bool:
    """Return whether a name stands in no seal: what is made after it, and receipts that their hashes already name.

    Examples
    --------
    >>> unsealed('receipt.json'), unsealed('edit.png')
    (True, False)
    """
    return name in UNSEALED or name.startswith(f"{PARENTS}/")


def parent_name(sha256: str) -> str:
    """Return the name in a bundle of the receipt of a result that an input was made from.

    Examples
    --------
    >>> parent_name('ab' * 32)[:16]
    'parents/abababab'
    """
    return f"{PARENTS}/{sha256}.json"


def role_of(name: str) -> str:
    """Return the role of a file in one of a bundle's folders: ``inputs/texture.jpg`` to ``texture``."""
    return name.rpartition("/")[2].partition(".")[0]


def input_name(role: str, file_name: str, format_name: str) -> str:
    """Return the name of a second input inside a bundle: ``inputs/ROLE.`` and its extension."""
    return f"{INPUTS}/{role}.{original_name(file_name, format_name).rpartition('.')[2]}"


def clean(name: str) -> str:
    """Make a file name fit for JSON (names on disk may hold bytes that are not text)."""
    return name.encode("utf-8", "replace").decode("utf-8")[:500]
