"""The API's own page, made of its OpenAPI document: no script, nothing from elsewhere."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from knowdefeat_pipeline.web.pages.rendering import render
from knowdefeat_pipeline.web.site import Shared

router = APIRouter()

Schema = dict[str, Any]
NULL = {"type": "null"}


@router.get("/docs")
def docs(request: Request, site: Shared) -> Response:
    """Every route, what it takes and what it answers."""
    document: Schema = request.app.openapi()
    routes = [
        {
            "method": method.upper(),
            "path": path,
            "about": operation.get("description") or operation["summary"],
            "parameters": [_parameter(document, parameter) for parameter in operation.get("parameters", ())],
            **_body(document, operation),
            "fields": _answered(document, operation),
        }
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    return site.answer(request, lambda _: render("docs.html", request, site, routes=routes))


def _parameter(document: Schema, parameter: Schema) -> Schema:
    """A parameter as a field, by where it stands: in the path, the query or a header."""
    return _field(document, parameter["name"], parameter["schema"] | _said(parameter), parameter["required"]) | {
        "where": parameter["in"]
    }


def _body(document: Schema, operation: Schema) -> Schema:
    """`types` of the body that a route takes, and its fields; none of both where it takes none."""
    content: Schema = operation.get("requestBody", {}).get("content", {})
    found: Schema = next((body.get("schema", {}) for body in content.values()), {})
    return {"types": [*content], "takes": _fields(document, _resolved(document, found))}


def _answered(document: Schema, operation: Schema) -> list[Schema]:
    """The fields of what the route answers, or of its rows where that is a list."""
    responses = operation["responses"]
    answer: Schema = next((responses[status] for status in ("200", "201", "202") if status in responses), {})
    schema = _resolved(document, answer.get("content", {}).get("application/json", {}).get("schema", {}))
    if "data" in schema.get("properties", {}):
        schema = schema["properties"]["data"]
    return _fields(document, _resolved(document, schema.get("items", schema)))


def _fields(document: Schema, schema: Schema) -> list[Schema]:
    required = schema.get("required", ())
    return [_field(document, name, field, name in required) for name, field in schema.get("properties", {}).items()]


def _field(document: Schema, name: str, schema: Schema, required: bool) -> Schema:
    return {"name": name, "kind": kind(document, schema), "required": required, "unit": schema.get("unit")} | _said(
        schema
    )


def _said(schema: Schema) -> Schema:
    return {"description": schema["description"]} if schema.get("description") else {}


def kind(document: Schema, schema: Schema) -> str:
    """What a value may be, in words.

    >>> kind({}, {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]})
    'list of text'
    """
    schema = _resolved(document, schema)
    if "anyOf" in schema:
        kinds = dict.fromkeys(kind(document, of) for of in schema["anyOf"] if of != NULL)
        return " or ".join(kinds)
    if "enum" in schema or "const" in schema:
        return "one of " + ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    if schema.get("type") == "array":
        return f"list of {kind(document, schema.get('items', {}))}"
    formats = {"date": "day", "date-time": "time", "binary": "file"}
    words = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    plain: str = schema.get("type", "anything")
    return formats.get(schema.get("format", "")) or words.get(plain, plain)


def _resolved(document: Schema, schema: Schema) -> Schema:
    reference = schema.get("$ref", "").rpartition("/")[2]
    found: Schema = document["components"]["schemas"][reference] if reference else schema
    return found
