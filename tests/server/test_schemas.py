"""What a request over HTTP may hold: never a path of the machine that serves."""

import json

import jsonschema
import pytest
from pydantic import ValidationError

from tratto.core.options import HTTP, entries
from tratto.server.offers import options_schema, request_model
from tratto.tasks import TASKS

ID = "0123456789abcdef" * 2


@pytest.mark.parametrize("task", [t for t in TASKS if not t.local], ids=lambda t: t.name)
def test_the_schema_over_http_holds_no_path(task):
    schema = options_schema(task.name)
    jsonschema.Draft202012Validator.check_schema(schema)
    offered = {e.name for e in entries(task.model, HTTP)}
    assert offered <= set(schema["properties"])
    assert {"format", "quality", "page", "forensic", "dry_run"} <= set(schema["properties"])
    assert not {"out", "ledger", "sign", "overwrite", "minutes", "output_pixels"} & set(schema["properties"])
    assert schema["additionalProperties"] is False

    def strings(part):
        if isinstance(part, dict):
            if part.get("type") == "string":
                yield part
            for value in part.values():
                yield from strings(value)
        elif isinstance(part, list):
            for value in part:
                yield from strings(value)

    words = {n for n, shown in schema["properties"].items() if shown.get("x-widget") == "words"}
    for string in strings({k: v for k, v in schema["properties"].items() if k not in words}):
        assert {"enum", "const", "pattern", "maxLength"} & set(string), string


@pytest.mark.parametrize(
    ("name", "mask", "given", "fits"),
    [
        ("restore", None, {"scale": 2, "noise_sigma": None, "params": {"noise": 2, "model": "photo"}}, True),
        ("restore", None, {"params": {"model": "/etc/passwd"}}, False),
        ("restore", None, {"params": {"model": ".."}}, False),
        ("restore", None, {"provider": "../x"}, False),
        ("restore", None, {"scale": 9}, False),
        ("restore", None, {"page": 3}, True),
        ("restore", None, {"page": -1}, False),
        ("restore", None, {"out": "x"}, False),
        ("repair", "auto", {"method": "telea"}, True),
        ("repair", "auto", {"captioner": "joycaption:/models"}, False),
        ("repair", "auto", {"params": {"model": "x"}}, False),
        ("repair", "/etc/passwd", {}, False),
        ("repair", None, {}, False),
        ("recolor", None, {"color": "#c8d4e0", "clicks": [[3, 4]]}, True),
        ("recolor", None, {"color": "/paint.png", "clicks": [[3, 4]]}, False),
        ("recolor", None, {"color": [0.1, 0.2, 0.3], "match": "paint"}, True),
    ],
)
def test_requests_over_http(name, mask, given, fits):
    inputs = {"picture": ID} | ({} if mask is None else {"mask": mask})
    request = json.dumps({"task": name, "inputs": inputs, "options": given})
    if fits:
        assert request_model(name).model_validate_json(request).task == name
    else:
        with pytest.raises(ValidationError):
            request_model(name).model_validate_json(request)
