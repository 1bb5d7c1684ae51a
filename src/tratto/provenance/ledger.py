"""The ledger: an append-only list of seals that nobody can change, shorten or fork unnoticed.

Its public side are the files of :mod:`.tiles`. Beside them lies ``journal``, the writer's own: every append goes there
first, as one frame with the new entries and the checkpoint over them, and is flushed to the disk before it is
acknowledged. One flush covers the whole batch. Tiles and ``checkpoint`` follow from the journal and are made again from
it where a power cut took them. Whole tiles are flushed before the journal that holds their entries is replaced.

A frame is ``TRJ1``, its length (4 bytes), SHA-256 of what follows, then a letter and the content: ``B`` begins a
journal with the state so far, ``E`` holds entries.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from tratto.core.errors import OptionError, OutputError, ReceiptError
from tratto.provenance import canonical, merkle
from tratto.provenance.note import Checkpoint, Note, Signature, SignerKey, VerifierKey, read_key_file, read_note, sign
from tratto.provenance.receipt import FileFacts
from tratto.provenance.tiles import (
    CHECKPOINT,
    ENTRIES,
    KEY,
    SPAN,
    WIDTH,
    LedgerReader,
    check_ledger,
    pack,
    read_checkpoint,
    tile_path,
    unpack,
    unpack_first,
)

JOURNAL, LOCK = "journal", "lock"
LEAF_SCHEMA = "tratto/leaf/1"
#: A journal longer than this is replaced by one that begins with the state so far, in bytes.
ROTATE = 4 << 20

_MAGIC = b"TRJ1"
_HEAD = len(_MAGIC) + 4 + 32
_BASE, _ENTRIES = b"B", b"E"


def leaf(seal: FileFacts, receipt: FileFacts, output: FileFacts) -> bytes:
    """Return what a ledger records of one result: the hashes of seal, receipt and picture, as canonical JSON.

    The seal alone would do; the other two let a picture or a receipt be found in the ledger without its bundle.
    """
    return canonical.dumps(
        {"schema": LEAF_SCHEMA, "seal": seal.sha256, "receipt": receipt.sha256, "output": output.sha256}
    )


@dataclass
class _State:
    """The tree's right edge: all that is needed to go on.

    Attributes
    ----------
    size : int
    edges : list of list of bytes
        For each level of tiles, the hashes in its last tile that is not whole.
    pending : list of bytes
        The entries in the last tile of entries that is not whole.
    """

    size: int = 0
    edges: list[list[bytes]] = field(default_factory=list)
    pending: list[bytes] = field(default_factory=list)

    def add(self, entry: bytes) -> Iterator[tuple[str, bytes]]:
        """Take an entry; yield path and content of each tile that it completes."""
        self.pending.append(entry)
        if len(self.pending) == WIDTH:
            yield tile_path(ENTRIES, self.size // WIDTH), pack(self.pending)
            self.pending = []
        hash_, level = merkle.leaf_hash(entry), 0
        while True:
            if level == len(self.edges):
                self.edges.append([])
            edge = self.edges[level]
            edge.append(hash_)
            if len(edge) < WIDTH:
                break
            yield tile_path(level, self.size >> (SPAN * (level + 1))), b"".join(edge)
            hash_ = merkle.complete_root(edge)
            self.edges[level] = []
            level += 1
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all entries."""
        peaks: list[bytes] = []
        for edge in reversed(self.edges):
            at = 0
            while at < len(edge):
                count = 1 << (len(edge) - at).bit_length() - 1
                peaks.append(merkle.complete_root(edge[at : at + count]))
                at += count
        return merkle.fold(peaks)

    def partial(self) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of the tiles at the right edge that are not whole."""
        if self.pending:
            yield tile_path(ENTRIES, self.size // WIDTH, len(self.pending)), pack(self.pending)
        for level, edge in enumerate(self.edges):
            if edge:
                yield tile_path(level, self.size >> (SPAN * (level + 1)), len(edge)), b"".join(edge)

    def dump(self) -> bytes:
        """Return the state in bytes."""
        out = [self.size.to_bytes(8, "big"), bytes([len(self.edges)])]
        for edge in self.edges:
            out += [len(edge).to_bytes(2, "big"), *edge]
        packed = pack(self.pending)
        return b"".join([*out, len(packed).to_bytes(4, "big"), packed])

    @classmethod
    def load(cls, data: bytes) -> tuple[_State, bytes]:
        """Read a state; return it with what follows."""
        state, at = cls(int.from_bytes(data[:8], "big")), 9
        for _ in range(data[8]):
            count = int.from_bytes(data[at : at + 2], "big")
            raw = data[at + 2 : at + 2 + 32 * count]
            state.edges.append([raw[i : i + 32] for i in range(0, len(raw), 32)])
            at += 2 + 32 * count
        length = int.from_bytes(data[at : at + 4], "big")
        state.pending = unpack(data[at + 4 : at + 4 + length], state.size % WIDTH)
        if [merkle.leaf_hash(e) for e in state.pending] != (state.edges[0] if state.edges else []):
            raise ReceiptError("the journal's entries and hashes disagree")
        return state, data[at + 4 + length :]


@dataclass(frozen=True)
class Frame:
    """One frame of a journal: where it ends, what it holds."""

    end: int
    kind: bytes
    content: bytes


def read_frames(data: bytes) -> tuple[list[Frame], str]:
    """Take a journal apart.

    Returns
    -------
    frames : list of Frame
        The whole ones, from the start.
    rest : str
        What is wrong behind them: ``""``, ``"torn"`` (the file ends inside a frame, as when a write was cut off) or
        ``"damaged"``.
    """
    frames: list[Frame] = []
    at = 0
    while at < len(data):
        head = data[at : at + _HEAD]
        if not _MAGIC.startswith(head[:4]):
            return frames, "damaged"
        if len(head) < _HEAD:
            return frames, "torn"
        length = int.from_bytes(head[4:8], "big")
        payload = data[at + _HEAD : at + _HEAD + length]
        if len(payload) < length:
            return frames, "torn"
        if not length or hashlib.sha256(head[4:8] + payload).digest() != head[8:]:
            return frames, "damaged"
        at += _HEAD + length
        frames.append(Frame(at, payload[:1], payload[1:]))
    return frames, ""


def _frame(kind: bytes, content: bytes) -> bytes:
    length = (len(content) + 1).to_bytes(4, "big")
    return _MAGIC + length + hashlib.sha256(length + kind + content).digest() + kind + content


class Ledger:
    """A ledger open for writing; one at a time, held by a lock that goes with the process.

    Use :meth:`create` or :meth:`open`, and close it, best with ``with``.
    """

    def __init__(self, folder: Path, key: SignerKey, lock: int) -> None:
        self.folder, self.key = folder, key
        self._lock = lock
        self._state = _State()
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
            ledger = cls(folder, key, _take_lock(folder))
            with ledger._closing_on_error():
                ledger._note = ledger._signed()
                _write_synced(folder / KEY, key.verifier.text().encode() + b"\n")
                ledger._rotate()
                ledger._publish()
                _sync_folder(folder)
                _sync_folder(folder.absolute().parent)
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
            ledger = cls(folder, key, _take_lock(folder))
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
            self._journal.write(_frame(_ENTRIES, content))
            self._journal.flush()
            _flush_data(self._journal.fileno())
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
        _make_parents(target, self.folder, self._folders)
        _replace(target, data)
        self._unsynced.add(target)
        self._folders.add(target.parent)

    def _publish(self) -> None:
        """Write the tiles at the right edge, then the checkpoint; remove edges that have been outgrown."""
        now: set[str] = set()
        for path, data in self._state.partial():
            target = self.folder / path
            if path not in self._partial:
                _make_parents(target, self.folder, self._folders)
                target.write_bytes(data)  # nobody looks here before the checkpoint says so
            now.add(path)
        _replace(self.folder / CHECKPOINT, self._note.text())
        for path in self._partial - now:
            with contextlib.suppress(OSError):
                (self.folder / path).unlink()
                (self.folder / path).parent.rmdir()  # stays while others are in it
        self._partial = now

    def _rotate(self) -> None:
        """Begin a new journal with the state so far; whole tiles are on the disk before the old one goes."""
        for path in self._unsynced:
            _sync_file(path)
        for path in self._folders:
            _sync_folder(path)
        self._unsynced, self._folders = set(), set()
        fresh = self.folder / f"{JOURNAL}.new"
        _write_synced(fresh, _frame(_BASE, self._state.dump() + self._note.text()))
        if self._journal is not None:
            self._journal.close()
        os.replace(fresh, self.folder / JOURNAL)
        _sync_folder(self.folder)
        self._journal = open(self.folder / JOURNAL, "ab")  # noqa: SIM115

    # ----------------------------------------------------------------------------------------------------- recovery

    def _recover(self) -> None:
        for part in [*self.folder.glob(".*.new"), *(self.folder / "tile").rglob(".*.new")]:
            part.unlink()  # a file that a stopped program was writing
        data = (self.folder / JOURNAL).read_bytes()
        frames, rest = read_frames(data)
        replayed = _replay(frames, self.key.verifier)
        published = self._published()
        if published is not None:
            _compare(published.checkpoint, replayed, self.folder)
        if rest == "damaged":
            raise ReceiptError(
                f"{self.folder / JOURNAL} is damaged after {replayed.state.size} entries, and not as by a write that "
                "was cut off; restore the ledger from a copy"
            )
        end = frames[-1].end
        if rest:
            aside = self.folder / f"{JOURNAL}.torn"
            _write_synced(aside, data[end:])
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
            if _content(self.folder / path) != content:
                self._write_tile(path, content)
            else:
                self._unsynced.add(self.folder / path)
                self._folders |= set((self.folder / path).parents) - set(self.folder.parents)
        for path in _whole_files(self.folder) - _whole_names(self._state.size):
            (self.folder / path).unlink()  # of an append that was cut off before the journal held it
            self.recovered.append(f"{path} held entries that were never acknowledged and was removed")
        self._journal = open(self.folder / JOURNAL, "ab")  # noqa: SIM115
        self._partial = set(_partial_files(self.folder))
        wrong = {p for p, content in self._state.partial() if _content(self.folder / p) != content}
        self._partial -= wrong
        self._publish()

    def _published(self) -> Note | None:
        """Return the checkpoint beside the journal, or None where a power cut left none or an empty one."""
        path = self.folder / CHECKPOINT
        if not path.is_file() or path.stat().st_size == 0:
            self.recovered.append("the checkpoint was missing and was made again from the journal")
            return None
        return read_checkpoint(path, self.key.verifier)


@dataclass(frozen=True)
class _Replayed:
    state: _State
    note: Note
    roots: dict[int, bytes]
    tiles: list[tuple[str, bytes]]


def _replay(frames: Sequence[Frame], key: VerifierKey) -> _Replayed:
    """Follow a journal from its beginning; every checkpoint in it must be right, the last one's signature too."""
    if not frames or frames[0].kind != _BASE or any(f.kind != _ENTRIES for f in frames[1:]):
        raise ReceiptError("the journal of the ledger is damaged: it does not begin as one")
    tiles: list[tuple[str, bytes]] = []
    roots: dict[int, bytes] = {}
    try:
        state, tail = _State.load(frames[0].content)
        note = read_note(tail)
        for frame in [None, *frames[1:]]:
            if frame is not None:
                first, count = int.from_bytes(frame.content[:8], "big"), int.from_bytes(frame.content[8:12], "big")
                if first != state.size:
                    raise ReceiptError("a frame does not follow the one before")
                entries = unpack_first(frame.content[12:], count)
                for entry in entries:
                    tiles += state.add(entry)
                note = read_note(frame.content[12 + sum(2 + len(e) for e in entries) :])
            if note.checkpoint != Checkpoint(key.name, state.size, state.root()):
                raise ReceiptError("a checkpoint in it is not that of its entries")
            roots[state.size] = note.checkpoint.root
    except (ReceiptError, IndexError) as e:
        raise ReceiptError(f"the journal of the ledger is damaged: {e}") from e
    if not note.signed_by(key):
        raise ReceiptError("the journal of the ledger is not signed by its key")
    return _Replayed(state, note, roots, tiles)


def _compare(published: Checkpoint, replayed: _Replayed, folder: Path) -> None:
    if published.size > replayed.state.size:
        raise ReceiptError(
            f"{folder}: the checkpoint counts {published.size} entries, the journal only {replayed.state.size}: "
            "acknowledged entries are missing; restore the ledger from a copy"
        )
    if published.size in replayed.roots and replayed.roots[published.size] != published.root:
        raise ReceiptError(f"{folder}: checkpoint and journal tell different stories: the ledger was forked")


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
        replayed = _replay(frames, key or read_key_file(folder / KEY))
        _compare(note.checkpoint, replayed, folder)
        if replayed.note.checkpoint != note.checkpoint:
            wrong.append("the journal is ahead of the checkpoint; opening the ledger publishes what is missing")
        for name, content in [*replayed.tiles, *replayed.state.partial()]:
            if _content(folder / name) != content:
                wrong.append(f"{name} is not what the journal holds")
    except ReceiptError as e:
        wrong.append(str(e))
    return wrong, note


# ------------------------------------------------------------------------------------------------------------- files


def _take_lock(folder: Path) -> int:
    """Lock the ledger, waiting for another writer; return the descriptor that holds the lock."""
    fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        import fcntl
    except ImportError:
        return fd  # no locks here: one writer at a time is up to the user
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError:
        os.close(fd)
        raise
    return fd


def _flush_data(fd: int) -> None:
    getattr(os, "fdatasync", os.fsync)(fd)


def _write_synced(path: Path, data: bytes) -> None:
    with open(path, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


def _replace(path: Path, data: bytes) -> None:
    """Write a file that is whole or not there; it is not flushed."""
    part = path.with_name(f".{path.name}.new")
    with open(part, "wb") as f:
        f.write(data)
    os.replace(part, path)


def _make_parents(path: Path, top: Path, made: set[Path]) -> None:
    if path.parent.is_dir():
        return
    missing = []
    folder = path.parent
    while folder != top and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        made |= {one, one.parent}


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_folder(path: Path) -> None:
    # some systems cannot open or flush folders
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _partial_files(folder: Path) -> Iterator[str]:
    for path in (folder / "tile").rglob("*.p/*"):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(folder).as_posix()


def _whole_files(folder: Path) -> set[str]:
    """Return the whole tiles that are there."""
    files = (p.relative_to(folder) for p in (folder / "tile").rglob("*") if p.is_file() and not p.name.startswith("."))
    return {p.as_posix() for p in files if not p.parent.name.endswith(".p")}


def _whole_names(size: int) -> set[str]:
    """Return the whole tiles of a ledger of ``size`` entries."""
    names = {tile_path(ENTRIES, n) for n in range(size // WIDTH)}
    level, count = 0, size
    while count >= WIDTH:
        names |= {tile_path(level, n) for n in range(count // WIDTH)}
        level, count = level + 1, count // WIDTH
    return names
