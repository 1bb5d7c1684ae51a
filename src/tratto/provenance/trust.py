"""What others say of a bundle: its ledger, witnesses, a time-stamp authority; and whom the reader trusts.

A key that lies beside what it signed shows nothing: anybody can make both. Names, keys and roots that count are those
that the reader brings along.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from tratto.core.errors import InputError, MissingExtra, ReceiptError
from tratto.core.hashing import hash_file, read_limited
from tratto.core.text import shown
from tratto.ledger import merkle
from tratto.ledger.note import WITNESS, VerifierKey
from tratto.ledger.proof import MAX_PROOF, LedgerProof, facts_of, read_proof
from tratto.ledger.tiles import LedgerReader
from tratto.provenance import credentials
from tratto.provenance.bundle import LEDGER, Bundle
from tratto.provenance.findings import Findings
from tratto.provenance.receipt import main_output
from tratto.provenance.seal import SIDECAR, entry_of


@dataclass(frozen=True)
class Trust:
    """Whom a reader trusts, and where to look.

    What is named here must vouch: a bundle that none of them holds or signed is not *authentic* to this reader.

    Attributes
    ----------
    keys : tuple of VerifierKey
        Of ledgers and witnesses.
    ledger : Path or None
        A ledger, or a copy of one, to compare with.
    anchors : bytes
        Root certificates (PEM) of those whose content credentials count; empty: nobody's do.
    stamp_anchors : bytes
        Root certificates (PEM) of time-stamp authorities.
    """

    keys: tuple[VerifierKey, ...] = ()
    ledger: Path | None = None
    anchors: bytes = b""
    stamp_anchors: bytes = b""

    def __post_init__(self) -> None:
        for pem in (self.anchors, self.stamp_anchors):
            if pem:
                check_roots(pem)


def check_roots(pem: bytes) -> None:
    """Refuse what is no list of certificates, before anybody takes it for a fault of the picture.

    Parameters
    ----------
    pem : bytes
        Certificates one after the other.

    Raises
    ------
    InputError
        If there is no certificate in it, or one that cannot be read. Without the library that reads certificates only
        their envelope is looked at; then nothing is compared with them either.
    """
    if not isinstance(pem, bytes):
        raise InputError(f"root certificates are bytes (PEM), got {type(pem).__name__}")
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----\s(.*?)-----END CERTIFICATE-----", pem, re.DOTALL)
    if not blocks or not all(b.strip() for b in blocks):
        raise InputError("it holds no root certificate in PEM form (-----BEGIN CERTIFICATE-----)")
    try:
        from cryptography import x509
    except ImportError:
        return
    try:
        x509.load_pem_x509_certificates(pem)
    except ValueError as e:
        raise InputError(f"a certificate in it cannot be read: {e}") from e


@dataclass
class _Heard:
    """Who vouched for a bundle, of those whom the reader named."""

    keys: set[VerifierKey] = field(default_factory=set)
    held: bool = False  # by the ledger at hand
    stamped: bool = False


def check_ledger(folder: Path, trust: Trust, found: Findings) -> None:
    """Check the proof in a bundle, and the bundle against the ledger that the reader names.

    Parameters
    ----------
    folder : Path
        The bundle; its files are as they were sealed.
    trust : Trust
        The reader's ledger and keys; without a ledger the proof is held against itself.
    found : Findings
        Added to.
    """
    try:
        entry = entry_of(folder)
    except ReceiptError as e:
        found.wrong.append(str(e))
        return
    proof = None
    heard = _Heard()
    if (folder / LEDGER).exists():
        try:
            proof = read_proof(read_limited(folder / LEDGER, MAX_PROOF))
            proof.check(entry)
        except MissingExtra as e:
            found.notes.append(f"the proof in {LEDGER} was not checked: {e}")
            proof = None
        except ReceiptError as e:
            found.wrong.append(f"{LEDGER}: {e}")
            return
        else:
            _say(proof, trust, found, heard)
    if trust.ledger is not None:
        try:
            _compare(entry, proof, trust, found, heard)
        except MissingExtra as e:
            found.notes.append(f"the ledger was not compared: {e}")
        except InputError as e:  # a ledger that cannot be opened says nothing of the bundle
            found.notes.append(f"the ledger {shown(str(trust.ledger))} was not compared: {e}")
        except ReceiptError as e:
            found.wrong.append(f"the ledger {shown(str(trust.ledger))}: {e}")
    _missing(trust, found, heard)


def _missing(trust: Trust, found: Findings, heard: _Heard) -> None:
    """Say whom the reader named and who did not vouch; else anybody's own ledger would do as well as the named one."""
    ledgers = {k for k in trust.keys if k.kind != WITNESS}
    witnesses = set(trust.keys) - ledgers
    if trust.ledger is not None:
        if not heard.held:
            found.refused.append("the ledger you named is not shown to hold it")
    elif ledgers and not ledgers & heard.keys:
        found.refused.append("no ledger whose key you named is shown to hold it")
    if witnesses and not witnesses & heard.keys:
        found.refused.append("no witness whose key you named is shown to have signed a ledger that holds it")
    if trust.stamp_anchors and not heard.stamped:
        found.refused.append("no time stamp on it is under a root that you named")


def in_ledger(path: Path, trust: Trust, field: str = "output") -> tuple[str, str] | None:
    """Look a file without a bundle up in the reader's ledger, by its hash.

    Parameters
    ----------
    path : Path
        A picture or a receipt.
    trust : Trust
        The reader's ledger and its key.
    field : str
        ``"output"`` for a picture, ``"receipt"`` for a receipt.

    Returns
    -------
    (str, str) or None
        ``"known"`` or ``"unknown"`` and a sentence; None if there is no ledger to look in.
    """
    if trust.ledger is None:
        return None
    try:
        facts = hash_file(path)
        reader = _reader(trust)
        for number, entry in reader.search(facts.sha256.encode()):
            known = facts_of(entry)
            if known is not None and known.get(field) == facts.sha256:
                reader.inclusion(number)
                what = "picture" if field == "output" else "receipt"
                origin = shown(reader.checkpoint.origin)
                witnesses = [k for k in trust.keys if k.kind == WITNESS]
                if witnesses and not any(reader.note.signed_by(k) for k in witnesses):
                    words = "knows this file, but no witness whose key you named has signed it"
                    return "unknown", f"the ledger {origin} {words}"
                return "known", f"it is byte by byte the {what} of entry {number} in the ledger {origin}"
    except (ReceiptError, InputError, MissingExtra) as e:
        return "unknown", f"the ledger could not be asked: {e}"
    return "unknown", f"the ledger {shown(reader.checkpoint.origin)} knows nothing of this file"


def _say(proof: LedgerProof, trust: Trust, found: Findings, heard: _Heard) -> None:
    """Say what a proof shows, which is right in itself."""
    words = (
        f"the seal is entry {proof.index} of {proof.note.checkpoint.size} in the ledger "
        f"{shown(proof.key.name)}, as {LEDGER} proves"
    )
    if proof.key in trust.keys:
        heard.keys.add(proof.key)
        found.checked.append(f"{words}; you trust its key")
    else:
        found.notes.append(f"{words}; but its key is not one you named, and anybody can make a ledger")
    for w in proof.witnesses:
        seconds = proof.note.time_of(w) or 0
        when = datetime.fromtimestamp(min(seconds, 253402300799), UTC).isoformat()
        if w in trust.keys:
            heard.keys.add(w)
            found.checked.append(f"the witness {shown(w.name)}, whose key you trust, signed this state at {when}")
        else:
            found.notes.append(f"a witness {shown(w.name)} signed this state, but its key is not one you named")
    if proof.timestamp is not None:
        _stamp(proof, trust, found, heard)


def _stamp(proof: LedgerProof, trust: Trust, found: Findings, heard: _Heard) -> None:
    from tratto.ledger.timestamp import UntrustedStamp, check

    if not trust.stamp_anchors:
        found.notes.append("there is a time stamp, but you named no root of a time-stamp authority to check it by")
        return
    try:
        when = check(proof.timestamp or b"", proof.note.checkpoint, trust.stamp_anchors)
    except MissingExtra as e:
        found.notes.append(f"the time stamp was not checked: {e}")
    except UntrustedStamp as e:
        found.notes.append(f"{LEDGER} has {e}")
    except ReceiptError as e:
        found.wrong.append(f"{LEDGER}: {e}")
    else:
        heard.stamped = True
        found.checked.append(f"an authority you trust stamped this state of the ledger at {when.isoformat()}")


def _reader(trust: Trust) -> LedgerReader:
    """Open the reader's ledger; if the reader named ledger keys, one of them must have signed it."""
    if trust.ledger is None:
        raise InputError("no ledger was named")
    plain = LedgerReader(trust.ledger)
    ledgers = [k for k in trust.keys if k.kind == plain.key.kind]
    if ledgers and plain.key not in ledgers:
        raise ReceiptError("it is signed by another key than those you named")
    return plain


def _compare(entry: bytes, proof: LedgerProof | None, trust: Trust, found: Findings, heard: _Heard) -> None:
    """Compare a bundle with a ledger that is at hand."""
    reader = _reader(trust)
    origin = shown(reader.checkpoint.origin)
    if proof is not None and proof.key == reader.key:
        old = proof.note.checkpoint
        if old.size > reader.size:
            found.wrong.append(
                f"the ledger {origin} has only {reader.size} entries, but had signed {old.size} when this bundle was "
                "recorded: it was rolled back"
            )
            return
        if reader.root(old.size) != old.root:
            found.wrong.append(
                f"the ledger {origin} does not continue what it had signed for this bundle: it was forked"
            )
            return
        reader.consistency(old.size)
        number: int | None = proof.index
        if merkle.leaf_hash(entry) != reader.node(0, proof.index):
            found.wrong.append(f"entry {proof.index} of the ledger {origin} is not this bundle")
            return
    else:
        number = reader.find(entry)
    if number is not None:
        reader.inclusion(number)
        heard.held = True
        heard.keys.add(reader.key)
        heard.keys.update(k for k in trust.keys if k.kind == WITNESS and reader.note.signed_by(k))
        found.checked.append(f"the ledger {origin} holds it as entry {number} of {reader.size}")
        return
    receipt = (facts_of(entry) or {}).get("receipt", "")
    same = [n for n, _ in reader.search(str(receipt).encode())]
    if same:
        found.notes.append(
            f"the ledger {origin} knows the receipt (entry {same[0]}), but with another seal: it was saved again since"
        )
    else:
        found.notes.append(f"the ledger {origin} knows nothing of this bundle")


def check_credentials(bundle: Bundle, picture: Path | None, trust: Trust, found: Findings) -> None:
    """Check the content credentials of a bundle's picture: that they fit it, hold its receipt, and who signed.

    Parameters
    ----------
    bundle : Bundle
        Its files are as they were sealed.
    picture : Path or None
        None: it is not at hand.
    trust : Trust
        Roots that the reader trusts.
    found : Findings
        Added to.
    """
    if not bundle.credentials:
        words = "unsigned: the picture bears no content credentials, so nothing here says who made it"
        (found.refused if trust.anchors else found.notes).append(words)
        return
    if picture is None:
        found.notes.append("the content credentials were not checked: the picture is not at hand")
        return
    try:
        sidecar = None
        if bundle.credentials == SIDECAR:
            sidecar = read_limited(bundle.folder / SIDECAR, credentials.MAX_SIDECAR)
        seen = credentials.read(picture, main_output(bundle.receipt)["file"]["format"], trust.anchors, sidecar)
    except MissingExtra as e:
        found.notes.append(f"the content credentials were not checked: {e}")
        if trust.anchors:
            found.refused.append("whom you trust did not vouch for it: the credentials could not be checked here")
        return
    except ReceiptError as e:
        found.wrong.append(str(e))
        return
    if seen.state in ("none", "unread", "elsewhere", "broken"):
        found.wrong.append(_bad(seen))
    elif seen.receipt != bundle.receipt_bytes:
        found.wrong.append(
            "the content credentials hold another receipt than the bundle: they were taken from elsewhere"
        )
    elif seen.state == "trusted":
        found.checked.append(f"the content credentials are signed by {shown(seen.signer)}, under a root you trust")
    else:
        found.checked.append("the content credentials fit the picture and hold this receipt")
        (found.refused if trust.anchors else found.notes).append(_untrusted(seen))


def alone(path: Path, trust: Trust) -> tuple[Literal["authentic", "altered", "unknown"], tuple[str, ...]]:
    """Say what the content credentials of a picture without a bundle show.

    Returns
    -------
    word : str
        ``"authentic"``, ``"altered"`` or ``"unknown"``.
    reasons : tuple of str
        In words.
    """
    try:
        seen = credentials.read(path, "", trust.anchors)
    except MissingExtra as e:
        return "unknown", (f"content credentials, if there are any, were not looked at: {e}",)
    except ReceiptError as e:
        return "unknown", (str(e),)
    if seen.state == "none":
        return "unknown", ("it bears no content credentials",)
    if seen.state == "unread":
        words = "the library that checks content credentials cannot read this file, and there are none in it"
        return "unknown", (f"{words} as far as it goes ({shown(', '.join(seen.problems))})",)
    if seen.state == "elsewhere":
        return "unknown", (_bad(seen),)
    if seen.state == "broken":
        return "altered", (_bad(seen),)
    if seen.state == "untrusted":
        return "unknown", ("its content credentials fit it", _untrusted(seen), _PADDING)
    return "authentic", (
        f"its content credentials fit it and are signed by {shown(seen.signer)}, under a root you trust",
        _PADDING,
    )


_PADDING = (
    "without a bundle or ledger, changed bits in the padding of the credentials, which mean nothing, go unnoticed"
)


def _bad(seen: credentials.Credentials) -> str:
    if seen.state in ("none", "unread"):
        return "the content credentials that the seal speaks of are missing from the picture"
    if seen.state == "elsewhere":
        return "the picture refers to content credentials at some address; nothing was fetched"
    return f"the content credentials do not fit the picture or are damaged ({shown(', '.join(seen.problems))})"


def _untrusted(seen: credentials.Credentials) -> str:
    who = f"signed by {shown(seen.signer)}" if seen.signer else "signed by somebody without a name"
    if "signingCredential.expired" in seen.problems:
        return f"untrusted: {who}, whose certificate has expired"
    if seen.test:
        return f"untrusted: {who}, a test identity that nobody vouches for; anybody can make one"
    return f"untrusted: {who}, but not under a root certificate that you named (--anchors); anybody can make one"
