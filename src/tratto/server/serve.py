"""Running a server: the application, its worker processes, and what must be done from time to time."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tratto.core.errors import InputError, OptionError, TrattoError
from tratto.core.files import write_text
from tratto.server.access import Access
from tratto.server.database import Database
from tratto.server.settings import Settings
from tratto.server.store import Store
from tratto.server.uploads import discard

#: Seconds between looks at the workers, and between searches for what has expired.
LOOK, EXPIRY = 0.5, 60.0
#: Seconds that a worker that ended soon after its start is waited for before the next: what ends it may last.
PATIENCE = 3.0
#: Says, in the data folder, which port the server listens on that holds it.
PORT = "port"


class Workers:
    """Keeps so many worker processes alive.

    Parameters
    ----------
    settings : Settings
        Folders, device and limits that workers are started with.
    store : Store
        The queue; jobs of a worker that died go back to it.
    temporary : Path or None
        Where their files lie meanwhile; None: where those of the server do.
    """

    def __init__(self, settings: Settings, store: Store, temporary: Path | None = None) -> None:
        self.settings, self.store = settings, store
        self.temporary = temporary or settings.temporary
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._begun: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Start them, and start others in the place of those that die."""
        self._thread.start()

    def stop(self) -> None:
        """End them: what they do goes back to the queue."""
        self._stop.set()
        self._thread.join()
        for process in self.running.values():
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
        for process in self.running.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()

    def _watch(self) -> None:
        swept = 0.0
        while not self._stop.is_set():
            for name, process in list(self.running.items()):
                if process.poll() is not None:
                    del self.running[name]
                    with contextlib.suppress(TrattoError):
                        self.store.orphan(name)
                    if time.monotonic() - self._begun.pop(name) < PATIENCE:
                        self._stop.wait(PATIENCE)
            while len(self.running) < self.settings.workers and not self._stop.is_set():
                self._spawn()
            if time.monotonic() - swept > EXPIRY:
                swept = time.monotonic()
                with contextlib.suppress(TrattoError, OSError):
                    expire(self.settings, self.store)
            self._stop.wait(LOOK)

    def _spawn(self) -> None:
        name = f"worker-{secrets.token_hex(4)}"
        process = subprocess.Popen(
            [sys.executable, "-c", "from tratto.server.worker import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(self.temporary.resolve())},
        )
        if process.stdin is not None:
            asked = {"name": name, "settings": self.settings.model_dump(mode="json")}
            with contextlib.suppress(OSError):
                process.stdin.write(json.dumps(asked).encode() + b"\n")
                process.stdin.flush()
        self.running[name], self._begun[name] = process, time.monotonic()


def expire(settings: Settings, store: Store) -> None:
    """Remove what has expired, with its files."""
    uploads, jobs = store.expired()
    for upload in uploads:
        discard(settings.upload(upload))
    for job in jobs:
        discard(settings.job(job))


def sweep(settings: Settings, store: Store) -> None:
    """Remove what a server that was killed left: files that no upload or job knows of. Before anything is served."""
    uploads, jobs = store.known()
    for parent, known in ((settings.folder / "uploads", uploads), (settings.folder / "jobs", jobs)):
        for folder in parent.iterdir():
            if folder.name not in known:
                discard(folder)
    for folder in settings.folder.glob("tmp-*"):  # of workers that others start: theirs as long as they live
        if time.time() - folder.stat().st_mtime > 7 * 86400:
            discard(folder)
    for folder in settings.temporary.iterdir():
        if folder.is_dir():
            discard(folder)
        elif time.time() - folder.stat().st_mtime > 86400:
            folder.unlink(missing_ok=True)


def listening(settings: Settings) -> socket.socket:
    """Return the socket of the server.

    Raises
    ------
    OptionError
        If the address is taken or is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((settings.host, settings.port))
        made.listen(256)
    except OSError as e:
        made.close()
        raise OptionError(
            f"{settings.host} port {settings.port} cannot be listened on: {e.strerror or e}; choose another --port"
        ) from e
    return made


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a data folder: two servers must not sweep each other's files.

    Raises
    ------
    OptionError
        If another server holds it.
    """
    import fcntl

    with open(folder / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise OptionError(f"another server uses {folder}; end it, or name another folder with --data") from e
        yield


def work(folder: Path, workers: int, device: str, ready: Callable[[str], None]) -> None:
    """Do jobs of a server's queue beside its own workers, until the process is told to stop.

    Several such processes, and the server, may end and begin as they like: a job whose worker is gone is begun anew.

    Parameters
    ----------
    folder : Path
        Of the server's data, on a disk of this machine: SQLite needs its locks.
    workers : int
        How many work side by side, one job each.
    device : str
        Where networks run; empty: as the server does it.
    ready : callable
        Called with what is done when work begins.

    Raises
    ------
    InputError
        If no server was ever started with this folder.
    """
    try:
        kept = json.loads((folder / "settings.json").read_bytes())
        settings = Settings.model_validate({**kept, "folder": folder.resolve(), "workers": workers})
    except (OSError, ValueError) as e:
        raise InputError(f"{folder} is no folder of a server: {e}; start one first: tratto serve --data") from e
    if device:
        settings = settings.model_copy(update={"device": device})
    # beside that of the server, which clears its own away when it ends
    made = Workers(settings, Store(Database(settings.database)), settings.folder / f"tmp-{secrets.token_hex(4)}")
    made.temporary.mkdir(mode=0o700)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ready(f"{workers} {'worker does' if workers == 1 else 'workers do'} the jobs of {settings.folder}")
    made.start()
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        pass  # that is how it is stopped
    finally:
        made.stop()
        shutil.rmtree(made.temporary, ignore_errors=True)


def port_of(folder: Path) -> int | None:
    """Return the port of the server that uses a data folder; None: none runs."""
    try:
        with held(folder):
            return None
    except OptionError:
        try:
            return int((folder / PORT).read_text("ascii"))
        except (OSError, ValueError):  # it is just starting
            return None
    except OSError:
        return None


def _ended(number: int, frame: object) -> None:
    """Take the signal by which the process was told to end, when it is about to."""


def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until the process is told to stop.

    Parameters
    ----------
    settings : Settings
        With port 0 a free one is chosen.
    ready : callable
        Called with the one-time link when requests are answered.

    Raises
    ------
    OptionError
        If the port or the folder is in use.
    """
    settings.make_folders()
    with held(settings.folder), listening(settings) as bound:
        _serve(settings, bound, ready)


def _serve(settings: Settings, bound: socket.socket, ready: Callable[[str], None]) -> None:
    import uvicorn

    from tratto.server.app import make_app

    settings = settings.model_copy(update={"port": bound.getsockname()[1], "folder": settings.folder.resolve()})
    write_text(settings.folder / PORT, str(settings.port))
    write_text(settings.kept, settings.model_dump_json())
    store = Store(Database(settings.database))
    sweep(settings, store)
    if settings.ledger is not None:
        from tratto.provenance.notary import Notary

        Notary(None, settings.ledger).check()
    config = uvicorn.Config(
        make_app(settings), log_level="warning", access_log=False, server_header=False, date_header=False,
        proxy_headers=False, timeout_keep_alive=15, timeout_graceful_shutdown=3, h11_max_incomplete_event_size=32768,
        http="h11", ws="none", lifespan="on",
    )  # fmt: skip
    server = uvicorn.Server(config)
    workers = Workers(settings, store)

    def announce() -> None:
        while not server.started:
            if server.should_exit:
                return
            time.sleep(0.02)
        name = f"[{settings.host}]" if ":" in settings.host else settings.host
        shown = "127.0.0.1" if name in ("0.0.0.0", "[::]") else name
        ready(f"http://{shown}:{settings.port}/start/{Access(store.database).new_link()}")

    # uvicorn ends well and then raises the signal again: what follows is ours to end, too
    signal.signal(signal.SIGTERM, _ended)
    workers.start()
    threading.Thread(target=announce, daemon=True).start()
    try:
        server.run(sockets=[bound])
    except KeyboardInterrupt:
        pass  # that is how a server is stopped
    finally:
        server.should_exit = True
        workers.stop()
        shutil.rmtree(settings.temporary, ignore_errors=True)
