"""Hashes and proofs of RFC 6962 / RFC 9162 against their definitions, published vectors and a second implementation."""

import hashlib
import random
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tratto.ledger import merkle
from tratto.provenance import standalone

# the reference tree of the Certificate Transparency test suites: eight inputs, and roots of the first 1 ... 8
INPUTS = [bytes.fromhex(h) for h in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def slow_root(leaves):
    """The definition, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + slow_root(leaves[:k]) + slow_root(leaves[k:])).digest()


LEAVES = [merkle.leaf_hash(bytes([i % 251, i // 251])) for i in range(600)]


@cache
def node(level, index):
    return slow_root(LEAVES[index << level : (index + 1) << level])


@cache
def root(size):
    return slow_root(LEAVES[:size])


@pytest.mark.parametrize("size", range(1, 9))
def test_published_roots(size):
    leaves = [merkle.leaf_hash(d) for d in INPUTS[:size]]
    assert slow_root(leaves).hex() == ROOTS[size - 1]
    assert (
        merkle.range_root(0, size, lambda level, i: slow_root(leaves[i << level : (i + 1) << level])).hex()
        == (ROOTS[size - 1])
    )
    assert standalone.tree(list(leaves)).hex() == ROOTS[size - 1]


def test_empty_tree():
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.range_root(0, 0, node) == merkle.EMPTY_ROOT == standalone.tree([])


@given(st.integers(1, 600), st.data())
def test_every_entry_has_a_proof_that_both_accept(size, data):
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, node)
    assert merkle.included(LEAVES[index], (index, size), proof, root(size))
    assert standalone.root_by_inclusion(LEAVES[index], index, size, proof) == root(size)
    assert len(proof) <= (size - 1).bit_length()


@given(st.integers(2, 600), st.data())
def test_a_proof_with_anything_changed_is_refused(size, data):
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, node)
    kind = data.draw(st.sampled_from(["bit", "drop", "add", "other leaf", "other index", "root"]))
    leaf, at, path, top = LEAVES[index], index, list(proof), root(size)
    if kind == "bit":
        where = data.draw(st.integers(0, len(path) - 1))
        path[where] = bytes([path[where][0] ^ 1]) + path[where][1:]
    elif kind == "drop":
        path.pop(data.draw(st.integers(0, len(path) - 1)))
    elif kind == "add":
        path.insert(data.draw(st.integers(0, len(path))), bytes(32))
    elif kind == "other leaf":
        leaf = merkle.leaf_hash(b"never there")
    elif kind == "other index":
        at = (index + 1) % size
    else:
        top = bytes(32)
    assert not merkle.included(leaf, (at, size), path, top)


@pytest.mark.parametrize("index", [-1, 5, 6])
def test_no_proof_for_what_is_not_there(index):
    with pytest.raises(ValueError, match="expected an index"):
        merkle.inclusion_proof(index, 5, node)
    assert not merkle.included(LEAVES[0], (index, 5), [], root(1))


def test_consistency_of_all_small_pairs():
    for new in range(40):
        for old in range(new + 1):
            proof = merkle.consistency_proof(old, new, node)
            assert merkle.consistent((old, new), (root(old), root(new)), proof)
            assert standalone.grown(old, new, root(old), root(new), proof)


def test_random_consistency_pairs_agree_with_the_stand_alone_verifier():
    """True and false ones; the command ``make bench-ledger`` does ten thousand over a million entries."""
    rng = random.Random(3)
    said = {True: 0, False: 0}
    for _ in range(2000):
        new = rng.randint(1, 600)
        old = rng.randint(0, new)
        proof = merkle.consistency_proof(old, new, node)
        roots = [root(old), root(new)]
        if rng.random() < 0.5:
            kind = rng.randrange(4)
            if kind == 0 and proof:
                proof[rng.randrange(len(proof))] = rng.randbytes(32)
            elif kind == 1:
                proof.append(rng.randbytes(32))
            elif kind == 2 and proof:
                proof.pop(rng.randrange(len(proof)))
            else:
                roots[rng.randrange(2)] = rng.randbytes(32)
        ours = merkle.consistent((old, new), tuple(roots), proof)
        assert ours == standalone.grown(old, new, *roots, proof)
        said[ours] += 1
    assert said[True] > 900
    assert said[False] > 900


def test_sizes_that_cannot_be():
    with pytest.raises(ValueError, match="old <= new"):
        merkle.consistency_proof(3, 2, node)
    assert not merkle.consistent((3, 2), (root(3), root(2)), [])
    assert not standalone.grown(3, 2, root(3), root(2), [])
