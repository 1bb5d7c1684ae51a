"""Check a ledger, or a bundle's proof, without Tratto. Needs Python 3.10 and the package "cryptography", no network.

    python check.py ledger DIR [KEY]        every byte of a ledger against its signed root
    python check.py bundle FOLDER [KEY]     a bundle and the picture beside it against its seal, that against the ledger
    python check.py grown OLD DIR [KEY]     that a ledger continues an older checkpoint file, or one from a bundle

KEY is the ledger's public key (name+hash+base64) as you know it from elsewhere; without it, the one found in place.
Formats: RFC 6962 (hashes), C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-proof.
"""

import base64
import glob
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    sys.exit("signatures cannot be checked here: python -m pip install cryptography, then run this again")


class Wrong(Exception):
    """Something is not as it was signed."""


class Unknown(Exception):
    """All that is there agrees, and nobody vouches for it."""


def sha(data: bytes) -> bytes:
    """Hash."""
    return hashlib.sha256(data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Hash an inner node; a leaf is ``sha(0x00 + entry)``."""
    return sha(b"\x01" + left + right)


def tree(row: list[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    if not row:
        return sha(b"")
    while len(row) > 1:  # pairs from the left; a single one at the end moves up unchanged, which is the same tree
        row = [node(row[i], row[i + 1]) if i + 1 < len(row) else row[i] for i in range(0, len(row), 2)]
    return row[0]


def half(n: int) -> int:
    """Return the largest power of two below n: where a tree of n leaves is split."""
    return 1 << (n - 1).bit_length() - 1


def root_by_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """Return the root that an audit path leads to, by the tree's definition, from the top down."""
    if not 0 <= index < size or (size == 1) != (not proof):
        raise Wrong("the proof has the wrong length")
    if size == 1:
        return leaf
    if index < (k := half(size)):
        return node(root_by_inclusion(leaf, index, k, proof[:-1]), proof[-1])
    return node(proof[-1], root_by_inclusion(leaf, index - k, size - k, proof[:-1]))


def both_roots(old: int, new: int, known: bytes, proof: list[bytes], whole: bool = True) -> tuple[bytes, bytes]:
    """Return the old and the new root that a consistency proof leads to, by RFC 6962, 2.1.2, from the top down."""
    if len(proof) != (not whole) if old == new else not proof:
        raise Wrong("the proof has the wrong length")
    if old == new:
        return (known, known) if whole else (proof[0], proof[0])
    if old <= (k := half(new)):
        a, b = both_roots(old, k, known, proof[:-1], whole)
        return a, node(b, proof[-1])
    a, b = both_roots(old - k, new - k, known, proof[:-1], False)
    return node(proof[-1], a), node(proof[-1], b)


def grown(old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]) -> bool:
    """Return whether a consistency proof is right."""
    try:
        if not 0 < old <= new:
            return old == 0 and not proof and old_root == sha(b"")
        return both_roots(old, new, old_root, proof) == (old_root, new_root)
    except Wrong:
        return False


def parse_key(text: str) -> tuple[str, bytes, bytes]:
    """Take name+hash+base64 apart."""
    name, stated, encoded = text.strip().split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    if sha(name.encode() + b"\n" + raw)[:4].hex() != stated:
        raise Wrong("the key does not have the hash it states")
    return name, bytes.fromhex(stated), raw


def parse_note(data: bytes, keys: list[str]) -> tuple[str, int, bytes]:
    """Return origin, size and root of a checkpoint; every key must have signed it, the ledger's is the first."""
    body, _, below = data.decode("utf-8").partition("\n\n")
    origin, size, root = body.split("\n")
    lines = [line.split(" ") for line in below.splitlines()]
    for name, hash_, raw in map(parse_key, keys):
        found = [s for s in (base64.b64decode(x, validate=True) for _, n, x in lines if n == name) if s[:4] == hash_]
        if not found:
            raise Wrong(f"the checkpoint is not signed by {name}")
        signature, message = found[0][4:], (body + "\n").encode()
        if raw[0] == 4:  # a witness: eight bytes of time come first
            message = f"cosignature/v1\ntime {int.from_bytes(signature[:8], 'big')}\n".encode() + message
            signature = signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(raw[1:]).verify(signature, message)
        except InvalidSignature:
            raise Wrong(f"the signature of {name} is wrong") from None
    if origin != parse_key(keys[0])[0]:
        raise Wrong("the checkpoint is of another ledger")
    return origin, int(size), base64.b64decode(root, validate=True)


def tile(folder: Path, level: str, number: int, width: int) -> bytes:
    """Read a tile."""
    digits = str(number).zfill(-(-len(str(number)) // 3) * 3)
    *high, low = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    name = "/".join([*("x" + g for g in high), low]) + ("" if width == 256 else f".p/{width}")
    return (folder / "tile" / level / name).read_bytes()


def check_ledger(where: str, key: str = "") -> tuple[str, int, list[bytes]]:
    """Check a whole ledger; return origin, size and leaf hashes."""
    folder, row = Path(where), []
    key = key or (folder / "log.vkey").read_text()
    origin, size, root = parse_note((folder / "checkpoint").read_bytes(), [key])
    for number in range(-(-size // 256)):
        width = min(256, size - 256 * number)
        data, at = tile(folder, "entries", number, width), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 2], "big")
            row.append(sha(b"\x00" + data[at + 2 : at + 2 + length]))
            at += 2 + length
        if at != len(data) or b"".join(row[256 * number :]) != tile(folder, "0", number, width):
            raise Wrong(f"the tile of entries {number} is not what was hashed")
    if len(row) != size or tree(row) != root:
        raise Wrong("the entries do not give the root that was signed")
    return origin, size, row


def check_bundle(where: str, key: str = "") -> tuple[str, int, int, str]:
    """Check a bundle's files, seal and proof; return origin, place, size and what the picture must hash to."""
    folder = Path(where)
    seal_bytes = (folder / "seal.json").read_bytes()
    seal: dict[str, Any] = json.loads(seal_bytes)
    for name, stated in [("receipt.json", seal["receipt"]), *seal["files"].items()]:
        named = re.fullmatch(r"((in|out)puts/)?[a-z0-9-]+\.[a-z0-9]+", name)
        if not named or sha((folder / name).read_bytes()).hex() != stated["sha256"]:
            raise Wrong(f"{name} is not the file that was sealed")
    output = seal["output"]["sha256"]
    beside = [p for p in folder.absolute().parent.glob(glob.escape(folder.stem) + ".*") if p.is_file()]
    found = {sha(p.read_bytes()).hex(): p.name for p in beside}
    for given in json.loads((folder / "receipt.json").read_bytes())["inputs"].values():
        found.pop(str((given["file"] or {}).get("sha256")), None)  # what it was made of may lie there, too
    if found and output not in found:
        raise Wrong(f"{min(found.values())} beside the bundle is not the picture that was sealed")
    if not (folder / "ledger.json").exists():
        raise Unknown(f"as sealed, by anybody: no ledger's proof is in it; the picture's SHA-256 is {output}")
    kept = json.loads((folder / "ledger.json").read_bytes())
    head, _, note = kept["proof"].partition("\n\n")
    _, index, *path = head.split("\n")
    at = int(index.removeprefix("index "))
    origin, size, root = parse_note(note.encode(), [key or kept["key"], *kept["witnesses"]])
    facts = {"output": seal["output"]["sha256"], "receipt": seal["receipt"]["sha256"], "schema": "tratto/leaf/1"}
    entry = json.dumps({**facts, "seal": sha(seal_bytes).hex()}, separators=(",", ":"), sort_keys=True).encode()
    if root_by_inclusion(sha(b"\x00" + entry), at, size, [base64.b64decode(p, validate=True) for p in path]) != root:
        raise Wrong("the proof does not lead to the root that was signed")
    return origin, at, size, output


def check_grown(old: str, where: str, key: str = "") -> tuple[int, int]:
    """Check that a ledger continues an older checkpoint, computed from all its entries; return both sizes."""
    data = Path(old).read_bytes()
    if data.startswith(b"{"):
        data = json.loads(data)["proof"].partition("\n\n")[2].encode()
    _, old_size, old_root = parse_note(data, [key or (Path(where) / "log.vkey").read_text()])
    _, size, row = check_ledger(where, key)
    if old_size > size or tree(row[:old_size]) != old_root:
        raise Wrong("the ledger does not continue the older checkpoint: it was rolled back or forked")
    return old_size, size


def main(arguments: list[str]) -> int:
    """Run one check; return 0 for right, 9 for wrong, 10 for unknown, 2 for a wrong line."""
    checks: dict[str, Any] = {
        "ledger": (check_ledger, 1, "all {1} entries of the ledger {0} are as they were signed"),
        "bundle": (check_bundle, 1, "as sealed; entry {1} (from 0) of {2} of {0}; the picture's SHA-256 is {3}"),
        "grown": (check_grown, 2, "the ledger had {0} entries and has {1}; the older ones are unchanged"),
    }
    if not arguments or arguments[0] not in checks or not 0 <= len(arguments) - 1 - checks[arguments[0]][1] <= 1:
        sys.stdout.write(__doc__ or "")
        return 2
    try:
        found = checks[arguments[0]][0](*arguments[1:])
    except Unknown as e:
        sys.stdout.write(f"UNKNOWN: {e}\n")
        return 10
    except (Wrong, OSError, ValueError, KeyError, TypeError, IndexError) as e:
        sys.stdout.write(f"WRONG: {e}\n")
        return 9
    sys.stdout.write("RIGHT: " + checks[arguments[0]][2].format(*found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
