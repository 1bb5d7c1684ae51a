"""Time stamps after RFC 3161: a third party states that a checkpoint existed at a time.

Over the network nothing is sent from here: :func:`request` makes the query, its answer comes from a time-stamp
authority by whatever way (``curl``, a file on a stick), and :func:`accept` checks it. Needs the ``timestamp`` extra.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from tratto.core.errors import InputError, MissingExtra, OutputError, ReceiptError
from tratto.core.files import write_bytes
from tratto.ledger.note import Checkpoint

#: Folder of the stamps of a ledger.
FOLDER = "stamps"
#: Longest answer of an authority that is read, in bytes.
MAX_STAMP = 1 << 16


def stamp_path(folder: Path, checkpoint: Checkpoint) -> Path:
    """Return where the stamp of a checkpoint lies in its ledger's folder."""
    return folder / FOLDER / f"{hashlib.sha256(checkpoint.body()).hexdigest()}.tsr"


def request(checkpoint: Checkpoint) -> bytes:
    """Return the time-stamp query (DER) over a checkpoint's text, SHA-512, asking for the certificate.

    Raises
    ------
    MissingExtra
        Without the ``timestamp`` extra.
    """
    from_ = _library()
    query: bytes = (
        from_.TimestampRequestBuilder()
        .data(checkpoint.body())
        .hash_algorithm(from_.HashAlgorithm.SHA512)
        .cert_request(cert_request=True)
        .build()
        .as_bytes()
    )
    return query


class UntrustedStamp(ReceiptError):
    """A time stamp by an authority that the reader did not name, or by nobody: it proves nothing, accuses nobody."""


def check(stamp: bytes, checkpoint: Checkpoint, anchors: bytes) -> datetime:
    """Check an authority's answer and return the time it states.

    Parameters
    ----------
    stamp : bytes
        Time-stamp response, DER.
    checkpoint : Checkpoint
        What the stamp must be about.
    anchors : bytes
        Root certificates that the reader trusts, PEM.

    Raises
    ------
    UntrustedStamp
        If the answer is about this state, but no signature in it is right and under an anchor.
    ReceiptError
        If the answer is malformed, refuses, or is about something else.
    MissingExtra
        Without the ``timestamp`` extra.
    """
    library = _library()
    from cryptography import x509
    from rfc3161_client.errors import VerificationError

    try:
        response = library.decode_timestamp_response(stamp)
    except ValueError as e:
        raise ReceiptError(f"not a time-stamp response: {e}") from e
    builder: Any = library.VerifierBuilder()
    try:
        for root in x509.load_pem_x509_certificates(anchors):
            builder = builder.add_root_certificate(root)
        builder.build().verify_message(response, checkpoint.body())
    except (VerificationError, ValueError) as e:
        if _about(response, checkpoint):
            raise UntrustedStamp(f"a time stamp of this state, but not by an authority under your roots: {e}") from e
        raise ReceiptError(f"the time stamp is not right: {e}") from e
    when: datetime = response.tst_info.gen_time
    return when


def _about(response: Any, checkpoint: Checkpoint) -> bool:
    try:
        imprint = response.tst_info.message_imprint.message
    except ValueError:
        return False
    return any(hashlib.new(name, checkpoint.body()).digest() == imprint for name in ("sha256", "sha384", "sha512"))


def accept(folder: Path, checkpoint: Checkpoint, stamp: bytes, anchors: bytes) -> datetime:
    """Check an authority's answer and lay it beside the ledger; return the time.

    Raises
    ------
    ReceiptError, InputError, OutputError, MissingExtra
        If the answer is wrong or too large, cannot be laid there, or the ``timestamp`` extra is missing.
    """
    if len(stamp) > MAX_STAMP:
        raise InputError(f"a time-stamp response has at most {MAX_STAMP} bytes here, got {len(stamp)}")
    when = check(stamp, checkpoint, anchors)
    target = stamp_path(folder, checkpoint)
    try:
        target.parent.mkdir(exist_ok=True)
    except OSError as e:
        raise OutputError(f"{target} cannot be written: {e.strerror or e}") from e
    write_bytes(target, stamp)
    return when


def _library() -> Any:
    try:
        import rfc3161_client
    except ImportError as e:
        raise MissingExtra("a time stamp", "timestamp") from e
    return rfc3161_client
