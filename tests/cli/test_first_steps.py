"""What somebody does first: the commands of the README in their order, help without a word, and its short names."""

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from tratto.cli.main import app

ROOT = Path(__file__).parents[2]
GROUPS = [[], ["mask"], ["models", "--help"], ["eval"], ["data"], ["keys", "--help"], ["ledger"], ["witness"], ["lift"]]


def ran(*words):
    return CliRunner().invoke(app, [str(w) for w in words], prog_name="tratto")


def commands_of_the_readme():
    text = (ROOT / "README.md").read_text()
    (block,) = (b for b in re.findall(r"```\n(.*?)```", text, re.DOTALL) if "\ntratto inspect" in b)
    return [shlex.split(line, comments=True)[1:] for line in block.splitlines() if line.startswith("tratto ")]


def test_the_readme_runs_as_it_stands(tmp_path, monkeypatch):
    for source in (ROOT / "examples").glob("*/*.*g"):
        made = tmp_path / source.relative_to(ROOT / "examples")
        made.parent.mkdir(exist_ok=True)
        with Image.open(source) as picture:
            picture.thumbnail((96, 96))
            picture.save(made)
    monkeypatch.chdir(tmp_path)
    listed = commands_of_the_readme()
    assert len(listed) >= 10
    for words in listed:
        result = ran(*words)
        assert result.exit_code == 0, (words, result.output)
    assert (tmp_path / "original.jpg").read_bytes() == (tmp_path / "pictures/cat.jpg").read_bytes()


@pytest.mark.parametrize("words", GROUPS, ids=" ".join)
def test_help_has_lines(words):
    result = ran(*words)
    assert result.stdout.startswith(" ".join(["Usage: tratto", *words[:1]]).rstrip())
    assert "\\n" not in result.stdout
    assert result.stdout.count("\n") > 5
    assert result.stderr == ""


@pytest.mark.parametrize("words", [["restore"], ["mask", "find"], ["eval", "restore"], []], ids=" ".join)
def test_help_by_its_other_names(words):
    shown = ran(*words, "--help").stdout
    assert ran(*words, "-h").stdout == ran("help", *words).stdout == shown


def test_a_mistyped_command_is_told_what_it_is_like():
    for words, meant in (
        (["restor", "a.png"], "'restore'"),
        (["evl"], "'eval'"),
        (["mask", "fnd"], "'find'"),
        (["help", "mask", "fnd"], "'find'"),
    ):
        refused = ran(*words)
        assert (refused.exit_code, meant in refused.stderr) == (2, True), words
    assert "Did you mean" not in ran("xyzzy").stderr


def test_commands_that_a_path_stands_for_are_not_listed():
    shown = ran("help", "lift").stdout.partition("Commands:")[2]
    assert shown.split()[0] == "view"
    assert len(shown.strip().splitlines()) == 1
    assert "--steps" in ran("help", "lift", "photo").stdout


def test_what_has_no_help():
    assert ran("help", "no-such").exit_code == 2
    assert ran("help", "restore", "more").exit_code == 2
    assert ran("-V").stdout == ran("--version").stdout
