"""Kill the server and its workers at random under load: is a job lost, done twice, or left half written?

python benchmarks/server_kills.py --kills 200 --out benchmarks/results/server_kills.json

A server with two workers runs in a process group of its own. Clients send pictures and ask for jobs, each with an
Idempotency-Key that they repeat until the server has answered. Meanwhile the server or a worker is killed (SIGKILL)
after a random time, and the server is started again when it is gone. At the end the queue is let run empty, and

- every job that was answered with 202 is done, and the database holds one event ``done`` for it, not two;
- no key led to two jobs;
- its bundle verifies, and all of its tiles and previews can be decoded;
- after a last start nothing lies in the data folder that no upload or job knows of, and nothing unfinished.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from tratto.server.access import SCOPES, Access, KeyLimits
from tratto.server.database import Database
from tratto.server.pyramid import Grid, read_tile
from tratto.server.settings import Settings


class Served:
    """A server that is started again when it was killed."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder, self.workers = folder, workers
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.starts += 1
        line = ["serve", "--no-open", "--data", str(self.folder), "--workers", str(self.workers), "--sign", "none"]
        code = "from tratto.cli.main import main; main()"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *line, "--port", str(self.port)],
                stdout=subprocess.PIPE,
                stderr=sys.stderr,
            )
            for told in self.process.stdout or ():
                if told.startswith(b"http://"):
                    self.port = int(told.split(b":")[2].split(b"/")[0])
                    return
            self.process.wait()  # its port or its folder is still held by one that is being killed
            time.sleep(0.3)
        raise SystemExit("the server does not start")

    def workers_alive(self) -> list[int]:
        """Return the processes of the workers of this server."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdecimal():
                try:
                    fields = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
                    line = Path(f"/proc/{entry}/cmdline").read_bytes()
                except OSError:
                    continue
                if self.process and int(fields[1]) == self.process.pid and b"tratto.server.worker" in line:
                    found.append(int(entry))
        return found

    def kill(self, whom: str) -> bool:
        """Kill the server or one of its workers; False: there was none."""
        if self.process is None:
            return False
        alive = self.workers_alive()
        if whom == "worker" and not alive:
            return False
        pid = self.process.pid if whom == "server" else random.choice(alive)
        os.kill(pid, signal.SIGKILL)
        if whom == "server":
            self.process.wait()
            self.start()
        return True


def picture(seed: int) -> tuple[bytes, bytes]:
    rng = np.random.default_rng(seed)
    mask = np.zeros((48, 48), np.uint8)
    mask[10:20, 10:30] = 255
    return tuple(encoded(a) for a in (rng.integers(0, 255, (48, 48, 3), dtype=np.uint8), mask))  # type: ignore[return-value]


def encoded(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


class Load(threading.Thread):
    """A client that asks for jobs until it is told to stop, and remembers what it was promised."""

    def __init__(self, served: Served, key: str, seed: int, pause: float) -> None:
        super().__init__(daemon=True)
        self.served, self.key, self.seed, self.pause = served, key, seed, pause
        self.promised: dict[str, set[str]] = {}
        self.ending = threading.Event()
        self.strange: list[str] = []

    def ask(self, client: httpx.Client, path: str, **more: object) -> httpx.Response | None:
        """Send a request until it is answered; None: it is time to stop."""
        while not self.ending.is_set():
            try:
                url = f"http://127.0.0.1:{self.served.port}{path}"
                return client.post(url, **more)  # type: ignore[arg-type]
            except httpx.TransportError:
                time.sleep(0.1)
        return None

    def run(self) -> None:
        """Ask for jobs."""
        with httpx.Client(headers={"Authorization": f"Bearer {self.key}"}, timeout=60) as client:
            number = 0
            while not self.ending.is_set():
                sent = [self.ask(client, "/api/v1/uploads", files={"file": ("p.png", d)}) for d in picture(self.seed)]
                if any(a is None or a.status_code != 201 for a in sent):
                    self.strange += [
                        f"{a.status_code} {a.text[:200]}" for a in sent if a is not None and a.status_code != 201
                    ]
                    continue
                ids = [a.json()["id"] for a in sent if a is not None]
                for _ in range(25):
                    number += 1
                    key = f"{self.seed}-{number}"
                    asked = {
                        "task": "repair", "inputs": {"picture": ids[0], "mask": ids[1]},
                        "options": {"method": "telea", "seed": number},
                    }  # fmt: skip
                    for _ in range(2):  # said twice, as a client does that did not hear the answer
                        answer = self.ask(client, "/api/v1/jobs", json=asked, headers={"Idempotency-Key": key})
                        if answer is not None and answer.status_code == 202:
                            self.promised.setdefault(key, set()).add(answer.json()["id"])
                        elif answer is not None:
                            self.strange.append(f"{answer.status_code} {answer.text[:200]}")
                    self.ending.wait(self.pause)


def wait_empty(settings: Settings, seconds: float) -> int:
    """Wait until no job is to be done; return how many are left."""
    deadline = time.monotonic() + seconds
    while True:
        with sqlite3.connect(settings.database, timeout=60) as c:
            left = c.execute("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')").fetchone()[0]
        if not left or time.monotonic() > deadline:
            return int(left)
        time.sleep(0.5)


def check_files(settings: Settings) -> list[str]:
    """Return what lies in the data folder that should not, or cannot be read."""
    wrong = []
    with sqlite3.connect(settings.database) as c:
        rows = c.execute("SELECT id, result FROM jobs WHERE state='done'").fetchall()
        known = {"jobs": {r[0] for r in c.execute("SELECT id FROM jobs")}}
        known["uploads"] = {r[0] for r in c.execute("SELECT id FROM uploads")}
    for parent, ids in known.items():
        there = {p.name for p in (settings.folder / parent).iterdir()}
        wrong += [f"{parent}/{n} is known to nobody" for n in there - ids]
        wrong += [f"{parent}/{n} is gone" for n in ids - there]
    wrong += [f"{p} is unfinished" for p in settings.folder.rglob("*.part")]
    for job, text in rows:
        folder, result = settings.job(job), json.loads(text)
        attempts = [p.name for p in folder.iterdir() if p.name != "inputs"]
        if attempts != [result["attempt"]]:
            wrong.append(f"jobs/{job} holds {len(attempts)} attempts")
        for role, view in result["pictures"].items():
            grid = Grid(view["width"], view["height"])
            path = folder / result["attempt"] / "views" / f"{role}.tiles"
            for level in range(grid.lowest, grid.highest + 1):
                tile = read_tile(path, level, 0, 0)
                if tile is None:
                    wrong.append(f"jobs/{job}: {role} lacks a tile")
                else:
                    Image.open(io.BytesIO(tile[0])).load()
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--wait", type=float, default=3.0, help="mean seconds between two kills")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two jobs of a client")
    parser.add_argument("--verify", type=int, default=20, help="how many bundles are verified in full")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    random.seed(given.seed)
    with tempfile.TemporaryDirectory(prefix="tratto-kills-") as name:
        settings = Settings(folder=Path(name).resolve())
        settings.make_folders()
        access = Access(Database(settings.database))
        keys = [access.add_key(f"c{i}", SCOPES, KeyLimits(per_minute=100_000)) for i in range(given.clients)]
        served = Served(settings.folder, given.workers)
        served.start()
        load = [Load(served, key, i, given.pause) for i, key in enumerate(keys)]
        for client in load:
            client.start()
        killed = {"server": 0, "worker": 0}
        begun = time.monotonic()
        while sum(killed.values()) < given.kills:
            time.sleep(random.expovariate(1 / given.wait))
            whom = random.choice(["server", "worker"])
            killed[whom] += served.kill(whom)
        spent = time.monotonic() - begun
        for client in load:
            client.ending.set()
        for client in load:
            client.join()
        left = wait_empty(settings, 1200)
        served.process.terminate()
        served.process.wait()
        served.start()  # sweeps what was left
        served.process.terminate()
        served.process.wait()
        promised: dict[str, set[str]] = {}
        for client in load:
            promised |= client.promised
        with sqlite3.connect(settings.database) as c:
            states = dict(c.execute("SELECT id, state FROM jobs"))
            ends = dict(c.execute("SELECT job, count(*) FROM events WHERE kind IN ('done', 'failed') GROUP BY job"))
            attempts = [r[0] for r in c.execute("SELECT attempts FROM jobs")]
        ids = {job for jobs in promised.values() for job in jobs}
        from tratto.jobs import verify

        some = sorted(ids)[: given.verify]
        verdicts = [verify(next((settings.job(j)).glob("*/out/*.png"))).word for j in some if states.get(j) == "done"]
        told = {
            "kills": killed, "seconds": round(spent, 1), "starts": served.starts, "accepted": len(ids),
            "keys_with_two_jobs": sum(len(jobs) > 1 for jobs in promised.values()),
            "lost": sorted(j for j in ids if states.get(j) != "done"), "left_in_queue": left,
            "done_twice": sum(n > 1 for n in ends.values()), "most_attempts": max(attempts, default=0),
            "files": check_files(settings)[:20],
            "answers_that_were_no_success": sorted({s for c in load for s in c.strange}),
            "verified": {w: verdicts.count(w) for w in sorted(set(verdicts))},
        }  # fmt: skip
    text = json.dumps(told, indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")
    bad = told["lost"] or told["done_twice"] or told["files"] or told["keys_with_two_jobs"] or left
    sys.exit(1 if bad or set(verdicts) - {"authentic"} else 0)


if __name__ == "__main__":
    main()
