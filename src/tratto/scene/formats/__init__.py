"""Scenes in files: .ply, .splat, .spz and .glb, each in the frame that its viewers expect; meshes and turntables.

A file that is read is measured before anything is allocated: its header states how many Gaussians it holds, and what
does not fit its size is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tratto.core.artifact import Scene
from tratto.core.errors import InputError, OptionError

#: Formats that scenes are read from, by the extension of the name.
READS = ("ply", "splat", "spz", "glb")
#: What a scene can be exported as, and what that is.
EXPORTS = {
    "ply": "3D Gaussian splatting",
    "splat": "32 bytes for each Gaussian, without harmonics above degree 0",
    "spz": "SPZ version 3, about a tenth of the .ply",
    "spz4": "SPZ version 4, which fewer viewers read",
    "glb": "glTF with KHR_gaussian_splatting",
    "mesh": "glTF mesh with a texture; lossy",
    "webp": "turntable, animated WebP",
    "mp4": "turntable, through ffmpeg",
}
#: Most Gaussians that a file may hold.
LARGEST = 20_000_000


@dataclass(frozen=True, eq=False)
class Loaded:
    """A scene from a file.

    Attributes
    ----------
    scene : Scene
        Upright, in this project's axes: x right, y down, z away.
    format : str
        Of the file: ``"ply"``, ``"splat"``, ``"spz"`` or ``"glb"``.
    marked : bool
        Whether the file said which Gaussians were seen; if not, all are marked as seen.
    """

    scene: Scene
    format: str
    marked: bool


def file_name(stem: str, export: str) -> str:
    """Return the name of an export.

    Examples
    --------
    >>> file_name("cup", "mesh"), file_name("cup", "spz4"), file_name("cup", "splat")
    ('cup.mesh.glb', 'cup.v4.spz', 'cup.splat')
    """
    return {"mesh": f"{stem}.mesh.glb", "spz4": f"{stem}.v4.spz"}.get(export, f"{stem}.{export}")


def write_scene(scene: Scene, path: Path, export: str) -> None:
    """Write a scene in a format of :data:`EXPORTS`, atomically.

    Raises
    ------
    OptionError
        If there is no such format, or it cannot hold the scene.
    OutputError
        If the file cannot be written.
    MissingExtra, UnavailableError
        If what it needs is not here: numba for pictures and meshes, ffmpeg for .mp4.
    """
    from tratto.core.files import atomic_file
    from tratto.scene.formats import gltf, mesh, spz, turntable

    if export not in EXPORTS:
        raise OptionError(f"a scene is exported as {', '.join(EXPORTS)}, got {export!r}")
    if export == "ply":
        scene.write(path)
        return
    if export == "splat":
        from tratto.scene.formats.splat import packed

        data = packed(scene)
    elif export in ("spz", "spz4"):
        data = spz.packed(scene, 4 if export == "spz4" else 3)
    elif export == "glb":
        data = gltf.packed(scene)
    elif export == "mesh":
        data = mesh.packed(mesh.surface(scene))
    else:
        data = turntable.encoded(turntable.turned(scene), export)
    with atomic_file(path) as f:
        f.write(data)


def read_scene(path: Path) -> Loaded:
    """Read a scene from a .ply, .splat, .spz or .glb.

    Raises
    ------
    InputError
        If it is none, or holds more than its size allows.
    """
    from tratto.scene.formats import gltf, ply, splat, spz

    extension = path.suffix.lower().removeprefix(".")
    readers = {"ply": ply.read, "splat": splat.read, "spz": spz.read, "glb": gltf.read}
    if extension not in readers:
        raise InputError(f"{path.name}: a scene ends with {', '.join('.' + e for e in READS)}")
    try:
        data = path.read_bytes() if path.stat().st_size <= _most_bytes(extension) else None
    except OSError as e:
        raise InputError(f"{path.name} cannot be read: {e.strerror or e}") from e
    if data is None:
        raise InputError(f"{path.name} is larger than a scene of {LARGEST} Gaussians")
    try:
        scene, marked = readers[extension](data)
    except OptionError as e:
        raise InputError(f"{path.name}: {e}") from e
    except InputError as e:
        raise InputError(f"{path.name} is no scene that is read: {e}") from e
    return Loaded(scene, extension, marked)


def _most_bytes(extension: str) -> int:
    return LARGEST * {"ply": 300, "splat": 32, "spz": 70, "glb": 300}[extension]
