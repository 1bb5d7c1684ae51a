"""Commands that are derived from the models of the options."""

import json
import subprocess
import sys
import types

import numpy as np
import pytest
import typer
from PIL import Image as Pil
from typer.main import get_command
from typer.testing import CliRunner

from tratto.cli.derive import command_of, each_of, read_request
from tratto.cli.main import app
from tratto.core.options import BadOptions, TaskOptions, option
from tratto.tasks import TASKS, Input, Task

BAD = {
    "restore": [
        (["--scale", "5"], "--scale"),
        (["--strength", "1.5"], "--strength"),
        (["--sigma", "loud"], "--sigma"),
        (["--sigma", "256"], "--sigma"),
        (["--kernel", "sinc"], "--kernel"),
        (["--seed", "-1"], "--seed"),
        (["--param", "novalue"], "--param"),
        (["--page", "0"], "--page"),
        (["--format", "gif"], "--format"),
        (["--quality", "101"], "--quality"),
        (["--max-minutes", "0"], "--max-minutes"),
        (["--max-output-megapixels", "nan"], "--max-output-megapixels"),
        (["--skip-existing", "--overwrite"], "--skip-existing and --overwrite"),
    ],
    "repair": [
        ([], "--mask"),
        (["--mask", "auto", "--mask", "m.png"], "--mask auto"),
        (["--mask", "m.png", "--threshold", "1"], "--threshold"),
        (["--mask", "m.png", "--grow", "-1"], "--grow"),
        (["--mask", "m.png", "--blend", "65"], "--blend"),
        (["--mask", "m.png", "--caption", "x" * 2001], "--caption"),
        (["--mask", "m.png", "--seed", str(2**60)], "--seed"),
        (["--mask", "m.png", "--param", "=3"], "--param"),
        (["--mask", "m.png", "--page", "first"], "--page"),
        (["--mask", "m.png", "--quality", "0"], "--quality"),
        (["--mask", "m.png", "--max-minutes", "-1"], "--max-minutes"),
        (["--mask", "m.png", "--skip-existing", "--overwrite"], "--skip-existing and --overwrite"),
    ],
    "recolor": [
        (["--mask", "m.png"], "--color, --swatch and --texture"),
        (["--mask", "m.png", "--color", "#fff", "--texture", "s.png"], "--color, --swatch and --texture"),
        (["--color", "#fff"], "--mask, or --click"),
        (["--color", "#fff", "--mask", "m.png", "--click", "1,2"], "--mask and --click"),
        (["--color", "sky", "--mask", "m.png"], "--color"),
        (["--color", "#fff", "--click", "3"], "--click"),
        (["--color", "#fff", "--click", "3,4", "--not", "x,y"], "--not"),
        (["--color", "#fff", "--mask", "m.png", "--not", "1,2"], "--not"),
        (["--color", "#fff", "--mask", "m.png", "--corners", "0,0 1,1"], "--corners"),
        (["--color", "#fff", "--mask", "m.png", "--repeat", "2"], "--repeat"),
        (["--color", "#fff", "--mask", "m.png", "--repeat", "2,2"], "--repeat"),
        (["--color", "#fff", "--mask", "m.png", "--match", "likely"], "--match"),
        (["--color", "#fff", "--mask", "m.png", "--was", "#000000"], "--was"),
        (["--color", "#fff", "--mask", "m.png", "--bounce", "0.7"], "--bounce"),
        (["--color", "#fff", "--mask", "m.png", "--edge", "17"], "--edge"),
        (["--color", "#fff", "--mask", "m.png", "--provider", "sdxl"], "--provider"),
    ],
}
LINES = [(name, *row) for name, rows in BAD.items() for row in rows]


@pytest.mark.parametrize(("name", "extra", "words"), LINES, ids=[f"{n} {' '.join(e)[:40]}" for n, e, _ in LINES])
def test_a_wrong_option_is_named_as_it_was_written(tmp_path, monkeypatch, name, extra, words):
    monkeypatch.chdir(tmp_path)
    Pil.fromarray(np.full((8, 8, 3), 90, np.uint8)).save("a.png")
    done = CliRunner().invoke(app, [name, "a.png", "-o", "out", *extra, "--json"])
    assert done.exit_code == 2, done.output
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "OptionError"
    assert words in error["message"]
    assert done.stderr == f"tratto: {error['message']}\n"
    assert "Input should be" not in error["message"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png"]


def test_wrong_options_of_different_kinds_are_told_together():
    done = CliRunner().invoke(app, ["restore", "a.png", "-o", "out", "--scale", "9", "--quality", "0", "--page", "x"])
    assert done.exit_code == 2
    assert all(flag in done.stderr for flag in ("--scale", "--quality", "--page"))


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_what_a_line_without_options_asks_for_is_the_defaults(task):
    command = get_command(app).get_command(None, task.name)
    context = command.make_context(task.name, ["a.png", "-o", "out"])
    given = {p.name: context.params[p.name] for p in command.params}
    given |= {"color": ["#ffffff"], "click": None} if task.name == "recolor" else {}
    # consent is no default
    given |= {"character": ["c.png"], "consent": "A. Person"} if task.name == "reface" else {}
    masked = any(item.role == "mask" for item in task.inputs)
    mask = {"repair": ["m.png"], "recolor": "m.png"}.get(task.name)
    (given,) = each_of(task, given | ({"mask": mask} if masked else {}))
    asked = read_request(task, given, None)
    wanted = {"recolor": {"color": "#fff"}, "reface": {"consent": "A. Person"}}.get(task.name, {})
    assert asked.options == task.model(**wanted)
    assert (asked.save.format, asked.save.quality, asked.save.keep_original) == ("auto", 95, True)
    assert (asked.limits.output_pixels, asked.limits.minutes) == (400_000_000, 60.0)
    assert (asked.run.page, asked.run.sign, asked.run.ledger, asked.run.forensic) == (None, "auto", None, False)
    assert asked.inputs.get("mask") == (("m.png",) if task.name == "repair" else mask)


def test_what_a_line_asks_for():
    task = TASKS[0]
    command = get_command(app).get_command(None, "restore")
    line = ["a.png", "b.png", "-o", "out", "-s", "2", "--sigma", "12", "--param", "noise=2", "--param", "model=photo",
            "--page", "3", "--strip-metadata", "--max-output-megapixels", "0.5", "--max-minutes", "inf"]  # fmt: skip
    asked = read_request(task, command.make_context("restore", line).params, None)
    assert asked.paths == ("a.png", "b.png")
    assert (asked.options.scale, asked.options.noise_sigma) == (2, 12.0)
    assert asked.options.params == {"noise": 2, "model": "photo"}
    assert asked.run.page == 2
    assert asked.save.strip_metadata
    assert not asked.save.keep_original
    assert asked.limits.output_pixels == 500_000
    assert asked.limits.minutes == float("inf")


class DreamOptions(TaskOptions):
    """Of a task that no module has."""

    depth: int = option(3, "How deep.", "--deep", ge=1, le=9)
    names: tuple[str, ...] = option((), "Who is in it.", "--name", expected="names", collect=tuple)

    def check(self, inputs):
        if len(inputs["character"]) < len(self.names):
            raise BadOptions("{names} needs a {character} each")


@pytest.fixture
def dream(monkeypatch):
    module = types.ModuleType("dreams")
    module.DreamOptions = DreamOptions
    monkeypatch.setitem(sys.modules, "dreams", module)
    inputs = (
        Input("picture"),
        Input("character", "Who it is.", missing="dream needs somebody: give {character}", repeatable=True),
    )
    return Task("dream", "Dream.", "DreamOptions", "dreams", inputs=inputs)


def test_a_new_task_has_its_command_from_its_row_and_its_model(dream):
    shell = typer.Typer(add_completion=False)
    shell.command()(command_of(dream))
    command = get_command(shell)
    flags = {f for p in command.params for f in p.opts}
    assert {"--character", "--deep", "--name", "--out", "-o", "--sign", "--json"} <= flags
    line = ["a.png", "-o", "out", "--deep", "5", "--character", "x.png", "--character", "y.png", "--name", "Ada"]
    asked = read_request(dream, command.make_context("dream", line).params, None)
    assert asked.options == DreamOptions(depth=5, names=("Ada",))
    assert [p.name for p in asked.inputs["character"]] == ["x.png", "y.png"]
    for less, words in (([], "character"), (["--character", "x", "--name", "A", "--name", "B"], "names")):
        with pytest.raises(BadOptions, match=words):
            read_request(dream, command.make_context("dream", ["a.png", "-o", "out", *less]).params, None)


def loaded_after(*line):
    code = "import sys, json, tratto.cli.main as m\ntry: m.app(sys.argv[1:], standalone_mode=False)\n"
    code += "except SystemExit: pass\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code, *line], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_list_of_commands_needs_no_options():
    loaded = loaded_after("--help")
    assert not loaded & {"pydantic", "numpy", "PIL", "tratto.core.options", *(t.module for t in TASKS)}


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_the_help_of_a_task_loads_no_other_and_no_pixels(task):
    loaded = loaded_after(task.name, "--help")
    assert task.module in loaded
    others = {t.module for t in TASKS if t is not task}
    assert not loaded & {"numpy", "PIL", "cv2", "onnxruntime", "torch", "tratto.jobs", *others}
    assert "tratto.cli.ledger" not in loaded
