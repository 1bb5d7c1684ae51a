"""What the API answers, as models: the OpenAPI document and the reference are made from these."""

from __future__ import annotations

import json
import sqlite3
from typing import Any, Literal

from pydantic import BaseModel, Field

from tratto.server.store import FINAL

State = Literal["queued", "running", "paused", "done", "failed", "cancelled"]


class Legend(BaseModel):
    """Colours of a map, evenly spaced from ``low`` to ``high``."""

    unit: str
    low: float
    high: float
    colors: list[str]


class View(BaseModel):
    """A picture for deep zoom: level L has sides of ceil(side / 2^(max_level - L)); tiles do not overlap."""

    width: int
    height: int
    tile: int
    min_level: int
    max_level: int
    type: str
    legend: Legend | None = None


class Upload(BaseModel):
    """A file that was sent, as the server sees it. Width and height are as it is shown."""

    id: str
    name: str
    width: int
    height: int
    mode: str
    bits: int
    alpha: bool
    format: str
    pages: int
    bytes: int
    sha256: str
    megapixels: float
    notes: list[str]
    view: View
    created: float
    expires: float


class Monitor(BaseModel):
    """Figures of everybody's jobs: series, spreads and how far they moved; see the documentation on monitoring."""

    window: dict[str, float]
    reference: dict[str, float | str] | None
    queue: dict[str, float] | None
    tasks: dict[str, int]
    states: dict[str, int]
    series: dict[str, list[float | None] | float | None]
    panels: list[dict[str, Any]]
    scores: list[dict[str, Any]]


class Uploads(BaseModel):
    """Uploads, the newest first; ``next`` is the cursor of the next page."""

    uploads: list[Upload]
    next: str | None


class JobError(BaseModel):
    """Why a job failed."""

    kind: str
    message: str
    option: str | None = None


class Output(BaseModel):
    """A file that a job made; ``upload`` is one that can be the input of another job."""

    name: str
    bytes: int
    media_type: str
    width: int | None = None
    height: int | None = None
    upload: str | None = None


class Region(BaseModel):
    """Where a picture changed: a box of x, y, width and height as it is shown; null: all the rest together."""

    index: int
    box: list[int] | None
    claim: str
    kind: str
    share: float
    changed: float
    delta_e_mean: float
    delta_e_max: float
    error: float | None


class ShortJob(BaseModel):
    """A job as lists and events show it."""

    id: str
    task: str
    name: str
    state: State
    wanted: str | None = Field(description="Asked of the worker, and not yet done: pause, cancel or run.")
    progress: float = Field(ge=0, le=1)
    stage: str
    seconds_left: float | None = Field(description="null: not known")
    position: int | None = Field(description="Jobs ahead of one that is queued.")
    created: float
    started: float | None
    finished: float | None
    expires: float
    attempts: int
    error: JobError | None
    note: str
    pictures: dict[str, View]
    outputs: dict[str, Output]
    masks: dict[str, str]
    receipt_sha256: str | None
    signed: str | None
    entry: int | None


class Job(ShortJob):
    """A job."""

    inputs: dict[str, Any]
    options: dict[str, Any]
    warnings: list[str]
    regions: list[Region]
    plan: dict[str, Any] | None


class Jobs(BaseModel):
    """Jobs, the newest first; ``next`` is the cursor of the next page."""

    jobs: list[ShortJob]
    next: str | None


class InputFacts(BaseModel):
    """An input of a task; the first is the picture that is worked on.

    `classes` are the classes of damage that it may have a mask for each of; empty: it takes none by class. Classes of
    other names may be given, too.
    """

    role: str
    help: str
    kind: str
    required: bool
    repeatable: bool
    classes: list[str]
    words: list[str]


class TaskFacts(BaseModel):
    """A task; ``options`` is a JSON schema whose properties stand in the order of a form."""

    name: str
    summary: str
    output: str
    inputs: list[InputFacts]
    options: dict[str, Any]


class Tasks(BaseModel):
    """All tasks."""

    tasks: list[TaskFacts]


class Template(BaseModel):
    """Words with a name."""

    name: str
    text: str


class Templates(BaseModel):
    """The owner's named words."""

    templates: list[Template]


class MyLimits(BaseModel):
    """What whoever asks may take."""

    upload_bytes: int
    pixels: int
    side: int
    quota_bytes: int
    used_bytes: int
    requests_per_minute: int


class Me(BaseModel):
    """Whoever asks."""

    name: str
    kind: Literal["page", "key"]
    scopes: list[str]
    version: str
    keep_days: float
    limits: MyLimits
    formats: list[str]
    workers: int


class Step(BaseModel):
    """A step that a receipt states."""

    step: str
    provider: str


class ReceiptFacts(BaseModel):
    """What a receipt is about."""

    task: str
    tool: Any
    steps: list[Step]
    outputs: list[str]


class Verdict(BaseModel):
    """Whether a result and its account are unchanged, with reasons."""

    verdict: Literal["authentic", "altered", "unknown"]
    reasons: list[str]
    status: str | None
    stamp: str | None
    forensic: bool
    chain: list[dict[str, Any]]
    receipt: ReceiptFacts | None
    name: str


class Health(BaseModel):
    """The server answers."""

    ok: bool
    version: str


def upload_of(row: sqlite3.Row) -> Upload:
    """Return what is told of an upload."""
    facts = json.loads(row["facts"])
    return Upload(**facts, id=row["id"], created=row["created"], expires=row["expires"])


def job_of(row: sqlite3.Row, position: int | None) -> Job:
    """Return what is told of a job."""
    request = json.loads(row["request"])
    result = json.loads(row["result"]) if row["result"] else {}
    plain: dict[str, Any] = {
        name: row[name]
        for name in ("id", "task", "name", "state", "wanted", "progress", "stage", "seconds_left", "created", "started")
    }
    fields = {
        name: result[name] for name in ("note", "warnings", "pictures", "outputs", "masks", "regions") if name in result
    }
    empty: dict[str, Any] = {"note": "", "warnings": [], "pictures": {}, "outputs": {}, "masks": {}, "regions": []}
    more: dict[str, Any] = {name: result.get(name) for name in ("receipt_sha256", "signed", "entry", "plan")}
    return Job(
        **plain,
        **{**empty, **fields},
        **more,
        position=position,
        finished=row["finished"] if row["state"] in FINAL else None,
        expires=row["expires"],
        attempts=row["attempts"],
        error=json.loads(row["error"]) if row["error"] else None,
        inputs=request["inputs"],
        options=request["options"],
    )


def short(job: Job) -> ShortJob:
    """Return the short form of a job."""
    return ShortJob(**{name: getattr(job, name) for name in ShortJob.model_fields})
