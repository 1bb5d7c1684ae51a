"""The seal: the hash of the receipt and of every file that belongs to it, the final picture included.

The receipt cannot hold the hash of the final file, since a signed picture may carry the receipt inside. The seal can.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tratto.core.errors import ReceiptError
from tratto.provenance import canonical
from tratto.provenance.receipt import FileFacts

SCHEMA = "tratto/seal/1"
#: Longest seal that is read, in bytes.
MAX_SEAL = 1 << 20
#: Where a picture's content credentials are: inside it, or in a file of the bundle.
EMBEDDED, SIDECAR = "embedded", "credentials.c2pa"

_CHUNK = 1 << 20
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
    files : dict of str to FileFacts

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


def open_regular(path: Path, links: bool = False) -> BinaryIO:
    """Open a file for reading if it is a regular file.

    Parameters
    ----------
    path : Path
    links : bool
        True for a path the user gave, which may be a symbolic link. Inside a bundle, which may come from somebody
        else and point anywhere, links are not followed.

    Raises
    ------
    ReceiptError
        If it is missing, or something else.
    """
    # without O_NONBLOCK, opening a pipe that nobody writes to would wait forever
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    flags |= 0 if links else getattr(os, "O_NOFOLLOW", 0)
    try:
        if not links and stat.S_ISLNK(os.lstat(path).st_mode):
            raise ReceiptError(f"{path.name} is a symbolic link; a bundle holds plain files only")
        fd = os.open(path, flags)
    except (OSError, ValueError) as e:
        if isinstance(e, OSError) and e.errno == errno.ELOOP:
            raise ReceiptError(f"{path.name} is a symbolic link; a bundle holds plain files only") from e
        reason = getattr(e, "strerror", None) or str(e)
        raise ReceiptError(f"{path.name} cannot be read: {reason}") from e
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ReceiptError(f"{path.name} is not a plain file")
    return os.fdopen(fd, "rb")


def read_limited(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes.

    Raises
    ------
    ReceiptError
        If it is missing, longer, or not a regular file.
    """
    with open_regular(path) as f:
        data = f.read(limit + 1)
    if len(data) > limit:
        raise ReceiptError(f"{path.name} has more than {limit} bytes; that is not one that Tratto wrote")
    return data


def hash_file(
    path: Path, copy: Callable[[bytes], object] | None = None, limit: int | None = None, links: bool = True
) -> FileFacts:
    """Hash a regular file in pieces.

    Parameters
    ----------
    path : Path
    copy : callable or None
        Called with every piece that was hashed, so that what is copied is what was hashed. Its errors pass through.
    limit : int or None
        Stop as soon as the file proves longer than this many bytes.
    links : bool
        Follow symbolic links; False for what lies in a bundle.

    Raises
    ------
    ReceiptError
        If it cannot be read or is too long.
    """
    h, size = hashlib.sha256(), 0
    with open_regular(path, links) as f:
        while piece := _read(f, path):
            size += len(piece)
            if limit is not None and size > limit:
                raise ReceiptError(f"{path.name} has more than the stated {limit} bytes")
            h.update(piece)
            if copy is not None:
                copy(piece)
    return FileFacts(h.hexdigest(), size)


def _read(f: BinaryIO, path: Path) -> bytes:
    try:
        return f.read(_CHUNK)
    except OSError as e:
        raise ReceiptError(f"{path.name} cannot be read: {e.strerror}") from e
