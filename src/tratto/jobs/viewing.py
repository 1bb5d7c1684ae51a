"""A scene in the browser, served to this machine alone."""

from __future__ import annotations

import gzip
import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from tratto.core.artifact import Scene, ply_header
from tratto.core.errors import OptionError
from tratto.scene.formats import Loaded, read_scene

_TYPES = {".js": "text/javascript", ".html": "text/html; charset=utf-8", ".css": "text/css"}
_VENDOR = ("spark.module.min.js", "three.core.js", "three.module.js", "OrbitControls.js", "Pass.js")
#: Largest picture that is taken from the page, bytes.
_LARGEST_SHOT = 1 << 26


def scene_files(path: Path) -> dict[str, bytes]:
    """Return what a viewer is given of a scene, by name: ``facts.json``, the scene, and what of it is seen.

    Parameters
    ----------
    path : Path
        A .ply, .splat, .spz or .glb.

    Raises
    ------
    InputError
        If it is no scene.
    """
    loaded = read_scene(path)
    scene = loaded.scene
    low, high = (np.quantile(scene.positions, q, axis=0).astype(np.float64) for q in (0.01, 0.99))
    name, data = _as_shown(path, loaded)
    seen = np.flatnonzero(scene.seen)
    facts = {
        "name": path.name,
        "file": name,
        "gaussians": len(scene),
        "seen": len(seen),
        "marked": loaded.marked,
        "middle": ((low + high) / 2).tolist(),
        "radius": max(float(np.linalg.norm(high - low)) / 2, 1e-6),
    }
    out = {"facts.json": json.dumps(facts).encode(), name: data}
    if loaded.marked and 0 < len(seen) < len(scene):
        out["seen.ply"] = _ply(taken(scene, seen))
    return out


@cache
def page_files() -> dict[str, bytes]:
    """Return the viewer's own files by name; those in ``vendor`` are packed with gzip."""
    page = files("tratto.jobs").joinpath("viewer")
    out = {n: page.joinpath(n).read_bytes() for n in ("index.html", "viewer.js", "viewer.css")}
    return out | {f"vendor/{n}": page.joinpath("vendor", f"{n}.gz").read_bytes() for n in _VENDOR}


def page_file(name: str, packed: bool) -> tuple[bytes, dict[str, str]]:
    """Return one of the viewer's own files and the headers it is sent with: the type, and what its scripts may do.

    Spark unpacks files in WebAssembly and sorts in workers that it makes of text, so these are allowed here.

    Parameters
    ----------
    name : str
        A name in :func:`page_files`.
    packed : bool
        Whether whoever asks takes gzip.
    """
    data, nonce = page_files()[name], secrets.token_urlsafe(16)
    if name == "index.html":
        data = data.replace(b"$nonce", nonce.encode())
    headers = {
        "Content-Type": _TYPES[Path(name).suffix],
        "Content-Security-Policy": f"default-src 'self'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval' blob: "
        "data:; worker-src blob: data:; connect-src 'self' blob: data:; img-src 'self' blob: data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'",
    }
    if name.startswith("vendor/"):
        if packed:
            headers["Content-Encoding"] = "gzip"
        else:
            data = gzip.decompress(data)
    return data, headers


def taken(scene: Scene, index: Any) -> Scene:
    """Return some of a scene's Gaussians.

    Examples
    --------
    >>> whole = Scene.of_points(np.eye(3), np.zeros((3, 3)), 0.1)
    >>> len(taken(whole, [0, 2]))
    2
    """
    names = ("positions", "rotations", "scales", "opacities", "harmonics", "seen")
    return replace(scene, **{n: np.ascontiguousarray(getattr(scene, n)[index]) for n in names})


def _as_shown(path: Path, loaded: Loaded) -> tuple[str, bytes]:
    """Return a file that the viewer reads: as it is, or as .ply where it reads no such file."""
    data = path.read_bytes()
    if loaded.format in ("ply", "splat") or (loaded.format == "spz" and data[:2] == b"\x1f\x8b"):
        return f"scene.{loaded.format}", data
    return "scene.ply", _ply(loaded.scene)


def _ply(scene: Scene) -> bytes:
    return ply_header(len(scene), scene.harmonics.shape[1]) + scene.rows().tobytes()


class Viewer:
    """A server of one scene on the loop-back interface.

    Attributes
    ----------
    url : str
        Where the page is, with the port that was taken.

    Parameters
    ----------
    path : Path
        A .ply, .splat, .spz or .glb.
    port : int
        0: one that is free.
    on_shot : callable or None
        Takes a PNG that the page sends when it is asked for one (``?shot``); None: it may send nothing.

    Raises
    ------
    InputError
        If the file is no scene.
    OptionError
        If the port is taken.
    """

    def __init__(self, path: Path, port: int = 0, on_shot: Callable[[bytes], None] | None = None) -> None:
        names = scene_files(path)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                _get(self, names)

            def do_POST(self) -> None:
                _post(self, on_shot)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing on the console."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except OSError as e:
            raise OptionError(f"port {port} cannot be used: {e.strerror or e}; leave --port away for a free one") from e
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Viewer:
        self._thread.start()
        return self

    def __exit__(self, *of: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self) -> None:
        """Serve until the program is interrupted."""
        self._thread.join()


def _local(request: BaseHTTPRequestHandler) -> bool:
    """Return whether a request names this server, and no name that somebody led to it."""
    host = (request.headers.get("Host") or "").rsplit(":", 1)[0]
    if host in ("127.0.0.1", "localhost"):
        return True
    request.send_error(421)
    return False


def _get(request: BaseHTTPRequestHandler, names: dict[str, bytes]) -> None:
    name = request.path.partition("?")[0].lstrip("/") or "index.html"
    if not _local(request):
        return
    if name in names:
        data, headers = names[name], {"Content-Type": "application/octet-stream"}
    elif name in page_files():
        data, headers = page_file(name, "gzip" in (request.headers.get("Accept-Encoding") or ""))
    else:
        request.send_error(404)
        return
    request.send_response(200)
    headers |= {
        "Content-Length": str(len(data)), "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"
    }  # fmt: skip
    for key, value in headers.items():
        request.send_header(key, value)
    request.end_headers()
    request.wfile.write(data)


def _post(request: BaseHTTPRequestHandler, on_shot: Callable[[bytes], None] | None) -> None:
    size = request.headers.get("Content-Length") or ""
    if not _local(request):
        return
    if on_shot is None or request.path != "/shot" or not size.isdecimal() or int(size) > _LARGEST_SHOT:
        request.send_error(403)
        return
    on_shot(request.rfile.read(int(size)))
    request.send_response(204)
    request.send_header("Content-Length", "0")
    request.end_headers()
