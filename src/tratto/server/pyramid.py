"""Tiles of a picture for deep zoom: made in one pass over its rows, kept in one file, read without decoding.

Levels and tiles are those of the Deep Zoom format: the highest level is the picture, each below has half its sides,
rounded up; level 0 would be one pixel, but nothing below one tile is kept.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tratto.core.files import atomic_file

#: Side of a tile; overlap there is none.
TILE = 256
#: Longest sides of the previews that come with the tiles.
PREVIEWS = (320, 1600)
#: Quality of tiles without transparency, with all of their colour: a zoomed pixel shows its own.
QUALITY = 95
_END = struct.Struct("<8sIIBBxxQ")
_ENTRY = struct.Struct("<QQ")
_MAGIC = b"tratto-1"
TYPES = ("image/jpeg", "image/png")

#: (y0, y1) -> those rows as they are shown, (y1 - y0, W, 3 or 4) uint8.
Bands = Callable[[int, int], NDArray[np.uint8]]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Grid:
    """The levels of a picture.

    Attributes
    ----------
    width, height : int
        Of the picture as it is shown, pixels.

    Examples
    --------
    >>> Grid(1000, 600).highest, Grid(1000, 600).size(9)
    (10, (500, 300))
    """

    width: int
    height: int

    @property
    def highest(self) -> int:
        """The level of the picture itself."""
        return math.ceil(math.log2(max(self.width, self.height)))

    @property
    def lowest(self) -> int:
        """The level that fits into one tile."""
        return min(int(math.log2(TILE)), self.highest)

    def size(self, level: int) -> tuple[int, int]:
        """Return width and height of a level."""
        shrunk = 1 << (self.highest - level)
        return -(-self.width // shrunk), -(-self.height // shrunk)

    def tiles(self, level: int) -> tuple[int, int]:
        """Return how many columns and rows of tiles a level has."""
        width, height = self.size(level)
        return -(-width // TILE), -(-height // TILE)

    def number(self, level: int, x: int, y: int) -> int | None:
        """Return where a tile stands among all, from the highest level down; None: there is no such tile."""
        if not self.lowest <= level <= self.highest:
            return None
        columns, rows = self.tiles(level)
        if not (0 <= x < columns and 0 <= y < rows):
            return None
        before = sum(a * b for a, b in map(self.tiles, range(level + 1, self.highest + 1)))
        return before + y * columns + x

    @property
    def count(self) -> int:
        """Number of tiles of all levels."""
        return sum(a * b for a, b in map(self.tiles, range(self.lowest, self.highest + 1)))

    def facts(self, kind: str) -> dict[str, Any]:
        """Return what a viewer must know."""
        return {
            "width": self.width, "height": self.height, "tile": TILE, "min_level": self.lowest,
            "max_level": self.highest, "type": kind,
        }  # fmt: skip


class _Writer:
    """Takes the rows of a level, writes its tiles and hands on the level below."""

    def __init__(self, grid: Grid, file: BinaryIO, index: NDArray[np.uint64], kind: str) -> None:
        self.grid, self.file, self.index, self.kind = grid, file, index, kind
        self.waiting: dict[int, list[Picture]] = {}
        self.rows: dict[int, int] = {}
        #: The first level that is small enough for the previews to be made of it.
        self.kept_level = next(
            (n for n in range(grid.highest, grid.lowest, -1) if max(grid.size(n)) <= 2 * PREVIEWS[-1]), grid.lowest
        )
        self.kept: list[Picture] = []

    def feed(self, level: int, band: Picture) -> None:
        """Take rows of a level: whole rows of tiles, or half of one."""
        waiting = self.waiting.setdefault(level, [])
        waiting.append(band)
        done = self.rows.get(level, 0) * TILE + sum(map(len, waiting))
        if sum(map(len, waiting)) < TILE and done < self.grid.size(level)[1]:
            return
        whole = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
        waiting.clear()
        if level == self.kept_level:
            self.kept.append(whole)
        y = self.rows.get(level, 0)
        self.rows[level] = y + 1
        for x in range(self.grid.tiles(level)[0]):
            data = encoded(whole[:, x * TILE : (x + 1) * TILE], self.kind)
            number = self.grid.number(level, x, y)
            self.index[number] = self.file.tell(), len(data)
            self.file.write(data)
        if level > self.grid.lowest:
            self.feed(level - 1, halved(whole))


def write_pyramid(grid: Grid, bands: Bands, path: Path, previews: Path | None = None) -> dict[str, Any]:
    """Write all tiles of a picture into one file that appears whole, and its previews beside it.

    Memory holds two rows of tiles of each level, whatever the size of the picture.

    Parameters
    ----------
    grid : Grid
        Of the picture's size.
    bands : callable
        ``bands(y0, y1)`` gives rows of the picture as (y1 - y0, W, 3) uint8.
    path : Path
        Where the tiles go; replaced if it is there.
    previews : Path or None
        Name without ending: ``NAME-320`` and ``NAME-1600`` are written; None: no previews.

    Returns
    -------
    dict
        :meth:`Grid.facts`.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.tiles"
    >>> write_pyramid(Grid(300, 2), lambda a, b: np.zeros((b - a, 300, 3), np.uint8), path)["max_level"]
    9
    >>> read_tile(path, 9, 1, 0)[1]
    'image/jpeg'
    """
    # a wide picture is taken in fewer rows at once, since rows pass through floats
    rows = max(1, min(TILE, (4 << 20) // grid.width))
    rows = 1 << (rows.bit_length() - 1)
    kind = ""
    index = np.zeros((grid.count, 2), "<u8")
    with atomic_file(path) as file:
        writer: _Writer | None = None
        for y in range(0, grid.height, TILE):
            end = min(grid.height, y + TILE)
            parts = [bands(a, min(end, a + rows)) for a in range(y, end, rows)]
            band = parts[0] if len(parts) == 1 else np.concatenate(parts)
            if writer is None:
                kind = TYPES[band.shape[2] == 4]
                writer = _Writer(grid, file, index, kind)
            writer.feed(grid.highest, band)
        at = file.tell()
        file.write(index.tobytes())
        file.write(_END.pack(_MAGIC, grid.width, grid.height, TYPES.index(kind), 0, at))
    if previews is not None and writer is not None:
        whole = np.concatenate(writer.kept)
        for side in PREVIEWS:
            with atomic_file(preview_path(previews, side)) as out:
                out.write(encoded(within(whole, side), kind))
    return grid.facts(kind)


def preview_path(name: Path, side: int) -> Path:
    """Return the file of a preview."""
    return name.with_name(f"{name.name}-{side}")


def read_tile(path: Path, level: int, x: int, y: int) -> tuple[bytes, str] | None:
    """Return a tile and its media type; None: there is none.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        end = os.pread(file.fileno(), _END.size, size - _END.size)
        magic, width, height, kind, _, at = _END.unpack(end)
        if magic != _MAGIC:
            raise OSError(f"{path.name} holds no tiles")
        number = Grid(width, height).number(level, x, y)
        if number is None:
            return None
        offset, length = _ENTRY.unpack(os.pread(file.fileno(), _ENTRY.size, at + number * _ENTRY.size))
        return os.pread(file.fileno(), length, offset), TYPES[kind]


def encoded(part: Picture, kind: str) -> bytes:
    """Return a picture as JPEG or, with transparency, PNG."""
    import imagecodecs

    part = np.ascontiguousarray(part)
    if kind == TYPES[1]:
        return bytes(imagecodecs.png_encode(part, level=1))
    return bytes(imagecodecs.jpeg8_encode(part, level=QUALITY, subsampling="444"))


def halved(picture: Picture) -> Picture:
    """Return a picture of half the sides, rounded up: means of four pixels; what lacks a neighbour is its own.

    Examples
    --------
    >>> halved(np.uint8([[[0], [10]], [[20], [30]]])).ravel()
    array([15], dtype=uint8)
    """
    import cv2

    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    small = cv2.resize(picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8).reshape(-(-height // 2), -(-width // 2), picture.shape[2])


def within(picture: Picture, side: int) -> Picture:
    """Return a picture whose longer side is not above ``side``; never enlarged."""
    import cv2

    height, width = picture.shape[:2]
    longest = max(height, width)
    if longest <= side:
        return picture
    to = max(1, round(width * side / longest)), max(1, round(height * side / longest))
    return np.asarray(cv2.resize(picture, to, interpolation=cv2.INTER_AREA), np.uint8).reshape(to[1], to[0], -1)
