import json

import numpy as np
import pytest

from tratto.core import errors
from tratto.core.capability import ModelRef
from tratto.core.errors import InputError, OptionError, ReceiptError
from tratto.core.image import ColorMode, Image, Mask
from tratto.core.inspection import Estimate, Inspection
from tratto.core.recipe import Recipe
from tratto.core.step import StepRecord
from tratto.steps import step_class, step_names
from tratto.steps.denoise import Denoise

GRAY = np.zeros((4, 5), np.uint8)


def test_an_image_knows_its_size_and_full_scale():
    image = Image(np.zeros((4, 5, 3), np.uint16), ColorMode.RGB, 16)
    assert (image.height, image.width, image.max_value) == (4, 5, 65535)
    assert Image(GRAY, ColorMode.GRAY, 4).max_value == 15
    assert image.megapixels == 20e-6


@pytest.mark.parametrize(
    "parts",
    [
        (np.zeros((4, 5, 3), np.uint8), ColorMode.GRAY),
        (GRAY, ColorMode.RGB),
        (np.zeros((4, 5, 3), np.float32), ColorMode.RGB),
        (np.zeros((0, 5), np.uint8), ColorMode.GRAY),
        (GRAY, ColorMode.GRAY, 7),
        (GRAY, ColorMode.GRAY, 16),
        (GRAY, ColorMode.GRAY, 8, np.zeros((4, 4), np.uint8)),
        (GRAY, ColorMode.GRAY, 8, np.zeros((4, 5), np.uint16)),
        (GRAY, ColorMode.PALETTE),
        (GRAY, ColorMode.GRAY, 8, None, np.zeros((2, 4), np.uint8)),
        (GRAY, ColorMode.PALETTE, 8, GRAY, np.zeros((2, 4), np.uint8)),
    ],
)
def test_contradictory_parts_are_refused(parts):
    with pytest.raises(InputError):
        Image(*parts)


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 2)), np.full((2, 2), 1.1, np.float32), np.full((2, 2), np.nan, np.float32)]
)
def test_bad_masks(bad):
    with pytest.raises(OptionError):
        Mask(bad)


def test_exit_codes_are_those_of_the_docs():
    codes = {name: getattr(errors, name).exit_code for name in dir(errors) if name.endswith(("Error", "Step"))}
    assert codes == {
        "TrattoError": 1,
        "OptionError": 2,
        "InputError": 3,
        "OutputError": 4,
        "UnavailableError": 5,
        "ReceiptError": 6,
        "ForbiddenStep": 7,
    }
    assert errors.MissingExtra("x", "upscale").exit_code == 5
    assert "pip install 'tratto[upscale]'" in str(errors.MissingExtra("x", "upscale"))


def test_a_record_keeps_what_was_observed_out_of_what_is_hashed():
    record = StepRecord("denoise", {"a": 1}, models=(ModelRef("m", "ff", "MIT"),), observed={"seconds": 1.5})
    data = json.loads(json.dumps(record.to_json()))
    assert "observed" not in data
    assert data["models"] == [{"id": "m", "sha256": "ff", "licence": "MIT", "commercial_use": True}]


@pytest.mark.parametrize(
    "damage",
    [
        {"schema": "tratto/recipe/2"},
        {"steps": [{"step": "explode", "params": {}}]},
        {"steps": [{"step": "denoise", "params": {"unknown": 1}}]},
        {"steps": [{"step": "denoise"}]},
        {"steps": None},
        {"seed": "x"},
    ],
)
def test_malformed_recipes(damage):
    good = Recipe("restore", (Denoise(),), 3).to_json()
    assert Recipe.from_json(good, step_class).seed == 3
    with pytest.raises(ReceiptError):
        Recipe.from_json({**good, **damage}, step_class)


def test_every_step_in_the_table_carries_its_name():
    for name in step_names():
        assert step_class(name).name == name


def test_an_inspection_is_json():
    e = Estimate(1.0, "exact", "n")
    made = Inspection(1, 1, "rgb", 8, "png", e, (1.0,), ((0.5, 2.0),), e, 1, e, e, 0.0, 0.0).to_json()
    assert json.loads(json.dumps(made))["noise_curve"] == [[0.5, 2.0]]
    assert made["noise_sigma"] == {"value": 1.0, "basis": "exact", "note": "n"}
