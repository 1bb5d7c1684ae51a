import importlib
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

pytest.importorskip("torch")

from tratto.core.errors import InputError, OptionError
from tratto.models.card import load_card, parse_card
from tratto_lab.evaluation.restore import Report, RestorePlan, Row
from tratto_lab.training.config import Network, load_run
from tratto_lab.training.publish import KINDS, Sources, card_text, lineage, publish
from tratto_lab.training.publish_restorer import PLACES, Place, describe, quality_of

RUNS = Path(__file__).parents[3] / "training_runs"


def test_card_text_is_toml_that_reads_back():
    fields = {"id": 'a "quoted" \\ name', "flag": True, "n": 3, "list": ["x", 1.5], "pair": (0.0, 1.0)}
    read = tomllib.loads(card_text(fields, {"psnr": 30.5, "curve": [1.0, 2.25]}, {"seconds_per_megapixel": 2e-7}))
    assert read["id"] == 'a "quoted" \\ name'
    assert read["flag"] is True
    assert read["list"] == ["x", 1.5]
    assert read["pair"] == [0.0, 1.0]
    assert read["quality"] == {"psnr": 30.5, "curve": [1.0, 2.25]}
    assert read["speed"]["seconds_per_megapixel"] == 2e-7


@pytest.mark.parametrize(
    ("module", "run", "options"),
    [
        ("publish", "restore_noise", ["--benchmarks", "none"]),
        ("publish_repair", "damage_mean", []),
        ("publish_estimator", "estimator", []),
        ("from_weights", "damage_mean", ["--weights", "none.onnx"]),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path, capsys, monkeypatch, module, run, options):
    main = importlib.import_module(f"tratto_lab.training.{module}").main
    place = ["--out" if module == "from_weights" else "--runs", str(tmp_path / "runs")]

    def said(*given):
        monkeypatch.setattr("sys.argv", [module, *given, "--photos", str(tmp_path), *place, *options])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code
        return capsys.readouterr().err

    assert said(str(tmp_path / "other.py")).startswith("tratto: no run file at ")
    text = said(str(RUNS / f"{run}.py"))
    assert text.startswith("tratto: ")
    assert text.count("\n") == 1


def test_nothing_is_published_without_photographs_to_measure_on(tmp_path):
    with pytest.raises(InputError, match="held-out photographs"):
        publish(RUNS / "damage_mean.py", Sources(tmp_path, photos=tmp_path))


RUN_FILE = """
from tratto_lab.training.config import Data, Optim, Run

DATA, OPTIM = Data(patch={patch}), Optim(warmup=1)
RUN = Run("tiny", "{network}", 1, {options}, batch=2, data=DATA, optim=OPTIM, ships_as="tiny-1", save_every=1)
"""
#: Side of the crops, and options.
SMALL = {
    "restorer": (48, {"widths": (8, 8), "encoder": (1,), "bottleneck": 1, "decoder": (1,)}),
    "inpainter": (48, {"width": 8, "dilations": (1, 2), "unshuffle": 2}),
    "estimator": (128, {}),
}


@pytest.mark.parametrize("network", SMALL)
def test_a_run_becomes_weights_and_a_card(tmp_path, photos, monkeypatch, network):
    import hashlib

    import tratto.models as models
    from tratto_lab.corpus.pack import build_pack
    from tratto_lab.training.config import load_run
    from tratto_lab.training.loop import run

    package = tmp_path / "models"
    for folder in ("cards", "weights"):
        (package / folder).mkdir(parents=True)
    path = tmp_path / "tiny.py"
    patch, options = SMALL[network]
    path.write_text(RUN_FILE.format(network=network, patch=patch, options=options))
    build_pack(photos, tmp_path / "runs" / "pack", text_pages=1)
    run(load_run(path), photos, tmp_path / "runs", tmp_path / "runs" / "pack")
    monkeypatch.setattr(models, "__file__", str(package / "__init__.py"))
    monkeypatch.setenv("TRATTO_MODELS", str(package / "weights"))
    monkeypatch.setitem(PLACES, "tiny-1", Place(64, 16, 4, 4))
    card = publish(path, Sources(tmp_path / "runs", photos, tmp_path), "Trained for a moment.")
    data = (package / "weights" / "tiny-1.onnx").read_bytes()
    assert (card.sha256, card.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert card == load_card(package / "cards" / "tiny-1.toml")
    assert card.limits[-1] == "Trained for a moment."
    assert card.command == "tratto train training_runs/tiny.py --photos PHOTOS --out runs"
    assert card.quality["parameters"] > 0
    assert any(key.startswith("held_out_") for key in card.quality)


def test_each_kind_says_what_it_needs(tmp_path):
    assert set(KINDS) == set(get_args(Network)) - {"swin_unet"}  # that one does not ship
    for name in ("shell", "restore_noise"):
        with pytest.raises(OptionError, match="--pack" if name == "shell" else "--photos and --benchmarks"):
            publish(RUNS / f"{name}.py", Sources(tmp_path))


def test_what_invents_is_not_published_as_what_does_not(tmp_path):
    run = replace(load_run(RUNS / "sharp_x4.py"), ships_as="tratto-restore-x4")
    with pytest.raises(OptionError, match="invent"):
        describe(run, Sources(tmp_path, tmp_path, tmp_path), tmp_path / "x.onnx")


def test_rows_become_keys():
    rows = (
        Row("tratto", "sigma 25", 30.123, 0.91234, 0.1, 0.2, 0.678, 5),
        Row("other", "sigma 25", 20.0, 0.5, 0.1, 0.2, None, 5),
    )
    assert quality_of(Report("f", RestorePlan(), rows), "tratto", "cbsd68") == {
        "cbsd68_sigma_25_psnr": 30.12,
        "cbsd68_sigma_25_ssim": 0.9123,
        "cbsd68_sigma_25_within_one_sigma": 0.678,
    }


def test_a_run_knows_what_it_began_from():
    assert lineage(RUNS / "restore_x4_sigma.py") == ["restore_x2", "restore_x4", "restore_x4_sigma"]


def test_what_was_mixed_in_led_to_a_run_too():
    names = lineage(RUNS / "damage_mean.py")
    assert names[-5:] == ["damage_deeper", "damage_gray", "damage_other", "damage_pair", "damage_mean"]
    assert len(names) == len(set(names)) == 12


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_shipped_weights_are_what_their_card_says(scale):
    import hashlib

    import tratto.models as models

    root = Path(models.__file__).parent
    card = load_card(root / "cards" / f"tratto-restore-x{scale}.toml")
    data = (root / "weights" / f"tratto-restore-x{scale}.onnx").read_bytes()
    assert card.sha256 == hashlib.sha256(data).hexdigest()
    assert card.size_bytes == len(data) < 8 * 2**20
    assert card.scale == scale
    assert parse_card((root / "cards" / f"tratto-restore-x{scale}.toml").read_text()) == card


def test_training_can_go_on_from_shipped_weights():
    import numpy as np
    import torch

    import tratto.models as models
    from tratto.backends.open import open_backend
    from tratto_lab.training.config import load_run
    from tratto_lab.training.loop import build_network, load_ema

    root = Path(models.__file__).parent
    network = build_network(load_run(RUNS / "restore_noise_sigma.py"))
    assert load_ema(root / "weights" / "tratto-restore-x1.onnx", network) == []
    x = np.random.default_rng(0).random((1, 3, 32, 48), dtype=np.float32)
    card = load_card(root / "cards" / "tratto-restore-x1.toml")
    expected = open_backend(card, threads=1).run({card.input: x})[card.output]
    with torch.no_grad():
        np.testing.assert_allclose(network(torch.from_numpy(x))[0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(("scale", "sides"), [(1, (64, 96)), (2, (21, 34)), (4, (16, 19))])
def test_shipped_weights_keep_their_contract(scale, sides):
    import numpy as np

    import tratto.models as models
    from tratto.backends.open import open_backend

    root = Path(models.__file__).parent
    card = load_card(root / "cards" / f"tratto-restore-x{scale}.toml")
    backend = open_backend(card, threads=1)
    y, x = np.mgrid[0 : sides[0], 0 : sides[1]]
    smooth = (0.5 + 0.3 * np.sin(x / 9) * np.cos(y / 7)).astype(np.float32)
    clean = np.stack((smooth, smooth**2, 1 - smooth))[None].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 25 / 255, clean.shape).astype(np.float32)
    out = backend.run({card.input: clean + (noise if scale == 1 else 0)})
    picture, sigma = out[card.output], out[card.sigma_output]
    assert picture.shape == (1, 3, sides[0] * scale, sides[1] * scale)
    assert sigma.shape == (1, 1, sides[0] * scale, sides[1] * scale)
    assert sigma.min() > 0
    if scale == 1:
        error = np.sqrt(np.mean((picture - clean) ** 2))
        assert error < 0.4 * np.sqrt(np.mean(noise**2))  # a smooth picture: most of the noise must be gone
        assert 0.3 < np.mean(sigma) / error < 3
    else:
        back = picture.reshape(1, 3, sides[0], scale, sides[1], scale).mean((3, 5))
        inner = np.s_[..., 3:-3, 3:-3]
        assert np.abs(back[inner] - clean[inner]).max() < 0.03  # enlarging keeps what was there
