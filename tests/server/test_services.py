"""Services elsewhere: off unless the server's owner names one, then told with their host, asked as the owner says."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from skimage import data
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.cli.serve import _services
from tratto.core.errors import OptionError, UnavailableError
from tratto.server.uploads import quiet

from .conftest import png, send, start

KEY = "secret-key-51c0"
SAID = {"score": 8, "cgi_look": False, "painted_look": False, "plastic_skin": False, "artefacts": False, "fatal": False}


@pytest.fixture(scope="module")
def gemini():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            server.asked.append((self.path, self.headers["x-goog-api-key"]))
            parts = [{"text": json.dumps(SAID)}]
            out = json.dumps({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.url = [], f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def request(client):
    portrait = np.ascontiguousarray(data.astronaut()[0:240, 110:350])
    one, other = (send(client, png(np.ascontiguousarray(p)))["id"] for p in (portrait, portrait[:, ::-1]))
    options = {"consent": "A. Person", "k_global": 1, "m_global": 0, "scorer": ["gemini"]}
    return {"task": "reface", "inputs": {"picture": one, "character": other}, "options": options}


def shown(client):
    tasks = client.get("/api/v1/tasks").json()["tasks"]
    return next(t for t in tasks if t["name"] == "reface")["options"]["properties"]


def test_a_server_sends_nothing_anywhere_unless_its_owner_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    server = start(tmp_path)
    with server.main:
        client = server.key("alice")
        assert "scorer" not in shown(client)
        assert "scorer_params" not in shown(client)
        answer = client.post("/api/v1/jobs", json=request(client))
        assert answer.status_code == 409
        assert answer.json()["error"]["option"] == "options.scorer"


def test_a_service_that_the_owner_names_is_told_asked_and_accounted_for(tmp_path, monkeypatch, gemini):
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    services = _services(("gemini",), (f"gemini.url={gemini.url}", "gemini.models=one"))
    server = start(tmp_path, services=services)
    host = gemini.url.removeprefix("http://")
    with server.main:
        client = server.key("alice")
        told = shown(client)["scorer"]
        assert host in told["description"]
        assert told["items"]["enum"] == ["gemini"]
        asked = request(client)
        for name, value in (("scorer", ["moondream"]), ("scorer_params", {"gemini.url": "http://127.0.0.1:9"})):
            wrong = {**asked, "options": {**asked["options"], name: value}}
            assert client.post("/api/v1/jobs", json=wrong).status_code in (409, 422)
        job = client.post("/api/v1/jobs", json=asked).json()["id"]
        assert server.work()
        done = client.get(f"/api/v1/jobs/{job}").json()
        assert done["state"] == "done", done
        receipt = client.get(f"/api/v1/jobs/{job}/receipt").text
        assert host in receipt
        assert {path for path, _ in gemini.asked} == {"/models/one:generateContent"}
        assert {key for _, key in gemini.asked} == {KEY}
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    assert KEY not in quiet(server.settings).values()


def test_what_cannot_be_asked_is_said_before_anything_is_served(monkeypatch):
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    with pytest.raises(UnavailableError, match="GEMINI_API_KEY"):
        _services(("gemini",), ())
    for names, params in ((("other",), ()), ((), ("gemini.url=https://a",)), (("gemini",), ("url",))):
        with pytest.raises(OptionError):
            _services(names, params)
    done = CliRunner().invoke(app, ["serve", "--scorer", "gemini", "--no-open"])
    assert done.exit_code == UnavailableError.exit_code
