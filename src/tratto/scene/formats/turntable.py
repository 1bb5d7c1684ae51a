"""A scene turned around once, as an animated WebP or a film."""

from __future__ import annotations

import io
import shutil
import subprocess

import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import Scene
from tratto.core.errors import OutputError, UnavailableError
from tratto.scene.camera import Camera, orbit

#: Frames of a turn, and how many of them in a second.
FRAMES, RATE = 48, 16


def around(scene: Scene, count: int, side: int, elevation: float = 15.0) -> tuple[Camera, ...]:
    """Return cameras around a scene that hold all of it but the farthest 2 % of its Gaussians.

    Parameters
    ----------
    scene : Scene
        Its Gaussians are looked at by their places alone.
    count : int
        How many, at equal distances.
    side : int
        Pixels.
    elevation : float
        Degrees.
    """
    low, high = (np.quantile(scene.positions, q, axis=0).astype(np.float64) for q in (0.01, 0.99))
    middle = (low + high) / 2
    radius = max(float(np.linalg.norm(high - low)) / 2, 1e-6)
    azimuths = np.arange(count) * 360.0 / count
    return orbit(middle, 3.2 * radius, azimuths, elevation, (side, side), 1.5 * side)


def turned(
    scene: Scene, count: int = FRAMES, side: int = 256, background: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> list[NDArray[np.uint8]]:
    """Return the pictures of a turn, (side, side, 3) uint8 each.

    Raises
    ------
    MissingExtra
        If numba is not installed.
    """
    from tratto.scene.rasterize import render

    return [
        np.round(np.clip(render(scene, camera, background).color, 0, 1) * 255).astype(np.uint8)
        for camera in around(scene, count, side)
    ]


def encoded(frames: list[NDArray[np.uint8]], kind: str) -> bytes:
    """Return a film: ``webp``, or ``mp4`` through an ``ffmpeg`` on PATH.

    Raises
    ------
    UnavailableError
        If there is no ffmpeg.
    OutputError
        If ffmpeg fails.
    """
    if kind == "webp":
        from PIL import Image

        pictures = [Image.fromarray(f) for f in frames]
        out = io.BytesIO()
        pictures[0].save(
            out, "WEBP", save_all=True, append_images=pictures[1:], duration=1000 // RATE, loop=0, quality=85
        )
        return out.getvalue()
    program = shutil.which("ffmpeg")
    if program is None:
        raise UnavailableError(
            "an .mp4 is made by ffmpeg, and there is none on the PATH; install it, or export webp instead"
        )
    height, width = frames[0].shape[:2]
    # a film of this kind cannot be written to a pipe in one pass unless it is cut into fragments
    command = [
        program, "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(RATE),
        "-i", "-", "-pix_fmt", "yuv420p", "-movflags", "frag_keyframe+empty_moov", "-f", "mp4", "-",
    ]  # fmt: skip
    done = subprocess.run(command, input=b"".join(f.tobytes() for f in frames), capture_output=True, check=False)
    if done.returncode or not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise OutputError(f"ffmpeg could not make the .mp4: {said[-1] if said else done.returncode}")
    return done.stdout
