import json

import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.core.recipe import Recipe
from tratto.imaging.estimate import inspect_image
from tratto.imaging.io import image_from_array
from tratto.steps import step_class
from tratto.steps.repaint import Repaint
from tratto.tasks import TASKS, task_of
from tratto.tasks.recolor import RecolorOptions, plan


@pytest.fixture(scope="module")
def inspection():
    return inspect_image(image_from_array(np.full((64, 64, 3), 120, np.uint8)))


def test_a_colour_becomes_one_step(inspection):
    recipe = plan(RecolorOptions(color="#c8d4e0", match="paint", was="#ffffff", edge=2), inspection)
    (step,) = recipe.steps
    assert isinstance(step, Repaint)
    assert step.color == pytest.approx([200 / 255, 212 / 255, 224 / 255])
    assert (step.match, step.was, step.edge, step.fit) == ("paint", [1.0, 1.0, 1.0], 2, None)
    assert any("#c8d4e0" in r for r in recipe.reasons)
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json())), step_class) == recipe


def test_options_belong_to_their_task():
    assert task_of(RecolorOptions(color="#fff")).name == "recolor"
    assert [t.name for t in TASKS].count("recolor") == 1
    with pytest.raises(OptionError, match="RecolorOptions"):
        task_of(3)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "exactly one"),
        ({"color": "#fff", "texture": "x"}, "exactly one"),
        ({"color": "sky"}, "#rrggbb"),
        ({"color": "#fff", "repeat": (2, 2)}, "texture"),
        ({"texture": "x", "corners": ((0, 0), (1, 0), (1, 1))}, "four points"),
        ({"color": "#fff", "edge": 99}, "edge"),
        ({"color": "#fff", "bounce": 0.9}, "bounce"),
        ({"color": "#fff", "shine": 1}, "shine"),
    ],
)
def test_wrong_options_are_named(fields, word):
    with pytest.raises(OptionError, match=word):
        RecolorOptions(**fields)
