"""The HTTP API: uploads, jobs, their pictures, and verifying anybody's file."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from tratto._version import __version__
from tratto.server import answers
from tratto.server.access import Identity
from tratto.server.archive import MEDIA_TYPES, zipped
from tratto.server.asking import (
    FOREVER,
    Context,
    Cursor,
    Export,
    Id,
    Level,
    Limit,
    Named,
    Reader,
    Role,
    Runner,
    Shared,
    Side,
    Verifier,
    Watcher,
    attached,
    download,
    error_answers,
    file_answers,
    picture_answer,
    tile_answer,
)
from tratto.server.offers import check_kinds, check_page, check_services, offers, read_request, task_facts
from tratto.server.problems import Problem, not_found
from tratto.server.settings import Settings
from tratto.server.store import ACTIONS, new_id
from tratto.server.stream import events
from tratto.server.uploads import Part, bytes_below, check_room, discard, linked, receive

#: Most bytes of a request that asks for a job.
BODY = 256 * 1024
#: Media types of results.
RESULTS = (*MEDIA_TYPES.values(), "application/octet-stream")
#: Media types of the viewer's files.
VIEWER = ("text/html; charset=utf-8", "text/javascript", "application/octet-stream")
router = APIRouter(prefix="/api/v1")


# -- me and tasks -----------------------------------------------------------------------------------------------------


@router.get("/health", tags=["server"])
def health() -> answers.Health:
    """Say that the server answers."""
    return answers.Health(ok=True, version=__version__)


@router.get("/me", tags=["server"], responses=error_answers())
def me(who: Reader, shared: Shared) -> answers.Me:
    """Say who asks, and what they may."""
    settings = shared.settings
    limits = answers.MyLimits(
        upload_bytes=who.upload_bytes, pixels=who.pixels, side=settings.side, quota_bytes=who.quota,
        used_bytes=shared.store.used(who.owner), requests_per_minute=who.per_minute,
    )  # fmt: skip
    return answers.Me(
        name=who.name, kind="page" if who.is_page else "key", scopes=sorted(who.scopes),
        version=__version__, keep_days=settings.keep / 86400, limits=limits, formats=list(settings.formats),
        workers=settings.workers,
    )  # fmt: skip


@router.get("/monitor", tags=["server"], responses=error_answers())
def monitor(
    who: Watcher, shared: Shared,
    days: Annotated[float, Query(gt=0, le=400, description="length of the window that ends now")] = 30.0,
) -> answers.Monitor:  # fmt: skip
    """Show how jobs, inputs and results do over time, and how far they moved from the reference window."""
    return answers.Monitor(**shared.watch.summary(days))


@router.get("/tasks", tags=["server"], responses=error_answers())
def tasks(who: Reader, shared: Shared) -> answers.Tasks:
    """List what can be asked for, with a JSON schema of its options."""
    services = shared.settings.services
    return answers.Tasks(tasks=[answers.TaskFacts(**task_facts(offer, services)) for offer in offers().values()])


@router.get("/templates", tags=["server"], responses=error_answers())
def templates(who: Reader) -> answers.Templates:
    """List the owner's named words."""
    from tratto.core.prompts import read_templates

    found = [answers.Template(name=name, text=text) for name, text in read_templates().items()]
    return answers.Templates(templates=found)


# -- uploads ----------------------------------------------------------------------------------------------------------


def _form(*wanted: str) -> dict[str, Any]:
    """Return the OpenAPI description of a form of files."""
    file = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
    schema = {
        "type": "object", "properties": dict.fromkeys(wanted, file), "required": [wanted[0]],
        "additionalProperties": False,
    }  # fmt: skip
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


@contextlib.contextmanager
def _work(settings: Settings) -> Iterator[FilePath]:
    """Make a folder to work in that is gone afterwards."""
    folder = settings.temporary / new_id()
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        discard(folder)


@router.post(
    "/uploads", tags=["uploads"], status_code=201, openapi_extra=_form("file"),
    responses=error_answers(400, 408, 413, 415, 507),
)  # fmt: skip
async def send_upload(request: Request, who: Runner, shared: Shared, response: Response) -> answers.Upload:
    """Send a picture, or a ZIP file of photographs with their cameras. It is decoded before the answer comes."""
    settings = shared.settings
    used = await run_in_threadpool(shared.store.used, who.owner)
    check_room(settings, used, who.quota)
    with _work(settings) as folder:
        parts = await receive(request, folder, ("file",), min(who.upload_bytes, max(1, who.quota - used)))
        made = await shared.children.ask(
            "inspect", path=str(parts["file"].path), out=str(folder), formats=settings.formats,
            pixels=min(who.pixels, settings.pixels), side=settings.side, bytes=2 * who.upload_bytes,
        )  # fmt: skip
        upload = await run_in_threadpool(_keep, shared, who, folder, parts["file"], made)
    response.headers["Location"] = f"/api/v1/uploads/{upload.id}"
    return upload


def _keep(shared: Context, who: Identity, folder: FilePath, part: Part, made: dict[str, Any]) -> answers.Upload:
    """Put an upload that was decoded in its place, and make it known."""
    from tratto.jobs.options import EXTENSIONS

    extensions = EXTENSIONS.get(made["format"], (f".{made['format']}",))
    name = part.name if part.name.lower().endswith(extensions) else part.name + extensions[0]
    facts = {**made, "name": name, "bytes": part.size, "sha256": part.sha256}
    (folder / "file").mkdir(mode=0o700)
    part.path.rename(folder / "file" / name)
    (folder / "facts.json").write_text(json.dumps(facts), "utf-8")
    size, upload = bytes_below(folder), new_id()
    check_room(shared.settings, shared.store.used(who.owner), who.quota, size)
    folder.rename(shared.settings.upload(upload))
    try:
        shared.store.add_upload(upload, who.owner, facts, size, shared.settings.keep)
    except BaseException:
        discard(shared.settings.upload(upload))
        raise
    return answers.upload_of(_upload(shared, who, upload))


def _upload(shared: Context, who: Identity, upload: str) -> sqlite3.Row:
    row = shared.store.upload(upload, who.owner)
    if row is None:
        raise not_found("upload")
    return row


@router.get("/uploads", tags=["uploads"], responses=error_answers())
def list_uploads(who: Reader, shared: Shared, cursor: Cursor = None, limit: Limit = 50) -> answers.Uploads:
    """List uploads, the newest first."""
    rows = shared.store.uploads(who.owner, int(cursor or 2**62), limit)
    following = str(rows[-1]["seq"]) if len(rows) == limit else None
    return answers.Uploads(uploads=[answers.upload_of(r) for r in rows], next=following)


@router.get("/uploads/{upload}", tags=["uploads"], responses=error_answers(404))
def get_upload(upload: Id, who: Reader, shared: Shared) -> answers.Upload:
    """Say what an upload is."""
    return answers.upload_of(_upload(shared, who, upload))


@router.delete("/uploads/{upload}", tags=["uploads"], status_code=204, responses=error_answers(404))
def remove_upload(upload: Id, who: Runner, shared: Shared) -> None:
    """Remove an upload with its files. Jobs that were asked for keep their own."""
    if not shared.store.remove_upload(upload, who.owner):
        raise not_found("upload")
    discard(shared.settings.upload(upload))


@router.get(
    "/uploads/{upload}/preview", tags=["uploads"], response_class=Response,
    responses={**error_answers(404), 200: file_answers("image/jpeg", "image/png")},
)  # fmt: skip
def upload_preview(upload: Id, who: Reader, shared: Shared, side: Side = "1600") -> Response:
    """Return an upload, made smaller."""
    kind = json.loads(_upload(shared, who, upload)["facts"])["view"]["type"]
    return picture_answer(shared.settings.upload(upload) / f"preview-{side}", kind)


@router.get(
    "/uploads/{upload}/tiles/{level}/{x}_{y}", tags=["uploads"], response_class=Response,
    responses={**error_answers(404), 200: file_answers("image/jpeg", "image/png")},
)  # fmt: skip
def upload_tile(
    upload: Id,
    level: Level,
    x: Annotated[int, Path(ge=0, le=10**6)],
    y: Annotated[int, Path(ge=0, le=10**6)],
    who: Reader,
    shared: Shared,
) -> Response:
    """Return a tile of an upload."""
    _upload(shared, who, upload)
    return tile_answer(shared.settings.upload(upload) / "view.tiles", level, x, y)


@router.get(
    "/uploads/{upload}/file", tags=["uploads"], response_class=Response,
    responses={**error_answers(404), 200: file_answers("application/octet-stream")},
)  # fmt: skip
def upload_file(upload: Id, who: Reader, shared: Shared) -> Response:
    """Return an upload as it was sent."""
    name = json.loads(_upload(shared, who, upload)["facts"])["name"]
    return download(shared.settings.upload(upload) / "file" / name, name, "application/octet-stream")


# -- jobs -------------------------------------------------------------------------------------------------------------


def _answer(shared: Context, row: sqlite3.Row) -> answers.Job:
    return answers.job_of(row, shared.store.position(row) if row["state"] == "queued" else None)


def _job(shared: Context, who: Identity, job: str) -> sqlite3.Row:
    row = shared.store.job(job, who.owner)
    if row is None:
        raise not_found("job")
    return row


RepeatKey = Annotated[
    str | None,
    Header(
        min_length=1, max_length=200, pattern="^[!-~]+$",
        description="The same key and request: the same job, however often it is sent.",
    ),
]  # fmt: skip
_REQUEST = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/JobRequest"}}},
    }
}


@router.post(
    "/jobs", tags=["jobs"], status_code=202, openapi_extra=_REQUEST,
    responses=error_answers(400, 404, 409, 413, 507),
)  # fmt: skip
async def ask(
    request: Request, who: Runner, shared: Shared, response: Response,
    idempotency_key: RepeatKey = None,
) -> answers.Job:  # fmt: skip
    """Ask for a job."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY:
            raise Problem(413, "RequestTooLarge", f"a request has at most {BODY} bytes")
    job = await run_in_threadpool(_ask, shared, who, body, idempotency_key)
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return job


def _named(value: Any) -> Iterator[str]:
    """Yield the uploads that an input names."""
    if isinstance(value, str):
        yield value
    else:
        for one in value.values() if isinstance(value, dict) else value:
            yield from _named(one)


def _ask(shared: Context, who: Identity, body: bytes, key: str | None) -> answers.Job:
    """Check a request, keep its inputs for the job, and queue it."""
    settings, store = shared.settings, shared.store
    offer, asked = read_request(body)
    check_services(asked["options"], settings.services)
    words = {w for i in offer.inputs for w in i.words}
    named = {role: set(_named(value)) - words for role, value in asked["inputs"].items()}
    wanted = {u for uploads in named.values() for u in uploads}
    uploaded = {u: json.loads(_upload(shared, who, u)["facts"]) for u in wanted}
    check_kinds(offer, {role: [uploaded[u]["format"] for u in uploads] for role, uploads in named.items()})
    facts = uploaded[asked["inputs"]["picture"]]
    check_page(offer, asked["options"], facts["pages"])
    check_room(settings, store.used(who.owner), who.quota)
    job = new_id()
    folder = settings.job(job)
    try:
        for upload in wanted:
            source = settings.upload(upload)
            for path in (*source.glob("file/*"), *(p for p in source.iterdir() if p.is_file())):
                linked(path, folder / "inputs" / upload / path.relative_to(source))
        if not all(any((folder / "inputs" / u / "file").glob("*")) for u in wanted):
            raise not_found("upload")  # it was removed at this very moment
        repeat = None if key is None else (key, hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest())
        row = store.add_job(job, who.owner, asked["task"], facts["name"], asked, settings.keep, repeat)
    except KeyError:
        discard(folder)
        raise Problem(409, "KeyReused", "this Idempotency-Key was sent with another request") from None
    except FileNotFoundError:
        discard(folder)
        raise not_found("upload") from None
    except BaseException:
        discard(folder)
        raise
    if row["id"] != job:
        discard(folder)
    return _answer(shared, row)


@router.get("/jobs", tags=["jobs"], responses=error_answers())
def list_jobs(
    who: Reader, shared: Shared, state: Annotated[list[answers.State], Query(max_length=6)] = [],  # noqa: B006
    cursor: Cursor = None, limit: Limit = 50,
) -> answers.Jobs:  # fmt: skip
    """List jobs, the newest first."""
    rows = shared.store.jobs(who.owner, state, int(cursor or 2**62), limit)
    following = str(rows[-1]["seq"]) if len(rows) == limit else None
    return answers.Jobs(jobs=[answers.short(_answer(shared, r)) for r in rows], next=following)


@router.get("/jobs/{job}", tags=["jobs"], responses=error_answers(404))
def get_job(job: Id, who: Reader, shared: Shared) -> answers.Job:
    """Say how a job stands."""
    return _answer(shared, _job(shared, who, job))


@router.delete("/jobs/{job}", tags=["jobs"], status_code=204, responses=error_answers(404))
def remove_job(job: Id, who: Runner, shared: Shared) -> None:
    """Remove a job with all its files; one that is being done is stopped."""
    if not shared.store.remove_job(job, who.owner):
        raise not_found("job")
    discard(shared.settings.job(job))


def _acting(action: str) -> None:
    about = {
        "pause": "Let a job wait, in its place if it is being done.", "resume": "Go on with a job that waits.",
        "cancel": "Stop a job.", "retry": "Do a job again that failed or was cancelled.",
    }  # fmt: skip

    def act(job: Id, who: Runner, shared: Shared) -> answers.Job:
        row, allowed = shared.store.act(job, who.owner, action)
        if row is None:
            raise not_found("job")
        if not allowed:
            states = " or ".join(ACTIONS[action])
            raise Problem(
                409, "WrongState", f"only a job that is {states} can be asked to {action}; it is {row['state']}"
            )
        return _answer(shared, row)

    act.__doc__ = about[action]
    router.post(f"/jobs/{{job}}/{action}", tags=["jobs"], name=f"{action}_job", responses=error_answers(404, 409))(act)


for _action in ACTIONS:
    _acting(_action)


# -- results ----------------------------------------------------------------------------------------------------------


def _result(shared: Context, who: Identity, job: str) -> tuple[dict[str, Any], FilePath]:
    """Return what is known of a result, and the folder of the attempt that made it."""
    row = _job(shared, who, job)
    if row["state"] != "done" or row["result"] is None:
        raise not_found("result yet")
    result: dict[str, Any] = json.loads(row["result"])
    return result, shared.settings.job(job) / result["attempt"]


def _with_bundle(shared: Context, who: Identity, job: str) -> tuple[FilePath, FilePath]:
    """Return the file of a result and its bundle."""
    result, folder = _result(shared, who, job)
    if not result.get("file"):
        raise not_found("result of a picture")
    return folder / result["file"], folder / result["bundle"]


@router.get(
    "/jobs/{job}/pictures/{role}/preview", tags=["results"], response_class=Response,
    responses={**error_answers(404), 200: file_answers("image/jpeg", "image/png")},
)  # fmt: skip
def job_preview(job: Id, role: Role, who: Reader, shared: Shared, side: Side = "1600") -> Response:
    """Return a picture of a job, made smaller."""
    result, folder = _result(shared, who, job)
    if role not in result["pictures"]:
        raise not_found("picture")
    return picture_answer(folder / "views" / f"{role}-{side}", result["pictures"][role]["type"])


@router.get(
    "/jobs/{job}/pictures/{role}/tiles/{level}/{x}_{y}", tags=["results"], response_class=Response,
    responses={**error_answers(404), 200: file_answers("image/jpeg", "image/png")},
)  # fmt: skip
def job_tile(
    job: Id,
    role: Role,
    level: Level,
    x: Annotated[int, Path(ge=0, le=10**6)],
    y: Annotated[int, Path(ge=0, le=10**6)],
    who: Reader,
    shared: Shared,
) -> Response:
    """Return a tile of a picture of a job."""
    result, folder = _result(shared, who, job)
    if role not in result["pictures"]:
        raise not_found("picture")
    return tile_answer(folder / "views" / f"{role}.tiles", level, x, y)


@router.get(
    "/jobs/{job}/result", tags=["results"], response_class=Response,
    responses={**error_answers(404), 200: file_answers(*RESULTS)},
)  # fmt: skip
def job_result(job: Id, who: Reader, shared: Shared, output: Export = None) -> Response:
    """Return the result as a file, or another file that was made with it."""
    result, folder = _result(shared, who, job)
    if result.get("file"):
        made = result["outputs"].get(output or next(iter(result["outputs"])))
        if made is None:
            raise not_found("output of that name")
        return download((folder / result["file"]).with_name(made["name"]), made["name"], made["media_type"])
    if "mask" in result.get("outputs", {}):
        mask = result["outputs"]["mask"]
        return download(shared.settings.upload(mask["upload"]) / "file" / mask["name"], mask["name"], "image/png")
    raise not_found("result")


@router.get(
    "/jobs/{job}/viewer/{name:path}", tags=["results"], response_class=Response,
    responses={**error_answers(404), 200: file_answers(*VIEWER)},
)  # fmt: skip
def job_viewer(job: Id, name: Named, request: Request, who: Reader, shared: Shared) -> Response:
    """Return a file of the page that shows a scene: index.html, what it loads, and the scene."""
    from tratto.jobs.viewing import page_file, page_files

    result, folder = _result(shared, who, job)
    if "viewer" not in result:
        raise not_found("scene")
    if name in result["viewer"]:
        return FileResponse(folder / "views" / "scene" / name, media_type="application/octet-stream", headers=FOREVER)
    if name not in page_files():
        raise not_found("file")
    data, headers = page_file(name, "gzip" in request.headers.get("accept-encoding", ""))
    return Response(data, headers={**headers, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"})


@router.get(
    "/jobs/{job}/bundle", tags=["results"], response_class=Response,
    responses={**error_answers(404), 200: file_answers("application/zip")},
)  # fmt: skip
def job_bundle(job: Id, who: Reader, shared: Shared) -> Response:
    """Return the result with its bundle as a ZIP file."""
    output, bundle = _with_bundle(shared, who, job)
    inside = sorted(p for p in bundle.rglob("*") if p.is_file())
    files = [(output.name, output), *((f"{bundle.name}/{p.relative_to(bundle).as_posix()}", p) for p in inside)]
    return StreamingResponse(zipped(files), media_type="application/zip", headers=attached(f"{output.stem}.zip"))


@router.get("/jobs/{job}/receipt", tags=["results"], response_class=JSONResponse, responses=error_answers(404))
def job_receipt(job: Id, who: Reader, shared: Shared) -> dict[str, Any]:
    """Return the receipt, byte for byte as it is sealed."""
    _, bundle = _with_bundle(shared, who, job)
    made: Any = FileResponse(bundle / "receipt.json", media_type="application/json", headers=attached("receipt.json"))
    return made  # type: ignore[no-any-return]  # a response is sent as it is


#: The report's own policy is stricter still; this one holds whatever is in it, and keeps it from this server's origin.
_REPORT = (
    "sandbox allow-scripts allow-modals allow-popups; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; frame-ancestors 'self'"
)


_PRINT = "addEventListener('load', function () { print(); });"
Printing = Annotated[bool, Query(alias="print", description="as a page that has itself printed")]


@router.get(
    "/jobs/{job}/report", tags=["results"], response_class=Response,
    responses={**error_answers(404), 200: file_answers("text/html; charset=utf-8")},
)  # fmt: skip
def job_report(job: Id, who: Reader, shared: Shared, printing: Printing = False) -> Response:
    """Return the report as a page of its own."""
    _, bundle = _with_bundle(shared, who, job)
    headers = {"Content-Security-Policy": _REPORT, "Cache-Control": "private, no-store"}
    if not printing:
        return FileResponse(bundle / "report.html", media_type="text/html; charset=utf-8", headers=headers)
    # the report that is sealed stays as it is; of what is shown here, its own policy must let the one script run, too
    text = (bundle / "report.html").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(_PRINT.encode()).digest()).decode()
    text = text.replace("script-src '", f"script-src 'sha256-{digest}' '", 1)
    head, end, rest = text.rpartition("</body>")
    return HTMLResponse(f"{head}<script>{_PRINT}</script>{end}{rest}", headers=headers)


@router.post("/jobs/{job}/verify", tags=["verify"], responses=error_answers(404, 409, 413))
async def verify_job(job: Id, who: Reader, shared: Shared) -> answers.Verdict:
    """Verify the result of a job."""
    output, _ = await run_in_threadpool(_with_bundle, shared, who, job)
    return await _verdict(shared, path=str(output), name=output.name)


@router.post("/jobs/{job}/undo", tags=["verify"], status_code=201, responses=error_answers(404, 409, 507))
def undo_job(job: Id, who: Runner, shared: Shared, response: Response) -> answers.Upload:
    """Give back the original of a job, byte for byte, as a new upload."""
    from tratto.provenance.bundle import revert

    row = _job(shared, who, job)
    output, _ = _with_bundle(shared, who, job)
    if offers()[row["task"]].makes_scene:
        raise Problem(409, "OptionError", "a scene has no one original: its photographs lie in the bundle")
    asked = json.loads(row["request"])["inputs"]["picture"]
    inputs = shared.settings.job(job) / "inputs" / asked
    facts = json.loads((inputs / "facts.json").read_text("utf-8"))
    with _work(shared.settings) as folder:
        part = Part(folder / "part", facts["name"])
        revert(output, part.path)
        data = hashlib.sha256()
        with open(part.path, "rb") as f:
            while piece := f.read(1 << 20):
                data.update(piece)
        part.size, part.sha256 = part.path.stat().st_size, data.hexdigest()
        if part.sha256 != facts["sha256"]:
            raise Problem(409, "ReceiptError", "the original in the bundle is not the file that was sent")
        for path in (p for p in inputs.iterdir() if p.is_file() and p.name != "facts.json"):
            linked(path, folder / path.name)
        upload = _keep(shared, who, folder, part, facts)
    response.headers["Location"] = f"/api/v1/uploads/{upload.id}"
    return upload


@router.post(
    "/verify",
    tags=["verify"],
    openapi_extra=_form("file", "bundle"),
    responses=error_answers(400, 408, 409, 413, 415, 507),
)
async def verify_file(request: Request, who: Verifier, shared: Shared) -> answers.Verdict:
    """Verify anybody's file: a picture, a ZIP file of one with its bundle, or a receipt. Nothing is kept."""
    settings = shared.settings
    check_room(settings, 0, who.quota)
    with _work(settings) as folder:
        parts = await receive(request, folder, ("file", "bundle"), who.upload_bytes)
        given: dict[str, Any] = {"name": parts["file"].name}
        for role, part in parts.items():
            named = folder / role / part.name
            named.parent.mkdir()
            part.path.rename(named)
            given["path" if role == "file" else "bundle"] = str(named)
        return await _verdict(shared, **given, work=str(folder / "work"), bytes=2 * who.upload_bytes)


async def _verdict(shared: Context, **asked: Any) -> answers.Verdict:
    ledger = shared.settings.ledger
    asked = {"work": "", "bytes": 0, "ledger": None if ledger is None else str(ledger.resolve()), **asked}
    return answers.Verdict(**await shared.children.ask("verify", **asked))


# -- events -----------------------------------------------------------------------------------------------------------

LastEvent = Annotated[int | None, Query(ge=0, le=2**62, description="As the header Last-Event-ID, which goes before.")]
_EVENT: dict[str, Any] = {
    "type": "object",
    "description": "`job` with a ShortJob as JSON in `data`, or `gone` with its id.",
    "properties": {"id": {"type": "string"}, "event": {"enum": ["job", "gone"]}, "data": {"type": "string"}},
}
_EVENTS: dict[str, Any] = {"content": {"text/event-stream": {"schema": _EVENT}}}


def _last(request: Request, given: int | None) -> int | None:
    header = request.headers.get("last-event-id", "")
    return int(header) if header.isdecimal() and len(header) < 19 else given


def _stream(shared: Context, who: Identity, after: int, job: str | None) -> Response:
    def job_json(name: str) -> str | None:
        row = shared.store.job(name, who.owner)
        return None if row is None else answers.short(_answer(shared, row)).model_dump_json()

    def allowed() -> bool:
        return who.is_page or shared.access.holds_key(who.owner)

    seconds = shared.settings.stream_seconds
    made: AsyncIterator[str] = events(shared.pulse, who.owner, after, job, job_json, seconds, allowed)
    return StreamingResponse(made, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@router.get("/events", tags=["events"], response_class=StreamingResponse, responses={**error_answers(), 200: _EVENTS})
def all_events(request: Request, who: Reader, shared: Shared, last_event_id: LastEvent = None) -> Response:
    """Tell what happens to all jobs, as server-sent events."""
    last = _last(request, last_event_id)
    return _stream(shared, who, shared.store.last_event() if last is None else last, None)


@router.get(
    "/jobs/{job}/events", tags=["events"], response_class=StreamingResponse,
    responses={**error_answers(404), 200: _EVENTS},
)  # fmt: skip
def job_events(job: Id, request: Request, who: Reader, shared: Shared, last_event_id: LastEvent = None) -> Response:
    """Tell what happens to a job, beginning with how it stands."""
    _job(shared, who, job)
    return _stream(shared, who, _last(request, last_event_id) or 0, job)
