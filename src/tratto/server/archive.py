"""Files on their way: a result and its bundle as a ZIP file that is made while it is sent, and ZIP files unfolded."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from tratto.core.errors import InputError, PictureTooLarge

#: Bytes that are read at once.
_PIECE = 1 << 18
#: Media types of results by extension.
MEDIA_TYPES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".tif": "image/tiff", ".webp": "image/webp", ".bmp": "image/bmp",
    ".ply": "model/ply", ".glb": "model/gltf-binary", ".mp4": "video/mp4",
}  # fmt: skip


class _Pipe(io.RawIOBase):
    """Takes what a ZIP file writes and lets it be fetched; cannot be sought, so sizes follow the data."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self.pieces)
        self.pieces.clear()
        return data


def unfold(path: Path, to: Path, most: int, files: int, deep: int = 4) -> None:
    """Unfold a ZIP file into a new folder.

    Parameters
    ----------
    path, to : Path
        The file, and the folder that must not be there yet.
    most : int
        Bytes that it may unfold to.
    files : int
        Files that it may hold.
    deep : int
        Parts that a name may have.

    Raises
    ------
    InputError
        If it is broken, or holds a name that leaves the folder.
    PictureTooLarge
        If it holds too many files, or too many bytes.
    """
    to.mkdir(parents=True)
    total = 0
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [e for e in archive.infolist() if not e.is_dir()]
            if len(entries) > files:
                raise PictureTooLarge(f"the ZIP file holds {len(entries)} files, the limit is {files}")
            for entry in entries:
                parts = entry.filename.split("/")
                if len(parts) > deep or any(
                    p in ("", ".", "..") or "\\" in p or "\x00" in p or ":" in p for p in parts
                ):
                    raise InputError(f"the ZIP file holds a file of the name {entry.filename[:80]!r}, which is refused")
                target = to.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, open(target, "xb") as out:
                    while data := source.read(1 << 20):
                        total += len(data)
                        if total > most:
                            raise PictureTooLarge(f"the ZIP file unfolds to more than {most} bytes")
                        out.write(data)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as e:
        raise InputError(f"the ZIP file cannot be read: {e}") from e


def zipped(files: list[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield a ZIP file, without compression: pictures do not shrink any more.

    Parameters
    ----------
    files : list of (str, Path)
        Name in the ZIP file, and where it lies.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> _ = path.write_text("x")
    >>> zipfile.ZipFile(io.BytesIO(b"".join(zipped([("b/a.txt", path)])))).read("b/a.txt")
    b'x'
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files:
            entry = zipfile.ZipInfo(name)  # of 1980: nothing here depends on when it was sent
            entry.external_attr = 0o644 << 16
            with open(path, "rb") as source, archive.open(entry, "w", force_zip64=True) as out:
                while data := source.read(_PIECE):
                    out.write(data)
                    yield pipe.take()
    yield pipe.take()
