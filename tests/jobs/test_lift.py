"""``tratto lift``: from a folder to a scene with its bundle, its exports, its replay; and a look at it."""

import json
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("numba")
sys.path.insert(0, str(Path(__file__).parent.parent / "scene"))
from shots import photographs, ring, truth, write_colmap, write_transforms

import tratto
from tratto.core.errors import Cancelled, ForbiddenStep, InputError, OptionError, OutputError, UnavailableError
from tratto.jobs.lifting import lift, lift_folder
from tratto.jobs.session import Session
from tratto.jobs.viewing import Viewer
from tratto.provenance.receipt import read_receipt
from tratto.scene.formats import read_scene, write_scene
from tratto.tasks.lift import LiftOptions

FEW = {"steps": 60, "gaussians": 400, "most": 450, "hold_out": 4}


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def views():
    return photographs(ring())


def test_a_folder_becomes_a_scene_with_its_account(tmp_path, views):
    write_transforms(tmp_path / "ball", views)
    options = LiftOptions(export=("spz", "webp"), **FEW)
    made = lift_folder(Session(), tmp_path / "ball", tmp_path / "out", options)
    assert made.saved.output == tmp_path / "out" / "ball.ply"
    assert [p.name for p in made.exports] == ["ball.spz", "ball.webp"]
    scene = read_scene(made.saved.output)
    assert scene.marked
    assert scene.scene.digest() == made.result.main.digest()
    assert len(read_scene(made.exports[0]).scene) == len(scene.scene)
    verdict = tratto.verify(made.saved.output)
    assert verdict.word == "authentic", verdict.reasons
    assert tratto.replay(made.saved.output).tier == "A"
    receipt = read_receipt((made.saved.bundle / "receipt.json").read_bytes())
    assert sorted(receipt["inputs"]) == ["picture", *(f"view-{i:03d}" for i in range(1, 9))]
    step = receipt["steps"][0]
    assert (step["provider"], step["params"]["start"], step["params"]["held_out"]) == (
        "cpu",
        "hull",
        ["view-002", "view-006"],
    )
    assert step["scores"]["held_out_views"] == 2
    assert step["scores"]["held_out_psnr"] > 14
    assert step["generative"] is bool((scene.scene.seen == 0).any())
    page = (made.saved.bundle / "report.html").read_text()
    assert "Views held out" in page
    assert 'alt="Contact sheet"' in page
    with pytest.raises(OutputError):
        lift_folder(Session(), tmp_path / "ball", tmp_path / "out", options)
    tratto.revert(made.saved.output, tmp_path / "back.png")
    assert (tmp_path / "back.png").read_bytes() == (tmp_path / "ball" / "images" / "p0.png").read_bytes()


@pytest.mark.parametrize(("transparent", "begins"), [(True, "hull"), (False, "points")])
def test_colmap_begins_with_what_there_is(tmp_path, views, transparent, begins):
    write_colmap(tmp_path, views, True, transparent)
    result = lift(tmp_path, **{**FEW, "steps": 5, "hold_out": 0})
    assert result.resolved.steps[0].start == begins
    assert "held_out_psnr" not in result.records[0].scores
    with pytest.raises(OptionError):
        lift(tmp_path, LiftOptions(), steps=3)


def test_refining_by_restore_is_measured(tmp_path, views):
    write_transforms(tmp_path, views)
    scores = lift(tmp_path, **{**FEW, "steps": 20, "refine": 1}).records[0].scores
    assert {"before_refining_psnr", "held_out_psnr", "enhanced_change"} <= set(scores)
    assert scores["held_out_psnr"] > scores["before_refining_psnr"] - 0.5


def test_refining_by_a_model_is_said(tmp_path, views):
    pytest.importorskip("diffusers")
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import tiny_diffusion

    base, fast = tiny_diffusion.write_lightning(tmp_path / "models")
    control = tiny_diffusion.write_controlnet(tmp_path / "models", base)
    folders = {"model": str(base), "lightning": str(fast), "controlnet": str(control)}
    write_transforms(tmp_path / "ball", views)
    few = {**FEW, "steps": 20, "refine": 1, "enhancer": "sdxl-lightning", "enhancer_params": folders}
    made = lift_folder(Session(), tmp_path / "ball", tmp_path / "out", LiftOptions(**few))
    record = made.result.records[-1]
    assert record.generative
    assert record.models[0].id == "tiny-sdxl-base"
    assert record.scores["enhanced_change"] > 0.001
    assert str(tmp_path) not in (made.saved.bundle / "receipt.json").read_text()
    verdict = tratto.verify(made.saved.output)
    assert verdict.word == "authentic", verdict.reasons
    with pytest.raises(UnavailableError):
        lift_folder(Session(), tmp_path / "ball", tmp_path / "o2", LiftOptions(**{**few, "enhancer_params": {}}))


def test_a_run_that_was_killed_goes_on(tmp_path, views):
    write_transforms(tmp_path / "ball", views)
    options = LiftOptions(**{**FEW, "steps": 150})
    whole = lift(tmp_path / "ball", options).main.digest()
    seen = []

    def stop(stage, done, total):
        if stage == "reconstruct":
            seen.append(done)
            if done == 120 and len(seen) == 121:
                raise Cancelled("stop")

    session = Session(progress=stop)
    with pytest.raises(Cancelled):
        lift(tmp_path / "ball", options, session=session)
    assert lift(tmp_path / "ball", options, session=session).main.digest() == whole
    assert seen[121] == 100
    assert not list((tmp_path / "cache" / "tratto" / "lift").glob("*.npz"))


def test_what_cannot_be_lifted_is_refused(tmp_path, views, monkeypatch):
    write_transforms(tmp_path / "ball", views)
    with pytest.raises(ForbiddenStep):
        lift(tmp_path / "ball", session=Session(forensic=True), **FEW)
    with pytest.raises(UnavailableError):
        lift(tmp_path / "ball", rasterizer="gsplat", **FEW)
    with pytest.raises(OptionError):
        lift(tmp_path / "ball", rasterizer="nobody", **FEW)
    with pytest.raises(OptionError):
        lift_folder(Session(), tmp_path / "ball", tmp_path / "out", LiftOptions(export=("obj",)))
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(UnavailableError):
        lift_folder(Session(), tmp_path / "ball", tmp_path / "out", LiftOptions(export=("mp4",)))
    assert not (tmp_path / "out").exists()
    Image.new("RGB", (40, 20)).save(tmp_path / "ball" / "images" / "p3.png")
    with pytest.raises(OptionError):
        lift(tmp_path / "ball", **FEW)
    data = json.loads((tmp_path / "ball" / "transforms.json").read_text())
    data["frames"] = data["frames"][:2]
    (tmp_path / "ball" / "transforms.json").write_text(json.dumps(data))
    with pytest.raises(InputError):
        lift(tmp_path / "ball", **FEW)


def test_the_cost_does_not_depend_on_what_is_not_used():
    from tratto.steps.reconstruct import Reconstruct

    small, large = (
        Reconstruct([{"role": "picture", "camera": {"size": size}}], side=512) for size in ([512, 384], [4096, 3072])
    )
    seconds = [
        w * h / 1e6 / step.megapixels_per_second for step, (w, h) in ((small, (512, 384)), (large, (4096, 3072)))
    ]
    assert seconds[0] == pytest.approx(seconds[1])
    assert 60 < seconds[0] < 200


def test_the_command(tmp_path, views, capsys):
    from tratto.cli.main import app

    write_transforms(tmp_path / "ball", views)
    words = [
        "lift",
        str(tmp_path / "ball"),
        "-o",
        str(tmp_path / "out"),
        "--steps",
        "10",
        "--gaussians",
        "300",
        "--json",
    ]
    with pytest.raises(SystemExit) as ended:
        app(words)
    assert ended.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert said["scene"]["gaussians"] >= 300
    assert Path(said["output"]).is_file()
    for more, code in ((["--degree", "9"], 2), (["--forensic"], 7), ([], 4)):
        with pytest.raises(SystemExit) as ended:
            app([*words[:-1], *more])
        assert ended.value.code == code
    capsys.readouterr()


# -- the viewer -------------------------------------------------------------------------------------------------------


def fetch(url, host=None, data=None):
    request = urllib.request.Request(url, data=data, headers={} if host is None else {"Host": host})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.status, answer.read()


def test_the_server_gives_its_own_files_to_this_machine(tmp_path):
    scene = truth()
    scene.seen[:50] = 0
    scene.write(tmp_path / "ball.ply")
    with Viewer(tmp_path / "ball.ply") as viewer:
        assert viewer.url.startswith("http://127.0.0.1:")
        facts = json.loads(fetch(viewer.url + "facts.json")[1])
        assert (facts["gaussians"], facts["seen"], facts["marked"], facts["file"]) == (400, 350, True, "scene.ply")
        assert fetch(viewer.url + "scene.ply")[1] == (tmp_path / "ball.ply").read_bytes()
        seen = tmp_path / "seen.ply"
        seen.write_bytes(fetch(viewer.url + "seen.ply")[1])
        assert len(read_scene(seen).scene) == 350
        for name in ("", "viewer.js", "vendor/three.core.js", "vendor/spark.module.min.js"):
            assert len(fetch(viewer.url + name)[1]) > 500
        for name, host, data, code in (
            ("../../etc/passwd", None, None, 404),
            ("vendor/../index.html", None, None, 404),
            ("facts.json", "evil.example:80", None, 421),
            ("shot", None, b"x", 403),
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                fetch(viewer.url + name, host, data)
            assert refused.value.code == code
            refused.value.close()
    with pytest.raises(InputError):
        Viewer(tmp_path / "nothing.ply")


def shot(path, query=""):
    """Return what Chromium shows of a scene, (H, W, 3)."""
    got, there = [], threading.Event()

    def take(data):
        got.append(data)
        there.set()

    profile = path.parent / "profile"
    with Viewer(path, on_shot=take) as viewer:
        browser = subprocess.Popen(
            [
                shutil.which("chromium"), "--headless=new", "--no-sandbox", "--use-angle=swiftshader",
                "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--window-size=300,300",
                f"--user-data-dir={profile}", f"{viewer.url}?shot{query}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            came = there.wait(100)
        finally:
            browser.terminate()
            browser.wait(20)
            shutil.rmtree(profile, ignore_errors=True)
    assert came, "the page sent no picture"
    (path.parent / "shot.png").write_bytes(got[0])
    return np.asarray(Image.open(path.parent / "shot.png").convert("RGB")).astype(int)


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium (apt install chromium) is not here")
def test_a_browser_shows_it_upright_from_every_format(tmp_path):
    scene = truth()
    scene.seen[:40] = 0  # what stands on the ball is invented
    pictures = {}
    for name in ("ply", "spz", "splat"):
        write_scene(scene, tmp_path / f"ball.{name}", name)
        pictures[name] = shot(tmp_path / f"ball.{name}")
    first = pictures["ply"]
    there = first.sum(axis=2) < 720
    rows = np.flatnonzero(there.any(axis=1))
    widths = there[rows[0] : rows[-1] + 1].sum(axis=1)
    assert 0.02 < there.mean() < 0.6
    assert widths[: len(widths) // 6].mean() < 0.6 * widths[len(widths) // 2 :].mean()  # what stands on it is on top
    for name, other in pictures.items():
        assert np.abs(other - first).mean() < 2, name
    without = shot(tmp_path / "ball.ply", "&seen")
    gone = np.flatnonzero((without.sum(axis=2) < 720).any(axis=1))
    assert gone[0] > rows[0] + 3
