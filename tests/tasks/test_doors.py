"""What Python and type checkers are shown of a task."""

import inspect
import typing

import numpy as np
import pytest

import tratto
from tratto.core.errors import OptionError
from tratto.core.options import SDK, entries
from tratto.jobs import Job
from tratto.tasks import TASKS

PX = np.random.default_rng(0).integers(60, 200, (24, 32, 3), np.uint8)
MASK = np.zeros((24, 32), np.uint8)
MASK[8:16, 8:20] = 255


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_a_function_shows_the_fields_of_its_model(task):
    function = getattr(tratto, task.name)
    parameters = inspect.signature(function).parameters
    fields = {e.name: e for e in entries(task.model, SDK)}
    roles = [i.role for i in task.inputs[1:]]
    assert list(parameters) == ["picture", "options", *roles, "page", "session", *fields]
    for name, entry in fields.items():
        assert parameters[name].default == entry.info.get_default(call_default_factory=True)
        assert f"\n{name} : " in function.__doc__
    assert function.__name__ == task.name
    assert function is getattr(tratto, task.name)


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_the_types_in_a_signature_are_the_fields(task):
    known = {"Any": typing.Any, "Literal": typing.Literal}
    for name, parameter in inspect.signature(getattr(tratto, task.name)).parameters.items():
        if name not in ("options", "session"):
            eval(parameter.annotation, known)
    assert inspect.signature(tratto.restore).parameters["scale"].annotation == "Literal[1, 2, 3, 4]"
    assert inspect.signature(tratto.recolor).parameters["color"].annotation.startswith("str | ")


BAD = {
    "restore": [
        {"scale": 5}, {"strength": 1.5}, {"noise_sigma": -1}, {"noise_sigma": "loud"}, {"kernel": "sinc"},
        {"seed": -1}, {"seed": 1.5}, {"force": "perhaps"}, {"params": 3}, {"provider": 7}, {"typo": 1},
    ],
    "repair": [
        {"threshold": 0}, {"threshold": 1.0}, {"grow": -1}, {"grow": 65}, {"blend": float("nan")}, {"seed": 2**60},
        {"caption": "x" * 2001}, {"caption": 3}, {"passes": 0}, {"method": 4}, {"typo": 1},
    ],
    "recolor": [
        {"color": "sky"}, {"color": (1, 2, 3)}, {"match": "likely"}, {"was": "#000000"}, {"bounce": 0.9},
        {"pattern": "stripes"}, {"stains": "add"}, {"grow": -65}, {"feather": 65}, {"edge": 17}, {"strength": 2},
        {"provider": "sdxl"}, {"clicks": ((1,),)}, {"corners": ((0, 0), (1, 0))}, {"repeat": (0, 1)}, {"typo": 1},
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "bad"), [(n, b) for n, bads in BAD.items() for b in bads], ids=str)
def test_a_wrong_keyword_is_named(name, bad):
    given = {"mask": MASK} | ({"color": "#fff"} if name == "recolor" and "color" not in bad else {})
    with pytest.raises(OptionError, match=next(iter(bad))) as caught:
        getattr(tratto, name)(PX, **given, **bad)
    assert "Input should be" not in str(caught.value)
    assert "--" not in str(caught.value)


def test_what_contradicts_is_told_with_the_names_of_python():
    for given, words in (
        ({}, ("color", "swatch", "texture")),
        ({"color": "#fff", "swatch": PX}, ("color", "swatch", "texture")),
        ({"color": "#fff"}, ("mask", "clicks")),
        ({"color": "#fff", "mask": MASK, "clicks": ((1, 2),)}, ("mask", "clicks")),
        ({"color": "#fff", "mask": MASK, "others": ((1, 2),)}, ("others", "clicks")),
        ({"color": "#fff", "mask": MASK, "repeat": (2, 2)}, ("repeat", "texture")),
    ):
        with pytest.raises(OptionError) as caught:
            tratto.recolor(PX, **given)
        assert all(word in str(caught.value) for word in words), str(caught.value)
        assert "--" not in str(caught.value)
    with pytest.raises(OptionError, match="give mask"):
        tratto.repair(PX)
    with pytest.raises(OptionError, match="mask auto"):
        tratto.repair(PX, mask=["auto", MASK])


def test_options_are_those_of_the_task_and_given_once():
    for call in (
        lambda: tratto.restore(PX, tratto.RepairOptions()),
        lambda: tratto.restore(PX, tratto.RestoreOptions(), force=True),
        lambda: tratto.recolor(PX, tratto.RecolorOptions(color="#fff"), mask=MASK, swatch=PX),
    ):
        with pytest.raises(OptionError, match=r"RestoreOptions|not both"):
            call()


def test_pictures_of_paint_become_options():
    paint = np.full((8, 8, 3), (200, 212, 224), np.uint8)
    by_color = tratto.recolor(PX, mask=MASK, color=(200 / 255, 212 / 255, 224 / 255))
    by_swatch = tratto.recolor(PX, mask=MASK, swatch=paint)
    np.testing.assert_array_equal(by_swatch.image.pixels, by_color.image.pixels)
    laid = tratto.recolor(PX, mask=MASK, texture=PX[:8, :8])
    held = laid.inputs["texture"].image  # the recipe names it by its role
    again = tratto.recolor(PX, mask=MASK, texture=held)
    np.testing.assert_array_equal(again.image.pixels, laid.image.pixels)


def test_no_input_is_dropped_in_silence():
    with pytest.raises(OptionError, match="no character"):
        Job().run("restore", {"picture": np.zeros((64, 64, 3), np.uint8), "character": "me.png"})
