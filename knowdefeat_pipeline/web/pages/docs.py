"""The API's own page, made of its OpenAPI document: no script, nothing from elsewhere."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from knowdefeat_pipeline.web.pages.rendering import render
from knowdefeat_pipeline.web.site import Shared

router = APIRouter()


@router.get("/docs")
def docs(request: Request, site: Shared) -> Response:
    """Every route, what it takes and what it answers."""
    document: dict[str, Any] = request.app.openapi()
    routes = [
        {"method": method.upper(), "path": path, **operation, "fields": _fields(document, operation)}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    return site.answer(request, lambda _: render("docs.html", request, site, routes=routes))


def _fields(document: dict[str, Any], operation: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of a row that the route answers; none where its answer is no list of rows."""
    content = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
    schema = _resolved(document, content.get("schema", {}))
    if "data" in schema.get("properties", {}):
        schema = schema["properties"]["data"]
    schema = _resolved(document, schema.get("items", schema))
    return [{"name": name, **field} for name, field in schema.get("properties", {}).items()]


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][reference] if reference else schema
    return found
