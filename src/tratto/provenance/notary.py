"""Who vouches for results: an identity that signs pictures, and a ledger that records their seals."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tratto.core.errors import OutputError, ReceiptError
from tratto.core.files import write_synced, write_text
from tratto.core.hashing import hash_file, read_limited
from tratto.imaging.io import part_folder
from tratto.ledger import Ledger
from tratto.ledger.keys import Identity, signer_for
from tratto.ledger.note import VerifierKey, read_key_file
from tratto.ledger.proof import MAX_PROOF, LedgerProof, make_proof, read_proof
from tratto.ledger.tiles import KEY, LedgerReader
from tratto.provenance.bundle import LEDGER, find_bundle, read_bundle
from tratto.provenance.seal import entry_of

#: Public keys of the witnesses of a ledger, one a line; beside its checkpoint.
WITNESSES = "witnesses"


@dataclass(frozen=True)
class Notary:
    """What happens to a result beyond its seal.

    Attributes
    ----------
    identity : Identity or None
        Signs the picture (content credentials); None: it stays unsigned.
    ledger : Path or None
        Folder of the ledger that records each result.
    """

    identity: Identity | None = None
    ledger: Path | None = None

    def signs_as(self) -> str:
        """Return who signs, in words; empty if nobody does."""
        if self.identity is None:
            return ""
        return f"{self.identity.name} (test identity, untrusted)" if self.identity.test else self.identity.name

    def check(self) -> None:
        """Find out before the work begins whether it can be vouched for.

        Raises
        ------
        InputError, OptionError, ReceiptError, OutputError, MissingExtra
            If there is no such ledger, its private key is not here, it is damaged, or an extra is missing.
        """
        if self.ledger is not None:
            key = signer_for(LedgerReader(self.ledger).key)
            with Ledger.open(self.ledger, key):
                pass
        if self.identity is not None:
            from tratto.provenance.credentials import trial

            trial(self.identity)

    def record(self, bundle: Path) -> LedgerProof | None:
        """Record a bundle and lay the proof into it; None if there is no ledger. Doing it twice records it once."""
        return None if self.ledger is None else record(self.ledger, [bundle])[0]

    def complete(self, bundle: Path) -> LedgerProof | None:
        """Record a bundle that lies there without a proof of this ledger; None if there is nothing to do."""
        if self.ledger is None:
            return None
        key = read_key_file(self.ledger / KEY)
        try:
            if read_proof(read_limited(bundle / LEDGER, MAX_PROOF)).key == key:
                return None
        except ReceiptError:
            pass  # none, or none that can be read: it is made again
        return self.record(bundle)


def record(folder: Path, bundles: Sequence[Path]) -> list[LedgerProof]:
    """Record bundles in a ledger and lay the proofs into them.

    What is recorded already keeps its number; its proof is made anew for the present checkpoint. All that is new is
    appended at once, behind one flush to the disk.

    Parameters
    ----------
    folder : Path
        Of the ledger.
    bundles : sequence of Path
        Bundles, or pictures that have one beside them.

    Returns
    -------
    list of LedgerProof
        In the order of ``bundles``.

    Raises
    ------
    ReceiptError
        If a bundle is not as it was sealed, or the ledger is damaged. Nothing is recorded then.
    InputError, OptionError, OutputError, MissingExtra
        If the ledger cannot be opened or written, or its key is not here.
    """
    found = [find_bundle(b) for b in bundles]
    for bundle in found:
        _must_be_whole(bundle)
    entries = [entry_of(b) for b in found]
    key = signer_for(LedgerReader(folder).key)
    with Ledger.open(folder, key) as log:
        reader = LedgerReader(folder, key.verifier)
        numbers = {e: reader.find(e) for e in entries}
        fresh = [e for e, n in numbers.items() if n is None]
        if fresh:
            numbers |= dict(zip(fresh, log.append(fresh), strict=True))
            reader = LedgerReader(folder, key.verifier)
        proofs = []
        for bundle, entry in zip(found, entries, strict=True):
            number = numbers[entry]
            if number is None:
                raise ReceiptError(f"the ledger {folder} did not take {bundle.name}")
            proof = make_proof(reader, number, witnesses_of(folder), _stamp_of(reader))
            proof.check(entry)
            _lay(bundle, proof.dumps())
            proofs.append(proof)
    return proofs


def witnesses_of(folder: Path) -> tuple[VerifierKey, ...]:
    """Return the keys of the witnesses that a ledger names."""
    path = folder / WITNESSES
    if not path.is_file():
        return ()
    text = read_limited(path, 1 << 16).decode("utf-8", "replace")
    return tuple(VerifierKey.parse(line) for line in text.splitlines() if line)


def name_witness(folder: Path, key: VerifierKey) -> None:
    """Add a witness to those that a ledger names.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    keys = {k.text(): None for k in (*witnesses_of(folder), key)}
    write_text(folder / WITNESSES, "".join(f"{k}\n" for k in keys))


def _stamp_of(reader: LedgerReader) -> bytes | None:
    """Return the time stamp of the present checkpoint, if there is one."""
    from tratto.ledger.timestamp import stamp_path

    path = stamp_path(reader.folder, reader.checkpoint)
    return read_limited(path, 1 << 16) if path.is_file() else None


def _must_be_whole(folder: Path) -> None:
    """Refuse to record what is not as it was sealed."""
    bundle = read_bundle(folder)
    for name, facts in {"receipt.json": bundle.sealed_receipt, **bundle.sealed_files}.items():
        if hash_file(folder / name, limit=facts.size, links=False) != facts:
            raise ReceiptError(f"{name} in {folder.name} is not the one that was sealed; nothing was recorded")


def _lay(bundle: Path, data: bytes) -> None:
    """Write the proof into a bundle, whole or not at all."""
    if (bundle / LEDGER).is_file() and read_limited(bundle / LEDGER, MAX_PROOF) == data:
        return
    with part_folder(bundle) as folder:
        part = folder / LEDGER
        try:
            write_synced(part, data)
            os.replace(part, bundle / LEDGER)
        except OSError as e:
            raise OutputError(f"{bundle / LEDGER} cannot be written: {e.strerror or e}") from e
