"""Diffusion models from the command line to the replay of the receipt, on tiny random ones."""

import json

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.models import folders

SIDE = (120, 150)


def tratto(*line):
    return CliRunner().invoke(app, [str(v) for v in line])


@pytest.fixture
def case(tmp_path):
    y, x = np.mgrid[0 : SIDE[0], 0 : SIDE[1]]
    px = np.stack([y + 60, x % 200, (x + y) % 256], -1).astype(np.uint8)
    mask = np.zeros(SIDE, np.uint8)
    mask[20:30, 30:60] = 255
    mask[70:74, 5:140] = 255
    Pil.fromarray(px).save(tmp_path / "a.png")
    Pil.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path, px, mask > 0


def account(out):
    return json.loads((out / "a.tratto" / "receipt.json").read_text())


def test_a_repair_by_sdxl_changes_the_mask_alone_and_replays_exactly(case, tiny, monkeypatch):
    tmp, px, hole = case
    out = tmp / "out"
    done = tratto(
        "repair", tmp / "a.png", "--mask", tmp / "mask.png", "-o", out, "--method", "sdxl", "--seed", 5,
        "--caption", "a  gate", "--param", f"model={tiny['sdxl']}", "--param", f"lora={tiny['lora-sdxl']}:0.8",
        "--param", "steps=2",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    result = np.asarray(Pil.open(out / "a.png"))
    assert (result != px).any(axis=2)[~hole].sum() == 0
    assert (result != px).any(axis=2)[hole].mean() > 0.9
    receipt = account(out)
    step = receipt["steps"][-1]
    assert (step["step"], step["provider"], step["seed"], step["generative"]) == ("diffuse", "sdxl", 5, True)
    told = step["params"]
    assert told["prompt"] == "Restore this monument: a gate"
    assert told["params"]["negative"].startswith("blurry")
    assert told["params"]["steps"] == 2
    assert told["params"]["guidance"] == 7.5
    assert told["params"]["scheduler"] == "EulerDiscreteScheduler"
    models = {m["id"]: m for m in step["models"]}
    assert models["tiny-sdxl"]["sha256"] == told["params"]["model"].partition("@")[2]
    assert models["tiny-lora-tiny-sdxl"]["sha256"] == told["params"]["lora"][0].partition("@")[2].partition(":")[0]
    assert models["tiny-sdxl"]["licence"] == "openrail++"
    assert models["tiny-lora-tiny-sdxl"]["licence"] == "unknown"
    assert str(tiny["sdxl"].parent) not in (out / "a.tratto" / "receipt.json").read_text()
    assert receipt["claim"]["status"] == "hypothetical reconstruction"
    sure = np.asarray(Pil.open(out / "a.tratto" / "confidence.png"))
    assert sure[hole].max() == 0
    assert sure[~hole].min() == 65535

    monkeypatch.setattr(folders, "_places", {})  # as in another process
    assert tratto("replay", out / "a.png").exit_code == 5
    monkeypatch.setenv("TRATTO_MODELS", str(tiny["sdxl"].parent))
    again = tratto("replay", out / "a.png", "--json")
    assert json.loads(again.output)["tier"] == "A", again.output
    assert tratto("verify", out / "a.png").exit_code == 0


def test_another_seed_gives_another_picture_without_a_caption_too(case, tiny):
    tmp, _, _ = case
    made = []
    for seed in (1, 2):
        out = tmp / str(seed)
        done = tratto(
            "repair", tmp / "a.png", "--mask", tmp / "mask.png", "-o", out, "--method", "sdxl", "--seed", seed,
            "--param", f"model={tiny['sdxl']}", "--param", "steps=1",
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        made.append((out / "a.png").read_bytes())
        assert account(out)["steps"][0]["params"]["prompt"] == "Restore this monument"
    assert made[0] != made[1]


@pytest.mark.parametrize("lock", ["none", "seen"])
def test_a_wall_by_sd15_takes_the_reference_and_replays_exactly(case, tiny, lock):
    tmp, px, hole = case
    out = tmp / "out"
    done = tratto(
        "recolor", tmp / "a.png", "--mask", tmp / "mask.png", "-o", out, "--color", "#90c0a0", "--provider", "sd15",
        "--param", f"model={tiny['sd15']}", "--param", f"ip_adapter={tiny['ip-adapter']}", "--param", "steps=2",
        "--param", f"lora={tiny['lora-sd15']}", "--param", f"lock={lock}",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    result = np.asarray(Pil.open(out / "a.png"))
    assert (result != px).any(axis=2)[~hole].sum() == 0
    receipt = account(out)
    assert [s["step"] for s in receipt["steps"]] == ["diffuse"] + ["repaint"] * (lock == "seen")
    first = receipt["steps"][0]
    assert first["params"]["prompt"] == ""
    assert first["params"]["color"] == pytest.approx([0x90 / 255, 0xC0 / 255, 0xA0 / 255])
    assert [m["id"] for m in first["models"]] == ["tiny-sd15", "tiny-lora-tiny-sd15", "tiny-ip-adapter"]
    assert np.asarray(Pil.open(out / "a.tratto" / "confidence.png"))[hole].max() == 0
    if lock == "seen":
        assert receipt["steps"][1]["scores"]["seen_lab_distance"] < 1
        again = tratto("replay", out / "a.png", "--json")
        assert json.loads(again.output)["tier"] == "A", again.output


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (["--method", "sdxl", "--param", "model=/no/where"], 2, "is not here"),
        (["--method", "sdxl", "--param", "model={sd15}"], 2, "family sd15"),
        (["--method", "sdxl", "--param", "model={sdxl}", "--param", "stepz=1"], 2, "'stepz'"),
        (["--method", "patch", "--param", "steps=3"], 2, "no parameter 'steps'"),
        (["--method", "sdxl", "--param", "steps"], 2, "NAME=VALUE"),
        (["--method", "sdxl", "--param", "model={sdxl}", "--forensic"], 7, "drop --forensic"),
    ],
)
def test_what_does_not_go_says_why_and_writes_nothing(case, tiny, line, code, words):
    tmp, _, _ = case
    text = [part.format_map({k: str(v) for k, v in tiny.items()}) for part in line]
    done = tratto("repair", tmp / "a.png", "--mask", tmp / "mask.png", "-o", tmp / "out", *text)
    assert done.exit_code == code, done.output
    assert words in done.output.replace("\n", " ")
    assert not (tmp / "out" / "a.png").exists()


def test_a_wall_needs_sd15_for_parameters(case):
    tmp, _, _ = case
    done = tratto("recolor", tmp / "a.png", "--mask", tmp / "mask.png", "-o", tmp / "out", "--color", "#fff",
                  "--param", "steps=3")  # fmt: skip
    assert done.exit_code == 2
    assert "sd15" in done.output


def test_a_control_net_is_given_depth_and_who_saw_it_is_told(case, tiny, monkeypatch, tmp_path):
    tmp, px, hole = case
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))  # no depth network was pulled
    out = tmp / "out"
    done = tratto(
        "repair", tmp / "a.png", "--mask", tmp / "mask.png", "-o", out, "--method", "sdxl", "--param", "steps=1",
        "--param", f"model={tiny['sdxl']}", "--param", f"controlnet={tiny['depth-sdxl']}",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert (np.asarray(Pil.open(out / "a.png")) != px).any(axis=2)[~hole].sum() == 0
    step = account(out)["steps"][-1]
    assert step["params"]["params"]["depth"] == "geometric"
    assert [m["id"] for m in step["models"]] == ["tiny-sdxl", "tiny-depth-tiny-sdxl"]
    assert any("geometric" in n for n in step["notes"])
