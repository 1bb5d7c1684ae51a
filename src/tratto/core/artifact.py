"""What a job is given besides options, and what it makes: pictures, scenes, contact sheets.

An artifact is told by its *role*, which is also its key in :attr:`tratto.core.result.Result.outputs` and in a receipt.
:class:`Picture` and :class:`Sheet` need the codecs and stand in :mod:`tratto.imaging.artifact`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, OptionError
from tratto.core.files import atomic_file
from tratto.core.image import ColorMode, Image

#: Roles of outputs. The first of them that a job has is its result; the others come along with it.
ROLES = ("picture", "scene", "sheet")


@runtime_checkable
class Artifact(Protocol):
    """Something that a job makes.

    Attributes
    ----------
    role : str
        One of :data:`ROLES`.
    """

    role: ClassVar[str]

    @property
    def format(self) -> str:
        """What :meth:`write` writes: ``"png"``, ``"ply"``."""
        ...

    def digest(self) -> str:
        """Return the SHA-256 (hex) of what it holds, however it is kept in memory or in a file."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return what a receipt says of it besides the digest; JSON-able."""
        ...

    def write(self, path: Path) -> None:
        """Write it to a file without loss; an existing file is replaced.

        Raises
        ------
        OutputError
        """
        ...


@runtime_checkable
class PictureArtifact(Artifact, Protocol):
    """An artifact that is a picture."""

    @property
    def image(self) -> Image:
        """Its samples."""
        ...


@dataclass(frozen=True, eq=False)
class InputPicture:
    """A picture that a job was given, and where it came from.

    Attributes
    ----------
    image : Image
        As decoded.
    file : Path, bytes or None
        The file it was read from; None: it was an array.
    page : int
        Which page of the file, from 0.
    """

    image: Image
    file: Path | bytes | None = None
    page: int = 0


def main_role(outputs: Mapping[str, Any]) -> str:
    """Return the role of the result among what a job made; the other artifacts come along with it.

    Raises
    ------
    OptionError
        If there is none of a known role.

    Examples
    --------
    >>> main_role({"sheet": 1, "picture": 2})
    'picture'
    """
    for role in ROLES:
        if role in outputs:
            return role
    raise OptionError(f"a job makes one of {', '.join(ROLES)}, got {', '.join(outputs) or 'nothing'}")


def picture_facts(image: Image) -> dict[str, Any]:
    """Return what a receipt says of a picture besides its samples.

    Examples
    --------
    >>> picture_facts(Image(np.zeros((2, 3), np.uint8), ColorMode.GRAY))["width"]
    3
    """
    alpha = image.alpha is not None or (image.palette is not None and bool((image.palette[:, 3] != 255).any()))
    icc = image.meta.icc
    return {
        "width": image.width,
        "height": image.height,
        "mode": str(ColorMode(image.mode).value),
        "bits": image.bits,
        "alpha": alpha,
        "format": image.meta.format,
        "orientation": image.meta.orientation,
        "icc_sha256": None if icc is None else hashlib.sha256(icc).hexdigest(),
    }


_PLY = "ply\nformat binary_little_endian 1.0\nelement vertex {}\n"
_PLY_PROPERTIES = "".join(f"property float {n}\n" for n in "xyz") + "".join(
    f"property uchar {n}\n" for n in ("red", "green", "blue")
)
_PLY_END = "end_header\n"
_ROW = np.dtype([("at", "<f4", 3), ("rgb", "u1", 3)])
_LONGEST_HEADER = 400


@dataclass(frozen=True, eq=False)
class Scene:
    """Coloured points in space.

    Attributes
    ----------
    positions : (N, 3) float32
        x, y, z; finite.
    colors : (N, 3) uint8
        Encoded sRGB.

    Raises
    ------
    OptionError
        If the arrays are of another kind or do not fit each other.

    Examples
    --------
    >>> scene = Scene(np.zeros((2, 3), np.float32), np.full((2, 3), 255, np.uint8))
    >>> scene.facts()["points"]
    2
    """

    positions: NDArray[np.float32]
    colors: NDArray[np.uint8]
    role: ClassVar[str] = "scene"

    def __post_init__(self) -> None:
        count = len(self.positions)
        for name, values, dtype in (("positions", self.positions, np.float32), ("colors", self.colors, np.uint8)):
            if values.shape != (count, 3) or values.dtype != dtype:
                raise OptionError(
                    f"the {name} of a scene must be ({count}, 3) {np.dtype(dtype)}, got {values.shape} {values.dtype}"
                )
        if not count or not np.isfinite(self.positions).all():
            raise OptionError("a scene needs at least one point, and all its positions must be finite")

    @property
    def format(self) -> str:
        """Polygon file format."""
        return "ply"

    def digest(self) -> str:
        """Return the SHA-256 of the line ``tratto/scene/1 COUNT``, a line feed, and the points as in the file.

        Each point is 12 bytes of position, IEEE 754 binary32 little-endian, and three of colour.
        """
        state = hashlib.sha256(f"tratto/scene/1 {len(self.positions)}\n".encode())
        state.update(self._rows().tobytes())
        return state.hexdigest()

    def facts(self) -> dict[str, Any]:
        """Return the number of points, and the corners of the box around them."""
        return {
            "scene": {
                "points": len(self.positions),
                "low": [float(v) for v in self.positions.min(axis=0)],
                "high": [float(v) for v in self.positions.max(axis=0)],
            }
        }

    def write(self, path: Path) -> None:
        """Write a binary PLY file, atomically."""
        with atomic_file(path) as f:
            f.write(f"{_PLY.format(len(self.positions))}{_PLY_PROPERTIES}{_PLY_END}".encode("ascii"))
            f.write(self._rows().tobytes())

    @classmethod
    def read(cls, path: Path, points: int) -> Scene:
        """Read a file of :meth:`write`.

        Parameters
        ----------
        path : Path
        points : int
            How many it must hold; nothing is read beyond them.

        Raises
        ------
        InputError
            If it is something else.
        """
        head = f"{_PLY.format(points)}{_PLY_PROPERTIES}{_PLY_END}".encode("ascii")
        try:
            with open(path, "rb") as f:
                if len(head) > _LONGEST_HEADER or f.read(len(head)) != head:
                    raise InputError(f"{path.name} is not a scene of {points} points as Tratto writes it")
                size = f.seek(0, 2) - len(head)
                if size != points * _ROW.itemsize:
                    raise InputError(f"{path.name} must hold {points} points, got {size} bytes of them")
                f.seek(len(head))
                rows = np.frombuffer(f.read(size), _ROW)
        except OSError as e:
            raise InputError(f"{path.name} cannot be read: {e.strerror or e}") from e
        try:
            return cls(rows["at"].astype(np.float32), np.ascontiguousarray(rows["rgb"]))
        except OptionError as e:
            raise InputError(f"{path.name}: {e}") from e

    def _rows(self) -> NDArray[Any]:
        rows = np.empty(len(self.positions), _ROW)
        rows["at"], rows["rgb"] = self.positions, self.colors
        return rows
