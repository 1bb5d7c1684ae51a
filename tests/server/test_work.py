"""Workers that others start do the jobs of the same queue, each once."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from tratto.cli.main import app

from .conftest import picture, png, send, start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the server is POSIX")
CODE = "from tratto.cli.main import main; main()"


def test_two_groups_of_workers_share_one_queue(tmp_path):
    made = start(tmp_path / "data")
    with made.main:
        alice = made.key("alice")
        sent = [send(alice, png(picture(40, 40, k)), f"{k}.png") for k in range(12)]
        made.settings.kept.write_text(made.settings.model_dump_json())
        for one in sent:
            request = {
                "task": "restore",
                "inputs": {"picture": one["id"]},
                "options": {"provider": "nlm", "force": True},
            }
            assert alice.post("/api/v1/jobs", json=request).status_code == 202
        line = [sys.executable, "-c", CODE, "work", "--data", str(tmp_path / "data")]
        groups = [subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
        try:
            rows, deadline, killed = [], time.monotonic() + 120, False
            while time.monotonic() < deadline:
                rows = alice.get("/api/v1/jobs").json()["jobs"]
                done = [r for r in rows if r["state"] == "done"]
                if done and not killed:
                    groups[0].send_signal(signal.SIGKILL)  # and its worker, which hears of it by the end of its input
                    killed = True
                if len(done) == len(sent):
                    break
                time.sleep(0.1)
        finally:
            for group in groups:
                group.send_signal(signal.SIGTERM)
            told = [group.communicate(timeout=60)[1] for group in groups]
        assert len(done) == len(sent), told
        events = made.store.database.rows("SELECT job, count(*) AS n FROM events WHERE kind='done' GROUP BY job")
        assert [r["n"] for r in events] == [1] * len(sent)
        assert groups[1].returncode == 0, told[1]
        assert len(made.store.observed()) == len(sent)
        for row in rows:
            folder = made.settings.job(row["id"])
            assert len([p for p in folder.iterdir() if len(p.name) == 32]) == 1
        left = [p for p in (tmp_path / "data").glob("tmp-*") if p.is_dir()]
        assert len(left) <= 1  # of the one that was killed


def test_a_folder_that_is_no_servers(tmp_path):
    done = CliRunner().invoke(app, ["work", "--data", str(tmp_path)])
    assert done.exit_code == 3
    (tmp_path / "settings.json").write_text(json.dumps({"port": "x"}))
    assert CliRunner().invoke(app, ["work", "--data", str(tmp_path)]).exit_code == 3
    assert os.listdir(tmp_path) == ["settings.json"]
