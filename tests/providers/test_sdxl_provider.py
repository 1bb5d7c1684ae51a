import shutil
from dataclasses import replace

import numpy as np
import pytest

from tratto.core.capability import Inpainter, Use
from tratto.core.errors import MissingWeights, OptionError
from tratto.providers.catalogue import open_provider, settle
from tratto.providers.inpainter.diffusion import InpaintRequest, opening, settle_params


@pytest.fixture(scope="module")
def settled(tiny):
    return settle_params("sdxl", {"model": str(tiny["sdxl"]), "steps": 2})


@pytest.fixture(scope="module")
def painter(settled):
    return open_provider("inpainter", "sdxl", opening(settled))


def test_parameters_are_completed_and_hold_no_path(tiny, settled):
    assert settled == {
        "steps": 2, "guidance": 7.5, "strength": 1.0, "refine": 0.4, "control_scale": 1.0, "tiling": False,
        "slicing": False, "dtype": "auto", "offload": "none", "prompt": "Restore this monument: {caption}",
        "negative": "blurry, low quality, distorted, watermark, text", "device": "auto", "model": settled["model"],
        "lora": [], "controlnet": "", "depth": "", "scheduler": "EulerDiscreteScheduler",
    }  # fmt: skip
    name, _, digest = settled["model"].partition("@")
    assert name == "tiny-sdxl"
    assert len(digest) == 64
    assert settle_params("sdxl", settled) == settled
    more = settle_params(
        "sd15",
        {"model": str(tiny["sd15"]), "ip_adapter": str(tiny["ip-adapter"]), "controlnet": str(tiny["depth-sd15"]),
         "lora": f"{tiny['lora-sd15']}:0.5,{tiny['lora-sd15']}", "tiling": "yes", "guidance": 3, "prompt": 1920},
    )  # fmt: skip
    assert str(tiny["sd15"].parent) not in repr(more)
    assert [text.rpartition(":")[2] for text in more["lora"]] == ["0.5", "1"]
    assert (more["tiling"], more["guidance"], more["prompt"], more["lock"]) == (True, 3.0, "1920", "seen")
    assert settle_params("sd15", more) == more


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"stepz": 3}, "stepz"),
        ({"ip_adapter": "x"}, "ip_adapter"),
        ({"steps": 0}, "steps must be a whole number from 1 to 1000, got 0"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"steps": True}, "steps must be a whole number"),
        ({"guidance": float("nan")}, "guidance must be a number"),
        ({"guidance": "much"}, "guidance must be a number"),
        ({"strength": 0}, r"strength must be a number from 0\.01 to 1"),
        ({"tiling": "maybe"}, "tiling must be"),
        ({"dtype": "fp8"}, "dtype must be one of"),
        ({"device": "gpu"}, "device must be"),
        ({"prompt": ["a"]}, "prompt must be a text"),
        ({"prompt": "a" * 2001}, "prompt must be a text"),
        ({"lora": 3}, "lora must be FOLDER"),
        ({"controlnet": 3}, "controlnet must be"),
        ({"depth": "geometric"}, "depth is for a ControlNet"),
        ({"depth": 3}, "depth must be"),
        ({"model": "/no/such/folder"}, "is not here"),
        ({"scheduler": "DDIMScheduler"}, "the scheduler is the model's own"),
    ],
)
def test_what_does_not_go_is_told(tiny, wrong, words):
    with pytest.raises(OptionError, match=words):
        settle_params("sdxl", {"model": str(tiny["sdxl"]), **wrong})


def test_a_scale_beyond_reason_is_refused(tiny):
    with pytest.raises(OptionError, match="lora: its scale"):
        settle_params("sdxl", {"model": str(tiny["sdxl"]), "lora": f"{tiny['lora-sdxl']}:9"})


def test_without_weights_the_way_to_them_is_told(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingWeights, match="tratto models pull sdxl-inpainting"):
        settle(Use("inpainter", "sdxl"))
    with pytest.raises(MissingWeights, match="model=FOLDER"):
        settle(Use("inpainter", "sd15"))
    with pytest.raises(OptionError, match="no parameter"):
        settle_params("patch", {"steps": 3})
    with pytest.raises(OptionError, match="no parameter"):
        open_provider("inpainter", "patch", {"steps": 3})


def test_the_pulled_card_is_taken_where_no_model_is_named(tiny, monkeypatch, tmp_path):
    from tratto.models.store import get_card

    repo = tmp_path / "models--diffusers--stable-diffusion-xl-1.0-inpainting-0.1"
    snapshot = repo / "snapshots" / ("a" * 40)
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("a" * 40)
    shutil.copytree(tiny["sdxl"], snapshot)
    for path in snapshot.rglob("*.safetensors"):
        path.rename(path.with_name(path.stem + ".fp16.safetensors"))
    for name in get_card("sdxl-inpainting").files:  # the published tokenizers are of an older layout
        if not (snapshot / name).exists():
            (snapshot / name).write_text("{}" if name.endswith(".json") else "")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert settle(Use("inpainter", "sdxl")).params["model"].startswith("sdxl-inpainting@")
    settled = settle_params("sdxl", {})
    assert settled["model"].startswith("sdxl-inpainting@")
    painter = open_provider("inpainter", "sdxl", opening(settled))
    assert painter.side == 64
    assert painter.info.models[0].id == "sdxl-inpainting"


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 70), (200, 90), (17, 16)])
def test_windows_of_any_size_keep_what_is_known(painter, height, width):
    rng = np.random.default_rng(height)
    picture = rng.random((height, width, 3), dtype=np.float32)
    hole = np.zeros((height, width), bool)
    hole[4:12, 5:11] = True
    high, wide = painter.window(height, width)
    assert max(high, wide) == 64
    assert high % 16 == wide % 16 == 0
    done = painter.paint(picture, hole, InpaintRequest("a", steps=1), 3)
    np.testing.assert_array_equal(done[~hole], picture[~hole])
    assert done.dtype == np.float32
    assert np.isfinite(done).all()
    assert done.min() >= 0
    assert done.max() <= 1


def test_it_is_an_inpainter_and_what_a_hole_holds_does_not_matter(painter):
    rng = np.random.default_rng(1)
    picture = rng.random((64, 64, 3), dtype=np.float32)
    hole = np.zeros((64, 64), bool)
    hole[10:30, 10:30] = True
    other = np.where(hole[..., None], rng.random((64, 64, 3), dtype=np.float32), picture)
    assert isinstance(painter, Inpainter)
    wanted = InpaintRequest("a", steps=2)
    one = painter.paint(picture, hole, wanted, 1)
    np.testing.assert_array_equal(painter.paint(other, hole, wanted, 1)[hole], one[hole])
    weaker = replace(wanted, strength=0.5)
    assert (painter.paint(other, hole, weaker, 1)[hole] != painter.paint(picture, hole, weaker, 1)[hole]).any()
    np.testing.assert_array_equal(painter.paint(picture, np.zeros((64, 64), bool), wanted, 1), picture)
    assert [m.id for m in painter.info.models] == ["tiny-sdxl"]
    assert painter.info.models[0].licence == "openrail++"
