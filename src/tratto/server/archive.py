"""A result and its bundle as a ZIP file that is made while it is sent."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

#: Bytes that are read at once.
_PIECE = 1 << 18


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
