"""A crew of workers: each does one picture at a time, in a process of its own, here or where Ray has one.

Every worker has a thread here that hands it the next item and waits for the outcome, so nothing is handed out ahead of
time. A worker that dies (out of memory, a fault in a library) is replaced, and what it held is tried once more.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from tratto.core.options import JobLimits
from tratto.jobs.folder import FileOutcome, Work, Worker
from tratto.jobs.gather import Target
from tratto.jobs.session import Session

#: How often an item is handed to a worker before it counts as what kills it.
MOST_ATTEMPTS = 2


class WorkerDied(Exception):
    """The process of a worker ended in the middle of an item."""


@dataclass(frozen=True)
class Setup:
    """How the session of a worker is made.

    Attributes
    ----------
    job_limits : JobLimits
        Largest result and longest estimated time of each picture.
    forensic : bool
        Refuse what may invent detail, lower precision and lossy formats.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    ledger : Path or None
        Folder of the ledger in which each result is recorded; None: none.
    sign : str
        Name of the identity that signs results, ``"auto"`` or ``"none"``.
    threads : int
        Cores that one worker uses.
    """

    job_limits: JobLimits = field(default_factory=JobLimits)
    forensic: bool = False
    device: str = "auto"
    ledger: Path | None = None
    sign: str = "none"
    threads: int = 1

    def session(self) -> Session:
        """Return a session with these settings."""
        from tratto.jobs.signing import notary_of

        return Session(
            job_limits=self.job_limits,
            forensic=self.forensic,
            notary=notary_of(self.ledger, self.sign),
            device=self.device,
        )

    @property
    def environment(self) -> dict[str, str]:
        """What the environment of a worker holds besides: libraries read it when they are loaded."""
        return dict.fromkeys(("TRATTO_THREADS", "OPENCV_FOR_THREADS_NUM", "OMP_NUM_THREADS"), str(self.threads))


class Hand(Protocol):
    """A worker as its thread here sees it."""

    def do(self, work: Work) -> FileOutcome:
        """Do one item. Raises WorkerDied if the worker ended before it was done."""

    def close(self) -> None:
        """End it, whatever it is doing."""


class ProcessHand:
    """A worker in a process of this machine."""

    def __init__(self, setup: Setup) -> None:
        # -c and not a copy of this program: what the main module of a caller does is not done again
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from tratto.jobs.crew import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **setup.environment},
        )
        self._send(setup)

    def do(self, work: Work) -> FileOutcome:
        """Do one item; see :meth:`Hand.do`."""
        self._send(work)
        stream = self._process.stdout
        try:
            outcome: FileOutcome | str = pickle.load(stream)  # type: ignore[arg-type]
        except (EOFError, OSError, pickle.UnpicklingError):
            raise WorkerDied(f"ended with {self._process.wait()}") from None
        return said(outcome)

    def close(self) -> None:
        """End it; see :meth:`Hand.close`."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]

    def _send(self, what: Any) -> None:
        stream: IO[bytes] = self._process.stdin  # type: ignore[assignment]
        try:
            pickle.dump(what, stream)
            stream.flush()
        except OSError:
            raise WorkerDied(f"ended with {self._process.wait()}") from None


def main() -> None:
    """Do what comes on standard input until it ends; when it ends in the middle of an item, stop at once."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; who started this process says when it is time
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    asked: queue.Queue[Any] = queue.Queue()

    def listen() -> None:
        with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                asked.put(pickle.load(sys.stdin.buffer))
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    setup = asked.get()
    worker: Worker | None = None
    while True:
        work = asked.get()
        try:
            worker = worker or Worker(setup.session())
            outcome: FileOutcome | str = worker.do(work)
        except Exception:
            outcome = traceback.format_exc()
        pickle.dump(outcome, answers)
        answers.flush()


def said(outcome: FileOutcome | str) -> FileOutcome:
    """Return what a worker answered; text is the trace of a fault in Tratto itself, which ends the run.

    Raises
    ------
    RuntimeError
        With that trace.
    """
    if isinstance(outcome, str):
        raise RuntimeError(f"in a worker:\n{outcome}")
    return outcome


class Crew:
    """So many workers, and what they are doing.

    Parameters
    ----------
    make : callable
        Makes a worker.
    size : int
        How many, at least 1.
    """

    def __init__(self, make: Callable[[], Hand], size: int) -> None:
        self.make, self.size = make, size
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._hands: list[Hand] = []

    def run(self, items: Iterable[Work], begin: Callable[[Work], None]) -> Iterator[tuple[Work, FileOutcome]]:
        """Yield what was asked for and its outcome, as each is known.

        Parameters
        ----------
        items : iterable of Work
            Taken when a worker is free.
        begin : callable
            Called before an item is handed out, by one thread at a time.
        """
        feed, known = iter(items), queue.Queue[Any]()

        def take() -> Work | None:
            with self._lock:
                work = None if self._stop.is_set() else next(feed, None)
                if work is not None:
                    begin(work)
                return work

        def tend() -> None:
            hand: Hand | None = None
            try:
                while (work := take()) is not None:
                    for number in range(1, MOST_ATTEMPTS + 1):
                        try:
                            if hand is None:
                                hand = self._hired()
                            known.put((work, hand.do(work)))
                            break
                        except WorkerDied as e:
                            self._dismiss(hand)
                            hand = None
                            if self._stop.is_set():
                                return
                            if number == MOST_ATTEMPTS:
                                known.put((work, _killed(work.item, e)))
            except BaseException as e:
                known.put(e)
            finally:
                self._dismiss(hand)
                known.put(None)

        threads = [threading.Thread(target=tend, daemon=True) for _ in range(self.size)]
        for thread in threads:
            thread.start()
        left = len(threads)
        try:
            while left:
                found = known.get()
                if isinstance(found, BaseException):
                    raise found
                if found is None:
                    left -= 1
                else:
                    yield found
        finally:
            self._stop.set()
            with self._lock:
                hands = list(self._hands)
            for hand in hands:
                hand.close()
            for thread in threads:
                thread.join(5)

    def _hired(self) -> Hand:
        hand = self.make()
        with self._lock:
            self._hands.append(hand)
        return hand

    def _dismiss(self, hand: Hand | None) -> None:
        if hand is None:
            return
        with self._lock:
            if hand not in self._hands:
                return
            self._hands.remove(hand)
        hand.close()


def _killed(item: Target, died: WorkerDied) -> FileOutcome:
    return FileOutcome(
        item.source,
        None,
        "failed",
        f"the process that did it died {MOST_ATTEMPTS} times ({died}), most likely for want of memory; use fewer "
        "processes, or do it alone",
        1,
    )
