"""What the queue costs: overhead of each job, and memory, over many jobs that do nothing.

python benchmarks/server_queue.py --jobs 10000 --out benchmarks/results/server_queue.json

Jobs are put into the store by one process (and a share of them over HTTP), and done by two worker processes whose jobs
do nothing but report progress once. Overhead is the CPU time of all processes, divided by the jobs; wall time beside
it depends on who else uses the machine. Memory is measured of each worker after its tenth and after its last job.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

from tratto.server.database import Database
from tratto.server.settings import Settings
from tratto.server.store import Store, new_id
from tratto.server.worker import Claim, Worker


def resident() -> int:
    """Return the bytes of memory that this process takes now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def nothing(claim: Claim, settings: Settings) -> tuple[dict[str, str], int, dict[str, object]]:
    """Do nothing, as a job."""
    claim.progress("nothing", 1, 1)
    return {"note": "nothing was done"}, 1, {}


def work(folder: str, name: str, out: str) -> None:
    """Do jobs until there are none."""
    settings = Settings(folder=Path(folder))
    worker = Worker(settings, nothing, name, Store(Database(settings.database)))
    done, first = 0, 0
    begun = time.process_time()
    while worker.once():
        done += 1
        if done == 10:
            first = resident()
    told = {"done": done, "cpu": time.process_time() - begun, "early": first or resident(), "late": resident()}
    Path(out).write_text(json.dumps(told))


def over_http(settings: Settings, count: int) -> dict[str, float]:
    """Return what asking for a job over HTTP costs: CPU and wall time for each, in milliseconds."""
    import io

    from PIL import Image
    from starlette.testclient import TestClient

    from tratto.server.access import SCOPES, Access, KeyLimits
    from tratto.server.app import make_app

    key = Access(Database(settings.database)).add_key("load", SCOPES, KeyLimits(per_minute=10**7))
    base = f"http://127.0.0.1:{settings.port}"
    with TestClient(make_app(settings), base_url=base, headers={"Authorization": f"Bearer {key}"}) as client:
        file = io.BytesIO()
        Image.new("RGB", (32, 32)).save(file, "PNG")
        sent = client.post("/api/v1/uploads", files={"file": ("a.png", file.getvalue())}).json()
        asked = {"task": "restore", "inputs": {"picture": sent["id"]}}
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(count):
            answer = client.post("/api/v1/jobs", json=asked)
            if answer.status_code != 202:
                raise SystemExit(answer.text)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"asked_http": count, "http_cpu_ms": 1000 * cpu / count, "http_wall_ms": 1000 * wall / count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--http", type=int, default=100, help="how many of them are asked for over HTTP")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tratto-queue-") as name:
        settings = Settings(folder=Path(name).resolve(), sign="none")
        settings.make_folders()
        http = over_http(settings, given.http)
        store = Store(Database(settings.database))
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(given.jobs - given.http):
            store.add_job(new_id(), "key:load", "restore", "a.png", {"inputs": {}, "options": {}}, 3600.0)
        put_cpu, put_wall = time.process_time() - cpu, time.perf_counter() - wall
        context = multiprocessing.get_context("spawn")
        outs = [str(settings.folder / f"w{i}.json") for i in range(given.workers)]
        crew = [context.Process(target=work, args=(name, f"w{i}", out)) for i, out in enumerate(outs)]
        wall = time.perf_counter()
        for process in crew:
            process.start()
        for process in crew:
            process.join()
        done_wall = time.perf_counter() - wall
        told = [json.loads(Path(out).read_text()) for out in outs]
        ends = store.database.rows("SELECT state, count(*) AS n FROM jobs GROUP BY state")
        twice = store.database.rows("SELECT job FROM events WHERE kind='done' GROUP BY job HAVING count(*) > 1")
        size = settings.database.stat().st_size
    cpu_ms = 1000 * (put_cpu / max(1, given.jobs - given.http) + sum(t["cpu"] for t in told) / given.jobs)
    answer = {
        "jobs": given.jobs, "states": {r["state"]: r["n"] for r in ends}, "done_twice": len(twice),
        "by_worker": [t["done"] for t in told],
        "cpu_ms_each": round(cpu_ms, 3),
        "put_wall_ms_each": round(1000 * put_wall / max(1, given.jobs - given.http), 3),
        "done_wall_ms_each": round(1000 * done_wall / given.jobs, 3), **{k: round(v, 3) for k, v in http.items()},
        "megabytes_early": [round(t["early"] / 1e6, 1) for t in told],
        "megabytes_late": [round(t["late"] / 1e6, 1) for t in told], "database_megabytes": round(size / 1e6, 1),
    }  # fmt: skip
    text = json.dumps(answer, indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")
    grown = max(t["late"] - t["early"] for t in told)
    sys.exit(0 if cpu_ms < 10 and not twice and answer["states"] == {"done": given.jobs} and grown < 20e6 else 1)


if __name__ == "__main__":
    main()
