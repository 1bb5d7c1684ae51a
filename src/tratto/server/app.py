"""The application: the API, the page's files, and what holds for every request."""

from __future__ import annotations

import base64
import hashlib
import re
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Match

from tratto.server.api import router
from tratto.server.asking import Context, Watcher
from tratto.server.database import Database
from tratto.server.openapi import describe
from tratto.server.problems import Problem, problem_from
from tratto.server.settings import Settings
from tratto.server.store import Store

#: Files of the page, by extension.
TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
    ".png": "image/png", ".ico": "image/x-icon", ".json": "application/json", ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2", ".wasm": "application/wasm", ".webmanifest": "application/manifest+json",
}  # fmt: skip
_ALWAYS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"x-frame-options": b"SAMEORIGIN",
    b"permissions-policy": b"camera=(), microphone=(), geolocation=()",
}
#: Of answers that are no page.
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
_EMPTY = (
    "<!doctype html><title>Tratto</title><p>The server runs; its API is at /api/v1, described by /openapi.json.</p>"
)
_SORRY = (
    "<!doctype html><html lang=en><title>Tratto</title><p>This link was used before, or is too old. It is good once: "
    "the server's owner gets a new one by <code>tratto keys api link</code>.</p></html>"
)
_PATH = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/){0,5}[A-Za-z0-9_-][A-Za-z0-9._-]*")
Message = MutableMapping[str, Any]


class Guard:
    """What comes before and after everything: the Host header is compared, safe headers are added.

    A browser that was tricked into taking this machine for evil.example sends that name as Host, and gets nothing.
    """

    def __init__(self, app: Any, settings: Settings) -> None:
        self.app = app
        named = {settings.host, *settings.names, "127.0.0.1", "localhost", "[::1]"}
        port = settings.port
        self.hosts = {
            n for name in named for n in (f"{name}:{port}", name if port in (80, 443) or name in settings.names else "")
        }

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Take a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        hosts = [v for k, v in scope["headers"] if k == b"host"]
        allowed = len(hosts) == 1 and hosts[0].decode("latin-1").lower() in self.hosts - {""}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                have = {k.lower() for k, _ in message["headers"]}
                message["headers"] = [*message["headers"], *((k, v) for k, v in _ALWAYS.items() if k not in have)]
                if b"content-security-policy" not in have:
                    message["headers"].append((b"content-security-policy", _NOTHING.encode()))
            await send(message)

        if not allowed:
            body = Problem(421, "WrongHost", "this server does not answer to that name; see tratto serve --name").body()
            await JSONResponse(body, 421)(scope, receive, guarded)
            return
        await self.app(scope, receive, guarded)


def make_app(settings: Settings) -> FastAPI:
    """Return the application of a server.

    Parameters
    ----------
    settings : Settings
        Folder, address, limits; its folders are made.

    Returns
    -------
    FastAPI
        Pages, API and events of one server.
    """
    settings.make_folders()
    store = Store(Database(settings.database))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.context = Context(settings, store)
        yield
        app.state.context.pulse.ending.set()

    app = FastAPI(
        title="Tratto", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
    )  # fmt: skip
    app.add_middleware(Guard, settings=settings)
    app.include_router(router)
    described: list[dict[str, Any]] = []

    @app.get("/openapi.json", include_in_schema=False)
    def openapi() -> JSONResponse:
        if not described:
            described.append(describe(app))
        return JSONResponse(described[0])

    @app.get("/start/{secret}", include_in_schema=False)
    def start(secret: str, request: Request) -> Response:
        shared: Context = request.app.state.context
        made = shared.access.use_link(secret) if len(secret) < 100 else None
        if made is None:
            return HTMLResponse(_SORRY, 403)
        answer = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
        answer.set_cookie(shared.cookie, made, max_age=30 * 86400, httponly=True, samesite="strict", path="/")
        return answer

    @app.get("/metrics", include_in_schema=False)
    def metrics(who: Watcher, request: Request) -> Response:
        shared: Context = request.app.state.context
        text, kind = shared.watch.metrics(request.headers.get("accept", ""))
        return Response(text, media_type=kind, headers={"Cache-Control": "no-store"})

    app.add_api_route("/", page, include_in_schema=False)
    app.add_api_route("/{path:path}", page, include_in_schema=False)
    for kind, handler in ((Exception, _fault), (Problem, _problem), (HTTPException, _http)):
        app.add_exception_handler(kind, handler)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    from tratto.core.errors import TrattoError

    app.add_exception_handler(TrattoError, _known)
    app.add_exception_handler(OSError, _known)
    return app


def methods_of(path: str) -> list[str]:
    """Return the methods that a path of the API takes; empty: it is none.

    Examples
    --------
    >>> methods_of("/api/v1/jobs"), methods_of("/index.html")
    (['GET', 'POST'], [])
    """
    scope = {"type": "http", "path": path, "method": "", "root_path": "", "headers": []}
    found = [r for r in router.routes if r.matches(scope)[0] is not Match.NONE]
    return sorted({method for route in found for method in getattr(route, "methods", None) or ()})


def page_folder() -> Path:
    """Return where the page's files are."""
    return Path(str(resources.files("tratto.server").joinpath("page")))


def page(path: str = "index.html") -> Response:
    """Return a file of the page."""
    if allowed := methods_of(f"/{path}"):  # what takes every path must not hide that this one takes another method
        raise HTTPException(405, headers={"Allow": ", ".join(allowed)})
    root = page_folder()
    file = root / path
    kind = TYPES.get(file.suffix.lower())
    if kind is None or not _PATH.fullmatch(path) or not file.is_file():
        if path == "index.html":
            return HTMLResponse(_EMPTY)
        raise Problem(404, "NotFound", "there is no such file")
    headers = {"Content-Security-Policy": page_policy(root), "Cache-Control": "no-cache"}
    return FileResponse(file, media_type=kind, headers=headers)


def page_policy(root: Path) -> str:
    """Return the content security policy of the page: nothing from elsewhere, and no script but its own files.

    An import map must stand in the page itself, so its hash is named.
    """
    try:
        text = (root / "index.html").read_text("utf-8")
    except OSError:
        text = ""
    maps = re.findall(r"<script type=\"importmap\">(.*?)</script>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(m.encode()).digest()).decode() for m in maps]
    scripts = " ".join(["'self'", *(f"'sha256-{h}'" for h in hashes)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "font-src 'self'; frame-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


async def _problem(request: Request, error: Problem) -> Response:
    return JSONResponse(error.body(), error.status, error.headers)


async def _known(request: Request, error: Exception) -> Response:
    problem = problem_from(error)
    if problem is None:
        traceback.print_exception(error)
        return await _fault(request, error)
    return await _problem(request, problem)


async def _http(request: Request, error: HTTPException) -> Response:
    kind = {404: "NotFound", 405: "MethodNotAllowed"}.get(error.status_code, "BadRequest")
    headers = dict(error.headers or {})
    if error.status_code == 405 and (allowed := methods_of(request.url.path)):
        headers["Allow"] = ", ".join(allowed)  # a path may have several routes, of which the router names one
    return JSONResponse(Problem(error.status_code, kind, str(error.detail)).body(), error.status_code, headers)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    option = ".".join(str(p) for p in first["loc"])
    return JSONResponse(Problem(422, "InvalidRequest", f"{option}: {first['msg']}"[:500], option).body(), 422)


async def _fault(request: Request, error: Exception) -> Response:
    # what went wrong is in the server's log; who asks learns that it was not they
    return JSONResponse(Problem(500, "Fault", "a fault in tratto itself; the server's log says more").body(), 500)
