"""A surface from Gaussians: their depths fused into a signed distance, and a net laid where it changes its sign.

Curless and Levoy 1996, "A volumetric method for building complex models from range images"; Gibson 1998, "Constrained
elastic surface nets".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import Scene
from tratto.core.errors import OptionError
from tratto.scene.camera import Camera
from tratto.scene.formats.gltf import accessors_of, binary
from tratto.scene.formats.turntable import around

#: Texels along a side of each quadrilateral of the texture.
TEXELS = 6
#: Most points that are coloured at once.
AT_ONCE = 200_000


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with a texture; frame of the scene.

    Attributes
    ----------
    corners : (N, 3) float32
        Four for each quadrilateral; those of neighbours lie on each other.
    places : (N, 2) float32
        Of each corner in the texture, in [0, 1] from its top left.
    texture : (H, W, 3) uint8
        Encoded sRGB.
    triangles : (M, 3) uint32
        Counter-clockwise from outside.
    """

    corners: NDArray[np.float32]
    places: NDArray[np.float32]
    texture: NDArray[np.uint8]
    triangles: NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class _View:
    """A rendering from around, as depths and colours are read from it."""

    camera: Camera
    depth: NDArray[np.float64]
    color: NDArray[np.float32]
    hit: NDArray[np.bool_]

    def of(self, points: NDArray[np.float64], size: float) -> tuple[NDArray[np.float64], ...]:
        """Return how far points lie before what is seen where they are, ``4 size`` where nothing is; and its colour."""
        at, depth = self.camera.project(points)
        height, width = self.hit.shape
        x, y = np.clip(at[:, 0], 0, width - 1).astype(int), np.clip(at[:, 1], 0, height - 1).astype(int)
        hit = self.hit[y, x]
        return np.where(hit, self.depth[y, x] - depth, 4 * size), hit, self.color[y, x]


def _views(scene: Scene, side: int) -> list[_View]:
    from tratto.scene.rasterize import render

    made = []
    for camera in [c for e, n in ((15.0, 10), (55.0, 6), (-35.0, 6)) for c in around(scene, n, side, e)]:
        seen = render(scene, camera)
        part = np.maximum(seen.alpha, 1e-3)
        made.append(_View(camera, seen.depth / part, seen.color / part[..., None], seen.alpha > 0.5))
    return made


def _colored(points: NDArray[np.float64], views: list[_View], size: float) -> NDArray[np.float64]:
    """Return the colours of points on a surface, (N, 3): of the views that see them, by how near they lie."""
    out = np.empty((len(points), 3))
    for k in range(0, len(points), AT_ONCE):
        part = points[k : k + AT_ONCE]
        color, shade = np.zeros((len(part), 3)), np.full(len(part), 1e-9)
        for view in views:
            apart, hit, seen = view.of(part, size)
            w = np.where(hit, np.exp(-((apart / (1.5 * size)) ** 2)), 0)
            color += w[:, None] * seen
            shade += w
        out[k : k + AT_ONCE] = np.clip(color / shade[:, None], 0, 1)
    return out


def surface(scene: Scene, cells: int = 64, side: int = 256) -> Mesh:
    """Return the surface of a scene of one object with its texture; what is thinner than a cell is lost.

    Parameters
    ----------
    scene : Scene
        Of one object.
    cells : int
        Along the longest side.
    side : int
        Of the pictures of depth, pixels.

    Raises
    ------
    OptionError
        If it has no surface that cameras around it see.
    """
    low, high = (np.quantile(scene.positions, q, axis=0).astype(np.float64) for q in (0.005, 0.995))
    size = max(float((high - low).max()), 1e-9) / (cells - 8)
    low = low - 4 * size
    shape = np.ceil((high + 4 * size - low) / size).astype(int) + 1
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1).reshape(-1, 3)
    points = low + grid * size
    total, weight = np.zeros(len(points)), np.zeros(len(points))
    views = _views(scene, side)
    for view in views:
        apart = view.of(points, size)[0]
        close = apart > -4 * size
        total += np.where(close, np.clip(apart / (4 * size), -1, 1), 0)
        weight += close
    field = np.where(weight > 0, total / np.maximum(weight, 1), -1).reshape(shape)
    corners, quads = net(field)
    if not len(quads):
        raise OptionError("no camera around the scene sees a closed surface; export the Gaussians instead")
    return _textured((low + corners * size)[quads], views, size)


def _textured(quads: NDArray[np.float64], views: list[_View], size: float) -> Mesh:
    """Lay each quadrilateral, (Q, 4, 3), into a square of the texture."""
    columns = int(np.ceil(np.sqrt(len(quads))))
    rows = -(-len(quads) // columns)
    t = np.linspace(0, 1, TEXELS)
    u, v = (a.ravel()[None, :, None] for a in np.meshgrid(t, t))
    first, second, third, fourth = (quads[:, None, k] for k in range(4))
    points = (1 - v) * ((1 - u) * first + u * second) + v * ((1 - u) * fourth + u * third)
    colors = np.zeros((rows * columns, TEXELS, TEXELS, 3))
    colors[: len(quads)] = _colored(points.reshape(-1, 3), views, size).reshape(-1, TEXELS, TEXELS, 3)
    atlas = colors.reshape(rows, columns, TEXELS, TEXELS, 3).swapaxes(1, 2).reshape(rows * TEXELS, columns * TEXELS, 3)
    # corners lie on the middles of the outermost texels, so that nothing of a neighbour is mixed in
    inner = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (TEXELS - 1) + 0.5
    number = np.arange(len(quads))
    square = np.stack([number % columns, number // columns], axis=1)[:, None] * TEXELS
    places = (square + inner) / np.array([columns * TEXELS, rows * TEXELS])
    both = np.array([[0, 1, 2], [0, 2, 3]])
    triangles = (4 * number[:, None, None] + both).reshape(-1, 3)
    return Mesh(
        quads.reshape(-1, 3).astype(np.float32), places.reshape(-1, 2).astype(np.float32),
        np.rint(255 * atlas).astype(np.uint8), triangles.astype(np.uint32),
    )  # fmt: skip


def net(field: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
    """Return corners (grid units) and the four of each piece where a field changes its sign; above 0 is outside.

    Examples
    --------
    >>> x, y, z = np.mgrid[-4:5, -4:5, -4:5]
    >>> corners, quads = net(np.sqrt(x**2 + y**2 + z**2) - 2.5)
    >>> bool(abs(np.linalg.norm(corners - 4, axis=1) - 2.5).max() < 0.2)
    True
    """
    inside = field <= 0
    cube = tuple(n - 1 for n in field.shape)
    total, count = np.zeros((*cube, 3)), np.zeros(cube)
    crossings = []
    for axis in range(3):
        a = [slice(None)] * 3
        b = [slice(None)] * 3
        a[axis], b[axis] = slice(None, -1), slice(1, None)
        low, high = field[tuple(a)], field[tuple(b)]
        cut = inside[tuple(a)] != inside[tuple(b)]
        share = np.where(cut, low / np.where(cut, low - high, 1), 0)
        crossings.append((cut, inside[tuple(a)]))
        # each edge that is cut pulls at the corners of the four cubes around it
        others = [i for i in range(3) if i != axis]
        place = np.stack(np.meshgrid(*(np.arange(n) for n in cut.shape), indexing="ij"), axis=-1).astype(float)
        place[..., axis] += share
        for i in (0, 1):
            for j in (0, 1):
                edge = [slice(None)] * 3
                target = [slice(None)] * 3
                for k, shift in zip(others, (i, j), strict=True):
                    edge[k] = slice(shift, field.shape[k] - 1 + shift)
                part = cut[tuple(edge)]
                total[tuple(target)] += np.where(part[..., None], place[tuple(edge)], 0)
                count[tuple(target)] += part
    used = count > 0
    number = np.cumsum(used.ravel()).reshape(cube) - 1
    corners = total[used] / count[used][:, None]
    found = []
    for axis, (cut, first_inside) in enumerate(crossings):
        u, v = [i for i in range(3) if i != axis]
        at = np.argwhere(cut)
        at = at[(at[:, u] > 0) & (at[:, v] > 0) & (at[:, u] < cube[u]) & (at[:, v] < cube[v])]
        ring = []
        for du, dv in ((-1, -1), (0, -1), (0, 0), (-1, 0)):
            cell = at.copy()
            cell[:, u] += du
            cell[:, v] += dv
            ring.append(number[tuple(cell.T)])
        quad = np.stack(ring, axis=1)
        # around y the other two axes stand in the opposite order
        turned = first_inside[tuple(at.T)] ^ (axis == 1)
        quad = np.where(turned[:, None], quad, quad[:, ::-1])
        found.append(quad)
    return corners, np.concatenate(found).astype(np.uint32)


def packed(mesh: Mesh) -> bytes:
    """Return the bytes of a .glb; its texture is a PNG in it."""
    import io

    from PIL import Image as Pil

    frame = np.array([-1, -1, 1], np.float32)
    arrays = {
        "POSITION": mesh.corners * frame,
        "TEXCOORD_0": mesh.places,
        "triangles": mesh.triangles.ravel(),
    }
    held = io.BytesIO()
    Pil.fromarray(mesh.texture).save(held, "png")
    picture = np.frombuffer(held.getvalue(), np.uint8)
    primitive = {"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "mode": 4, "material": 0}
    # lit already: a viewer's light would shade it a second time
    material = {
        "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0, "roughnessFactor": 1},
        "doubleSided": True, "extensions": {"KHR_materials_unlit": {}},
    }  # fmt: skip
    document = {
        "asset": {"version": "2.0", "generator": "tratto"}, "extensionsUsed": ["KHR_materials_unlit"], "scene": 0,
        "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}], "materials": [material],
        "meshes": [{"primitives": [primitive]}], "accessors": accessors_of(arrays),
        "images": [{"bufferView": len(arrays), "mimeType": "image/png"}],
        # linear, without smaller copies, in which neighbours in the texture would run into each other
        "samplers": [{"magFilter": 9729, "minFilter": 9729, "wrapS": 33071, "wrapT": 33071}],
        "textures": [{"source": 0, "sampler": 0}],
    }  # fmt: skip
    return binary(document, {**arrays, "picture": picture})[0]
