"""Photographs with their cameras as other programs hand them over: COLMAP, text or binary, and transforms.json.

What is read is bounded by the size of its file, and no photograph outside the folder is named by it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, OptionError
from tratto.scene.camera import Camera

#: Largest file of cameras or points, bytes.
LARGEST_FILE = 1 << 29
#: Most photographs of a capture.
MOST_PHOTOS = 10_000
#: COLMAP's models of cameras: number, name, numbers of a camera; how these are read, see ``_lens``.
_MODELS = {0: ("SIMPLE_PINHOLE", 3), 1: ("PINHOLE", 4), 2: ("SIMPLE_RADIAL", 4), 3: ("RADIAL", 5), 4: ("OPENCV", 8)}
_EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")


@dataclass(frozen=True)
class Shot:
    """One photograph of a capture.

    Attributes
    ----------
    path : Path
        The file, below the capture's folder.
    camera : Camera
        Without distortion; of the size that the photograph has.
    distortion : tuple of 4 float
        k1, k2, p1, p2 of Brown 1966 as OpenCV has them; all 0: none.
    """

    path: Path
    camera: Camera
    distortion: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Capture:
    """What a folder holds.

    Attributes
    ----------
    shots : tuple of Shot
        By name.
    kind : str
        ``"colmap"`` or ``"transforms"``.
    points : (N, 3) float64
        What was measured in space; perhaps none.
    colors : (N, 3) uint8
        Of each point, encoded sRGB.
    """

    shots: tuple[Shot, ...]
    kind: str
    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    colors: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 3), np.uint8))


def read_capture(folder: Path) -> Capture:
    """Read the cameras of a folder; the world is turned so that up is up.

    Parameters
    ----------
    folder : Path
        With ``transforms.json`` (or ``transforms_train.json``), or with COLMAP's cameras, images and points3D in
        ``sparse/0``, ``sparse`` or itself, and the photographs beside them or in ``images``.

    Raises
    ------
    InputError
        If there is neither, or it is broken, or a photograph is missing.
    """
    if not folder.exists():
        raise InputError(f"{folder}: there is no such file or folder")
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name one with photographs and their cameras")
    for name in ("transforms.json", "transforms_train.json"):
        if (folder / name).is_file():
            return _upright(_transforms(folder, folder / name))
    for below in ("sparse/0", "sparse", "."):
        for extension, read in (("bin", _colmap_binary), ("txt", _colmap_text)):
            place = folder / below
            if (place / f"cameras.{extension}").is_file() and (place / f"images.{extension}").is_file():
                return _upright(read(folder, place))
    raise InputError(
        f"{folder} holds no cameras: expected transforms.json, or COLMAP's cameras and images (.bin or .txt) in "
        "sparse/0"
    )


def _upright(capture: Capture) -> Capture:
    """Turn the world so that its y points down as the cameras see it, on the mean."""
    if not capture.shots:
        raise InputError("its cameras are of no photograph")
    down = np.mean([s.camera.r[1] for s in capture.shots], axis=0)
    length = float(np.linalg.norm(down))
    if length < 0.1 or capture.kind == "transforms":
        turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]) if capture.kind == "transforms" else np.eye(3)
    else:
        down = down / length
        forward = np.mean([s.camera.r[2] for s in capture.shots], axis=0)
        forward = forward - down * (forward @ down)
        if np.linalg.norm(forward) < 1e-3:  # cameras all around: any direction will do
            forward = np.eye(3)[int(np.argmin(np.abs(down)))]
            forward = forward - down * (forward @ down)
        forward = forward / np.linalg.norm(forward)
        turn = np.stack([np.cross(down, forward), down, forward])
    shots = tuple(Shot(s.path, s.camera.moved(turn), s.distortion) for s in capture.shots)
    return Capture(shots, capture.kind, capture.points @ turn.T, capture.colors)


def _photo(folder: Path, name: str) -> Path:
    """Return a photograph that a file of cameras names; it must lie in the folder."""
    pure = PurePosixPath(name.replace("\\", "/"))
    if not name or pure.is_absolute() or ".." in pure.parts or "\0" in name or ":" in pure.parts[0]:
        raise InputError(f"the cameras name a photograph outside the folder: {name!r:.120}")
    for below in (folder, folder / "images"):
        for candidate in (below / pure, *((below / pure).with_name(pure.name + e) for e in _EXTENSIONS)):
            if candidate.is_file():
                return candidate
    raise InputError(
        f"the photograph {str(pure)[:120]!r} that the cameras name is neither in {folder} nor in its images"
    )


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path.name} is larger than {LARGEST_FILE >> 20} MiB")
        return path.read_bytes()
    except OSError as e:
        raise InputError(f"{path.name} cannot be read: {e.strerror or e}") from e


# -- transforms.json --------------------------------------------------------------------------------------------------


def _transforms(folder: Path, path: Path) -> Capture:
    try:
        data = json.loads(_bytes(path))
        frames = data["frames"]
        if not isinstance(frames, list) or not 0 < len(frames) <= MOST_PHOTOS:
            raise InputError(f"{path.name} must hold 1 to {MOST_PHOTOS} frames")
        shots = tuple(_frame(folder, data, frame) for frame in frames)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError) as e:
        raise InputError(f"{path.name} is malformed ({type(e).__name__}: {e})") from e
    except OptionError as e:
        raise InputError(f"{path.name}: {e}") from e
    return Capture(tuple(sorted(shots, key=lambda s: s.path)), "transforms")


def _frame(folder: Path, data: dict[str, Any], frame: dict[str, Any]) -> Shot:
    path = _photo(folder, str(frame["file_path"]).removeprefix("./"))

    def number(*names: str) -> float | None:
        for source in (frame, data):
            for name in names:
                if name in source:
                    return float(source[name])
        return None

    width, height = number("w"), number("h")
    if width is None or height is None:
        from PIL import Image

        try:
            with Image.open(path) as picture:  # the header alone
                width, height = map(float, picture.size)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
            raise InputError(f"{path.name} cannot be read as a picture, and its size stands nowhere") from e
    angle = number("camera_angle_x")
    fx = number("fl_x") or (None if angle is None else width / 2 / np.tan(angle / 2))
    if fx is None:
        raise InputError("a frame has neither fl_x nor camera_angle_x")
    fy = number("fl_y") or fx
    cx, cy = number("cx"), number("cy")
    pose = np.array(frame["transform_matrix"], np.float64)
    if pose.shape not in ((4, 4), (3, 4)) or not np.isfinite(pose).all():
        raise InputError("a transform_matrix must be 4 by 4 finite numbers")
    r = _orthonormal(pose[:3, :3] @ np.diag([1.0, -1, -1])).T  # OpenGL's camera looks along -z, y up
    t = -r @ pose[:3, 3]
    middle = (width / 2 if cx is None else cx, height / 2 if cy is None else cy)
    distortion = tuple(number(name) or 0.0 for name in ("k1", "k2", "p1", "p2"))
    camera = Camera(int(width), int(height), fx, fy, *middle, tuple(r.ravel().tolist()), tuple(t.tolist()))
    return Shot(path, camera, distortion)


def _orthonormal(r: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation nearest to a matrix, which may be scaled and rounded."""
    u, s, v = np.linalg.svd(r)
    if s.min() < 1e-9 or s.max() > 1.05 * s.min() or np.linalg.det(u @ v) < 0:
        raise InputError("a pose must turn and move, and neither mirror nor shear")
    out: NDArray[np.float64] = u @ v
    return out


# -- COLMAP -----------------------------------------------------------------------------------------------------------


def _lens(model: str, width: int, height: int, numbers: tuple[float, ...]) -> tuple[Camera, tuple[float, ...]]:
    if model == "PINHOLE" or model == "OPENCV":
        fx, fy, cx, cy = numbers[:4]
        rest = numbers[4:]
    else:
        fx, cx, cy = numbers[:3]
        fy, rest = fx, numbers[3:]
    distortion = (*rest, 0.0, 0.0, 0.0, 0.0)[:4]
    return Camera(width, height, fx, fy, cx, cy), distortion


def _shot(
    folder: Path, name: str, pose: tuple[float, ...], camera: int, lenses: dict[int, tuple[Camera, tuple[float, ...]]]
) -> Shot:
    if camera not in lenses:
        raise InputError(f"the photograph {name[:120]!r} is of camera {camera}, which is not there")
    lens, distortion = lenses[camera]
    w, x, y, z = np.array(pose[:4]) / max(float(np.linalg.norm(pose[:4])), 1e-12)
    r = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), 2 * (x * y + w * z),
        1 - 2 * (x * x + z * z), 2 * (y * z - w * x), 2 * (x * z - w * y), 2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    )  # fmt: skip
    whole = Camera(lens.width, lens.height, lens.fx, lens.fy, lens.cx, lens.cy, tuple(map(float, r)), tuple(pose[4:7]))
    return Shot(_photo(folder, name), whole, distortion)


def _colmap(
    folder: Path,
    cameras: list[tuple[int, str, int, int, tuple[float, ...]]],
    images: list[tuple[str, tuple[float, ...], int]],
    points: tuple[NDArray[np.float64], NDArray[np.uint8]],
) -> Capture:
    known = {name for name, _ in _MODELS.values()}
    for _, model, *_ in cameras:
        if model not in known:
            raise InputError(
                f"the camera model {model} is not read ({', '.join(sorted(known))} are); run colmap image_undistorter"
            )
    try:
        lenses = {number: _lens(model, w, h, numbers) for number, model, w, h, numbers in cameras}
        shots = tuple(_shot(folder, name, pose, camera, lenses) for name, pose, camera in images)
    except (OptionError, ValueError) as e:
        raise InputError(f"COLMAP's cameras are malformed: {e}") from e
    kept = np.isfinite(points[0]).all(axis=1)
    return Capture(tuple(sorted(shots, key=lambda s: s.path)), "colmap", points[0][kept], points[1][kept])


def _lines(path: Path) -> Iterator[list[str]]:
    text = _bytes(path).decode("utf-8", "replace")
    return (line.split() for line in text.splitlines() if not line.startswith("#"))


def _colmap_text(folder: Path, place: Path) -> Capture:
    try:
        cameras = [
            (int(c[0]), c[1], int(c[2]), int(c[3]), tuple(map(float, c[4:])))
            for c in _lines(place / "cameras.txt")
            if c
        ]
        images = []
        # two lines for each photograph; the second one, of its points, may be empty
        for i, words in enumerate(_lines(place / "images.txt")):
            if i % 2 == 0 and words:
                images.append((" ".join(words[9:]), tuple(map(float, words[1:8])), int(words[8])))
        at, rgb = [], []
        if (place / "points3D.txt").is_file():
            for words in _lines(place / "points3D.txt"):
                if words:
                    at.append([float(v) for v in words[1:4]])
                    rgb.append([int(v) for v in words[4:7]])
        colors = np.array(rgb, np.int64).reshape(-1, 3).clip(0, 255).astype(np.uint8)
        points = (np.array(at, np.float64).reshape(-1, 3), colors)
    except (ValueError, IndexError, OverflowError) as e:
        raise InputError(f"COLMAP's text files are malformed ({type(e).__name__}: {e})") from e
    if len(images) > MOST_PHOTOS:
        raise InputError(f"at most {MOST_PHOTOS} photographs are read, got {len(images)}")
    return _colmap(folder, cameras, images, points)


class _Bytes:
    """A file read value by value, which ends where it ends."""

    def __init__(self, path: Path) -> None:
        self.data, self.at, self.name = _bytes(path), 0, path.name

    def take(self, form: str) -> tuple[Any, ...]:
        """Return values by a format of ``struct``."""
        size = struct.calcsize("<" + form)
        if self.at + size > len(self.data):
            raise InputError(f"{self.name} ends before what it states")
        self.at += size
        return struct.unpack_from("<" + form, self.data, self.at - size)

    def skip(self, count: int, size: int) -> None:
        """Pass over so many values of a size."""
        if count > (len(self.data) - self.at) // size:
            raise InputError(f"{self.name} ends before what it states")
        self.at += count * size

    def text(self) -> str:
        """Return text up to a zero byte."""
        end = self.data.find(b"\0", self.at, self.at + 4096)
        if end < 0:
            raise InputError(f"{self.name} holds a name without an end")
        found = self.data[self.at : end].decode("utf-8", "replace")
        self.at = end + 1
        return found


def _colmap_binary(folder: Path, place: Path) -> Capture:
    f = _Bytes(place / "cameras.bin")
    cameras = []
    for _ in range(_count(f, 24)):
        number, model, width, height = f.take("iiQQ")
        if model not in _MODELS:
            raise InputError(
                f"the camera model number {model} is not read ({', '.join(n for n, _ in _MODELS.values())} are); run "
                "colmap image_undistorter"
            )
        name, numbers = _MODELS[model]
        cameras.append((number, name, width, height, f.take("d" * numbers)))
    f = _Bytes(place / "images.bin")
    images = []
    count = _count(f, 64)
    if count > MOST_PHOTOS:
        raise InputError(f"at most {MOST_PHOTOS} photographs are read, got {count}")
    for _ in range(count):
        _, *pose = f.take("i7d")
        (camera,) = f.take("i")
        images.append((f.text(), tuple(pose), camera))
        f.skip(f.take("Q")[0], 24)
    points = (np.zeros((0, 3)), np.zeros((0, 3), np.uint8))
    if (place / "points3D.bin").is_file():
        f = _Bytes(place / "points3D.bin")
        count = _count(f, 51)
        at, rgb = np.empty((count, 3)), np.empty((count, 3), np.uint8)
        for i in range(count):
            _, *values = f.take("Q3d3Bd")
            at[i], rgb[i] = values[:3], values[3:6]
            f.skip(f.take("Q")[0], 8)
        points = (at, rgb)
    return _colmap(folder, cameras, images, points)


def _count(f: _Bytes, least: int) -> int:
    """Return how many entries a file states; each takes at least so many bytes."""
    (count,) = f.take("Q")
    if count > len(f.data) // least:
        raise InputError(f"{f.name} states {count} entries, more than it can hold")
    return int(count)
