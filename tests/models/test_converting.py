"""Checkpoints published as pickles: fetched, converted once in a process of its own, and never opened again."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("huggingface_hub")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tiny_views
from models.test_hub import Hub, sha
from tratto.core.errors import MissingWeights, OutputError, UnavailableError, WeightMismatch
from tratto.models import converting
from tratto.models.card import ModelCard, Source
from tratto.models.folders import find_folder, usual_folder
from tratto.models.store import all_cards, converted_folder, locate

TINY = Path(tiny_views.__file__)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_views.tripo_checkpoint(tmp_path_factory.mktemp("published") / "model.ckpt").read_bytes()


@pytest.fixture
def hub(tmp_path, monkeypatch, checkpoint):
    """The hub with the checkpoint; the converter knows that it is a tiny one."""
    server = Hub()
    server.files["model.ckpt"] = checkpoint
    for name in ("HF_HUB_CACHE", "HF_TOKEN", "TRATTO_MODELS", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    script = tmp_path / "convert.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(TINY.parent)!r})\n"
        "from tratto.backends import triposr\nimport tiny_views\nfrom tratto_lab.convert import views\n"
        "triposr.Sizes.__init__.__defaults__ = tuple(triposr.Sizes(**tiny_views.TRIPO).__dict__.values())\n"
        "views.main()\n"
    )
    monkeypatch.setattr(converting, "CONVERTER", (sys.executable, str(script)))
    yield server
    server.close()


def card(checksum=""):
    source = Source("converted", repo="own/er", revision="main", checkpoint="model.ckpt", checksum=checksum)
    files = {"config.json": "", "model.safetensors": ""}
    return ModelCard("triposr", files, "MIT", True, "views", "torch", source=source)


def test_a_pickle_is_fetched_converted_once_and_not_opened_again(hub, checkpoint, monkeypatch, tmp_path):
    one = card(sha(checkpoint))
    with pytest.raises(MissingWeights, match="tratto models pull triposr"):
        locate(one)
    done = converting.pull_converted(one)
    assert done.downloaded == done.newly_pinned == ("config.json", "model.safetensors")
    assert all(p.is_relative_to(tmp_path / "hf" / "hub") for p in done.weights.paths.values())
    monkeypatch.setattr(converting, "CONVERTER", ("false",))
    assert converting.pull_converted(one).downloaded == ()
    monkeypatch.setitem(all_cards.__globals__["_embedded_cards"](), "triposr", one)
    found = usual_folder("triposr", "part")
    assert (found.name, found.licence) == ("triposr", "mit")
    assert find_folder(found.reference, "part").path == found.path
    weights = converted_folder(one) / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(WeightMismatch, match="tratto models pull triposr"):
        usual_folder("triposr", "part")


def test_what_cannot_be_converted_is_one_line_and_leaves_nothing(hub):
    with pytest.raises(WeightMismatch, match="SHA-256"):
        converting.pull_converted(card("0" * 64))
    hub.files["model.ckpt"] = b"no checkpoint" * 1000
    with pytest.raises(UnavailableError, match="cannot be converted"):
        converting.pull_converted(card())
    assert not list(converted_folder(card()).parent.glob("tratto-triposr*"))


def test_a_full_disk_is_said(hub, monkeypatch, tmp_path):
    script = tmp_path / "full.py"
    script.write_text(f"import sys\nsys.exit(print('tratto: no room', file=sys.stderr) or {OutputError.exit_code})\n")
    monkeypatch.setattr(converting, "CONVERTER", (sys.executable, str(script)))
    with pytest.raises(OutputError, match="no room"):
        converting.pull_converted(card())
