import copy
import hashlib
import json
import os
import platform

import jsonschema
import numpy as np
import pytest

from tratto.core import canonical
from tratto.core.errors import ReceiptError
from tratto.provenance import receipt
from tratto.provenance.edit_map import EditStats
from tratto.provenance.receipt import (
    array_digest,
    build_receipt,
    claim,
    confidence_basis,
    environment,
    read_receipt,
    validate_receipt,
)
from tratto.provenance.schema import check, receipt_schema

VARIANTS = [
    {},
    {"scale": 2, "alpha": True, "masked": True},
    {"generative": True, "bits": 16},
    {"changed": False, "orientation": 6},
    {"input_format": "tiff", "bits": 16, "scale": 4, "size": (20, 24)},
]


@pytest.mark.parametrize("job", VARIANTS)
def test_built_receipts_are_valid_by_both_checkers(make_result, job):
    result, _ = make_result(**job)
    jsonschema.Draft202012Validator.check_schema(receipt_schema())
    jsonschema.Draft202012Validator(receipt_schema()).validate(result.receipt)
    validate_receipt(result.receipt)


def test_round_trip_through_bytes(make_result):
    result, _ = make_result()
    data = canonical.dumps(result.receipt)
    assert read_receipt(data) == result.receipt
    assert json.loads(data)["schema"] == "tratto/receipt/2"


def test_same_job_same_bytes(make_result):
    one, _ = make_result()
    two, _ = make_result()
    assert canonical.dumps(one.receipt) == canonical.dumps(two.receipt)


def test_no_names_times_or_paths(make_result, tmp_path):
    result, source = make_result(masked=True)
    words = canonical.dumps(result.receipt).decode()
    forbidden = [str(tmp_path), source.name, platform.node(), os.environ.get("USER", "no-such-user"), "seconds"]
    assert [w for w in forbidden if w and w in words] == []


def test_facts(make_result):
    result, source = make_result(scale=2, masked=True)
    r = result.receipt
    assert r["inputs"]["picture"]["file"] == {
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "bytes": source.stat().st_size,
    }
    assert (r["outputs"]["picture"]["picture"]["width"], r["outputs"]["picture"]["scale"]) == (128, 2)
    assert r["mask"]["covered"] == 16 * 22 / (48 * 64)
    assert r["outputs"]["picture"]["maps"]["confidence"]["basis"] == "model"
    assert r["steps"][0]["scores"] == {"gain": 1.5}
    assert r["environment"]["threads"] == 2
    assert r["environment"]["libraries"]["numpy"] == np.__version__


def mutate(receipt_, path, value):
    out = copy.deepcopy(receipt_)
    at = out
    for key in path[:-1]:
        at = at[key]
    if value is KeyError:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return out


MUTATIONS = [
    (("schema",), "tratto/receipt/3"),
    (("tool",), None),
    (("tool", "version"), 1),
    (("task",), ""),
    (("extra",), 1),
    (("forensic",), 1),
    (("claim", "status"), "true"),
    (("claim", "regions", 0, "share"), 1.5),
    (("recipe", "asked", "steps", 0, "params"), []),
    (("recipe", "resolved"), KeyError),
    (("steps", 0, "generative"), 0),
    (("steps", 0, "seed"), 1.5),
    (("steps", 0, "models", 0, "sha256"), "AB" * 32),
    (("steps", 0, "scores", "gain"), "1"),
    (("steps", 0, "confidence_basis"), "guess"),
    (("inputs", "picture", "samples_sha256"), "0" * 63),
    (("inputs", "picture", "file", "bytes"), -1),
    (("inputs", "picture", "file", "path"), "/home"),
    (("inputs", "picture", "page"), True),
    (("inputs", "picture", "picture", "mode"), "lab"),
    (("inputs", "picture", "picture", "orientation"), 9),
    (("inputs", "picture", "picture", "bits"), 12),
    (("outputs", "picture", "file"), {}),
    (("outputs", "picture", "kernel"), "x" * 41),
    (("mask",), 0),
    (("outputs", "picture", "maps", "edit", "steps_per_delta_e"), 256),
    (("outputs", "picture", "maps", "edit", "stats", "max"), -0.5),
    (("outputs", "picture", "maps", "confidence", "basis"), KeyError),
    (("environment", "cpu_flags"), ["x"] * 201),
    (("environment", "libraries", "numpy"), 2),
    (("environment", "host"), "box"),
    (("inspection", "noise_sigma", "value"), "9"),
    (("inspection", "noise_sigma", "basis"), "felt"),
    (("warnings",), [1]),
    (("stand_ins",), "none"),
]


@pytest.mark.parametrize(("path", "value"), MUTATIONS, ids=[".".join(map(str, p)) for p, _ in MUTATIONS])
def test_both_checkers_refuse_the_same(make_result, path, value):
    result, _ = make_result()
    bad = mutate(result.receipt, path, value)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(receipt_schema()).validate(bad)
    with pytest.raises(ReceiptError, match="receipt"):
        validate_receipt(bad)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("claim", "status"), "existing state", "expected 'evidence-based restoration'"),
        (("claim", "stamp"), "not for examination", "claim"),
        (("steps", 0, "generative"), True, "expected 'hypothetical reconstruction'"),
        (("outputs", "picture", "picture", "width"), 65, "times the scale"),
        (("outputs", "picture", "scale"), 2, "times the scale"),
        (("task",), "repair", "task"),
        (("outputs", "picture", "maps", "edit", "stats", "max"), 0.0, "cannot exceed"),
    ],
)
def test_contradictions_are_refused(make_result, path, value, message):
    result, _ = make_result()
    with pytest.raises(ReceiptError, match=message):
        validate_receipt(mutate(result.receipt, path, value))


def test_forensic_and_generative_contradict(make_result):
    result, _ = make_result(generative=True)
    with pytest.raises(ReceiptError, match="forensic"):
        validate_receipt(mutate(result.receipt, ("forensic",), True))


def test_other_spellings_are_refused(make_result):
    result, _ = make_result()
    data = canonical.dumps(result.receipt)
    for other in (data + b"\n", data.replace(b'":', b'": ', 1), json.dumps(result.receipt).encode()):
        with pytest.raises(ReceiptError, match="canonical"):
            read_receipt(other)


def test_values_without_json_form_are_refused(make_result, monkeypatch):
    result, _ = make_result()
    monkeypatch.setattr(receipt, "environment", lambda threads: {"libraries": {"x": float("nan")}})
    inputs = receipt.ReceiptInputs(
        asked=result.asked, resolved=result.resolved, records=result.records, inspection=result.inspection,
        inputs={"picture": receipt.InputFacts(result.source, "0" * 64)}, outputs=result.outputs,
        edit=EditStats(0.5, 1.0, 2.0, 3.0, 2.0), edit_map=result.edit_map, confidence=result.confidence,
    )  # fmt: skip
    with pytest.raises(ReceiptError, match="nan"):
        build_receipt(inputs)


@pytest.mark.parametrize(
    ("generative", "scale", "changed", "status", "stamp", "regions"),
    [
        (False, 1, 0.0, "existing state", None, [("existing state", 1.0)]),
        (
            False, 1, 0.25, "evidence-based restoration", None,
            [("existing state", 0.75), ("evidence-based restoration", 0.25)],
        ),
        (False, 2, 0.0, "evidence-based restoration", None, [("evidence-based restoration", 1.0)]),
        (True, 1, 1.0, "hypothetical reconstruction", "not for examination", [("hypothetical reconstruction", 1.0)]),
        (True, 1, 0.0, "hypothetical reconstruction", "not for examination", [("existing state", 1.0)]),
        (
            True, 4, 0.5, "hypothetical reconstruction", "not for examination",
            [("evidence-based restoration", 0.5), ("hypothetical reconstruction", 0.5)],
        ),
    ],
)  # fmt: skip
def test_claim(generative, scale, changed, status, stamp, regions):
    got = claim(generative, scale, changed, "bicubic")
    assert (got["status"], got["stamp"]) == (status, stamp)
    assert [(r["status"], r["share"]) for r in got["regions"]] == regions


def test_confidence_basis(make_result):
    result, _ = make_result()
    some, none = EditStats(0.5, 1, 1, 1, 2), EditStats(0.0, 0, 0, 0, 0)
    (record,) = result.records
    other = type(record)(step="x", params={}, confidence_basis="self-ensemble")
    assert confidence_basis((record,), some) == "model"
    assert confidence_basis((record, other), some) == "mixed"
    assert confidence_basis((record,), none) == "not edited"
    assert confidence_basis((), some) == "not edited"


def test_array_digest_against_its_description():
    a = np.arange(6, dtype=np.uint16).reshape(2, 3) * 1000
    want = hashlib.sha256(b"tratto/array/1 uint16 2x3\n" + a.astype("<u2").tobytes()).hexdigest()
    assert array_digest(a) == want
    assert array_digest(a.astype(">u2")) == want
    assert array_digest(np.asfortranarray(a)) == want
    assert array_digest(a.reshape(3, 2)) != want
    tall = np.arange(3_000_000, dtype=np.uint16).reshape(-1, 2)  # several bands
    assert array_digest(tall) == hashlib.sha256(b"tratto/array/1 uint16 1500000x2\n" + tall.tobytes()).hexdigest()


def test_environment_names_no_machine():
    env = environment()
    check(env, {**receipt_schema()["properties"]["environment"], "$defs": receipt_schema()["$defs"]}, "environment")
    assert env["threads"] >= 1
    assert all(len(v) < 100 for v in env["libraries"].values())
    assert env["cpu_flags"] == sorted(env["cpu_flags"])


def test_schema_reader_refuses_rules_it_does_not_know():
    with pytest.raises(ReceiptError, match="oneOf"):
        check(1, {"oneOf": [{}]}, "x")


def test_schema_reader_and_trailing_line_break():
    with pytest.raises(ReceiptError, match="form"):
        check("ab\n", {"type": "string", "pattern": "^[ab]+$"}, "x")
