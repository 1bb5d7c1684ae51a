"""Starting: nothing of the server is loaded by other commands; what is missing or wrong is one line."""

import json
import subprocess
import sys
import urllib.request

import pytest
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.core.errors import MissingExtra, OptionError
from tratto.server.settings import age, need_extra, size


def test_other_commands_load_nothing_of_the_server():
    code = """
import sys, json
import tratto.cli.main as m
try:
    m.app(['keys', '--help'], standalone_mode=False)
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(out.stdout.splitlines()[-1]))
    assert not loaded & {"fastapi", "starlette", "uvicorn", "sqlite3", "tratto.server"}


def test_without_its_extra_one_line_names_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra) as told:
        need_extra()
    assert told.value.extra == "server"


@pytest.mark.parametrize("text", ["", "7", "7x", "0d", "-1d", "1e9d", "d"])
def test_a_time_that_is_none(text):
    with pytest.raises(OptionError):
        age(text)


def test_times_and_sizes():
    assert (age("30m"), age("1.5h"), age("2w")) == (1800.0, 5400.0, 1209600.0)
    assert (size("500"), size("1.5k"), size("2GB")) == (500, 1500, 2_000_000_000)
    with pytest.raises(OptionError):
        size("-1G")


def test_keys_are_made_shown_once_and_removed(tmp_path):
    def run(*line):
        made = CliRunner().invoke(app, ["keys", "api", *line, "--data", str(tmp_path)])
        return made.exit_code, made.output

    code, told = run("add", "archive", "--quota", "5G", "--scope", "read", "--json")
    key = json.loads(told)["key"]
    assert code == 0
    listed = run("list", "--json")[1]
    assert json.loads(listed)[0]["quota"] == 5_000_000_000
    assert key not in listed
    assert not any(key.encode() in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert run("add", "archive")[0] == 2
    assert run("add", "x", "--scope", "all")[0] == 2
    assert run("remove", "archive")[0] == 0
    assert run("remove", "archive")[0] == 3


@pytest.mark.parametrize(
    "line", [["--data", "/dev/null"], ["--keep", "0d"], ["--host", "203.0.113.9"], ["--device", "x"]]
)
def test_a_server_that_cannot_be_says_why(tmp_path, line):
    data = [] if "--data" in line else ["--data", str(tmp_path)]
    made = CliRunner().invoke(app, ["serve", "--no-open", *data, *line])
    assert made.exit_code in (2, 4)


def test_a_server_serves_and_ends_when_it_is_told_to(tmp_path):
    line = ["serve", "--no-open", "--port", "0", "--data", str(tmp_path), "--workers", "0"]
    code = "from tratto.cli.main import main; main()"
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen([sys.executable, "-c", code, *line], stdout=subprocess.PIPE, stderr=log)
    link = next(t.decode().strip() for t in process.stdout if t.startswith(b"http://127.0.0.1:"))
    base = link.split("/start")[0]
    secret = "tratto_a-key-that-is-none"
    asked = urllib.request.Request(f"{base}/api/v1/health", headers={"Authorization": f"Bearer {secret}"})
    with urllib.request.urlopen(asked) as answer:
        assert json.load(answer)["ok"]
    with urllib.request.urlopen(link) as answer:
        assert answer.status == 200
    run = CliRunner()
    again = run.invoke(app, ["keys", "api", "link", "--data", str(tmp_path)])
    with urllib.request.urlopen(again.output.strip()) as answer:  # of the port that it listens on
        assert answer.status == 200
    second = subprocess.run([sys.executable, "-c", code, *line], capture_output=True)
    assert second.returncode == 2
    process.terminate()
    assert process.wait(20) == 0
    process.stdout.close()
    assert run.invoke(app, ["keys", "api", "link", "--data", str(tmp_path)]).exit_code == 3
    said = (tmp_path / "log").read_bytes()
    assert secret.encode() not in said
    assert link.rsplit("/", 1)[1].encode() not in said
