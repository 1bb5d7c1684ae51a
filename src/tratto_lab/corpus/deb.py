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

#: Extensions of the pictures that are looked for, and of archives inside a package that may hold some.
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
    """Read the paragraphs that speak of files; a file in which one of them is not in order has none."""
    out = []
    for paragraph in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        fields: dict[str, str] = {}
        name, odd = "", False
        for line in paragraph.splitlines():
            head = re.match(r"([A-Za-z][A-Za-z-]*)[ \t]*:(.*)", line)
            if head is not None:
                name = head[1].lower()
                odd = odd or name in fields
                fields[name] = head[2].strip()
            elif name and line[:1] in " \t":
                fields[name] += "\n" + line.strip()
            elif re.match(r"\s*files\s*:", line, re.IGNORECASE):
                odd = True
        if "files" not in fields and not odd:
            continue
        if odd or not fields.get("files") or not fields.get("license"):
            return ()
        holder = " ".join(fields.get("copyright", "").split())
        patterns = (re.sub(r"^(\.?/)+", "", p) for p in re.split(r"[\s,]+", fields["files"]))
        out.append(Stanza(tuple(p for p in patterns if p), fields["license"].splitlines()[0].strip(), holder))
    return tuple(out)


def stanza_of(path: str, stanzas: tuple[Stanza, ...]) -> Stanza | None:
    """Return the paragraph that holds for a file, or None where that is not clear.

    What is installed lies elsewhere than in the source package, so that a path is compared from its end. Paragraphs
    that may hold name a file of that name, or have a pattern with wildcards that fits the path or an end of it; what
    begins with a wildcard and fits, such as ``*.png``, counts as a paragraph for everything (``*``).

    If those that may hold name one licence, the last of them holds. If they differ, the last holds (as the format has
    it) if it gives a path of several components that the file ends with and no other fits as long an end, or if all of
    them fit one end of the path and the same. Beside a paragraph for everything with another
    licence a name alone is not enough, unless it is the whole path that the paragraph gives; and nothing holds if such
    a paragraph comes later. Where none may hold, a paragraph for everything does if all paragraphs of the package name
    the same licence: the file may be one of another paragraph, renamed. For the same reason a file of that name with
    another extension counts among those that differ. Paragraphs for ``debian/*`` are about the packaging and never
    hold; if one of files in there fits, nothing is clear.
    """
    parts = path.split("/")
    ends = ["/".join(parts[n:]) for n in range(len(parts))]
    may: list[tuple[Stanza, _Fit]] = []
    everything: list[Stanza] = []
    rest = [s for s in stanzas if not all(p.startswith("debian/") for p in s.patterns)]
    for stanza in stanzas:
        packaging = [p.removeprefix("debian/") for p in stanza.patterns if p.startswith("debian/") and p != "debian/*"]
        if any(p.split("/")[-1] == parts[-1] or any(_fits(end, p) for end in ends) for p in packaging):
            return None
        fit = _fit_of(parts, ends, stanza)
        if fit.all_ends:
            everything.append(stanza)
        elif fit:
            may.append((stanza, fit))
    if not may:
        return everything[-1] if everything and len({s.licence for s in rest}) == 1 else None
    last, fit = may[-1]
    differ = [s for s in everything if s.licence != last.licence]
    if any(stanzas.index(s) > stanzas.index(last) for s in differ):
        return None
    if len({s.licence for s, _ in may}) > 1:
        named = fit.whole >= 2 and all(other.longest < fit.whole for _, other in may[:-1])
        rooted = len(fit.ends) == 1 and all(other.ends == fit.ends for _, other in may)
        return last if named or rooted else None
    return None if differ and not fit.ends and fit.alike == 1 else last


@dataclass(frozen=True)
class _Fit:
    """How a paragraph fits a path.

    Attributes
    ----------
    ends : frozenset of str
        Ends of the path that its patterns fit as a whole.
    whole : int
        Components of the longest path it gives that the path ends with.
    alike : int
        In how many components a path it gives agrees with the end, at least the name without its extension.
    all_ends : bool
        Whether it is for everything.
    """

    ends: frozenset[str]
    whole: int
    alike: int
    all_ends: bool

    def __bool__(self) -> bool:
        return bool(self.ends or self.whole or self.alike)

    @property
    def longest(self) -> int:
        """Components of the longest end it may fit."""
        return max([self.whole, self.alike, *(end.count("/") + 1 for end in self.ends)])


def _fit_of(parts: list[str], ends: list[str], stanza: Stanza) -> _Fit:
    found: set[str] = set()
    whole = alike = 0
    for pattern in stanza.patterns:
        if pattern.startswith("debian/"):
            continue
        fits = {end for end in ends if _fits(end, pattern)}
        if ends[0] in fits and pattern[0] in "*?":
            return _Fit(frozenset(), 0, 0, True)
        if re.search(r"[*?\\]", pattern) or pattern.endswith("/") or pattern.split("/")[-1] != parts[-1]:
            found |= fits
        if not re.search(r"[*?\\]", pattern) and not pattern.endswith("/"):
            theirs = pattern.split("/")
            count = _alike(parts, theirs)
            alike = max(alike, count)
            if count == len(theirs):
                whole = max(whole, count)
                found.add(pattern)
            if theirs[-1].rpartition(".")[0] == parts[-1].rpartition(".")[0] != "":
                alike = max(alike, 1 + _alike(parts[:-1], theirs[:-1]))
    return _Fit(frozenset(found), whole, alike, False)


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
            extension = name.removeprefix("data.tar").lstrip(".")
            if extension not in ("", "xz", "gz", "bz2"):
                raise InputError(f"{deb} is packed with {extension!r}; xz, gz and bz2 can be read here")
            return f"r|{extension}"
        opened.seek(int(size) + int(size) % 2, 1)
    raise InputError(f"{deb} is a package without contents, or was cut off")
