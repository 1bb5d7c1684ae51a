"""What a ledger records of a result, and the tree's right edge, from which it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tratto.core import canonical
from tratto.core.errors import ReceiptError
from tratto.core.hashing import FileFacts
from tratto.ledger import merkle
from tratto.ledger.tiles import ENTRIES, SPAN, WIDTH, pack, tile_path, unpack

LEAF_SCHEMA = "tratto/leaf/1"


def leaf(seal: FileFacts, receipt: FileFacts, output: FileFacts) -> bytes:
    """Return what a ledger records of one result: the hashes of seal, receipt and picture, as canonical JSON.

    The seal alone would do; the other two let a picture or a receipt be found in the ledger without its bundle.

    Examples
    --------
    >>> facts = FileFacts.of(b'')
    >>> leaf(facts, facts, facts)[:20]
    b'{"output":"e3b0c4429'
    """
    return canonical.dumps(
        {"schema": LEAF_SCHEMA, "seal": seal.sha256, "receipt": receipt.sha256, "output": output.sha256}
    )


@dataclass
class State:
    """The tree's right edge: all that is needed to go on.

    Attributes
    ----------
    size : int
        Entries of the tree.
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
    def load(cls, data: bytes) -> tuple[State, bytes]:
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
