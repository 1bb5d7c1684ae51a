"""A ZIP file of photographs becomes a scene over HTTP: what is taken, what is refused, and what is sent back."""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from .conftest import picture, png, send

pytest.importorskip("numba", reason="needs the extra 'splat'")
sys.path.insert(0, str(Path(__file__).parent.parent / "scene"))
from shots import photographs, ring, write_transforms

FEW = {"steps": 30, "gaussians": 400, "most": 400}


def packed(files):
    """Return files, by name, as a ZIP file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in files.items():
            z.writestr(name, data)
    return out.getvalue()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ball")
    write_transforms(folder, photographs(ring()))
    return {f"ball/{p.relative_to(folder).as_posix()}": p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def capture(server, files):
    return send(server.alice, packed(files), "ball.zip")


def ask(server, picture, task="lift", **options):
    asked = {"task": task, "inputs": {"picture": picture["id"]}, "options": options}
    return server.alice.post("/api/v1/jobs", json=asked)


@pytest.fixture(scope="module")
def done(server, capture):
    job = ask(server, capture, **FEW, export=["spz", "glb"]).json()["id"]
    while server.work():
        pass
    return job, server.alice.get(f"/api/v1/jobs/{job}").json()


def test_a_capture_is_shown_by_its_first_photograph(server, capture):
    assert (capture["format"], capture["pages"], capture["width"], capture["height"]) == ("zip", 1, 48, 48)
    assert capture["notes"] == ["9 photographs with their cameras"]
    preview = server.alice.get(f"/api/v1/uploads/{capture['id']}/preview")
    assert preview.headers["content-type"] == "image/png"
    assert not (server.settings.upload(capture["id"]) / "capture").exists()


def test_a_scene_is_made_shown_and_sent(server, done):
    job, told = done
    assert told["state"] == "done", told["error"]
    assert {k: o["name"] for k, o in told["outputs"].items()} == {
        "scene": "ball.ply", "spz": "ball.spz", "glb": "ball.glb"
    }  # fmt: skip
    assert list(told["pictures"]) == ["sheet"]
    base = f"/api/v1/jobs/{job}"
    scene = server.alice.get(f"{base}/result")
    assert (scene.content[:3], scene.headers["content-type"]) == (b"ply", "model/ply")
    assert server.alice.get(f"{base}/result?output=glb").content[:4] == b"glTF"
    assert server.alice.get(f"{base}/result?output=splat").status_code == 404
    assert server.alice.post(f"{base}/verify").json()["verdict"] == "authentic"
    assert server.alice.post(f"{base}/undo").status_code == 409
    facts = server.alice.get(f"{base}/viewer/facts.json").json()
    assert (facts["name"], facts["gaussians"]) == ("ball.ply", 400)
    assert server.alice.get(f"{base}/viewer/scene.ply").content == scene.content
    assert not list(server.settings.job(job).glob("*/capture"))


def test_scripts_may_do_more_on_the_viewer_alone(server, done):
    base = f"/api/v1/jobs/{done[0]}"
    viewer = server.alice.get(f"{base}/viewer/index.html").headers["content-security-policy"]
    assert "'wasm-unsafe-eval'" in viewer
    assert "worker-src blob:" in viewer
    assert "frame-ancestors 'self'" in viewer
    for path in ("/", f"{base}/viewer/scene.ply", f"{base}/report", f"{base}/result"):
        assert "wasm" not in server.alice.get(path).headers["content-security-policy"]
    packed_up = server.alice.get(f"{base}/viewer/vendor/three.core.js", headers={"Accept-Encoding": "gzip"})
    plain = server.alice.get(f"{base}/viewer/vendor/three.core.js", headers={"Accept-Encoding": "identity"})
    assert packed_up.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed_up.content == plain.content
    assert server.alice.get(f"{base}/viewer/viewing.py").status_code == 404
    assert server.bob.get(f"{base}/viewer/index.html").status_code == 404
    assert server.nobody.get(f"{base}/viewer/index.html").status_code == 401


def test_a_picture_is_no_capture_and_a_capture_no_picture(server, capture):
    single = send(server.alice, png(picture()))
    for asked in (ask(server, single), ask(server, capture, "restore"), ask(server, capture, "mask-find")):
        assert (asked.status_code, asked.json()["error"]["option"]) == (409, "inputs.picture")
    for wrong in ({"steps": -1}, {"export": ["exe"]}, {"page": 0}, {"cameras": []}, {"rasterizer": "../x"}):
        assert ask(server, capture, **wrong).status_code == 422, wrong


def test_one_photograph_becomes_an_object(server):
    rgba = np.zeros((48, 48, 4), np.uint8)
    rgba[8:40, 14:34] = (190, 120, 60, 255)
    rgba[8:24, 14:34, 1] = 40
    photo = send(server.alice, png(rgba), "mug.png")
    few = {"steps": 4, "side": 64}
    planned = ask(server, photo, "lift-photo", dry_run=True).json()["id"]
    made = ask(server, photo, "lift-photo", **few, export=["splat"]).json()["id"]
    refused = ask(server, photo, "lift-photo", **few, forensic=True).json()["id"]
    blank = ask(server, send(server.alice, png(rgba[..., :3] * 0 + 90)), "lift-photo", **few).json()["id"]
    while server.work():
        pass
    jobs = {j: server.alice.get(f"/api/v1/jobs/{j}").json() for j in (planned, made, refused, blank)}
    assert jobs[planned]["plan"]["reasons"]
    assert jobs[made]["state"] == "done", jobs[made]["error"]
    assert {k: o["name"] for k, o in jobs[made]["outputs"].items()} == {"scene": "mug.ply", "splat": "mug.splat"}
    assert server.alice.get(f"/api/v1/jobs/{made}/viewer/facts.json").json()["name"] == "mug.ply"
    assert server.alice.post(f"/api/v1/jobs/{made}/verify").json()["verdict"] == "authentic"
    assert [jobs[j]["error"]["kind"] for j in (refused, blank)] == ["ForbiddenStep", "InputError"]
    assert ask(server, photo, "lift-photo", side=1).status_code == 422
    assert ask(server, photo, "lift-photo", views="triposr").status_code == 422


def test_a_plan_and_a_refusal_leave_nothing(server, capture):
    planned, refused = ask(server, capture, dry_run=True).json()["id"], ask(server, capture, forensic=True).json()["id"]
    while server.work():
        pass
    assert server.alice.get(f"/api/v1/jobs/{planned}").json()["plan"]["reasons"][0].startswith("9 photographs")
    error = server.alice.get(f"/api/v1/jobs/{refused}").json()["error"]
    assert error["kind"] == "ForbiddenStep"
    for job in (planned, refused):
        assert not list(server.settings.job(job).glob("*/capture"))


@pytest.mark.parametrize("kind", [
    "empty", "cut", "leaves", "no cameras", "no frames", "nested", "no picture", "a photograph is missing", "bomb",
])  # fmt: skip
def test_what_is_no_capture_is_refused_in_one_line(server, files, kind):
    photo = png(picture())
    cameras = {n: d for n, d in files.items() if n.endswith(".json")}
    data = {
        "empty": packed({}), "cut": packed(files)[:4000], "leaves": packed({"../x": b"x"}),
        "no cameras": packed({"a.png": photo, "b.png": photo}),
        "no frames": packed({"transforms.json": '{"frames":[]}'}),
        "nested": packed({"transforms.json": "[" * 100_000}),
        "no picture": packed(files | {"ball/images/p3.png": b"GIF89a"}),
        "a photograph is missing": packed(cameras),
        "bomb": packed({f"{i}/transforms.json": b"" for i in range(20_000)}),
    }[kind]  # fmt: skip
    answer = server.alice.post("/api/v1/uploads", files={"file": ("x.zip", data)})
    assert answer.status_code in (413, 415), answer.text
    told = answer.json()["error"]["message"]
    assert "\n" not in told
    assert str(server.settings.folder) not in told
    assert not list(server.settings.temporary.iterdir())
