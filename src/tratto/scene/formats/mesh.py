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
from tratto.scene.formats.gltf import accessors_of, binary, linear
from tratto.scene.formats.turntable import around


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with a colour at each corner; frame of the scene.

    Attributes
    ----------
    corners : (N, 3) float32
    colors : (N, 3) float32
        Encoded sRGB.
    triangles : (M, 3) uint32
        Counter-clockwise from outside.
    """

    corners: NDArray[np.float32]
    colors: NDArray[np.float32]
    triangles: NDArray[np.uint32]


def surface(scene: Scene, cells: int = 64, side: int = 256) -> Mesh:
    """Return the surface of a scene of one object; what is thinner than a cell is lost.

    Parameters
    ----------
    scene : Scene
    cells : int
        Along the longest side.
    side : int
        Of the pictures of depth, pixels.

    Raises
    ------
    OptionError
        If it has no surface that cameras around it see.
    """
    from tratto.scene.rasterize import render

    low, high = (np.quantile(scene.positions, q, axis=0).astype(np.float64) for q in (0.005, 0.995))
    size = max(float((high - low).max()), 1e-9) / (cells - 8)
    low = low - 4 * size
    shape = np.ceil((high + 4 * size - low) / size).astype(int) + 1
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1).reshape(-1, 3)
    points = low + grid * size
    total, weight = np.zeros(len(points)), np.zeros(len(points))
    color = np.zeros((len(points), 3))
    shade = np.full(len(points), 1e-9)
    views: list[Camera] = [c for e, n in ((15.0, 10), (55.0, 6), (-35.0, 6)) for c in around(scene, n, side, e)]
    for camera in views:
        seen = render(scene, camera)
        at, depth = camera.project(points)
        x, y = (np.clip(at[:, i], 0, side - 1).astype(int) for i in (0, 1))
        alpha = seen.alpha[y, x]
        hit = alpha > 0.5
        apart = np.where(hit, seen.depth[y, x] / np.maximum(alpha, 1e-3) - depth, 4 * size)
        close = apart > -4 * size
        total += np.where(close, np.clip(apart / (4 * size), -1, 1), 0)
        weight += close
        w = np.where(hit, np.exp(-((apart / (1.5 * size)) ** 2)), 0)
        color += w[:, None] * seen.color[y, x] / np.maximum(alpha, 1e-3)[:, None]
        shade += w
    field = np.where(weight > 0, total / np.maximum(weight, 1), -1).reshape(shape)
    colors = (color / shade[:, None]).reshape(*shape, 3)
    corners, triangles = net(field)
    if not len(triangles):
        raise OptionError("no camera around the scene sees a closed surface; export the Gaussians instead")
    near = np.clip(np.round(corners).astype(int), 0, shape - 1)
    picked = np.clip(colors[tuple(near.T)], 0, 1).astype(np.float32)
    return Mesh((low + corners * size).astype(np.float32), picked, triangles)


def net(field: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
    """Return corners (grid units) and triangles where a field changes its sign; above 0 is outside.

    Examples
    --------
    >>> x, y, z = np.mgrid[-4:5, -4:5, -4:5]
    >>> corners, triangles = net(np.sqrt(x**2 + y**2 + z**2) - 2.5)
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
        found += [quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]]
    return corners, np.concatenate(found).astype(np.uint32)


def packed(mesh: Mesh) -> bytes:
    """Return the bytes of a .glb."""
    frame = np.array([-1, -1, 1], np.float32)
    arrays = {
        "POSITION": mesh.corners * frame,
        "COLOR_0": linear(mesh.colors),
        "triangles": mesh.triangles.ravel(),
    }
    primitive = {"attributes": {"POSITION": 0, "COLOR_0": 1}, "indices": 2, "mode": 4, "material": 0}
    # lit already: a viewer's light would shade it a second time
    material = {
        "pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 1}, "doubleSided": True,
        "extensions": {"KHR_materials_unlit": {}},
    }  # fmt: skip
    document = {
        "asset": {"version": "2.0", "generator": "tratto"}, "extensionsUsed": ["KHR_materials_unlit"], "scene": 0,
        "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}], "materials": [material],
        "meshes": [{"primitives": [primitive]}], "accessors": accessors_of(arrays),
    }  # fmt: skip
    return binary(document, arrays)[0]
