import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from PIL import Image  # noqa: E402

from tratto.core.errors import InputError, OptionError  # noqa: E402
from tratto_lab.corpus.pack import HELD_OUT  # noqa: E402
from tratto_lab.training import ablate as a  # noqa: E402
from tratto_lab.training.loop import build_network  # noqa: E402

FOLDER = Path(__file__).parents[3] / "training_runs" / "ablations"
FILE = """
from dataclasses import replace
from tratto_lab.training.config import Data, Optim, Run
SHAPE = {"widths": (8, 8), "encoder": (1,), "bottleneck": 1, "decoder": (1,)}
ONE = Run("one", "restorer", 3, SHAPE, batch=2, data=Data(patch=16), optim=Optim(warmup=1))
VARIANTS = {"one": ONE, "two": replace(ONE, name="two", network_options={**SHAPE, "bottleneck": 2})}
"""


def photographs(folder):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", HELD_OUT[0]):
        Image.fromarray(rng.integers(0, 256, (520, 520, 3), np.uint8)).save(folder / f"{name}.webp", lossless=True)
    return folder


def test_variants_are_trained_and_tabled(tmp_path):
    torch.set_num_threads(1)
    photos = photographs(tmp_path / "photos")
    (tmp_path / "trial.py").write_text(FILE)
    found = a.ablate(tmp_path / "trial.py", photos, tmp_path / "out")
    assert [v.name for v in found] == ["one", "two"]
    assert found[1].parameters - found[0].parameters == 2 * (8 * 8 * 9 + 8)
    assert found[0].psnr["clean"] > 30  # three steps hardly leave the identity
    assert json.loads((tmp_path / "out" / "trial.json").read_text())[1]["name"] == "two"
    assert (tmp_path / "out" / "trial.md").read_text().count("\n| ") == 3


@pytest.mark.parametrize("path", [p for p in sorted(FOLDER.glob("*.py")) if a.sets_variants(p)], ids=lambda p: p.stem)
def test_shipped_ablations_build(path):
    for config in a.load_variants(path).values():
        with torch.device("meta"):
            build_network(replace(config))


def test_broken_files_are_said(tmp_path):
    with pytest.raises(InputError, match="no ablation file"):
        a.load_variants(tmp_path / "x.py")
    (tmp_path / "x.py").write_text("VARIANTS = {}")
    with pytest.raises(InputError, match="VARIANTS"):
        a.load_variants(tmp_path / "x.py")


def test_the_shipped_ablations_fit_their_networks():
    for name in ("compact", "swin_unet"):
        path = FOLDER / f"{name}.py"
        assert a.sets_variants(path)
        for run in a.load_variants(path).values():
            side = run.data.patch
            with torch.no_grad():
                picture, _ = build_network(run)(torch.rand(1, 3, side, side))
            assert picture.shape == (1, 3, side, side)


def test_run_files_are_no_files_of_variants(tmp_path):
    (tmp_path / "broken.py").write_text("VARIANTS = {")
    assert not a.sets_variants(tmp_path / "broken.py")
    assert not a.sets_variants(tmp_path / "missing.py")
    assert not a.sets_variants(FOLDER.parent / "restore_noise.py")


def test_options_that_a_file_of_variants_would_ignore_are_refused(tmp_path):
    from typer.testing import CliRunner

    from tratto.cli.main import app

    (tmp_path / "trial.py").write_text(FILE)
    done = CliRunner().invoke(
        app, ["ablate", str(tmp_path / "trial.py"), "--photos", str(tmp_path), "--set", "steps=1"]
    )
    assert done.exit_code == 2
    assert "variants itself" in done.stderr


def test_ordinary_run_files_are_compared(tmp_path):
    from typer.testing import CliRunner

    from tratto.cli.main import app

    torch.set_num_threads(1)
    photos = photographs(tmp_path / "photos")
    head = FILE.split("VARIANTS")[0]
    (tmp_path / "first.py").write_text(head + "RUN = ONE\n")
    (tmp_path / "second.py").write_text(head + 'RUN = replace(ONE, name="other", steps=2)\n')
    files = [str(tmp_path / f"{name}.py") for name in ("first", "second")]
    done = CliRunner().invoke(app, ["ablate", *files, "--photos", str(photos), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert [v["name"] for v in json.loads((tmp_path / "out" / "ablations.json").read_text())] == ["first", "second"]


def test_networks_without_a_psnr_are_not_compared(tmp_path):
    from tratto_lab.training.config import Run

    photos = photographs(tmp_path / "photos")
    with pytest.raises(OptionError, match="estimator"):
        a.compare({"one": Run("one", "estimator", 1)}, (photos, tmp_path / "out", None), "x")
    assert not (tmp_path / "out").exists()
