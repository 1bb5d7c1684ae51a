"""Text files from anybody, and recipes whose parameters are of the wrong kind."""

import os

import pytest

from tratto.core import reading
from tratto.core.errors import InputError, OptionError, ReceiptError
from tratto.core.recipe import MOST_STEPS, Recipe, step_params
from tratto.steps import step_class

NAMES = ("denoise", "deblur", "upscale", "inpaint", "repaint", "diffuse", "describe", "reface")


@pytest.mark.parametrize("kind", ["pipe", "zero", "folder", "missing", "long", "latin", "nul", "endless name"])
def test_what_is_no_text_file(tmp_path, kind):
    path = tmp_path / "a"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "long":
        path.write_bytes(b" " * (reading.MAX_TEXT + 1))
    elif kind == "latin":
        path.write_bytes(b"\xff\xfe")
    given = {"zero": "/dev/zero", "nul": "a\0b", "endless name": str(tmp_path / ("a" * 300))}.get(kind, path)
    with pytest.raises(InputError):
        reading.small_text(given)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 500 + "]" * 500, '{"a":' * 70 + "1" + "}" * 70, "9" * 10_000, ""]
)
def test_json_that_harms(text):
    with pytest.raises(InputError):
        reading.parse_json(text)


def test_toml_and_yaml_that_harm():
    for text in ("a=" + "[" * 100_000, "a=" + "[" * 500 + "]" * 500, "a=", "a = 9999-99-99"):
        with pytest.raises(InputError):
            reading.parse_toml(text)
    pytest.importorskip("yaml")
    bomb = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(8)
    )
    for text in (
        "[" * 20_000,
        "a: " + "9" * 10_000,
        "a: 2001-99-99",
        "a: &x [*x]",
        "a: !!python/object:os.system x",
        bomb,
    ):
        with pytest.raises(InputError):
            reading.parse_yaml(text)
    assert reading.parse_yaml("a: [1, 2]") == {"a": [1, 2]}


def test_a_head_is_read_of_a_long_file(tmp_path):
    (tmp_path / "a").write_bytes(b"ab\xff" + b"c" * 100)
    assert reading.head_of_text(tmp_path / "a", 3) == "ab\ufffd"


# ------------------------------------------------------------------------------------------------------------- recipes


def recipe(step, params):
    steps = [{"step": step, "params": params}]
    return {"schema": "tratto/recipe/1", "task": "restore", "seed": 0, "reasons": [], "steps": steps}


WRONG = [None, True, 3, -1, 0.5, 1e300, "x", [], [1], {}, {"a": 1}, [[[]]], "9" * 5000]


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_of_every_wrong_type_is_told(name):
    """What is taken is of the kind its field has, and comes back as it went in."""
    made = step_class(name)
    defaults = step_params(made(color=[0, 0, 0]) if name == "repaint" else made())
    for key in defaults:
        for value in WRONG:
            try:
                back = Recipe.from_json(recipe(name, defaults | {key: value}), step_class)
            except (ReceiptError, OptionError):
                continue
            kept = step_params(back.steps[0])[key]
            assert (list(kept) if isinstance(kept, tuple) else kept) == value


def test_a_number_stays_a_number():
    back = Recipe.from_json(recipe("denoise", {"strength": 1, "grid": [2, 3]}), step_class)
    assert (back.steps[0].strength, back.steps[0].grid) == (1, (2, 3))
    for params in ({"strength": True}, {"strength": "1"}, {"grid": [1]}, {"grid": [1, 2, 3]}, {"fast": 1}, {"odd": 1}):
        with pytest.raises(ReceiptError):
            Recipe.from_json(recipe("denoise", params), step_class)


@pytest.mark.parametrize("seed", [None, True, -1, 2**53, 1.5, "7"])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ReceiptError):
        Recipe.from_json(recipe("denoise", {}) | {"seed": seed}, step_class)


@pytest.mark.parametrize(
    "steps", [None, {}, "x", [1], [{"step": 1, "params": {}}], [{"step": "denoise", "params": []}]]
)
def test_steps_are_a_list_of_steps(steps):
    with pytest.raises(ReceiptError):
        Recipe.from_json(recipe("denoise", {}) | {"steps": steps}, step_class)


def test_nobody_plans_thousands_of_steps():
    many = recipe("denoise", {})
    many["steps"] *= MOST_STEPS + 1
    with pytest.raises(ReceiptError):
        Recipe.from_json(many, step_class)
