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
from tratto.core.hashing import HeldFile
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
            If it cannot be written.
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
    file : Path, HeldFile, bytes or None
        The file it was read from; None: it was an array.
    page : int
        Which page of the file, from 0.
    """

    image: Image
    file: Path | HeldFile | bytes | None = None
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


#: Factor between a colour and the first of its spherical harmonics: half the square root of 1 / pi.
HARMONIC_0 = 0.28209479177387814
#: Coefficients of spherical harmonics by degree.
HARMONICS = {1: 0, 4: 1, 9: 2, 16: 3}
_LONGEST_HEADER = 4096


@dataclass(frozen=True, eq=False)
class Scene:
    """Gaussians in space, as 3D Gaussian splatting has them (Kerbl et al. 2023); x right, y down, z forward.

    Attributes
    ----------
    positions : (N, 3) float32
        Centres; finite.
    rotations : (N, 4) float32
        Quaternions w x y z; finite, of any length above 0.
    scales : (N, 3) float32
        Natural logarithms of the standard deviations along the rotated axes; finite.
    opacities : (N,) float32
        Logits; finite.
    harmonics : (N, K, 3) float32
        Coefficients of real spherical harmonics of red, green and blue (encoded sRGB); K is 1, 4, 9 or 16. A colour
        is their sum at the direction from the camera, plus 0.5.
    seen : (N,) uint8
        1: photographs show it; 0: it is invented.

    Raises
    ------
    OptionError
        If the arrays are of another kind or do not fit each other.

    Examples
    --------
    >>> scene = Scene.of_points(np.zeros((2, 3), np.float32), np.full((2, 3), 255, np.uint8), 0.1)
    >>> scene.facts()["scene"]["gaussians"]
    2
    """

    positions: NDArray[np.float32]
    rotations: NDArray[np.float32]
    scales: NDArray[np.float32]
    opacities: NDArray[np.float32]
    harmonics: NDArray[np.float32]
    seen: NDArray[np.uint8]
    role: ClassVar[str] = "scene"

    def __post_init__(self) -> None:
        count = len(self.positions)
        terms = self.harmonics.shape[1] if self.harmonics.ndim == 3 else 0
        if terms not in HARMONICS:
            raise OptionError(
                f"the harmonics of a scene must be (N, K, 3) with K of 1, 4, 9 or 16, got {self.harmonics.shape}"
            )
        shapes = {
            "positions": (count, 3), "rotations": (count, 4), "scales": (count, 3), "opacities": (count,),
            "harmonics": (count, terms, 3), "seen": (count,),
        }  # fmt: skip
        if not count:
            raise OptionError("a scene needs at least one Gaussian")
        for name, shape in shapes.items():
            values, dtype = getattr(self, name), np.dtype(np.uint8 if name == "seen" else np.float32)
            if values.shape != shape or values.dtype != dtype:
                raise OptionError(f"the {name} of a scene must be {shape} {dtype}, got {values.shape} {values.dtype}")
            if not np.isfinite(values).all():
                raise OptionError(f"the {name} of a scene must be finite")
        if not (np.abs(self.rotations).max(axis=1) > 0).all():
            raise OptionError("the rotations of a scene must be quaternions of a length above 0")
        if self.seen.max() > 1:
            raise OptionError("seen must be 0 or 1")

    def __len__(self) -> int:
        return len(self.positions)

    @classmethod
    def of_points(cls, positions: NDArray[Any], colors: NDArray[Any], size: Any, opacity: float = 0.5) -> Scene:
        """Return round Gaussians at points.

        Parameters
        ----------
        positions : (N, 3) array
            Their centres, in the world's unit.
        colors : (N, 3) uint8, or floats in [0, 1]
            Encoded sRGB.
        size : float or (N,) array
            Standard deviation.
        opacity : float
            In (0, 1).
        """
        count = len(positions)
        rgb = np.asarray(colors, np.float32) / (255 if np.asarray(colors).dtype == np.uint8 else 1)
        turned = np.zeros((count, 4), np.float32)
        turned[:, 0] = 1
        spread = np.broadcast_to(np.asarray(size, np.float32), (count,))
        return cls(
            np.ascontiguousarray(positions, np.float32),
            turned,
            np.repeat(np.log(np.maximum(spread, 1e-12))[:, None], 3, axis=1).astype(np.float32),
            np.full(count, np.log(opacity / (1 - opacity)), np.float32),
            np.ascontiguousarray(((rgb - 0.5) / HARMONIC_0)[:, None], np.float32),
            np.ones(count, np.uint8),
        )

    @property
    def degree(self) -> int:
        """Degree of the spherical harmonics, 0 to 3."""
        return HARMONICS[self.harmonics.shape[1]]

    @property
    def colors(self) -> NDArray[np.float32]:
        """Colours without what depends on the direction, (N, 3), encoded sRGB, mostly in [0, 1]."""
        colors: NDArray[np.float32] = self.harmonics[:, 0] * np.float32(HARMONIC_0) + np.float32(0.5)
        return colors

    @property
    def format(self) -> str:
        """Polygon file format."""
        return "ply"

    def rows(self) -> NDArray[np.float32]:
        """Return one row of a file for each Gaussian, (N, 15 + 3 K) float32; see :func:`ply_properties`."""
        count = len(self)
        rest = self.harmonics[:, 1:].transpose(0, 2, 1).reshape(count, -1)
        columns = (
            self.positions, np.zeros((count, 3)), self.harmonics[:, 0], rest, self.opacities[:, None], self.scales,
            self.rotations, self.seen[:, None],
        )  # fmt: skip
        return np.concatenate([c.astype("<f4") for c in columns], axis=1)

    @classmethod
    def of_rows(cls, rows: NDArray[np.float32]) -> Scene:
        """Return the scene of :meth:`rows`.

        Raises
        ------
        OptionError
            If the rows hold no scene.
        """
        count, terms = len(rows), (rows.shape[1] - 15) // 3
        if terms not in HARMONICS or rows.shape[1] != 15 + 3 * terms:
            raise OptionError(f"a row of a scene holds 18, 27, 42 or 63 numbers, got {rows.shape[1]}")
        if not np.isin(rows[:, -1], (0, 1)).all():
            raise OptionError("seen must be 0 or 1")
        rest = rows[:, 9:-9].reshape(count, 3, terms - 1).transpose(0, 2, 1)
        return cls(
            np.ascontiguousarray(rows[:, :3], np.float32),
            np.ascontiguousarray(rows[:, -5:-1], np.float32),
            np.ascontiguousarray(rows[:, -8:-5], np.float32),
            np.ascontiguousarray(rows[:, -9], np.float32),
            np.ascontiguousarray(np.concatenate([rows[:, None, 6:9], rest], axis=1), np.float32),
            rows[:, -1].astype(np.uint8),
        )

    def digest(self) -> str:
        """Return the SHA-256 of the line ``tratto/scene/2 COUNT K``, a line feed, and the sorted rows of the file.

        Rows are compared byte by byte, so the digest does not depend on the order that Gaussians are kept in.
        """
        rows = self.rows()
        state = hashlib.sha256(f"tratto/scene/2 {len(self)} {self.harmonics.shape[1]}\n".encode())
        state.update(np.sort(rows.view(f"V{rows.itemsize * rows.shape[1]}"), axis=0).tobytes())
        return state.hexdigest()

    def facts(self) -> dict[str, Any]:
        """Return how many Gaussians there are, of what degree, how many were seen, and the box around them."""
        return {
            "scene": {
                "gaussians": len(self),
                "degree": self.degree,
                "seen": int(self.seen.sum()),
                "low": [float(v) for v in self.positions.min(axis=0)],
                "high": [float(v) for v in self.positions.max(axis=0)],
            }
        }

    def write(self, path: Path) -> None:
        """Write a binary PLY file as 3D Gaussian splatting has it, atomically."""
        with atomic_file(path) as f:
            f.write(ply_header(len(self), self.harmonics.shape[1]))
            f.write(self.rows().tobytes())

    @classmethod
    def read(cls, path: Path, gaussians: int, degree: int) -> Scene:
        """Read a file of :meth:`write`.

        Parameters
        ----------
        path : Path
            A PLY file; its header must be the one that Tratto writes.
        gaussians : int
            How many it must hold; nothing is read beyond them.
        degree : int
            Of its spherical harmonics, 0 to 3.

        Raises
        ------
        InputError
            If it is something else.
        """
        terms = (degree + 1) ** 2
        head, width = ply_header(gaussians, terms), 15 + 3 * terms
        try:
            with open(path, "rb") as f:
                if terms not in HARMONICS or len(head) > _LONGEST_HEADER or f.read(len(head)) != head:
                    raise InputError(
                        f"{path.name} is not a scene of {gaussians} Gaussians of degree {degree} as Tratto writes it"
                    )
                size = f.seek(0, 2) - len(head)
                if size != gaussians * width * 4:
                    raise InputError(f"{path.name} must hold {gaussians} Gaussians, got {size} bytes of them")
                f.seek(len(head))
                rows = np.frombuffer(f.read(size), "<f4").reshape(gaussians, width)
        except OSError as e:
            raise InputError(f"{path.name} cannot be read: {e.strerror or e}") from e
        try:
            return cls.of_rows(rows)
        except OptionError as e:
            raise InputError(f"{path.name}: {e}") from e


def ply_properties(terms: int) -> list[str]:
    """Return the properties of a Gaussian in a file, by the number of its harmonics of one colour.

    Those of 3D Gaussian splatting, the higher harmonics of red first, then green, then blue; normals are 0; and
    ``seen``, which other programs pass over.

    Examples
    --------
    >>> ply_properties(1)[-5:]
    ['rot_0', 'rot_1', 'rot_2', 'rot_3', 'seen']
    """
    rest = [f"f_rest_{i}" for i in range(3 * (terms - 1))]
    numbered = [f"{name}_{i}" for name, n in (("scale", 3), ("rot", 4)) for i in range(n)]
    return [*"xyz", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *rest, "opacity", *numbered, "seen"]


def ply_header(count: int, terms: int) -> bytes:
    """Return the header of a scene's file."""
    properties = "".join(f"property float {name}\n" for name in ply_properties(terms))
    return f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n{properties}end_header\n".encode("ascii")
