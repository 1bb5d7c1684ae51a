"""Reading a Debian package: its pictures, and what its copyright file says of each.

A ``.deb`` is an ``ar`` archive with a compressed tar file in it (Debian Policy; deb(5)). Its copyright file is read as
the machine-readable format 1.0 has it (https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/). Paths in
that file are those of the source package, which is laid out otherwise than what is installed; see :func:`stanza_of`.
"""

from __future__ import annotations

import fnmatch
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tratto.core.errors import InputError

#: Endings of the pictures that are looked for, and of archives inside a package that may hold some.
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
ARCHIVES = (".zip", ".pk3")
#: Files inside a package above this are passed over.
MOST_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Stanza:
    """One paragraph of a copyright file.

    Attributes
    ----------
    patterns : tuple of str
        Paths in the source package; ``*`` and ``?`` stand for any characters.
    licence, holder : str
        Short name of the licence, and who holds the copyright.
    """

    patterns: tuple[str, ...]
    licence: str
    holder: str


def read_copyright(text: str) -> tuple[Stanza, ...]:
    """Read the paragraphs that speak of files; an unreadable file has none."""
    out = []
    for paragraph in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            head = re.match(r"([A-Za-z][A-Za-z-]*):(.*)", line)
            if head is not None:
                name = head[1].lower()
                fields[name] = head[2].strip()
            elif name and line[:1] in " \t":
                fields[name] += "\n" + line.strip()
        if fields.get("files") and fields.get("license"):
            holder = " ".join(fields.get("copyright", "").split())
            out.append(Stanza(tuple(fields["files"].split()), fields["license"].splitlines()[0].strip(), holder))
    return tuple(out)


def stanza_of(path: str, stanzas: tuple[Stanza, ...]) -> Stanza | None:
    """Return the paragraph that holds for a file, or None where that is not clear.

    A path without wildcards holds for a file that ends alike: the more components agree, the better; if two that
    agree as far name different licences, neither holds. Only if no path does, the last pattern with a wildcard that
    fits the path, or its end, holds (the format: the last one counts).
    """
    parts = path.split("/")
    best, found = 0, []
    for stanza in stanzas:
        for pattern in stanza.patterns:
            if "*" in pattern or "?" in pattern:
                continue
            alike = 0
            for ours, theirs in zip(reversed(parts), reversed(pattern.split("/")), strict=False):
                if ours != theirs:
                    break
                alike += 1
            if alike > best:
                best, found = alike, [stanza]
            elif alike and alike == best:
                found.append(stanza)
    if found:
        return found[-1] if len({s.licence for s in found}) == 1 else None
    ends = ["/".join(parts[n:]) for n in range(len(parts))]
    for stanza in reversed(stanzas):
        if any(fnmatch.fnmatchcase(end, pattern) for pattern in stanza.patterns for end in ends):
            return stanza
    return None


def copyright_of(deb: Path) -> tuple[Stanza, ...]:
    """Return what a package says of its files.

    Raises
    ------
    InputError
        If it is no package, or has no copyright file in the machine-readable format.
    """
    for path, body in _files(deb):
        if re.fullmatch(r"usr/share/doc/[^/]+/copyright", path):
            stanzas = read_copyright(body.read().decode("utf-8", "replace"))
            if stanzas:
                return stanzas
            break
    raise InputError(f"{deb.name} has no copyright file that says for each file, in a machine-readable way, what holds")


def pictures_of(deb: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and bytes of each picture; of one in an archive, its path in there.

    Raises
    ------
    InputError
        If it is no package.
    """
    for path, body in _files(deb):
        lower = path.lower()
        if lower.endswith(PICTURES):
            yield path, body.read()
        elif lower.endswith(ARCHIVES):
            try:
                with zipfile.ZipFile(io.BytesIO(body.read())) as inner:
                    for info in inner.infolist():
                        if info.filename.lower().endswith(PICTURES) and info.file_size <= MOST_BYTES:
                            yield info.filename, inner.read(info)
            except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as e:
                raise InputError(f"{deb.name}: {path} cannot be unpacked: {e}") from e


def _files(deb: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Yield path and contents of each regular file; contents can be read until the next one is asked for."""
    try:
        with deb.open("rb") as opened:
            data = _data_member(opened, deb)
            with tarfile.open(fileobj=opened, mode=data) as tar:  # type: ignore[call-overload]
                for member in tar:
                    body = tar.extractfile(member) if member.isreg() and member.size <= MOST_BYTES else None
                    if body is not None:
                        yield member.name.removeprefix("./"), body
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error) as e:
        raise InputError(f"{deb} is a package that cannot be unpacked: {e}") from e
    except OSError as e:
        raise InputError(f"{deb} cannot be read: {e.strerror or e}") from e


def _data_member(opened: BinaryIO, deb: Path) -> str:
    """Move to the tar file with the contents; return how it is to be opened, as a stream."""
    if opened.read(8) != b"!<arch>\n":
        raise InputError(f"{deb} is no Debian package (.deb)")
    while len(header := opened.read(60)) == 60:
        name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), header[48:58].strip()
        if not size.isdigit() or header[58:] != b"`\n":
            break
        if name.startswith("data.tar"):
            ending = name.removeprefix("data.tar").lstrip(".")
            if ending not in ("", "xz", "gz", "bz2"):
                raise InputError(f"{deb} is packed with {ending!r}; xz, gz and bz2 can be read here")
            return f"r|{ending}"
        opened.seek(int(size) + int(size) % 2, 1)
    raise InputError(f"{deb} is a package without contents, or was cut off")
