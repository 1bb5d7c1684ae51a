"""Downloads by huggingface_hub from a hub on this machine that has most of the faults that networks have."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tratto._version import __version__
from tratto.core.errors import MissingExtra, MissingWeights, OptionError, OutputError, WeightMismatch
from tratto.models import hub, store
from tratto.models.card import ModelCard, Source
from tratto.models.hub import pull

COMMIT = "c0ffee" + "0" * 34
BIG = np.random.default_rng(0).bytes(700_001)
SMALL = b'{"a": 1}\n'


def sha(data):
    return hashlib.sha256(data).hexdigest()


class Hub:
    """State of one loop-back hub; ``faults`` are used up one by one."""

    def __init__(self):
        self.files = {"net.safetensors": BIG, "sub/config.json": SMALL}
        self.heads, self.requests = [], []  # (path, Range, Authorization)
        self.faults = []  # of what is fetched: ("drop", bytes) | ("status", code)
        self.refusals = []  # codes, of what is asked
        self.ranges = True
        self.name_commit = True
        self.state_hash = True
        self.etags = {}
        self.redirect_to = ""
        hub_state = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                with contextlib.suppress(ConnectionError):
                    hub_state.answer(self)

            def do_HEAD(self):
                hub_state.describe(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def describe(self, h):
        self.heads.append((h.path, h.headers.get("User-Agent"), h.headers.get("Authorization")))
        h.close_connection = True
        name = h.path.split("/resolve/")[-1].split("/", 1)[-1]
        data = self.files.get(name)
        if self.refusals:
            return self.send(h, self.refusals.pop(0), {}, b"")
        if self.redirect_to:
            target = self.redirect_to.format(path=h.path)
            return self.send(h, 302, {"Location": target, **self.facts(name, data)}, b"")
        return self.send(h, 404 if data is None else 200, self.facts(name, data), b"", len(data or b""))

    def answer(self, h):
        self.requests.append((h.path, h.headers.get("Range"), h.headers.get("Authorization")))
        h.close_connection = True
        fault = self.faults.pop(0) if self.faults else None
        name = h.path.split("/resolve/")[-1].split("/", 1)[-1]
        data = self.files.get(name)
        if fault and fault[0] == "status":
            return self.send(h, fault[1], {}, b"")
        if self.redirect_to:
            target = self.redirect_to.format(path=h.path)
            return self.send(h, 302, {"Location": target, **self.facts(name, data)}, b"")
        if data is None:
            return self.send(h, 404, {}, b"no")
        start, code, extra = 0, 200, {}
        if self.ranges and h.headers.get("Range"):
            start = int(h.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                return self.send(h, 416, {"Content-Range": f"bytes */{len(data)}", **self.facts(name, data)}, b"")
            code, extra = 206, {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        body = data[start:]
        send = body[: fault[1]] if fault else body
        self.send(h, code, {**extra, **self.facts(name, data)}, send, len(body))

    def facts(self, name, data):
        out = {}
        if self.name_commit:
            out["X-Repo-Commit"] = COMMIT
        if data is not None:
            out["ETag"] = '"' + self.etags.get(name, "e" + sha(data)[:10]) + '"'
            if self.state_hash and name.endswith(".safetensors"):
                out["X-Linked-Etag"] = '"' + self.etags.get(name, sha(data)) + '"'
        return out

    def send(self, h, code, headers, body, length=None):
        h.send_response(code)
        for k, v in headers.items():
            h.send_header(k, v)
        h.send_header("Content-Length", str(len(body) if length is None else length))
        h.end_headers()
        h.wfile.write(body)


@pytest.fixture
def server():
    one = Hub()
    yield one
    one.close()


@pytest.fixture(autouse=True)
def _environment(tmp_path, monkeypatch, server):
    for name in ("HF_HUB_CACHE", "HF_TOKEN", "TRATTO_MODELS", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100_000)


@pytest.fixture
def repo(tmp_path):
    return tmp_path / "hf" / "hub" / "models--own--er"


def make(files=None, revision="main"):
    return ModelCard(
        id="net",
        files=files or {"net.safetensors": sha(BIG), "sub/config.json": sha(SMALL)},
        licence="MIT",
        commercial_use=True,
        capability="depth",
        backend="torch",
        source=Source("hub", repo="own/er", revision=revision),
    )


OPEN = {"net.safetensors": "", "sub/config.json": ""}


def test_fetches_into_the_layout_that_hub_tools_share(server, repo):
    seen = []
    done = pull(make(), lambda *a: seen.append(a))
    assert done.downloaded == ("net.safetensors", "sub/config.json")
    assert done.newly_pinned == ()
    assert (repo / "refs" / "main").read_text() == COMMIT
    assert (repo / "snapshots" / COMMIT / "net.safetensors").read_bytes() == BIG
    assert (repo / "snapshots" / COMMIT / "sub" / "config.json").resolve() == (repo / "blobs" / sha(SMALL)).resolve()
    assert server.heads[0][0] == "/own/er/resolve/main/net.safetensors"
    # who asks, and nothing of this machine
    assert {h[1] for h in server.heads} == {f"tratto/{__version__}"}
    # the second file is of the same revision, whatever happened to the branch in between
    assert server.heads[1][0] == f"/own/er/resolve/{COMMIT}/sub/config.json"
    assert sorted(p.name for p in (repo / "blobs").iterdir()) == sorted([sha(BIG), sha(SMALL)])
    assert not (repo / store.LOCK_NAME).exists()
    big = [s for s in seen if s[0] == "net.safetensors"]
    assert big[0][1:] == (0, len(BIG))
    assert big[-1][1:] == (len(BIG), len(BIG))
    assert [s[1] for s in big] == sorted(s[1] for s in big)
    assert store.open_weights(make()).ref.sha256 == make().sha256


def test_huggingface_hub_finds_what_was_pulled(repo):
    import huggingface_hub as library

    pull(make())
    cache = repo.parent
    path = library.try_to_load_from_cache("own/er", "sub/config.json", cache_dir=cache)
    assert path == str(repo / "snapshots" / COMMIT / "sub" / "config.json")


def test_a_second_pull_asks_the_hub_for_nothing(server):
    pull(make())
    count = len(server.heads) + len(server.requests)
    assert pull(make()).downloaded == ()
    assert len(server.heads) + len(server.requests) == count


def test_resumes_where_the_connection_dropped(server):
    server.faults = [("drop", 300_000), ("drop", 200_000)]
    pull(make())
    assert [r[1] for r in server.requests[:3]] == [None, "bytes=300000-", "bytes=500000-"]


PART = f"{sha(BIG)}.tratto.part"


def test_resumes_in_a_later_run(server, repo):
    server.faults = [("drop", 123_456), ("status", 503)]
    with pytest.raises(MissingWeights, match=r"503.*run again: tratto models pull net"):
        pull(make())
    assert (repo / "blobs" / PART).stat().st_size == 100_000
    with pytest.raises(MissingWeights):
        store.locate(make())
    pull(make())
    assert server.requests[-2][1] == "bytes=100000-"
    assert not list((repo / "blobs").glob("*.tratto.*"))


def test_stopping_keeps_what_has_arrived(server, repo):
    server.files["net.safetensors"] = long = BIG * 40

    def stop(path, done, total):
        if done > 11_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(make({"net.safetensors": sha(long)}), stop)
    kept = (repo / "blobs" / f"{sha(long)}.tratto.part").stat().st_size
    assert kept > 5_000_000
    pull(make({"net.safetensors": sha(long)}))
    assert server.requests[1][1] == f"bytes={kept}-"


def test_everything_had_arrived_but_was_not_renamed(server, repo):
    part = repo / "blobs" / PART
    part.parent.mkdir(parents=True)
    part.write_bytes(BIG)
    pull(make())
    assert server.requests[0][0].endswith("config.json")


def test_a_part_longer_than_the_file_is_dropped(repo):
    part = repo / "blobs" / PART
    part.parent.mkdir(parents=True)
    part.write_bytes(BIG + b"more")
    pull(make())


def test_a_server_without_ranges_starts_again(server):
    server.ranges = False
    server.faults = [("drop", 300_000)]
    pull(make())
    assert server.requests[1][1] == "bytes=300000-"  # asked for, not honoured


def test_does_not_join_halves_of_two_files(server):
    server.files["net.safetensors"] = BIG[::-1]
    server.faults = [("drop", 300_000), ("status", 500)]
    with pytest.raises(MissingWeights):
        pull(make())
    server.files["net.safetensors"] = BIG  # the file behind the name changed, and so did its tag
    pull(make())
    assert server.requests[2][1] is None


def test_a_bad_first_half_is_fetched_again_once(server, repo):
    part = repo / "blobs" / PART
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    pull(make())
    assert [r[1] for r in server.requests[:2]] == ["bytes=1000-", None]


def test_a_wrong_file_is_refused_and_not_kept(server, repo):
    server.files["net.safetensors"] = BIG[:-1] + b"?"
    with pytest.raises(WeightMismatch, match=f"the card or the first pull says {sha(BIG)}; nothing was kept"):
        pull(make())
    assert list((repo / "blobs").iterdir()) == []
    with pytest.raises(MissingWeights):
        store.locate(make())


def test_what_the_hub_itself_says_about_the_hash_counts_too(server):
    server.etags["net.safetensors"] = "ab" * 32
    with pytest.raises(WeightMismatch, match="says abab"):
        pull(make(OPEN))


def test_without_a_hash_the_first_one_is_kept_for_good(server, repo):
    done = pull(make(OPEN))
    assert done.newly_pinned == ("net.safetensors", "sub/config.json")
    lock = json.loads((repo / store.LOCK_NAME).read_text())
    assert lock == {"commit": COMMIT, "files": {"net.safetensors": sha(BIG), "sub/config.json": sha(SMALL)}}
    assert pull(make(OPEN)).newly_pinned == ()
    # someone changes the file here: found, fetched again, and the right one comes back
    blob = repo / "blobs" / sha(SMALL)
    blob.write_bytes(b"changed!\n")
    with pytest.raises(WeightMismatch):
        store.open_weights(make(OPEN))
    assert pull(make(OPEN)).downloaded == ("sub/config.json",)
    # the hub changes it: refused, the record stays
    blob.write_bytes(b"changed again!\n")
    server.files["sub/config.json"] = b"changed on the hub"
    with pytest.raises(WeightMismatch, match="first pull"):
        pull(make(OPEN))
    assert json.loads((repo / store.LOCK_NAME).read_text()) == lock


def test_a_mirror_that_names_no_commit(server, repo):
    server.name_commit = False
    server.state_hash = False
    pull(make(revision="v1.0"))
    assert (repo / "snapshots" / "v1.0" / "net.safetensors").read_bytes() == BIG
    assert store.open_weights(make(revision="v1.0"))


def test_a_revision_that_is_a_commit_needs_no_reference(server, repo):
    pull(make(revision=COMMIT))
    assert not (repo / "refs").exists()
    assert store.open_weights(make(revision=COMMIT))


def test_another_commit_than_asked_for_is_refused(server):
    with pytest.raises(MissingWeights, match=r"asked .* for revision ddd"):
        pull(make(revision="d" * 40))


def test_not_there(server):
    server.files.clear()
    with pytest.raises(MissingWeights, match=r"net\.safetensors"):
        pull(make())
    assert len(server.heads) == 1  # asking again would not help


@pytest.mark.parametrize("code", [401, 403])
def test_not_allowed(server, code):
    server.refusals = [code]
    with pytest.raises(MissingWeights, match="HF_TOKEN"):
        pull(make())


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_tired_server_is_asked_again(server, code):
    server.refusals = [code, code]
    pull(make())
    assert len(server.heads) == 4


def test_nobody_listens(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MissingWeights, match=r"cannot fetch net\.safetensors from http://127\.0\.0\.1:9"):
        pull(make())


def test_the_extra_is_named_where_it_is_missing(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"tratto\[hub\]"):
        pull(make())


def test_no_token_is_taken_from_a_folder(server, tmp_path, monkeypatch):
    kept = tmp_path / "hf" / "token"
    kept.parent.mkdir(parents=True)
    kept.write_text("stored")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(kept))
    pull(make())
    assert {r[2] for r in server.heads + server.requests} == {None}


def test_follows_a_redirect_and_keeps_the_token_at_home(server, monkeypatch):
    storage = Hub()
    try:
        server.redirect_to = storage.url + "{path}"
        storage.name_commit = False
        monkeypatch.setenv("HF_TOKEN", "secret")
        pull(make())
        assert {r[2] for r in server.heads} == {"Bearer secret"}
        assert server.requests == []
        assert {r[2] for r in storage.requests} == {None}
        assert len(storage.requests) == 2
        assert store.hub_snapshot(make()).name == COMMIT  # named by the hub, not by its storage
    finally:
        storage.close()


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", ""])
def test_follows_no_other_scheme(server, target):
    server.redirect_to = target or " "
    with pytest.raises(MissingWeights, match=r"not followed|redirects"):
        pull(make())


def test_gives_up_on_a_circle(server):
    server.redirect_to = "{path}"
    with pytest.raises(MissingWeights, match="redirects"):
        pull(make())


@pytest.mark.parametrize("value", ["file:///tmp/hub", "ftp://host", "host/path", "http://user:pw@host"])
def test_refuses_other_endpoints(monkeypatch, value):
    monkeypatch.setenv("HF_ENDPOINT", value)
    with pytest.raises(OptionError, match="HF_ENDPOINT"):
        pull(make())


def test_offline_means_offline(server, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingWeights, match="HF_HUB_OFFLINE"):
        pull(make())
    assert server.heads == []


def test_no_room(server, monkeypatch):
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(OutputError, match="GB are free"):
        pull(make())


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="the weights"):
        pull(make())


def test_only_hub_cards(server):
    with pytest.raises(OptionError, match="nothing to pull"):
        pull(ModelCard("x", {"x.onnx": "0" * 64}, "MIT", True, "depth", "onnx"))
