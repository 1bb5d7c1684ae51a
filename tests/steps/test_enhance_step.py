"""The enhancer: tiny random SDXL-Lightning with a ControlNet, from the command line to a replay."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("diffusers")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tiny_diffusion
import tratto
from tratto.backends.diffusion import quiet
from tratto.core.errors import ForbiddenStep, MissingWeights, OptionError, WeightMismatch
from tratto.providers.catalogue import open_provider
from tratto.providers.enhancer import blended


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lightning")
    base, fast = tiny_diffusion.write_lightning(folder)
    control = tiny_diffusion.write_controlnet(folder, base)
    return {"model": str(base), "lightning": str(fast), "controlnet": str(control)}


def view():
    y, x = np.mgrid[:48, :64] / 48
    return np.stack([x / 1.4, y, 0.5 + 0.4 * np.sin(9 * x)], -1).astype(np.float32)


def test_of_four_steps_as_many_are_done_as_it_is_strong(folders):
    made = open_provider("enhancer", "sdxl-lightning", folders)
    pipe = made._backend.pipe
    assert pipe.scheduler.config.timestep_spacing == "trailing"
    done = []
    depth = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (48, 1))
    first = made.enhance(view(), depth, 0.5, 0, lambda a, b: done.append((a, b)))
    assert done == [(1, 4), (2, 4)]
    assert first.shape == (48, 64, 3)
    np.testing.assert_array_equal(first, made.enhance(view(), depth, 0.5, 0))
    assert np.abs(first - made.enhance(view(), depth, 0.5, 1)).max() > 0.01  # another seed
    assert np.abs(first - made.enhance(view(), 1 - depth, 0.5, 0)).max() > 1e-4  # another depth
    with quiet():
        pipe.scheduler.set_timesteps(4)
    assert [int(t) for t in pipe.scheduler.timesteps] == [999, 749, 499, 249]


def test_what_changes_much_is_taken_over_little():
    plain = np.full((30, 40, 3), 0.5, np.float32)
    made = plain.copy()
    made[:, 20:] += 0.1
    out = blended(plain, made, 1.0, 0.35)
    np.testing.assert_allclose(out[15, 35], 0.5 + 0.1 * np.exp(-0.1 / 0.35), atol=1e-5)
    np.testing.assert_array_equal(out[:, :10], plain[:, :10])
    np.testing.assert_array_equal(blended(plain, made, 0.0, 0.35), plain)
    doubt = np.zeros((30, 40), np.float32)
    doubt[:15] = 1
    np.testing.assert_array_equal(blended(plain, made, doubt, 0.35)[20:], plain[20:])


def test_the_whole_job_from_the_command_line_to_a_replay(folders, tmp_path, capsys, monkeypatch):
    from tratto.cli.main import app

    def main(*words):
        with pytest.raises(SystemExit) as ended:
            app([str(w) for w in words])
        return ended.value.code

    Image.fromarray(np.round(view() * 255).astype(np.uint8)).save(tmp_path / "view.png")
    Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))).save(tmp_path / "depth.png")
    param = [w for name, value in folders.items() for w in ("--param", f"{name}={value}")]
    line = ["enhance", tmp_path / "view.png", "-o", tmp_path / "out", *param, "--depth", tmp_path / "depth.png"]
    assert main(*line, "--json") == 0
    capsys.readouterr()
    made = tmp_path / "out" / "view.png"
    verdict = tratto.verify(made)
    assert verdict.word == "authentic", verdict.reasons
    receipt = json.loads((made.with_suffix(".tratto") / "receipt.json").read_text())
    step = receipt["steps"][0]
    assert step["generative"]
    assert [m["id"] for m in step["models"]] == [
        "tiny-sdxl-base", "sdxl_lightning_4step_unet", "tiny-depth-tiny-sdxl-base"
    ]  # fmt: skip
    assert sorted(receipt["inputs"]) == ["depth", "picture"]
    for folder in (tmp_path, Path(folders["model"]).parent):
        assert str(folder) not in json.dumps(receipt)
    monkeypatch.setenv("TRATTO_MODELS", str(Path(folders["model"]).parent))
    assert tratto.replay(made).tier == "A"
    assert main(*line, "--overwrite", "--forensic") == ForbiddenStep.exit_code
    assert main(*line[:-2], "--overwrite", "--seer", "geometric") == 0
    told = json.loads((made.with_suffix(".tratto") / "receipt.json").read_text())["steps"][0]
    assert any("stand-in" in note for note in told["notes"])
    capsys.readouterr()


def test_what_cannot_be_done_is_one_line(folders, tmp_path):
    with pytest.raises(MissingWeights, match="lightning"):
        tratto.enhance(view(), params={"model": folders["model"]})
    with pytest.raises(OptionError):
        tratto.enhance(view(), params={**folders, "steps": 4})
    with pytest.raises(OptionError, match="size"):
        tratto.enhance(view(), params=folders, depth=np.zeros((4, 4), np.uint8))
    with pytest.raises(OptionError):
        tratto.enhance(view(), params={**folders, "offload": "model", "device": "cpu"})
    cut = tmp_path / "sdxl_lightning_4step_unet.safetensors"
    cut.write_bytes(Path(folders["lightning"]).read_bytes()[:-100])
    with pytest.raises(WeightMismatch):
        tratto.enhance(view(), params={**folders, "lightning": str(cut)})
    with pytest.raises(OptionError):
        tratto.enhance(view(), params={**folders, "lightning": str(tmp_path / "none.safetensors")})
