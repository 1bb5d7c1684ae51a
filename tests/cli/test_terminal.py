"""What somebody at a terminal meets: values completed, options in groups, a counter for many, JSON everywhere."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image as Pil
from typer.main import get_command
from typer.testing import CliRunner

import tratto
from tratto.cli.derive import HEADS
from tratto.cli.job import MANY
from tratto.cli.main import app
from tratto.core.errors import OutputError, ReceiptError, TrattoError
from tratto.tasks.doors import python_words

#: Commands that serve, show help, or whose answer is a page in a browser until they are stopped.
STAY = {"help", "serve", "work", "lift view", "witness serve"}


def ran(*words):
    return CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture
def flat(tmp_path):
    Pil.fromarray(np.full((24, 32, 3), 120, np.uint8)).save(tmp_path / "a.png")
    return tmp_path


def completed(line):
    words = line.split(" ")
    given = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_TRATTO_COMPLETE": "complete_bash"}
    code = "from tratto.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **given}, capture_output=True, text=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("tratto restore --grain ", ["keep", "reduce", "remove"]),
        ("tratto recolor --match p", ["paint"]),
        ("tratto restore --provider tratto-", ["tratto-openvino"]),
    ],
)
def test_values_are_completed(line, values):
    assert completed(line) == values


@pytest.mark.parametrize("task", ["restore", "repair", "recolor", "reface"])
def test_options_stand_in_groups(task):
    lines = ran(task, "--help").stdout.splitlines()
    heads = [lines.index(f"{head}:") for head in ("Options", *HEADS.values())]
    assert heads == sorted(heads)
    of = {
        flag: max(h for h in heads if h < n)
        for n, text in enumerate(lines)
        for flag in text.split()
        if flag[:2] == "--"
    }
    assert [of[f] for f in ("--quality", "--operator", "--json", "--max-minutes")] == heads[1:]


def leaves(command, name=""):
    if not hasattr(command, "list_commands"):
        yield name, command
        return
    for sub in command.list_commands(None):
        yield from leaves(command.get_command(None, sub), f"{name} {sub}".strip())


def test_every_command_of_the_product_speaks_json():
    without = {n for n, c in leaves(get_command(app)) if not any("--json" in p.opts for p in c.params)}
    laboratory = ("ablate", "data", "eval", "train")
    assert {n for n in without if not n.startswith(laboratory)} == STAY


def test_many_pictures_have_a_counter_a_line_for_each_problem_and_a_summary(flat):
    folder = flat / "many"
    folder.mkdir()
    for n in range(MANY + 1):
        (folder / f"{n}.png").write_bytes((flat / "a.png").read_bytes())
    (folder / "broken.png").write_bytes(b"no picture")
    done = ran("restore", folder, "-o", flat / "out")
    assert done.exit_code == 8
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{MANY + 2} pictures: {MANY + 1} done, 1 failed")
    assert len(done.stderr.splitlines()) == 1
    few = ran("restore", flat / "a.png", "-o", flat / "few")
    assert few.stdout.splitlines()[0].endswith("a.png")


def test_a_thin_mask_is_no_news_to_a_repair(flat):
    mask = np.zeros((24, 32), np.uint8)
    mask[3, 3:6] = 255
    Pil.fromarray(mask).save(flat / "mask.png")
    told = [
        json.loads(ran(task, flat / "a.png", "--mask", flat / "mask.png", "-o", flat / task, "--json", *more).stdout)
        for task, more in (("repair", ["--method", "telea"]), ("restore", ["--force", "--provider", "nlm"]))
    ]
    assert ["white means" in " ".join(t[0]["warnings"]) for t in told] == [False, True]


def test_writing_is_told_in_several_stages(flat):
    seen = []
    session = tratto.Session(progress=lambda stage, done, total: seen.append((stage, done, total)))
    session.save(session.restore(flat / "a.png"), flat / "out.png")
    written = [(done, total) for stage, done, total in seen if stage == "write"]
    assert written == [(k, written[0][1]) for k in range(written[0][1] + 1)]
    assert len(written) > 5


def test_revert_replaces_only_what_it_may(flat):
    ran("restore", flat / "a.png", "-o", flat / "out")
    result, bundle = flat / "out/a.png", flat / "out/a.tratto"
    (flat / "old.png").write_bytes(b"old")
    assert ran("revert", result, "-o", flat / "old.png").exit_code == OutputError.exit_code
    done = ran("revert", result, "-o", flat / "old.png", "--overwrite", "--json")
    assert json.loads(done.stdout) == {"path": str(flat / "old.png")}
    assert (flat / "old.png").read_bytes() == (flat / "a.png").read_bytes()
    kept = result.read_bytes()
    for protected in (result, bundle / "receipt.json", bundle / "original.png"):
        assert ran("revert", bundle, "-o", protected, "--overwrite").exit_code == OutputError.exit_code
    assert result.read_bytes() == kept
    assert tratto.verify(result).word == "authentic"


# ------------------------------------------------------------------------------------------------ errors name no flags


def test_errors_in_python_name_what_python_has(flat):
    result = tratto.restore(flat / "a.png")
    tratto.save(result, flat / "out.png")
    with pytest.raises(OutputError) as caught:
        tratto.save(result, flat / "out.png")
    assert "overwrite=True" in str(caught.value)
    with pytest.raises(ReceiptError) as caught:
        tratto.revert(flat / "out.png", flat / "original.png")
    assert "--" not in str(caught.value)
    mask = np.zeros((24, 32), np.uint8)
    for given in ({"provider": "sd15"}, {"mask": None}, {"mask": mask}):
        with pytest.raises(TrattoError) as caught:
            tratto.repair(flat / "a.png", **given)
        assert "--" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("drop --forensic", "drop forensic=True"),
        ("--sigma and --max-output-megapixels", "noise_sigma and JobLimits.output_pixels"),
        ("choose --format png", "choose SaveOptions.format png"),
        ("left alone; --force restores it (in Python: force=True)", "left alone; force=True restores it"),
        ("well-known -- and a--b", "well-known -- and a--b"),
    ],
)
def test_words_for_python(text, wanted):
    assert python_words(text) == wanted
