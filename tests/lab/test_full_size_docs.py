"""What the pages on faces, lifting and full-size models say to type is typed, on tiny random copies of the models."""

import json
import re
import shlex
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("onnx")
pytest.importorskip("numba")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scene"))
import shots
from skimage import data
from typer.testing import CliRunner

import tiny_diffusion
import tiny_faces
import tiny_qwen
import tiny_sight
import tiny_views
import tratto
from tratto.backends import triposr
from tratto.cli.main import app
from tratto.models import files
from tratto.providers import views as makers

ROOT = Path(__file__).parents[2]
#: A page, the headings whose blocks are typed, and what is not: viewers, and what another page's tests do.
PAGES = [
    ("full-size.md", ("## Faces", "## Depth, from Python", "## Enhance", "## Views from one photograph")),
    ("reface.md", ("# tratto reface", "## Judges that are asked elsewhere", "## Many at once")),
    ("faces.md", ("# Faces",)),
    ("lift.md", ("## One photograph",)),
]
#: Fewer of everything than what stands there, so that it takes seconds.
QUICK = {
    "reface": ["--k-global", "1", "--m-global", "0", "--overwrite"],
    "enhance": ["--overwrite"],
    "lift": ["--steps", "4", "--overwrite"],
}
SAID = {"score": 8, "cgi_look": False, "painted_look": False, "plastic_skin": False, "artefacts": False, "fatal": False}


def blocks(page, headings):
    """Return the lines to type, and the pieces of Python, of a page's sections, in their order."""
    out, here = [], False
    text = (ROOT / "docs" / page).read_text("utf-8")
    parts = re.split(r"^(#{1,3} [^\n]*)$|^```(\w*)\n(.*?)^```$", text, flags=re.M | re.S)
    for _, heading, kind, code in zip(*(parts[i::4] for i in range(4)), strict=False):
        if heading:
            here = heading.startswith(headings)
        elif here and code is not None and kind == "python":
            shell = code.startswith(">>>")
            lines = [n.removeprefix(">>> ") for n in code.splitlines() if not shell or n.startswith(">>>")]
            out.append(("python", "\n".join(lines)))
        elif here and code is not None:
            joined = code.replace("\\\n", " ")
            out += [("tratto", line) for line in joined.splitlines() if line.startswith("tratto ")]
    return out


TYPED = [(page, *one) for page, headings in PAGES for one in blocks(page, headings)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Tiny copies under the names that the pages have."""
    folder = tmp_path_factory.mktemp("models")
    faces = tiny_faces.write_all(folder / "buffalo_l")
    for name in ("inswapper_128.onnx", "ghost_1_256.onnx"):
        (faces / name).rename(folder / name)
    base, fast = tiny_diffusion.write_lightning(folder / "made")
    control = tiny_diffusion.write_controlnet(folder / "made", base)
    tiny_qwen.write_qwen(folder / "Qwen-Image-Edit")
    tiny_views.sync_folder(folder)
    tiny_views.tripo_folder(folder)
    tiny_views.zero123plus(folder)
    base.rename(folder / "sdxl-base")
    fast.rename(folder / "sdxl_lightning_4step_unet.safetensors")
    control.rename(folder / "controlnet-depth-sdxl")
    tiny_sight.tiny_dpt(folder / "dpt-large", hybrid=False)
    tiny_sight.tiny_zoe(folder / "zoedepth-nyu-kitti")
    tiny_sight.tiny_depth_anything(folder / "depth-anything")
    tiny_sight.tiny_midas(folder / "model-small.onnx")
    return folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with the pictures that the pages name."""
    folder = tmp_path_factory.mktemp("desk")

    def put(name, values):
        Image.fromarray(np.ascontiguousarray(values)).save(folder / name)

    portrait = data.astronaut()[0:240, 110:350]
    put("scene.jpg", portrait)
    for name in ("portrait.jpg", "one.jpg", "two.jpg", "her.jpg"):
        put(name, portrait[:, ::-1])
    put("group.jpg", np.concatenate([portrait, portrait[:, ::-1]], axis=1))
    put("also.png", np.zeros((240, 480), np.uint8))
    put("mask.png", np.zeros((240, 240), np.uint8))
    y, x = np.mgrid[:60, :48]
    inside = ((x - 24) / 16.0) ** 2 + ((y - 30) / 22.0) ** 2 < 1
    thing = np.stack([4 * x, 4 * y, 120 + 0 * x, 255 * inside], axis=-1).astype(np.uint8)
    put("thing.png", thing)
    put("mug.jpg", np.where(inside[..., None], thing[..., :3], 250).astype(np.uint8))
    (folder / "masks").mkdir()
    put("masks/mug.png", (255 * inside).astype(np.uint8))
    put("view.png", thing[:48, :, :3])
    put("photo.jpg", thing[..., :3])
    put("depth.png", np.tile(np.arange(48, dtype=np.uint8) * 5, (48, 1)))
    tasks = [
        {"id": i, "init": "scene.jpg", "character": "portrait.jpg", "mask": "mask.png"} for i in (71680285, 71680286)
    ]
    (folder / "tasks.json").write_text(json.dumps(tasks))
    shots.write_transforms(folder / "capture", shots.photographs(shots.ring()[:4]))
    return folder


@pytest.fixture(scope="module")
def gemini():
    """A server that answers as Gemini does."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            said = {"content": {"parts": [{"text": json.dumps(SAID)}]}, "finishReason": "STOP"}
            out = json.dumps({"candidates": [said]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _here(desk, models, monkeypatch, tmp_path):
    known = files.published

    def without_hash(name):  # the copies have the names and licences of the published files, and other numbers
        found = known(name)
        return found and files.Published(found.licence, found.commercial, "")

    monkeypatch.setattr(files, "published", without_hash)
    monkeypatch.setattr(files, "INSIGHTFACE", models)
    monkeypatch.setattr(makers, "FIELD_SIDE", 16)
    monkeypatch.setattr(triposr, "SAMPLES", 16)
    monkeypatch.setenv("GEMINI_API_KEY", "secret")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TRATTO_MODELS", str(models))
    monkeypatch.chdir(desk)


def quick(words, gemini):
    """Return a line with fewer of everything."""
    more = list(QUICK.get(words[0], []))
    if "--refiner" in words:
        more += ["--refiner-param", "steps=3"]
    if "--scorer" in words:
        more += ["--scorer-param", f"gemini.url={gemini}"]
    if "--views" in words:
        more += ["--gaussians", "150", "--side", "64"] + ([] if "triposr" in words else ["--param", "steps=1"])
    elif words[0] == "lift":
        more += ["--gaussians", "100"] if words[1] == "capture" else ["--side", "64"]
    return [*words, *more]


def test_the_pages_have_something_to_type():
    lines = [code for _, kind, code in TYPED if kind == "tratto"]
    for said in (
        *("--task tasks.json --task-id", "--engine inswapper", "--engine ghost", "--refiner qwen", "--scorer gemini"),
        *("--views syncdreamer", "--views zero123plus", "--views triposr", "--enhancer sdxl-lightning"),
        *("enhance view.png", "--insightface auto"),
    ):
        assert any(said in line for line in lines), said
    assert any("estimate_depth_confidence" in code for _, kind, code in TYPED if kind == "python")


@pytest.mark.parametrize(("page", "kind", "code"), TYPED, ids=[f"{p}: {c[:70]}" for p, _, c in TYPED])
def test_what_stands_there_works(page, kind, code, models, gemini):
    code = code.replace("/models/", f"{models.as_posix()}/").replace("FOLDER", str(models / "buffalo_l"))
    if kind == "python":
        code = code.replace('consent="A. Person")', 'consent="A. Person", k_global=1, m_global=0)')
        code = code.replace('source="scene.jpg")', 'source="scene.jpg", overwrite=True)')
        exec(compile(code, page, "exec"), {"tratto": tratto})
        return
    words = ["out" if w == "OUT" else w for w in shlex.split(code, comments=True)[1:]]
    if words[:2] == ["mask", "background"]:
        words += ["--overwrite", "--provider", "grabcut"]
    done = CliRunner().invoke(app, quick(words, gemini))
    assert done.exit_code == 0, done.output
    if "-o" not in words or words[0] not in QUICK or "--task" in words:
        return
    place, source = Path(words[words.index("-o") + 1]), Path(words[1])
    made = place / f"{source.stem}{'.ply' if words[0] == 'lift' else '.png'}"  # a JPEG is not saved as one again
    verdict = tratto.verify(made)
    assert verdict.word == "authentic", verdict.reasons
    assert str(models) not in (made.with_suffix(".tratto") / "receipt.json").read_text()
    if words[0] == "enhance" or "ghost" in words:  # the others are replayed by tests of their own
        assert tratto.replay(made).tier == "A"


@pytest.mark.parametrize("seer", ["dpt-large", "zoedepth-nyu-kitti", "depth-anything"])
def test_a_picture_is_enhanced_by_the_depth_of_each_network(seer, models):
    lightning = "sdxl_lightning_4step_unet.safetensors"
    named = {"model": "sdxl-base", "controlnet": "controlnet-depth-sdxl", "lightning": lightning}
    words = [w for key, name in named.items() for w in ("--param", f"{key}={models / name}")]
    done = CliRunner().invoke(app, ["enhance", "view.png", "-o", f"by-{seer}", *words, "--seer", str(models / seer)])
    assert done.exit_code == 0, done.output
    made = Path(f"by-{seer}") / "view.png"
    receipt = json.loads((made.with_suffix(".tratto") / "receipt.json").read_text())
    assert seer in {m["id"] for m in receipt["steps"][0]["models"]}
    assert tratto.verify(made).word == "authentic"
    assert tratto.replay(made).tier == "A"
