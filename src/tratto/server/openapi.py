"""The OpenAPI document of a server."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from tratto._version import __version__
from tratto.server.offers import offers, request_model


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the models of all tasks' requests."""
    from fastapi.openapi.utils import get_openapi
    from pydantic.json_schema import models_json_schema

    made: dict[str, Any] = get_openapi(
        title="Tratto", version=__version__, routes=app.routes,
        description="Restores pictures and can prove what it did.",
    )  # fmt: skip
    models = [request_model(name) for name in offers()]
    pairs, parts = models_json_schema([(m, "validation") for m in models], ref_template="#/components/schemas/{model}")
    found = {model.__name__: pairs[(model, "validation")] for model in models}
    schemas = made["components"]["schemas"]
    schemas |= parts.get("$defs", {})
    mapping = {name: found[m.__name__]["$ref"] for name, m in zip(offers(), models, strict=True)}
    schemas["JobRequest"] = {
        "title": "JobRequest", "oneOf": list(found.values()),
        "discriminator": {"propertyName": "task", "mapping": mapping},
    }  # fmt: skip
    _link(made["paths"])
    for name in ("HTTPValidationError", "ValidationError"):  # problems have a form of their own here
        schemas.pop(name, None)
    return made


def _link(paths: dict[str, Any]) -> None:
    """Say which operations take the id of an upload or job that another gives."""
    givers = {
        "upload": [("/api/v1/uploads", "201"), ("/api/v1/jobs/{job}/undo", "201")],
        "job": [("/api/v1/jobs", "202")],
    }
    for name, places in givers.items():
        takers = [o["operationId"] for p, ways in paths.items() if f"{{{name}}}" in p for o in ways.values()]
        links: dict[str, Any] = {
            taker: {"operationId": taker, "parameters": {name: "$response.body#/id"}} for taker in takers
        }
        if name == "upload":
            asked = {"task": "restore", "inputs": {"picture": "{$response.body#/id}"}}
            links["ask"] = {"operationId": "ask", "requestBody": asked}
        for path, status in places:
            paths[path]["post"]["responses"][status]["links"] = links
