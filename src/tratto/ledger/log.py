"""A ledger open for writing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from tratto.core.errors import OptionError, OutputError, ReceiptError
from tratto.core.files import sync, write_synced
from tratto.ledger import merkle
from tratto.ledger.files import (
    content_of,
    flush_data,
    make_parents,
    partial_files,
    replace_file,
    take_lock,
    whole_files,
    whole_names,
)
from tratto.ledger.journal import APPENDED, BASE, compare_published, frame_of, read_frames, replay
from tratto.ledger.note import Checkpoint, Note, Signature, SignerKey, read_key_file, sign
from tratto.ledger.state import State
from tratto.ledger.tiles import CHECKPOINT, KEY, LedgerReader, pack, read_checkpoint

JOURNAL = "journal"
#: A journal longer than this is replaced by one that begins with the state so far, in bytes.
ROTATE = 4 << 20


class Ledger:
    """A ledger open for writing; one at a time, held by a lock that goes with the process.

    Use :meth:`create` or :meth:`open`, and close it, best with ``with``.

    Examples
    --------
    >>> import tempfile
    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> from tratto.ledger.note import LEDGER, VerifierKey
    >>> private = Ed25519PrivateKey.generate()
    >>> key = SignerKey(VerifierKey("example.org/log", LEDGER, private.public_key().public_bytes_raw()), private)
    >>> with Ledger.create(Path(tempfile.mkdtemp()) / "ledger", key) as log:
    ...     log.append([b"first", b"second"])
    range(0, 2)
    """

    def __init__(self, folder: Path, key: SignerKey, lock: int) -> None:
        self.folder, self.key = folder, key
        self._lock = lock
        self._state = State()
        self._note = Note(Checkpoint(key.verifier.name, 0, merkle.EMPTY_ROOT), ())
        self._journal: BinaryIO | None = None
        self._unsynced: set[Path] = set()  # whole tiles that may not have reached the disk
        self._folders: set[Path] = set()  # the same of folders
        self._partial: set[str] = set()
        self._failed = False
        #: What opening had to put right, in plain sentences.
        self.recovered: list[str] = []

    @classmethod
    def create(cls, folder: Path, key: SignerKey) -> Ledger:
        """Begin a ledger in a folder that is empty or not there.

        Raises
        ------
        OutputError
            If something is there, or it cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise OutputError(f"{folder} is not empty; a ledger needs a folder of its own")
            ledger = cls(folder, key, take_lock(folder))
            with ledger._closing_on_error():
                ledger._note = ledger._signed()
                write_synced(folder / KEY, key.verifier.text().encode() + b"\n")
                ledger._rotate()
                ledger._publish()
                sync(folder)
                sync(folder.absolute().parent)
        except OSError as e:
            raise OutputError(f"the ledger {folder} cannot be written: {e.strerror or e}") from e
        return ledger

    @classmethod
    def open(cls, folder: Path, key: SignerKey) -> Ledger:
        """Open a ledger, and put right what a program that was stopped left undone.

        A frame that the journal does not hold to its end was never acknowledged: it is set aside and told in
        :attr:`recovered`. Anything else that does not fit is refused.

        Raises
        ------
        InputError
            If there is no ledger.
        OptionError
            If the key is not its key.
        ReceiptError
            If the ledger is damaged, shorter than its checkpoint says, or forked.
        """
        LedgerReader.must_exist(folder)
        named = read_key_file(folder / KEY)
        if named != key.verifier:
            raise OptionError(f"the ledger {folder} belongs to the key {named.name}, not to {key.verifier.name}")
        try:
            ledger = cls(folder, key, take_lock(folder))
            with ledger._closing_on_error():
                ledger._recover()
        except OSError as e:
            raise OutputError(f"the ledger {folder} cannot be opened: {e.strerror or e}") from e
        return ledger

    @property
    def checkpoint(self) -> Checkpoint:
        """What the ledger says of itself."""
        return self._note.checkpoint

    @property
    def note(self) -> Note:
        """The checkpoint with its signatures."""
        return self._note

    @property
    def size(self) -> int:
        """Number of entries."""
        return self._state.size

    def append(self, entries: Sequence[bytes]) -> range:
        """Append entries; when this returns they are on the disk, signed and published.

        All entries of one call share one flush: a hundred in one call are hardly slower than one.

        Parameters
        ----------
        entries : sequence of bytes
            At most 65535 bytes each.

        Returns
        -------
        range
            Their numbers.

        Raises
        ------
        OptionError
            If one is too long. None is appended.
        OutputError
            If the disk fails. Whether the entries are there shows when the ledger is opened again; until then
            nothing can be appended.
        """
        if self._failed or self._journal is None:
            raise OutputError(f"the ledger {self.folder} is closed or failed before; open it again")
        first, batch = self.size, list(entries)
        if not batch:
            return range(first, first)
        packed = pack(batch)
        self._failed = True  # until all went well
        try:
            for entry in batch:
                for path, data in self._state.add(entry):
                    self._write_tile(path, data)
            self._note = self._signed()
            content = first.to_bytes(8, "big") + len(batch).to_bytes(4, "big") + packed + self._note.text()
            self._journal.write(frame_of(APPENDED, content))
            self._journal.flush()
            flush_data(self._journal.fileno())
            self._publish()
            if self._journal.tell() > ROTATE:
                self._rotate()
        except OSError as e:
            raise OutputError(f"the ledger {self.folder} cannot be written: {e.strerror or e}") from e
        self._failed = False
        return range(first, self.size)

    def add_signatures(self, signatures: Sequence[Signature]) -> Note:
        """Publish the checkpoint with further signatures, such as a witness's; they hold until the next append."""
        self._note = self._note.with_signatures(signatures)
        self._publish()
        return self._note

    def close(self) -> None:
        """Let others write."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------------ writing

    @contextlib.contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _signed(self) -> Note:
        checkpoint = Checkpoint(self.key.verifier.name, self._state.size, self._state.root())
        return Note(checkpoint, (sign(checkpoint, self.key),))

    def _write_tile(self, path: str, data: bytes) -> None:
        target = self.folder / path
        make_parents(target, self.folder, self._folders)
        replace_file(target, data)
        self._unsynced.add(target)
        self._folders.add(target.parent)

    def _publish(self) -> None:
        """Write the tiles at the right edge, then the checkpoint; remove edges that have been outgrown."""
        now: set[str] = set()
        for path, data in self._state.partial():
            target = self.folder / path
            if path not in self._partial:
                make_parents(target, self.folder, self._folders)
                target.write_bytes(data)  # nobody looks here before the checkpoint says so
            now.add(path)
        replace_file(self.folder / CHECKPOINT, self._note.text())
        for path in self._partial - now:
            with contextlib.suppress(OSError):
                (self.folder / path).unlink()
                (self.folder / path).parent.rmdir()  # stays while others are in it
        self._partial = now

    def _rotate(self) -> None:
        """Begin a new journal with the state so far; whole tiles are on the disk before the old one goes."""
        for path in self._unsynced:
            sync(path)
        for path in self._folders:
            sync(path)
        self._unsynced, self._folders = set(), set()
        fresh = self.folder / f"{JOURNAL}.new"
        write_synced(fresh, frame_of(BASE, self._state.dump() + self._note.text()))
        if self._journal is not None:
            self._journal.close()
        os.replace(fresh, self.folder / JOURNAL)
        sync(self.folder)
        self._journal = open(self.folder / JOURNAL, "ab")  # noqa: SIM115

    # ----------------------------------------------------------------------------------------------------- recovery

    def _recover(self) -> None:
        for part in [*self.folder.glob(".*.new"), *(self.folder / "tile").rglob(".*.new")]:
            part.unlink()  # a file that a stopped program was writing
        data = (self.folder / JOURNAL).read_bytes()
        frames, rest = read_frames(data)
        replayed = replay(frames, self.key.verifier)
        published = self._published()
        if published is not None:
            compare_published(published.checkpoint, replayed, self.folder)
        if rest == "damaged":
            raise ReceiptError(
                f"{self.folder / JOURNAL} is damaged after {replayed.state.size} entries, and not as by a write that "
                "was cut off; restore the ledger from a copy"
            )
        end = frames[-1].end
        if rest:
            aside = self.folder / f"{JOURNAL}.torn"
            write_synced(aside, data[end:])
            self.recovered.append(
                f"{len(data) - end} bytes of an append that was cut off and never acknowledged were set aside in "
                f"{aside.name}"
            )
        self._state, self._note = replayed.state, replayed.note
        if published is not None and published.checkpoint == self._note.checkpoint:
            self._note = published  # it may bear a witness's signature
        if rest:
            with open(self.folder / JOURNAL, "r+b") as f:
                f.truncate(end)
                os.fsync(f.fileno())
        for path, content in replayed.tiles:
            if content_of(self.folder / path) != content:
                self._write_tile(path, content)
            else:
                self._unsynced.add(self.folder / path)
                self._folders |= set((self.folder / path).parents) - set(self.folder.parents)
        for path in whole_files(self.folder) - whole_names(self._state.size):
            (self.folder / path).unlink()  # of an append that was cut off before the journal held it
            self.recovered.append(f"{path} held entries that were never acknowledged and was removed")
        self._journal = open(self.folder / JOURNAL, "ab")  # noqa: SIM115
        self._partial = set(partial_files(self.folder))
        wrong = {p for p, content in self._state.partial() if content_of(self.folder / p) != content}
        self._partial -= wrong
        self._publish()

    def _published(self) -> Note | None:
        """Return the checkpoint beside the journal, or None where a power cut left none or an empty one."""
        path = self.folder / CHECKPOINT
        if not path.is_file() or path.stat().st_size == 0:
            self.recovered.append("the checkpoint was missing and was made again from the journal")
            return None
        return read_checkpoint(path, self.key.verifier)
