"""Taking in files: parts of a request written to the disk as they come, and a child process that looks at them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import sys
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tratto.server.problems import Problem, full, problem_of
from tratto.server.settings import Settings

if TYPE_CHECKING:
    from starlette.requests import Request

#: Seconds without a byte after which a sender is given up; bytes a second that it must reach in the long run.
SILENCE, SLOWEST = 30.0, 1000
#: Most bytes of a request beside its files.
AROUND = 64 * 1024
#: Processes that look at files at the same time.
AT_ONCE = 2
#: Seconds that one may take beyond its CPU time, since others compute, too.
PATIENCE = 600.0


@dataclass
class Part:
    """A file that came in.

    Attributes
    ----------
    path : Path
        Where it was written.
    name : str
        As the sender calls it, made harmless.
    size : int
        Bytes that were written.
    sha256 : str
        In hex, of what was written.
    """

    path: Path
    name: str
    size: int = 0
    sha256: str = ""


@dataclass
class _Taking:
    """What a parser of ``multipart/form-data`` calls."""

    folder: Path
    wanted: tuple[str, ...]
    limit: int
    parts: dict[str, Part] = field(default_factory=dict)
    closed: bool = False
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _name: bytes = b""
    _value: bytes = b""
    _file: BinaryIO | None = None
    _hash: Any = None
    _part: Part | None = None
    _role: str = ""

    def on_part_begin(self) -> None:
        self._headers = {}

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        if len(self._name) + len(self._value) > 8192:
            raise Problem(400, "MalformedRequest", "a header of a part is too long")

    def on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def on_headers_finished(self) -> None:
        from python_multipart.multipart import parse_options_header

        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        role = options.get(b"name", b"").decode("utf-8", "replace")
        named = options.get(b"filename")
        if kind != b"form-data" or role not in self.wanted or role in self.parts or named is None:
            takes = " and ".join(self.wanted)
            raise Problem(
                422, "InvalidRequest", f"the form takes one file called {takes}, got {role[:40]!r}", role[:40]
            )
        self._role = role
        self._part = Part(self.folder / f"part{len(self.parts)}", harmless(named.decode("utf-8", "replace")))
        self._file = open(self._part.path, "xb")  # noqa: SIM115 closed where the part ends
        self._hash = hashlib.sha256()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is None or self._part is None:
            return
        self._part.size += end - start
        if self._part.size > self.limit:
            raise Problem(413, "FileTooLarge", f"the file has more than {self.limit} bytes")
        piece = data[start:end]
        self._hash.update(piece)
        self._file.write(piece)

    def on_part_end(self) -> None:
        if self._file is None or self._part is None:
            return
        self._file.close()
        self._part.sha256 = self._hash.hexdigest()
        self.parts[self._role] = self._part
        self._file = self._part = None

    def on_end(self) -> None:
        self.closed = True

    def give_up(self) -> None:
        if self._file is not None:
            self._file.close()


async def receive(request: Request, folder: Path, wanted: tuple[str, ...], limit: int) -> dict[str, Part]:
    """Write the files of a form into a folder, as they come.

    Parameters
    ----------
    request : Request
        Its body is read as it comes, never as a whole.
    folder : Path
        Exists, and is removed by the caller.
    wanted : tuple of str
        Names of the parts that are taken; the first must come.
    limit : int
        Most bytes of a file.

    Raises
    ------
    Problem
        If it is no such form, too large, too slow, cut off, or the disk is full.
    """
    from python_multipart.exceptions import MultipartParseError
    from python_multipart.multipart import MultipartParser, parse_options_header

    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not 0 < len(options.get(b"boundary", b"")) <= 200:
        raise Problem(415, "UnsupportedMediaType", "send the file as multipart/form-data")
    stated = request.headers.get("content-length", "0")
    most = limit * len(wanted) + AROUND
    if stated.isdecimal() and int(stated) > most:
        raise Problem(413, "FileTooLarge", f"the file has more than {limit} bytes")
    taking = _Taking(folder, wanted, limit)
    names = [n for n in dir(taking) if n.startswith("on_")]
    parser = MultipartParser(options[b"boundary"], {n: getattr(taking, n) for n in names})  # type: ignore[arg-type]
    begun, total = time.monotonic(), 0
    stream = aiter(request.stream())
    try:
        while (chunk := await asyncio.wait_for(anext(stream, None), SILENCE)) is not None:
            total += len(chunk)
            spent = time.monotonic() - begun
            if total > most:
                raise Problem(413, "FileTooLarge", f"the file has more than {limit} bytes")
            if spent > SILENCE and total < SLOWEST * (spent - SILENCE):
                raise Problem(408, "TooSlow", "the file came too slowly")
            parser.write(chunk)
    except TimeoutError as e:
        raise Problem(408, "TooSlow", f"nothing came for {SILENCE:g} seconds") from e
    except MultipartParseError as e:
        raise Problem(400, "MalformedRequest", f"the form cannot be read: {e}") from e
    finally:
        taking.give_up()
    if not taking.closed:
        raise Problem(400, "MalformedRequest", "the form ends early")
    if wanted[0] not in taking.parts:
        raise Problem(422, "InvalidRequest", f"the form holds no file called {wanted[0]}", wanted[0])
    return taking.parts


class Children:
    """Runs :mod:`tratto.server.child`, a few at a time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._few = asyncio.Semaphore(AT_ONCE)

    async def ask(self, do: str, **asked: Any) -> dict[str, Any]:
        """Have something looked at.

        Raises
        ------
        Problem
            With what the process says, or that it went beyond its limits.
        """
        settings = self.settings
        limits = {
            "memory": settings.decode_memory, "seconds": settings.decode_seconds,
            "file_bytes": 4 * settings.upload_bytes,
        }  # fmt: skip
        question = json.dumps({"do": do, **limits, **asked}).encode()
        async with self._few:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tratto.server.child"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=quiet(settings),
            )
            try:
                answer, _ = await asyncio.wait_for(process.communicate(question), PATIENCE)
            except BaseException as e:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
                if isinstance(e, TimeoutError):
                    raise Problem(413, "PictureTooLarge", "the file takes too long to decode") from e
                raise
        try:
            reply: dict[str, Any] = json.loads(without_paths(answer.decode(), settings))
        except ValueError:
            raise Problem(
                413, "PictureTooLarge", "the file takes more time or memory to decode than is allowed"
            ) from None
        if "error" in reply:
            raise problem_of(reply["error"]["kind"], reply["error"]["message"])
        return reply


def without_paths(text: str, settings: Settings) -> str:
    """Return a message without the folders of this machine: files are told by their names.

    Examples
    --------
    >>> without_paths("/srv/t/jobs/0f/file/a 1.png: is no picture", Settings(folder=Path("/srv/t")))
    'a 1.png: is no picture'
    """
    return re.sub(rf"{re.escape(str(settings.folder))}(?:/[^\s/:;,\"\\]+)*/", "", text)


def quiet(settings: Settings) -> Mapping[str, str]:
    """Return the environment of the processes that open files: the data folder's temporary folder, and no keys."""
    from tratto.providers.remote_judge import SERVICES

    keys = {service.key for service in SERVICES.values()}
    kept = {name: value for name, value in os.environ.items() if name not in keys}
    return {**kept, "TMPDIR": str(settings.temporary.resolve())}


def check_room(settings: Settings, used: int, quota: int, more: int = 0) -> None:
    """Refuse what the quota or the disk has no room for.

    Raises
    ------
    Problem
        507.
    """
    if used + more > quota:
        raise Problem(
            507, "QuotaFull", f"{used} of {quota} bytes are taken, {more} more do not fit; delete uploads or jobs"
        )
    if shutil.disk_usage(settings.folder).free - more < settings.spare:
        raise full()


def harmless(name: str) -> str:
    """Return a file name that is safe anywhere: its last part, letters, digits and a few signs, at most 80.

    Examples
    --------
    >>> harmless("../../etc/passwd"), harmless("Röntgen 1.png"), harmless("..")
    ('passwd', 'Röntgen 1.png', 'picture')
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(c if c.isalnum() or c in "-_. ()+" else "_" for c in last).strip(". _")
    while len(kept.encode()) > 100:
        stem, dot, extension = kept.rpartition(".")
        kept = f"{stem[:-1]}{dot}{extension}" if stem and len(extension) < 8 else kept[:-1]
    return kept or "picture"


def bytes_below(folder: Path) -> int:
    """Return how many bytes the files of a folder take."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:  # it went meanwhile
                continue
    return total


def linked(source: Path, target: Path) -> None:
    """Give a file a second name, so that it outlives its first; copied where the disk knows no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        shutil.copyfile(source, target)


def discard(folder: Path) -> None:
    """Remove a folder with all that is in it, as far as it is there."""
    shutil.rmtree(folder, ignore_errors=True)
