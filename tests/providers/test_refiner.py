"""Refining by Qwen-Image-Edit, on a tiny random one in the published layout."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from skimage import data
from typer.testing import CliRunner

import tratto
from tratto.cli.main import app
from tratto.core.capability import FaceRefiner, Use
from tratto.core.errors import MissingWeights, OptionError, TrattoError, UnsupportedFormat
from tratto.providers.catalogue import open_settled, settle

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("torch").set_num_threads(1)
    pytest.importorskip("diffusers")
    import tiny_qwen

    return tiny_qwen.write_qwen(tmp_path_factory.mktemp("models") / "tiny-qwen")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The pipeline works at a megapixel, which is too slow for a test: at 64 pixels here."""
    module = pytest.importorskip("diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_inpaint")
    monkeypatch.setattr(module, "calculate_dimensions", lambda area, ratio: (64, 64, None))


def test_it_paints_inside_the_mask_after_its_seed(folder):
    use = settle(Use("face-refiner", "qwen", {"model": str(folder), "steps": 3}))
    assert use.params["model"].startswith("tiny-qwen@")
    assert (use.params["guidance"], use.params["strength"]) == (2.0, 0.45)
    assert len(use.params["negative"].split(",")) > 10
    refiner = open_settled(use)
    assert isinstance(refiner, FaceRefiner)
    picture = np.random.default_rng(0).random((60, 50, 3)).astype(np.float32)
    mask = np.zeros((60, 50), np.float32)
    mask[20:40, 10:40] = 1
    one, again, other = (refiner.refine(picture, mask, 0.7, seed) for seed in (1, 1, 2))
    assert one.shape == picture.shape
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(one[mask == 0], picture[mask == 0])
    assert np.abs(one - other)[mask > 0].mean() > 1e-3
    assert np.abs(one - picture)[mask > 0].mean() > 1e-3
    assert refiner.info.models[0].licence == "apache-2.0"
    assert settle(use).params == use.params


def test_the_defaults_are_twelve_steps_and_true_guidance():
    from tratto.providers.refiner import QwenParameters

    given = QwenParameters()
    assert (given.steps, given.guidance) == (12, 2.0)


def test_a_wrong_folder_gets_one_clear_line(folder, tmp_path):
    def ask(**params):
        return open_settled(settle(Use("face-refiner", "qwen", params)))

    with pytest.raises(MissingWeights, match="model=FOLDER"):
        ask()
    with pytest.raises(OptionError, match="not here"):
        ask(model=str(tmp_path / "none"))
    for name, wrong in (("steps", 0), ("strength", 2), ("dtype", "int8"), ("face", 1)):
        with pytest.raises(OptionError, match=name):
            ask(model=str(folder), **{name: wrong})
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    weights = next((broken / "transformer").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(TrattoError, match=r"transformer|pipeline"):
        ask(model=str(broken))
    weights.unlink()
    (broken / "transformer" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(UnsupportedFormat):
        ask(model=str(broken))


def test_a_job_with_it_searches_locally_verifies_and_replays(folder, tmp_path, monkeypatch):
    portrait = np.ascontiguousarray(data.astronaut()[0:240, 110:350])
    Pil.fromarray(portrait).save(tmp_path / "scene.png")
    Pil.fromarray(np.ascontiguousarray(portrait[:, ::-1])).save(tmp_path / "other.png")
    words = [
        "reface", str(tmp_path / "scene.png"), "--character", str(tmp_path / "other.png"), "-o", str(tmp_path / "out"),
        "--i-have-consent", "A. Person", "--refiner", "qwen", "--refiner-param", f"model={folder}",
        "--refiner-param", "steps=4", "--k-global", "2", "--m-global", "1", "--k-local", "2", "--seed", "5",
    ]  # fmt: skip
    run = CliRunner().invoke(app, words)
    assert run.exit_code == 0, run.output
    text = (tmp_path / "out" / "scene.tratto" / "receipt.json").read_text()
    assert str(folder) not in text
    step = json.loads(text)["steps"][0]
    tried = step["params"]["candidates"]
    assert len(tried) == 5
    assert "draws" not in tried[0]["look"]  # the raw swap is a candidate
    assert [len(c["look"]["draws"]) for c in tried[1:3]] == [1, 1]
    assert tried[1]["look"]["draws"][0][1] == 0.45
    assert tried[1]["look"]["draws"] != tried[2]["look"]["draws"]
    for c in tried[3:]:  # from its parent's picture, with less noise
        parent = tried[c["parent"]]["look"].get("draws", [])
        assert c["look"]["draws"][:-1] == parent
        assert c["look"]["draws"][-1][1] < 0.45
    assert "tiny-qwen" in {m["id"] for m in step["models"]}
    before, after = (np.asarray(Pil.open(p)) for p in (tmp_path / "scene.png", tmp_path / "out" / "scene.png"))
    mask = np.asarray(Pil.open(tmp_path / "out" / "scene.tratto" / "mask.png"))
    np.testing.assert_array_equal(before[mask == 0], after[mask == 0])
    assert tratto.verify(tmp_path / "out" / "scene.png").word == "authentic"
    monkeypatch.setenv("TRATTO_MODELS", str(folder.parent))
    assert tratto.replay(tmp_path / "out" / "scene.png").tier == "A"
