"""``tratto reface`` at the command line: consent, one scene, and a list of tasks of which some are bad."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image as Pil
from skimage import data
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.core.errors import UnavailableError


def run_cli(*arguments):
    return CliRunner().invoke(app, ["reface", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path):
    portrait = np.ascontiguousarray(data.astronaut()[0:240, 110:350])
    Pil.fromarray(portrait).save(tmp_path / "scene.png")
    Pil.fromarray(np.ascontiguousarray(portrait[:, ::-1])).save(tmp_path / "other.png")
    return tmp_path


FEW = ("--k-global", 0, "--m-global", 0)


def test_it_is_refused_without_consent_and_done_with_it(folder):
    given = (folder / "scene.png", "--character", folder / "other.png", "-o", folder / "out", *FEW)
    refused = run_cli(*given)
    assert refused.exit_code == 2
    assert "--i-have-consent" in refused.stderr
    assert not (folder / "out").exists()
    assert run_cli(*given, "--i-have-consent", "Me", "--forensic").exit_code != 0
    done = run_cli(*given, "--i-have-consent", "Me", "--json")
    assert done.exit_code == 0
    (told,) = json.loads(done.stdout)
    assert told["steps"][0]["params"]["consent"] == "Me"
    assert (folder / "out" / "scene.tratto" / "outputs" / "sheet.png").is_file()


def test_whose_face_it_is_may_be_shown_by_a_picture(folder):
    given = (folder / "scene.png", "--character", folder / "other.png", "--i-have-consent", "Me", *FEW)
    done = run_cli(*given, "-o", folder / "out", "--face-like", folder / "scene.png", "--json")
    assert done.exit_code == 0, done.stderr
    receipt = json.loads((folder / "out" / "scene.tratto" / "receipt.json").read_text())
    assert set(receipt["inputs"]) == {"picture", "character"}


def test_a_service_without_its_key_is_refused_before_anything_is_told(folder, monkeypatch):
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    given = (folder / "scene.png", "--character", folder / "other.png", "--i-have-consent", "Me", *FEW)
    done = run_cli(*given, "-o", folder / "out", "--scorer", "gemini")
    assert done.exit_code == UnavailableError.exit_code
    assert "GEMINI_API_KEY" in done.stderr
    assert "is sent" not in done.stderr


def test_one_bad_task_stops_none_of_the_others(folder):
    tasks = [
        {"id": 71680285, "init": "scene.png", "character": "other.png"},
        {"id": "gone", "init": "none.png", "character": "other.png"},
        {"id": "odd", "init": "scene.png", "character": "other.png", "shell": "x"},
        {"id": "third", "init": "other.png", "character": ["scene.png", "other.png"], "seed": 2},
    ]
    (folder / "t.json").write_text(json.dumps(tasks))
    given = ("--task", folder / "t.json", "-o", folder / "out", "--i-have-consent", "Me", *FEW, "--json")
    done = run_cli(*given)
    assert done.exit_code == 8
    told = json.loads(done.stdout)
    assert [(t["id"], t["status"]) for t in told] == [
        ("71680285", "done"), ("gone", "failed"), ("odd", "failed"), ("third", "done"),
    ]  # fmt: skip
    assert (folder / "out" / "71680285" / "scene.png").is_file()
    some = run_cli(*given, "--overwrite", "--task-id", "third", "gone")
    assert [(t["id"], t["status"]) for t in json.loads(some.stdout)] == [("third", "done"), ("gone", "failed")]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '[{"init": "a"}]', '[{"id": "../x", "init": "a"}]', '[{"id": "a"}, {"id": "a"}]']
)
def test_a_list_that_is_none_is_refused(folder, text):
    (folder / "t.json").write_text(text)
    done = run_cli("--task", folder / "t.json", "-o", folder / "out", "--i-have-consent", "Me")
    assert done.exit_code == 3
    assert len(done.stderr.strip().splitlines()) == 1


def test_what_contradicts_is_refused(folder):
    (folder / "t.json").write_text(json.dumps({"id": 1, "init": "scene.png", "character": "other.png"}))
    more = ("-o", folder / "out", "--i-have-consent", "Me")
    for given in (
        (),
        ("--task-id", "1"),
        (folder / "scene.png", "--task", folder / "t.json"),
        ("--task", folder / "t.json", "--task-id", "2"),
        ("--task", folder / "t.json", "--character", folder / "other.png"),
    ):
        assert run_cli(*given, *more).exit_code == 2
