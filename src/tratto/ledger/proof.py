"""The proof that a bundle stands in a ledger, as it lies in the bundle: ``ledger.json``.

It holds what a reader needs without the ledger: place, audit path and signed checkpoint (C2SP ``tlog-proof``),
and the public keys of the ledger and of the witnesses that signed. Keys in a bundle show that the proof agrees with
itself; who they belong to, a reader must know from elsewhere.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tratto.core import canonical
from tratto.core.errors import OptionError, ReceiptError
from tratto.core.hashing import read_limited
from tratto.ledger import merkle
from tratto.ledger.note import LEDGER, WITNESS, Checkpoint, Note, VerifierKey, read_note, unbase64
from tratto.ledger.state import LEAF_SCHEMA
from tratto.ledger.tiles import LedgerReader

SCHEMA = "tratto/ledger-proof/1"
#: Longest proof that is read, in bytes.
MAX_PROOF = 1 << 18
_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True)
class LedgerProof:
    """An entry's place in a ledger.

    Attributes
    ----------
    index : int
        Number of the entry, from 0.
    path : tuple of bytes
        Audit path from the leaf up.
    note : Note
        Signed checkpoint.
    key : VerifierKey
        The ledger's.
    witnesses : tuple of VerifierKey
        Those whose cosignatures the note bears.
    timestamp : bytes or None
        RFC 3161 token over the checkpoint's text.
    """

    index: int
    path: tuple[bytes, ...]
    note: Note
    key: VerifierKey
    witnesses: tuple[VerifierKey, ...] = ()
    timestamp: bytes | None = None

    def text(self) -> str:
        """Return the proof in the C2SP ``tlog-proof`` form."""
        hashes = "".join(f"{base64.b64encode(h).decode()}\n" for h in self.path)
        return f"{_HEADER}\nindex {self.index}\n{hashes}\n{self.note.text().decode()}"

    def dumps(self) -> bytes:
        """Return the bytes of ``ledger.json``."""
        return canonical.dumps(
            {
                "schema": SCHEMA,
                "proof": self.text(),
                "key": self.key.text(),
                "witnesses": [w.text() for w in self.witnesses],
                "timestamp": None if self.timestamp is None else base64.b64encode(self.timestamp).decode(),
            }
        )

    def check(self, entry: bytes) -> None:
        """Check everything that can be checked without knowing whose the keys are.

        Raises
        ------
        ReceiptError
            If the entry is not where the proof says, or a signature is missing or wrong.
        MissingExtra
            If ``cryptography`` is not installed.
        """
        checkpoint = self.note.checkpoint
        position = (self.index, checkpoint.size)
        if not merkle.included(merkle.leaf_hash(entry), position, self.path, checkpoint.root):
            raise ReceiptError("the proof does not lead from this bundle's hashes to the root that the ledger signed")
        if checkpoint.origin != self.key.name:
            raise ReceiptError("the checkpoint is of another ledger than the key")
        keys = (self.key, *self.witnesses)
        for key in keys:
            if not self.note.signed_by(key):
                raise ReceiptError(f"the checkpoint does not bear the signature of {key.name}")
        if len(self.note.signatures) != len(keys):
            raise ReceiptError("the checkpoint bears a signature whose key the proof does not name")


def read_proof(data: bytes) -> LedgerProof:
    """Read ``ledger.json`` strictly.

    Raises
    ------
    ReceiptError
        If it is malformed, or not in its one spelling.
    """
    raw = canonical.loads(data, MAX_PROOF)
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise ReceiptError(f"expected a proof of schema {SCHEMA!r}")
    if set(raw) != {"schema", "proof", "key", "witnesses", "timestamp"}:
        raise ReceiptError("a proof must hold exactly: schema, proof, key, witnesses, timestamp")
    texts = [raw["proof"], raw["key"], *(raw["witnesses"] if isinstance(raw["witnesses"], list) else [None])]
    if any(not isinstance(t, str) for t in texts) or not isinstance(raw["timestamp"], str | None):
        raise ReceiptError("a proof holds text only")
    head, _, note_text = str(raw["proof"]).partition("\n\n")
    lines = head.split("\n")
    number = lines[1].removeprefix("index ") if len(lines) > 1 else ""
    if lines[0] != _HEADER or not number.isascii() or not number.isdecimal() or len(number) > 19 or len(lines) > 70:
        raise ReceiptError(f"a proof begins with the lines {_HEADER!r} and 'index N'")
    try:
        key = VerifierKey.parse(raw["key"])
        witnesses = tuple(VerifierKey.parse(t) for t in raw["witnesses"])
    except OptionError as e:
        raise ReceiptError(str(e)) from e
    if key.kind != LEDGER or any(w.kind != WITNESS for w in witnesses):
        raise ReceiptError("a proof names one key of a ledger and keys of witnesses")
    proof = LedgerProof(
        int(number),
        tuple(unbase64(line) for line in lines[2:]),
        read_note(note_text.encode("utf-8")),
        key,
        witnesses,
        None if raw["timestamp"] is None else unbase64(raw["timestamp"]),
    )
    if proof.dumps() != data:
        raise ReceiptError("the proof is not in its one spelling: it was written or edited by something else")
    return proof


def make_proof(
    reader: LedgerReader, index: int, witnesses: Sequence[VerifierKey] = (), timestamp: bytes | None = None
) -> LedgerProof:
    """Return the proof of an entry in a ledger, with the cosignatures of those witnesses that gave one.

    Raises
    ------
    InputError, ReceiptError
        If there is no such entry, or the tiles do not lead to the signed root.
    """
    signed = tuple(w for w in witnesses if reader.note.signed_by(w))
    named = {(k.name, k.hash) for k in (reader.key, *signed)}
    note = Note(reader.checkpoint, tuple(s for s in reader.note.signatures if (s.name, s.hash) in named))
    return LedgerProof(index, tuple(reader.inclusion(index)), note, reader.key, signed, timestamp)


def facts_of(entry: bytes) -> dict[str, Any] | None:
    """Return the hashes in a ledger's entry, or None if it records something else."""
    try:
        facts = canonical.loads(entry)
    except ReceiptError:
        return None
    return facts if isinstance(facts, dict) and facts.get("schema") == LEAF_SCHEMA else None


def older_checkpoint(path: Path, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint in a file: a signed checkpoint itself, or a bundle's ``ledger.json``.

    Raises
    ------
    ReceiptError
        If the ledger of this key did not sign it.
    """
    data = read_limited(path, MAX_PROOF)
    note = read_proof(data).note if data.startswith(b"{") else read_note(data)
    if note.checkpoint.origin != key.name or not note.signed_by(key):
        raise ReceiptError(f"{path} does not bear the signature of {key.name}")
    return note.checkpoint
