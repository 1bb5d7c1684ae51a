"""Merkle trees over a growing list: hashes, proofs and their checks (RFC 6962 section 2.1, RFC 9162 section 2.1).

A tree over entries ``d[0] … d[n-1]`` has the leaves ``SHA-256(0x00 || d[i])``; an inner node is
``SHA-256(0x01 || left || right)``; a tree of n entries is split at the largest power of two below n.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

#: Root of the tree without entries: SHA-256 of nothing.
EMPTY_ROOT = hashlib.sha256(b"").digest()

#: ``node(level, index)``: the root of the 2**level entries from ``index * 2**level`` on.
Node = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry as a leaf, 32 bytes."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node, 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(peaks: Sequence[bytes]) -> bytes:
    """Return the root over complete subtrees of falling size, from left to right."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for left in reversed(peaks[:-1]):
        root = node_hash(left, root)
    return root


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over 2**k hashes of equal height."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def split(size: int) -> int:
    """Return the largest power of two below ``size``, which must be 2 or more."""
    return 1 << (size - 1).bit_length() - 1


def range_root(start: int, end: int, node: Node) -> bytes:
    """Return the root over the entries ``start`` to ``end - 1``; ``start`` must be a multiple of the power of two that
    is ``end - start`` or more, as it is for every node of a tree.
    """
    size = end - start
    if size == 0:
        return EMPTY_ROOT
    peaks = []
    while size:
        level = size.bit_length() - 1
        peaks.append(node(level, start >> level))
        start, size = start + (1 << level), size - (1 << level)
    return fold(peaks)


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """Return the audit path of an entry (RFC 9162, 2.1.3.1), from the leaf up.

    Parameters
    ----------
    index, size : int
        0 <= index < size.
    node : callable
        See :data:`Node`; asked for complete subtrees only.

    Raises
    ------
    ValueError
        If there is no such entry.
    """
    if not 0 <= index < size:
        raise ValueError(f"expected an index from 0 to {size - 1}, got {index}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            path.append(range_root(middle, end, node))
            end = middle
        else:
            path.append(range_root(start, middle, node))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """Return the proof that the tree of ``new`` entries begins with that of ``old`` (RFC 9162, 2.1.4.1).

    Raises
    ------
    ValueError
        Unless 0 <= old <= new.
    """
    if not 0 <= old <= new:
        raise ValueError(f"expected sizes 0 <= old <= new, got {old} and {new}")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end, whole = 0, new, True
    while end != old:
        middle = start + split(end - start)
        if old <= middle:
            path.append(range_root(middle, end, node))
            end = middle
        else:
            path.append(range_root(start, middle, node))
            start, whole = middle, False
    if not whole:
        path.append(range_root(start, end, node))
    return path[::-1]


def included(leaf: bytes, position: tuple[int, int], proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether a leaf stands where it is said to stand (RFC 9162, 2.1.3.2).

    Parameters
    ----------
    leaf : bytes
        Its hash.
    position : (int, int)
        Index and size of the tree.
    proof : sequence of bytes
        Hashes from the leaf's neighbour up to the root, 32 bytes each.
    root : bytes
        Signed elsewhere; 32 bytes.
    """
    index, size = position
    if not 0 <= index < size or any(len(p) != 32 for p in proof):
        return False
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def consistent(sizes: tuple[int, int], roots: tuple[bytes, bytes], proof: Sequence[bytes]) -> bool:
    """Return whether the second tree begins with the first (RFC 9162, 2.1.4.2).

    Parameters
    ----------
    sizes : (int, int)
        Of the old and the new tree.
    roots : (bytes, bytes)
        Of the old and the new tree.
    proof : sequence of bytes
        Hashes that lead to both roots, 32 bytes each.
    """
    (old, new), (old_root, new_root) = sizes, roots
    if not 0 <= old <= new or any(len(p) != 32 for p in proof):
        return False
    if old == new:
        return not proof and old_root == new_root and (old > 0 or old_root == EMPTY_ROOT)
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == old_root and sr == new_root
