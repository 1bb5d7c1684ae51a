"""Reading every byte of a ledger and comparing it with what was signed."""

from __future__ import annotations

from pathlib import Path

from tratto.core.errors import ReceiptError
from tratto.ledger.files import content_of
from tratto.ledger.journal import compare_published, read_frames, replay
from tratto.ledger.log import JOURNAL
from tratto.ledger.note import Note, VerifierKey, read_key_file
from tratto.ledger.tiles import KEY, check_ledger


def check(folder: Path, key: VerifierKey | None = None) -> tuple[list[str], Note | None]:
    """Read every byte of a ledger, tiles and journal, and compare all of it with what was signed.

    Returns
    -------
    wrong : list of str
        Empty if every bit is as it was signed. A write that was cut off shows here until the ledger is opened.
    note : Note or None
        The checkpoint, if it could be read.

    Raises
    ------
    InputError
        If there is no ledger.

    Examples
    --------
    >>> from tratto.ledger.log import Ledger
    >>> import tempfile
    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> from tratto.ledger.note import LEDGER, SignerKey
    >>> private = Ed25519PrivateKey.generate()
    >>> key = SignerKey(VerifierKey("example.org/log", LEDGER, private.public_key().public_bytes_raw()), private)
    >>> folder = Path(tempfile.mkdtemp()) / "ledger"
    >>> with Ledger.create(folder, key) as log:
    ...     _ = log.append([b"an entry"])
    >>> wrong, note = check(folder)
    >>> wrong, note.checkpoint.size
    ([], 1)
    """
    wrong, note = check_ledger(folder, key)
    path = folder / JOURNAL
    if note is None or not path.exists():
        if note is not None:
            wrong.append("the journal is missing: this is a copy for reading, not the ledger itself")
        return wrong, note
    try:
        frames, rest = read_frames(path.read_bytes())
        if rest:
            wrong.append(f"the end of the journal is {rest}")
        replayed = replay(frames, key or read_key_file(folder / KEY))
        compare_published(note.checkpoint, replayed, folder)
        if replayed.note.checkpoint != note.checkpoint:
            wrong.append("the journal is ahead of the checkpoint; opening the ledger publishes what is missing")
        for name, content in [*replayed.tiles, *replayed.state.partial()]:
            if content_of(folder / name) != content:
                wrong.append(f"{name} is not what the journal holds")
    except ReceiptError as e:
        wrong.append(str(e))
    return wrong, note
