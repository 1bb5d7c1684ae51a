"""Named words: read, filled in, written, and refused where they are none."""

import pytest

from tratto.core.errors import InputError, OptionError
from tratto.core.prompts import filled, read_templates, write_templates
from tratto.tasks.repair import RepairOptions


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "prompts.toml"
    monkeypatch.setenv("TRATTO_PROMPTS", str(path))
    return path


def test_words_stand_where_the_template_says(file):
    write_templates({"print": "{words}, albumen print", "plain": 'a "wall"\nof brick'})
    assert read_templates() == {"plain": 'a "wall"\nof brick', "print": "{words}, albumen print"}
    assert filled("print", " a harbor ") == "a harbor, albumen print"
    assert RepairOptions(template="print", caption="x").caption == "x, albumen print"
    assert RepairOptions(template="plain").caption == 'a "wall"\nof brick'


@pytest.mark.parametrize(("name", "words"), [("print", ""), ("plain", "x"), ("none", "x"), ("print", "x" * 2000)])
def test_what_cannot_be_filled_in_is_refused(file, name, words):
    write_templates({"print": "{words}, print", "plain": "a wall"})
    with pytest.raises(OptionError):
        filled(name, words)


@pytest.mark.parametrize(
    "text",
    ["x", "[templates", "[other]\na = 'b'", "[templates]\na = 1", "[templates]\na = ''", "[templates]\n'a b' = 'c'",
     "[templates]\na = '''\x1b[31m'''", "templates = 3", "[templates]\na='b'\n[more]\nc='d'"],
)  # fmt: skip
def test_a_file_of_another_form_is_refused(file, text):
    file.write_text(text)
    with pytest.raises(InputError):
        read_templates()


def test_no_file_holds_no_templates(file):
    assert read_templates() == {}
