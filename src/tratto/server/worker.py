"""A process that does jobs: settings come as one line of JSON on standard input.

It takes one job after the other. A job that is paused keeps its place and its memory in its own thread, and the next
one goes on meanwhile. When the server ends, standard input ends, and what is being done goes back to the queue.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tratto.core.errors import Cancelled, TrattoError
from tratto.server.database import Database
from tratto.server.pace import Pace
from tratto.server.settings import Settings
from tratto.server.store import Store

#: Seconds between heartbeats, between looks into an empty queue, and between reports of progress.
HEARTBEAT, IDLE, REPORT = 3.0, 0.2, 0.7
#: Most jobs that are paused in one process; a further one gives up its place.
MOST_PAUSED = 3
#: Seconds that jobs get to stop at when the server ends.
GRACE = 10.0


class Lost(Exception):
    """The job is no longer ours: it was deleted, or given to another."""


class GivenBack(Exception):
    """The job goes back to the queue."""


@dataclass(eq=False)
class Claim:
    """One job in the hands of this process.

    Attributes
    ----------
    row : sqlite3.Row
        As it was claimed.
    pace : Pace or None
        Known once the picture is.
    wanted : str
        What was asked of it, as the last heartbeat heard: ``pause``, ``run``, ``cancel``, ``gone`` or nothing.
    """

    row: sqlite3.Row
    worker: Worker
    pace: Pace | None = None
    wanted: str = ""
    paused: bool = False
    _reported: float = 0.0
    _stage: str = ""

    @property
    def token(self) -> str:
        """Proof that the job is ours."""
        return str(self.row["token"])

    def progress(self, stage: str, done: int, total: int) -> None:
        """Take a job's progress: report it, and stop or pause the job if that is wanted."""
        if self.wanted == "pause":
            self._wait()
        if self.worker.ending.is_set():
            raise GivenBack
        if self.wanted == "gone":
            raise Lost
        if self.wanted == "cancel":
            raise Cancelled("the job was cancelled; nothing was written for it")
        now = time.monotonic()
        share = self.pace.follow(stage, done, total) if self.pace else 0.0
        if now - self._reported > REPORT or stage != self._stage:
            self._reported, self._stage = now, stage
            left = self.pace.seconds_left() if self.pace else None
            self.worker.store.report(self.token, share, stage[:80], left)

    def _wait(self) -> None:
        """Be paused: let another job go on, and go on when that is wanted and no other is being done."""
        begun = time.monotonic()
        if not self.worker.make_way(self):
            raise GivenBack
        try:
            while self.wanted in ("pause", ""):
                if self.worker.ending.wait(0.2):
                    raise GivenBack
        finally:
            self.worker.take_turn(self)
        if self.pace is not None:
            self.pace.skip(time.monotonic() - begun)
        if self.wanted == "run":
            self.wanted = ""


#: Does a job and returns its result (JSON-able), its size in bytes and the uploads it made.
Do = Callable[[Claim, Settings], tuple[dict[str, Any], int, dict[str, tuple[dict[str, Any], int]]]]


@dataclass(eq=False)
class Worker:
    """Takes jobs from the queue, one at a time.

    Attributes
    ----------
    settings : Settings
        Folders, device and limits.
    name : str
        By which the queue knows it; no two workers share one.
    store : Store
        The queue it takes jobs from.
    ending : threading.Event
        Set when it is to end.
    """

    settings: Settings
    do: Do
    name: str
    store: Store
    ending: threading.Event = field(default_factory=threading.Event)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _claims: dict[str, Claim] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Work until it is to end."""
        threading.Thread(target=self._beat, daemon=True).start()
        while not self.ending.is_set():
            if not self._turn.acquire(timeout=1.0):
                continue
            claim = None if self.ending.is_set() else self._claim()
            if claim is None:
                self.ending.wait(IDLE)
            else:
                threading.Thread(target=self._one, args=(claim,)).start()
        deadline = time.monotonic() + GRACE
        while self._claims and time.monotonic() < deadline:
            time.sleep(0.05)

    def once(self) -> bool:
        """Do the next job in this thread; False: there is none."""
        self._turn.acquire()
        claim = self._claim()
        if claim is not None:
            self._one(claim)
        return claim is not None

    def _claim(self) -> Claim | None:
        """Take the next job, with the turn in hand; without one, the turn is given back."""
        row = None
        try:
            row = self.store.claim(self.name)
        except sqlite3.OperationalError as e:  # locked for longer than a minute
            log(f"the queue cannot be read: {e}")
        except TrattoError as e:
            log(str(e))
        if row is None:
            self._turn.release()
            return None
        claim = Claim(row, self)
        with self._lock:
            self._claims[claim.token] = claim
        return claim

    @property
    def holds_paused(self) -> bool:
        """Whether a job is paused in this process, perhaps with a network in its hands."""
        with self._lock:
            return any(claim.paused for claim in self._claims.values())

    def make_way(self, claim: Claim) -> bool:
        """Let another job go on while one is paused; False: too many are paused already, or it is not ours."""
        with self._lock:
            if sum(c.paused for c in self._claims.values()) >= MOST_PAUSED:
                return False
            claim.paused = True
        claim.wanted = ""
        if not self.store.hold(claim.token, True):
            claim.wanted = "gone"
        self._turn.release()
        return True

    def take_turn(self, claim: Claim) -> None:
        """Go on with a job that was paused, when no other is being done."""
        self._turn.acquire()
        claim.paused = False
        if claim.wanted == "run" and not self.store.hold(claim.token, False):
            claim.wanted = "gone"

    def _one(self, claim: Claim) -> None:
        """Do one job to its end, whatever that is."""
        from tratto.server.offers import http_words, offers
        from tratto.server.uploads import discard, without_paths

        store, keep = self.store, self.settings.keep
        state, size = "failed", 0
        result: dict[str, Any] | None = None
        error: dict[str, Any] | None = None
        made: dict[str, tuple[dict[str, Any], int]] = {}
        observed: dict[str, float | None] | None = None
        try:
            result, size, made = self.do(claim, self.settings)
            observed = result.pop("observed", None)
            state = "done"
        except GivenBack:
            store.give_back(claim.token)
        except Lost:
            pass
        except Cancelled:
            state = "cancelled"
        except TrattoError as e:
            error = {"kind": type(e).__name__, "message": str(e)[:2000], "option": None}
        except MemoryError:
            error = {
                "kind": "OutOfMemory",
                "message": "out of memory; choose a smaller picture or scale",
                "option": None,
            }
        except OSError as e:
            error = {"kind": "OutputError", "message": f"the system refused: {e.strerror or e}", "option": None}
        except Exception as e:
            log("".join(traceback.format_exception(e)))
            error = {
                "kind": "Fault",
                "message": f"a fault in tratto itself: {type(e).__name__}: {e}"[:1000],
                "option": None,
            }
        if error is not None:
            offer = offers().get(claim.row["task"])
            message = without_paths(str(error["message"]), self.settings)
            error["message"] = message if offer is None else http_words(message, offer)
        try:
            # a job that was deleted, or given to another, is not finished by us, and its files go
            if (state == "done" or state == "cancelled" or error) and not store.finish(
                claim.token, state, result, error, size, made, keep, observed
            ):
                folder = self.settings.job(claim.row["id"])
                discard(folder / claim.token if store.exists(claim.row["id"]) else folder)
                for upload in made:
                    discard(self.settings.upload(upload))
            elif state == "done" and claim.pace is not None:
                store.learn(claim.row["task"], claim.pace.learned())
        except (TrattoError, sqlite3.Error) as e:
            log(f"the end of a job cannot be noted: {e}; it will be taken up again")
        finally:
            with self._lock:
                self._claims.pop(claim.token, None)
            if threading.current_thread() is not threading.main_thread():
                self.store.database.close()
            self._turn.release()

    def _beat(self) -> None:
        """Say that this process lives, and hear what is wanted of its jobs."""
        while True:
            with self._lock:
                claims = dict(self._claims)
            if claims:
                try:
                    held = self.store.beat(claims)
                except (TrattoError, sqlite3.Error) as e:
                    log(f"no heartbeat: {e}")
                    held = {token: claim.wanted for token, claim in claims.items()}
                for token, claim in claims.items():
                    wanted = held.get(token, "gone")
                    if wanted or not claim.paused:
                        claim.wanted = wanted
            # what is wanted is heard soon, though a lease lasts longer
            self.ending.wait(min(HEARTBEAT, 1.0))
            if self.ending.is_set():
                time.sleep(0.2)


def log(text: str) -> None:
    """Write a line for the owner of the server; nothing in it is secret."""
    print(f"tratto worker {os.getpid()}: {text.rstrip()}", file=sys.stderr, flush=True)


def main() -> None:
    """Work until standard input ends."""
    asked = json.loads(sys.stdin.readline())
    settings = Settings.model_validate(asked["settings"])
    from tratto.server.doing import do

    worker = Worker(settings, do, asked["name"], Store(Database(settings.database)))

    def watch() -> None:
        while sys.stdin.read(4096):
            pass
        worker.ending.set()
        time.sleep(GRACE + 2)
        os._exit(1)  # a step that reports nothing for so long; its lease will run out

    threading.Thread(target=watch, daemon=True).start()
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; the server says when it is time
    worker.run()
