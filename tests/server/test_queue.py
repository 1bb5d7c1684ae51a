"""The queue: order, leases, pause, cancel, and what a process that was killed leaves behind."""

import subprocess
import sys
import threading
import time

import pytest

from tratto.core.errors import InputError
from tratto.server.database import Database
from tratto.server.pace import Pace
from tratto.server.settings import Settings
from tratto.server.store import LEASE, MOST_ATTEMPTS, Store, new_id
from tratto.server.worker import Worker


@pytest.fixture
def store(tmp_path):
    return Store(Database(tmp_path / "x.db"))


def add(store, owner="key:a", key=None):
    job = new_id()
    repeat = None if key is None else (key, "hash")
    return store.add_job(job, owner, "restore", "a.png", {"inputs": {}, "options": {}}, 60.0, repeat)["id"]


def state(store, job, owner="key:a"):
    return store.job(job, owner)["state"]


def end(store, row, state="done"):
    return store.finish(row["token"], state, {}, None, 1, {}, 60.0)


def test_jobs_are_taken_in_order_and_those_of_the_page_first(store):
    first, second, page = add(store), add(store), add(store, "page")
    assert [store.claim("w")["id"] for _ in range(3)] == [page, first, second]
    assert store.claim("w") is None


def test_one_key_is_one_job_and_another_request_is_refused(store):
    job = add(store, key="k")
    assert add(store, key="k") == job
    assert add(store, "key:b", key="k") != job
    with pytest.raises(KeyError):
        store.add_job(new_id(), "key:a", "restore", "a.png", {}, 60.0, ("k", "another"))


def test_a_lease_that_ran_out_gives_the_job_to_another_and_the_first_cannot_end_it(store):
    job = add(store)
    first = store.claim("one")
    assert store.claim("two") is None
    assert store.beat([first["token"]]) == {first["token"]: ""}
    store.orphan("one")
    second = store.claim("two")
    assert second["id"] == job
    assert not end(store, first)
    assert store.beat([first["token"]]) == {}
    assert end(store, second)
    assert not end(store, second)
    assert state(store, job) == "done"
    kinds = [r["kind"] for r in store.database.rows("SELECT kind FROM events WHERE job=?", job)]
    assert kinds == ["queued", "running", "queued", "running", "done"]


def test_a_job_that_kills_its_workers_fails_in_the_end(store):
    job = add(store)
    for _ in range(MOST_ATTEMPTS):
        assert state(store, job) == "queued"
        assert store.claim("w")["id"] == job
        store.orphan("w")
        store.reclaim()
    assert state(store, job) == "failed"
    assert store.act(job, "key:a", "retry")[0]["state"] == "queued"


def test_what_is_given_back_counts_no_attempt(store):
    job = add(store)
    for _ in range(2 * MOST_ATTEMPTS):
        store.give_back(store.claim("w")["token"])
    assert (state(store, job), store.job(job, "key:a")["attempts"]) == ("queued", 0)


def test_actions_on_jobs_that_nobody_does(store):
    job = add(store)
    assert store.act(job, "key:b", "cancel") == (None, False)
    assert store.act(job, "key:a", "resume")[1] is False
    assert store.act(job, "key:a", "pause")[0]["state"] == "paused"
    assert store.claim("w") is None
    assert store.act(job, "key:a", "resume")[0]["state"] == "queued"
    assert store.act(job, "key:a", "cancel")[0]["state"] == "cancelled"
    assert store.remove_job(job, "key:a")
    assert [kind for _, _, kind in store.events("key:a", 0, None)] == ["gone"]


@pytest.mark.parametrize(("action", "after"), [("cancel", "cancelled"), ("pause", "paused")])
def test_what_is_asked_of_a_job_whose_worker_dies_is_done_all_the_same(store, action, after):
    job = add(store)
    store.claim("w")
    assert store.act(job, "key:a", action)[0]["wanted"] == action
    store.orphan("w")
    store.reclaim()
    assert state(store, job) == after


class Steps:
    """Does a job that takes as many steps as it is let."""

    def __init__(self):
        self.gates, self.reached, self.lock = {}, [], threading.Lock()

    def __call__(self, claim, settings):
        job = claim.row["id"]
        gate = self.gates.setdefault(job, threading.Semaphore(0))
        for step in range(3):
            gate.acquire()
            claim.progress("work", step, 3)
            with self.lock:
                self.reached.append((job, step))
        return {}, 1, {}


def until(check):
    for _ in range(600):
        if check():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def running(tmp_path):
    settings = Settings(folder=tmp_path)
    settings.make_folders()
    steps = Steps()
    worker = Worker(settings, steps, "w", Store(Database(settings.database)))
    thread = threading.Thread(target=worker.run)
    thread.start()
    yield worker, steps
    worker.ending.set()
    for gate in steps.gates.values():
        for _ in range(9):
            gate.release()
    thread.join()


def test_a_paused_job_keeps_its_place_while_another_is_done(running):
    worker, steps = running
    store = worker.store
    one = add(store)
    assert until(lambda: one in steps.gates)
    steps.gates[one].release()
    assert until(lambda: (one, 0) in steps.reached)
    store.act(one, "key:a", "pause")
    time.sleep(1.2)  # the worker hears of it with its next heartbeat
    steps.gates[one].release()
    assert until(lambda: state(store, one) == "paused")
    two = add(store)
    assert until(lambda: two in steps.gates)
    for _ in range(3):
        steps.gates[two].release()
    assert until(lambda: state(store, two) == "done")
    assert steps.reached.count((one, 0)) == 1
    assert store.act(one, "key:a", "resume")[0]["wanted"] == "run"
    assert until(lambda: state(store, one) == "running")
    for _ in range(2):
        steps.gates[one].release()
    assert until(lambda: state(store, one) == "done")
    assert [s for j, s in steps.reached if j == one] == [0, 1, 2]  # nothing was done again


def test_a_running_job_is_cancelled_and_a_deleted_one_is_let_go(running):
    worker, steps = running
    store = worker.store
    one, two = add(store), add(store)
    assert until(lambda: one in steps.gates)
    store.act(one, "key:a", "cancel")
    time.sleep(1.2)
    steps.gates[one].release()
    assert until(lambda: state(store, one) == "cancelled")
    assert until(lambda: two in steps.gates)
    store.remove_job(two, "key:a")
    time.sleep(1.2)
    steps.gates[two].release()
    three = add(store)
    assert until(lambda: three in steps.gates)
    worker.ending.set()
    steps.gates[three].release()
    assert until(lambda: state(store, three) == "queued")


def test_processes_that_are_killed_lose_nothing_and_double_nothing(tmp_path):
    """Three processes do 60 jobs; each is killed after a while, and another takes its place."""
    database = tmp_path / "x.db"
    store = Store(Database(database))
    jobs = [add(store) for _ in range(60)]
    code = f"""
from pathlib import Path
from tratto.server.database import Database
from tratto.server.store import Store
import sys
store = Store(Database(Path({str(database)!r})))
while (row := store.claim(sys.argv[1])) is not None:
    store.report(row["token"], 0.5, "x", None)
    store.finish(row["token"], "done", {{}}, None, 1, {{}}, 60.0)
"""
    for number in range(5):
        name = f"w{number}"
        process = subprocess.Popen([sys.executable, "-c", code, name])
        assert until(lambda: store.database.row("SELECT 1 FROM jobs WHERE worker=? OR state='done'", name))  # noqa: B023
        time.sleep(0.02 * number)
        process.kill()
        process.wait()
        store.orphan(name)
    subprocess.run([sys.executable, "-c", code, "last"], check=True)
    assert all(state(store, job) == "done" for job in jobs)
    ends = store.database.rows("SELECT job, count(*) AS n FROM events WHERE kind='done' GROUP BY job")
    assert [r["n"] for r in ends] == [1] * 60


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "x.db").write_bytes(b"no database" * 100)
    with pytest.raises(InputError):
        Database(tmp_path / "x.db")


def test_pace_tells_the_time_left_from_what_was_learned():
    pace = Pace({"restore": 10.0, "write": 5.0}, 2.0)
    shares = [pace.follow("restore", n, 4, now=5.0 * n) for n in range(5)]
    assert shares == sorted(shares)
    assert pace.seconds_left(now=20.0) == pytest.approx(10.0)
    assert pace.follow("write", 0, 2, now=20.0) == pytest.approx(2 / 3)
    assert pace.seconds_left(now=25.0) == pytest.approx(5.0)
    assert pace.learned(now=30.0) == {"restore": 10.0, "write": 5.0}
    assert Pace({}, 2.0).seconds_left() is None
    assert LEASE > 5
