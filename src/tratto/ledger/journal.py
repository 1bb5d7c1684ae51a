"""The journal: frames of what was appended, each with its hash and the signed checkpoint over it.

A frame is ``TRJ1``, its length (4 bytes), SHA-256 of what follows, then a letter and the content: ``B`` begins a
journal with the state so far, ``E`` holds entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tratto.core.errors import ReceiptError
from tratto.ledger.note import Checkpoint, Note, VerifierKey, read_note
from tratto.ledger.state import State
from tratto.ledger.tiles import unpack_first

_MAGIC = b"TRJ1"
_HEAD = len(_MAGIC) + 4 + 32
BASE, APPENDED = b"B", b"E"


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

    Examples
    --------
    >>> read_frames(b""), read_frames(b"no journal")
    (([], ''), ([], 'damaged'))
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


def frame_of(kind: bytes, content: bytes) -> bytes:
    """Return a frame with its hash."""
    length = (len(content) + 1).to_bytes(4, "big")
    return _MAGIC + length + hashlib.sha256(length + kind + content).digest() + kind + content


@dataclass(frozen=True)
class Replayed:
    """What a journal leads to: the state, its signed checkpoint, every root on the way, every whole tile."""

    state: State
    note: Note
    roots: dict[int, bytes]
    tiles: list[tuple[str, bytes]]


def replay(frames: Sequence[Frame], key: VerifierKey) -> Replayed:
    """Follow a journal from its beginning; every checkpoint in it must be right, the last one's signature too."""
    if not frames or frames[0].kind != BASE or any(f.kind != APPENDED for f in frames[1:]):
        raise ReceiptError("the journal of the ledger is damaged: it does not begin as one")
    tiles: list[tuple[str, bytes]] = []
    roots: dict[int, bytes] = {}
    try:
        state, tail = State.load(frames[0].content)
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
    return Replayed(state, note, roots, tiles)


def compare_published(published: Checkpoint, replayed: Replayed, folder: Path) -> None:
    """Refuse a journal that is shorter than its published checkpoint or tells another story.

    Raises
    ------
    ReceiptError
        If it is, or does.
    """
    if published.size > replayed.state.size:
        raise ReceiptError(
            f"{folder}: the checkpoint counts {published.size} entries, the journal only {replayed.state.size}: "
            "acknowledged entries are missing; restore the ledger from a copy"
        )
    if published.size in replayed.roots and replayed.roots[published.size] != published.root:
        raise ReceiptError(f"{folder}: checkpoint and journal tell different stories: the ledger was forked")
