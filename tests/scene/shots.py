"""A small object whose photographs cost nothing, and captures of it as other programs write them."""

import json
import struct

import numpy as np
from PIL import Image

from tratto.core.artifact import Scene
from tratto.scene.camera import orbit
from tratto.scene.rasterize import render
from tratto.scene.views import View


def truth(seed=0):
    """A ball of many colours, and what stands on it."""
    rng = np.random.default_rng(seed)
    at = rng.normal(size=(400, 3))
    at *= 0.3 / np.linalg.norm(at, axis=1, keepdims=True)
    at[:40] = rng.uniform(-0.08, 0.08, (40, 3)) + np.array([0, -0.4, 0])
    return Scene.of_points(at, np.clip(0.5 + 1.5 * at[:, [0, 1, 2]], 0, 1), 0.05, 0.95)


def photographs(cameras):
    views = []
    for camera in cameras:
        seen = render(truth(), camera)
        color = np.clip(seen.color / np.maximum(seen.alpha, 1e-3)[..., None], 0, 1).astype(np.float32)
        views.append(View(camera, color, seen.alpha))
    return views


def ring():
    """Cameras around it."""
    size = (48, 48)
    return [
        *orbit((0, 0, 0), 2, np.arange(6) * 60.0, 15, size, 80.0),
        *orbit((0, 0, 0), 2, [30, 150, 270], 50, size, 80.0),
    ]


def write_photographs(folder, views, transparent=True):
    (folder / "images").mkdir(parents=True)
    for i, view in enumerate(views):
        parts = [view.color, view.alpha[..., None]] if transparent else [view.over((0.3, 0.4, 0.5))]
        px = np.round(np.clip(np.concatenate(parts, axis=2), 0, 1) * 255).astype(np.uint8)
        Image.fromarray(px).save(folder / "images" / f"p{i}.png")


def write_transforms(folder, views, transparent=True):
    """As Blender and nerfstudio have it: z up, cameras that look along -z."""
    write_photographs(folder, views, transparent)
    world = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    frames = []
    for i, view in enumerate(views):
        pose = np.eye(4)
        pose[:3, :3] = (view.camera.r @ world).T @ np.diag([1.0, -1, -1])
        pose[:3, 3] = world.T @ view.camera.center
        frames.append({"file_path": f"./images/p{i}", "transform_matrix": pose.tolist()})
    camera = views[0].camera
    data = {"fl_x": camera.fx, "w": camera.width, "h": camera.height, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(data))


def quaternion(r):
    w = np.sqrt(max(0, 1 + np.trace(r))) / 2
    if w > 0.1:
        return [w, *(np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]]) / (4 * w))]
    values, vectors = np.linalg.eigh((r + r.T) / 2)
    axis = vectors[:, np.argmax(values)]
    best = []
    for sign in (1, -1):
        q = np.array([sign * w, *axis * np.sqrt(1 - w * w)])
        best.append((np.abs(matrix(q) - r).max(), q.tolist()))
    return min(best)[1]


def matrix(q):
    w, x, y, z = q
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def write_colmap(folder, views, binary, transparent=True, model=0):
    """COLMAP's files, text or binary, with the points of the object."""
    write_photographs(folder, views, transparent)
    place = folder / "sparse" / "0"
    place.mkdir(parents=True)
    c = views[0].camera
    points = truth().positions.astype(float)
    colors = np.round(np.clip(truth().colors, 0, 1) * 255).astype(int)
    poses = [(*map(float, quaternion(v.camera.r)), *map(float, v.camera.t)) for v in views]
    if not binary:
        (place / "cameras.txt").write_text(f"# cameras\n1 SIMPLE_PINHOLE {c.width} {c.height} {c.fx} {c.cx} {c.cy}\n")
        lines = [f"{i + 1} {' '.join(map(repr, p))} 1 p{i}.png\n\n" for i, p in enumerate(poses)]
        (place / "images.txt").write_text("# images\n" + "".join(lines))
        both = np.concatenate([points, colors], axis=1)
        rows = [f"{i} {x} {y} {z} {int(r)} {int(g)} {int(b)} 0.5\n" for i, (x, y, z, r, g, b) in enumerate(both)]
        (place / "points3D.txt").write_text("".join(rows))
        return
    numbers = [c.fx, c.cx, c.cy] + [0.0] * (model == 2)
    data = struct.pack("<QiiQQ", 1, 1, model, c.width, c.height) + struct.pack(f"<{len(numbers)}d", *numbers)
    (place / "cameras.bin").write_bytes(data)
    data = struct.pack("<Q", len(poses))
    for i, pose in enumerate(poses):
        data += struct.pack("<i7di", i + 1, *pose, 1) + f"p{i}.png".encode() + b"\0" + struct.pack("<Q", 1) + bytes(24)
    (place / "images.bin").write_bytes(data)
    data = struct.pack("<Q", len(points))
    for i, (p, rgb) in enumerate(zip(points, colors, strict=True)):
        data += struct.pack("<Q3d3BdQ", i, *p, *map(int, rgb), 0.5, 1) + bytes(8)
    (place / "points3D.bin").write_bytes(data)
