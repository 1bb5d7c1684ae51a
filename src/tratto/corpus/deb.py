"""Reading a Debian package: its pictures, and what its copyright file says of each.

A ``.deb`` is an ``ar`` archive with a compressed tar file in it (Debian Policy; deb(5)). Its copyright file is read as
the machine-readable format 1.0 has it (https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/). Paths in
that file are those of the source package, which is laid out otherwise than what is installed; see :func:`stanza_of`.
"""

from __future__ import annotations

import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
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
        Paths in the source package; see :func:`stanza_of`.
    licence, holder : str
        Short name of the licence, and who holds the copyright.
    """

    patterns: tuple[str, ...]
    licence: str
    holder: str


def read_copyright(text: str) -> tuple[Stanza, ...]:
    """Read the paragraphs that speak of files; an unreadable file has none."""
    out = []
    for paragraph in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
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
            patterns = tuple(p.rstrip(",") for p in fields["files"].split())
            out.append(Stanza(patterns, fields["license"].splitlines()[0].strip(), holder))
    return tuple(out)


def stanza_of(path: str, stanzas: tuple[Stanza, ...]) -> Stanza | None:
    """Return the paragraph that holds for a file, or None where that is not clear.

    What is installed lies elsewhere than in the source package, so that a path is compared from its end. Paragraphs
    that may hold name a file of that name, or have a pattern with wildcards that fits the path or an end of it. If
    they name one licence, the last of them holds. If they differ, the last holds (as the format has it) only if it
    names the file with its folder, or if all of them fit the same end of the path, which then is its path in the
    source, and the last fits no other end. Beside a paragraph for everything with another licence a name alone is not
    enough, unless it is the whole path that the paragraph gives. Where none may, a paragraph for everything (``*``)
    holds if all paragraphs of the package name the same licence: the file may be one of another paragraph, renamed.
    Paragraphs for ``debian/*`` are about the packaging and never hold.
    """
    parts = path.split("/")
    ends = ["/".join(parts[n:]) for n in range(len(parts))]
    may: list[tuple[Stanza, int, set[str]]] = []  # how many components agree, 0 for wildcards; which ends fit
    rest = [s for s in stanzas if not all(p.startswith("debian/") for p in s.patterns)]
    for stanza in rest:
        best, fits = -1, set[str]()
        for pattern in stanza.patterns:
            if pattern == "*" or pattern.startswith("debian/"):
                continue
            if not re.search(r"[*?\\]", pattern) and not pattern.endswith("/"):
                best = max(best, _alike(parts, pattern.split("/")) or -1)
            fits |= {end for end in ends if _fits(end, pattern)}
        if fits or best >= 0:
            may.append((stanza, max(best, 0), fits))
    if not may:
        everything = [s for s in rest if "*" in s.patterns]
        return everything[-1] if everything and len({s.licence for s in rest}) == 1 else None
    last, alike, fits = may[-1]
    if len({s.licence for s, _, _ in may}) > 1:
        rooted = len(fits) == 1 and all(fits <= theirs for _, _, theirs in may)
        return last if alike >= 2 or rooted else None
    others = any("*" in s.patterns and s.licence != last.licence for s in rest)
    return None if others and alike == 1 and parts[-1] not in last.patterns else last


def _alike(parts: list[str], theirs: list[str]) -> int:
    """Count the components in which two paths agree, from their ends."""
    count = 0
    for a, b in zip(reversed(parts), reversed(theirs), strict=False):
        if a != b:
            break
        count += 1
    return count


def _fits(path: str, pattern: str) -> bool:
    """Return whether a path fits a pattern of the format, or lies in the folder it names.

    ``*`` and ``?`` stand for any characters, slashes too; a backslash takes a special one literally.
    """
    parts = re.split(r"(\\[*?\\]|[*?])", pattern.rstrip("/"))
    special = {"*": ".*", "?": "."}
    expression = "".join(special.get(p) or re.escape(p[1:] if re.fullmatch(r"\\[*?\\]", p) else p) for p in parts)
    return re.fullmatch(f"{expression}(/.*)?", path, re.DOTALL) is not None


def copyright_of(deb: Path) -> tuple[Stanza, ...]:
    """Return what a package says of its files.

    Raises
    ------
    InputError
        If it is no package, or has no copyright file in the machine-readable format.
    """
    for _, body in _files(deb, lambda path: re.fullmatch(r"usr/share/doc/[^/]+/copyright", path) is not None):
        stanzas = read_copyright(body.decode("utf-8", "replace"))
        if stanzas:
            return stanzas
        break
    raise InputError(f"{deb.name} has no copyright file that says for each file, in a machine-readable way, what holds")


def pictures_of(deb: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield of each picture where it lies, the path that its licence goes by, and its bytes.

    Both paths are the same but for pictures in an archive (``.zip``, ``.pk3``), whose licence goes by the path in
    there.

    Raises
    ------
    InputError
        If it is no package, or cannot be unpacked to its end.
    """
    for path, body in _files(deb, lambda path: path.lower().endswith(PICTURES + ARCHIVES)):
        if path.lower().endswith(PICTURES):
            yield path, path, body
            continue
        try:
            with zipfile.ZipFile(io.BytesIO(body)) as inner:
                for info in inner.infolist():
                    if info.filename.lower().endswith(PICTURES) and info.file_size <= MOST_BYTES:
                        yield f"{path}!{info.filename}", info.filename, inner.read(info)
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            NotImplementedError,
            RuntimeError,
            EOFError,
            OSError,
        ) as e:
            raise InputError(f"{deb.name}: {path} cannot be unpacked: {e}") from e


def _files(deb: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Yield path and contents of each regular file that is wanted."""
    try:
        opened = deb.open("rb")
    except OSError as e:
        raise InputError(f"{deb} cannot be read: {e.strerror or e}") from e
    with opened:
        files = _members(opened, deb)
        while True:
            try:
                member, tar = next(files)
                path = member.name.removeprefix("./")
                if not (member.isreg() and member.size <= MOST_BYTES and wanted(path)):
                    continue
                body = tar.extractfile(member)
                data = b"" if body is None else body.read()
            except StopIteration:
                return
            except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, OSError) as e:
                raise InputError(f"{deb} is a package that cannot be unpacked: {e}") from e
            yield path, data


def _members(opened: BinaryIO, deb: Path) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    with tarfile.open(fileobj=opened, mode=_data_member(opened, deb)) as tar:  # type: ignore[call-overload]
        for member in tar:
            yield member, tar


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
