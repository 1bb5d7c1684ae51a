"""Signed notes and checkpoints: a few lines of text that state how long a ledger is, signed with Ed25519.

Formats: C2SP ``signed-note``, ``tlog-checkpoint`` and ``tlog-cosignature`` (https://c2sp.org). A checkpoint is::

    example.org/studio           name of the ledger ("origin")
    42                           number of entries
    <base64 of the root hash>

    — example.org/studio <base64 of 4 bytes key hash and the signature>

They are read strictly: there is one spelling of each note, so no bit of one can change unnoticed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tratto.core.errors import MissingExtra, OptionError, ReceiptError
from tratto.core.hashing import read_limited

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: Signature types of the signed-note specification: plain Ed25519, and a witness's time-stamped cosignature.
LEDGER, WITNESS = 1, 4
#: Longest note that is read, in bytes; C2SP allows a million, a checkpoint has some hundred.
MAX_NOTE = 1 << 16
#: Longest name of a key, in bytes: it must fit into the files that hold keys.
MAX_NAME = 255
_MAX_SIZE = 1 << 63


@dataclass(frozen=True)
class VerifierKey:
    """A public key with its name.

    Attributes
    ----------
    name : str
        What a reader calls it; without spaces and plus signs.
    kind : int
        :data:`LEDGER` or :data:`WITNESS`.
    public : bytes
        32 bytes.
    """

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        if not self.name or any(c.isspace() or c == "+" or not c.isprintable() for c in self.name):
            raise OptionError(f"a key's name must have no space, plus or control character, got {self.name[:60]!r}")
        if len(self.name.encode()) > MAX_NAME:
            raise OptionError(f"a key's name has at most {MAX_NAME} bytes, got {len(self.name.encode())}")
        if self.kind not in (LEDGER, WITNESS) or len(self.public) != 32:
            raise OptionError("a key must be an Ed25519 key of 32 bytes, of a ledger (type 1) or a witness (type 4)")

    @property
    def hash(self) -> bytes:
        """The first 4 bytes that stand before each of its signatures."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def text(self) -> str:
        """Return the one-line form ``name+hash+base64``."""
        return f"{self.name}+{self.hash.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read the one-line form.

        Raises
        ------
        OptionError
            If it is not one.
        """
        parts = text.strip().split("+", 2)
        try:
            if len(parts) != 3:
                raise ReceiptError("expected name+hash+base64")
            raw = unbase64(parts[2])
            key = cls(parts[0], raw[0] if raw else 0, raw[1:])
        except ReceiptError as e:
            raise OptionError(f"not a verifier key: {text.strip()[:60]!r}: {e}") from e
        if key.hash.hex() != parts[1]:
            raise OptionError(f"the verifier key {text.strip()[:60]!r} does not have the hash it states")
        return key


def read_key_file(path: Path) -> VerifierKey:
    """Read a public key from a file that holds its one line and nothing else.

    Raises
    ------
    ReceiptError
        If it is something else.
    """
    try:
        data = read_limited(path, 4096)
        key = VerifierKey.parse(data.decode("utf-8"))
    except (UnicodeDecodeError, OptionError) as e:
        raise ReceiptError(f"{path} is damaged: {e}") from e
    if data != key.text().encode() + b"\n":
        raise ReceiptError(f"{path} is damaged: expected one line with a key")
    return key


@dataclass(frozen=True)
class SignerKey:
    """A private key with its public half.

    Attributes
    ----------
    verifier : VerifierKey
        The public half, with name and kind.
    private : Ed25519PrivateKey
        Kept in memory as the library's object.
    """

    verifier: VerifierKey
    private: Ed25519PrivateKey


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint states.

    Attributes
    ----------
    origin : str
        Name of the ledger, its first line.
    size : int
        Entries of the tree.
    root : bytes
        32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def body(self) -> bytes:
        """Return the signed text."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


@dataclass(frozen=True)
class Signature:
    """One line below a note.

    Attributes
    ----------
    name : str
        Of the key that is said to have made it.
    hash : bytes
        4 bytes.
    data : bytes
        The signature; a witness's begins with 8 bytes of time.
    """

    name: str
    hash: bytes
    data: bytes

    def line(self) -> str:
        """Return the line, with its line feed."""
        return f"— {self.name} {base64.b64encode(self.hash + self.data).decode()}\n"


@dataclass(frozen=True)
class Note:
    """A checkpoint and the signatures below it; none of them has been checked.

    Attributes
    ----------
    checkpoint : Checkpoint
        What is signed.
    signatures : tuple of Signature
        In the order of their lines, of ledger and witnesses.
    """

    checkpoint: Checkpoint
    signatures: tuple[Signature, ...]

    def text(self) -> bytes:
        """Return the note as it stands in a file."""
        return self.checkpoint.body() + b"\n" + "".join(s.line() for s in self.signatures).encode()

    def signed_by(self, key: VerifierKey) -> bool:
        """Return whether a signature of this key is there and is right.

        Raises
        ------
        ReceiptError
            If one is there and is wrong.
        MissingExtra
            If ``cryptography`` is not installed.
        """
        return self.time_of(key) is not None

    def time_of(self, key: VerifierKey) -> int | None:
        """Return when a witness signed, in seconds since 1970 (0 for a ledger's key); None if it did not.

        Raises
        ------
        ReceiptError
            If its signature is there and is wrong.
        MissingExtra
            If ``cryptography`` is not installed.
        """
        for s in self.signatures:
            if s.name != key.name or s.hash != key.hash:
                continue
            if key.kind == LEDGER:
                seconds, raw, message = 0, s.data, self.checkpoint.body()
            else:
                seconds, raw = int.from_bytes(s.data[:8], "big"), s.data[8:]
                message = _cosigned(self.checkpoint, seconds)
            if not _right(key.public, raw, message):
                raise ReceiptError(
                    f"the signature of {key.name} below the checkpoint is wrong: it was forged or altered, or made for "
                    "another checkpoint"
                )
            return seconds
        return None

    def with_signatures(self, more: Sequence[Signature]) -> Note:
        """Return the note with further signatures; a later one of the same key takes the place of the earlier."""
        mine = {(s.name, s.hash): s for s in (*self.signatures, *more)}
        return Note(self.checkpoint, tuple(mine.values()))


def sign(checkpoint: Checkpoint, key: SignerKey) -> Signature:
    """Sign a checkpoint as its ledger.

    Raises
    ------
    OptionError
        If the key is a witness's.
    """
    if key.verifier.kind != LEDGER:
        raise OptionError(f"the key {key.verifier.name} is a witness's key and cannot sign as a ledger")
    return Signature(key.verifier.name, key.verifier.hash, key.private.sign(checkpoint.body()))


def cosign(checkpoint: Checkpoint, key: SignerKey, seconds: int) -> Signature:
    """Sign a checkpoint as a witness, at a time in seconds since 1970 (C2SP ``cosignature/v1``).

    Raises
    ------
    OptionError
        If the key is a ledger's.
    """
    if key.verifier.kind != WITNESS:
        raise OptionError(f"the key {key.verifier.name} is a ledger's key and cannot sign as a witness")
    raw = key.private.sign(_cosigned(checkpoint, seconds))
    return Signature(key.verifier.name, key.verifier.hash, seconds.to_bytes(8, "big") + raw)


def read_note(data: bytes) -> Note:
    """Read a signed checkpoint strictly; signatures are checked by :meth:`Note.signed_by`.

    Raises
    ------
    ReceiptError
        If it is not one, or not spelt as :meth:`Note.text` spells it.
    """
    if len(data) > MAX_NOTE:
        raise ReceiptError(f"a checkpoint has at most {MAX_NOTE} bytes, got {len(data)}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise ReceiptError("a checkpoint is UTF-8 text; this is not") from e
    body, blank, below = text.partition("\n\n")
    lines = body.split("\n")
    if not blank or len(lines) != 3 or not below.endswith("\n"):
        raise ReceiptError("a checkpoint has three lines (origin, size, root), an empty line and signatures")
    if not lines[1].isascii() or not lines[1].isdecimal() or len(lines[1]) > 19:
        raise ReceiptError(f"the size in a checkpoint is a whole number, got {lines[1][:30]!r}")
    root = unbase64(lines[2])
    if len(root) != 32:
        raise ReceiptError("the root in a checkpoint has 32 bytes")
    signatures = []
    for line in below[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        raw = unbase64(encoded)
        if dash != "—" or not name or not 68 <= len(raw) <= 76:
            raise ReceiptError(f"not a signature line: {line[:60]!r}")
        signatures.append(Signature(name, raw[:4], raw[4:]))
    note = Note(Checkpoint(lines[0], int(lines[1]), root), tuple(signatures))
    if note.checkpoint.size >= _MAX_SIZE or not lines[0] or note.text() != data:
        raise ReceiptError("the checkpoint is not in its one spelling: it was written or edited by something else")
    return note


def read_cosignatures(data: bytes) -> tuple[Signature, ...]:
    """Read signature lines alone, as a witness answers.

    Raises
    ------
    ReceiptError
        If they are not.
    """
    return read_note(Checkpoint("x", 0, bytes(32)).body() + b"\n" + data).signatures


def unbase64(text: str) -> bytes:
    """Decode standard base64 in its one spelling.

    Raises
    ------
    ReceiptError
        If it is not: white space, missing padding, unused bits that are not zero.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise ReceiptError(f"not base64: {text[:60]!r}") from e
    if base64.b64encode(raw).decode() != text:
        raise ReceiptError(f"not base64 in its one spelling: {text[:60]!r}")
    return raw


def _cosigned(checkpoint: Checkpoint, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n".encode() + checkpoint.body()


def _right(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as e:
        raise MissingExtra("checking the signature of a ledger or witness", "sign") from e
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
