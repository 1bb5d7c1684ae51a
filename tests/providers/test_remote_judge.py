"""Judges on other machines, asked on servers of this one that answer as the services do, and as they should not."""

import base64
import contextlib
import io
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image as Pil
from skimage import data
from typer.testing import CliRunner

import tratto
from tratto.cli.main import app
from tratto.core.capability import FaceJudge, FaceMesh, FaceTrial, Use
from tratto.core.errors import OptionError, UnavailableError
from tratto.providers import remote_judge
from tratto.providers.catalogue import CATALOGUE, open_settled, settle
from tratto.tasks.reface import RefaceOptions

KEY = "secret-key-7f3a"
SAID = {
    "score": 8.5, "cgi_look": False, "painted_look": False, "plastic_skin": False, "artefacts": False, "fatal": False,
}  # fmt: skip


def gemini_says(said, **more):
    parts = [{"text": said if isinstance(said, str) else json.dumps(said)}]
    return {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", **more}]}


@pytest.fixture
def service(monkeypatch):
    """A server whose answers a test sets: (path, body) -> (status, bytes or JSON)."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.seen.append((self.path, dict(self.headers), body))
            status, said = server.answer(self.path, body)
            out = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:9/")
            self.send_header("Content-Length", str(len(out)))
            self.end_headers()
            with contextlib.suppress(OSError):  # who was told to wait too long has gone
                self.wfile.write(out)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen, server.answer = [], None
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(remote_judge, "PAUSE", 0.0)
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("MOONDREAM_API_KEY", KEY)
    yield server
    server.shutdown()
    server.server_close()


def judge_of(name, server, **params):
    use = settle(Use("face-judge", name, {"url": server.url, **params}))
    judge = open_settled(use)
    assert isinstance(judge, FaceJudge)
    points = np.random.default_rng(0).uniform(40, 90, (468, 3))
    grey = np.full((130, 130, 3), 0.5, np.float32)
    character = np.zeros((130, 130, 3), np.float32)
    character[..., 0] = 1
    trial = FaceTrial(grey, points, np.ones((130, 130), np.float32), True, [(character, FaceMesh(points, 1.0))])
    return judge, judge.about(trial), grey


def test_gemini_is_asked_as_its_api_wants(service):
    service.answer = lambda path, body: (200, gemini_says(SAID))
    judge, ask, grey = judge_of("gemini", service, models="one,two")
    score = ask(grey, grey[..., 0])
    assert score.value == 8.5
    ((path, headers, body),) = service.seen
    assert path == "/models/one:generateContent"
    assert KEY not in path
    assert headers["x-goog-api-key"] == KEY
    assert body["generationConfig"]["temperature"] == 0
    assert body["generationConfig"]["responseMimeType"] == "application/json"
    assert body["generationConfig"]["responseJsonSchema"]["required"][0] == "score"
    sent = body["contents"][0]["parts"][1]["inline_data"]
    with Pil.open(io.BytesIO(base64.b64decode(sent["data"]))) as opened:
        assert opened.size == (130, 130)
        assert opened.format == "PNG"
    assert judge.info.library.startswith("one at 127.0.0.1")


def test_a_fatal_flaw_caps_the_score(service):
    service.answer = lambda path, body: (200, gemini_says({**SAID, "score": 9, "fatal": True, "artefacts": True}))
    _, ask, grey = judge_of("gemini", service)
    score = ask(grey, grey[..., 0])
    assert score.value == 3
    assert score.numbers["artefacts"] == 1


def test_a_model_that_is_not_there_is_passed_over_once(service):
    service.answer = lambda path, body: (404, {}) if "gone" in path else (200, gemini_says(SAID))
    judge, ask, grey = judge_of("gemini", service, models="gone,there")
    for _ in range(2):
        assert ask(grey, grey[..., 0]).value == 8.5
    assert [p.split(":")[0] for p, _, _ in service.seen] == ["/models/gone", "/models/there", "/models/there"]
    assert judge.info.library.startswith("there at ")


@pytest.mark.parametrize(
    ("status", "said", "asked"),
    [
        (200, {"promptFeedback": {"blockReason": "SAFETY"}}, 1),
        (200, {"candidates": [{"finishReason": "SAFETY"}]}, 1),
        (200, {}, 1),
        (200, gemini_says("{}"), 1),
        (200, gemini_says("not json"), 1),
        (200, gemini_says({**SAID, "score": 11}), 1),
        (200, gemini_says({**SAID, "score": "high"}), 1),
        (200, gemini_says({**SAID, "fatal": "no"}), 1),
        (200, b"<html>", 1),
        (200, b"[" * 100_000, 1),
        (200, b" " * (2 << 20), 1),
        (302, b"", 1),
        (400, {"error": {"message": f"API key {KEY} not valid"}}, 1),
        (404, {}, 2),
        (429, {}, 3),
        (500, b"", 3),
    ],
)
def test_what_cannot_be_read_is_missing_and_holds_no_key(service, status, said, asked):
    service.answer = lambda path, body: (status, said)
    _, ask, grey = judge_of("gemini", service)
    score = ask(grey, grey[..., 0])
    assert score.missing
    assert score.counted == 5
    assert score.why
    assert KEY not in score.why
    assert len(service.seen) == asked


def test_a_busy_service_is_asked_again(service):
    service.answer = lambda path, body: (429, {}) if len(service.seen) < 3 else (200, gemini_says(SAID))
    _, ask, grey = judge_of("gemini", service)
    assert ask(grey, grey[..., 0]).value == 8.5


def test_a_slow_service_and_one_that_is_not_there_are_missing(service):
    service.answer = lambda path, body: (time.sleep(0.5), (200, {}))[1]
    _, ask, grey = judge_of("gemini", service, timeout=0.1)
    assert ask(grey, grey[..., 0]).missing
    service.url = "http://127.0.0.1:9"
    _, ask, grey = judge_of("gemini", service)
    assert ask(grey, grey[..., 0]).missing


def test_a_key_that_is_refused_is_not_sent_again(service, monkeypatch):
    service.answer = lambda path, body: (403, {})
    _, ask, grey = judge_of("gemini", service)
    assert ask(grey, grey[..., 0]).missing
    assert ask(grey, grey[..., 0]).missing
    assert len(service.seen) == 1
    monkeypatch.setenv("GEMINI_API_KEY", f"{KEY}\nX-Other: 1")  # no header may come of it
    _, ask, grey = judge_of("gemini", service)
    assert KEY not in ask(grey, grey[..., 0]).why
    assert len(service.seen) == 1


def test_moondream_sees_both_faces_both_ways_round(service):
    service.answer = lambda path, body: (200, {"answer": "8" if len(service.seen) == 1 else " 6.5 "})
    _, ask, grey = judge_of("moondream", service)
    score = ask(grey, grey[..., 0])
    assert score.value == 7.25
    assert [p for p, _, _ in service.seen] == ["/v1/query"] * 2
    shown = []
    for _, headers, body in service.seen:
        assert headers["X-Moondream-Auth"] == KEY
        assert body["stream"] is False
        head, _, rest = body["image_url"].partition(",")
        assert head == "data:image/png;base64"
        with Pil.open(io.BytesIO(base64.b64decode(rest))) as opened:
            shown.append(np.asarray(opened))
    half = shown[0].shape[1] // 2
    # the character is red: at the left first, then at the right, and the candidate beside it
    assert shown[0][:, :half, 0].mean() == 255
    assert shown[0][:, half:, 1].mean() > 100
    np.testing.assert_array_equal(shown[0][:, :half], shown[1][:, half:])
    np.testing.assert_array_equal(shown[0][:, half:], shown[1][:, :half])


@pytest.mark.parametrize(
    "said", [{"answer": "quite alike"}, {"answer": "12"}, {"answer": None}, {"error": "no"}, [1], 3]
)
def test_an_answer_that_is_no_number_is_missing(service, said):
    service.answer = lambda path, body: (200, said)
    _, ask, grey = judge_of("moondream", service)
    assert ask(grey, grey[..., 0]).missing


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"url": "http://example.org"}, "https"),
        ({"url": "ftp://127.0.0.1"}, "url"),
        ({"url": f"https://me:{KEY}@example.org"}, "environment"),
        ({"url": f"https://example.org/?key={KEY}"}, "environment"),
        ({"url": "https://"}, "url"),
        ({"url": "https://h:99999"}, "url"),
        ({"models": "../../x"}, "models"),
        ({"models": ","}, "models"),
        ({"timeout": 0}, "timeout"),
        ({"key": KEY}, "key"),
    ],
)
def test_what_would_give_the_key_away_is_refused_without_repeating_it(service, params, word):
    with pytest.raises(OptionError, match=word) as caught:
        settle(Use("face-judge", "gemini", params))
    assert KEY not in str(caught.value)
    assert service.seen == []


def test_it_is_never_chosen_by_itself_and_needs_a_key(monkeypatch):
    rows = CATALOGUE["face-judge"]
    assert [n for n, row in rows.items() if row.sends] == ["gemini", "moondream"]
    assert not any(row.auto for row in rows.values())
    assert "http" not in RefaceOptions.model_fields["scorer_params"].metadata[-1].doors
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    with pytest.raises(UnavailableError, match="GEMINI_API_KEY"):
        settle(Use("face-judge", "gemini"))
    for options in ({"scorer": ("other",)}, {"scorer": ("gemini",), "scorer_params": {"moondream.url": "x"}}):
        with pytest.raises(OptionError, match="scorer"):
            RefaceOptions(consent="A", **options).judging()


def test_a_run_with_a_service_tells_where_faces_went_and_replays_without_it(service, tmp_path, monkeypatch):
    portrait = np.ascontiguousarray(data.astronaut()[0:240, 110:350])
    Pil.fromarray(portrait).save(tmp_path / "scene.png")
    Pil.fromarray(np.ascontiguousarray(portrait[:, ::-1])).save(tmp_path / "other.png")
    good = lambda: sum(1 for _ in service.seen) % 3 != 0  # noqa: E731 - each third picture is blocked
    service.answer = lambda path, body: (
        200, gemini_says(SAID) if good() else {"promptFeedback": {"blockReason": "OTHER"}},
    )  # fmt: skip
    words = [
        "reface", str(tmp_path / "scene.png"), "--character", str(tmp_path / "other.png"), "-o", str(tmp_path / "out"),
        "--i-have-consent", "A. Person", "--scorer", "gemini", "--scorer-param", f"gemini.url={service.url}",
        "--k-global", "2", "--m-global", "1", "--k-local", "1",
    ]  # fmt: skip
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0, said.output
    host = service.url.removeprefix("http://")
    assert said.output.index(f"is sent to {host}") < said.output.index("realism is missing for")
    receipt = (tmp_path / "out" / "scene.tratto" / "receipt.json").read_text()
    assert host in receipt
    tried = json.loads(receipt)["steps"][0]["params"]["candidates"]
    missing = [c for c in tried if c["scores"]["realism"] is None]
    assert len(missing) == 1
    assert missing[0]["missing"]["realism"]
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()
    assert KEY not in said.output
    before = len(service.seen)
    monkeypatch.delenv("GEMINI_API_KEY")
    assert tratto.verify(tmp_path / "out" / "scene.png").word == "authentic"
    assert tratto.replay(tmp_path / "out" / "scene.png").tier == "A"
    assert len(service.seen) == before
