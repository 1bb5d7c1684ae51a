"""Real pairs and pictures without truth: which are found, what is counted, what the command writes."""

import json

import numpy as np
import pytest
from PIL import Image

from tratto.core.errors import InputError, OptionError
from tratto_lab.evaluation import pairs as p
from tratto_lab.evaluation.metrics import psnr


def scene(seed=0, side=64):
    y, x = np.mgrid[0:side, 0:side]
    waves = [0.5 + 0.2 * np.sin(x / (6 + k) + seed) * np.cos(y / (7 - k)) for k in range(3)]
    return np.round(255 * np.stack(waves, -1)).astype(np.uint8)


def noisy(seed=0, sigma=20, side=64):
    noise = np.random.default_rng(seed).normal(0, sigma, (side, side, 3))
    return np.clip(np.round(scene(seed, side) + noise), 0, 255).astype(np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a_real.png", "a_mean.png", "b_Real.PNG", "b_mean.bmp", "c_real.png", "realistic_mean.png"], ["a", "b"]),
        (["x-noisy-1.png", "x-clean-1.png", "cleanly.png"], ["x--1"]),
        (["NOISY_SRGB_010.PNG", "GT_SRGB_010.PNG"], ["SRGB_010"]),
        (["real/1.png", "mean/1.png", "real/2.png"], ["1"]),
        (["Noisy/k.png", "Clean/k.bmp"], ["k"]),
        (["input/3.png", "target/3.png"], ["3"]),
    ],
)
def test_pairs_are_found_by_their_names(tmp_path, names, found):
    for name in names:
        save(tmp_path / name, scene())
    assert [pair.name for pair in p.find_pairs(tmp_path)] == found


def test_pairs_can_be_left_out_and_limited(tmp_path):
    for name in ("Sony_1", "Sony_2", "Canon_1", "Nikon_1"):
        for word in ("real", "mean"):
            save(tmp_path / f"{name}_{word}.png", scene())
    assert [x.name for x in p.find_pairs(tmp_path, ["Sony*", "Nikon_?"])] == ["Canon_1"]
    assert [x.name for x in p.find_pairs(tmp_path, limit=2)] == ["Canon_1", "Nikon_1"]
    with pytest.raises(InputError, match="left out"):
        p.find_pairs(tmp_path, ["*"])
    with pytest.raises(InputError, match="not a folder"):
        p.find_pairs(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="NAME_real"):
        p.find_pairs(tmp_path / "empty")


@pytest.fixture
def folder(tmp_path):
    for seed in range(3):
        save(tmp_path / f"s{seed}_real.png", noisy(seed))
        save(tmp_path / f"s{seed}_mean.png", scene(seed))
    return tmp_path


def spoiling(path):
    """Comes closer to the truth of all but the second."""
    picture = p.untouched(path).picture
    if path.name.startswith("s1"):
        return p.Outcome(picture + np.float32(0.1), np.full(picture.shape[:2], 0.5, np.float32), ("deblur",))
    truth = p.untouched(path.with_name(path.name.replace("real", "mean"))).picture
    half = 0.5 * (picture + truth)
    return p.Outcome(half, np.full(picture.shape[:2], 0.001, np.float32), ("denoise",))


def test_gains_losses_and_confidence_are_counted(folder):
    pairs = p.find_pairs(folder)
    calls = []
    distance = {"mean": lambda a, b: float(np.abs(a - b).mean())}
    methods = {"as it is": p.untouched, "spoiling": spoiling}
    report = p.evaluate_pairs(pairs, methods, "set", distance, calls.append)
    assert calls == ["s0", "s1", "s2"]
    before, after = report.mean("as it is"), report.mean("spoiling")
    want = [psnr(noisy(s) / 255, scene(s) / 255) for s in range(3)]
    assert before.psnr == pytest.approx(np.mean(want), abs=1e-4)
    assert (before.gain, before.left_alone, before.worse, before.pairs) == (0, 3, 0, 3)
    assert (after.left_alone, after.worse, after.harmed, after.worst_pair) == (0, 1, 1, "s1")
    own = [r for r in report.rows if r.method == "spoiling"]
    assert own[0].gain == pytest.approx(6.0, abs=0.1)
    assert after.worst_gain == own[1].gain < -1
    assert after.gain == pytest.approx(np.mean([r.gain for r in own]))
    assert own[1].within_one_sigma > 0.9
    assert own[0].within_one_sigma < 0.1
    assert after.measures["mean"] == pytest.approx(np.mean([r.measures["mean"] for r in own]))
    with pytest.raises(OptionError, match="spoiling"):
        report.mean("other")
    data = json.loads(report.to_json())
    assert data["means"][1]["worst_pair"] == "s1"
    text = p.pairs_markdown(report)
    assert f"{after.worst_gain:+.2f} (s1)" in text
    assert text.count("\n| s") == 3 + 1  # the pairs, and the method of that letter


def test_losses_of_rounding_are_none(folder):
    def nudged(path):
        picture = p.untouched(path).picture.copy()
        picture[0, 0, 0] += np.float32(1 / 255)
        return p.Outcome(picture, None, ("denoise",))

    mean = p.evaluate_pairs(p.find_pairs(folder), {"nudged": nudged}).mean("nudged")
    assert mean.worse == 0
    assert mean.within_one_sigma is None


def test_pairs_of_two_sizes_are_refused(tmp_path):
    save(tmp_path / "a_real.png", scene())
    save(tmp_path / "a_mean.png", scene(side=48))
    with pytest.raises(InputError, match="differ in size"):
        p.evaluate_pairs(p.find_pairs(tmp_path), {"as it is": p.untouched})


def test_methods_are_the_command_and_forced_providers(folder):
    methods = p.file_methods(["auto", "nlm"])
    assert list(methods) == ["as it is", "tratto restore", "nlm"]
    path = folder / "s0_real.png"
    restored, forced = methods["tratto restore"](path), methods["nlm"](path)
    assert restored.steps == forced.steps == ("denoise",)
    assert restored.sigma.shape == (64, 64)
    assert psnr(restored.picture, scene(0) / 255) > psnr(noisy(0) / 255, scene(0) / 255) + 3
    save(folder / "clean.png", scene(0))
    alone = methods["tratto restore"](folder / "clean.png")
    assert alone.steps == ()
    assert alone.sigma is None
    np.testing.assert_array_equal(np.round(255 * alone.picture), scene(0))
    with pytest.raises(OptionError, match="only enlarges"):
        p.file_methods(["span"])
    with pytest.raises(OptionError, match="magic"):
        p.file_methods(["magic"])


def test_grey_files_are_measured_as_three_equal_channels(tmp_path):
    save(tmp_path / "g_noisy.png", noisy()[..., 0])
    save(tmp_path / "g_clean.png", scene()[..., 0])
    report = p.evaluate_pairs(p.find_pairs(tmp_path), p.file_methods(["auto"]))
    assert report.mean("tratto restore").gain > 1


def test_scores_without_truth(tmp_path):
    for name, side in (("a.png", 64), ("b.png", 20)):
        save(tmp_path / name, noisy(side=side))

    def contrast(picture):
        if min(picture.shape[:2]) < 32:
            raise OptionError("too small")
        return float(picture.std())

    halved = {"as it is": p.untouched, "halved": lambda path: p.Outcome(0.5 * p.untouched(path).picture)}
    report = p.evaluate_without_truth(tmp_path, halved, {"contrast": contrast})
    assert set(report.rows["halved"]) == {"a.png", "b.png"}
    assert report.rows["halved"]["b.png"] == {}
    assert report.mean("halved", "contrast") == pytest.approx(0.5 * report.mean("as it is", "contrast"), rel=0.02)
    text = p.scores_markdown(report)
    assert "| b.png |  |  |" in text
    assert "BRISQUE" in text
    assert json.loads(report.to_json())["rows"]["halved"]["b.png"] == {}
    (tmp_path / "none").mkdir()
    for wrong in (tmp_path / "none", tmp_path / "a.png"):
        with pytest.raises(InputError):
            p.evaluate_without_truth(wrong, halved, {})


def invoke(*arguments):
    from typer.testing import CliRunner

    from tratto_lab.cli.main import app

    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_measures_pairs(folder, tmp_path):
    done = invoke("eval", "restore", "--pairs", folder, "--without", "s2", "--plain", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [m["method"] for m in data["means"]] == ["as it is", "tratto restore"]
    assert data["means"][1]["pairs"] == 2
    assert data["means"][1]["gain"] > 3
    assert (tmp_path / "out" / "report.md").read_text().startswith("Real pairs")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--pairs"),
        (["--pairs", ".", "--sigma", 3], "--sigma"),
        (["--pairs", ".", "--no-truth", "."], "--no-truth"),
        ([".", "--pairs", "."], "folder of clean"),
        (["--no-truth", ".", "--small", "x2+sigma15"], "--small"),
        (["--no-truth", ".", "--without", "x"], "--without"),
        ([".", "--without", "x"], "--without"),
        ([".", "--small", "x5+sigma1"], "x5"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(tmp_path, monkeypatch, arguments, named):
    monkeypatch.chdir(tmp_path)
    done = invoke("eval", "restore", *arguments)
    assert done.exit_code == 2
    assert named in done.stderr


def test_without_the_weights_the_command_says_how_to_get_them(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TRATTO_MEASURES", str(tmp_path / "none"))
    done = invoke("eval", "restore", "--no-truth", folder)
    assert done.exit_code != 0
    assert "tratto-lab data measures" in done.stderr
    pytest.importorskip("torch")
    done = invoke("eval", "restore", "--pairs", folder, "--limit", 1)
    assert done.exit_code == 0, done.output
    assert "LPIPS and DISTS not measured; for their weights run: tratto-lab data measures" in done.stdout
