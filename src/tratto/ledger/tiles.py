"""A ledger as files that anybody can read and serve: the layout of C2SP ``tlog-tiles`` (https://c2sp.org/tlog-tiles).

====================================  ==================================================================
``checkpoint``                        the signed size and root (:mod:`.note`)
``tile/<L>/<N>``                      256 hashes of 32 bytes: nodes of height 8 L, from number 256 N on
``tile/entries/<N>``                  256 entries, each behind its length in two bytes (big-endian)
``tile/…/<N>.p/<W>``                  the same with W < 256 of them, at the right edge
``log.vkey``                          the public key (ours; the layout leaves open how it is told)
====================================  ==================================================================

Numbers are written in groups of three digits, all but the last behind an ``x``: 1234067 is ``x001/x234/067``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from tratto.core.errors import InputError, OptionError, ReceiptError
from tratto.core.hashing import read_limited
from tratto.ledger import merkle
from tratto.ledger.note import MAX_NOTE, Checkpoint, Note, VerifierKey, read_key_file, read_note

CHECKPOINT, KEY = "checkpoint", "log.vkey"
#: Hashes or entries in a whole tile, and the levels of the tree that one tile spans.
WIDTH, SPAN = 256, 8
#: Longest entry, in bytes: its length stands in two.
MAX_ENTRY = (1 << 16) - 1
ENTRIES = "entries"

_CACHE = 512  # tiles held in memory: 4 MiB


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Return where a tile lies, below the ledger's folder, with ``/``.

    Parameters
    ----------
    level : int or "entries"
        0 holds hashes of entries; each level above hashes 256 of those below.
    number : int
        Of the tile on its level, from 0.
    width : int
        256 for a whole tile, fewer at the right edge.
    """
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    name = "/".join([*(f"x{g}" for g in groups[:-1]), groups[-1]])
    return f"tile/{level}/{name}" + ("" if width == WIDTH else f".p/{width}")


def pack(entries: list[bytes]) -> bytes:
    """Return entries as a tile holds them.

    Raises
    ------
    OptionError
        If one is too long.
    """
    for e in entries:
        if len(e) > MAX_ENTRY:
            raise OptionError(f"an entry of a ledger has at most {MAX_ENTRY} bytes, got {len(e)}")
    return b"".join(len(e).to_bytes(2, "big") + e for e in entries)


def unpack(data: bytes, count: int) -> list[bytes]:
    """Return the entries of a tile.

    Raises
    ------
    ReceiptError
        Unless it holds exactly ``count`` of them.
    """
    out: list[bytes] = []
    at = 0
    while at < len(data) and len(out) < count:
        size = int.from_bytes(data[at : at + 2], "big")
        entry = data[at + 2 : at + 2 + size]
        if len(entry) < size or at + 2 > len(data):
            raise ReceiptError("a tile of entries ends in the middle of one")
        out.append(entry)
        at += 2 + size
    if at != len(data) or len(out) != count:
        raise ReceiptError(f"expected a tile of exactly {count} entries")
    return out


class LedgerReader:
    """Reads a ledger from its public files; needs no private key and changes nothing.

    Every proof it gives is made from the tiles and is right only if they are: whoever uses one checks it against the
    signed root, as :meth:`inclusion` and :meth:`consistency` do before they return.

    Parameters
    ----------
    folder : Path
        As :class:`~tratto.ledger.Ledger` makes it, or a copy from anywhere.
    key : VerifierKey or None
        Whose signature the checkpoint must bear; None: the one the folder names, which shows only that the ledger
        agrees with itself.

    Raises
    ------
    InputError
        If there is no ledger.
    ReceiptError
        If the checkpoint is malformed or not signed by the key.
    MissingExtra
        Without the ``sign`` extra.
    """

    def __init__(self, folder: Path, key: VerifierKey | None = None) -> None:
        self.folder = folder
        self.must_exist(folder)
        self.key = key or read_key_file(folder / KEY)
        self.note = read_checkpoint(folder / CHECKPOINT, self.key)
        self._tile = lru_cache(maxsize=_CACHE)(self._read_tile)

    @staticmethod
    def must_exist(folder: Path) -> None:
        """Raise InputError unless there is a ledger, whatever its state."""
        if not (folder / KEY).is_file():
            raise InputError(f"{folder} is no ledger: it holds no {KEY}; make one with: tratto ledger new {folder}")

    @property
    def checkpoint(self) -> Checkpoint:
        """What the ledger says of itself at present."""
        return self.note.checkpoint

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.checkpoint.size

    def node(self, level: int, index: int) -> bytes:
        """Return the root of the 2**level entries from ``index * 2**level`` on, as the tiles have it."""
        tile_level, within = divmod(level, SPAN)
        first = index << within
        number, offset = divmod(first, WIDTH)
        count = 1 << within
        tile = self._tile(tile_level, number)
        raw = tile[32 * offset : 32 * (offset + count)]
        if len(raw) != 32 * count:
            raise ReceiptError(f"{tile_path(tile_level, number)} is shorter than the ledger's size demands")
        return merkle.complete_root([raw[i : i + 32] for i in range(0, len(raw), 32)])

    def root(self, size: int) -> bytes:
        """Return the root that the tiles give for the first ``size`` entries."""
        self._within(size)
        return merkle.range_root(0, size, self.node)

    def entry(self, index: int) -> bytes:
        """Return an entry; it is compared with its leaf hash.

        Raises
        ------
        InputError
            If there is none of this number.
        ReceiptError
            If it is not the one the tree holds.
        """
        self._within(index + 1)
        number, offset = divmod(index, WIDTH)
        entry = self.entries(number)[offset]
        if merkle.leaf_hash(entry) != self.node(0, index):
            raise ReceiptError(f"entry {index} is not the one the tree of the ledger holds")
        return entry

    def entries(self, number: int) -> list[bytes]:
        """Return all entries of one tile."""
        width = min(WIDTH, self.size - number * WIDTH)
        data = self._bytes(ENTRIES, number, width, MAX_ENTRY * WIDTH + 2 * WIDTH)
        if width < WIDTH:  # a whole tile may have come since
            return unpack_first(data, width)
        return unpack(data, width)

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the proof that entry ``index`` stands in the tree of ``size`` entries (None: all); checked.

        Raises
        ------
        InputError, ReceiptError
            If there is no such entry, or the tiles do not give the signed root.
        """
        size = self.size if size is None else size
        self._within(size)
        if not 0 <= index < size:
            raise InputError(f"the ledger has the entries 0 to {size - 1}, asked was {index}")
        proof = merkle.inclusion_proof(index, size, self.node)
        root = self.checkpoint.root if size == self.size else self.root(size)
        if not merkle.included(self.node(0, index), (index, size), proof, root):
            raise ReceiptError("the tiles of the ledger do not give the root it has signed: it was altered")
        return proof

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Return the proof that the tree of ``new`` entries (None: all) begins with that of ``old``; checked.

        Raises
        ------
        InputError, ReceiptError
            If it cannot have grown so, or the tiles do not give the signed root.
        """
        new = self.size if new is None else new
        self._within(new)
        if not 0 <= old <= new:
            raise InputError(f"the ledger cannot have grown from {old} to {new} entries")
        proof = merkle.consistency_proof(old, new, self.node)
        root = self.checkpoint.root if new == self.size else self.root(new)
        if not merkle.consistent((old, new), (self.root(old), root), proof):
            raise ReceiptError("the tiles of the ledger do not give the root it has signed: it was altered")
        return proof

    def find(self, entry: bytes) -> int | None:
        """Return the number of the first entry of exactly these bytes, or None."""
        wanted = merkle.leaf_hash(entry)
        for number in range(-(-self.size // WIDTH)):
            tile = self._tile(0, number)[: 32 * min(WIDTH, self.size - number * WIDTH)]
            at = tile.find(wanted)
            while at >= 0:
                if at % 32 == 0:
                    return number * WIDTH + at // 32
                at = tile.find(wanted, at + 1)
        return None

    def search(self, needle: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield number and bytes of the entries that hold these bytes, checked against the tree."""
        for number in range(-(-self.size // WIDTH)):
            for offset, entry in enumerate(self.entries(number)):
                if needle in entry:
                    yield number * WIDTH + offset, self.entry(number * WIDTH + offset)

    def _within(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise InputError(f"the ledger has {self.size} entries; asked was about {size}")

    def _read_tile(self, level: int, number: int) -> bytes:
        have = (self.size >> (SPAN * level)) - number * WIDTH
        if have <= 0:
            raise ReceiptError(f"the ledger's tree has no {tile_path(level, number)}")
        return self._bytes(level, number, min(WIDTH, have), 32 * WIDTH)

    def _bytes(self, level: int | str, number: int, width: int, limit: int) -> bytes:
        names = [tile_path(level, number, width), *([] if width == WIDTH else [tile_path(level, number)])]
        for name in names:
            if (self.folder / name).is_file():
                return read_limited(self.folder / name, limit)
        # somebody may be writing: an edge that has grown holds what the smaller one held
        for wider in range(width + 1, WIDTH):
            if (self.folder / tile_path(level, number, wider)).is_file():
                return read_limited(self.folder / tile_path(level, number, wider), limit)
        raise ReceiptError(f"the ledger's {names[0]} is missing")


def unpack_first(data: bytes, count: int) -> list[bytes]:
    """Return the first ``count`` entries of a tile that may hold more.

    Raises
    ------
    ReceiptError
        If it holds fewer.
    """
    end = 0
    for _ in range(count):
        end += 2 + int.from_bytes(data[end : end + 2], "big")
    return unpack(data[:end], count)


def read_checkpoint(path: Path, key: VerifierKey) -> Note:
    """Read a checkpoint and check that the ledger of this key signed it.

    Raises
    ------
    ReceiptError
        If it did not, or the file is malformed.
    MissingExtra
        Without the ``sign`` extra.
    """
    try:
        note = read_note(read_limited(path, MAX_NOTE))
    except ReceiptError as e:
        raise ReceiptError(f"{path}: {e}") from e
    if note.checkpoint.origin != key.name:
        raise ReceiptError(f"{path} is of the ledger {note.checkpoint.origin[:60]!r}, expected {key.name!r}")
    if not note.signed_by(key):
        raise ReceiptError(f"{path} does not bear the signature of {key.name}")
    return note


def check_ledger(folder: Path, key: VerifierKey | None = None) -> tuple[list[str], Note | None]:
    """Read every byte of a ledger's tree and compare all of it with the signed root.

    Returns
    -------
    wrong : list of str
        Empty if every bit is as it was signed.
    note : Note or None
        The checkpoint, if it could be read.

    Raises
    ------
    InputError
        If there is no ledger.
    """
    wrong: list[str] = []
    try:
        reader = LedgerReader(folder, key)
    except ReceiptError as e:
        return [str(e)], None
    size, level = reader.size, 0
    row: list[bytes] = []
    try:
        for number in range(-(-size // WIDTH)):
            row += [merkle.leaf_hash(e) for e in reader.entries(number)]
    except ReceiptError as e:
        return [f"entries: {e}"], reader.note
    expected: set[str] = {tile_path(ENTRIES, n, min(WIDTH, size - n * WIDTH)) for n in range(-(-size // WIDTH))}
    while row:
        for number in range(-(-len(row) // WIDTH)):
            hashes = row[number * WIDTH : (number + 1) * WIDTH]
            expected.add(tile_path(level, number, len(hashes)))
            try:
                stored = read_limited(folder / tile_path(level, number, len(hashes)), 32 * WIDTH)
            except ReceiptError as e:
                wrong.append(f"{tile_path(level, number, len(hashes))}: {e}")
                continue
            if stored != b"".join(hashes):
                wrong.append(f"{tile_path(level, number, len(hashes))} is not what the entries give")
        row = [merkle.complete_root(row[i : i + WIDTH]) for i in range(0, len(row) // WIDTH * WIDTH, WIDTH)]
        level += 1
    if not wrong and reader.root(size) != reader.checkpoint.root:
        wrong.append("the entries do not give the root that was signed: an entry was altered")
    for path in sorted((folder / "tile").rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in expected:
            wrong.append(f"{name} does not belong to a ledger of {size} entries")
    return wrong[:100], reader.note
