"""`fields=id,name,seller.name`: only these members of each row."""

from collections.abc import Sequence
from typing import Annotated, Any, get_args

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, WithJsonSchema
from starlette.requests import Request

from service.api.bodies import fields_at, models_in
from service.api.params import read_list
from service.api.problems import unknown_name

FieldsParam = Annotated[
    tuple[str, ...] | None,
    BeforeValidator(read_list),
    WithJsonSchema({"type": "array", "items": {"type": "string"}}),
    Query(description="only these members of each row: `id,name,seller.name`"),
]


def check_fields(request: Request, fields: Sequence[str] | None) -> None:
    """Refuse names that the rows of this list do not have.

    Raises:
        ApiError: unknown_name.
    """
    row = _row_model(request)
    if fields is None or row is None:
        return
    known = fields_at(row, [])
    for name in fields:
        first, dot, rest = name.partition(".")
        inner = fields_at(row, [first]) if dot and first in known else []
        if first not in known or (dot and (_is_plain(row, first) or rest not in inner)):
            every = [*known, *(f"{first}.{inner_name}" for inner_name in inner)]
            raise unknown_name(name, every, "field", parameter="fields")


def only(row: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """The row with these members; `seller.name` keeps the nesting, null stays null."""
    found: dict[str, Any] = {}
    for name in fields:
        first, dot, rest = name.partition(".")
        value = row[first]
        if not dot or value is None:
            found[first] = value
        elif isinstance(value, list):
            kept = found.setdefault(first, [{} for _ in value])
            for target, inner in zip(kept, value, strict=True):
                target[rest] = inner[rest]
        else:
            found.setdefault(first, {})[rest] = value[rest]
    return found


def _row_model(request: Request) -> type[BaseModel] | None:
    """The model of the rows that the route of this request lists."""
    model = getattr(request.scope.get("route"), "response_model", None)
    data = model.model_fields.get("data") if model is not None else None
    rows = get_args(data.annotation) if data is not None else ()
    return rows[0] if rows else None


def _is_plain(row: type[BaseModel], name: str) -> bool:
    return not models_in(row.model_fields[name].annotation)
