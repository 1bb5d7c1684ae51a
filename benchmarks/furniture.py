"""Ground truth for scenes: textured models of Debian's package sweethome3d-furniture, rendered by casting rays.

Get the package with ``apt-get download sweethome3d-furniture``, unpack it with ``dpkg -x``, and name the folder that
holds its .sh3f files. Shading does not depend on the camera: 0.65 of the texture, and 0.35 by one fixed light.
"""

from __future__ import annotations

import re
import tempfile
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import trimesh
from trimesh.ray.ray_pyembree import RayMeshIntersector

from tratto.scene.camera import Camera, orbit
from tratto.scene.views import View

#: Collection and model: textured, of several shapes, no glass; none was looked at while settings were chosen but the
#: chicken.
MODELS = (
    ("BlendSwap-CC-0", "blendswap-cc-0/tetrapak/tetrapak.obj"),
    ("BlendSwap-CC-0", "blendswap-cc-0/osakaChair/osakaChair.obj"),
    ("BlendSwap-CC-BY", "blendswap-cc-by/kitchenScale/kitchenScale.obj"),
    ("BlendSwap-CC-BY", "blendswap-cc-by/sofa3/sofa3.obj"),
    ("Reallusion", "reallusion/girlStanding/girlStanding.obj"),
    ("Scopia", "scopia/jar/jar.obj"),
    ("KatorLegaz", "katorlegaz/trunk-large/trunk-large.obj"),
    ("BlendSwap-CC-0", "blendswap-cc-0/chicken/chicken.obj"),
)
_LIGHT = np.array([0.4, -0.8, -0.45]) / np.linalg.norm([0.4, -0.8, -0.45])


def models_of(folder: Path, collection: str) -> list[str]:
    """Return the names of a collection's models."""
    with zipfile.ZipFile(folder / f"{collection}.sh3f") as z:
        text = z.read("PluginFurnitureCatalog.properties").decode("latin-1")
    return sorted(set(re.findall(r"^model#\d+=/(.+\.obj)$", text, re.M)))


@dataclass(eq=False)
class Model:
    """A mesh with a colour at every hit; its longest side is 1, its middle the origin, y down."""

    mesh: trimesh.Trimesh
    parts: list[trimesh.Trimesh]
    first: np.ndarray

    def __post_init__(self) -> None:
        self.rays = RayMeshIntersector(self.mesh)

    @classmethod
    def read(cls, folder: Path, collection: str, obj: str) -> Model:
        """Read a model of a collection."""
        with tempfile.TemporaryDirectory() as there, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with zipfile.ZipFile(folder / f"{collection}.sh3f") as z:
                inside = str(PurePosixPath(obj).parent) + "/"
                z.extractall(there, [n for n in z.namelist() if n.startswith(inside)])
            loaded = trimesh.load(Path(there) / obj, force="scene", process=False)
            parts = [g for g in loaded.dump() if isinstance(g, trimesh.Trimesh) and len(g.faces)]
            for part in parts:  # textures are read while their files are there
                image = getattr(getattr(part.visual, "material", None), "image", None)
                if image is not None:
                    image.load()
        low = np.min([p.bounds[0] for p in parts], axis=0)
        high = np.max([p.bounds[1] for p in parts], axis=0)
        for part in parts:
            part.vertices = (part.vertices - (low + high) / 2) / (high - low).max() * (1, -1, -1)
        mesh = trimesh.util.concatenate([trimesh.Trimesh(p.vertices, p.faces, process=False) for p in parts])
        return cls(mesh, parts, np.cumsum([0, *(len(p.faces) for p in parts)]))

    def _colors(self, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
        out = np.full((len(faces), 3), 0.7)
        for k, part in enumerate(self.parts):
            chosen = np.flatnonzero((faces >= self.first[k]) & (faces < self.first[k + 1]))
            if not len(chosen):
                continue
            material, uv = getattr(part.visual, "material", None), getattr(part.visual, "uv", None)
            image = getattr(material, "image", None)
            if image is not None and uv is not None:
                corners = part.faces[faces[chosen] - self.first[k]]
                weights = trimesh.triangles.points_to_barycentric(part.vertices[corners], points[chosen])
                at = (np.nan_to_num(weights)[..., None] * uv[corners]).sum(axis=1)
                px = np.asarray(image.convert("RGB"))
                x = (np.mod(at[:, 0], 1) * px.shape[1]).astype(int) % px.shape[1]
                y = (np.mod(1 - at[:, 1], 1) * px.shape[0]).astype(int) % px.shape[0]
                out[chosen] = px[y, x] / 255
            elif getattr(material, "diffuse", None) is not None:
                out[chosen] = np.asarray(material.diffuse)[:3] / 255
        return out

    def view(self, camera: Camera, finer: int = 3) -> View:
        """Return a photograph, with ``finer`` squared rays for each pixel."""
        large = camera.resized(camera.width * finer, camera.height * finer)
        y, x = np.mgrid[0 : large.height, 0 : large.width] + 0.5
        rays = np.stack([(x - large.cx) / large.fx, (y - large.cy) / large.fy, np.ones_like(x)], axis=-1) @ large.r
        rays = rays.reshape(-1, 3) / np.linalg.norm(rays, axis=-1).reshape(-1, 1)
        start = np.broadcast_to(large.center, rays.shape)
        faces = self.rays.intersects_first(start, rays)
        hit = np.flatnonzero(faces >= 0)
        normals, corners = self.mesh.face_normals[faces[hit]], self.mesh.triangles[faces[hit], 0]
        along = np.einsum("nj,nj->n", corners - start[hit], normals) / np.einsum("nj,nj->n", rays[hit], normals)
        colors = self._colors(faces[hit], start[hit] + along[:, None] * rays[hit])
        facing = normals * -np.sign(np.einsum("nj,nj->n", rays[hit], normals))[:, None]
        colors = colors * (0.65 + 0.35 * np.clip(facing @ _LIGHT, 0, 1))[:, None]
        rgba = np.zeros((len(rays), 4))
        rgba[hit, :3], rgba[hit, 3] = np.nan_to_num(colors), 1
        rgba = rgba.reshape(camera.height, finer, camera.width, finer, 4).mean(axis=(1, 3))
        alpha = rgba[..., 3]
        color = rgba[..., :3] / np.maximum(alpha, 1e-6)[..., None]
        return View(camera, color.astype(np.float32), alpha.astype(np.float32))


def ring(side: int, count: int, elevation: float, turned: float = 0.0) -> tuple[Camera, ...]:
    """Return cameras around the origin at a distance of 2."""
    azimuths = np.arange(count) * 360 / count + turned
    return orbit((0, 0, 0), 2.0, azimuths, elevation, (side, side), 1.6 * side)
