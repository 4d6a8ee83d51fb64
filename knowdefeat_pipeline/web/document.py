"""The OpenAPI document: FastAPI's, with the problems that any route may answer and who may ask it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from knowdefeat_pipeline.web.problems import ENVELOPED, PROBLEM

ALWAYS = (400, 401, 403, 404, 413, 422, 503)
OF_WRITES = (409, 415, 429)
OF_VERSIONS = (412, 428)  # of routes that build on a version
DETAILS: dict[str, Any] = {
    "title": "Problem",
    "description": "Problem Details (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "description": "about:blank: the status says what it is."},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "description": "The status."},
        "detail": {"type": "string", "description": "What is wrong, and the remedy."},
        "instance": {"type": "string", "description": "What was asked for."},
        "errors": {
            "type": "array",
            "description": "Each field or row that is wrong.",
            "items": {"type": "object"},
        },
    },
}
ENVELOPE: dict[str, Any] = {
    "title": "Failure",
    "description": "What Scanstream's endpoints say of what cannot be answered.",
    "type": "object",
    "required": ["success", "error"],
    "properties": {
        "success": {"type": "boolean", "const": False, "description": "False."},
        "error": {"type": "string", "description": "What is wrong, and the remedy."},
    },
}


def install(app: FastAPI) -> None:
    """Let the app's document tell of problems and tokens too."""
    make = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = make()
            components = found.setdefault("components", {})
            components.setdefault("schemas", {})["Problem"] = DETAILS
            components["schemas"]["Failure"] = ENVELOPE
            for unused in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(unused, None)
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path, operations in found["paths"].items():
                for method, operation in operations.items():
                    _complete(path, operation, writes=method != "get")
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _complete(path: str, operation: dict[str, Any], writes: bool) -> None:
    """Reading is open; a token that is given counts, or is refused."""
    operation["security"] = [{"token": []}] if writes else [{}, {"token": []}]
    kind, name = ("application/json", "Failure") if path.startswith(ENVELOPED) else (PROBLEM, "Problem")
    builds_on = any(parameter["name"].lower() == "if-match" for parameter in operation.get("parameters", ()))
    for status in (*ALWAYS, *(OF_WRITES if writes else ()), *(OF_VERSIONS if builds_on else ())):
        content: dict[str, Any] = {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        operation["responses"][str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    # The guard, which knows of no route, refuses in plain text.
    operation["responses"]["403"]["content"]["text/plain"] = {"schema": {"type": "string"}}
    if not writes:
        operation["responses"]["304"] = {"description": "Unchanged since the ETag of If-None-Match"}
