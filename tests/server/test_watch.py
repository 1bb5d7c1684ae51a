"""What a server tells of itself: to Prometheus, and to the page; and that it names nobody."""

import json
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tratto.monitor.summary import DAY, Reference, Span
from tratto.monitor.watched import Observation
from tratto.server.database import VERSION, Database
from tratto.server.store import Store, new_id

from .conftest import hole, picture, png, send, start

parser = pytest.importorskip("prometheus_client.parser")
DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    made = start(tmp_path_factory.mktemp("watched"), check_every=1)
    with made.main:
        made.alice = made.key("alice")
        made.watcher = made.key("prometheus", ("monitor",))
        before = send(made.alice, png(picture()), "secret-name.png")
        mask = send(made.alice, png(hole()), "mask.png")
        asked = [
            {"task": "restore", "inputs": {"picture": before["id"]}, "options": {"provider": "nlm", "force": True}},
            {"task": "repair", "inputs": {"picture": before["id"], "mask": mask["id"]}, "options": {"method": "telea"}},
            {
                "task": "repair",
                "inputs": {"picture": before["id"], "mask": before["id"]},
                "options": {"method": "telea"},
            },
        ]
        for request in asked:
            assert made.alice.post("/api/v1/jobs", json=request).status_code == 202
        while made.work():
            pass
        yield made


def samples(server):
    text = server.watcher.get("/metrics").text
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in parser.text_string_to_metric_families(text) for s in family.samples
    }  # fmt: skip


def test_metrics_count_what_was_done(watched):
    found = samples(watched)
    assert found["tratto_jobs_total", (("state", "done"), ("task", "restore"))] == 1
    assert found["tratto_jobs_total", (("state", "done"), ("task", "repair"))] == 1
    assert found["tratto_jobs_total", (("state", "failed"), ("task", "repair"))] == 1
    assert found["tratto_job_seconds_count", (("task", "restore"),)] == 1
    assert found["tratto_job_wait_seconds_count", ()] == 3
    assert found["tratto_observed_count", (("quantity", "noise"),)] == 2
    assert found["tratto_replays_total", (("tier", "A"),)] == 2  # done again, and the same
    assert found["tratto_observed_count", (("quantity", "unsupported"),)] == 2
    assert found["tratto_queue_jobs", (("state", "queued"),)] == 0
    assert samples(watched) == pytest.approx(found, rel=0.5)  # nothing is counted twice
    text = watched.watcher.get("/metrics").text
    assert "secret-name" not in text
    assert "alice" not in text


def test_who_may_see_it(watched):
    assert watched.client().get("/metrics").status_code == 401
    assert watched.alice.get("/metrics").status_code == 403
    assert watched.alice.get("/api/v1/monitor").status_code == 403
    assert watched.watcher.get("/api/v1/uploads").status_code == 403
    for days in ("0", "-1", "nan", "inf", "401", "x", ""):
        assert watched.watcher.get("/api/v1/monitor", params={"days": days}).status_code == 422, days
    told = watched.watcher.get("/api/v1/monitor", params={"days": 1}).json()
    assert told["states"] == {"done": 2, "failed": 1}
    assert {p["name"] for p in told["panels"]} >= {"noise", "changed", "error", "tier", "unsupported"}
    assert "secret-name" not in json.dumps(told)


def test_drift_against_a_reference_window(tmp_path):
    server = start(tmp_path)
    with server.main:
        server.watcher = server.key("prometheus", ("monitor",))
        now = time.time()
        with server.store.database.writing() as c:
            for k in range(80):
                facts = json.dumps({"noise": 9.0 + k % 5, "blur": 0.5 + k % 3})
                c.execute(
                    "INSERT INTO observations (at, task, state, facts) VALUES (?,?,?,?)",
                    (now - k * 3600, "restore", "done", facts),
                )
        before = [
            Observation(5 * DAY + k, "restore", facts={"noise": 1.0 + k % 3, "blur": 0.5 + k % 3}) for k in range(90)
        ]
        Reference.of("spring", Span(0, 10 * DAY), before).write(server.settings.reference)
        found = samples(server)
        label = (("quantity", "noise"), ("reference", "spring"))
        assert found["tratto_drift_level", label] == 3
        assert found["tratto_drift_psi", label] > 0.25
        assert found["tratto_drift_ks", label] == 1
        assert found["tratto_drift_level", (("quantity", "blur"), ("reference", "spring"))] == 1
        panels = server.watcher.get("/api/v1/monitor").json()["panels"]
        assert {p["name"]: p["drift"]["level"] for p in panels} == {"noise": "alert", "blur": "steady"}


def test_every_metric_of_rules_and_dashboard_is_there(watched):
    import re

    known = {name for name, _ in samples(watched)} | {"up"}
    known |= {"tratto_drift_level", "tratto_drift_psi", "tratto_drift_ks"}  # without a reference there are none
    texts = [(DEPLOY / "prometheus" / "tratto-alerts.yml").read_text()]
    dashboard = json.loads((DEPLOY / "grafana" / "tratto.json").read_text())
    texts += [t["expr"] for p in dashboard["panels"] for t in p["targets"]]
    assert len(dashboard["panels"]) > 15
    named = {m for text in texts for m in re.findall(r"\btratto_[a-z_]+", text)}
    assert named <= known
    assert len(named) > 8


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's package prometheus is not installed")
def test_promtool_accepts_the_rules_and_the_metrics(watched):
    rules = DEPLOY / "prometheus" / "tratto-alerts.yml"
    done = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = watched.watcher.get("/metrics").content
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


# -- the store --------------------------------------------------------------------------------------------------------


def test_data_of_the_version_before_are_taken_over(tmp_path):
    Database(tmp_path / "x.db").close()
    with sqlite3.connect(tmp_path / "x.db") as old:
        old.executescript("DROP TABLE observations; PRAGMA user_version=1;")
        old.execute("INSERT INTO links VALUES ('x', 1)")
    old.close()
    store = Store(Database(tmp_path / "x.db"))
    assert store.observed() == []
    assert store.database.row("PRAGMA user_version")[0] == VERSION
    assert store.database.row("SELECT hash FROM links")["hash"] == "x"


def test_what_was_observed_stays_when_the_job_goes(tmp_path):
    store = Store(Database(tmp_path / "x.db"))
    for k in range(3):
        store.add_job(new_id(), "key:a", "restore", "a.png", {}, 60.0)
        row = store.claim("w")
        assert store.finish(row["token"], ("done", "failed", "cancelled")[k], {}, None, 1, {}, 60.0, {"noise": 1.5})
    rows = store.observed()
    assert [r["state"] for r in rows] == ["done", "failed"]
    assert json.loads(rows[0]["facts"]) == {"noise": 1.5}
    assert {k for k in rows[0].keys()} == {"seq", "at", "task", "state", "waited", "seconds", "facts"}  # noqa: SIM118, C416
    assert store.observed(after=rows[0]["seq"])[0]["state"] == "failed"
    with store.database.writing() as c:
        c.execute("UPDATE observations SET at=1")
    store.expired()
    assert store.observed() == []
