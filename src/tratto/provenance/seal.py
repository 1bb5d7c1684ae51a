"""The seal: the hash of the receipt and of every file that belongs to it, the final picture included.

The receipt cannot hold the hash of the final file, since a signed picture may carry the receipt inside. The seal can.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tratto.core import canonical
from tratto.core.errors import ReceiptError
from tratto.core.hashing import FileFacts, read_limited
from tratto.ledger.state import leaf

SCHEMA = "tratto/seal/1"
#: Longest seal that is read, in bytes.
MAX_SEAL = 1 << 20
#: Where a picture's content credentials are: inside it, or in a file of the bundle.
EMBEDDED, SIDECAR = "embedded", "credentials.c2pa"

_HEX = frozenset("0123456789abcdef")


def build_seal(
    receipt: FileFacts, output: FileFacts, files: Mapping[str, FileFacts], credentials: str = ""
) -> dict[str, Any]:
    """Make a seal.

    Parameters
    ----------
    receipt : FileFacts
        Of ``receipt.json``.
    output : FileFacts
        Of the final picture, signed if it was signed.
    files : mapping of str to FileFacts
        Of every other file in the bundle, by its name there.
    credentials : str
        :data:`EMBEDDED`, :data:`SIDECAR`, or empty for a picture that is not signed.
    """
    return {
        "schema": SCHEMA,
        "receipt": receipt.to_json(),
        "output": output.to_json(),
        "files": {name: facts.to_json() for name, facts in files.items()},
        **({"credentials": credentials} if credentials else {}),
    }


def read_seal(data: bytes) -> tuple[FileFacts, FileFacts, dict[str, FileFacts]]:
    """Read ``seal.json`` strictly; the inverse of :func:`build_seal`.

    Returns
    -------
    receipt, output : FileFacts
        What the receipt and the result must be.
    files : dict of str to FileFacts
        What every other file must be, by its name in the bundle.

    Raises
    ------
    ReceiptError
        If it is not a seal in canonical form.
    """
    seal = canonical.loads(data, MAX_SEAL)
    if not isinstance(seal, dict) or seal.get("schema") != SCHEMA:
        found = seal.get("schema") if isinstance(seal, dict) else type(seal).__name__
        raise ReceiptError(f"expected a seal of schema {SCHEMA!r}, got {str(found)[:60]!r}")
    if set(seal) - {"credentials"} != {"schema", "receipt", "output", "files"} or not isinstance(seal["files"], dict):
        raise ReceiptError(
            "the seal must hold exactly: schema, receipt, output, files, and credentials if it is signed"
        )
    if seal.get("credentials", EMBEDDED) not in (EMBEDDED, SIDECAR):
        raise ReceiptError(f"the seal's credentials must be {EMBEDDED!r} or {SIDECAR!r}")
    if (seal.get("credentials") == SIDECAR) != (SIDECAR in seal["files"]):
        raise ReceiptError(f"the seal must name {SIDECAR} among its files exactly if the credentials are there")
    files = {name: _facts(value, name) for name, value in seal["files"].items()}
    if canonical.dumps(seal) != data:
        raise ReceiptError("the seal is not in canonical form (RFC 8785): it was written or edited by something else")
    return _facts(seal["receipt"], "receipt"), _facts(seal["output"], "output"), files


def sealed_credentials(data: bytes) -> str:
    """Return where the picture's credentials are, by a seal that :func:`read_seal` accepts; empty: nowhere."""
    return str(canonical.loads(data, MAX_SEAL).get("credentials", ""))


def _facts(value: Any, name: str) -> FileFacts:
    if not isinstance(value, dict) or set(value) != {"sha256", "bytes"}:
        raise ReceiptError(f"the seal's entry {name[:60]!r} must hold exactly: sha256, bytes")
    sha, size = value["sha256"], value["bytes"]
    if not isinstance(sha, str) or len(sha) != 64 or not set(sha) <= _HEX:
        raise ReceiptError(f"the seal's entry {name[:60]!r} must have a SHA-256 of 64 lower-case hex digits")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ReceiptError(f"the seal's entry {name[:60]!r} must have a size in bytes")
    return FileFacts(sha, size)


def entry_of(folder: Path) -> bytes:
    """Return what a ledger records of a bundle; see :func:`tratto.ledger.leaf`.

    Raises
    ------
    ReceiptError
        If the bundle has no valid seal.
    """
    data = read_limited(folder / "seal.json", MAX_SEAL)
    receipt, output, _ = read_seal(data)
    return leaf(FileFacts.of(data), receipt, output)
