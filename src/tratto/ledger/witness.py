"""A witness: somebody else who signs a ledger's checkpoint only if it continues the last one that was signed.

A ledger that is shortened, or that tells two readers different stories, cannot get both signed. The witness keeps one
checkpoint for each ledger and nothing else. Requests and answers are those of C2SP ``tlog-witness``; they travel over
HTTP (:func:`serve`, :func:`ask`) or as files.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tratto.core.errors import InputError, OptionError, OutputError, ReceiptError, TrattoError
from tratto.core.files import lock, write_bytes
from tratto.core.hashing import read_limited
from tratto.ledger import merkle
from tratto.ledger.note import (
    LEDGER,
    MAX_NOTE,
    WITNESS,
    Note,
    Signature,
    SignerKey,
    VerifierKey,
    cosign,
    read_cosignatures,
    read_key_file,
    read_note,
    unbase64,
)
from tratto.ledger.tiles import LedgerReader

#: Longest request, in bytes: a checkpoint and at most 63 hashes.
MAX_REQUEST = MAX_NOTE + 64 * 46
_PATH = "/add-checkpoint"
_TIMEOUT = 20.0


class Refusal(ReceiptError):
    """The witness does not sign.

    Attributes
    ----------
    status : int
        As HTTP answers: 400 malformed, 403 no signature of the ledger's key, 404 unknown ledger, 409 another size is
        the last one signed, 422 no valid proof of growth.
    known : int or None
        With 409: the size of the last checkpoint that was signed.
    """

    def __init__(self, status: int, message: str, known: int | None = None) -> None:
        super().__init__(message)
        self.status, self.known = status, known


class Witness:
    """The state of a witness: which ledgers it watches, and the last checkpoint of each that it signed.

    Parameters
    ----------
    folder : Path
        Is made if it is not there.
    key : SignerKey
        Of a witness.
    clock : callable
        Seconds since 1970.
    """

    def __init__(self, folder: Path, key: SignerKey, clock: Callable[[], float] = time.time) -> None:
        if key.verifier.kind != WITNESS:
            raise OptionError(f"{key.verifier.name} is not the key of a witness")
        self.folder, self.key, self.clock = folder, key, clock
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise OutputError(f"{folder} cannot be written: {e.strerror or e}") from e

    def watch(self, ledger: VerifierKey) -> None:
        """Begin to watch a ledger.

        Raises
        ------
        OptionError
            If another key is watched under this name, or it is no ledger's key.
        """
        if ledger.kind != LEDGER:
            raise OptionError(f"{ledger.name} is not the key of a ledger")
        path = self._path(ledger.name, "vkey")
        if path.exists() and read_key_file(path) != ledger:
            raise OptionError(f"another key is watched under the name {ledger.name}; a key is never replaced")
        write_bytes(path, ledger.text().encode() + b"\n")

    def last(self, origin: str) -> Note | None:
        """Return the last checkpoint of a ledger that was signed, or None."""
        path = self._path(origin, "checkpoint")
        return read_note(read_limited(path, MAX_NOTE)) if path.exists() else None

    def sign(self, request: bytes) -> Signature:
        """Sign a checkpoint if it continues the last one.

        Parameters
        ----------
        request : bytes
            See :func:`request`.

        Raises
        ------
        Refusal
            If it does not, or the request is malformed.
        """
        old, proof, note = _parse(request)
        origin = note.checkpoint.origin
        path = self._path(origin, "vkey")
        if not path.exists():
            raise Refusal(404, f"the ledger {origin[:60]} is not watched here")
        try:
            if not note.signed_by(read_key_file(path)):
                raise Refusal(403, f"the checkpoint does not bear the signature of {origin[:60]}")
        except Refusal:
            raise
        except ReceiptError as e:
            raise Refusal(403, str(e)) from e
        if old > note.checkpoint.size:
            raise Refusal(400, f"the old size {old} is beyond the new one, {note.checkpoint.size}")
        with self._locked():
            last = self.last(origin)
            have = 0 if last is None else last.checkpoint.size
            root = merkle.EMPTY_ROOT if last is None else last.checkpoint.root
            if old != have:
                raise Refusal(
                    409, f"the last checkpoint signed here has {have} entries, the request begins at {old}", have
                )
            new = note.checkpoint
            if old == new.size and last is not None and new.root != root:
                raise Refusal(409, f"another tree of {have} entries was signed before: the ledger was forked", have)
            if not merkle.consistent((old, new.size), (root, new.root), proof):
                raise Refusal(422, "the proof does not show that the ledger only grew: it was rewritten or forked")
            write_bytes(self._path(origin, "checkpoint"), note.text())
        return cosign(note.checkpoint, self.key, int(self.clock()))

    def _path(self, origin: str, extension: str) -> Path:
        return self.folder / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.{extension}"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep two requests from being compared with one checkpoint; across programs where files can be locked."""
        fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            lock(fd)
            yield
        finally:
            os.close(fd)


def request(reader: LedgerReader, old: int) -> bytes:
    """Return what a witness is asked: the old size, the proof that the ledger grew from it, and its checkpoint.

    Raises
    ------
    InputError
        If the ledger is shorter than ``old``.
    """
    if old > reader.size:
        raise InputError(
            f"the witness has signed {old} entries of {reader.checkpoint.origin}, the ledger holds only {reader.size}: "
            "it was rolled back"
        )
    proof = "".join(f"{base64.b64encode(h).decode()}\n" for h in reader.consistency(old))
    return f"old {old}\n{proof}\n".encode() + reader.note.text()


def ask(url: str, reader: LedgerReader, key: VerifierKey, old: int = 0) -> Signature:
    """Ask a witness over HTTP to sign a ledger's checkpoint.

    Parameters
    ----------
    url : str
        Where it serves, such as ``http://127.0.0.1:8765``.
    reader : LedgerReader
        Of the ledger; gives the checkpoint and the proof that it continues the one before.
    key : VerifierKey
        The witness's.
    old : int
        What it has signed before, if known; it answers what it knows.

    Raises
    ------
    Refusal
        If it refuses.
    InputError
        If it cannot be reached, or does not answer as a witness.
    """
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OptionError(f"the address of a witness begins with http:// or https://, got {url[:80]!r}")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    for _ in range(2):
        connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT)
        try:
            connection.request("POST", parts.path.rstrip("/") + _PATH, request(reader, old))
            answer = connection.getresponse()
            body = answer.read(MAX_NOTE)
        except (OSError, http.client.HTTPException) as e:
            raise InputError(f"the witness {url} cannot be reached: {e}") from e
        finally:
            connection.close()
        text = body.decode("utf-8", "replace").strip()
        if answer.status == 409 and text.isascii() and text.isdecimal() and len(text) < 19 and int(text) != old:
            old = int(text)
            continue
        if answer.status != 200:
            raise Refusal(answer.status, f"the witness refuses ({answer.status}): {text[:200]}")
        return answered(body, reader, key)
    raise Refusal(409, "the witness names another size each time it is asked")


def answered(body: bytes, reader: LedgerReader, key: VerifierKey) -> Signature:
    """Return the cosignature of a witness in its answer, after checking it.

    Raises
    ------
    ReceiptError
        If it holds none of this key, or a wrong one.
    """
    signatures = read_cosignatures(body)
    if not Note(reader.checkpoint, signatures).signed_by(key):
        raise ReceiptError(f"the answer does not hold a signature of {key.name}")
    return next(s for s in signatures if (s.name, s.hash) == (key.name, key.hash))


def serve(witness: Witness, host: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    """Return a server that answers for a witness; call its ``serve_forever``.

    Parameters
    ----------
    witness : Witness
        Signs what it is asked for, or refuses.
    host : str
        Where to listen; the default is reachable from this machine only.
    port : int
        0: any that is free; see ``server_address``.

    Raises
    ------
    OutputError
        If it cannot listen there.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != _PATH:
                return self._answer(404, b"there is only /add-checkpoint\n")
            if not length.isdecimal() or len(length) > 9 or int(length) > MAX_REQUEST:
                return self._answer(413, b"too long\n")
            try:
                self._answer(200, witness.sign(self.rfile.read(int(length))).line().encode())
            except Refusal as e:
                self._answer(e.status, f"{e if e.known is None else e.known}\n".encode())
            except TrattoError as e:
                self._answer(500, f"{e}\n".encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8" if status != 409 else "text/x.tlog.size")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return  # what is refused is told to who asked

    try:
        return ThreadingHTTPServer((host, port), Handler)
    except OSError as e:
        raise OutputError(f"cannot listen on {host}:{port}: {e.strerror or e}") from e


def _parse(data: bytes) -> tuple[int, list[bytes], Note]:
    if len(data) > MAX_REQUEST:
        raise Refusal(400, "the request is too long")
    head, blank, rest = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
        number = lines[0].removeprefix("old ")
        if not blank or not lines[0].startswith("old ") or not number.isdecimal() or len(number) > 18:
            raise Refusal(400, "a request begins with 'old N', has the proof, an empty line and a checkpoint")
        if len(lines) > 64:
            raise Refusal(400, "a proof has at most 63 hashes")
        return int(number), [unbase64(line) for line in lines[1:]], read_note(rest)
    except UnicodeDecodeError as e:
        raise Refusal(400, "the request is not text") from e
    except Refusal:
        raise
    except ReceiptError as e:
        raise Refusal(400, str(e)) from e
