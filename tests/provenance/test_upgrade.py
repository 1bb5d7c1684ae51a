"""Receipts of the first form, read as those of the second."""

import base64
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from tratto.core import canonical
from tratto.core.errors import ReceiptError
from tratto.core.hashing import FileFacts
from tratto.core.recipe import Recipe
from tratto.imaging.io import read_image
from tratto.provenance.bundle import open_account, read_bundle
from tratto.provenance.receipt import read_receipt, validate_receipt
from tratto.provenance.schema import receipt_schema
from tratto.provenance.upgrade import carried, upgraded
from tratto.steps import step_class

BUNDLES = sorted((Path(__file__).parents[1] / "golden" / "bundles").glob("*/*.tratto"))
WALL = next(b for b in BUNDLES if b.parent.name == "recolor_texture")


def stated(bundle=WALL):
    return json.loads((bundle / "receipt.json").read_bytes())


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda b: b.parent.name)
def test_each_form_is_valid_by_its_own_schema(bundle):
    first = stated(bundle)
    jsonschema.Draft202012Validator.check_schema(receipt_schema(1))
    jsonschema.Draft202012Validator(receipt_schema(1)).validate(first)
    second = upgraded(first)
    jsonschema.Draft202012Validator(receipt_schema(2)).validate(second)
    validate_receipt(first)
    validate_receipt(second)
    assert upgraded(second) is second
    assert first["schema"] == "tratto/receipt/1"  # what is read is not changed


def test_what_stands_where():
    first = stated()
    second = read_receipt((WALL / "receipt.json").read_bytes())
    assert second["schema"] == "tratto/receipt/2"
    assert second["inputs"]["picture"] == first["input"]
    made = second["outputs"]["picture"]
    assert made["samples_sha256"] == first["output"]["samples_sha256"]
    assert {k: made["maps"][k] for k in ("edit", "confidence")} == first["maps"]
    assert (made["geometry"], made["scale"], made["maps"]["missing"]) == ("same", 1, {})
    assert second["statements"] == []
    same = ("tool", "task", "claim", "inspection", "mask", "environment", "warnings")
    assert {k: second[k] for k in same} == {k: first[k] for k in same}


def test_the_wallpaper_becomes_an_input():
    data = (WALL / "receipt.json").read_bytes()
    text = stated()["recipe"]["resolved"]["steps"][0]["params"]["texture"]
    assert carried(data) == {"texture": base64.b64decode(text)}
    receipt = read_receipt(data)
    assert receipt["inputs"]["texture"]["file"] == FileFacts.of(base64.b64decode(text)).to_json()
    for step in (*receipt["steps"], *receipt["recipe"]["asked"]["steps"], *receipt["recipe"]["resolved"]["steps"]):
        assert step["params"]["texture"] == "texture"
    image = read_image(base64.b64decode(text))
    assert receipt["inputs"]["texture"]["picture"]["width"] == image.width
    assert np.asarray(image.pixels).dtype == np.uint8
    # the recipe reads the same by itself
    recipe = Recipe.from_json(stated()["recipe"]["resolved"], step_class)
    assert recipe == Recipe.from_json(receipt["recipe"]["resolved"], step_class)
    account = open_account(WALL)
    assert account.inputs == carried(data)
    assert read_bundle(WALL).carried == carried(data)


def test_the_second_form_carries_nothing():
    assert carried(canonical.dumps(upgraded(stated()))) == {}
    assert carried(b"[]") == {}


@pytest.mark.parametrize(
    "text",
    [
        "iVBORw0KGgo!",
        "iVBORw0KGgoAAAA",
        base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(100)).decode(),
        "iVBORw0KGgo" + "A" * (5 << 20),
    ],
)
def test_a_wallpaper_that_is_none_is_refused(text):
    receipt = stated()
    for step in (*receipt["steps"], *(s for r in receipt["recipe"].values() for s in r["steps"])):
        step["params"]["texture"] = text
    with pytest.raises(ReceiptError, match="wallpaper"):
        upgraded(receipt)


def test_two_wallpapers_are_refused():
    receipt = stated()
    other = receipt["recipe"]["asked"]["steps"][0]["params"]
    other["texture"] = other["texture"][:-8] + "AAAAAAA="
    with pytest.raises(ReceiptError, match="one wallpaper"):
        upgraded(receipt)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(extra=1),
        lambda r: r["output"].update(scale=0),
        lambda r: r["maps"]["edit"].update(steps_per_delta_e=1),
        lambda r: r.pop("maps"),
        lambda r: r.update(statements=[]),
        lambda r: r["input"]["picture"].update(width=1),
    ],
)
def test_a_wrong_one_is_refused(change):
    receipt = stated()
    change(receipt)
    with pytest.raises(ReceiptError):
        validate_receipt(receipt)


def test_an_old_receipt_is_compared_byte_by_byte():
    data = (WALL / "receipt.json").read_bytes()
    assert canonical.dumps(canonical.loads(data)) == data
    with pytest.raises(ReceiptError, match="canonical"):
        read_receipt(data + b"\n")
