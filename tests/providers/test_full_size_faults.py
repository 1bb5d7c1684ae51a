"""Each full-size model of faces and 3D with each fault that its files may have: one line that says what and where."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("onnx")
pytest.importorskip("numba")
pytest.importorskip("huggingface_hub")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tiny_diffusion
import tiny_faces
import tiny_qwen
import tiny_sight
import tiny_views
from tratto.core.capability import Use
from tratto.core.errors import MissingWeights, OutputError, TrattoError, UnsupportedFormat, WeightMismatch
from tratto.models import files, folders, hub, registry
from tratto.models.store import all_cards, file_sha256, open_weights, repo_folder
from tratto.providers import views as makers
from tratto.providers.catalogue import open_settled, settle

#: Capability, provider, the parameter that is broken, and the other parameters.
MODELS = {
    "buffalo_l, detector": ("face", "scrfd", "model", {"other": "yes"}),
    "buffalo_l, 106 points": ("landmarks", "2d106", "model", {"other": "yes"}),
    "buffalo_l, ArcFace": ("identity", "arcface", "model", {"other": "yes"}),
    "inswapper": ("face-swap", "inswapper", "model", {"recognizer": "buffalo", "other": "yes"}),
    "ghost": ("face-swap", "ghost", "model", {"recognizer": "buffalo", "other": "yes"}),
    "Qwen-Image-Edit": ("face-refiner", "qwen", "model", {}),
    "SyncDreamer": ("views", "syncdreamer", "model", {"steps": 1}),
    "TripoSR": ("views", "triposr", "model", {}),
    "Zero123++": ("views", "zero123plus", "model", {"steps": 1}),
    "SDXL": ("enhancer", "sdxl-lightning", "model", {"lightning": "lightning", "controlnet": "controlnet"}),
    "SDXL-Lightning": ("enhancer", "sdxl-lightning", "lightning", {"model": "sdxl", "controlnet": "controlnet"}),
    "ControlNet": ("enhancer", "sdxl-lightning", "controlnet", {"model": "sdxl", "lightning": "lightning"}),
    "DPT": ("depth", "dpt", "model", {}),
    "ZoeDepth": ("depth", "dpt", "model", {}),
    "Depth Anything": ("depth", "dpt", "model", {}),
    "MiDaS 2.1": ("depth", "midas", "model", {}),
}
FILES = {
    "buffalo_l, detector": "det_10g", "buffalo_l, 106 points": "2d106det", "buffalo_l, ArcFace": "w600k_r50",
    "inswapper": "inswapper_128", "ghost": "ghost_1_256", "MiDaS 2.1": "model-small",
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A tiny random copy of each model, in the published layout."""
    folder = tmp_path_factory.mktemp("whole")
    faces = tiny_faces.write_all(folder / "buffalo")
    base, fast = tiny_diffusion.write_lightning(folder / "diffusion")
    control = tiny_diffusion.write_controlnet(folder / "diffusion", base)
    (folder / "midas").mkdir()
    return {
        **{name: faces / f"{file}.onnx" for name, file in FILES.items() if file != "model-small"},
        "buffalo": faces, "sdxl": base, "lightning": fast, "controlnet": control,
        "Qwen-Image-Edit": tiny_qwen.write_qwen(folder / "qwen"),
        "SyncDreamer": tiny_views.sync_folder(folder), "TripoSR": tiny_views.tripo_folder(folder),
        "Zero123++": tiny_views.zero123plus(folder), "SDXL": base, "SDXL-Lightning": fast, "ControlNet": control,
        "DPT": tiny_sight.tiny_dpt(folder / "dpt"), "ZoeDepth": tiny_sight.tiny_zoe(folder / "zoe"),
        "Depth Anything": tiny_sight.tiny_depth_anything(folder / "anything"),
        "MiDaS 2.1": tiny_sight.tiny_midas(folder / "midas" / "tiny.onnx"),
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "INSIGHTFACE", tmp_path / "nowhere")
    monkeypatch.setattr(makers, "FIELD_SIDE", 16)
    for name in ("TRATTO_MODELS", "HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(folders, "_places", {})
    monkeypatch.setattr(files, "_places", {})


def attempt(name, whole, broken):
    """Settle, open, and where its weights are read later, have it work."""
    capability, provider, parameter, others = MODELS[name]
    params = {key: str(whole[v]) if v in whole else v for key, v in others.items()}
    made = open_settled(settle(Use(capability, provider, {parameter: str(broken), **params})))
    if capability == "views":
        picture = np.zeros((40, 40, 4), np.float32)
        picture[8:32, 8:32] = 1
        made.make(picture, 0.0, 0, lambda done, total: None)


def weights_of(path):
    """Return the largest file of weights."""
    if path.is_file():
        return path
    return max(path.rglob("*.safetensors"), key=lambda p: p.stat().st_size)


def copied(path, folder):
    target = folder / path.name
    return Path(shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target))


def wrong(path, folder):
    (folder / "empty").mkdir()
    return folder / "empty"


def nowhere(path, folder):
    return folder / "nowhere"


def missing(path, folder):
    broken = copied(path, folder)
    weights_of(broken).unlink()
    return broken


def pickled(path, folder):
    broken = copied(path, folder)
    weights = weights_of(broken)
    for other in weights.parent.glob("*.safetensors"):
        if other != weights:
            other.unlink()
    renamed = weights.rename(weights.with_suffix(".bin"))
    return renamed if path.is_file() else broken


def cut(path, folder):
    broken = copied(path, folder)
    weights = weights_of(broken)
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    return broken


def other_hash(path, folder):
    return f"{path.name if path.suffix == '.onnx' else path.stem}@{'0' * 64}"


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("fault", [wrong, nowhere, missing, pickled, cut, other_hash])
def test_a_fault_is_one_line(name, fault, whole, tmp_path):
    broken = fault(whole[name], tmp_path)
    with pytest.raises(TrattoError) as caught:
        attempt(name, whole, broken)
    text = str(caught.value)
    assert "\n" not in text
    assert 20 < len(text) < 900
    if fault is pickled and name not in ("SDXL", "Qwen-Image-Edit", "Zero123++", "SyncDreamer"):
        assert isinstance(caught.value, UnsupportedFormat)  # the parts of others hold safetensors beside it
    if fault is other_hash:
        assert isinstance(caught.value, MissingWeights)


@pytest.mark.parametrize("name", MODELS)
def test_without_a_fault_each_is_opened(name, whole):
    if MODELS[name][0] != "views":  # which run long, and are run in tests of their own
        attempt(name, whole, whole[name])


@pytest.mark.parametrize("name", MODELS)
def test_a_folder_that_changed_since_is_not_taken_for_the_one_of_a_receipt(name, whole, tmp_path, monkeypatch):
    capability, provider, parameter, others = MODELS[name]
    path = copied(whole[name], tmp_path)
    params = {key: str(whole[v]) if v in whole else v for key, v in others.items()}
    settled = settle(Use(capability, provider, {parameter: str(path), **params}))
    weights = weights_of(path)
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    monkeypatch.setenv("TRATTO_MODELS", str(tmp_path))
    with pytest.raises((WeightMismatch, MissingWeights)) as caught:
        settle(settled)
    assert "\n" not in str(caught.value)


PULLED = sorted(c.id for c in all_cards().values() if c.source.kind in ("hub", "converted", "registry"))


@pytest.fixture(scope="module")
def served():
    """A hub and a place of releases whose every file is what its path says."""
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_HEAD(self):
            self.do_GET(False)

        def do_GET(self, whole=True):
            body = self.path.encode() * 1000
            self.send_response(200)
            self.send_header("X-Repo-Commit", "5" * 40)
            self.send_header("ETag", '"tag"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if whole else b"")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch(card):
    """Pull a card; of what is converted, its checkpoint alone."""
    from dataclasses import replace

    if card.source.kind == "registry":
        return registry.pull_from_registry(card)
    if card.source.kind == "converted":
        source = replace(card.source, kind="hub")
        card = replace(card, files={card.source.checkpoint: card.source.checksum}, source=source)
    return hub.pull(card)


@pytest.fixture
def near(served, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", served)
    monkeypatch.setattr(registry, "GITHUB", served)


@pytest.mark.parametrize("card_id", PULLED)
def test_a_full_disk_is_one_line(card_id, near, monkeypatch, tmp_path):
    card = all_cards()[card_id]
    if card.source.kind == "registry":

        class Full:
            def __init__(self, **how):
                pass

            def __enter__(self):
                for name in card.files:
                    (tmp_path / name.partition("/")[0]).unlink(missing_ok=True)
                    (tmp_path / name.partition("/")[0]).symlink_to("/dev/full")
                return str(tmp_path)

            def __exit__(self, *error):
                return None

        monkeypatch.setattr(registry.tempfile, "TemporaryDirectory", Full)
    else:
        blobs = repo_folder(card) / "blobs"
        blobs.mkdir(parents=True)
        (blobs / "tag.tratto.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left") as caught:
        fetch(card)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("card_id", PULLED)
def test_what_is_not_what_was_published_or_pulled_first_is_one_line(card_id, near):
    card = all_cards()[card_id]
    pinned = card.pinned or card.source.checksum
    if pinned:
        with pytest.raises(WeightMismatch) as caught:
            fetch(card)
    else:
        weights = fetch(card).weights
        if card.source.kind == "converted":
            return
        path = weights.paths[next(iter(card.files))]
        path.resolve().write_bytes(b"altered" * 10)
        assert file_sha256(path)
        with pytest.raises(WeightMismatch) as caught:
            open_weights(card)
    assert "\n" not in str(caught.value)
    assert card_id in str(caught.value)
