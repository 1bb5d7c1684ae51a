"""Render the reference of the HTTP API: ``python -m tratto.server.reference > docs/api.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

HEAD = """# Reference of the HTTP API

Rendered from the OpenAPI document that the server gives at `/openapi.json`, by `python -m tratto.server.reference`.
How a server is run, and what keys and limits are, is told in [server](server.md). What options mean is told in
[reference](reference.md); their JSON schemas are in the answer of `GET /api/v1/tasks`.

Every path but `/api/v1/health` needs `Authorization: Bearer KEY`, or the cookie of the page. What goes wrong is
answered with `{"error": {"kind", "message", "option"}}`; besides the codes that are named, all may answer 401, 403,
405, 421 (another Host), 422 and 429.
"""
_USUAL = {"401", "403", "422", "429"}


def page() -> str:
    """Return the reference page."""
    from fastapi import FastAPI

    from tratto.server.api import router
    from tratto.server.openapi import describe

    app = FastAPI(generate_unique_id_function=lambda route: route.name)
    app.include_router(router)
    document = describe(app)
    parts = [HEAD]
    tag = ""
    for path, ways in document["paths"].items():
        for method, operation in ways.items():
            if operation["tags"][0] != tag:
                tag = operation["tags"][0]
                parts.append(f"## {tag.capitalize()}\n")
            parts.append("\n".join(_operation(path, method, operation)))
    parts.append("## Objects\n")
    schemas = document["components"]["schemas"]
    asked = {ref.rsplit("/", 1)[-1] for ref in schemas["JobRequest"]["discriminator"]["mapping"].values()}
    theirs = {name.removesuffix("Request") + end for name in asked for end in ("Request", "Options", "Inputs")}
    for name, schema in sorted(schemas.items()):
        if name not in theirs and "properties" in schema:
            parts.append("\n".join(_object(name, schema)))
    parts.append(_requests(schemas, sorted(asked)))
    return "\n".join(parts)


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"### `{method.upper()} {path}`\n{operation.get('description', operation['summary'])}\n"
    for given in operation.get("parameters", ()):
        if given["in"] != "path":
            text = given.get("description", given["schema"].get("description", ""))
            kind = _kind(given["schema"])
            yield f"- {given['in']} `{given['name']}`: {kind}" + (f"; {text}" if text else "")
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        named = body["schema"].get("properties")
        files = ", ".join(f"`{n}`" for n in named) if named else _kind(body["schema"])
        yield f"- body `{kind}`: {files}"
    others = []
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            kinds = ", ".join(
                _kind(a["schema"]) if k == "application/json" else f"`{k}`"
                for k, a in answer.get("content", {}).items()
            )
            yield f"- answer {status}" + (f": {kinds}" if kinds else "")
        elif status not in _USUAL:
            others.append(status)
    if others:
        yield f"- or {', '.join(others)}"
    yield ""


def _kind(schema: Mapping[str, Any]) -> str:
    """Return what a schema allows in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(s) for s in schema["anyOf"]))
    if "enum" in schema:
        return " \\| ".join(f"`{v}`" for v in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_kind(schema['additionalProperties'])}"
    return str(kind)


def _object(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    text = " ".join(schema.get("description", "").split("Attributes")[0].split())
    yield f"### {name}\n{text}\n\n| field | type | |\n| --- | --- | --- |"
    for field, shown in schema["properties"].items():
        yield f"| `{field}` | {_kind(shown)} | {shown.get('description', '')} |"
    yield ""


def _requests(schemas: Mapping[str, Any], asked: list[str]) -> str:
    """Return what a request for a job is, task by task."""
    lines = [
        "### JobRequest\n`task`, `inputs` by role, and `options`. An input is the id of an upload, or a word where one "
        "is named; several masks are a list, masks by class of damage an object.\n\n| task | inputs | options |\n"
        "| --- | --- | --- |"
    ]
    for name in asked:
        parts = schemas[name]["properties"]
        roles, options = (schemas[parts[p].get("$ref", "").rsplit("/", 1)[-1]] for p in ("inputs", "options"))
        needed = roles.get("required", [])
        shown = ", ".join(f"`{r}`" + ("" if r in needed else " (optional)") for r in roles["properties"])
        lines.append(f"| `{parts['task']['const']}` | {shown} | {', '.join(f'`{o}`' for o in options['properties'])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
