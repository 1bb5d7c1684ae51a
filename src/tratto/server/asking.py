"""Who asks a server and what for: what all requests share, access, and the parameters and answers that recur."""

from __future__ import annotations

import re
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Depends, Path, Query, Request, Response
from fastapi.responses import FileResponse
from fastapi.security import APIKeyCookie, HTTPBearer

from tratto.server.access import Access, Identity, Rates
from tratto.server.problems import ErrorAnswer, Problem, not_found
from tratto.server.pyramid import read_tile
from tratto.server.settings import Settings
from tratto.server.store import Store
from tratto.server.stream import Pulse
from tratto.server.uploads import Children
from tratto.server.watch import Watch

#: The header that tells a request of the page from one that another site makes a browser send.
PAGE_HEADER = "x-tratto-page"
#: Headers of what never changes.
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="32 hex digits")]
Level = Annotated[int, Path(ge=0, le=30)]
Cursor = Annotated[str | None, Query(pattern="^[0-9]{1,18}$", description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]
Side = Annotated[Literal["320", "1600"], Query(description="longest side")]
Role = Annotated[Literal["before", "after", "edit_map", "confidence_map", "mask", "sheet"], Path()]
Named = Annotated[str, Path(pattern="^[a-zA-Z0-9][a-zA-Z0-9_./]{0,60}$", description="index.html shows the scene")]
Export = Annotated[
    str | None, Query(pattern="^[a-z0-9]{1,10}$", description="of `outputs`; without it, the first of them")
]


class Context:
    """What all requests of a server share.

    Parameters
    ----------
    settings : Settings
        Of the server that runs.
    store : Store
        Jobs and uploads, shared by all workers.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        self.access, self.rates = Access(store.database), Rates()
        self.children, self.pulse = Children(settings), Pulse(store)
        self.watch = Watch(settings, store)
        self.cookie = f"tratto_{settings.port}"  # cookies know no ports: two servers must not take each other's


def context(request: Request) -> Context:
    """Return what all requests share."""
    shared: Context = request.app.state.context
    return shared


Shared = Annotated[Context, Depends(context)]
_bearer = HTTPBearer(auto_error=False, scheme_name="key", description="A key of `tratto keys api add`.")
_cookie = APIKeyCookie(name="tratto_PORT", auto_error=False, scheme_name="page", description="From the one-time link.")


def identity(request: Request, shared: Shared, _key: Annotated[Any, Depends(_bearer)] = None,
             _page: Annotated[Any, Depends(_cookie)] = None) -> Identity:  # fmt: skip
    """Return who asks.

    Raises
    ------
    Problem
        401, 403 or 429.
    """
    header, found = request.headers.get("authorization"), None
    if header is not None:
        scheme, _, key = header.partition(" ")
        found = shared.access.by_key(key.strip(), shared.settings) if scheme.lower() == "bearer" else None
    elif (cookie := request.cookies.get(shared.cookie)) is not None:
        found = shared.access.by_cookie(cookie, shared.settings)
        if found is not None and request.method not in ("GET", "HEAD"):
            check_same_site(request)
    if found is None:
        raise Problem(
            401, "Unauthorized", "open the link that tratto serve printed, or send Authorization: Bearer KEY", None,
            {"WWW-Authenticate": "Bearer"},
        )  # fmt: skip
    shared.rates.take(found.owner, found.per_minute)
    return found


def check_same_site(request: Request) -> None:
    """Refuse what another site makes a browser send; the cookie is SameSite=Strict, and this does not rely on it.

    Raises
    ------
    Problem
        403.
    """
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    elsewhere = origin is not None and origin.partition("://")[2] != host
    site = request.headers.get("sec-fetch-site", "same-origin")
    if request.headers.get(PAGE_HEADER) != "1" or elsewhere or site not in ("same-origin", "none"):
        raise Problem(403, "CrossSite", "the page must send X-Tratto-Page: 1, from the server's own address")


def scoped(scope: str) -> Any:
    """Return what lets in who has a scope."""

    def check(who: Annotated[Identity, Depends(identity)]) -> Identity:
        if scope not in who.scopes:
            raise Problem(403, "Forbidden", f"this key has no scope {scope!r}; it has {', '.join(sorted(who.scopes))}")
        return who

    return Depends(check)


Reader = Annotated[Identity, scoped("read")]
Runner = Annotated[Identity, scoped("run")]
Verifier = Annotated[Identity, scoped("verify")]
Watcher = Annotated[Identity, scoped("monitor")]
_TEXTS = {
    400: "The request cannot be read.", 401: "Nobody known asks.", 403: "Not allowed: scope, or another site.",
    404: "There is none, or it is somebody else's.", 408: "It came too slowly.",
    409: "It contradicts itself or the state of things.",
    413: "Too large.", 415: "Not a picture that is read here.", 422: "A value is not what it must be.",
    429: "Too many requests.", 507: "The quota or the disk is full.",
}  # fmt: skip


def error_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of errors: those of every request, and these."""
    return {s: {"model": ErrorAnswer, "description": _TEXTS[s]} for s in (401, 403, 422, 429, *statuses)}


def file_answers(*kinds: str) -> dict[str, Any]:
    """Return what the OpenAPI document says of an answer that is a file of one of these media types."""
    return {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}}


def picture_answer(path: FilePath, kind: str) -> Response:
    """Answer with a picture that never changes."""
    if not path.is_file():
        raise not_found("picture")
    return FileResponse(path, media_type=kind, headers=FOREVER)


def tile_answer(path: FilePath, level: int, x: int, y: int) -> Response:
    """Answer with a tile, which never changes."""
    try:
        found = read_tile(path, level, x, y)
    except OSError:
        found = None
    if found is None:
        raise not_found("tile")
    return Response(found[0], media_type=found[1], headers=FOREVER)


def download(path: FilePath, name: str, kind: str) -> Response:
    """Answer with a file to be kept under this name."""
    if not path.is_file():
        raise not_found("file")
    return FileResponse(path, media_type=kind, headers=attached(name))


def attached(name: str) -> dict[str, str]:
    """Return the headers of a file to be kept under this name."""
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)  # for who reads no filename*
    kept = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
    return {"Content-Disposition": kept, "Cache-Control": "private, no-store"}
