"""Request bodies: media type, size, nesting, and validation errors as problems."""

import re
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec
from pydantic import BaseModel
from starlette.requests import Request

from service.api.problems import PROBLEMS, bad_body, fault, near, problem, shown
from service.errors import ApiError

JSON_BYTES = 1024 * 1024
NESTING = 20
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class BodyRule:
    """What an endpoint accepts as a body."""

    types: tuple[str, ...] = ("application/json",)
    most_bytes: int = JSON_BYTES
    optional: bool = False


def accepts(*types_: str, most_bytes: int = JSON_BYTES) -> Callable[[Endpoint], Endpoint]:
    """Mark an endpoint that reads `await request.body()` itself: its media types and size."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.dozor_body = BodyRule(types_, most_bytes)  # type: ignore[attr-defined]
        return endpoint

    return mark


def safe(endpoint: Endpoint) -> Endpoint:
    """Mark a POST that changes nothing: it needs no `Idempotency-Key`."""
    endpoint.dozor_safe = True  # type: ignore[attr-defined]
    return endpoint


async def read(request: Request, rule: BodyRule) -> bytes:
    """The whole body, bounded.

    Raises:
        ApiError: unsupported_media_type, too_large.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > rule.most_bytes:
        raise _too_large(rule)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > rule.most_bytes:
            raise _too_large(rule)
    if (body or not rule.optional) and not _fits(kind, rule):
        allowed = " or ".join(rule.types)
        detail = f"Content-Type must be {allowed}, not {shown(kind)}."
        entry = fault("unsupported_media_type", detail, header="Content-Type")
        raise problem("unsupported_media_type", detail, errors=[entry])
    return bytes(body)


def _fits(kind: str, rule: BodyRule) -> bool:
    json_like = "application/json" in rule.types and kind.endswith("+json")
    return kind in rule.types or json_like


def _too_large(rule: BodyRule) -> ApiError:
    return problem("too_large", f"The body is larger than {rule.most_bytes} bytes.")


def check_json(body: bytes) -> None:
    """Refuse what is no JSON, nested deeper than 20, or holds what a database cannot.

    Raises:
        ApiError: bad_json, invalid_body.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise bad_body("#", f"The body is not JSON: {error}.", "bad_json") from None
    except RecursionError:
        raise _too_deep() from None
    check_document(document)


def check_document(document: Any) -> None:
    """The same checks on a document that is parsed already (YAML).

    Raises:
        ApiError: bad_json (too deep), invalid_body (U+0000, huge number).
    """
    pending: list[tuple[Any, int, tuple[Any, ...]]] = [(document, 1, ())]
    while pending:
        value, depth, path = pending.pop()
        if depth > NESTING + 1:
            raise _too_deep()
        if isinstance(value, dict):
            pending += [(inner, depth + 1, (*path, key)) for key, inner in value.items()]
            _check_scalars(list(value), path)
        elif isinstance(value, list):
            pending += [(inner, depth + 1, (*path, i)) for i, inner in enumerate(value)]
        else:
            _check_scalars([value], path)


def _check_scalars(values: Sequence[Any], path: tuple[Any, ...]) -> None:
    for value in values:
        if isinstance(value, str) and "\x00" in value:
            raise bad_body(pointer(path), "A text must not hold the character U+0000.")
        if isinstance(value, int) and abs(value) >= 1 << 63:
            raise bad_body(pointer(path), "A number must fit in 64 bits.")


def _too_deep() -> ApiError:
    return bad_body("#", f"The body is nested deeper than {NESTING} levels.", "bad_json")


def pointer(path: Sequence[Any]) -> str:
    """A JSON Pointer as fragment: `#/rows/3/value`."""
    escaped = [str(part).replace("~", "~0").replace("/", "~1") for part in path]
    return "#" + "".join(f"/{part}" for part in escaped)


# --- validation errors ----------------------------------------------------------------------------


def faults_of(errors: Sequence[Any], model: Any = None) -> list[dict[str, Any]]:
    """Pydantic's errors as entries of `errors[]`.

    Args:
        errors: as `RequestValidationError.errors()` gives them; `loc` begins with query or body.
        model: the body's model, for the near names of unknown fields.
    """
    return [_fault_of(error, model) for error in errors]


def _fault_of(error: Any, model: Any) -> dict[str, Any]:
    place, *path = error["loc"]
    context = error.get("ctx") or {}
    in_body = place == "body"
    code = _code_of(error["type"], in_body=in_body)
    hints = list(context.get("hints", ()))
    detail = context.get("detail") or _sentence(error, path, in_body=in_body)
    if code == "unknown_field":
        hints = near(str(path[-1]), fields_at(model, path[:-1]))
    if error["type"] in ("literal_error", "enum"):
        hints = near(str(error.get("input")), re.findall(r"'([^']*)'", context["expected"]))
    if in_body:
        return fault(code, detail, pointer=pointer(path), did_you_mean=hints)
    name = str(path[0]) if path else ""
    if place == "header":
        return fault("invalid_header", detail, header=name)
    return fault(code, detail, parameter=name, did_you_mean=hints)


def _code_of(kind: str, *, in_body: bool) -> str:
    if kind == "extra_forbidden":
        return "unknown_field" if in_body else "unknown_parameter"
    if kind in ("literal_error", "enum"):
        return "unknown_name"
    if kind == "json_invalid":
        return "bad_json"
    if kind in PROBLEMS and kind != "invalid_parameter":
        return kind
    return "invalid_body" if in_body else "invalid_parameter"


def _sentence(error: Any, path: Sequence[Any], *, in_body: bool) -> str:
    name = ".".join(str(part) for part in path) or "the body"
    if error["type"] == "missing":
        return f"{name} is required."
    if error["type"] == "extra_forbidden":
        return f"There is no field {shown(str(path[-1]))} here."
    text = error["msg"].removeprefix("Value error, ")
    return f"{name}: {text}" + ("" if text.endswith(".") else ".")


def fields_at(model: Any, path: Sequence[Any]) -> list[str]:
    """The field names that a body may have at a place."""
    for part in path:
        inner = models_in(model)
        fields = [m.model_fields for m in inner]
        by_name = {f.alias or name: f.annotation for some in fields for name, f in some.items()}
        model = by_name.get(str(part), model)
    return [f.alias or name for m in models_in(model) for name, f in m.model_fields.items()]


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models in `Model`, `list[Model]`, `Model | None`, `dict[str, Model]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType, Annotated, list, tuple, dict):
        return [model for inner in get_args(annotation) for model in models_in(inner)]
    return []
