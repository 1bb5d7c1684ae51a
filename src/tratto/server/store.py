"""Uploads, jobs and their queue, in SQLite.

A job is queued, claimed by a worker with a lease that the worker's heartbeat renews, and finished by whoever holds the
token of that lease: what a worker does after its lease was given to another changes nothing. Every change of state
happens in one transaction with its event. Killing any process at any moment therefore loses no job and finishes none
twice.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tratto.server.database import Database

#: Seconds after which a job whose worker gives no sign of life is given to another.
LEASE = 20.0
#: How often a job may lose its worker before it counts as what kills it.
MOST_ATTEMPTS = 5
#: Seconds for which it is known what was observed of jobs, and most of these that are looked at together.
OBSERVED_FOR, MOST_OBSERVED = 400 * 86400.0, 200_000
#: States in which nothing more happens by itself.
FINAL = ("done", "failed", "cancelled")
STATES = ("queued", "running", "paused", *FINAL)
#: What may be asked of a job, and in which states.
ACTIONS = {
    "pause": ("queued", "running"), "resume": ("paused", "running"), "cancel": ("queued", "running", "paused"),
    "retry": ("failed", "cancelled"),
}  # fmt: skip
_DIED = {
    "kind": "WorkerDied",
    "message": f"the process that did the job ended {MOST_ATTEMPTS} times before it was done, most likely for want of "
    "memory; choose a smaller picture or scale, or retry",
    "option": None,
}


def new_id() -> str:
    """Return a name that nobody can guess: 32 hex digits."""
    return secrets.token_hex(16)


class Store:
    """What a server knows. Safe to use from several threads and processes.

    Parameters
    ----------
    database : Database
        Of the server's folder.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> store = Store(Database(pathlib.Path(tempfile.mkdtemp()) / "x.db"))
    >>> job = store.add_job(new_id(), "page", "restore", "a.png", {}, 60.0)
    >>> store.claim("worker")["id"] == job["id"], store.claim("worker")
    (True, None)
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    # -- uploads ------------------------------------------------------------------------------------------------

    def add_upload(self, upload: str, owner: str, facts: Mapping[str, Any], size: int, keep: float) -> None:
        """Make an upload known whose files lie in their place."""
        with self.database.writing(durable=True) as c:
            _insert_upload(c, upload, owner, facts, size, keep)

    def upload(self, upload: str, owner: str) -> sqlite3.Row | None:
        """Return an upload of somebody, or None."""
        return self.database.row("SELECT * FROM uploads WHERE id=? AND owner=?", upload, owner)

    def uploads(self, owner: str, before: int, limit: int) -> list[sqlite3.Row]:
        """Return somebody's uploads, the newest first."""
        return self.database.rows(
            "SELECT * FROM uploads WHERE owner=? AND seq<? ORDER BY seq DESC LIMIT ?", owner, before, limit
        )

    def remove_upload(self, upload: str, owner: str) -> bool:
        """Forget an upload; its files are removed by the caller."""
        with self.database.writing() as c:
            return c.execute("DELETE FROM uploads WHERE id=? AND owner=?", (upload, owner)).rowcount > 0

    def used(self, owner: str) -> int:
        """Return how many bytes somebody's files take."""
        found = self.database.row(
            "SELECT (SELECT coalesce(sum(bytes), 0) FROM uploads WHERE owner=?1)"
            " + (SELECT coalesce(sum(bytes), 0) FROM jobs WHERE owner=?1)",
            owner,
        )
        return 0 if found is None else int(found[0])

    # -- jobs ---------------------------------------------------------------------------------------------------

    def add_job(
        self, job: str, owner: str, task: str, name: str, request: Mapping[str, Any], keep: float,
        repeat: tuple[str, str] | None = None,
    ) -> sqlite3.Row:  # fmt: skip
        """Queue a job; with a repeat (key, hash of the request) the one that was queued for it before.

        Returns
        -------
        sqlite3.Row
            The job. Its request differs from the one given if ``repeat`` names another; compare ``id``.

        Raises
        ------
        KeyError
            If the key was used for another request.
        """
        now = time.time()
        with self.database.writing(durable=True) as c:
            if repeat is not None:
                known = c.execute(
                    "SELECT hash, job FROM repeats WHERE owner=? AND key=?", (owner, repeat[0])
                ).fetchone()
                if known is not None and known["hash"] != repeat[1]:
                    raise KeyError(repeat[0])
                if known is not None and (row := _job(c, known["job"])) is not None:
                    return row
                c.execute("INSERT OR REPLACE INTO repeats VALUES (?, ?, ?, ?)", (owner, *repeat, job))
            c.execute(
                "INSERT INTO jobs (id, owner, rank, task, name, request, created, expires) VALUES (?,?,?,?,?,?,?,?)",
                (job, owner, int(owner != "page"), task, name, json.dumps(request), now, now + keep),
            )
            _event(c, job, owner, "queued")
            return c.execute("SELECT * FROM jobs WHERE id=?", (job,)).fetchone()  # type: ignore[no-any-return]

    def job(self, job: str, owner: str) -> sqlite3.Row | None:
        """Return a job of somebody, or None."""
        return self.database.row("SELECT * FROM jobs WHERE id=? AND owner=?", job, owner)

    def exists(self, job: str) -> bool:
        """Return whether there is a job, whoever's."""
        return self.database.row("SELECT 1 FROM jobs WHERE id=?", job) is not None

    def jobs(self, owner: str, states: Sequence[str], before: int, limit: int) -> list[sqlite3.Row]:
        """Return somebody's jobs, the newest first."""
        chosen = f" AND state IN ({','.join('?' * len(states))})" if states else ""
        statement = f"SELECT * FROM jobs WHERE owner=? AND seq<?{chosen} ORDER BY seq DESC LIMIT ?"
        return self.database.rows(statement, owner, before, *states, limit)

    def position(self, row: sqlite3.Row) -> int:
        """Return how many jobs stand before one that is queued."""
        found = self.database.row(
            "SELECT count(*) FROM jobs WHERE state='queued' AND (rank, seq) < (?, ?)", row["rank"], row["seq"]
        )
        return 0 if found is None else int(found[0])

    def act(self, job: str, owner: str, action: str) -> tuple[sqlite3.Row | None, bool]:
        """Pause, resume, cancel or retry.

        Returns
        -------
        sqlite3.Row or None
            The job as it is now; None: there is none.
        bool
            False: its state does not allow it.
        """
        with self.database.writing() as c:
            row = _job(c, job)
            if row is None or row["owner"] != owner:
                return None, False
            if row["state"] not in ACTIONS[action]:
                return row, False
            held = row["token"] is not None and row["lease"] is not None and row["lease"] > time.time()
            if action == "retry":
                _set(c, row, "queued", attempts=0, error=None, finished=None, progress=0, stage="", token=None)
            elif held:  # the worker does it
                if row["state"] == "running" and action == "resume" and row["wanted"] != "pause":
                    return row, False
                wanted = {"pause": "pause", "cancel": "cancel"}.get(action)
                wanted = "run" if action == "resume" and row["state"] == "paused" else wanted
                c.execute("UPDATE jobs SET wanted=? WHERE id=?", (wanted, job))
                _event(c, job, owner, "wanted")
            elif action == "cancel":
                _set(c, row, "cancelled", finished=time.time(), token=None, stage="")
            elif action == "resume":
                _set(c, row, "queued", token=None, progress=0, stage="")
            else:
                _set(c, row, "paused", token=None, progress=0, stage="")
            return _job(c, job), True

    def remove_job(self, job: str, owner: str) -> bool:
        """Forget a job; its files are removed by the caller, and a worker that does it finds it gone."""
        with self.database.writing() as c:
            return _remove(c, [job], owner) > 0

    # -- the queue, as workers see it ---------------------------------------------------------------------------

    def claim(self, worker: str) -> sqlite3.Row | None:
        """Take the next job; None: there is none. Jobs of the page go before those of programs."""
        self.reclaim()
        if self.database.row("SELECT 1 FROM jobs WHERE state='queued' LIMIT 1") is None:
            return None  # asked many times a minute: without taking the right to write
        now = time.time()
        with self.database.writing() as c:
            row: sqlite3.Row | None = c.execute(
                "UPDATE jobs SET state='running', wanted=NULL, token=?, lease=?, worker=?, attempts=attempts+1,"
                " started=coalesce(started, ?), progress=0, stage='' WHERE id="
                "(SELECT id FROM jobs WHERE state='queued' ORDER BY rank, seq LIMIT 1) RETURNING *",
                (new_id(), now + LEASE, worker, now),
            ).fetchone()
            if row is not None:
                _event(c, row["id"], row["owner"], "running")
        return row

    def reclaim(self) -> None:
        """Give back what workers hold that give no sign of life."""
        now = time.time()
        if self.database.row("SELECT 1 FROM jobs WHERE lease<? LIMIT 1", now) is None:
            return
        with self.database.writing() as c:
            for row in c.execute("SELECT * FROM jobs WHERE lease<?", (now,)).fetchall():
                again = row["state"] == "running" or row["wanted"] == "run"
                if row["wanted"] == "cancel":
                    _set(c, row, "cancelled", finished=now, token=None, stage="")
                elif row["wanted"] == "pause" or not again:
                    _set(c, row, "paused", token=None, progress=0, stage="")
                elif row["attempts"] >= MOST_ATTEMPTS:
                    _set(c, row, "failed", finished=now, token=None, stage="", error=json.dumps(_DIED))
                else:
                    _set(c, row, "queued", token=None, progress=0, stage="")

    def beat(self, tokens: Iterable[str]) -> dict[str, str]:
        """Renew leases; return what is wanted of each job that is still held by its token, ``""`` for nothing."""
        held = {}
        with self.database.writing() as c:
            for token in tokens:
                found = c.execute(
                    "UPDATE jobs SET lease=? WHERE token=? RETURNING wanted", (time.time() + LEASE, token)
                ).fetchone()
                if found is not None:
                    held[token] = found["wanted"] or ""
        return held

    def report(self, token: str, progress: float, stage: str, seconds_left: float | None) -> None:
        """Say how far a job is."""
        with self.database.writing() as c:
            row = c.execute(
                "UPDATE jobs SET progress=?, stage=?, seconds_left=? WHERE token=? RETURNING id, owner",
                (progress, stage, seconds_left, token),
            ).fetchone()
            if row is not None:
                c.execute("DELETE FROM events WHERE job=? AND kind='progress'", (row["id"],))
                _event(c, row["id"], row["owner"], "progress")

    def hold(self, token: str, paused: bool) -> bool:
        """Say that a job was paused in its place, or goes on; False: it is no longer held."""
        with self.database.writing() as c:
            row = c.execute("SELECT * FROM jobs WHERE token=?", (token,)).fetchone()
            if row is None:
                return False
            state = "paused" if paused else "running"
            c.execute("UPDATE jobs SET state=?, wanted=NULL, seconds_left=NULL WHERE token=?", (state, token))
            _event(c, row["id"], row["owner"], state)
            return True

    def give_back(self, token: str) -> None:
        """Put a job back whose worker must end; that does not count as an attempt."""
        with self.database.writing() as c:
            row = c.execute("SELECT * FROM jobs WHERE token=?", (token,)).fetchone()
            if row is not None:
                state = "paused" if row["state"] == "paused" or row["wanted"] == "pause" else "queued"
                _set(c, row, state, token=None, progress=0, stage="", attempts=max(0, row["attempts"] - 1))

    def finish(
        self, token: str, state: str, result: Mapping[str, Any] | None, error: Mapping[str, Any] | None, size: int,
        uploads: Mapping[str, tuple[Mapping[str, Any], int]], keep: float,
        observed: Mapping[str, float | None] | None = None,
    ) -> bool:  # fmt: skip
        """Make the end of a job known, with the uploads it made (id to facts and bytes); False: it is another's now.

        ``observed`` is what is watched of its result; it stays when the job has expired, and names nobody.
        """
        now = time.time()
        with self.database.writing() as c:
            row = c.execute("SELECT * FROM jobs WHERE token=?", (token,)).fetchone()
            if row is None:
                return False
            for upload, (facts, taken) in uploads.items():
                _insert_upload(c, upload, row["owner"], facts, taken, keep)
            _set(
                c, row, state, token=None, stage="", finished=now, bytes=size, expires=now + keep,
                progress=1.0 if state == "done" else row["progress"],
                result=None if result is None else json.dumps(result),
                error=None if error is None else json.dumps(error),
            )  # fmt: skip
            if state in ("done", "failed"):
                begun = row["started"] or now
                c.execute(
                    "INSERT INTO observations (at, task, state, waited, seconds, facts) VALUES (?,?,?,?,?,?)",
                    (now, row["task"], state, begun - row["created"], now - begun, json.dumps(observed or {})),
                )
            return True

    def orphan(self, worker: str) -> None:
        """Let the leases of a worker run out that is known to be dead."""
        with self.database.writing() as c:
            c.execute("UPDATE jobs SET lease=0 WHERE worker=? AND lease IS NOT NULL", (worker,))

    # -- what is watched ----------------------------------------------------------------------------------------

    def observed(self, after: int = 0, since: float = 0.0, limit: int = MOST_OBSERVED) -> list[sqlite3.Row]:
        """Return what is known of jobs that ended, in that order; at most so many."""
        return self.database.rows(
            "SELECT * FROM observations WHERE seq>? AND at>=? ORDER BY seq LIMIT ?", after, since, limit
        )

    def queue(self) -> dict[str, Any]:
        """Return how many jobs are in each state that is not final, and since when the first of them waits."""
        rows = self.database.rows(
            "SELECT state, count(*) AS n, min(created) AS first FROM jobs WHERE state IN ('queued','running','paused')"
            " GROUP BY state"
        )
        counts = dict.fromkeys(("queued", "running", "paused"), 0) | {r["state"]: r["n"] for r in rows}
        first = next((r["first"] for r in rows if r["state"] == "queued"), None)
        return {**counts, "oldest_seconds": 0.0 if first is None else max(0.0, time.time() - first)}

    # -- events -------------------------------------------------------------------------------------------------

    def last_event(self) -> int:
        """Return the number of the newest event."""
        found = self.database.row("SELECT seq FROM sqlite_sequence WHERE name='events'")
        return 0 if found is None else int(found[0])

    def events(self, owner: str, after: int, job: str | None, limit: int = 200) -> list[tuple[int, str, str]]:
        """Return what happened since an event: for each job the newest number, its id and kind."""
        only = " AND job=?" if job else ""
        rows = self.database.rows(
            f"SELECT max(id) AS id, job, kind FROM events WHERE id>? AND owner=?{only} GROUP BY job ORDER BY 1 LIMIT ?",
            *(after, owner, *([job] if job else []), limit),
        )
        return [(row["id"], row["job"], row["kind"]) for row in rows]

    # -- pace ---------------------------------------------------------------------------------------------------

    def pace(self, task: str) -> dict[str, float]:
        """Return the seconds for each megapixel that the stages of a task took here, the newest jobs counting most."""
        return {r["stage"]: r["seconds"] for r in self.database.rows("SELECT * FROM pace WHERE task=?", task)}

    def learn(self, task: str, seconds: Mapping[str, float]) -> None:
        """Take in how long the stages of a job took, for each megapixel."""
        with self.database.writing() as c:
            for stage, value in seconds.items():
                c.execute(
                    "INSERT INTO pace VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET seconds=0.7*seconds+0.3*excluded.seconds",
                    (task, stage[:80], value),
                )

    # -- expiry -------------------------------------------------------------------------------------------------

    def expired(self) -> tuple[list[str], list[str]]:
        """Forget what has expired; return the uploads and jobs whose files are to be removed."""
        now = time.time()
        with self.database.writing() as c:
            uploads = [r["id"] for r in c.execute("DELETE FROM uploads WHERE expires<? RETURNING id", (now,))]
            jobs = c.execute("SELECT id, owner FROM jobs WHERE expires<? AND token IS NULL", (now,)).fetchall()
            for row in jobs:
                _remove(c, [row["id"]], row["owner"])
            for table in ("links", "sessions"):
                c.execute(f"DELETE FROM {table} WHERE expires<?", (now,))
            c.execute("DELETE FROM events WHERE kind='gone' AND at<?", (now - 86400,))
            c.execute("DELETE FROM observations WHERE at<?", (now - OBSERVED_FOR,))
        return uploads, [row["id"] for row in jobs]

    def known(self) -> tuple[set[str], set[str]]:
        """Return the ids of all uploads and jobs."""
        uploads, jobs = (self.database.rows(f"SELECT id FROM {table}") for table in ("uploads", "jobs"))
        return {r["id"] for r in uploads}, {r["id"] for r in jobs}


def _job(c: sqlite3.Connection, job: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = c.execute("SELECT * FROM jobs WHERE id=?", (job,)).fetchone()
    return row


def _set(c: sqlite3.Connection, row: sqlite3.Row, state: str, **columns: Any) -> None:
    """Change the state of a job; nobody holds it afterwards."""
    columns = {"state": state, "wanted": None, "seconds_left": None, "lease": None, "worker": None, **columns}
    named = ", ".join(f"{name}=?" for name in columns)
    c.execute(f"UPDATE jobs SET {named} WHERE id=?", (*columns.values(), row["id"]))
    _event(c, row["id"], row["owner"], state)


def _event(c: sqlite3.Connection, job: str, owner: str, kind: str) -> None:
    c.execute("INSERT INTO events (job, owner, kind, at) VALUES (?, ?, ?, ?)", (job, owner, kind, time.time()))


def _insert_upload(
    c: sqlite3.Connection, upload: str, owner: str, facts: Mapping[str, Any], size: int, keep: float
) -> None:
    now = time.time()
    c.execute(
        "INSERT INTO uploads (id, owner, facts, bytes, created, expires) VALUES (?, ?, ?, ?, ?, ?)",
        (upload, owner, json.dumps(facts), size, now, now + keep),
    )


def _remove(c: sqlite3.Connection, jobs: Sequence[str], owner: str) -> int:
    removed = 0
    for job in jobs:
        if c.execute("DELETE FROM jobs WHERE id=? AND owner=?", (job, owner)).rowcount:
            c.execute("DELETE FROM events WHERE job=?", (job,))
            c.execute("DELETE FROM repeats WHERE owner=? AND job=?", (owner, job))
            _event(c, job, owner, "gone")
            removed += 1
    return removed
