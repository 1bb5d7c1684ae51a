"""Models of things in the packages of Sweet Home 3D, seen by casting rays: what is in front, and what lies behind it.

Debian's package ``sweethome3d-furniture`` holds some 820 textured models under CC0 and CC-BY-3.0 in five collections,
each a ``.sh3f`` file: a zip with a catalogue that names every model and who made it. Needs ``trimesh`` and ``embreex``
(``pip install trimesh embreex``; MIT and Apache-2.0).
"""

from __future__ import annotations

import copy
import io
import re
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, UnavailableError

Float = NDArray[np.float64]
#: The catalogue of a collection, inside its file.
CATALOGUE = "PluginFurnitureCatalog.properties"
#: Surfaces that let more than half of the light through are not seen, at most so many behind each other.
_CLEAR = 6


@dataclass(frozen=True)
class Thing:
    """One model of a collection.

    Attributes
    ----------
    collection : str
        Name of its file without the ending.
    path : str
        Of the .obj inside the file.
    title, author, licence : str
        As the catalogue has them.
    """

    collection: str
    path: str
    title: str
    author: str
    licence: str

    @property
    def name(self) -> str:
        """Collection and name, such as ``Scopia/chair2``."""
        return f"{self.collection}/{PurePosixPath(self.path).stem}"

    @property
    def family(self) -> str:
        """What models of one design share: the name up to its first digit, in small letters.

        Examples
        --------
        >>> Thing("Scopia", "scopia/car2/car2.obj", "Car", "Scopia", "CC-BY-3.0").family
        'car'
        """
        stem = PurePosixPath(self.path).stem.lower()
        return re.split(r"[\d_-]", stem.lstrip("0123456789_-"))[0] or stem


def things_in(file: Path) -> tuple[Thing, ...]:
    """Return the models that a collection's catalogue names, by path.

    Parameters
    ----------
    file : Path
        A ``.sh3f``.

    Raises
    ------
    InputError
        If it is no such file.
    """
    try:
        with zipfile.ZipFile(file) as z:
            text = z.read(CATALOGUE).decode("latin-1")
            names = set(z.namelist())
    except (OSError, KeyError, zipfile.BadZipFile) as e:
        raise InputError(f"{file} is no collection of Sweet Home 3D: {e}") from e
    fields = dict(re.findall(r"^([\w#]+)\s*=\s*(.*?)\s*$", text, re.M))
    out = {}
    for key, path in fields.items():
        number = re.fullmatch(r"model#(\d+)", key)
        path = path.lstrip("/")
        if number is None or not path.endswith(".obj") or path not in names:
            continue
        title, author = (_unescaped(fields.get(f"{k}#{number[1]}", "")) for k in ("name", "creator"))
        out[path] = Thing(file.stem, path, title, author, _unescaped(fields.get("license", "")))
    return tuple(out[p] for p in sorted(out))


def _unescaped(text: str) -> str:
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), text)


@dataclass(frozen=True, eq=False)
class Hits:
    """Where rays meet a model first.

    Attributes
    ----------
    ray : (N,) int64
        Which rays meet it at all.
    points, normals : (N, 3) float64
        Normals point against the ray.
    colors : (N, 3) float64
        Of the surface, without light; encoded sRGB in [0, 1].
    """

    ray: NDArray[np.int64]
    points: Float
    normals: Float
    colors: Float


class Model:
    """A mesh with its textures; its longest side is 1, its middle the origin, y down.

    Parameters
    ----------
    parts : list of trimesh.Trimesh
        Y up, as files have it.

    Attributes
    ----------
    sides : (3,) float64
        Extent along each axis.
    corners : (8, 3) float64
        Of the box around it.
    vertices : (N, 3) float64
        Corners of its faces, those of all parts one after the other.
    """

    def __init__(self, parts: list[Any]) -> None:
        low = np.min([p.bounds[0] for p in parts], axis=0)
        high = np.max([p.bounds[1] for p in parts], axis=0)
        scale = float((high - low).max())
        vertices = [(p.vertices - (low + high) / 2) / scale * (1, -1, -1) for p in parts]
        starts = np.cumsum([0, *(len(v) for v in vertices)])
        faces = np.concatenate([p.faces + s for p, s in zip(parts, starts, strict=False)])
        self.sides = (high - low) / scale
        self.vertices = np.concatenate(vertices)
        self._part = np.repeat(np.arange(len(parts)), [len(p.faces) for p in parts])
        self._stand(faces)
        self._paint(parts)
        # normals of the file: a lathe's and a cushion's; where there are none, each face has its own
        own = [np.asarray(p.vertex_normals) if _has_normals(p) else np.zeros((len(p.vertices), 3)) for p in parts]
        self._smooth = np.concatenate(own) * (1, -1, -1)

    def _stand(self, faces: NDArray[np.int64]) -> None:
        """Make of the vertices what rays can meet."""
        import trimesh
        from trimesh.ray.ray_pyembree import RayMeshIntersector

        self.corners = np.array(np.meshgrid(*[(-s / 2, s / 2) for s in self.sides])).reshape(3, -1).T
        self._mesh = trimesh.Trimesh(self.vertices, faces, process=False)
        self._faces, self._triangles = faces, self._mesh.triangles.view(np.ndarray)
        self._flat = np.asarray(self._mesh.face_normals)
        self._rays = RayMeshIntersector(self._mesh)

    def moved(self, where: Callable[[Float], Float]) -> Model:
        """Return the model with every point of space moved, its longest side 1 and its middle the origin again.

        Parameters
        ----------
        where : callable
            (N, 3) -> (N, 3): where points come to lie; smooth, and no two at one place.
        """
        other = copy.copy(self)
        vertices = where(self.vertices)
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        scale = float((high - low).max())
        other.vertices, other.sides = (vertices - (low + high) / 2) / scale, (high - low) / scale
        step = 1e-3 * np.eye(3)
        slopes = np.stack([(where(self.vertices + s) - where(self.vertices - s)) / 2e-3 for s in step], axis=1)
        smooth = np.linalg.solve(slopes, self._smooth[..., None])[..., 0]  # normals go by the inverse transposed
        length = np.linalg.norm(smooth, axis=1, keepdims=True)
        other._smooth = np.where(length > 0, smooth / np.maximum(length, 1e-9), 0)
        other._stand(self._faces)
        return other

    def _paint(self, parts: list[Any]) -> None:
        """Lay all textures one after the other."""
        texels, self._base, self._size, self._begin, uv = [], [], [], [], []
        offset = 0
        for part in parts:
            material = getattr(part.visual, "material", None)
            image, at = getattr(material, "image", None), getattr(part.visual, "uv", None)
            plain = np.asarray(getattr(material, "diffuse", None) if material is not None else None)
            base = np.array([179, 179, 179, 255.0]) if plain.shape not in ((3,), (4,)) else np.resize(plain, 4)
            if plain.shape == (3,):
                base[3] = 255
            picture = None if image is None or at is None else np.asarray(image.convert("RGBA"))
            self._base.append(base / 255)
            self._begin.append(offset if picture is not None else -1)
            self._size.append((1, 1) if picture is None else picture.shape[:2])
            if picture is not None:
                texels.append(picture.reshape(-1, 4))
                offset += picture.shape[0] * picture.shape[1]
            uv.append(np.zeros((len(part.vertices), 2)) if at is None else np.asarray(at)[:, :2])
        self._uv = np.concatenate(uv)
        self._texels = np.concatenate(texels) if texels else np.zeros((1, 4), np.uint8)
        self._colors, self._sizes, self._begins = map(np.array, (self._base, self._size, self._begin))

    @classmethod
    def read(cls, folder: Path, thing: Thing) -> Model:
        """Read a model of a collection in a folder.

        Raises
        ------
        UnavailableError
            If trimesh or embreex is not installed.
        InputError
            If it has no surface, or cannot be read.
        """
        try:
            import embreex  # noqa: F401
            import trimesh
        except ModuleNotFoundError as e:
            raise UnavailableError("models are seen through trimesh and embreex: pip install trimesh embreex") from e
        with tempfile.TemporaryDirectory() as there, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with zipfile.ZipFile(folder / f"{thing.collection}.sh3f") as z:
                    inside = str(PurePosixPath(thing.path).parent) + "/"
                    z.extractall(there, [n for n in z.namelist() if n.startswith(inside)])
                loaded = trimesh.load(Path(there) / thing.path, force="scene", process=False)
                parts = [g for g in loaded.dump() if isinstance(g, trimesh.Trimesh) and len(g.faces)]
                for part in parts:  # textures are read while their files are there
                    image = getattr(getattr(part.visual, "material", None), "image", None)
                    if image is not None:
                        image.load()
                return cls(parts)
            except Exception as e:  # whatever a broken model makes a reader raise
                raise InputError(f"{thing.name} cannot be read: {type(e).__name__}: {e}") from e

    def cast(self, start: Float, rays: Float) -> Hits:
        """Return where rays first meet a surface that is not clear.

        Parameters
        ----------
        start, rays : (N, 3) float64
            Rays of length 1.
        """
        left, begin = np.arange(len(rays)), start
        found: list[tuple[Any, ...]] = []
        for _ in range(_CLEAR):
            faces = self._rays.intersects_first(begin, rays[left])
            hit = np.flatnonzero(faces >= 0)
            if not len(hit):
                break
            faces, left, begin = faces[hit], left[hit], begin[hit]
            way = rays[left]
            flat = self._flat[faces]
            slope = np.einsum("nj,nj->n", way, flat)
            slope = np.where(np.abs(slope) < 1e-9, 1e-9, slope)
            along = np.einsum("nj,nj->n", self._triangles[faces, 0] - begin, flat) / slope
            points = begin + along[:, None] * way
            colors, normals = self._surface(faces, points, flat)
            normals = normals * -np.sign(slope)[:, None]
            solid = colors[:, 3] > 0.5
            found.append((left[solid], points[solid], normals[solid], colors[solid, :3]))
            left, begin = left[~solid], points[~solid] + 1e-4 * way[~solid]
            if not len(left):
                break
        if not found:
            return Hits(np.zeros(0, np.int64), *(np.zeros((0, 3)) for _ in range(3)))
        return Hits(*(np.concatenate([f[k] for f in found]) for k in range(4)))

    def _surface(self, faces: NDArray[Any], points: Float, flat: Float) -> tuple[Float, Float]:
        a, b, c = (self._triangles[faces, k] for k in range(3))
        ab, ac, ap = b - a, c - a, points - a
        d00, d01, d11 = (np.einsum("nj,nj->n", x, y) for x, y in ((ab, ab), (ab, ac), (ac, ac)))
        d20, d21 = (np.einsum("nj,nj->n", ap, x) for x in (ab, ac))
        area = np.maximum(d00 * d11 - d01 * d01, 1e-30)
        v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
        weights = np.stack([1 - v - w, v, w], axis=1)
        corners = self._faces[faces]
        part = self._part[faces]
        colors = self._colors[part].astype(np.float64)
        begin = self._begins[part]
        painted = begin >= 0
        at = np.einsum("nk,nkj->nj", weights[painted], self._uv[corners[painted]])
        at = np.nan_to_num(at, posinf=0, neginf=0)
        rows, columns = self._sizes[part[painted]].T
        x = np.minimum((np.mod(at[:, 0], 1) * columns).astype(np.int64), columns - 1)
        y = np.minimum((np.mod(1 - at[:, 1], 1) * rows).astype(np.int64), rows - 1)
        colors[painted] = self._texels[begin[painted] + y * columns + x] / 255
        normals = np.einsum("nk,nkj->nj", weights, self._smooth[corners])
        length = np.linalg.norm(normals, axis=1)
        # a normal that hardly fits its face is a mistake of the file
        good = (length > 0.5) & (np.abs(np.einsum("nj,nj->n", normals, flat)) > 0.5 * length)
        same = np.sign(np.einsum("nj,nj->n", normals, flat))
        unit = normals * (same / np.maximum(length, 1e-9))[:, None]
        return colors, np.where(good[:, None], unit, flat)


def _has_normals(part: Any) -> bool:
    return "vertex_normals" in part._cache.cache


def license_note(things: tuple[Thing, ...]) -> str:
    """Return who made what, by collection and licence, for a card: authors by the number of their models."""
    out = io.StringIO()
    for collection in sorted({t.collection for t in things}):
        own = [t for t in things if t.collection == collection]
        authors = sorted({t.author or "not named" for t in own})
        out.write(f"{collection} ({own[0].licence}; {len(own)} models): {', '.join(authors)}\n")
    return out.getvalue()
