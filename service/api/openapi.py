"""The OpenAPI 3.1 document: generated from the routes, completed with what FastAPI cannot know.

`build(app)` is committed as `openapi/openapi.json` (`dump` gives its bytes) and compared by a test.
"""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from service import __version__
from service.api.examples import add_examples
from service.api.openapi_parts import HOOK_PATHS, INFO, SECURITY, TAGS, problem_responses
from service.api.router import Route
from service.api.schemas import Problem


def build(app: FastAPI) -> dict[str, Any]:
    """The document of an application."""
    schema = get_openapi(
        title="Dozor",
        version=__version__,
        openapi_version="3.1.0",
        description=INFO,
        routes=app.routes,
        tags=TAGS,
    )
    schema["paths"] = dict(sorted({**schema["paths"], **HOOK_PATHS}.items()))
    schema["components"]["securitySchemes"] = SECURITY
    _add_model(schema, Problem)
    for route in app.routes:
        if isinstance(route, Route) and route.include_in_schema:
            for method in route.verbs:
                _complete(schema["paths"][route.path_format][method.lower()], route)
    _drop_unused(schema)
    return schema


def cached(app: FastAPI) -> dict[str, Any]:
    """`build`, once per application."""
    if not app.openapi_schema:
        app.openapi_schema = build(app)
    return app.openapi_schema


def dump(schema: dict[str, Any]) -> str:
    """The committed bytes: sorted, indented, with a final line break."""
    return json.dumps(schema, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _complete(operation: dict[str, Any], route: Route) -> None:
    """Security, problem answers, list parameters of one operation."""
    keyed = route.path.startswith("/v1/")
    operation["security"] = [{"bearer": []}, {"basic": []}] if keyed else []
    if route.scopes:
        operation["x-required-scope"] = route.scopes[0]
        note = f"Needs the scope `{route.scopes[0]}`."
        operation["description"] = f"{operation.get('description', '')}\n\n{note}".strip()
    responses = operation["responses"]
    responses.pop("422", None)
    wanted = problem_responses(route)
    operation["responses"] = dict(sorted({**wanted, **responses}.items()))
    for parameter in operation.get("parameters", []):
        _complete_parameter(parameter)
    rule = route.body_rule
    if rule is not None and "requestBody" not in operation:
        content: dict[str, Any] = {kind: {"schema": {}} for kind in rule.types}
        operation["requestBody"] = {"required": not rule.optional, "content": content}
    add_examples(operation)


def _complete_parameter(parameter: dict[str, Any]) -> None:
    """Lists are written with commas; `null` is not a value in an address."""
    schema = parameter["schema"]
    kinds = [kind for kind in schema.get("anyOf", []) if kind.get("type") != "null"]
    if len(kinds) == 1:
        schema.pop("anyOf")
        schema.update(kinds[0])
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": False}
    if parameter["in"] == "query":
        schema.pop("title", None)


def _add_model(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """A model that no route names by itself."""
    shape = model.model_json_schema(ref_template="#/components/schemas/{model}")
    inner = shape.pop("$defs", {})
    schema["components"]["schemas"] |= {**inner, model.__name__: shape}


def _drop_unused(schema: dict[str, Any]) -> None:
    """FastAPI's own error shapes are never answered here."""
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"].get("schemas", {}).pop(name, None)
